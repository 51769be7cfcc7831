#include "search/plan.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace hashnet {

namespace {

double binomial(unsigned n, unsigned k) {
    if (k > n) return 0;
    return std::exp(std::lgamma(n + 1.0) - std::lgamma(k + 1.0) - std::lgamma(n - k + 1.0));
}

/// binomial(n, k) for the small arguments of substrings, computed once.
double substring_binomial(unsigned n, unsigned k) {
    static const auto table = [] {
        std::array<std::array<double, kMaxDirectoryBits + 1>, kMaxDirectoryBits + 1> values{};
        for (unsigned i = 0; i <= kMaxDirectoryBits; ++i) {
            for (unsigned j = 0; j <= i; ++j) values[i][j] = std::round(binomial(i, j));
        }
        return values;
    }();
    return table[n][k];
}

/// Chance that `n` fair bits differ in at most d places.
double chance_within(unsigned n, int d) {
    static const auto table = [] {
        std::array<std::array<double, 65>, 65> values{};
        for (unsigned i = 0; i <= 64; ++i) {
            double sum = 0;
            for (unsigned j = 0; j <= i; ++j)
                values[i][j] = sum += std::ldexp(binomial(i, j), -static_cast<int>(i));
        }
        return values;
    }();
    if (d < 0) return 0;
    return static_cast<unsigned>(d) >= n ? 1 : table[n][static_cast<std::size_t>(d)];
}

// Buckets that differ by less from what chance puts there say nothing of their neighbours.
constexpr double kChanceSigmas = 2;

// Steps of a k-NN search cost more than those of a radius search for the final bound: at first the bound is
// wider, and every round is waited for.
constexpr double kLooseBound = 1.2;
// Where runs are told, so many codes are located for one that stays in the answer.
constexpr double kRunsTold = 5;
// What costs less than this share of a scan needs no forecast.
constexpr double kSurelyLess = 0.25;

}  // namespace

Planner::Planner(const Segment& segment, Policy policy)
    : segment_(segment), policy_(policy), costs_(Costs::of(segment)) {}

double Planner::scan_ns(unsigned bound, std::uint64_t k) const {
    const double n = segment_.n_distinct();
    const auto d = static_cast<int>(bound);
    double entry_ns = costs_.scan_entry;
    if (segment_.residue_form()) {
        // Sorted codes of a block share about so many bits, by which it may be passed over.
        const auto shared = static_cast<unsigned>(std::log2(std::max(n / kBlockEntries, 1.0)));
        entry_ns += chance_within(shared, d) * costs_.scan_read;
    }
    double nearest = std::sqrt(static_cast<double>(k)) * costs_.scan_nearest;
    if (tells_runs()) nearest += std::sqrt(distinct_of(k)) * costs_.scan_runs;
    return costs_.scan_beginning + n * entry_ns + matches_anywhere(bound) * costs_.scan_match + nearest;
}

bool Planner::tells_runs() const {
    constexpr std::uint32_t kFew = 16;
    return segment_.n_rows() - segment_.n_distinct() > segment_.n_distinct() / kFew;
}

double Planner::distinct_of(std::uint64_t k) const {
    return static_cast<double>(k) * segment_.n_distinct() / std::max<double>(segment_.n_rows(), 1);
}

double Planner::matches_anywhere(unsigned bound) const {
    const unsigned n_bits = segment_.n_bits();
    return n_bits <= 64 ? segment_.n_distinct() * chance_within(n_bits, static_cast<int>(bound)) : 0;
}

double Planner::runs_told_ns(double distinct) const {
    return tells_runs() ? kRunsTold * distinct * costs_.nearest : 0;
}

double Planner::bucket_anywhere(const Table& table) const {
    return segment_.n_distinct() / static_cast<double>(std::uint64_t{1} << table.layout.substring_bits);
}

