// The scans of SegmentSearch: every code of a segment read once, for all queries of the group that want it.
#include <algorithm>
#include <array>
#include <cmath>

#include "codes.hpp"
#include "search/capping.hpp"
#include "search/entries.hpp"
#include "search/segment_search.hpp"

namespace hashnet {

namespace {

constexpr unsigned kNoGuess = kMaxBits + 1;

// Every so many chunks one is scanned first; from what it holds the final bound of a k-NN search is guessed.
std::uint32_t sample_stride(std::uint32_t n_chunks) {
    return n_chunks >= 128 ? 16 : n_chunks >= 16 ? 4 : 1;
}

// The least distance within which the sample lets expect k rows, with room for chance: three standard
// deviations of a count. If it is too near nonetheless, the rest is scanned again beyond it.
unsigned guess_bound(const Bound& bound, std::uint32_t stride) {
    const double expected = static_cast<double>(bound.k()) / stride;
    const double wanted = expected + 3 * std::sqrt(expected) + 3;
    double within = 0;
    for (unsigned d = 0; d < bound.value(); ++d) {
        within += static_cast<double>(bound.known(d));
        if (within >= wanted) return d;
    }
    return kNoGuess;
}

}  // namespace

// A chunk of codes stays in the cache while one query after the other is compared with it. For k-NN a sample
// of chunks comes first: without a good bound from the start, a large part of the codes would pass on the way
// to it.
void SegmentSearch::scan(std::size_t n) {
    std::array<Scan, kGroup> scans;
    std::size_t n_scans = 0;
    bool nearest = false;
    for (std::size_t i = 0; i < n; ++i) {
        Query& query = queries_[i];
        if (!query.plan.scan) continue;
        query.counters->scanned = true;
        query.counters->candidates += segment_->n_distinct();
        scans[n_scans++] = {&query, kNoGuess, -1};
        nearest = query.bound->k() != 0;
    }
    if (n_scans == 0) return;
    const std::uint32_t n_chunks = (segment_->n_distinct() - 1) / kChunkEntries + 1;
    const std::uint32_t stride = nearest ? sample_stride(n_chunks) : 1;
    const auto each_chunk = [&](std::uint32_t part) {
        for (std::uint32_t chunk = 0; chunk < n_chunks; ++chunk) {
            const bool sampled = stride == 1 || chunk % stride == 0;
            if (sampled != (part == 0)) continue;
            for (std::size_t i = 0; i < n_scans; ++i) scan_chunk(scans[i], chunk);
        }
    };
    each_chunk(0);
    if (stride == 1) return;
    for (std::size_t i = 0; i < n_scans; ++i) scans[i].guess = guess_bound(*scans[i].query->bound, stride);
    each_chunk(1);
    // Whoever knows k rows within the guess is done.
    const auto last = std::remove_if(scans.begin(), scans.begin() + static_cast<std::ptrdiff_t>(n_scans),
                                     [](const Scan& one) { return one.query->bound->value() <= one.guess; });
    n_scans = static_cast<std::size_t>(last - scans.begin());
    for (std::size_t i = 0; i < n_scans; ++i)
        scans[i] = {scans[i].query, kNoGuess, static_cast<int>(scans[i].guess)};
    if (n_scans != 0) each_chunk(1);
}

void SegmentSearch::scan_chunk(const Scan& one, std::uint32_t chunk) {
    const std::uint32_t first = chunk * kChunkEntries;
    const std::uint32_t count = std::min(kChunkEntries, segment_->n_distinct() - first);
    const std::size_t before = one.query->matches.size();
    if (segment_->residue_form()) {
        scan_residues(one, first, count);
    } else {
        scan_rows(one, first, count);
    }
    if (one.query->matches.size() != before) put_away(*one.query);
}

HASHNET_POPCNT_CLONES void SegmentSearch::scan_residues(const Scan& one, std::uint32_t begin,
                                                        std::uint32_t n) {
    Query& query = *one.query;
    const Table& table = segment_->tables()[0];
    const Facet& facet = query.facets[0];
    const std::uint32_t all_blocks = (segment_->n_distinct() - 1) / kBlockEntries + 1;
    const auto last_cell = static_cast<std::uint32_t>(table.n_cells() - 1);
    const std::uint32_t first = begin / kBlockEntries;
    const std::uint32_t count = (n - 1) / kBlockEntries + 1;
    const std::uint32_t* cells = segment_->block_cells() + first;
    std::array<std::uint32_t, kChunkBlocks + 1> with_end;
    if (first + count == all_blocks) {
        std::copy(cells, cells + count, with_end.begin());
        with_end[count] = last_cell;
        cells = with_end.data();
    }
    const unsigned limit = std::min(query.bound->value(), one.guess);
    // Codes are sorted, so the addresses in a block share their leading bits; the query's distance
    // there is a lower bound for all of them, and often rules the block out unread.
    std::array<std::int8_t, kChunkBlocks> bounds;
    const std::uint32_t unseen = ~std::uint32_t{0} << table.layout.repeated;
    block_bounds_(cells, count, facet.address, unseen, static_cast<int>(limit), bounds.data());
    const std::size_t passed = filter_residues_(table.blocks, table.layout.planes, facet.nibbles, begin,
                                                begin + n, bounds.data(), 1, survivors_.data());
    if (passed == 0) return;
    query.counters->verified += passed;
    const std::size_t near = measure_survivors(one, passed);
    cap_by_survivors(*query.bound, survivors_.data(), near, 0);
    for (std::size_t i = 0; i < near; ++i) {
        const Survivor& survivor = survivors_[i];
        if (survivor.distance > query.bound->value()) continue;
        const std::uint64_t code = code_from(table, cells_of_survivors_[i], survivor.position);
        const std::uint64_t difference = code ^ query.words[0];
        if (query.n_steps == 0 || first_met(query, &difference) == kNever) {
            add(query, code, survivor.position, survivor.distance);
        }
    }
}

// Adds to each survivor the bits that its directory cell implies; keeps those that are wanted, and their
// cells.
HASHNET_POPCNT_CLONES std::size_t SegmentSearch::measure_survivors(const Scan& one, std::size_t n) {
    const Table& table = segment_->tables()[0];
    const auto last_cell = static_cast<std::uint32_t>(table.n_cells() - 1);
    const std::uint32_t address = one.query->facets[0].address;
    // Residues repeat the other bits.
    const std::uint32_t unseen = ~std::uint32_t{0} << table.layout.repeated;
    const unsigned limit = std::min(one.query->bound->value(), one.guess);
    std::uint32_t cell = 0;
    std::uint32_t block = kNotLocated;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const Survivor survivor = survivors_[i];
        if (survivor.position / kBlockEntries != block) {
            block = survivor.position / kBlockEntries;
            cell = std::min(segment_->block_cells()[block], last_cell);
        }
        while (cell < last_cell && table.directory[cell + 1] <= survivor.position) ++cell;
        const unsigned distance = popcount((cell ^ address) & unseen) + survivor.distance;
        if (distance > limit || static_cast<int>(distance) <= one.beyond) continue;
        cells_of_survivors_[kept] = cell;
        survivors_[kept++] = {survivor.position, distance};
    }
    return kept;
}

