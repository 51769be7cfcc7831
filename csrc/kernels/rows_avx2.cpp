#include <array>

#include "kernels/rows_kernels.hpp"
#include "kernels/targets.hpp"

#if defined(__x86_64__)

namespace hashnet {

namespace {

HASHNET_AVX2 inline __m256i load(const std::uint64_t* words) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
}

/// The number of bits set in each byte: two nibble look-ups.
HASHNET_AVX2 inline __m256i count_bytes(__m256i x) {
    const __m256i counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i low_nibble = _mm256_set1_epi8(15);
    const __m256i low = _mm256_shuffle_epi8(counts, _mm256_and_si256(x, low_nibble));
    const __m256i high = _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16(x, 4), low_nibble));
    return _mm256_add_epi8(low, high);
}

/// Sums of the two words of each 128-bit lane, byte by byte; of `a` at even places, of `b` at odd ones.
HASHNET_AVX2 inline __m256i add_neighbours(__m256i a, __m256i b) {
    return _mm256_add_epi8(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}

HASHNET_AVX2 inline __m256i sum_bytes(__m256i counts) {
    return _mm256_sad_epu8(counts, _mm256_setzero_si256());
}

/// The distances of four rows as words, in their order. The counts of the rows' bytes are brought together
/// while they are bytes (a byte of every word of a row holds at most 16 * 8), then vpsadbw adds them up for
/// all rows at once. kWords = 0 stands for a length known at run time only.
template <unsigned kWords>
struct FourRows;

template <>
struct FourRows<1> {
    HASHNET_AVX2 FourRows(const std::uint64_t* query, unsigned)
        : query_(_mm256_set1_epi64x(static_cast<long long>(*query))) {}

    HASHNET_AVX2 __m256i distances(const std::uint64_t* rows) const {
        return sum_bytes(count_bytes(_mm256_xor_si256(load(rows), query_)));
    }

  private:
    __m256i query_;
};

template <>
struct FourRows<2> {
    HASHNET_AVX2 FourRows(const std::uint64_t* query, unsigned)
        : query_(_mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(query)))) {}

    HASHNET_AVX2 __m256i distances(const std::uint64_t* rows) const {
        const __m256i a = count_bytes(_mm256_xor_si256(load(rows), query_));
        const __m256i b = count_bytes(_mm256_xor_si256(load(rows + 4), query_));
        // Rows 0, 2, 1, 3.
        return _mm256_permute4x64_epi64(sum_bytes(add_neighbours(a, b)), 0xD8);
    }

  private:
    __m256i query_;
};

/// A row fills one register, or several that are added up.
HASHNET_AVX2 inline __m256i add_rows(__m256i a, __m256i b, __m256i c, __m256i d) {
    const __m256i ab = add_neighbours(a, b);
    const __m256i cd = add_neighbours(c, d);
    return sum_bytes(
        _mm256_add_epi8(_mm256_permute2x128_si256(ab, cd, 0x20), _mm256_permute2x128_si256(ab, cd, 0x31)));
}

template <>
struct FourRows<4> {
    HASHNET_AVX2 FourRows(const std::uint64_t* query, unsigned) : query_(load(query)) {}

    HASHNET_AVX2 __m256i distances(const std::uint64_t* rows) const {
        return add_rows(count(rows), count(rows + 4), count(rows + 8), count(rows + 12));
    }

  private:
    HASHNET_AVX2 __m256i count(const std::uint64_t* row) const {
        return count_bytes(_mm256_xor_si256(load(row), query_));
    }

    __m256i query_;
};

template <>
struct FourRows<0> {
    HASHNET_AVX2 FourRows(const std::uint64_t* query, unsigned n_words)
        : query_(query),
          n_words_(n_words),
          whole_(n_words / 4 * 4),
          mask_(_mm256_cmpgt_epi64(_mm256_set1_epi64x(n_words % 4), _mm256_setr_epi64x(0, 1, 2, 3))) {}

    HASHNET_AVX2 __m256i distances(const std::uint64_t* rows) const {
        return add_rows(count(rows), count(rows + n_words_), count(rows + 2 * n_words_),
                        count(rows + 3 * n_words_));
    }

