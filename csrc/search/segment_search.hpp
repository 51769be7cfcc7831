// A few queries in one segment together: probes, verification, and each match exactly once.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/bounds.hpp"
#include "kernels/find.hpp"
#include "kernels/residue.hpp"
#include "kernels/rows.hpp"
#include "search/plan.hpp"
#include "search/query.hpp"
#include "storage/segment.hpp"

namespace hashnet {

/// Queries that are searched together, so that the cache misses of one pass while another computes, and a
/// scan reads every code once for all of them.
inline constexpr std::size_t kGroup = 16;

/// Searches segments with a group of queries at a time. Holds the working memory, so keep one for each
/// thread.
class SegmentSearch {
  public:
    SegmentSearch();

    /// The query at place `i` < kGroup: set its bound, hits and counters before run().
    Query& query(std::size_t i) { return queries_[i]; }

    /// Appends the rows of `segment` within the bound of each of the first `n` queries, whose codes are
    /// `words[i]` (external order), to their hits, in no order; or counts them, where hits is null. For k-NN
    /// the bound falls while rows are found, and every row within its final value has been appended, unless
    /// k rows of the same code and smaller ids have; rows beyond it may have been.
    void run(const Segment& segment, const std::uint64_t* const* words, std::size_t n, Policy policy);

  private:
    static constexpr std::size_t kRing = 64;

    /// One bucket to look up for one query.
    struct Probe {
        std::uint32_t key;
        std::uint32_t begin;
        std::uint32_t end;
        std::uint16_t step;
        std::uint8_t query;
        std::uint8_t table;
        std::uint8_t e;
    };

    /// A row of a long code that passed its bucket and is being fetched.
    struct Row {
        std::uint32_t position;
        std::uint16_t step;
        std::uint8_t query;
    };

    /// A query that scans: it wants codes farther than `beyond` and within its bound and the guess at it.
    struct Scan {
        Query* query;
        unsigned guess;
        int beyond;
    };

    // Planning, one query at a time (segment_search.cpp).
    void prepare(Query& query, const std::uint64_t* words) const;
    void note_own_buckets(Query& query) const;
    bool worth_looking_ahead(const Query& query) const;
    void note_next_buckets(Query& query);
    void try_own_buckets(Query& query, unsigned bound);
    bool scan_is_cheaper_at_once(Query& query);
    void begin(Query& query);
    void next_round(Query& query);
    void next_nearest_round(Query& query);

    // Probing (probing.cpp).
    void probe(std::uint8_t query, Step step);
    void push(const Probe& probe);
    void advance();
    void drain();
    void compare_next();
    std::size_t bytes_of(const Probe& probe) const;
    void resolve(Probe& probe);
    void fetch(const Probe& probe);
    void compare(const Probe& probe);
    void verify_residues(Query& query, const Probe& probe, std::size_t n);
    void collect_rows(const Probe& probe);
    void verify_rows(std::size_t n);
    std::uint16_t first_met(const Query& query, const std::uint64_t* difference) const;
    std::uint64_t code_from(const Table& table, std::uint64_t address, std::uint32_t position) const;

    // Scanning (segment_scan.cpp).
    void scan(std::size_t n);
    void fetch_piece(std::uint64_t first) const;
    void sample(Scan& one, std::uint32_t chunk);
    bool scan_chunk(const Scan& one, std::uint32_t chunk, std::uint32_t begin, std::uint32_t end);
    void scan_residues(const Scan& one, std::uint32_t begin, std::uint32_t n);
    std::size_t measure_survivors(const Scan& one, std::size_t n);
    void scan_rows(const Scan& one, std::uint32_t first, std::uint32_t n);

    // Matches (matches.cpp).
    void add(Query& query, std::uint64_t code, std::uint32_t position, unsigned distance);
    void settle(Query& query);
    void put_away(Query& query);
    void forget(Query& query, int distance) const;
    void locate(Match* first, Match* last) const;
    std::uint32_t position_of(std::uint64_t code) const;
    void count_matches(Query& query);
    void emit_hits(Query& query);

    FilterResidues filter_residues_;
    FilterRows filter_rows_;
    FindResidue find_residue_;
    BlockBounds block_bounds_;
    const Segment* segment_ = nullptr;
    const Planner* planner_ = nullptr;
    Policy policy_ = Policy::kAuto;
    std::array<Query, kGroup> queries_;
    /// Probes on their way, so that their cache misses overlap: from `resolved_` on the cells of the
    /// directory are being fetched, from `compared_` on the buckets.
    std::array<Probe, kRing> ring_;
    std::size_t pushed_ = 0;
    std::size_t resolved_ = 0;
    std::size_t compared_ = 0;
    std::size_t bytes_ahead_ = 0;
    std::vector<Survivor> survivors_;
    std::vector<std::uint32_t> cells_of_survivors_;
    std::vector<Row> rows_on_their_way_;
};

}  // namespace hashnet