HASHNET_POPCNT_CLONES void SegmentSearch::scan_rows(const Scan& one, std::uint32_t first, std::uint32_t n) {
    Query& query = *one.query;
    const unsigned n_words = segment_->n_words();
    const std::uint64_t* rows = segment_->rows() + std::size_t{first} * n_words;
    const unsigned limit = std::min(query.bound->value(), one.guess);
    const std::size_t passed =
        filter_rows_(rows, n, n_words, query.words.data(), limit, first, survivors_.data());
    query.counters->verified += passed;
    if (one.beyond < 0) cap_by_survivors(*query.bound, survivors_.data(), passed, 0);
    for (std::size_t i = 0; i < passed; ++i) {
        const Survivor& survivor = survivors_[i];
        if (survivor.distance > query.bound->value()) continue;
        if (static_cast<int>(survivor.distance) <= one.beyond) continue;
        std::array<std::uint64_t, kMaxWords> difference;
        const std::uint64_t* code = segment_->rows() + std::size_t{survivor.position} * n_words;
        for (unsigned w = 0; w < n_words; ++w) difference[w] = code[w] ^ query.words[w];
        if (query.n_steps == 0 || first_met(query, difference.data()) == kNever) {
            add(query, 0, survivor.position, survivor.distance);
        }
    }
}

}  // namespace hashnet
