// Linear scan of codes for many queries at once: rows cut into nibbles once, then compared by table look-up.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/dispatch.hpp"
#include "kernels/residue.hpp"

namespace hashnet {

/// Codes of up to so many words can be sliced: their distances fit into bytes, but for 256, which is cut to
/// 255, so that no larger bound than this tells them apart.
inline constexpr unsigned kMaxSlicedWords = 4;
inline constexpr unsigned kMostSlicedBound = 254;

/// Rows in one slice: nibble i of its rows lies in 32 bytes in a row, one after the other.
inline constexpr unsigned kSliceRows = 32;

/// The distances of every nibble value to each nibble of one query, in the order in which slices have them.
class SlicedQuery {
  public:
    void set(const std::uint64_t* query, unsigned n_words);
    const std::uint8_t* tables() const { return tables_; }

  private:
    // 16 bytes for each nibble: the distance to each of its values.
    alignas(16) std::uint8_t tables_[16 * kMaxSlicedWords * 16];
};

/// What one query asks of slices, and how many survivors `out`, which must have room for all rows, got.
struct SlicedAsk {
    const SlicedQuery* query;
    unsigned bound;  // at most kMostSlicedBound
    Survivor* out;
    std::size_t found;
};

/// Cutting takes as long as comparing a few queries with rows. Beyond that, a pair of a code and a query
/// takes one shuffle and one addition for each nibble of 32 codes, instead of counting bits of 4 codes.
struct SlicedKernels {
    /// Cuts `n` rows into (n + 31) / 32 slices of 512 * n_words bytes each; missing rows are zeros.
    void (*slice)(const std::uint64_t* rows, std::size_t n, unsigned n_words, std::uint8_t* slices);

    /// Gives each of `n_asks` <= 2 queries the rows among the `n` in `slices` within its bound, in order of
    /// position counted from 0. Two take less than twice as long as one: slices are loaded once.
    void (*filter)(const std::uint8_t* slices, std::size_t n, unsigned n_words, SlicedAsk* asks,
                   unsigned n_asks);
};

/// The kernels for an instruction set, which must be available; null where it counts the bits of rows as
/// fast, or has none.
const SlicedKernels* sliced_kernels(Simd simd = active_simd());

}  // namespace hashnet
