// Many queries over many segments on many threads; every answer ascending (distance, id).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "codes.hpp"
#include "parallel.hpp"
#include "search/query.hpp"
#include "storage/segment.hpp"

namespace hashnet {

/// Hits side by side; memory that is not written twice.
struct HitArrays {
    HitArrays() = default;
    explicit HitArrays(std::size_t n) : size(n), distances(new std::int32_t[n]), ids(new std::int64_t[n]) {}

    std::size_t size = 0;
    std::unique_ptr<std::int32_t[]> distances;
    std::unique_ptr<std::int64_t[]> ids;
};

/// Hamming balls as compressed sparse rows: query q owns [offsets[q], offsets[q + 1]).
struct BallArrays {
    std::vector<std::int64_t> offsets;
    HitArrays hits;
};

/// What one query did in one segment.
struct SegmentReport {
    Plan plan;
    SearchCounters counters;
    double ns = 0;
};

/// Id and distance of a neighbour that does not exist, because there are fewer than k rows.
inline constexpr std::int64_t kPadId = -1;
inline constexpr std::int32_t kPadDistance = 0x7FFFFFFF;

/// Read-only view of segments of equal n_bits; safe to use from many threads at once. `poll` is called now
/// and then by the calling thread and may throw, which ends the search.
class Searcher {
  public:
    explicit Searcher(std::vector<std::shared_ptr<const Segment>> segments);

    std::uint64_t n_rows() const { return n_rows_; }
    /// Of its segments; 0 where there are none.
    unsigned n_bits() const { return segments_.empty() ? 0 : segments_.front()->n_bits(); }

    /// Writes `queries.n` rows of `k` neighbours; rows that do not exist become pads, as do those of query q
    /// beyond within[q], where `within` is not null.
    void nearest(CodesView queries, std::uint64_t k, const std::int32_t* within, unsigned threads,
                 std::int32_t* distances, std::int64_t* ids, const Poll& poll = {}) const;

    BallArrays balls(CodesView queries, unsigned radius, unsigned threads, const Poll& poll = {}) const;

    /// Writes the number of rows within `radius` of each query; no answer is made.
    void count(CodesView queries, unsigned radius, unsigned threads, std::int64_t* counts,
               const Poll& poll = {}) const;

    /// Runs one query and tells, segment by segment, what was planned and what happened. k = 0 asks for
    /// a radius search.
    std::vector<SegmentReport> explain(const std::uint8_t* query, unsigned n_bits, std::uint64_t k,
                                       unsigned radius, Policy policy) const;

    /// Answers the queries one at a time on the calling thread, without keeping the answers, and writes the
    /// nanoseconds that each took. k = 0 asks for a radius search.
    void time(CodesView queries, std::uint64_t k, unsigned radius, Policy policy, double* ns,
              const Poll& poll = {}) const;

  private:
    std::vector<std::shared_ptr<const Segment>> segments_;
    std::uint64_t n_rows_ = 0;
};

}  // namespace hashnet
