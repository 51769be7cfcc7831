// The tables that are made from a segment's own code store: all but table 0 of the residue form.
#pragma once

#include <cstdint>

#include "storage/layout.hpp"
#include "storage/section_writer.hpp"
#include "storage/sliced_sort.hpp"

namespace hashnet {

/// Where the distinct codes of a segment lie, in internal bit order.
struct CodeStore {
    const SectionWriter* writer;
    SectionWriter::Index section;
    unsigned n_bits;
    std::uint64_t n_distinct;
    /// Residue form: the layout and directory of table 0, whose blocks are the store. Null in row form.
    const TableLayout* first_layout;
    const std::uint32_t* first_directory;
    const void* data;
};

/// Where table `number` goes; `positions` in row form only.
struct LaterTable {
    std::uint32_t number;
    TableLayout layout;
    SectionWriter::Index directory;
    SectionWriter::Index blocks;
    SectionWriter::Index positions;
};

void build_later_table(BuildContext& context, const CodeStore& store, const LaterTable& table,
                       SectionWriter& writer);

}  // namespace hashnet