// A bucket holds what lies anywhere (n / 2^s) and what resembles the query. The second part is known from the
// last distance that was asked; farther away it shrinks as it does around the codes of the database.
double Planner::expected_bucket(const Facet& facet, const Table& table, unsigned e) const {
    const auto& usual = table.mean_bucket;
    const double here = usual[std::min(e, kKnownDistances - 1)];
    if (facet.level < 0 || policy_ == Policy::kUniform) return here;
    const auto level = static_cast<unsigned>(facet.level);
    const unsigned known = std::min(e, level);
    const double buckets = substring_binomial(table.layout.substring_bits, known);
    const double met = static_cast<double>(facet.entries[known]) / buckets;
    if (e <= level) return met;
    const double anywhere = bucket_anywhere(table);
    const double sigma = std::sqrt(anywhere / buckets);
    if (std::abs(met - anywhere) <= kChanceSigmas * sigma) return anywhere;
    const double there = usual[std::min(level, kKnownDistances - 1)] - anywhere;
    const double shrinks = there > 0.1 * anywhere
                               ? std::clamp((here - anywhere) / there, 0.0, 1.0)
                               : std::ldexp(1, static_cast<int>(level) - static_cast<int>(e));
    if (met >= 0.5 * anywhere) return anywhere + (met - anywhere) * shrinks;
    // Emptiness is shared with the neighbours too, and is a matter of factors.
    return anywhere * std::pow(std::max(met / anywhere, 0.01), shrinks);
}

double Planner::excess(const Query& query, unsigned j) const {
    const auto own = static_cast<double>(query.facets[j].entries[0]);
    return std::max(own - bucket_anywhere(segment_.tables()[j]), 0.0);
}

void Planner::note_passing(Query& query, unsigned bound, double passed) const {
    double by_chance = 0;
    double alike = 0;
    for (unsigned j = 0; j < query.facets.size(); ++j) {
        const TableLayout& layout = segment_.tables()[j].layout;
        const unsigned seen = segment_.n_bits() - layout.directory_bits + layout.repeated;
        by_chance +=
            static_cast<double>(query.facets[j].entries[0]) * chance_within(seen, static_cast<int>(bound));
        alike += excess(query, j);
    }
    query.alike_passing = alike > 0 ? std::clamp((passed - by_chance) / alike, 0.0, 1.0) : 0;
}

void Planner::note_own_buckets(Query& query) const {
    query.alike_passing = -1;
    double most = 0;
    query.shared_excess = 0;
    for (unsigned j = 0; j < query.facets.size(); ++j) {
        const double own = excess(query, j);
        query.shared_excess = std::max(query.shared_excess, std::min(most, own));
        most = std::max(most, own);
    }
}

bool Planner::much_is_alike(const Query& query) const {
    constexpr double kSigmas = 3;
    // No excess, no table to tell of chance.
    return query.shared_excess > 0 &&
           query.shared_excess > kSigmas * std::sqrt(bucket_anywhere(segment_.tables()[0]));
}

StepCost Planner::step_cost(const Query& query, unsigned j, unsigned e, unsigned bound) const {
    const Table& table = segment_.tables()[j];
    const TableLayout& layout = table.layout;
    const double mean = expected_bucket(query.facets[j], table, e);
    StepCost cost;
    cost.probes = substring_binomial(layout.substring_bits, e);
    cost.candidates = cost.probes * mean;
    double entry_ns = costs_.entry;
    if (segment_.residue_form()) {
        // Entries that lie anywhere pass by chance.
        const unsigned seen = segment_.n_bits() - layout.directory_bits + layout.repeated;
        entry_ns += chance_within(seen, static_cast<int>(bound) - static_cast<int>(e)) * costs_.survivor;
        // What a bucket holds beyond that may resemble the query: as if two bits of three were equal for
        // certain. Whatever does is found through several tables; what only one of them holds has the
        // substring in common and nothing else.
        const double alike = std::max(mean - bucket_anywhere(table), 0.0) * cost.probes;
        double passing = chance_within(seen / 3, static_cast<int>(bound) - static_cast<int>(e));
        if (query.alike_passing >= 0) {
            passing *= query.alike_passing / chance_within(seen / 3, static_cast<int>(bound));
        } else if (const double beyond = excess(query, j); beyond > 0) {
            passing *= std::min(query.shared_excess / beyond, 1.0);
        }
        cost.verifying_ns = alike * passing * costs_.survivor;
    }
    cost.ns = cost.probes * (costs_.probe + Costs::far_probe(layout)) + cost.candidates * entry_ns;
    return cost;
}

