// The residue filter for each instruction set, and what its kernels share.
#pragma once

#include <cstdint>

#include "kernels/residue.hpp"

namespace hashnet {

/// Bit i is set when entry first + i belongs to [begin, end), which must overlap [first, first + 64).
/// Without branches: buckets are short and of any length, and a branch on their ends is often mispredicted.
inline std::uint64_t wanted_entries(std::uint64_t first, std::uint64_t begin, std::uint64_t end) {
    const std::uint64_t before = begin > first ? begin - first : 0;
    const std::uint64_t after = first + 64 > end ? first + 64 - end : 0;
    return ~std::uint64_t{0} << before & ~std::uint64_t{0} >> after;
}

std::size_t filter_residues_avx2(const std::uint8_t* blocks, unsigned planes, const NibbleTables& tables,
                                 std::uint32_t begin, std::uint32_t end, const std::int8_t* bounds,
                                 unsigned bound_step, Survivor* out);
std::size_t filter_residues_avx512(const std::uint8_t* blocks, unsigned planes, const NibbleTables& tables,
                                   std::uint32_t begin, std::uint32_t end, const std::int8_t* bounds,
                                   unsigned bound_step, Survivor* out);
std::size_t filter_residues_neon(const std::uint8_t* blocks, unsigned planes, const NibbleTables& tables,
                                 std::uint32_t begin, std::uint32_t end, const std::int8_t* bounds,
                                 unsigned bound_step, Survivor* out);

}  // namespace hashnet