  private:
    HASHNET_AVX2 __m256i count(const std::uint64_t* row) const {
        __m256i counts = _mm256_setzero_si256();
        for (unsigned w = 0; w < whole_; w += 4) {
            counts = _mm256_add_epi8(counts, count_bytes(_mm256_xor_si256(load(row + w), load(query_ + w))));
        }
        if (whole_ == n_words_) return counts;
        return _mm256_add_epi8(counts, count_bytes(_mm256_xor_si256(load_rest(row), load_rest(query_))));
    }

    HASHNET_AVX2 __m256i load_rest(const std::uint64_t* row) const {
        return _mm256_maskload_epi64(reinterpret_cast<const long long*>(row + whole_), mask_);
    }

    const std::uint64_t* query_;
    std::size_t n_words_;
    unsigned whole_;
    __m256i mask_;
};

// Row `passed`: which halves of words to take so that the words whose bit is set in `passed` come first.
constexpr auto kCompact = [] {
    std::array<std::array<std::uint32_t, 8>, 16> table{};
    for (unsigned passed = 0; passed < 16; ++passed) {
        unsigned at = 0;
        for (unsigned word = 0; word < 4; ++word) {
            if ((passed >> word & 1) == 0) continue;
            table[passed][at++] = 2 * word;
            table[passed][at++] = 2 * word + 1;
        }
    }
    return table;
}();

HASHNET_AVX2 inline std::size_t write_survivors(__m256i distances, __m256i over, std::uint32_t position,
                                                Survivor* out) {
    const unsigned passed = ~static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(over))) & 15U;
    const __m256i positions = _mm256_add_epi64(_mm256_set1_epi64x(position), _mm256_setr_epi64x(0, 1, 2, 3));
    const __m256i survivors = _mm256_or_si256(positions, _mm256_slli_epi64(distances, 32));
    const __m256i order = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kCompact[passed].data()));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_permutevar8x32_epi32(survivors, order));
    return static_cast<std::size_t>(__builtin_popcount(passed));
}

template <unsigned kWords>
HASHNET_AVX2 std::size_t filter(const std::uint64_t* rows, std::size_t n, unsigned n_words,
                                const std::uint64_t* query, unsigned bound, std::uint32_t first,
                                Survivor* out) {
    constexpr unsigned kGroups = 4;
    constexpr unsigned kRows = 4 * kGroups;
    constexpr std::size_t kAheadBytes = 2048;
    if (kWords != 0) n_words = kWords;
    const FourRows<kWords> four(query, n_words);
    const __m256i limit = _mm256_set1_epi64x(bound);
    Survivor* const start = out;
    std::size_t i = 0;
    for (; i + kRows <= n; i += kRows) {
        // A row takes about as long to compare as to come from memory, so its lines must be under way
        // already.
        for (unsigned line = 0; line < kRows * n_words * 8; line += 64) {
            _mm_prefetch(reinterpret_cast<const char*>(rows + i * n_words) + kAheadBytes + line, _MM_HINT_T0);
        }
        // A word of `over` is all ones where its row is too far.
        __m256i distances[kGroups], over[kGroups];
        for (unsigned g = 0; g < kGroups; ++g) {
            distances[g] = four.distances(rows + (i + 4 * g) * n_words);
            over[g] = _mm256_cmpgt_epi64(distances[g], limit);
        }
        const __m256i all_over =
            _mm256_and_si256(_mm256_and_si256(over[0], over[1]), _mm256_and_si256(over[2], over[3]));
        if (_mm256_movemask_epi8(all_over) == -1) continue;
        for (unsigned g = 0; g < kGroups; ++g) {
            const std::uint32_t position = first + static_cast<std::uint32_t>(i) + 4 * g;
            out += write_survivors(distances[g], over[g], position, out);
        }
    }
    out += filter_rows_scalar(rows + i * n_words, n - i, n_words, query, bound,
                              first + static_cast<std::uint32_t>(i), out);
    return static_cast<std::size_t>(out - start);
}

}  // namespace

std::size_t filter_rows_avx2(const std::uint64_t* rows, std::size_t n, unsigned n_words,
                             const std::uint64_t* query, unsigned bound, std::uint32_t first, Survivor* out) {
    switch (n_words) {
        case 1:
            return filter<1>(rows, n, n_words, query, bound, first, out);
        case 2:
            return filter<2>(rows, n, n_words, query, bound, first, out);
        case 4:
            return filter<4>(rows, n, n_words, query, bound, first, out);
        default:
            return filter<0>(rows, n, n_words, query, bound, first, out);
    }
}

}  // namespace hashnet

#endif
