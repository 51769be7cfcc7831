// Finding one residue among the entries of a directory cell.
#pragma once

#include <cstdint>

#include "kernels/dispatch.hpp"

namespace hashnet {

/// The position in [begin, end) of the entry whose residue is `residue` (left-aligned), or `end` where there
/// is none. Blocks and planes as in kernels/residue.hpp.
using FindResidue = std::uint32_t (*)(const std::uint8_t* blocks, unsigned planes, std::uint64_t residue,
                                      std::uint32_t begin, std::uint32_t end);

/// The kernel for an instruction set, which must be available.
FindResidue find_residue(Simd simd = active_simd());

}  // namespace hashnet
