#include "search/segment_search.hpp"

#include <algorithm>
#include <cstring>

#include "codes.hpp"
#include "kernels/dispatch.hpp"
#include "search/entries.hpp"

namespace hashnet {

namespace {

constexpr std::uint16_t kNever = 0xFFFF;

// Bytes of a bucket to prefetch; what lies beyond, the hardware's own prefetch follows.
constexpr std::size_t kPrefetchBytes = 1024;

// What a forecast of the final radius costs.
constexpr double kForecastNs = 4000;

// Rows of long codes that are verified together.
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
            mask_ = ripple | (((mask_ ^ ripple) >> 2) / lowest);
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

}  // namespace

SegmentSearch::SegmentSearch()
    : filter_residues_(filter_residues()),
      filter_rows_(filter_rows()),
      survivors_(kChunkEntries + 2 * kBlockEntries) {}

void SegmentSearch::run(const Segment& segment, const std::uint64_t* query, Bound& bound,
                        std::vector<Hit>& hits, SearchCounters& counters, Plan* plan) {
    segment_ = &segment;
    query_ = query;
    bound_ = &bound;
    counters_ = &counters;
    n_steps_ = 0;
    matches_.clear();
    prepare(segment, query);
    Plan executed;
    if (bound.k() == 0) {
        probe_radius(executed);
    } else {
        probe_nearest(executed);
    }
    if (executed.scan) {
        counters.scanned = true;
        counters.candidates += segment.n_distinct();
        if (segment.residue_form()) {
            scan_residues();
        } else {
            scan_rows();
        }
    }
    emit_hits(hits);
    if (plan != nullptr) *plan = std::move(executed);
}

void SegmentSearch::prepare(const Segment& segment, const std::uint64_t* query) {
    const std::size_t m = segment.tables().size();
    facets_.resize(m);
    steps_.resize(m);
    const unsigned n_bits = segment.n_bits();
    for (std::size_t j = 0; j < m; ++j) {
        const TableLayout& layout = segment.tables()[j].layout;
        Facet& facet = facets_[j];
        facet.key = static_cast<std::uint32_t>(bits_at(query, layout.start, layout.substring_bits));
        facet.address =
            static_cast<std::uint32_t>(ring_bits_at(query, n_bits, layout.start, layout.directory_bits));
        const unsigned stored = std::min(8 * layout.planes, n_bits - layout.directory_bits);
        const std::uint64_t residue =
            ring_bits_at(query, n_bits, layout.start + layout.directory_bits, stored);
        facet.nibbles.set(stored == 0 ? 0 : residue << (64 - stored), layout.planes);
        if (segment.residue_form()) {
            facet.mask = (~std::uint64_t{0} << (64 - layout.substring_bits)) >> layout.start;
        }
        steps_[j].fill(kNever);
    }
}

void SegmentSearch::probe_radius(Plan& plan) {
    plan = plan_radius(*segment_, bound_->value());
    if (plan.scan) return;
    for (unsigned j = 0; j < plan.radii.size(); ++j) {
        for (int e = 0; e <= plan.radii[j]; ++e) step(j, static_cast<unsigned>(e));
    }
}

// After steps up to radii t_j every code within sum(t_j + 1) - 1 has been met (see Plan), so the answer
// is complete as soon as that reaches the bound, within which k rows are known; a code at exactly the
// bound may still win by its id, and has been met as well.
void SegmentSearch::probe_nearest(Plan& plan) {
    plan.scan_ns = scan_cost_ns(*segment_);
    plan.radii.assign(segment_->tables().size(), -1);
    double spent_ns = 0;
    for (unsigned complete = 0; complete <= bound_->value(); ++complete) {
        const int j = cheapest_table(*segment_, plan.radii);
        if (j < 0) {
            plan.scan = true;
            return;
        }
        int& radius = plan.radii[static_cast<std::size_t>(j)];
        const StepCost cost =
            step_cost(segment_->tables()[static_cast<std::size_t>(j)], static_cast<unsigned>(radius + 1));
        // What is spent is spent, but wrong forecasts must not cost several scans; and small steps are not
        // worth one.
        const bool worth_a_forecast = cost.ns > std::max(kForecastNs, 0.02 * plan.scan_ns);
        if (spent_ns > plan.scan_ns || (worth_a_forecast && scan_is_cheaper(plan))) {
            plan.scan = true;
            return;
        }
        ++radius;
        spent_ns += cost.ns;
        plan.expected_probes += cost.probes;
        plan.expected_candidates += cost.candidates;
        plan.probing_ns = spent_ns;
        step(static_cast<unsigned>(j), static_cast<unsigned>(radius));
    }
}

// Forecast of the final radius: rows met at distance d, divided by the chance to have met one, estimate
// the rows there are; the answer ends where their sum reaches k. The true bound is never above value().
bool SegmentSearch::scan_is_cheaper(const Plan& plan) const {
    unsigned complete = 0;
    for (const int radius : plan.radii) complete += static_cast<unsigned>(radius + 1);
    const std::vector<double> chances = chances_met(*segment_, plan.radii, bound_->value());
    double rows = 0;
    unsigned last = 0;
    for (; last < bound_->value(); ++last) {
        rows += static_cast<double>(bound_->known(last)) / std::max(chances[last], 1e-9);
        if (rows >= static_cast<double>(bound_->k())) break;
    }
    std::vector<int> radii = plan.radii;
    double ns = 0;
    for (; complete <= last; ++complete) {
        const int j = cheapest_table(*segment_, radii);
        if (j < 0) return true;
        const auto at = static_cast<std::size_t>(j);
        ns += step_cost(segment_->tables()[at], static_cast<unsigned>(++radii[at])).ns;
        if (ns > plan.scan_ns) return true;
    }
    return false;
}

void SegmentSearch::step(unsigned j, unsigned e) {
    const Table& table = segment_->tables()[j];
    const TableLayout& layout = table.layout;
    steps_[j][e] = n_steps_++;
    if (e > bound_->value()) return;
    const unsigned below = layout.directory_bits - layout.substring_bits;
    KeysAt keys(facets_[j].key, layout.substring_bits, e);
    // Three batches are under way: one whose directory cells are being fetched, one whose buckets are,
    // and one that is compared.
    std::array<Batch, 3> ring;
    unsigned at = 0;
    unsigned empty = 0;
    ring[1].n = ring[2].n = 0;
    while (empty < 3) {
        Batch& fresh = ring[at % 3];
        fresh.n = 0;
        while (fresh.n < kBatch && !keys.done()) {
            const std::uint32_t key = keys.next();
            fresh.keys[fresh.n++] = key;
            prefetch(table.directory + (std::size_t{key} << below));
        }
        counters_->probes += fresh.n;
        resolve_batch(table, ring[(at + 2) % 3]);
        scan_batch(j, e, ring[(at + 1) % 3]);
        ring[(at + 1) % 3].n = 0;
        empty = fresh.n == 0 ? empty + 1 : 0;
        ++at;
    }
    verify_rows(j);
}

void SegmentSearch::resolve_batch(const Table& table, Batch& batch) const {
    const unsigned below = table.layout.directory_bits - table.layout.substring_bits;
    const std::size_t block_bytes = std::size_t{table.layout.planes} * kBlockEntries;
    for (unsigned i = 0; i < batch.n; ++i) {
        const std::uint32_t* cell = table.directory + (std::size_t{batch.keys[i]} << below);
        // Clamped as in Segment::run_at.
        const std::uint32_t end = std::min(cell[std::size_t{1} << below], segment_->n_distinct());
        const std::uint32_t begin = std::min(cell[0], end);
        batch.begins[i] = begin;
        batch.ends[i] = end;
        if (begin == end) continue;
        const std::uint8_t* first = table.blocks + begin / kBlockEntries * block_bytes;
        const std::uint8_t* last = table.blocks + ((end - 1) / kBlockEntries + 1) * block_bytes;
        const std::uint8_t* stop = std::min(last, first + kPrefetchBytes);
        for (const std::uint8_t* line = first; line < stop; line += 64) prefetch(line);
        if (table.positions != nullptr) prefetch(table.positions + begin);
    }
}

void SegmentSearch::scan_batch(unsigned j, unsigned e, const Batch& batch) {
    const Table& table = segment_->tables()[j];
    for (unsigned i = 0; i < batch.n; ++i) {
        counters_->candidates += batch.ends[i] - batch.begins[i];
        for (std::uint32_t begin = batch.begins[i]; begin < batch.ends[i];) {
            // Chunks end with a block, so that none is read twice.
            const std::uint32_t limit = (begin / kBlockEntries + kChunkBlocks) * kBlockEntries;
            const std::uint32_t end =
                limit < begin ? batch.ends[i] : std::min(batch.ends[i], limit);  // limit may wrap at 2^32
            const std::int8_t bound = as_bound(static_cast<int>(bound_->value()) - static_cast<int>(e));
            const std::size_t n = filter_residues_(table.blocks, table.layout.planes, facets_[j].nibbles,
                                                   begin, end, &bound, 0, survivors_.data());
            if (n != 0) {
                if (table.positions == nullptr) {
                    verify_residues(j, e, batch.keys[i], n);
                } else {
                    collect_rows(j, n);
                }
            }
            begin = end;
        }
    }
}

// The kernel did not see the directory bits below the substring; they are implied by the cell.
HASHNET_POPCNT_CLONES void SegmentSearch::verify_residues(unsigned j, unsigned e, std::uint32_t key,
                                                          std::size_t n) {
    const Table& table = segment_->tables()[j];
    const unsigned below = table.layout.directory_bits - table.layout.substring_bits;
    std::uint32_t cell = key << below;
    const std::uint32_t last_cell = cell + (1U << below) - 1;
    counters_->verified += n;
    for (std::size_t i = 0; i < n; ++i) {
        const Survivor& survivor = survivors_[i];
        while (cell < last_cell && table.directory[cell + 1] <= survivor.position) ++cell;
        const unsigned low = popcount((cell ^ facets_[j].address) & ((1U << below) - 1));
        const unsigned distance = e + low + survivor.distance;
        if (distance > bound_->value()) continue;
        const std::uint64_t code = code_from(table, cell, survivor.position);
        const std::uint64_t difference = code ^ query_[0];
        if (met_earlier(j, &difference)) continue;
        add(code, j == 0 ? survivor.position : kNotLocated, distance);
    }
}

// Rows lie anywhere: they are fetched while the next buckets are compared, and verified together.
void SegmentSearch::collect_rows(unsigned j, std::size_t n) {
    const Table& table = segment_->tables()[j];
    const std::size_t row_words = segment_->n_words();
    const std::uint32_t last = segment_->n_distinct() - 1;
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint32_t position = std::min(table.positions[survivors_[i].position], last);
        const std::uint64_t* row = segment_->rows() + position * row_words;
        prefetch(row);
        prefetch(row + row_words - 1);
        rows_on_their_way_.push_back(position);
    }
    if (rows_on_their_way_.size() >= kRowsTogether) verify_rows(j);
}

