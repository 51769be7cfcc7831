// What a query will do in a segment, and what that should cost: substring radii, or a scan.
#pragma once

#include <cstdint>
#include <vector>

#include "search/costs.hpp"
#include "search/query.hpp"
#include "storage/segment.hpp"

namespace hashnet {

/// Plans one query after the other in one segment.
class Planner {
  public:
    Planner(const Segment& segment, Policy policy);

    const Segment& segment() const { return segment_; }
    Policy policy() const { return policy_; }

    /// Expected cost of a scan for what lies within `bound`, where `k` rows are wanted, or all if it is 0.
    double scan_ns(unsigned bound, std::uint64_t k) const;

    /// Where codes repeat, a k-NN search tells its bound the length of each run that it meets: the run lies
    /// behind three dependent cache misses. Where few do, only of one row each: the bound then falls a little
    /// later, and most matches that it leaves behind need not be located.
    bool tells_runs() const;

    /// Takes note of the sizes of the query's own buckets, which its facets know.
    void note_own_buckets(Query& query) const;

    /// Whether the own buckets of two tables hold more than chance puts there.
    bool much_is_alike(const Query& query) const;

    /// Takes note of how many entries of these buckets passed, all tables together, where codes within
    /// `bound` are wanted.
    void note_passing(Query& query, unsigned bound, double passed) const;

    /// Cost of table j at distance e, foretold from the buckets that the query has met so far, where codes
    /// within `bound` are wanted.
    StepCost step_cost(const Query& query, unsigned j, unsigned e, unsigned bound) const;

    /// Substring radii for a radius search into query.plan, grown from -1 by the next table, or a scan where
    /// that is expected to cost less.
    void plan_radius(Query& query, unsigned radius) const;

    /// The radius within which a k-NN search that knows the sizes of its own buckets, and perhaps of the
    /// next, should find its rows; -1 where so much resembles the query that no scan can be cheaper.
    int radius_of_nearest(const Query& query) const;

    /// True when a k-NN search that should end at radius `last` should scan rather than begin to probe.
    bool scan_is_cheaper_at_once(Query& query, unsigned last) const;

    /// True when the steps that a k-NN search still needs will cost more than a scan does.
    bool scan_is_cheaper(Query& query) const;

    /// For each distance from 0 to `up_to`, the chance that a code there has been met by tables asked up to
    /// `radii`, if the differing bits lie anywhere with equal chance: 1 - (ways in which every substring j
    /// differs in more than radii_j bits) / (ways altogether).
    std::vector<double> chances_met(const std::vector<int>& radii, unsigned up_to) const;

  private:
    /// Whether growing the radii of the query until all within `last` is met, at `loose` times what the steps
    /// are foretold to cost, costs more than a scan.
    bool probing_exceeds_scan(Query& query, unsigned last, double loose) const;
    /// Distinct codes that usually hold k rows.
    double distinct_of(std::uint64_t k) const;
    /// What a k-NN search by probing spends on the runs of codes that do not stay in its answer of
    /// `distinct`.
    double runs_told_ns(double distinct) const;
    /// Distinct codes within `bound` of any query, if codes are random.
    double matches_anywhere(unsigned bound) const;
    double bucket_anywhere(const Table& table) const;
    /// About how many codes resemble a query, and with which odds each of their bits differs from it.
    struct Alike {
        double codes = 0;
        double odds = 0;
    };
    /// From the table whose own bucket holds most beyond chance: if each bit of such a code differs with the
    /// same odds, `a / (1 + odds)^s` of `a` are in that bucket of s bits, and `s * odds` times as many one
    /// bit away. None, where own buckets hold what chance puts there.
    Alike alike(const Query& query) const;
    /// Half as many as resemble a code of the database on average, with their odds. What own buckets tell of
    /// one query is little where each holds a few clusters or none.
    Alike usually_alike() const;
    /// Entries of the query's own bucket in table j beyond what chance puts there.
    double excess(const Query& query, unsigned j) const;
    double expected_bucket(const Facet& facet, const Table& table, unsigned e) const;

    const Segment& segment_;
    Policy policy_;
    Costs costs_;
};

/// Grows substring radii one step at a time; only the cost of the table that grew is foretold anew. `next` is
/// its working memory.
class Growth {
  public:
    Growth(const Planner& planner, const Query& query, std::vector<int>& radii, unsigned bound,
           std::vector<StepCost>& next);

    /// The table whose next step is the cheapest; -1 when every table is exhausted.
    int cheapest() const;
    const StepCost& cost_of(int j) const { return next_[static_cast<std::size_t>(j)]; }
    /// Grows the radius of table j and returns what that step should cost.
    StepCost take(int j);

  private:
    void foretell(unsigned j);

    const Planner& planner_;
    const Query& query_;
    std::vector<int>& radii_;
    std::vector<StepCost>& next_;
    unsigned bound_;
};

}  // namespace hashnet
