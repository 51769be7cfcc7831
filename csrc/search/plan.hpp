// What a query will do in a segment, and what that should cost: substring radii, or a scan.
#pragma once

#include <cstdint>
#include <vector>

#include "search/query.hpp"
#include "storage/segment.hpp"

namespace hashnet {

/// Expected cost of asking a table at substring distance exactly `e`.
struct StepCost {
    double probes = 0;
    double candidates = 0;
    double ns = 0;
};

/// Plans one query after the other in one segment.
class Planner {
  public:
    Planner(const Segment& segment, Policy policy);

    double scan_ns() const { return scan_ns_; }

    /// Cost of table j at distance e, foretold from the buckets that the query has met so far.
    StepCost step_cost(const Query& query, unsigned j, unsigned e) const;

    /// The table to ask next, given the radii so far: the cheapest one; -1 when every table is exhausted.
    int next_table(const Query& query, const std::vector<int>& radii) const;

    /// Substring radii for a radius search into query.plan, grown from -1 by the next table, or a scan where
    /// that is expected to cost less.
    void plan_radius(Query& query, unsigned radius) const;

    /// True when the steps that a k-NN search still needs will cost more than a scan does.
    bool scan_is_cheaper(const Query& query) const;

    /// For each distance from 0 to `up_to`, the chance that a code there has been met by tables asked up to
    /// `radii`, if the differing bits lie anywhere with equal chance: 1 - (ways in which every substring j
    /// differs in more than radii_j bits) / (ways altogether).
    std::vector<double> chances_met(const std::vector<int>& radii, unsigned up_to) const;

  private:
    double expected_bucket(const Facet& facet, const Table& table, unsigned e) const;

    const Segment& segment_;
    Policy policy_;
    double scan_ns_;
};

}  // namespace hashnet