HASHNET_POPCNT_CLONES void SegmentSearch::verify_rows(unsigned j) {
    const unsigned n_words = segment_->n_words();
    counters_->verified += rows_on_their_way_.size();
    for (const std::uint32_t position : rows_on_their_way_) {
        const std::uint64_t* code = segment_->rows() + std::size_t{position} * n_words;
        if (distance(code, query_, n_words) > bound_->value()) continue;
        std::array<std::uint64_t, kMaxWords> difference;
        unsigned d = 0;
        for (unsigned w = 0; w < n_words; ++w) {
            difference[w] = code[w] ^ query_[w];
            d += popcount(difference[w]);
        }
        if (!met_earlier(j, difference.data())) add(0, position, d);
    }
    rows_on_their_way_.clear();
}

// A code belongs to the first step that meets it. Table t meets it at step steps_[t][its substring
// distance there], or never; the step under way is the newest, so any other table that has met it at
// all met it earlier. Each match is therefore added once, without a set of visited codes.
HASHNET_POPCNT_CLONES bool SegmentSearch::met_earlier(unsigned j, const std::uint64_t* difference) const {
    for (unsigned t = 0; t < facets_.size(); ++t) {
        if (t == j) continue;
        const TableLayout& layout = segment_->tables()[t].layout;
        const unsigned d = segment_->residue_form()
                               ? popcount(difference[0] & facets_[t].mask)
                               : popcount(bits_at(difference, layout.start, layout.substring_bits));
        if (steps_[t][d] != kNever) return true;
    }
    return false;
}

