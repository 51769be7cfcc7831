#include "search/segment_search.hpp"

#include <algorithm>

#include "codes.hpp"
#include "search/entries.hpp"

namespace hashnet {

namespace {

// Between two forecasts of the final radius, which take 2 us each, so much is spent on probing.
constexpr double kForecastNs = 20000;

// So much of a scan is spent on probing before it is asked whether a scan is better from the start; where
// many rows are wanted, nothing is.
constexpr double kAtOnceShare = 0.1;
constexpr std::uint64_t kManyRows = 64;

// Steps of a k-NN search are taken together as long as they are expected to cost no more than this, or this
// share of what was spent: a round ends with waiting for its last buckets, and the bound may make its last
// steps needless.
constexpr double kRoundNs = 600;
constexpr double kRoundShare = 0.1;

// Nor do forecasts that were wrong again and again cost more than so many scans.
constexpr double kMostScans = 1.5;

// A k-NN search for more than one in so many codes is a scan.
constexpr std::uint64_t kScanShare = 128;

// A search that will cost more than this is planned on the sizes of all buckets one bit away as well: where
// codes resemble the query; where none seem to; where a scan seemed cheaper; and where probing would cost
// so much and a scan only so many times more, because many codes may have to be verified.
constexpr double kLookAheadNs = 20000;
constexpr double kLookAheadAnywayNs = 100000;
constexpr double kLookAheadScanNs = 10000;
constexpr double kLookAheadDoubtedNs = 2400;
constexpr double kDoubtedScans = 16;

}  // namespace

SegmentSearch::SegmentSearch()
    : filter_residues_(filter_residues()),
      filter_rows_(filter_rows()),
      find_residue_(find_residue()),
      block_bounds_(block_bounds()),
      survivors_(kChunkEntries + 2 * kBlockEntries),
      cells_of_survivors_(survivors_.size()) {}

void SegmentSearch::run(const Segment& segment, const std::uint64_t* const* words, std::size_t n,
                        Policy policy) {
    const Planner planner(segment, policy);
    segment_ = &segment;
    planner_ = &planner;
    policy_ = policy;
    // An allocation that failed in a search before may have left probes on their way.
    pushed_ = resolved_ = compared_ = bytes_ahead_ = 0;
    rows_on_their_way_.clear();
    for (std::size_t i = 0; i < n; ++i) prepare(queries_[i], words[i]);
    for (std::size_t i = 0; i < n; ++i) begin(queries_[i]);
    for (bool probing = true; probing;) {
        probing = false;
        for (std::size_t i = 0; i < n; ++i) {
            Query& query = queries_[i];
            next_round(query);
            for (const Step& step : query.round) probe(static_cast<std::uint8_t>(i), step);
            probing = probing || !query.round.empty();
        }
        drain();
        for (std::size_t i = 0; i < n; ++i) settle(queries_[i]);
    }
    scan(n);
    for (std::size_t i = 0; i < n; ++i) {
        Query& query = queries_[i];
        if (query.hits == nullptr) {
            count_matches(query);
        } else {
            emit_hits(query);
        }
    }
}

void SegmentSearch::prepare(Query& query, const std::uint64_t* words) const {
    const std::size_t m = segment_->tables().size();
    const unsigned n_bits = segment_->n_bits();
    segment_->to_internal(words, query.words.data());
    query.facets.resize(m);
    query.n_steps = 0;
    query.matches.clear();
    query.settled = 0;
    query.prune_at = 0;
    query.round.clear();
    query.done = false;
    for (std::size_t j = 0; j < m; ++j) {
        const Table& table = segment_->tables()[j];
        const TableLayout& layout = table.layout;
        Facet& facet = query.facets[j];
        facet.key =
            static_cast<std::uint32_t>(bits_at(query.words.data(), layout.start, layout.substring_bits));
        prefetch_cells(table, facet.key);
        facet.address = static_cast<std::uint32_t>(
            ring_bits_at(query.words.data(), n_bits, layout.start, layout.directory_bits));
        const unsigned first = layout.directory_bits - layout.repeated;
        const unsigned stored = std::min(8 * layout.planes, n_bits - first);
        const std::uint64_t residue = ring_bits_at(query.words.data(), n_bits, layout.start + first, stored);
        facet.nibbles.set(stored == 0 ? 0 : residue << (64 - stored), layout.planes);
        if (segment_->residue_form()) {
            facet.mask = (~std::uint64_t{0} << (64 - layout.substring_bits)) >> layout.start;
        }
        std::fill_n(facet.steps.begin(), layout.substring_bits + 1, kNever);
        std::fill_n(facet.entries.begin(), layout.substring_bits + 1, std::uint64_t{0});
        facet.level = -1;
    }
}

void SegmentSearch::begin(Query& query) {
    note_own_buckets(query);
    Plan& plan = query.plan;
    if (query.bound->k() == 0) {
        planner_->plan_radius(query, query.bound->value());
        const bool plans = policy_ == Policy::kAuto || policy_ == Policy::kProbe;
        if (plans && worth_looking_ahead(query)) {
            note_next_buckets(query);
            try_own_buckets(query, query.bound->value());
            planner_->plan_radius(query, query.bound->value());
        }
    } else {
        // Where so many of all codes are wanted, no probing finds them sooner.
        const bool many = query.bound->k() > segment_->n_rows() / kScanShare && policy_ != Policy::kProbe;
        plan.scan = policy_ == Policy::kScan || many;
        plan.radii.assign(segment_->tables().size(), -1);
        plan.expected_probes = plan.expected_candidates = 0;
        plan.probing_ns = plan.scan_ns = 0;
        query.asked_at_once = policy_ == Policy::kProbe;
        query.forecast_ns = 0;
    }
    query.done = plan.scan;
}

bool SegmentSearch::worth_looking_ahead(const Query& query) const {
    const Plan& plan = query.plan;
    if (plan.scan) return plan.scan_ns > kLookAheadScanNs;
    if (!planner_->much_is_alike(query)) return plan.probing_ns > kLookAheadAnywayNs;
    const bool doubted = plan.scan_ns < kDoubtedScans * plan.probing_ns;
    return plan.probing_ns > (doubted ? kLookAheadDoubtedNs : kLookAheadNs);
}

void SegmentSearch::note_own_buckets(Query& query) const {
    for (std::size_t j = 0; j < query.facets.size(); ++j) {
        Facet& facet = query.facets[j];
        facet.entries[0] = bucket_of(*segment_, segment_->tables()[j], facet.key).size();
        facet.level = facet.foreseen = 0;
    }
    planner_->note_own_buckets(query);
}

void SegmentSearch::note_next_buckets(Query& query) {
    for (std::size_t j = 0; j < query.facets.size(); ++j) {
        if (query.facets[j].level >= 1) continue;
        const Table& table = segment_->tables()[j];
        const std::uint32_t key = query.facets[j].key;
        for (unsigned bit = 0; bit < table.layout.substring_bits; ++bit) {
            prefetch_cells(table, key ^ 1U << bit);
        }
    }
    for (std::size_t j = 0; j < query.facets.size(); ++j) {
        const Table& table = segment_->tables()[j];
        Facet& facet = query.facets[j];
        // A table that was asked there has counted them.
        if (facet.level >= 1) continue;
        for (unsigned bit = 0; bit < table.layout.substring_bits; ++bit) {
            facet.entries[1] += bucket_of(*segment_, table, facet.key ^ 1U << bit).size();
        }
        facet.level = facet.foreseen = 1;
    }
}

// How much of what is in the query's own buckets passes, from at most a chunk of each.
void SegmentSearch::try_own_buckets(Query& query, unsigned bound) {
    if (!segment_->residue_form()) return;
    double passed = 0;
    for (std::size_t j = 0; j < query.facets.size(); ++j) {
        const Table& table = segment_->tables()[j];
        const Bucket bucket = bucket_of(*segment_, table, query.facets[j].key);
        if (table.layout.planes == 0 || bucket.size() == 0) continue;
        const std::uint32_t tried = std::min(bucket.size(), kChunkEntries);
        const std::int8_t limit = as_bound(static_cast<int>(bound));
        const std::size_t n =
            filter_residues_(table.blocks, table.layout.planes, query.facets[j].nibbles, bucket.begin,
                             bucket.begin + tried, &limit, 0, survivors_.data());
        passed += static_cast<double>(n) * bucket.size() / tried;
    }
    planner_->note_passing(query, bound, passed);
}

bool SegmentSearch::scan_is_cheaper_at_once(Query& query) {
    if (!segment_->residue_form()) return false;
    const int last = planner_->radius_of_nearest(query);
    if (last < 0) return false;
    try_own_buckets(query, static_cast<unsigned>(last));
    return planner_->scan_is_cheaper_at_once(query, static_cast<unsigned>(last));
}

// Numbers the steps of the round in the order in which they will be taken: a code belongs to the first step
// that meets it, so the numbers must be known before the first probe is compared.
void SegmentSearch::next_round(Query& query) {
    query.round.clear();
    if (query.done) return;
    if (query.bound->k() != 0) {
        next_nearest_round(query);
    } else {
        for (unsigned j = 0; j < query.plan.radii.size(); ++j) {
            for (int e = 0; e <= query.plan.radii[j]; ++e) {
                query.round.push_back({static_cast<std::uint8_t>(j), static_cast<std::uint8_t>(e)});
            }
        }
        query.done = true;
    }
    for (const Step& step : query.round) query.facets[step.table].steps[step.e] = query.n_steps++;
}

// After steps up to radii t_j every code within sum(t_j + 1) - 1 has been met (see Plan), so the answer
// is complete as soon as that reaches the bound, within which k rows are known; a code at exactly the
// bound may still win by its id, and has been met as well.
void SegmentSearch::next_nearest_round(Query& query) {
    Plan& plan = query.plan;
    unsigned complete = 0;
    for (const int radius : plan.radii) complete += static_cast<unsigned>(radius + 1);
    const unsigned bound = query.bound->value();
    plan.scan_ns = planner_->scan_ns(bound, query.bound->k());
    const bool ask = query.bound->k() >= kManyRows || plan.probing_ns > kAtOnceShare * plan.scan_ns;
    if (!query.asked_at_once && ask) {
        query.asked_at_once = true;
        const bool many = query.bound->k() >= kManyRows;
        const bool look_ahead = plan.scan_ns > kLookAheadNs;
        // Where few rows are wanted, own buckets mostly say enough.
        if (look_ahead && many) note_next_buckets(query);
        bool scan = scan_is_cheaper_at_once(query);
        if (scan && look_ahead && !many) {
            note_next_buckets(query);
            scan = scan_is_cheaper_at_once(query);
        }
        if (scan) {
            query.done = plan.scan = true;
            return;
        }
    }
    const double together = plan.probing_ns + std::max(kRoundNs, kRoundShare * plan.probing_ns);
    Growth growth(*planner_, query, plan.radii, bound, query.next_costs);
    for (; complete <= bound; ++complete) {
        const int j = growth.cheapest();
        if (j < 0) {
            query.done = plan.scan = true;
            return;
        }
        const double ns = growth.cost_of(j).ns;
        if (!query.round.empty() && plan.probing_ns + ns > together) return;
        if (policy_ != Policy::kProbe) {
            // What is spent is spent; and small steps are not worth a forecast.
            const bool worth_a_forecast =
                plan.probing_ns + ns > query.forecast_ns + std::max(kForecastNs, 0.05 * plan.scan_ns);
            if (worth_a_forecast) query.forecast_ns = plan.probing_ns + ns;
            if (plan.probing_ns > kMostScans * plan.scan_ns ||
                (worth_a_forecast && planner_->scan_is_cheaper(query))) {
                query.done = plan.scan = true;
                return;
            }
        }
        const StepCost cost = growth.take(j);
        plan.expected_probes += cost.probes;
        plan.expected_candidates += cost.candidates;
        plan.probing_ns += cost.ns;
        query.round.push_back({static_cast<std::uint8_t>(j),
                               static_cast<std::uint8_t>(plan.radii[static_cast<std::size_t>(j)])});
    }
    query.done = query.round.empty();
}

}  // namespace hashnet
