// Bringing hits into the order of every answer: ascending (distance, id).
#pragma once

#include <cstdint>
#include <vector>

#include "search/collector.hpp"

namespace hashnet {

/// Sorts hits. Many are sorted by radix: a comparison sort mispredicts every other branch, which was a sixth
/// of a radius search with 150 answers.
void sort_hits(std::vector<Hit>& hits);

/// Writes hits in order, hits.size() of each; what is left in `hits` has no order.
void write_in_order(std::vector<Hit>& hits, std::int32_t* distances, std::int64_t* ids);

/// Leaves the k least hits, sorted.
void cut_to_nearest(std::vector<Hit>& hits, std::uint64_t k);

}  // namespace hashnet
