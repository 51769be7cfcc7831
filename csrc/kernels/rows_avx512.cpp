#include "kernels/rows_kernels.hpp"
#include "kernels/targets.hpp"

#if defined(__x86_64__)

namespace hashnet {

namespace {

HASHNET_AVX512 inline __m512i differing_bits(const std::uint64_t* words, __m512i query) {
    return _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_loadu_si512(words), query));
}

/// Sums of the two words of each 128-bit lane; of `a` at even places, of `b` at odd ones.
HASHNET_AVX512 inline __m512i add_neighbours(__m512i a, __m512i b) {
    return _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/// Sums of neighbouring 128-bit lanes: of `a` in the low half, of `b` in the high one.
HASHNET_AVX512 inline __m512i add_lanes(__m512i a, __m512i b) {
    return _mm512_add_epi64(_mm512_shuffle_i64x2(a, b, 0x88), _mm512_shuffle_i64x2(a, b, 0xDD));
}

/// The distances of eight rows, in their order. Counts are added by a tree over the rows, never across a
/// register for one of them. kWords = 0 stands for a length known at run time only.
template <unsigned kWords>
struct EightRows {
    HASHNET_AVX512 EightRows(const std::uint64_t* query, unsigned n_words)
        : n_words_(kWords != 0 ? kWords : n_words),
          first_mask_(mask(n_words)),
          second_mask_(n_words > 8 ? mask(n_words - 8) : static_cast<__mmask8>(0)),
          first_(_mm512_maskz_loadu_epi64(first_mask_, query)),
          second_(_mm512_maskz_loadu_epi64(second_mask_, query + 8)) {}

    HASHNET_AVX512 __m512i distances(const std::uint64_t* rows) const {
        const __m512i a = add_neighbours(counts(rows, 0), counts(rows, 1));
        const __m512i b = add_neighbours(counts(rows, 2), counts(rows, 3));
        const __m512i c = add_neighbours(counts(rows, 4), counts(rows, 5));
        const __m512i d = add_neighbours(counts(rows, 6), counts(rows, 7));
        return add_lanes(add_lanes(a, b), add_lanes(c, d));
    }

  private:
    static __mmask8 mask(unsigned n_words) {
        return static_cast<__mmask8>(n_words >= 8 ? 0xFF : (1U << n_words) - 1);
    }

    // Words of the mask only are read; a row has at most 16.
    HASHNET_AVX512 __m512i counts(const std::uint64_t* rows, unsigned i) const {
        const unsigned n_words = kWords != 0 ? kWords : n_words_;
        const std::uint64_t* row = rows + std::size_t{i} * n_words;
        const __m512i low = _mm512_xor_si512(_mm512_maskz_loadu_epi64(first_mask_, row), first_);
        const __m512i sum = _mm512_popcnt_epi64(low);
        if (n_words <= 8) return sum;
        const __m512i high = _mm512_xor_si512(_mm512_maskz_loadu_epi64(second_mask_, row + 8), second_);
        return _mm512_add_epi64(sum, _mm512_popcnt_epi64(high));
    }

    unsigned n_words_;
    __mmask8 first_mask_;
    __mmask8 second_mask_;
    __m512i first_;
    __m512i second_;
};

template <>
struct EightRows<1> {
    HASHNET_AVX512 EightRows(const std::uint64_t* query, unsigned)
        : query_(_mm512_set1_epi64(static_cast<long long>(*query))) {}

    HASHNET_AVX512 __m512i distances(const std::uint64_t* rows) const { return differing_bits(rows, query_); }

  private:
    __m512i query_;
};

template <>
struct EightRows<2> {
    HASHNET_AVX512 EightRows(const std::uint64_t* query, unsigned)
        : query_(_mm512_broadcast_i64x2(_mm_loadu_si128(reinterpret_cast<const __m128i*>(query)))) {}

    HASHNET_AVX512 __m512i distances(const std::uint64_t* rows) const {
        const __m512i a = differing_bits(rows, query_);
        const __m512i b = differing_bits(rows + 8, query_);
        const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
        const __m512i odd = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
        return _mm512_add_epi64(_mm512_permutex2var_epi64(a, even, b), _mm512_permutex2var_epi64(a, odd, b));
    }

  private:
    __m512i query_;
};

template <>
struct EightRows<4> {
    HASHNET_AVX512 EightRows(const std::uint64_t* query, unsigned)
        : query_(_mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(query)))) {}

    HASHNET_AVX512 __m512i distances(const std::uint64_t* rows) const {
        // Lanes of a: halves of rows 0 and 2, then of 1 and 3; of b the same four rows on.
        const __m512i a = add_neighbours(differing_bits(rows, query_), differing_bits(rows + 8, query_));
        const __m512i b =
            add_neighbours(differing_bits(rows + 16, query_), differing_bits(rows + 24, query_));
        const __m512i first = _mm512_setr_epi64(0, 4, 1, 5, 8, 12, 9, 13);
        const __m512i second = _mm512_setr_epi64(2, 6, 3, 7, 10, 14, 11, 15);
        return _mm512_add_epi64(_mm512_permutex2var_epi64(a, first, b),
                                _mm512_permutex2var_epi64(a, second, b));
    }

  private:
    __m512i query_;
};

