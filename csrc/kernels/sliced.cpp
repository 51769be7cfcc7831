#include "kernels/sliced.hpp"

#include <algorithm>

#include "kernels/targets.hpp"

namespace hashnet {

namespace {

constexpr unsigned nibble_of(std::uint64_t word, unsigned i) {
    return static_cast<unsigned>(word >> (4 * i)) & 15U;
}

#if defined(__x86_64__)

constexpr std::size_t kSliceBytes = std::size_t{16} * kSliceRows;

HASHNET_AVX2 inline __m256i load(const std::uint8_t* bytes) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
}

HASHNET_AVX2 inline void store(std::uint8_t* bytes, __m256i x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(bytes), x);
}

/// 16 bytes of a row in the lower lane, of the row 16 further in the upper one.
HASHNET_AVX2 inline __m256i two_rows(const std::uint64_t* words, std::size_t stride) {
    return _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(words + 16 * stride),
                               reinterpret_cast<const __m128i*>(words));
}

/// The last word of a row, in the lower half of a lane.
HASHNET_AVX2 inline __m256i two_last_words(const std::uint64_t* word, std::size_t stride) {
    const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(word));
    const __m128i high = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(word + 16 * stride));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

/// One word of 32 rows as 16 nibble planes. In a[i] the bytes of rows i and i + 8 alternate, those of rows
/// i + 16 and i + 24 in the upper lane; each round of unpacking brings together rows 4, 2 and 1 apart, so
/// that byte p of all rows ends up in order.
HASHNET_AVX2 inline void write_slice(const __m256i (&a)[8], std::uint8_t* slice) {
    __m256i b[8], c[8];
    for (unsigned i = 0; i < 4; ++i) {
        b[i] = _mm256_unpacklo_epi8(a[i], a[i + 4]);
        b[i + 4] = _mm256_unpackhi_epi8(a[i], a[i + 4]);
    }
    for (unsigned half = 0; half < 8; half += 4) {
        for (unsigned i = half; i < half + 2; ++i) {
            c[i] = _mm256_unpacklo_epi8(b[i], b[i + 2]);
            c[i + 2] = _mm256_unpackhi_epi8(b[i], b[i + 2]);
        }
    }
    const __m256i low_nibble = _mm256_set1_epi8(15);
    for (unsigned byte = 0; byte < 8; byte += 2) {
        const __m256i planes[2] = {_mm256_unpacklo_epi8(c[byte], c[byte + 1]),
                                   _mm256_unpackhi_epi8(c[byte], c[byte + 1])};
        for (const __m256i plane : planes) {
            store(slice, _mm256_and_si256(plane, low_nibble));
            store(slice + kSliceRows, _mm256_and_si256(_mm256_srli_epi16(plane, 4), low_nibble));
            slice += std::size_t{2} * kSliceRows;
        }
    }
}

/// 32 rows. A load brings two words, of one row or, where a row is a word, of two.
HASHNET_AVX2 void slice_rows(const std::uint64_t* rows, unsigned n_words, std::uint8_t* slice) {
    __m256i a[8], b[8];
    if (n_words == 1) {
        for (unsigned i = 0; i < 8; i += 2) {
            const __m256i x = two_rows(rows + i, 1);
            const __m256i y = two_rows(rows + i + 8, 1);
            a[i] = _mm256_unpacklo_epi8(x, y);
            a[i + 1] = _mm256_unpackhi_epi8(x, y);
        }
        write_slice(a, slice);
        return;
    }
    unsigned w = 0;
    for (; w + 2 <= n_words; w += 2, slice += 2 * kSliceBytes) {
        for (unsigned i = 0; i < 8; ++i) {
            const __m256i x = two_rows(rows + std::size_t{i} * n_words + w, n_words);
            const __m256i y = two_rows(rows + std::size_t{i + 8} * n_words + w, n_words);
            a[i] = _mm256_unpacklo_epi8(x, y);
            b[i] = _mm256_unpackhi_epi8(x, y);
        }
        write_slice(a, slice);
        write_slice(b, slice + kSliceBytes);
    }
    if (w == n_words) return;
    for (unsigned i = 0; i < 8; ++i) {
        a[i] = _mm256_unpacklo_epi8(two_last_words(rows + std::size_t{i} * n_words + w, n_words),
                                    two_last_words(rows + std::size_t{i + 8} * n_words + w, n_words));
    }
    write_slice(a, slice);
}

HASHNET_AVX2 void slice_avx2(const std::uint64_t* rows, std::size_t n, unsigned n_words,
                             std::uint8_t* slices) {
    for (std::size_t first = 0; first < n; first += kSliceRows) {
        std::uint64_t last_rows[kSliceRows * kMaxSlicedWords];
        const std::uint64_t* from = rows + first * n_words;
        if (n - first < kSliceRows) {
            const std::size_t words = (n - first) * n_words;
            std::copy_n(from, words, last_rows);
            std::fill(last_rows + words, last_rows + std::size_t{kSliceRows} * n_words, std::uint64_t{0});
            from = last_rows;
        }
        slice_rows(from, n_words, slices);
        slices += n_words * kSliceBytes;
    }
}

/// Adds distances; 256, which four words can have, is cut to 255, beyond every bound.
template <unsigned kWords>
HASHNET_AVX2 inline __m256i add(__m256i a, __m256i b) {
    return kWords < 4 ? _mm256_add_epi8(a, b) : _mm256_adds_epu8(a, b);
}

