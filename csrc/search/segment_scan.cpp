// The scans of SegmentSearch: every code of a segment read once, for all queries of the group that want it.
#include <algorithm>
#include <array>

#include "codes.hpp"
#include "kernels/dispatch.hpp"
#include "search/capping.hpp"
#include "search/entries.hpp"
#include "search/segment_search.hpp"

namespace hashnet {

// A chunk of codes stays in the cache while one query after the other is compared with it.
void SegmentSearch::scan(std::size_t n) {
    std::array<Query*, kGroup> scanning;
    std::size_t n_scanning = 0;
    for (std::size_t i = 0; i < n; ++i) {
        Query& query = queries_[i];
        if (!query.plan.scan) continue;
        query.counters->scanned = true;
        query.counters->candidates += segment_->n_distinct();
        scanning[n_scanning++] = &query;
    }
    if (n_scanning == 0) return;
    const std::uint32_t n_codes = segment_->n_distinct();
    const std::uint32_t n_chunks = (n_codes - 1) / kChunkEntries + 1;
    for (std::uint32_t chunk = 0; chunk < n_chunks; ++chunk) {
        const std::uint32_t first = chunk * kChunkEntries;
        const std::uint32_t count = std::min(kChunkEntries, n_codes - first);
        for (std::size_t i = 0; i < n_scanning; ++i) {
            if (segment_->residue_form()) {
                scan_residues(*scanning[i], first, count);
            } else {
                scan_rows(*scanning[i], first, count);
            }
            put_away(*scanning[i]);
        }
    }
}

HASHNET_POPCNT_CLONES void SegmentSearch::scan_residues(Query& query, std::uint32_t begin, std::uint32_t n) {
    const Table& table = segment_->tables()[0];
    const Facet& facet = query.facets[0];
    const std::uint32_t* cells = segment_->block_cells();
    const std::uint32_t all_blocks = (segment_->n_distinct() - 1) / kBlockEntries + 1;
    const auto last_cell = static_cast<std::uint32_t>(table.n_cells() - 1);
    const std::uint32_t address = facet.address;
    const std::uint32_t first = begin / kBlockEntries;
    const std::uint32_t count = (n - 1) / kBlockEntries + 1;
    const int bound = static_cast<int>(query.bound->value());
    // Codes are sorted, so the addresses in a block share their leading bits; the query's distance
    // there is a lower bound for all of them, and often rules the block out unread.
    std::array<std::int8_t, kChunkBlocks> bounds;
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint32_t low = cells[first + i];
        const std::uint32_t high = first + i + 1 < all_blocks ? cells[first + i + 1] : last_cell;
        const unsigned varying = low == high ? 0 : 32 - static_cast<unsigned>(__builtin_clz(low ^ high));
        const unsigned shared = varying >= 32 ? 0 : popcount((low ^ address) >> varying);
        bounds[i] = as_bound(bound - static_cast<int>(shared));
    }
    const std::size_t passed = filter_residues_(table.blocks, table.layout.planes, facet.nibbles, begin,
                                                begin + n, bounds.data(), 1, survivors_.data());
    if (passed == 0) return;
    query.counters->verified += passed;
    cap_by_survivors(*query.bound, survivors_.data(), passed, table.layout.directory_bits);
    std::uint32_t cell = 0;
    std::uint32_t block = kNotLocated;
    for (std::size_t i = 0; i < passed; ++i) {
        const Survivor& survivor = survivors_[i];
        if (survivor.distance > query.bound->value()) continue;
        if (survivor.position / kBlockEntries != block) {
            block = survivor.position / kBlockEntries;
            cell = std::min(cells[block], last_cell);
        }
        while (cell < last_cell && table.directory[cell + 1] <= survivor.position) ++cell;
        const unsigned distance = popcount(cell ^ address) + survivor.distance;
        if (distance > query.bound->value()) continue;
        const std::uint64_t code = code_from(table, cell, survivor.position);
        const std::uint64_t difference = code ^ query.words[0];
        if (query.n_steps == 0 || first_met(query, &difference) == kNever) {
            add(query, code, survivor.position, distance);
        }
    }
}

HASHNET_POPCNT_CLONES void SegmentSearch::scan_rows(Query& query, std::uint32_t first, std::uint32_t n) {
    const unsigned n_words = segment_->n_words();
    const std::uint64_t* rows = segment_->rows() + std::size_t{first} * n_words;
    const std::size_t passed =
        filter_rows_(rows, n, n_words, query.words.data(), query.bound->value(), first, survivors_.data());
    query.counters->verified += passed;
    cap_by_survivors(*query.bound, survivors_.data(), passed, 0);
    for (std::size_t i = 0; i < passed; ++i) {
        const Survivor& survivor = survivors_[i];
        if (survivor.distance > query.bound->value()) continue;
        std::array<std::uint64_t, kMaxWords> difference;
        const std::uint64_t* code = segment_->rows() + std::size_t{survivor.position} * n_words;
        for (unsigned w = 0; w < n_words; ++w) difference[w] = code[w] ^ query.words[w];
        if (query.n_steps == 0 || first_met(query, difference.data()) == kNever) {
            add(query, 0, survivor.position, survivor.distance);
        }
    }
}

}  // namespace hashnet
