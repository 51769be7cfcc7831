#include "kernels/rows.hpp"

#include "codes.hpp"
#include "kernels/dispatch.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hashnet {

namespace {

std::size_t filter_scalar(const std::uint64_t* rows, std::size_t n, unsigned n_words,
                          const std::uint64_t* query, unsigned bound, std::uint32_t first, Survivor* out) {
    std::size_t found = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const unsigned d = distance(rows + i * n_words, query, n_words);
        if (d <= bound) out[found++] = {first + static_cast<std::uint32_t>(i), d};
    }
    return found;
}

#if defined(__x86_64__)

// Popcount of each 64-bit lane: two nibble look-ups, summed by vpsadbw.
__attribute__((target("avx2"))) inline __m256i popcount_lanes(__m256i x) {
    const __m256i counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i low_nibble = _mm256_set1_epi8(15);
    const __m256i low = _mm256_shuffle_epi8(counts, _mm256_and_si256(x, low_nibble));
    const __m256i high = _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16(x, 4), low_nibble));
    return _mm256_sad_epu8(_mm256_add_epi8(low, high), _mm256_setzero_si256());
}

__attribute__((target("avx2"))) inline __m256i load(const std::uint64_t* words) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
}

// One word a row: four rows a vector.
__attribute__((target("avx2,popcnt"))) std::size_t filter_avx2_1(const std::uint64_t* rows, std::size_t n,
                                                                 std::uint64_t query, unsigned bound,
                                                                 std::uint32_t first, Survivor* out) {
    std::size_t found = 0;
    std::size_t i = 0;
    const __m256i q = _mm256_set1_epi64x(static_cast<long long>(query));
    const __m256i limit = _mm256_set1_epi64x(bound);
    for (; i + 4 <= n; i += 4) {
        const __m256i sums = popcount_lanes(_mm256_xor_si256(load(rows + i), q));
        const __m256i over = _mm256_cmpgt_epi64(sums, limit);
        unsigned passed = ~static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(over))) & 15U;
        if (passed == 0) continue;
        alignas(32) std::uint64_t distances[4];
        _mm256_store_si256(reinterpret_cast<__m256i*>(distances), sums);
        for (; passed != 0; passed &= passed - 1) {
            const auto lane = static_cast<unsigned>(__builtin_ctz(passed));
            out[found++] = {first + static_cast<std::uint32_t>(i) + lane,
                            static_cast<std::uint32_t>(distances[lane])};
        }
    }
    for (; i < n; ++i) {
        const auto d = static_cast<unsigned>(__builtin_popcountll(rows[i] ^ query));
        if (d <= bound) out[found++] = {first + static_cast<std::uint32_t>(i), d};
    }
    return found;
}

// Any number of words: whole vectors along the row, then single words.
__attribute__((target("avx2,popcnt"))) std::size_t filter_avx2_wide(const std::uint64_t* rows, std::size_t n,
                                                                    unsigned n_words,
                                                                    const std::uint64_t* query,
                                                                    unsigned bound, std::uint32_t first,
                                                                    Survivor* out) {
    std::size_t found = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint64_t* row = rows + i * n_words;
        unsigned w = 0;
        unsigned d = 0;
        if (n_words >= 4) {
            __m256i sums = _mm256_setzero_si256();
            for (; w + 4 <= n_words; w += 4) {
                sums =
                    _mm256_add_epi64(sums, popcount_lanes(_mm256_xor_si256(load(row + w), load(query + w))));
            }
            const __m128i halves =
                _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
            d = static_cast<unsigned>(_mm_extract_epi64(halves, 0) + _mm_extract_epi64(halves, 1));
        }
        for (; w < n_words; ++w) d += static_cast<unsigned>(__builtin_popcountll(row[w] ^ query[w]));
        if (d <= bound) out[found++] = {first + static_cast<std::uint32_t>(i), d};
    }
    return found;
}

std::size_t filter_avx2(const std::uint64_t* rows, std::size_t n, unsigned n_words,
                        const std::uint64_t* query, unsigned bound, std::uint32_t first, Survivor* out) {
    if (n_words == 1) return filter_avx2_1(rows, n, query[0], bound, first, out);
    return filter_avx2_wide(rows, n, n_words, query, bound, first, out);
}

#endif

}  // namespace

FilterRows filter_rows() {
#if defined(__x86_64__)
    if (active_simd() == Simd::kAvx2) return filter_avx2;
#endif
    return filter_scalar;
}

}  // namespace hashnet
