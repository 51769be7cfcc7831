// What the order of codes alone tells about the blocks of table 0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/dispatch.hpp"

namespace hashnet {

/// Writes, for each of `n` blocks, how far a residue in it may be from the query's: `bound` less the bits of
/// `mask` in which the query's directory address differs from the leading bits that all cells of the block
/// share, from -1 (no residue passes) to 127.
///
/// Block i holds cells from `cells[i]` to `cells[i + 1]`; `cells` has n + 1 values.
using BlockBounds = void (*)(const std::uint32_t* cells, std::size_t n, std::uint32_t address,
                             std::uint32_t mask, int bound, std::int8_t* bounds);

/// The kernel for an instruction set, which must be available.
BlockBounds block_bounds(Simd simd = active_simd());

}  // namespace hashnet
