// Linear scan of codes that lie as rows of words: which rows are near the query.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/dispatch.hpp"
#include "kernels/residue.hpp"

namespace hashnet {

/// Appends to `out` the rows among `n` whose distance to `query` is at most `bound`, in order of
/// position counted from `first`, and returns how many there are.
///
/// `rows` are `n_words` words each, at most kMaxWords, without padding between rows; `out` must have room
/// for `n`: what lies behind the survivors there is overwritten.
using FilterRows = std::size_t (*)(const std::uint64_t* rows, std::size_t n, unsigned n_words,
                                   const std::uint64_t* query, unsigned bound, std::uint32_t first,
                                   Survivor* out);

/// The kernel for an instruction set, which must be available.
FilterRows filter_rows(Simd simd = active_simd());

}  // namespace hashnet
