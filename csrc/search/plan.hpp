// What a query will do in a segment, and what that should cost: substring radii, or a scan.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "storage/segment.hpp"

namespace hashnet {

/// Substring radii t_j >= -1, one for each table (-1: the table is not asked), or a scan.
///
/// A probing plan for radius r is complete when sum(t_j + 1) = r + 1 (general pigeonhole principle):
/// a code that no table meets differs from the query in at least t_j + 1 bits of every substring j,
/// and the substrings are disjoint, so in at least r + 1 bits altogether.
struct Plan {
    bool scan = false;
    std::vector<int> radii;
    double expected_probes = 0;
    double expected_candidates = 0;
    double probing_ns = 0;
    double scan_ns = 0;
};

/// Expected cost of asking `table` at substring distance exactly `e`.
struct StepCost {
    double probes = 0;
    double candidates = 0;
    double ns = 0;
};
StepCost step_cost(const Table& table, unsigned e);

double scan_cost_ns(const Segment& segment);

/// The table whose next substring radius is the cheapest, given the radii so far; -1 when every table
/// is exhausted.
int cheapest_table(const Segment& segment, const std::vector<int>& radii);

/// Substring radii for a radius search, grown greedily from -1 by the cheapest step, or a scan where
/// that is expected to cost less.
Plan plan_radius(const Segment& segment, unsigned radius);

/// For each distance from 0 to `up_to`, the chance that a code there has been met by tables asked up to
/// `radii`, if the differing bits lie anywhere with equal chance: 1 - (ways in which every substring j
/// differs in more than radii_j bits) / (ways altogether).
std::vector<double> chances_met(const Segment& segment, const std::vector<int>& radii, unsigned up_to);

}  // namespace hashnet