bool SegmentSearch::met_at_all(const std::uint64_t* difference) const {
    return n_steps_ != 0 && met_earlier(static_cast<unsigned>(facets_.size()), difference);
}

std::uint64_t SegmentSearch::code_from(const Table& table, std::uint64_t address,
                                       std::uint32_t position) const {
    const unsigned n_bits = segment_->n_bits();
    const std::uint64_t rotated = address << (64 - table.layout.directory_bits) |
                                  residue_at(table, position) >> table.layout.directory_bits;
    return rotate(rotated, n_bits, n_bits - table.layout.start);
}

void SegmentSearch::add(std::uint64_t code, std::uint32_t position, unsigned distance) {
    std::uint64_t rows = 1;
    if (bound_->k() != 0 && segment_->has_runs()) {
        if (position == kNotLocated) position = locate(code);
        const Run run = segment_->run_at(position);
        rows = run.last - run.first;
    }
    matches_.push_back({code, position, distance});
    bound_->tell(distance, rows);
}

std::uint32_t SegmentSearch::locate(std::uint64_t code) const {
    const Table& table = segment_->tables()[0];
    const std::uint64_t residue = code << table.layout.directory_bits;
    const std::uint32_t* cell = table.directory + (code >> (64 - table.layout.directory_bits));
    std::uint32_t end = std::min(cell[1], segment_->n_distinct());
    std::uint32_t begin = std::min(cell[0], end);
    while (end - begin > 1) {
        const std::uint32_t middle = begin + (end - begin) / 2;
        if (residue_at(table, middle) <= residue) {
            begin = middle;
        } else {
            end = middle;
        }
    }
    return std::min(begin, segment_->n_distinct() - 1);
}

