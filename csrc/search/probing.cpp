// The probes of SegmentSearch: buckets fetched ahead, compared, and their survivors verified.
#include <algorithm>
#include <array>

#include "codes.hpp"
#include "kernels/dispatch.hpp"
#include "search/capping.hpp"
#include "search/entries.hpp"
#include "search/segment_search.hpp"

namespace hashnet {

namespace {

// Directory cells are fetched this many probes ahead. Buckets are looked up so many at a time: a prefetch
// waits until the page of its address is found, and where that takes a walk through page tables that are not
// cached, only walks that begin together overlap (benchmarks/README.md, "Prefetching").
constexpr std::size_t kCellsAhead = 16;
constexpr std::size_t kTogether = 16;
// Buckets are fetched as many bytes ahead as the processor can have under way, small ones no more than so
// many.
constexpr std::size_t kBytesAhead = 8192;
constexpr std::size_t kBucketsAhead = 12;
// What a bucket counts for besides its entries: it begins and ends inside blocks.
constexpr std::size_t kBucketBytes = 128;
// Of one bucket; what lies beyond, the hardware's own prefetch follows.
constexpr std::size_t kPrefetchBytes = 4096;

// Rows of long codes that stay on their way while others are verified.
constexpr std::size_t kRowsTogether = 32;

/// All keys at distance exactly e from a key of `n_bits` bits, each once: masks of e bits in ascending
/// order (Gosper's successor).
class KeysAt {
  public:
    KeysAt(std::uint32_t key, unsigned n_bits, unsigned e)
        : key_(key), end_(std::uint64_t{1} << n_bits), mask_((std::uint64_t{1} << e) - 1), only_(e == 0) {}

    bool done() const { return done_ || mask_ >= end_; }

    std::uint32_t next() {
        const auto key = key_ ^ static_cast<std::uint32_t>(mask_);
        if (only_) {
            done_ = true;
        } else {
            const std::uint64_t lowest = mask_ & (~mask_ + 1);
            const std::uint64_t ripple = mask_ + lowest;
            // The division by a power of two, as a shift.
            mask_ = ripple | ((mask_ ^ ripple) >> 2 >> __builtin_ctzll(lowest));
        }
        return key;
    }

