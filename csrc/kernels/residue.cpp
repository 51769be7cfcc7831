#include "kernels/residue.hpp"

#include <array>
#include <cstring>

#include "kernels/dispatch.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace hashnet {

namespace {

// Row q: the distance of every nibble value to the nibble q.
constexpr auto kNibbleDistances = [] {
    std::array<std::array<std::uint8_t, 16>, 16> table{};
    for (unsigned q = 0; q < 16; ++q) {
        for (unsigned value = 0; value < 16; ++value) {
            for (unsigned x = q ^ value; x != 0; x &= x - 1) ++table[q][value];
        }
    }
    return table;
}();

// Bit i is set when entry i of the block belongs to [begin, end).
std::uint32_t wanted_entries(std::uint32_t block, std::uint32_t begin, std::uint32_t end) {
    const std::uint64_t first = std::uint64_t{block} * kBlockEntries;
    std::uint32_t mask = ~std::uint32_t{0};
    if (begin > first) mask &= ~std::uint32_t{0} << (begin - first);
    if (end < first + kBlockEntries) mask &= ~std::uint32_t{0} >> (first + kBlockEntries - end);
    return mask;
}

std::size_t filter_scalar(const std::uint8_t* blocks, unsigned planes, const NibbleTables& tables,
                          std::uint32_t begin, std::uint32_t end, const std::int8_t* bounds,
                          unsigned bound_step, Survivor* out) {
    std::size_t found = 0;
    for (std::uint32_t p = begin; p < end; ++p) {
        const std::uint32_t block = p / kBlockEntries;
        const int bound = bounds[std::size_t{block - begin / kBlockEntries} * bound_step];
        const std::uint8_t* bytes = blocks + std::size_t{block} * planes * kBlockEntries + p % kBlockEntries;
        unsigned sum = 0;
        for (unsigned i = 0; i < planes; ++i) {
            const std::uint8_t byte = bytes[std::size_t{i} * kBlockEntries];
            sum += tables.rows[2 * i][byte >> 4];
            sum += tables.rows[2 * i + 1][byte & 15];
        }
        if (static_cast<int>(sum) <= bound) out[found++] = {p, sum};
    }
    return found;
}

#if defined(__x86_64__)

// Two shuffles a byte plane give 32 partial distances at once. On buckets that miss the cache the loop
// waits for memory, so there is no second accumulator (benchmarks/bench_search.py).
template <unsigned kPlanes>
__attribute__((target("avx2"))) std::size_t filter_avx2(const std::uint8_t* blocks,
                                                        const NibbleTables& tables, std::uint32_t begin,
                                                        std::uint32_t end, const std::int8_t* bounds,
                                                        unsigned bound_step, Survivor* out) {
    if (begin >= end) return 0;
    const __m256i low_nibble = _mm256_set1_epi8(15);
    __m256i rows[2 * kPlanes + 1];
    for (unsigned i = 0; i < 2 * kPlanes; ++i) {
        rows[i] = _mm256_load_si256(reinterpret_cast<const __m256i*>(tables.rows[i]));
    }
    std::size_t found = 0;
    const std::uint32_t first_block = begin / kBlockEntries;
    const std::uint32_t last_block = (end - 1) / kBlockEntries;
    for (std::uint32_t block = first_block; block <= last_block; ++block) {
        const std::int8_t bound = bounds[std::size_t{block - first_block} * bound_step];
        if (bound < 0) continue;
        const std::uint8_t* bytes = blocks + std::size_t{block} * kPlanes * kBlockEntries;
        __m256i sum = _mm256_setzero_si256();
        for (unsigned i = 0; i < kPlanes; ++i) {
            const __m256i plane =
                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + std::size_t{i} * kBlockEntries));
            const __m256i high = _mm256_and_si256(_mm256_srli_epi16(plane, 4), low_nibble);
            const __m256i low = _mm256_and_si256(plane, low_nibble);
            sum = _mm256_add_epi8(sum, _mm256_shuffle_epi8(rows[2 * i], high));
            sum = _mm256_add_epi8(sum, _mm256_shuffle_epi8(rows[2 * i + 1], low));
        }
        const __m256i over = _mm256_cmpgt_epi8(sum, _mm256_set1_epi8(bound));
        std::uint32_t passed = ~static_cast<std::uint32_t>(_mm256_movemask_epi8(over));
        if (block == first_block || block == last_block) passed &= wanted_entries(block, begin, end);
        if (passed == 0) continue;
        alignas(32) std::uint8_t distances[kBlockEntries];
        _mm256_store_si256(reinterpret_cast<__m256i*>(distances), sum);
        for (; passed != 0; passed &= passed - 1) {
            const auto i = static_cast<unsigned>(__builtin_ctz(passed));
            out[found++] = {block * kBlockEntries + i, distances[i]};
        }
    }
    return found;
}

std::size_t filter_avx2_any(const std::uint8_t* blocks, unsigned planes, const NibbleTables& tables,
                            std::uint32_t begin, std::uint32_t end, const std::int8_t* bounds,
                            unsigned bound_step, Survivor* out) {
    switch (planes) {
        case 1:
            return filter_avx2<1>(blocks, tables, begin, end, bounds, bound_step, out);
        case 2:
            return filter_avx2<2>(blocks, tables, begin, end, bounds, bound_step, out);
        case 3:
            return filter_avx2<3>(blocks, tables, begin, end, bounds, bound_step, out);
        case 4:
            return filter_avx2<4>(blocks, tables, begin, end, bounds, bound_step, out);
        case 5:
            return filter_avx2<5>(blocks, tables, begin, end, bounds, bound_step, out);
        case 6:
            return filter_avx2<6>(blocks, tables, begin, end, bounds, bound_step, out);
        case 7:
            return filter_avx2<7>(blocks, tables, begin, end, bounds, bound_step, out);
        case 8:
            return filter_avx2<8>(blocks, tables, begin, end, bounds, bound_step, out);
        default:
            return filter_avx2<0>(blocks, tables, begin, end, bounds, bound_step, out);
    }
}

#endif

}  // namespace

void NibbleTables::set(std::uint64_t residue, unsigned planes) {
    for (unsigned i = 0; i < 2 * planes; ++i) {
        const auto nibble = static_cast<unsigned>(residue >> (60 - 4 * i)) & 15U;
        std::memcpy(rows[i], kNibbleDistances[nibble].data(), 16);
        std::memcpy(rows[i] + 16, kNibbleDistances[nibble].data(), 16);
    }
}

FilterResidues filter_residues() {
#if defined(__x86_64__)
    if (active_simd() == Simd::kAvx2) return filter_avx2_any;
#endif
    return filter_scalar;
}

}  // namespace hashnet