// Matches are located and their ids read in passes, so that the misses of many matches overlap.
void SegmentSearch::emit_hits(std::vector<Hit>& hits) {
    const unsigned bound = bound_->value();
    matches_.erase(std::remove_if(matches_.begin(), matches_.end(),
                                  [=](const Match& match) { return match.distance > bound; }),
                   matches_.end());
    counters_->matches += matches_.size();
    if (segment_->residue_form()) {
        const Table& table = segment_->tables()[0];
        const std::size_t block_bytes = std::size_t{table.layout.planes} * kBlockEntries;
        const auto cell_of = [&](const Match& match) {
            return table.directory + (match.code >> (64 - table.layout.directory_bits));
        };
        for (const Match& match : matches_) {
            if (match.position == kNotLocated) prefetch(cell_of(match));
        }
        for (const Match& match : matches_) {
            if (match.position != kNotLocated) continue;
            const std::uint8_t* block = table.blocks + *cell_of(match) / kBlockEntries * block_bytes;
            for (std::size_t line = 0; line < block_bytes; line += 64) prefetch(block + line);
        }
        for (Match& match : matches_) {
            if (match.position == kNotLocated) match.position = locate(match.code);
        }
    }
    if (!segment_->has_runs()) {
        for (const Match& match : matches_) prefetch(segment_->id_address(match.position));
    }
    for (const Match& match : matches_) {
        const Run run = segment_->run_at(match.position);
        for (std::uint32_t row = run.first; row < run.last; ++row) {
            hits.push_back({match.distance, segment_->id_at(row)});
        }
    }
}

}  // namespace hashnet
