#include "kernels/residue.hpp"

#include <array>
#include <cstring>

#include "kernels/residue_kernels.hpp"

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

}  // namespace

void NibbleTables::set(std::uint64_t left_aligned, unsigned planes) {
    residue = left_aligned;
    for (unsigned i = 0; i < 2 * planes; ++i) {
        const auto nibble = static_cast<unsigned>(residue >> (60 - 4 * i)) & 15U;
        std::memcpy(rows[i], kNibbleDistances[nibble].data(), 16);
    }
}

FilterResidues filter_residues(Simd simd) {
    switch (simd) {
#if defined(__x86_64__)
        case Simd::kAvx2:
            return filter_residues_avx2;
        case Simd::kAvx512:
            return filter_residues_avx512;
#endif
#if defined(__aarch64__)
        case Simd::kNeon:
            return filter_residues_neon;
#endif
        default:
            return filter_scalar;
    }
}

}  // namespace hashnet
