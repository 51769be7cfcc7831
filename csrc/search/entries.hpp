// Small steps that probing and scanning share: buckets, entries, prefetching, bounds for kernels.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/residue.hpp"
#include "storage/segment.hpp"

namespace hashnet {

// Entries handed to a kernel in one call: bounds the survivor buffer, and lets a falling k-NN bound
// take effect inside a long bucket.
inline constexpr std::uint32_t kChunkEntries = 4096;
inline constexpr std::uint32_t kChunkBlocks = kChunkEntries / kBlockEntries;

inline void prefetch(const void* address) {
    __builtin_prefetch(address, 0, 3);
}

/// The entries [begin, end) of a table that share a substring.
struct Bucket {
    std::uint32_t begin;
    std::uint32_t end;

    std::uint32_t size() const { return end - begin; }
};

/// Fetches what bucket_of will read: the cells in which a bucket begins and ends, often in two lines.
inline void prefetch_cells(const Table& table, std::uint32_t key) {
    const unsigned below = table.layout.directory_bits - table.layout.substring_bits;
    const std::uint32_t* cell = table.directory + (std::size_t{key} << below);
    prefetch(cell);
    prefetch(cell + (std::size_t{1} << below));
}

/// Clamped, as in Segment::run_at.
inline Bucket bucket_of(const Segment& segment, const Table& table, std::uint32_t key) {
    const unsigned below = table.layout.directory_bits - table.layout.substring_bits;
    const std::uint32_t* cell = table.directory + (std::size_t{key} << below);
    const std::uint32_t end = std::min(cell[std::size_t{1} << below], segment.n_distinct());
    return {std::min(cell[0], end), end};
}

/// The cell of an entry among the 2^below cells from `first` on that together are its bucket. Without a
/// branch that depends on the entry: halves the cells until one is left.
inline std::uint32_t cell_of(const Table& table, std::uint32_t first, unsigned below,
                             std::uint32_t position) {
    std::uint32_t cell = first;
    for (std::uint32_t step = (1U << below) >> 1; step != 0; step >>= 1) {
        cell += table.directory[cell + step] <= position ? step : 0;
    }
    return cell;
}

inline std::size_t block_bytes(const Table& table) {
    return std::size_t{table.layout.planes} * kBlockEntries;
}

/// The residue of an entry, left-aligned.
inline std::uint64_t residue_at(const Table& table, std::uint32_t position) {
    const unsigned planes = table.layout.planes;
    const std::uint8_t* byte =
        table.blocks + position / kBlockEntries * block_bytes(table) + position % kBlockEntries;
    std::uint64_t residue = 0;
    for (unsigned i = 0; i < planes; ++i) {
        residue |= std::uint64_t{byte[std::size_t{i} * kBlockEntries]} << (56 - 8 * i);
    }
    return residue;
}

inline unsigned popcount(std::uint64_t x) {
    return static_cast<unsigned>(__builtin_popcountll(x));
}

// Kernels compare signed bytes. Residues have at most 64 bits, so a larger bound passes everything too.
inline std::int8_t as_bound(int bound) {
    return static_cast<std::int8_t>(std::clamp(bound, -1, 127));
}

}  // namespace hashnet
