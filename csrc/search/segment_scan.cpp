// The scans of SegmentSearch: every code of a segment read once, for all queries of the group that want it.
#include <algorithm>
#include <array>

#include "codes.hpp"
#include "search/capping.hpp"
#include "search/entries.hpp"
#include "search/segment_search.hpp"

namespace hashnet {

namespace {

// A k-NN scan begins with a sample: the first codes, in whole blocks, of chunks spread evenly.
constexpr std::uint32_t kPieceEntries = 256;
constexpr std::uint32_t kMostPieces = 1024;
constexpr std::uint64_t kPiecesAhead = 4;

// Survivors whose cells are fetched ahead.
constexpr std::size_t kCellsAhead = 16;

}  // namespace

// A chunk of codes stays in the cache while one query after the other is compared with it. For k-NN a sample
// comes first: without a good bound from the start, a large part of the codes would pass on the way to it.
// The guess only falls, so whatever lies within the last one was kept.
void SegmentSearch::scan(std::size_t n) {
    if (segment_->n_distinct() == 0) return;
    std::array<Scan, kGroup> scans;
    std::size_t n_scans = 0;
    bool nearest = false;
    for (std::size_t i = 0; i < n; ++i) {
        Query& query = queries_[i];
        if (!query.plan.scan) continue;
        query.counters->scanned = true;
        query.counters->candidates += segment_->n_distinct();
        scans[n_scans++] = {&query, kNoGuess, -1};
        if (query.bound->k() == 0) continue;
        nearest = true;
        forget(query, -1);
        query.guess.start(*query.bound, segment_->n_distinct() / double{kPieceEntries});
    }
    if (n_scans == 0) return;
    const std::uint32_t n_chunks = (segment_->n_distinct() - 1) / kChunkEntries + 1;
    const std::uint32_t stride = nearest ? (n_chunks - 1) / kMostPieces + 1 : n_chunks;
    const auto each = [&](auto&& visit) {
        for (std::size_t i = 0; i < n_scans; ++i) visit(scans[i]);
    };
    for (std::uint32_t chunk = 0; nearest && chunk < n_chunks; chunk += stride) {
        fetch_piece((chunk + kPiecesAhead * stride) * kChunkEntries);
        each([&](Scan& one) { sample(one, chunk); });
    }
    for (std::uint32_t chunk = 0; chunk < n_chunks; ++chunk) {
        const std::uint32_t sampled = nearest && chunk % stride == 0 ? kPieceEntries : 0;
        each([&](Scan& one) { scan_chunk(one, chunk, sampled, kChunkEntries); });
    }
    // Whoever knows k rows within the guess is done; what lies beyond a guess that was too near is scanned
    // anew.
    const auto last = std::remove_if(scans.begin(), scans.begin() + static_cast<std::ptrdiff_t>(n_scans),
                                     [](const Scan& one) { return one.query->bound->value() <= one.guess; });
    n_scans = static_cast<std::size_t>(last - scans.begin());
    if (n_scans == 0) return;
    each([&](Scan& one) {
        one.beyond = static_cast<int>(one.guess);
        one.guess = kNoGuess;
        forget(*one.query, one.beyond);
    });
    for (std::uint32_t chunk = 0; chunk < n_chunks; ++chunk) {
        each([&](Scan& one) { scan_chunk(one, chunk, 0, kChunkEntries); });
    }
}

// The processor foresees none of the jumps between pieces.
void SegmentSearch::fetch_piece(std::uint64_t first) const {
    if (first >= segment_->n_distinct()) return;
    const std::uint64_t n = std::min<std::uint64_t>(kPieceEntries, segment_->n_distinct() - first);
    const std::uint8_t* begin;
    std::size_t bytes;
    if (segment_->residue_form()) {
        const Table& table = segment_->tables()[0];
        begin = table.blocks + first / kBlockEntries * block_bytes(table);
        bytes = n / kBlockEntries * block_bytes(table);
        prefetch(segment_->block_cells() + first / kBlockEntries);
    } else {
        begin = reinterpret_cast<const std::uint8_t*>(segment_->rows() + first * segment_->n_words());
        bytes = std::size_t{8} * n * segment_->n_words();
    }
    for (std::size_t line = 0; line < bytes; line += 64) prefetch(begin + line);
}

void SegmentSearch::sample(Scan& one, std::uint32_t chunk) {
    const bool found = scan_chunk(one, chunk, 0, kPieceEntries);
    one.guess = one.query->guess.observe(*one.query->bound, found);
}

// Scans the codes from `begin` to `end` of a chunk; returns whether any matched.
bool SegmentSearch::scan_chunk(const Scan& one, std::uint32_t chunk, std::uint32_t begin, std::uint32_t end) {
    const std::uint32_t first = chunk * kChunkEntries;
    end = std::min(end, segment_->n_distinct() - first);
    if (begin >= end) return false;
    const std::size_t before = one.query->matches.size();
    if (segment_->residue_form()) {
        scan_residues(one, first + begin, end - begin);
    } else {
        scan_rows(one, first + begin, end - begin);
    }
    if (one.query->matches.size() == before) return false;
    put_away(*one.query);
    return true;
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
        add(query, code, survivor.position, survivor.distance);
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
    const auto fetch = [&](std::size_t i) {
        prefetch(table.directory + segment_->block_cells()[survivors_[i].position / kBlockEntries]);
    };
    for (std::size_t i = 0; i < std::min(kCellsAhead, n); ++i) fetch(i);
    for (std::size_t i = 0; i < n; ++i) {
        if (i + kCellsAhead < n) fetch(i + kCellsAhead);
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
    const std::uint64_t* rows = segment_->rows() + first * n_words;
    const unsigned limit = std::min(query.bound->value(), one.guess);
    const std::size_t passed =
        filter_rows_(rows, n, n_words, query.words.data(), limit, first, survivors_.data());
    query.counters->verified += passed;
    if (one.beyond < 0) cap_by_survivors(*query.bound, survivors_.data(), passed, 0);
    for (std::size_t i = 0; i < passed; ++i) {
        const Survivor& survivor = survivors_[i];
        if (survivor.distance > query.bound->value()) continue;
        if (static_cast<int>(survivor.distance) <= one.beyond) continue;
        add(query, 0, survivor.position, survivor.distance);
    }
}

}  // namespace hashnet
