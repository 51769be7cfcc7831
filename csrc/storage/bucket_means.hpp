// How full the buckets around the codes of a database are: what a planner expects of a query like them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "storage/format.hpp"
#include "storage/layout.hpp"

namespace hashnet {

/// Mean entries of the buckets at substring distance e = 0..kKnownDistances-1 from `n` codes (words of
/// internal bit order, row after row). For larger e some of the buckets are drawn, always the same ones.
std::array<float, kKnownDistances> bucket_means(const TableLayout& layout, const std::uint32_t* directory,
                                                const std::uint64_t* codes, std::size_t n, unsigned n_words);

}  // namespace hashnet
