#include "search/plan.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace hashnet {

namespace {

// Nanoseconds, measured by benchmarks/bench_planner.py on one core of the development machine; only
// their ratios matter. A probe reads the directory, a bucket that is not empty costs the start of the
// kernel and a cache miss, an entry its share of the shuffles.
constexpr double kProbeNs = 6.0;
constexpr double kBucketNs = 24.0;
constexpr double kEntryPlaneNs = 0.06;
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

}  // namespace

StepCost step_cost(const Table& table, unsigned e) {
    const double mean = table.mean_bucket[std::min(e, kKnownDistances - 1)];
    StepCost cost;
    cost.probes = substring_binomial(table.layout.substring_bits, e);
    cost.candidates = cost.probes * mean;
    // Beyond small radii a signature rejects little, so every row is counted as verified.
    const double entry_ns = kEntryPlaneNs * table.layout.planes + (table.positions != nullptr ? kRowNs : 0);
    cost.ns = cost.probes * (kProbeNs + std::min(mean, 1.0) * kBucketNs) + cost.candidates * entry_ns;
    return cost;
}

double scan_cost_ns(const Segment& segment) {
    const double n = segment.n_distinct();
    if (!segment.residue_form()) return kScanFixedNs + n * (kScanRowNs + segment.n_words() * kScanRowWordNs);
    return kScanFixedNs + n * std::max(segment.tables()[0].layout.planes, 1U) * kScanEntryPlaneNs;
}

int cheapest_table(const Segment& segment, const std::vector<int>& radii) {
    int best = -1;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t j = 0; j < radii.size(); ++j) {
        const auto next = static_cast<unsigned>(radii[j] + 1);
        if (next > segment.tables()[j].layout.substring_bits) continue;
        const double ns = step_cost(segment.tables()[j], next).ns;
        if (ns < least) {
            least = ns;
            best = static_cast<int>(j);
        }
    }
    return best;
}

Plan plan_radius(const Segment& segment, unsigned radius) {
    Plan plan;
    plan.scan_ns = scan_cost_ns(segment);
    plan.radii.assign(segment.tables().size(), -1);
    for (unsigned increment = 0; increment <= radius; ++increment) {
        const int j = cheapest_table(segment, plan.radii);
        if (j < 0) {
            // Only a segment without tables gets here: with any, sum(s_j + 1) = n_bits + m > radius.
            plan.scan = true;
            return plan;
        }
        auto& grown = plan.radii[static_cast<std::size_t>(j)];
        ++grown;
        const StepCost cost =
            step_cost(segment.tables()[static_cast<std::size_t>(j)], static_cast<unsigned>(grown));
        plan.expected_probes += cost.probes;
        plan.expected_candidates += cost.candidates;
        plan.probing_ns += cost.ns;
        // Keeping on would only tell by how much a scan is cheaper.
        if (plan.probing_ns > plan.scan_ns) {
            plan.scan = true;
            return plan;
        }
    }
    return plan;
}

std::vector<double> chances_met(const Segment& segment, const std::vector<int>& radii, unsigned up_to) {
    // Coefficients of the product over j of sum over e > t_j of C(s_j, e) x^e.
    std::vector<double> ways(up_to + 1, 0);
    std::vector<double> next(up_to + 1);
    ways[0] = 1;
    for (std::size_t j = 0; j < radii.size(); ++j) {
        const unsigned s = segment.tables()[j].layout.substring_bits;
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
        altogether *= static_cast<double>(segment.n_bits() - d) / (d + 1);
    }
    return ways;
}

}  // namespace hashnet