HASHNET_AVX512 inline std::size_t write_survivors(__m512i distances, __m512i limit, std::uint32_t position,
                                                  Survivor* out) {
    const __m512i positions =
        _mm512_add_epi64(_mm512_set1_epi64(position), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
    const __m512i survivors = _mm512_or_si512(positions, _mm512_slli_epi64(distances, 32));
    const __mmask8 passed = _mm512_cmple_epu64_mask(distances, limit);
    // In a register first: to memory the instruction is many times slower on some processors.
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi64(passed, survivors));
    return static_cast<std::size_t>(__builtin_popcount(passed));
}

template <unsigned kWords>
HASHNET_AVX512 std::size_t filter(const std::uint64_t* rows, std::size_t n, unsigned n_words,
                                  const std::uint64_t* query, unsigned bound, std::uint32_t first,
                                  Survivor* out) {
    constexpr unsigned kGroups = 4;
    constexpr unsigned kRows = 8 * kGroups;
    if (kWords != 0) n_words = kWords;
    const EightRows<kWords> eight(query, n_words);
    const __m512i limit = _mm512_set1_epi64(bound);
    Survivor* const start = out;
    std::size_t i = 0;
    for (; i + kRows <= n; i += kRows) {
        __m512i distances[kGroups];
        for (unsigned g = 0; g < kGroups; ++g) distances[g] = eight.distances(rows + (i + 8 * g) * n_words);
        const __m512i least = _mm512_min_epu64(_mm512_min_epu64(distances[0], distances[1]),
                                               _mm512_min_epu64(distances[2], distances[3]));
        if (_mm512_cmple_epu64_mask(least, limit) == 0) continue;
        for (unsigned g = 0; g < kGroups; ++g) {
            const std::uint32_t position = first + static_cast<std::uint32_t>(i) + 8 * g;
            out += write_survivors(distances[g], limit, position, out);
        }
    }
    out += filter_rows_scalar(rows + i * n_words, n - i, n_words, query, bound,
                              first + static_cast<std::uint32_t>(i), out);
    return static_cast<std::size_t>(out - start);
}

}  // namespace

std::size_t filter_rows_avx512(const std::uint64_t* rows, std::size_t n, unsigned n_words,
                               const std::uint64_t* query, unsigned bound, std::uint32_t first,
                               Survivor* out) {
    switch (n_words) {
        case 1:
            return filter<1>(rows, n, n_words, query, bound, first, out);
        case 2:
            return filter<2>(rows, n, n_words, query, bound, first, out);
        case 4:
            return filter<4>(rows, n, n_words, query, bound, first, out);
        case 8:
            return filter<8>(rows, n, n_words, query, bound, first, out);
        case 3:
            return filter<3>(rows, n, n_words, query, bound, first, out);
        case 16:
            return filter<16>(rows, n, n_words, query, bound, first, out);
        default:
            return filter<0>(rows, n, n_words, query, bound, first, out);
    }
}

}  // namespace hashnet

#endif
