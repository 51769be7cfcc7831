#include <algorithm>

#include "kernels/residue_kernels.hpp"
#include "kernels/targets.hpp"

#if defined(__x86_64__)

namespace hashnet {

namespace {

// Two shuffles a byte plane give 32 partial distances at once. On buckets that miss the cache the loop
// waits for memory, so there is no second accumulator (benchmarks/bench_search.py).
template <unsigned kPlanes>
HASHNET_AVX2 std::size_t filter(const std::uint8_t* blocks, const NibbleTables& tables, std::uint32_t begin,
                                std::uint32_t end, const std::int8_t* bounds, unsigned bound_step,
                                Survivor* out) {
    if (begin >= end) return 0;
    const __m256i low_nibble = _mm256_set1_epi8(15);
    __m256i rows[2 * kPlanes + 1];
    for (unsigned i = 0; i < 2 * kPlanes; ++i) {
        rows[i] =
            _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(tables.rows[i])));
    }
    std::uint32_t position = begin / kBlockEntries * kBlockEntries;
    const std::uint8_t* bytes = blocks + std::size_t{position} * kPlanes;
    std::uint32_t wanted = ~std::uint32_t{0} << (begin - position);
    Survivor* const start = out;
    for (std::int64_t left = std::int64_t{end} - position; left > 0; left -= kBlockEntries,
                      position += kBlockEntries, bytes += kPlanes * kBlockEntries, bounds += bound_step,
                      wanted = ~std::uint32_t{0}) {
        if (*bounds < 0) continue;
        __m256i sum = _mm256_setzero_si256();
        for (unsigned i = 0; i < kPlanes; ++i) {
            const __m256i plane =
                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + i * kBlockEntries));
            const __m256i high = _mm256_and_si256(_mm256_srli_epi16(plane, 4), low_nibble);
            const __m256i low = _mm256_and_si256(plane, low_nibble);
            sum = _mm256_add_epi8(sum, _mm256_shuffle_epi8(rows[2 * i], high));
            sum = _mm256_add_epi8(sum, _mm256_shuffle_epi8(rows[2 * i + 1], low));
        }
        const __m256i over = _mm256_cmpgt_epi8(sum, _mm256_set1_epi8(*bounds));
        std::uint32_t passed = ~static_cast<std::uint32_t>(_mm256_movemask_epi8(over)) & wanted;
        passed = _bzhi_u32(passed, static_cast<unsigned>(std::min<std::int64_t>(left, kBlockEntries)));
        if (passed == 0) continue;
        alignas(32) std::uint8_t distances[kBlockEntries];
        _mm256_store_si256(reinterpret_cast<__m256i*>(distances), sum);
        for (; passed != 0; passed &= passed - 1) {
            const auto i = static_cast<unsigned>(__builtin_ctz(passed));
            *out++ = {position + i, distances[i]};
        }
    }
    return static_cast<std::size_t>(out - start);
}

constexpr FilterPlanes kFilters[kMaxPlanes + 1] = {
    filter<0>, filter<1>, filter<2>, filter<3>, filter<4>, filter<5>, filter<6>, filter<7>, filter<8>,
};

}  // namespace

std::size_t filter_residues_avx2(const std::uint8_t* blocks, unsigned planes, const NibbleTables& tables,
                                 std::uint32_t begin, std::uint32_t end, const std::int8_t* bounds,
                                 unsigned bound_step, Survivor* out) {
    return kFilters[planes](blocks, tables, begin, end, bounds, bound_step, out);
}

}  // namespace hashnet

#endif
