// Distance and relevance of labelled rows to one query: the inner loop of ranking.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/dispatch.hpp"

namespace hashnet {

/// One query against `n` rows of codes (words) and multi-hot labels (words); to `values` goes, for each
/// row, 2 * distance + 1 if it shares a label with the query, 2 * distance if not.
struct LabelledRun {
    const std::uint64_t* query;
    const std::uint64_t* query_labels;
    const std::uint64_t* codes;
    const std::uint64_t* labels;
    std::size_t n;
    std::size_t n_words;
    std::size_t n_label_words;
    std::uint16_t* values;
};

using FillLabelled = void (*)(const LabelledRun&);

/// The kernel for an instruction set, which must be available.
FillLabelled fill_labelled(Simd simd = active_simd());

}  // namespace hashnet
