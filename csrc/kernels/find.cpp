#include "kernels/find.hpp"

#include <algorithm>
#include <cstddef>

#include "kernels/residue.hpp"
#include "kernels/targets.hpp"

namespace hashnet {

namespace {

inline bool equal_from(const std::uint8_t* byte, unsigned from, unsigned planes, std::uint64_t residue) {
    for (unsigned i = from; i < planes; ++i) {
        if (byte[std::size_t{i} * kBlockEntries] != static_cast<std::uint8_t>(residue >> (56 - 8 * i))) {
            return false;
        }
    }
    return true;
}

std::uint32_t find_scalar(const std::uint8_t* blocks, unsigned planes, std::uint64_t residue,
                          std::uint32_t begin, std::uint32_t end) {
    for (std::uint32_t p = begin; p < end; ++p) {
        const std::uint8_t* byte =
            blocks + std::size_t{p / kBlockEntries} * planes * kBlockEntries + p % kBlockEntries;
        if (equal_from(byte, 0, planes, residue)) return p;
    }
    return end;
}

#if defined(__x86_64__)

// The first two bytes reject nearly all entries, 32 at a time.
HASHNET_AVX2 std::uint32_t find_avx2(const std::uint8_t* blocks, unsigned planes, std::uint64_t residue,
                                     std::uint32_t begin, std::uint32_t end) {
    if (planes == 0 || begin >= end) return begin;
    const __m256i first = _mm256_set1_epi8(static_cast<char>(residue >> 56));
    const __m256i second = _mm256_set1_epi8(static_cast<char>(residue >> 48));
    const std::uint32_t last = (end - 1) / kBlockEntries;
    for (std::uint32_t block = begin / kBlockEntries; block <= last; ++block) {
        const std::uint8_t* bytes = blocks + std::size_t{block} * planes * kBlockEntries;
        __m256i same = _mm256_cmpeq_epi8(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes)), first);
        if (planes > 1) {
            const auto* plane = reinterpret_cast<const __m256i*>(bytes + kBlockEntries);
            same = _mm256_and_si256(same, _mm256_cmpeq_epi8(_mm256_loadu_si256(plane), second));
        }
        auto equal = static_cast<std::uint32_t>(_mm256_movemask_epi8(same));
        for (; equal != 0; equal &= equal - 1) {
            const auto i = static_cast<std::uint32_t>(__builtin_ctz(equal));
            const std::uint64_t p = std::uint64_t{block} * kBlockEntries + i;
            if (p >= begin && p < end && equal_from(bytes + i, 1, planes, residue)) {
                return static_cast<std::uint32_t>(p);
            }
        }
    }
    return end;
}

#endif

#if defined(__aarch64__)

/// As find_avx2, in halves of a block.
std::uint32_t find_neon(const std::uint8_t* blocks, unsigned planes, std::uint64_t residue,
                        std::uint32_t begin, std::uint32_t end) {
    if (planes == 0 || begin >= end) return begin;
    const uint8x16_t first = vdupq_n_u8(static_cast<std::uint8_t>(residue >> 56));
    const uint8x16_t second = vdupq_n_u8(static_cast<std::uint8_t>(residue >> 48));
    const std::uint32_t last = (end - 1) / 16;
    for (std::uint32_t half = begin / 16; half <= last; ++half) {
        const std::uint8_t* bytes = blocks + std::size_t{half / 2} * planes * kBlockEntries + half % 2 * 16;
        uint8x16_t same = vceqq_u8(vld1q_u8(bytes), first);
        if (planes > 1) same = vandq_u8(same, vceqq_u8(vld1q_u8(bytes + kBlockEntries), second));
        for (std::uint64_t equal = byte_mask(same); equal != 0; equal &= equal - 1) {
            const auto i = static_cast<std::uint32_t>(__builtin_ctzll(equal)) / 4;
            const std::uint64_t p = std::uint64_t{half} * 16 + i;
            if (p >= begin && p < end && equal_from(bytes + i, 1, planes, residue)) {
                return static_cast<std::uint32_t>(p);
            }
        }
    }
    return end;
}

#endif

}  // namespace

FindResidue find_residue(Simd simd) {
    switch (simd) {
#if defined(__x86_64__)
        case Simd::kAvx2:
        case Simd::kAvx512:
            return find_avx2;
#endif
#if defined(__aarch64__)
        case Simd::kNeon:
            return find_neon;
#endif
        default:
            return find_scalar;
    }
}

}  // namespace hashnet
