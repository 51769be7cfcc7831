#include <algorithm>

#include "kernels/residue_kernels.hpp"
#include "kernels/targets.hpp"

#if defined(__aarch64__)

namespace hashnet {

namespace {

inline Survivor* write_survivors(uint8x16_t passed, uint8x16_t distances, std::uint32_t position,
                                 Survivor* out) {
    std::uint8_t values[16];
    vst1q_u8(values, distances);
    for (std::uint64_t mask = byte_mask(passed); mask != 0; mask &= mask - 1) {
        const auto i = static_cast<unsigned>(__builtin_ctzll(mask)) / 4;
        *out++ = {position + i, values[i]};
    }
    return out;
}

template <unsigned kPlanes>
std::size_t filter(const std::uint8_t* blocks, const NibbleTables& tables, std::uint32_t begin,
                   std::uint32_t end, const std::int8_t* bounds, unsigned bound_step, Survivor* out) {
    if (begin >= end) return 0;
    uint8x16_t residue[kPlanes + 1];
    for (unsigned i = 0; i < kPlanes; ++i) {
        residue[i] = vdupq_n_u8(static_cast<std::uint8_t>(tables.residue >> (56 - 8 * i)));
    }
    const std::uint8_t places[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const uint8x16_t low_places = vld1q_u8(places);
    const uint8x16_t high_places = vaddq_u8(low_places, vdupq_n_u8(16));

    std::uint32_t position = begin / kBlockEntries * kBlockEntries;
    const std::uint8_t* bytes = blocks + std::size_t{position} * kPlanes;
    // Entries [from, to) of a block are wanted.
    uint8x16_t from = vdupq_n_u8(static_cast<std::uint8_t>(begin - position));
    Survivor* const start = out;
    for (std::int64_t left = std::int64_t{end} - position; left > 0; left -= kBlockEntries,
                      position += kBlockEntries, bytes += kPlanes * kBlockEntries, bounds += bound_step,
                      from = vdupq_n_u8(0)) {
        if (*bounds < 0) continue;
        uint8x16_t low = vdupq_n_u8(0);
        uint8x16_t high = vdupq_n_u8(0);
        for (unsigned i = 0; i < kPlanes; ++i) {
            const std::uint8_t* plane = bytes + i * kBlockEntries;
            low = vaddq_u8(low, vcntq_u8(veorq_u8(vld1q_u8(plane), residue[i])));
            high = vaddq_u8(high, vcntq_u8(veorq_u8(vld1q_u8(plane + 16), residue[i])));
        }
        const uint8x16_t limit = vdupq_n_u8(static_cast<std::uint8_t>(*bounds));
        const auto entries = static_cast<std::uint8_t>(std::min<std::int64_t>(left, kBlockEntries));
        const uint8x16_t to = vdupq_n_u8(entries);
        const uint8x16_t low_wanted = vandq_u8(vcgeq_u8(low_places, from), vcltq_u8(low_places, to));
        const uint8x16_t high_wanted = vandq_u8(vcgeq_u8(high_places, from), vcltq_u8(high_places, to));
        const uint8x16_t low_passed = vandq_u8(vcleq_u8(low, limit), low_wanted);
        const uint8x16_t high_passed = vandq_u8(vcleq_u8(high, limit), high_wanted);
        if (vmaxvq_u8(vorrq_u8(low_passed, high_passed)) == 0) continue;
        out = write_survivors(low_passed, low, position, out);
        out = write_survivors(high_passed, high, position + 16, out);
    }
    return static_cast<std::size_t>(out - start);
}

constexpr FilterPlanes kFilters[kMaxPlanes + 1] = {
    filter<0>, filter<1>, filter<2>, filter<3>, filter<4>, filter<5>, filter<6>, filter<7>, filter<8>,
};

}  // namespace

std::size_t filter_residues_neon(const std::uint8_t* blocks, unsigned planes, const NibbleTables& tables,
                                 std::uint32_t begin, std::uint32_t end, const std::int8_t* bounds,
                                 unsigned bound_step, Survivor* out) {
    return kFilters[planes](blocks, tables, begin, end, bounds, bound_step, out);
}

}  // namespace hashnet

#endif
