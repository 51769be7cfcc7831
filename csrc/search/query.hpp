// One query in one segment: how its tables see it, what it plans, what it has found.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "codes.hpp"
#include "kernels/residue.hpp"
#include "search/collector.hpp"
#include "search/guess.hpp"
#include "storage/layout.hpp"

namespace hashnet {

/// What decides between probing and scanning, and how substring radii are chosen. All give one answer.
enum class Policy {
    kAuto,     // the cheapest, as the bucket counts of the query foretell
    kProbe,    // never scan, where there are tables
    kScan,     // always scan
    kUniform,  // as kAuto, but radii as equal as they can be, as in Norouzi et al., TPAMI 2014
};

/// What a query cost, summed over segments.
struct SearchCounters {
    std::uint64_t probes = 0;      // buckets looked up
    std::uint64_t candidates = 0;  // entries whose residue was compared
    std::uint64_t verified = 0;    // entries that passed and whose full distance was computed
    std::uint64_t matches = 0;     // distinct codes that entered the answer, before it was cut to k
    bool scanned = false;
};

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

/// Expected cost of asking a table at one substring distance.
struct StepCost {
    double probes = 0;
    double candidates = 0;
    double ns = 0;
    /// For verifying what resembles the query. Some table has to do it, whichever comes first.
    double verifying_ns = 0;
};

inline constexpr std::uint16_t kNever = 0xFFFF;
inline constexpr std::uint32_t kNotLocated = 0xFFFFFFFFU;

/// The query as one table sees it.
struct Facet {
    std::uint32_t key = 0;      // its substring
    std::uint32_t address = 0;  // its directory address
    std::uint64_t mask = 0;     // the substring's place in a code of one word
    NibbleTables nibbles;
    /// steps[e]: when the table was asked at substring distance e, counted from 0; kNever if not.
    std::array<std::uint16_t, kMaxDirectoryBits + 1> steps;
    /// entries[e]: candidates met there, for e up to `level`, the last distance that is known; -1 for none.
    std::array<std::uint64_t, kMaxDirectoryBits + 1> entries;
    int level = -1;
    /// The distance up to which entries were counted before any probe.
    int foreseen = -1;
};

/// A distinct code of the answer; in residue form it may still have to be located in table 0.
struct Match {
    std::uint64_t code;
    std::uint32_t position;
    std::uint32_t distance;
};

/// A table asked at one substring distance.
struct Step {
    std::uint8_t table;
    std::uint8_t e;
};

/// One query on its way through a segment. `bound`, `hits`, `counters` outlive it and pass from segment to
/// segment; the rest is working memory, kept between queries because allocating it took longer than an easy
/// query.
struct Query {
    Bound* bound = nullptr;
    /// Null where rows are only counted.
    std::vector<Hit>* hits = nullptr;
    SearchCounters* counters = nullptr;
    std::uint64_t rows_counted = 0;

    std::array<std::uint64_t, kMaxWords> words{};  // in the bit order of the segment
    std::vector<Facet> facets;
    double shared_excess = 0;   // of own buckets over chance, the second most of any table
    double alike_passing = -1;  // share of it that passes, where that was tried; else -1
    std::uint16_t n_steps = 0;
    Plan plan;
    std::vector<StepCost> next_costs;  // of every table, while a plan grows
    std::vector<Step> round;           // the steps under way
    double forecast_ns = 0;            // spent on probing at the last forecast of the final radius
    bool asked_at_once = false;        // whether a scan would have been better from the start
    bool done = false;                 // no more probes, whether or not a scan follows
    std::vector<Match> matches;
    std::size_t settled = 0;   // matches whose whole run the bound has been told
    BoundGuess guess;          // at where a scan will end
    std::size_t prune_at = 0;  // matches from which a scan drops those beyond the bound
};

}  // namespace hashnet
