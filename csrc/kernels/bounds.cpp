#include "kernels/bounds.hpp"

#include <algorithm>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hashnet {

namespace {

void bounds_scalar(const std::uint32_t* cells, std::size_t n, std::uint32_t address, std::uint32_t mask,
                   int bound, std::int8_t* bounds) {
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint32_t differing = cells[i] ^ cells[i + 1];
        const std::uint32_t shared =
            differing == 0 ? ~std::uint32_t{0} : ~(~std::uint32_t{0} >> __builtin_clz(differing));
        const int away = __builtin_popcount((cells[i] ^ address) & shared & mask);
        bounds[i] = static_cast<std::int8_t>(std::clamp(bound - away, -1, 127));
    }
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) void bounds_avx2(const std::uint32_t* cells, std::size_t n,
                                                 std::uint32_t address, std::uint32_t mask, int bound,
                                                 std::int8_t* bounds) {
    const __m256i counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i low_nibble = _mm256_set1_epi8(15);
    const __m256i query = _mm256_set1_epi32(static_cast<int>(address));
    const __m256i wanted = _mm256_set1_epi32(static_cast<int>(mask));
    const __m256i limit = _mm256_set1_epi32(bound);
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(cells + i));
        __m256i x =
            _mm256_xor_si256(low, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(cells + i + 1)));
        // Every bit from the first that differs on.
        x = _mm256_or_si256(x, _mm256_srli_epi32(x, 1));
        x = _mm256_or_si256(x, _mm256_srli_epi32(x, 2));
        x = _mm256_or_si256(x, _mm256_srli_epi32(x, 4));
        x = _mm256_or_si256(x, _mm256_srli_epi32(x, 8));
        x = _mm256_or_si256(x, _mm256_srli_epi32(x, 16));
        const __m256i away = _mm256_andnot_si256(x, _mm256_and_si256(_mm256_xor_si256(low, query), wanted));
        const __m256i bytes = _mm256_add_epi8(
            _mm256_shuffle_epi8(counts, _mm256_and_si256(away, low_nibble)),
            _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16(away, 4), low_nibble)));
        const __m256i sums =
            _mm256_madd_epi16(_mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1)), _mm256_set1_epi16(1));
        __m256i left = _mm256_sub_epi32(limit, sums);
        left = _mm256_max_epi32(_mm256_min_epi32(left, _mm256_set1_epi32(127)), _mm256_set1_epi32(-1));
        const __m128i words =
            _mm_packs_epi32(_mm256_castsi256_si128(left), _mm256_extracti128_si256(left, 1));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(bounds + i), _mm_packs_epi16(words, words));
    }
    bounds_scalar(cells + i, n - i, address, mask, bound, bounds + i);
}

__attribute__((target("avx512f,avx512cd,avx512bw,avx512vpopcntdq"))) void bounds_avx512(
    const std::uint32_t* cells, std::size_t n, std::uint32_t address, std::uint32_t mask, int bound,
    std::int8_t* bounds) {
    const __m512i query = _mm512_set1_epi32(static_cast<int>(address));
    const __m512i wanted = _mm512_set1_epi32(static_cast<int>(mask));
    const __m512i limit = _mm512_set1_epi32(bound);
    for (std::size_t i = 0; i < n; i += 16) {
        const std::size_t left_over = n - i;
        const auto lanes = static_cast<__mmask16>(left_over >= 16 ? 0xFFFF : (1U << left_over) - 1);
        const __m512i low = _mm512_maskz_loadu_epi32(lanes, cells + i);
        const __m512i high = _mm512_maskz_loadu_epi32(lanes, cells + i + 1);
        const __m512i shared = _mm512_lzcnt_epi32(_mm512_xor_si512(low, high));
        // A shift by 32 gives 0, which is right where no leading bit is shared.
        const __m512i varying = _mm512_sub_epi32(_mm512_set1_epi32(32), shared);
        const __m512i leading = _mm512_sllv_epi32(_mm512_set1_epi32(-1), varying);
        const __m512i differing = _mm512_and_si512(_mm512_xor_si512(low, query), wanted);
        const __m512i away = _mm512_popcnt_epi32(_mm512_and_si512(differing, leading));
        __m512i left = _mm512_sub_epi32(limit, away);
        left = _mm512_max_epi32(_mm512_min_epi32(left, _mm512_set1_epi32(127)), _mm512_set1_epi32(-1));
        _mm512_mask_cvtepi32_storeu_epi8(bounds + i, lanes, left);
    }
}

#endif

}  // namespace

BlockBounds block_bounds(Simd simd) {
#if defined(__x86_64__)
    // Every processor with VPOPCNTDQ has CD.
    if (simd == Simd::kAvx512) return bounds_avx512;
    if (simd == Simd::kAvx2) return bounds_avx2;
#endif
    static_cast<void>(simd);
    return bounds_scalar;
}

}  // namespace hashnet
