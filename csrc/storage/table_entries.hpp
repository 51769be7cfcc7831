// The entries of one table: writing them from sorted keys, and reading whole codes back from table 0.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/residue.hpp"
#include "storage/layout.hpp"

namespace hashnet {

/// Writes directory and blocks of a table. Ranges of keys may be written by several threads, in any order,
/// as long as together they are all keys, each once.
struct TableWriter {
    TableLayout layout;
    std::uint32_t* directory = nullptr;
    std::uint8_t* blocks = nullptr;

    std::size_t n_cells() const { return std::size_t{1} << layout.directory_bits; }

    /// The entries with keys in [low, last] are those from `position` on; `next()` gives their keys,
    /// ascending, `n` times. Keys are left-aligned: directory address, then what the residue adds.
    template <class Next>
    void write(std::uint64_t low, std::uint64_t last, std::uint32_t position, std::size_t n,
               Next&& next) const {
        const unsigned shift = 64 - layout.directory_bits;
        // A cell is written with the range in which it begins.
        std::size_t cell = low == 0 ? 0 : ((low - 1) >> shift) + 1;
        const std::size_t end_cell = (last >> shift) + 1;
        std::array<std::uint64_t, kBlockEntries> residues;
        for (std::size_t i = 0; i < n;) {
            const auto at = static_cast<std::uint32_t>(position + i);
            const unsigned from = at % kBlockEntries;
            const auto count = static_cast<unsigned>(std::min<std::size_t>(kBlockEntries - from, n - i));
            for (unsigned e = 0; e < count; ++e) {
                const std::uint64_t key = next();
                for (const std::size_t own = key >> shift; cell <= own; ++cell) directory[cell] = at + e;
                residues[e] = key << (layout.directory_bits - layout.repeated);
            }
            std::uint8_t* block =
                blocks + std::size_t{at / kBlockEntries} * layout.planes * kBlockEntries + from;
            for (unsigned p = 0; p < layout.planes; ++p) {
                std::uint8_t* plane = block + std::size_t{p} * kBlockEntries;
                if (count == kBlockEntries) {
                    for (unsigned e = 0; e < kBlockEntries; ++e) {
                        plane[e] = static_cast<std::uint8_t>(residues[e] >> (56 - 8 * p));
                    }
                } else {
                    for (unsigned e = 0; e < count; ++e) {
                        plane[e] = static_cast<std::uint8_t>(residues[e] >> (56 - 8 * p));
                    }
                }
            }
            i += count;
        }
        for (; cell < end_cell; ++cell) directory[cell] = static_cast<std::uint32_t>(position + n);
    }
};

/// Calls `visit(code, position)` for positions [first, last) of table 0 in residue form, in order. A wrong
/// directory gives wrong codes, but is never left.
template <class Visit>
void walk_codes(const TableLayout& layout, const std::uint32_t* directory, const std::uint8_t* blocks,
                std::uint32_t first, std::uint32_t last, Visit&& visit) {
    if (first >= last) return;
    const std::size_t last_cell = (std::size_t{1} << layout.directory_bits) - 1;
    const unsigned shift = 64 - layout.directory_bits;
    const std::uint32_t* after = std::upper_bound(directory, directory + last_cell + 1, first);
    std::size_t cell = after == directory ? 0 : static_cast<std::size_t>(after - directory) - 1;
    std::array<std::uint64_t, kBlockEntries> residues;
    for (std::uint32_t at = first; at < last;) {
        const unsigned from = at % kBlockEntries;
        const unsigned count = std::min(kBlockEntries - from, last - at);
        const std::uint8_t* block = blocks + std::size_t{at / kBlockEntries} * layout.planes * kBlockEntries;
        residues.fill(0);
        for (unsigned p = 0; p < layout.planes; ++p) {
            const std::uint8_t* plane = block + std::size_t{p} * kBlockEntries;
            for (unsigned e = 0; e < kBlockEntries; ++e) {
                residues[e] |= std::uint64_t{plane[e]} << (56 - 8 * p);
            }
        }
        for (unsigned e = from; e < from + count; ++e, ++at) {
            while (cell < last_cell && directory[cell + 1] <= at) ++cell;
            visit(std::uint64_t{cell} << shift | residues[e] << layout.repeated >> layout.directory_bits, at);
        }
    }
}

}  // namespace hashnet