Growth::Growth(const Planner& planner, const Query& query, std::vector<int>& radii, unsigned bound,
               std::vector<StepCost>& next)
    : planner_(planner), query_(query), radii_(radii), next_(next), bound_(bound) {
    next_.resize(radii.size());
    for (unsigned j = 0; j < radii.size(); ++j) foretell(j);
}

void Growth::foretell(unsigned j) {
    const auto e = static_cast<unsigned>(radii_[j] + 1);
    if (e > planner_.segment().tables()[j].layout.substring_bits) {
        next_[j].ns = std::numeric_limits<double>::infinity();
    } else {
        next_[j] = planner_.step_cost(query_, j, e, bound_);
    }
}

int Growth::cheapest() const {
    int best = -1;
    double least = std::numeric_limits<double>::infinity();
    for (unsigned j = 0; j < next_.size(); ++j) {
        double cost = next_[j].ns;
        // Equal radii first of all; the mean cost decides who goes first.
        if (planner_.policy() == Policy::kUniform) cost += (radii_[j] + 1) * 1e30;
        if (cost < least) {
            least = cost;
            best = static_cast<int>(j);
        }
    }
    return best;
}

StepCost Growth::take(int j) {
    const auto at = static_cast<unsigned>(j);
    const StepCost cost = next_[at];
    ++radii_[at];
    foretell(at);
    return cost;
}

void Planner::plan_radius(Query& query, unsigned radius) const {
    Plan& plan = query.plan;
    plan.scan = policy_ == Policy::kScan;
    plan.radii.assign(segment_.tables().size(), -1);
    plan.expected_probes = plan.expected_candidates = 0;
    plan.probing_ns = costs_.beginning + matches_anywhere(radius) * costs_.match;
    plan.scan_ns = scan_ns(radius, 0);
    if (plan.scan) return;
    Growth growth(*this, query, plan.radii, radius, query.next_costs);
    for (unsigned increment = 0; !plan.scan && increment <= radius; ++increment) {
        const int j = growth.cheapest();
        if (j < 0) {
            // Only a segment without tables gets here: with any, sum(s_j + 1) = n_bits + m > radius.
            plan.scan = true;
            return;
        }
        const StepCost cost = growth.take(j);
        plan.expected_probes += cost.probes;
        plan.expected_candidates += cost.candidates;
        plan.probing_ns += cost.ns + cost.verifying_ns;
        // Keeping on would only tell by how much a scan is cheaper.
        if (policy_ != Policy::kProbe && plan.probing_ns > plan.scan_ns) plan.scan = true;
    }
    if (plan.scan) std::fill(plan.radii.begin(), plan.radii.end(), -1);
}

// Forecast of the final radius: rows met at distance d, divided by the chance to have met one, estimate
// the rows there are; the answer ends where their sum reaches k. The true bound is never above value().
bool Planner::scan_is_cheaper(Query& query) const {
    const Bound& bound = *query.bound;
    const std::vector<double> chances = chances_met(query.plan.radii, bound.value());
    double rows = 0;
    unsigned last = 0;
    for (; last < bound.value(); ++last) {
        rows += static_cast<double>(bound.known(last)) / std::max(chances[last], 1e-9);
        if (rows >= static_cast<double>(bound.k())) break;
    }
    return probing_exceeds_scan(query, last, 1);
}

Planner::Alike Planner::alike(const Query& query) const {
    constexpr double kChance = 1.25;
    double own = 0;
    double anywhere = 0;
    double most = 0;
    Alike alike;
    unsigned most_bits = 0;
    for (unsigned j = 0; j < query.facets.size(); ++j) {
        const Facet& facet = query.facets[j];
        const double by_chance = bucket_anywhere(segment_.tables()[j]);
        own += static_cast<double>(facet.entries[0]);
        anywhere += by_chance;
        const double here = excess(query, j);
        if (here <= most) continue;
        most = here;
        const unsigned s = segment_.tables()[j].layout.substring_bits;
        const double next = static_cast<double>(facet.entries[1]) - s * by_chance;
        // Before the next buckets are known, any number may be alike.
        alike.odds = facet.level < 1 ? 1 : std::clamp(next / (s * here), 0.0, 1.0);
        most_bits = s;
    }
    if (own > kChance * anywhere) alike.codes = most * std::pow(1 + alike.odds, most_bits);
    return alike;
}

