#include <algorithm>
#include <array>

#include "kernels/residue_kernels.hpp"
#include "kernels/targets.hpp"

#if defined(__x86_64__)

namespace hashnet {

namespace {

HASHNET_AVX512 inline __m512i load(const std::uint8_t* bytes) {
    return _mm512_loadu_si512(bytes);
}

HASHNET_AVX512 inline __m256i load_plane(const std::uint8_t* bytes) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
}

// Where in the query's residue, a word in memory, the bytes `low` and `high` are: one for each half register.
template <unsigned kLow, unsigned kHigh>
constexpr std::array<std::uint8_t, 64> byte_indexes() {
    std::array<std::uint8_t, 64> indexes{};
    for (unsigned i = 0; i < 64; ++i) indexes[i] = 7 - (i < 32 ? kLow : kHigh);
    return indexes;
}

/// The bytes `low` and `high` of a residue, each in one half of a register.
template <unsigned kLow, unsigned kHigh>
HASHNET_AVX512 inline __m512i residue_bytes(__m512i residue) {
    alignas(64) static constexpr auto kIndexes = byte_indexes<kLow, kHigh>();
    return _mm512_shuffle_epi8(residue, _mm512_load_si512(kIndexes.data()));
}

HASHNET_AVX512 inline __m512i differing_bits(__m512i planes, __m512i residue) {
    return _mm512_popcnt_epi8(_mm512_xor_si512(planes, residue));
}

// Survivors are moved together as bytes and written eight at a time: few or many, no branch depends on their
// number up to eight, and a long list costs a tenth of a loop over the bits (benchmarks/bench_kernels.py).
HASHNET_AVX512 inline std::size_t write_survivors(std::uint64_t passed, __m512i distances,
                                                  std::uint32_t position, Survivor* out) {
    const __m512i entries =
        _mm512_set_epi64(0x3F3E3D3C3B3A3938, 0x3736353433323130, 0x2F2E2D2C2B2A2928, 0x2726252423222120,
                         0x1F1E1D1C1B1A1918, 0x1716151413121110, 0x0F0E0D0C0B0A0908, 0x0706050403020100);
    alignas(64) std::uint8_t packed_entries[64];
    alignas(64) std::uint8_t packed_distances[64];
    _mm512_store_si512(packed_entries, _mm512_maskz_compress_epi8(passed, entries));
    _mm512_store_si512(packed_distances, _mm512_maskz_compress_epi8(passed, distances));
    const __m512i base = _mm512_set1_epi64(position);
    const auto found = static_cast<std::size_t>(__builtin_popcountll(passed));
    for (std::size_t i = 0; i < found; i += 8) {
        const __m128i entry = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(packed_entries + i));
        const __m128i distance = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(packed_distances + i));
        const __m512i positions = _mm512_add_epi64(base, _mm512_cvtepu8_epi64(entry));
        const __m512i upper = _mm512_slli_epi64(_mm512_cvtepu8_epi64(distance), 32);
        _mm512_storeu_si512(out + i, _mm512_or_si512(positions, upper));
    }
    return found;
}

