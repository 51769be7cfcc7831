// The residue filter for each instruction set.
#pragma once

#include <cstdint>

#include "kernels/residue.hpp"

namespace hashnet {

/// FilterResidues for a number of planes that the compiler knows.
using FilterPlanes = std::size_t (*)(const std::uint8_t* blocks, const NibbleTables& tables,
                                     std::uint32_t begin, std::uint32_t end, const std::int8_t* bounds,
                                     unsigned bound_step, Survivor* out);

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