Planner::Alike Planner::usually_alike() const {
    constexpr double kLess = 0.5;
    Alike usual;
    for (const Table& table : segment_.tables()) {
        const double here = table.mean_bucket[0] - bucket_anywhere(table);
        const double next = table.mean_bucket[1] - bucket_anywhere(table);
        if (here <= 0.1 * bucket_anywhere(table)) continue;
        const double odds = std::clamp(next / here, 0.0, 1.0);
        const double codes = kLess * here * std::pow(1 + odds, table.layout.substring_bits);
        if (codes > usual.codes) usual = {codes, odds};
    }
    return usual;
}

// The answer holds what resembles the query, whose bits differ with the odds that its buckets tell, and
// whatever random codes are as near. Without runs a bucket holds a few codes of each cluster or none: one
// that tells of less than is usual may have missed.
int Planner::radius_of_nearest(const Query& query) const {
    Alike near = alike(query);
    const double k = distinct_of(query.bound->k());
    if (tells_runs()) {
        // Locating many runs may cost more than a scan even so.
        if (near.codes >= k && runs_told_ns(k) < kSurelyLess * scan_ns(0, query.bound->k())) return -1;
    } else {
        if (const Alike usual = usually_alike(); near.codes < usual.codes) near = usual;
        if (near.codes >= k) return -1;
    }
    const unsigned n_bits = segment_.n_bits();
    double here = std::pow(1 + near.odds, -static_cast<double>(n_bits));
    double within = here;
    unsigned last = 0;
    for (; last < n_bits; ++last) {
        if (near.codes * within + matches_anywhere(last) >= k) break;
        here *= near.odds * (n_bits - last) / (last + 1);
        within += here;
    }
    return static_cast<int>(last);
}

bool Planner::scan_is_cheaper_at_once(Query& query, unsigned last) const {
    return probing_exceeds_scan(query, last, kLooseBound);
}

bool Planner::probing_exceeds_scan(Query& query, unsigned last, double loose) const {
    unsigned complete = 0;
    for (const int radius : query.plan.radii) complete += static_cast<unsigned>(radius + 1);
    std::vector<int> radii = query.plan.radii;
    std::vector<StepCost> next;
    Growth growth(*this, query, radii, last, next);
    query.plan.scan_ns = scan_ns(last, query.bound->k());
    const double distinct = distinct_of(query.bound->k());
    double ns = std::max(matches_anywhere(last), distinct) * costs_.nearest + runs_told_ns(distinct);
    for (; complete <= last; ++complete) {
        const int j = growth.cheapest();
        if (j < 0) return true;
        const StepCost cost = growth.take(j);
        ns += loose * (cost.ns + cost.verifying_ns);
        if (ns > query.plan.scan_ns) return true;
    }
    return false;
}

std::vector<double> Planner::chances_met(const std::vector<int>& radii, unsigned up_to) const {
    // Coefficients of the product over j of sum over e > t_j of C(s_j, e) x^e.
    std::vector<double> ways(up_to + 1, 0);
    std::vector<double> next(up_to + 1);
    ways[0] = 1;
    for (std::size_t j = 0; j < radii.size(); ++j) {
        const unsigned s = segment_.tables()[j].layout.substring_bits;
        std::fill(next.begin(), next.end(), 0);
        for (unsigned have = 0; have <= up_to; ++have) {
            if (ways[have] == 0) continue;
            for (auto e = static_cast<unsigned>(radii[j] + 1); e <= s && have + e <= up_to; ++e) {
                next[have + e] += ways[have] * substring_binomial(s, e);
            }
        }
        ways.swap(next);
    }
    // C(1024, 512) is below 1e307, so the largest code still fits a double.
    double altogether = 1;
    for (unsigned d = 0; d <= up_to; ++d) {
        ways[d] = 1 - std::min(1.0, ways[d] / altogether);
        altogether *= static_cast<double>(segment_.n_bits() - d) / (d + 1);
    }
    return ways;
}

}  // namespace hashnet
