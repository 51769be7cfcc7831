// The scans of SegmentSearch: every code of a segment, read once.
#include <algorithm>
#include <array>

#include "codes.hpp"
#include "kernels/dispatch.hpp"
#include "search/entries.hpp"
#include "search/segment_search.hpp"

namespace hashnet {

HASHNET_POPCNT_CLONES void SegmentSearch::scan_residues() {
    const Table& table = segment_->tables()[0];
    const std::uint32_t* cells = segment_->block_cells();
    const std::uint32_t n = segment_->n_distinct();
    const std::uint32_t n_blocks = (n + kBlockEntries - 1) / kBlockEntries;
    const auto last_cell = static_cast<std::uint32_t>(table.n_cells() - 1);
    const std::uint32_t address = facets_[0].address;
    std::array<std::int8_t, kChunkBlocks> bounds;
    for (std::uint32_t first = 0; first < n_blocks; first += kChunkBlocks) {
        const std::uint32_t count = std::min(kChunkBlocks, n_blocks - first);
        const int bound = static_cast<int>(bound_->value());
        // Codes are sorted, so the addresses in a block share their leading bits; the query's distance
        // there is a lower bound for all of them, and often rules the block out unread.
        for (std::uint32_t i = 0; i < count; ++i) {
            const std::uint32_t low = cells[first + i];
            const std::uint32_t high = first + i + 1 < n_blocks ? cells[first + i + 1] : last_cell;
            const unsigned varying = low == high ? 0 : 32 - static_cast<unsigned>(__builtin_clz(low ^ high));
            const unsigned shared = varying >= 32 ? 0 : popcount((low ^ address) >> varying);
            bounds[i] = as_bound(bound - static_cast<int>(shared));
        }
        const std::uint32_t begin = first * kBlockEntries;
        const std::uint32_t end = first + count == n_blocks ? n : begin + count * kBlockEntries;
        const std::size_t passed = filter_residues_(table.blocks, table.layout.planes, facets_[0].nibbles,
                                                    begin, end, bounds.data(), 1, survivors_.data());
        counters_->verified += passed;
        std::uint32_t cell = 0;
        std::uint32_t block = kNotLocated;
        for (std::size_t i = 0; i < passed; ++i) {
            const Survivor& survivor = survivors_[i];
            if (survivor.position / kBlockEntries != block) {
                block = survivor.position / kBlockEntries;
                cell = std::min(cells[block], last_cell);
            }
            while (cell < last_cell && table.directory[cell + 1] <= survivor.position) ++cell;
            const unsigned distance = popcount(cell ^ address) + survivor.distance;
            if (distance > bound_->value()) continue;
            const std::uint64_t code = code_from(table, cell, survivor.position);
            const std::uint64_t difference = code ^ query_[0];
            if (!met_at_all(&difference)) add(code, survivor.position, distance);
        }
    }
}

HASHNET_POPCNT_CLONES void SegmentSearch::scan_rows() {
    const unsigned n_words = segment_->n_words();
    const std::uint32_t n = segment_->n_distinct();
    for (std::uint32_t first = 0; first < n; first += kChunkEntries) {
        const std::uint32_t count = std::min(kChunkEntries, n - first);
        const std::uint64_t* rows = segment_->rows() + std::size_t{first} * n_words;
        const std::size_t passed =
            filter_rows_(rows, count, n_words, query_, bound_->value(), first, survivors_.data());
        counters_->verified += passed;
        for (std::size_t i = 0; i < passed; ++i) {
            const Survivor& survivor = survivors_[i];
            if (survivor.distance > bound_->value()) continue;
            std::array<std::uint64_t, kMaxWords> difference;
            const std::uint64_t* code = segment_->rows() + std::size_t{survivor.position} * n_words;
            for (unsigned w = 0; w < n_words; ++w) difference[w] = code[w] ^ query_[w];
            if (!met_at_all(difference.data())) add(0, survivor.position, survivor.distance);
        }
    }
}

}  // namespace hashnet