template <unsigned kPlanes>
HASHNET_AVX512 std::size_t filter(const std::uint8_t* blocks, const NibbleTables& tables, std::uint32_t begin,
                                  std::uint32_t end, const std::int8_t* bounds, unsigned bound_step,
                                  Survivor* out) {
    if (begin >= end) return 0;
    constexpr std::size_t kBlockBytes = std::size_t{kPlanes} * kBlockEntries;
    // Blocks go in pairs, as 64 distances in one register. The planes of a pair are loaded two at a time; of
    // an odd number of planes the last one of the first block comes with the first one of the second.
    constexpr unsigned kHalf = kPlanes / 2;
    constexpr bool kOdd = kPlanes % 2 != 0;
    const __m512i residue = _mm512_set1_epi64(static_cast<long long>(tables.residue));
    __m512i head[4], tail[4];
    if constexpr (kPlanes >= 2) head[0] = residue_bytes<0, 1>(residue);
    if constexpr (kPlanes >= 4) head[1] = residue_bytes<2, 3>(residue);
    if constexpr (kPlanes >= 6) head[2] = residue_bytes<4, 5>(residue);
    if constexpr (kPlanes >= 8) head[3] = residue_bytes<6, 7>(residue);
    if constexpr (kOdd && kPlanes >= 3) tail[0] = residue_bytes<1, 2>(residue);
    if constexpr (kOdd && kPlanes >= 5) tail[1] = residue_bytes<3, 4>(residue);
    if constexpr (kOdd && kPlanes >= 7) tail[2] = residue_bytes<5, 6>(residue);
    __m512i middle;
    if constexpr (kOdd) middle = residue_bytes<kPlanes - 1, 0>(residue);

    std::uint32_t position = begin / kBlockEntries * kBlockEntries;
    const std::uint8_t* bytes = blocks + std::size_t{position} * kPlanes;
    std::uint64_t wanted = ~std::uint64_t{0} << (begin - position);
    Survivor* const start = out;
    __m512i limit = _mm512_set1_epi8(*bounds);
    for (std::int64_t left = std::int64_t{end} - position; left > 0;
         left -= 64, position += 64, bytes += 2 * kBlockBytes, wanted = ~std::uint64_t{0}) {
        const bool two = left > kBlockEntries;
        if (bound_step != 0) {
            const std::int8_t one = bounds[0];
            const std::int8_t other = bounds[two];
            bounds += 2;
            limit = _mm512_inserti64x4(_mm512_set1_epi8(one), _mm256_set1_epi8(other), 1);
            if ((one & other) < 0) continue;
        }
        __m512i sum = _mm512_setzero_si512();
        const std::uint8_t* second = two ? bytes + kBlockBytes : bytes;
        const std::uint8_t* rest = kOdd ? second + kBlockEntries : second;
        if constexpr (kHalf != 0) {
            __m512i a = differing_bits(load(bytes), head[0]);
            __m512i b = differing_bits(load(rest), kOdd ? tail[0] : head[0]);
            for (unsigned i = 1; i < kHalf; ++i) {
                a = _mm512_add_epi8(a, differing_bits(load(bytes + 64 * i), head[i]));
                b = _mm512_add_epi8(b, differing_bits(load(rest + 64 * i), kOdd ? tail[i] : head[i]));
            }
            sum = _mm512_add_epi8(_mm512_mask_blend_epi64(0xF0, a, b), _mm512_shuffle_i64x2(a, b, 0x4E));
        }
        if constexpr (kOdd) {
            const __m512i last = _mm512_castsi256_si512(load_plane(bytes + 64 * kHalf));
            const __m512i planes = _mm512_inserti64x4(last, load_plane(second), 1);
            sum = _mm512_add_epi8(sum, differing_bits(planes, middle));
        }
        std::uint64_t passed = _cvtmask64_u64(_mm512_cmple_epi8_mask(sum, limit));
        passed = _bzhi_u64(passed & wanted, static_cast<unsigned>(std::min<std::int64_t>(left, 64)));
        if (passed != 0) out += write_survivors(passed, sum, position, out);
    }
    return static_cast<std::size_t>(out - start);
}

constexpr FilterPlanes kFilters[kMaxPlanes + 1] = {
    filter<0>, filter<1>, filter<2>, filter<3>, filter<4>, filter<5>, filter<6>, filter<7>, filter<8>,
};

}  // namespace

std::size_t filter_residues_avx512(const std::uint8_t* blocks, unsigned planes, const NibbleTables& tables,
                                   std::uint32_t begin, std::uint32_t end, const std::int8_t* bounds,
                                   unsigned bound_step, Survivor* out) {
    return kFilters[planes](blocks, tables, begin, end, bounds, bound_step, out);
}

}  // namespace hashnet

#endif
