// The inner loop of a probe: which entries of a range of residue blocks are near the query's residue.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/dispatch.hpp"

namespace hashnet {

/// Entries in one block. Residue p of a table lies in block p / 32 as byte p % 32 of each plane; plane i
/// holds byte i of the residues, and a block is `planes` planes of 32 bytes in a row.
inline constexpr unsigned kBlockEntries = 32;

/// Residues have at most 8 bytes, so that a distance fits into a signed byte.
inline constexpr unsigned kMaxPlanes = 8;

/// What the kernels want of one query: its residue, and, where bits are counted by table look-up, the
/// distances of every nibble value to each nibble of it. For plane i, row 2i serves the high nibble and
/// row 2i + 1 the low one.
struct alignas(16) NibbleTables {
    std::uint8_t rows[2 * kMaxPlanes][16];
    std::uint64_t residue;

    /// `residue` is left-aligned: byte 0 of the residue in the top byte.
    void set(std::uint64_t left_aligned, unsigned planes);
};

/// An entry that passed: its position, and the distance of its residue.
struct Survivor {
    std::uint32_t position;
    std::uint32_t distance;
};

/// Appends to `out` the entries in [begin, end) whose residue differs from the query's in at most the
/// bound of their block, in order of position, and returns how many there are.
///
/// Block begin / 32 + i has the bound `bounds[i * bound_step]` (bound_step is 0 or 1; a negative bound
/// passes nothing). `out` must have room for every entry of the blocks touched: what lies behind the
/// survivors there is overwritten. `planes` may be 0: then every residue is empty and all entries of a
/// block with a bound >= 0 pass.
using FilterResidues = std::size_t (*)(const std::uint8_t* blocks, unsigned planes,
                                       const NibbleTables& tables, std::uint32_t begin, std::uint32_t end,
                                       const std::int8_t* bounds, unsigned bound_step, Survivor* out);

/// The kernel for an instruction set, which must be available.
FilterResidues filter_residues(Simd simd = active_simd());

}  // namespace hashnet