/// The distances of kSlices * 32 rows to kAsks queries: every slice is loaded once for all queries, every
/// table once for all slices, and as many sums are under way.
template <unsigned kAsks, unsigned kSlices, unsigned kWords>
HASHNET_AVX2 inline void distances_of(const std::uint8_t* slices, const SlicedAsk* asks,
                                      __m256i (&sums)[kAsks][kSlices]) {
    for (auto& of_ask : sums) {
        for (__m256i& sum : of_ask) sum = _mm256_setzero_si256();
    }
#pragma GCC unroll 4
    for (unsigned i = 0; i < 16 * kWords; ++i) {
        __m256i tables[kAsks];
        for (unsigned a = 0; a < kAsks; ++a) {
            const auto* table = reinterpret_cast<const __m128i*>(asks[a].query->tables() + 16 * i);
            tables[a] = _mm256_broadcastsi128_si256(_mm_load_si128(table));
        }
        for (unsigned s = 0; s < kSlices; ++s) {
            const __m256i nibbles = load(slices + s * kWords * kSliceBytes + i * kSliceRows);
            for (unsigned a = 0; a < kAsks; ++a) {
                sums[a][s] = add<kWords>(sums[a][s], _mm256_shuffle_epi8(tables[a], nibbles));
            }
        }
    }
}

/// Bit i is set where row i is within the bound.
HASHNET_AVX2 inline std::uint32_t within(__m256i sums, __m256i limit) {
    const __m256i passed = _mm256_cmpeq_epi8(_mm256_min_epu8(sums, limit), sums);
    return static_cast<std::uint32_t>(_mm256_movemask_epi8(passed));
}

HASHNET_AVX2 inline void write(__m256i sums, std::uint32_t passed, std::uint32_t position, SlicedAsk& ask) {
    alignas(32) std::uint8_t distances[kSliceRows];
    _mm256_store_si256(reinterpret_cast<__m256i*>(distances), sums);
    for (; passed != 0; passed &= passed - 1) {
        const auto i = static_cast<unsigned>(__builtin_ctz(passed));
        ask.out[ask.found++] = {position + i, distances[i]};
    }
}

template <unsigned kAsks, unsigned kWords>
HASHNET_AVX2 void filter(const std::uint8_t* slices, std::size_t n, SlicedAsk* asks) {
    constexpr unsigned kTogether = 4;
    constexpr std::size_t kBytes = kWords * kSliceBytes;
    __m256i limits[kAsks];
    for (unsigned a = 0; a < kAsks; ++a) {
        limits[a] = _mm256_set1_epi8(static_cast<char>(asks[a].bound));
        asks[a].found = 0;
    }
    std::uint32_t position = 0;
    for (; n - position >= kTogether * kSliceRows; position += kTogether * kSliceRows) {
        __m256i sums[kAsks][kTogether];
        distances_of<kAsks, kTogether, kWords>(slices, asks, sums);
        slices += kTogether * kBytes;
        for (unsigned a = 0; a < kAsks; ++a) {
            const __m256i least = _mm256_min_epu8(_mm256_min_epu8(sums[a][0], sums[a][1]),
                                                  _mm256_min_epu8(sums[a][2], sums[a][3]));
            if (within(least, limits[a]) == 0) continue;
            for (unsigned s = 0; s < kTogether; ++s) {
                write(sums[a][s], within(sums[a][s], limits[a]), position + s * kSliceRows, asks[a]);
            }
        }
    }
    for (; position < n; position += kSliceRows, slices += kBytes) {
        __m256i sums[kAsks][1];
        distances_of<kAsks, 1, kWords>(slices, asks, sums);
        const auto rows = static_cast<unsigned>(std::min<std::size_t>(n - position, kSliceRows));
        for (unsigned a = 0; a < kAsks; ++a) {
            write(sums[a][0], _bzhi_u32(within(sums[a][0], limits[a]), rows), position, asks[a]);
        }
    }
}

using Filter = void (*)(const std::uint8_t* slices, std::size_t n, SlicedAsk* asks);

constexpr Filter kFilters[2][kMaxSlicedWords] = {
    {filter<1, 1>, filter<1, 2>, filter<1, 3>, filter<1, 4>},
    {filter<2, 1>, filter<2, 2>, filter<2, 3>, filter<2, 4>},
};

void filter_avx2(const std::uint8_t* slices, std::size_t n, unsigned n_words, SlicedAsk* asks,
                 unsigned n_asks) {
    kFilters[n_asks - 1][n_words - 1](slices, n, asks);
}

constexpr SlicedKernels kAvx2Kernels = {slice_avx2, filter_avx2};

#endif

}  // namespace

void SlicedQuery::set(const std::uint64_t* query, unsigned n_words) {
    for (unsigned i = 0; i < 16 * n_words; ++i) {
        const unsigned nibble = nibble_of(query[i / 16], i % 16);
        for (unsigned value = 0; value < 16; ++value) {
            tables_[16 * i + value] = static_cast<std::uint8_t>(__builtin_popcount(value ^ nibble));
        }
    }
}

const SlicedKernels* sliced_kernels(Simd simd) {
#if defined(__x86_64__)
    if (simd == Simd::kAvx2) return &kAvx2Kernels;
#endif
    static_cast<void>(simd);
    return nullptr;
}

}  // namespace hashnet
