// The rows of a segment in the order of their codes: ids, runs, and the code store behind everything else.
#pragma once

#include <cstdint>
#include <vector>

#include "codes.hpp"
#include "storage/bit_order.hpp"
#include "storage/builder.hpp"
#include "storage/layout.hpp"
#include "storage/section_writer.hpp"
#include "storage/sliced_sort.hpp"

namespace hashnet {

/// Where the first table of a segment goes.
struct FirstTableSections {
    SectionWriter::Index ids;
    bool wide_ids;
    /// Residue form: directory and blocks of table 0, the latter still open. Row form: the rows, open.
    SectionWriter::Index directory;
    SectionWriter::Index store;
};

struct SortedRows {
    std::uint64_t n_distinct;
    /// Bit r % 64 of word r / 64: a run of equal codes begins at row r.
    std::vector<std::uint64_t> run_bits;
};

/// Sorts the rows and fills `sections`. `row_sample` holds codes as words, spread over the input.
SortedRows build_first_table(BuildContext& context, CodesView codes, RowIds ids, bool ids_ascend,
                             const BitOrder& order, const Layout& layout,
                             const std::vector<std::uint64_t>& row_sample, SectionWriter& writer,
                             const FirstTableSections& sections);

/// Bytes of working memory that build_first_table takes for one row, beside a bit for every row.
inline constexpr std::size_t kFirstTableItem = sizeof(KeyedRow);

}  // namespace hashnet
