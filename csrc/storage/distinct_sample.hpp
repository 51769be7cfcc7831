// What a build knows before it sorts: how many distinct codes there are, and a sample of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "codes.hpp"
#include "storage/build_progress.hpp"

namespace hashnet {

struct DistinctSample {
    /// Estimate within about 0.5 %, exact up to 262,144. Like `codes` it depends on the set of codes only.
    std::uint64_t n_distinct = 0;
    /// At most 16,384 distinct codes as words, external bit order, row after row.
    std::vector<std::uint64_t> codes;
    std::size_t n_codes = 0;
    /// Codes of rows spread evenly over the input, repeats included; likewise.
    std::vector<std::uint64_t> rows;
    std::size_t n_rows = 0;
};

/// Reads all codes once, on all threads. `rows` gets at most `wanted_rows` codes.
DistinctSample sample_codes(CodesView codes, std::size_t wanted_rows, unsigned threads,
                            BuildProgress& progress);

}  // namespace hashnet
