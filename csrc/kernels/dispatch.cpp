#include "kernels/dispatch.hpp"

#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace hashnet {

namespace {

struct Implementation {
    Simd simd;
    const char* name;
    bool (*supported)();
};

bool always() {
    return true;
}

// __builtin_cpu_supports also asks whether the operating system saves the wide registers. Every processor
// with AVX2 has BMI, and every one with BITALG has VBMI2; they are asked for because the kernels use them.
bool has_avx2() {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#else
    return false;
#endif
}

bool has_avx512() {
#if defined(__x86_64__)
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bitalg") && __builtin_cpu_supports("avx512vpopcntdq") &&
           __builtin_cpu_supports("avx512vbmi2");
#else
    return false;
#endif
}

bool has_neon() {
#if defined(__aarch64__)
    return true;
#else
    return false;
#endif
}

// Best first.
constexpr Implementation kImplementations[] = {
    {Simd::kAvx512, "avx512", has_avx512},
    {Simd::kAvx2, "avx2", has_avx2},
    {Simd::kNeon, "neon", has_neon},
    {Simd::kScalar, "scalar", always},
};

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
}

Simd choose() {
    const char* forced = std::getenv("HASHNET_SIMD");
    const bool free_choice = forced == nullptr || *forced == '\0';
    for (const auto& candidate : kImplementations) {
        if (free_choice ? candidate.supported() : std::strcmp(forced, candidate.name) == 0) {
            if (candidate.supported()) return candidate.simd;
            break;
        }
    }
    throw std::runtime_error("HASHNET_SIMD=" + std::string(forced == nullptr ? "" : forced) +
                             " is not available on this machine; choose one of: " + joined(available_simd()) +
                             ", or unset it");
}

}  // namespace

Simd active_simd() {
    static const Simd chosen = choose();
    return chosen;
}

bool is_available(Simd simd) {
    for (const auto& candidate : kImplementations) {
        if (candidate.simd == simd) return candidate.supported();
    }
    return false;
}

std::vector<std::string> available_simd() {
    std::vector<std::string> names;
    for (const auto& candidate : kImplementations) {
        if (candidate.supported()) names.emplace_back(candidate.name);
    }
    return names;
}

const char* simd_name(Simd simd) {
    for (const auto& candidate : kImplementations) {
        if (candidate.simd == simd) return candidate.name;
    }
    return "unknown";
}

}  // namespace hashnet