  private:
    std::uint32_t key_;
    std::uint64_t end_;
    std::uint64_t mask_;
    bool only_;
    bool done_ = false;
};

/// What of a bucket is fetched ahead: the blocks that it touches, or its row numbers, or the first of them.
struct Lines {
    const std::uint8_t* first;
    const std::uint8_t* last;
};

Lines lines_of(const Table& table, Bucket bucket) {
    const std::uint8_t* first;
    const std::uint8_t* last;
    if (table.positions != nullptr) {
        first = reinterpret_cast<const std::uint8_t*>(table.positions + bucket.begin);
        last = reinterpret_cast<const std::uint8_t*>(table.positions + bucket.end);
    } else {
        first = table.blocks + bucket.begin / kBlockEntries * block_bytes(table);
        last = table.blocks + ((bucket.end - 1) / kBlockEntries + 1) * block_bytes(table);
    }
    return {first, std::min(last, first + kPrefetchBytes)};
}

bool without_entries(const Table& table) {
    return table.positions == nullptr && table.layout.planes == 0;
}

}  // namespace

void SegmentSearch::probe(std::uint8_t number, Step step) {
    const Query& query = queries_[number];
    if (step.e > query.bound->value()) return;
    const Table& table = segment_->tables()[step.table];
    const Facet& facet = query.facets[step.table];
    Probe one{};
    one.step = facet.steps[step.e];
    one.query = number;
    one.table = step.table;
    one.e = step.e;
    for (KeysAt keys(facet.key, table.layout.substring_bits, step.e); !keys.done();) {
        one.key = keys.next();
        prefetch_cells(table, one.key);
        push(one);
    }
}

inline void SegmentSearch::push(const Probe& probe) {
    ring_[pushed_++ % kRing] = probe;
    if (pushed_ - resolved_ >= kCellsAhead + kTogether) advance();
}

// Buckets are fetched a number of bytes ahead: more than the processor can have under way would only push
// each other out, fewer would leave it waiting.
void SegmentSearch::advance() {
    const std::size_t first = resolved_;
    resolved_ += std::min(kTogether, pushed_ - resolved_);
    for (std::size_t at = first; at < resolved_; ++at) resolve(ring_[at % kRing]);
    for (std::size_t at = first; at < resolved_; ++at) {
        fetch(ring_[at % kRing]);
        while (bytes_ahead_ > kBytesAhead || at + 1 - compared_ > kBucketsAhead) compare_next();
    }
}

void SegmentSearch::compare_next() {
    const Probe& probe = ring_[compared_++ % kRing];
    bytes_ahead_ -= bytes_of(probe);
    compare(probe);
}

void SegmentSearch::drain() {
    while (resolved_ != pushed_) advance();
    while (compared_ != resolved_) compare_next();
    verify_rows(rows_on_their_way_.size());
}

std::size_t SegmentSearch::bytes_of(const Probe& probe) const {
    const Table& table = segment_->tables()[probe.table];
    const std::size_t entry = table.positions != nullptr ? sizeof(std::uint32_t) : table.layout.planes;
    return std::size_t{probe.end - probe.begin} * entry + kBucketBytes;
}

// Looks a bucket up, and has the pages of its first and last line found.
void SegmentSearch::resolve(Probe& probe) {
    const Table& table = segment_->tables()[probe.table];
    const Bucket bucket = bucket_of(*segment_, table, probe.key);
    probe.begin = bucket.begin;
    probe.end = bucket.end;
    if (bucket.begin == bucket.end || without_entries(table)) return;
    const Lines lines = lines_of(table, bucket);
    prefetch(lines.first);
    prefetch(lines.last - 1);
}

void SegmentSearch::fetch(const Probe& probe) {
    bytes_ahead_ += bytes_of(probe);
    const Table& table = segment_->tables()[probe.table];
    if (probe.begin == probe.end || without_entries(table)) return;
    const Lines lines = lines_of(table, {probe.begin, probe.end});
    for (const std::uint8_t* line = lines.first; line < lines.last; line += 64) prefetch(line);
}

void SegmentSearch::compare(const Probe& probe) {
    const Table& table = segment_->tables()[probe.table];
    Query& query = queries_[probe.query];
    Facet& facet = query.facets[probe.table];
    ++query.counters->probes;
    query.counters->candidates += probe.end - probe.begin;
    if (probe.e > facet.level) {
        facet.level = probe.e;
        facet.entries[probe.e] = 0;
    }
    if (probe.e > facet.foreseen) facet.entries[probe.e] += probe.end - probe.begin;
    if (table.positions != nullptr) {
        collect_rows(probe);
        return;
    }
    for (std::uint32_t begin = probe.begin; begin < probe.end;) {
        // Chunks end with a block, so that none is read twice.
        const std::uint32_t limit = (begin / kBlockEntries + kChunkBlocks) * kBlockEntries;
        const std::uint32_t end =
            limit < begin ? probe.end : std::min(probe.end, limit);  // limit may wrap at 2^32
        const std::int8_t bound = as_bound(static_cast<int>(query.bound->value()) - probe.e);
        const std::size_t n = filter_residues_(table.blocks, table.layout.planes, facet.nibbles, begin, end,
                                               &bound, 0, survivors_.data());
        if (n != 0) verify_residues(query, probe, n);
        begin = end;
    }
}

// Of the directory bits below the substring the kernel saw those that residues repeat; the others are implied
// by the cell of the entry.
HASHNET_POPCNT_CLONES void SegmentSearch::verify_residues(Query& query, const Probe& probe, std::size_t n) {
    const Table& table = segment_->tables()[probe.table];
    const TableLayout& layout = table.layout;
    const Facet& facet = query.facets[probe.table];
    const unsigned below = layout.directory_bits - layout.substring_bits;
    const std::uint32_t unseen = ((1U << below) - 1) & ~((1U << layout.repeated) - 1);
    cap_by_survivors(*query.bound, survivors_.data(), n, probe.e + below - layout.repeated);
    const std::uint32_t first_cell = probe.key << below;
    query.counters->verified += n;
    for (std::size_t i = 0; i < n; ++i) {
        const Survivor& survivor = survivors_[i];
        unsigned distance = probe.e + survivor.distance;
        if (distance > query.bound->value()) continue;
        const std::uint32_t cell = cell_of(table, first_cell, below, survivor.position);
        distance += popcount((cell ^ facet.address) & unseen);
        if (distance > query.bound->value()) continue;
        const std::uint64_t code = code_from(table, cell, survivor.position);
        const std::uint64_t difference = code ^ query.words[0];
        if (first_met(query, &difference) != probe.step) continue;
        add(query, code, probe.table == 0 ? survivor.position : kNotLocated, distance);
    }
}

// Rows lie anywhere: they are fetched while the next buckets are compared, and verified together.
void SegmentSearch::collect_rows(const Probe& probe) {
    const Table& table = segment_->tables()[probe.table];
    const std::size_t row_words = segment_->n_words();
    const std::uint32_t last = segment_->n_distinct() - 1;
    for (std::uint32_t entry = probe.begin; entry < probe.end; ++entry) {
        const std::uint32_t position = std::min(table.positions[entry], last);
        const std::uint64_t* row = segment_->rows() + position * row_words;
        prefetch(row);
        prefetch(row + row_words - 1);
        rows_on_their_way_.push_back({position, probe.step, probe.query});
        // Here, not after the bucket: it may hold any number of codes.
        if (rows_on_their_way_.size() >= 2 * kRowsTogether) verify_rows(kRowsTogether);
    }
}

HASHNET_POPCNT_CLONES void SegmentSearch::verify_rows(std::size_t n) {
    const unsigned n_words = segment_->n_words();
    const auto end = rows_on_their_way_.begin() + static_cast<std::ptrdiff_t>(n);
    for (auto at = rows_on_their_way_.begin(); at != end; ++at) {
        const Row row = *at;
        Query& query = queries_[row.query];
        const std::uint64_t* code = segment_->rows() + std::size_t{row.position} * n_words;
        ++query.counters->verified;
        const unsigned d = distance(code, query.words.data(), n_words);
        if (d > query.bound->value()) continue;
        std::array<std::uint64_t, kMaxWords> difference;
        for (unsigned w = 0; w < n_words; ++w) difference[w] = code[w] ^ query.words[w];
        if (first_met(query, difference.data()) == row.step) add(query, 0, row.position, d);
    }
    rows_on_their_way_.erase(rows_on_their_way_.begin(), end);
}

// A code belongs to the first step that meets it; table t meets it at step steps[its substring distance
// there], or never. Each match is therefore added once, without a set of visited codes.
HASHNET_POPCNT_CLONES std::uint16_t SegmentSearch::first_met(const Query& query,
                                                             const std::uint64_t* difference) const {
    std::uint16_t first = kNever;
    for (std::size_t t = 0; t < query.facets.size(); ++t) {
        const TableLayout& layout = segment_->tables()[t].layout;
        const unsigned d = segment_->residue_form()
                               ? popcount(difference[0] & query.facets[t].mask)
                               : popcount(bits_at(difference, layout.start, layout.substring_bits));
        first = std::min(first, query.facets[t].steps[d]);
    }
    return first;
}

std::uint64_t SegmentSearch::code_from(const Table& table, std::uint64_t address,
                                       std::uint32_t position) const {
    const unsigned n_bits = segment_->n_bits();
    const std::uint64_t residue = residue_at(table, position) << table.layout.repeated;
    const std::uint64_t rotated =
        address << (64 - table.layout.directory_bits) | residue >> table.layout.directory_bits;
    return rotate(rotated, n_bits, n_bits - table.layout.start);
}

}  // namespace hashnet
