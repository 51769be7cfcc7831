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

bool has_avx2() {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt");
#else
    return false;
#endif
}

// Best first.
constexpr Implementation kImplementations[] = {
    {Simd::kAvx2, "avx2", has_avx2},
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
