// Answers of several parts of a database become one answer; each part is ascending (distance, id).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hashnet {

/// Neighbours of one query in one part, ascending (distance, id).
struct Found {
    const std::int32_t* distances;
    const std::int64_t* ids;
    std::size_t n;
};

/// Merges sorted parts of one query after another; keeps its working memory between them.
class Merger {
  public:
    explicit Merger(std::size_t parts) { heads_.reserve(parts); }

    /// Adds what one more part found for the query at hand.
    void add(const Found& found) {
        if (found.n != 0) heads_.push_back(found);
    }

    /// Writes the first `limit` of all that was added, or as many as there are, in order; returns how many
    /// these are, and forgets them all.
    std::size_t merge(std::size_t limit, std::int32_t* distances, std::int64_t* ids);

  private:
    void sink(std::size_t at);

    std::vector<Found> heads_;  // a heap once merging has begun: the least first
};

}  // namespace hashnet
