#include "search/plan.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace hashnet {

namespace {

// Nanoseconds, measured by benchmarks/bench_planner.py on one core of the development machine; only
// their ratios matter. A probe reads the directory, a bucket that is not empty costs the start of the
// kernel and a cache miss, an entry its share of the shuffles.
constexpr double kProbeNs = 6.0;
constexpr double kBucketNs = 24.0;
constexpr double kEntryPlaneNs = 0.03;
constexpr double kRowNs = 18.0;
constexpr double kScanEntryPlaneNs = 0.033;
constexpr double kScanRowNs = 0.9;
constexpr double kScanRowWordNs = 0.1;
constexpr double kScanFixedNs = 500.0;

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

double scan_cost_ns(const Segment& segment) {
    const double n = segment.n_distinct();
    if (!segment.residue_form()) return kScanFixedNs + n * (kScanRowNs + segment.n_words() * kScanRowWordNs);
    return kScanFixedNs + n * std::max(segment.tables()[0].layout.planes, 1U) * kScanEntryPlaneNs;
}

}  // namespace

Planner::Planner(const Segment& segment, Policy policy)
    : segment_(segment), policy_(policy), scan_ns_(scan_cost_ns(segment)) {}

// A bucket holds what lies anywhere (n / 2^s) and what resembles the query. The second part is known from the
// last distance that was asked; farther away it shrinks as it does around the codes of the database.
double Planner::expected_bucket(const Facet& facet, const Table& table, unsigned e) const {
    const auto& usual = table.mean_bucket;
    const double here = usual[std::min(e, kKnownDistances - 1)];
    if (facet.level < 0 || policy_ == Policy::kUniform) return here;
    const auto level = static_cast<unsigned>(facet.level);
    const double anywhere = std::ldexp(static_cast<double>(segment_.n_distinct()),
                                       -static_cast<int>(table.layout.substring_bits));
    const double met =
        static_cast<double>(facet.entries[level]) / substring_binomial(table.layout.substring_bits, level);
    const double there = usual[std::min(level, kKnownDistances - 1)] - anywhere;
    const double shrinks = there > 0.1 * anywhere
                               ? std::clamp((here - anywhere) / there, 0.0, 1.0)
                               : std::ldexp(1, static_cast<int>(level) - static_cast<int>(e));
    return std::max(anywhere + (met - anywhere) * shrinks, 0.05 * anywhere);
}

StepCost Planner::step_cost(const Query& query, unsigned j, unsigned e) const {
    const Table& table = segment_.tables()[j];
    const double mean = expected_bucket(query.facets[j], table, e);
    StepCost cost;
    cost.probes = substring_binomial(table.layout.substring_bits, e);
    cost.candidates = cost.probes * mean;
    // Beyond small radii a signature rejects little, so every row is counted as verified.
    const double entry_ns = kEntryPlaneNs * table.layout.planes + (table.positions != nullptr ? kRowNs : 0);
    cost.ns = cost.probes * (kProbeNs + std::min(mean, 1.0) * kBucketNs) + cost.candidates * entry_ns;
    return cost;
}

int Planner::next_table(const Query& query, const std::vector<int>& radii) const {
    int best = -1;
    double least = std::numeric_limits<double>::infinity();
    for (unsigned j = 0; j < radii.size(); ++j) {
        const auto next = static_cast<unsigned>(radii[j] + 1);
        if (next > segment_.tables()[j].layout.substring_bits) continue;
        double cost = step_cost(query, j, next).ns;
        // Equal radii first of all; the mean cost decides who goes first.
        if (policy_ == Policy::kUniform) cost = next * 1e30 + cost;
        if (cost < least) {
            least = cost;
            best = static_cast<int>(j);
        }
    }
    return best;
}

void Planner::plan_radius(Query& query, unsigned radius) const {
    Plan& plan = query.plan;
    plan.scan = policy_ == Policy::kScan;
    plan.radii.assign(segment_.tables().size(), -1);
    plan.expected_probes = plan.expected_candidates = plan.probing_ns = 0;
    plan.scan_ns = scan_ns_;
    for (unsigned increment = 0; !plan.scan && increment <= radius; ++increment) {
        const int j = next_table(query, plan.radii);
        if (j < 0) {
            // Only a segment without tables gets here: with any, sum(s_j + 1) = n_bits + m > radius.
            plan.scan = true;
            return;
        }
        auto& grown = plan.radii[static_cast<std::size_t>(j)];
        ++grown;
        const StepCost cost = step_cost(query, static_cast<unsigned>(j), static_cast<unsigned>(grown));
        plan.expected_probes += cost.probes;
        plan.expected_candidates += cost.candidates;
        plan.probing_ns += cost.ns;
        // Keeping on would only tell by how much a scan is cheaper.
        if (policy_ != Policy::kProbe && plan.probing_ns > plan.scan_ns) plan.scan = true;
    }
    if (plan.scan) std::fill(plan.radii.begin(), plan.radii.end(), -1);
}

// Forecast of the final radius: rows met at distance d, divided by the chance to have met one, estimate
// the rows there are; the answer ends where their sum reaches k. The true bound is never above value().
bool Planner::scan_is_cheaper(const Query& query) const {
    const Bound& bound = *query.bound;
    unsigned complete = 0;
    for (const int radius : query.plan.radii) complete += static_cast<unsigned>(radius + 1);
    const std::vector<double> chances = chances_met(query.plan.radii, bound.value());
    double rows = 0;
    unsigned last = 0;
    for (; last < bound.value(); ++last) {
        rows += static_cast<double>(bound.known(last)) / std::max(chances[last], 1e-9);
        if (rows >= static_cast<double>(bound.k())) break;
    }
    std::vector<int> radii = query.plan.radii;
    double ns = 0;
    for (; complete <= last; ++complete) {
        const int j = next_table(query, radii);
        if (j < 0) return true;
        const auto at = static_cast<std::size_t>(j);
        ns += step_cost(query, static_cast<unsigned>(j), static_cast<unsigned>(++radii[at])).ns;
        if (ns > scan_ns_) return true;
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
