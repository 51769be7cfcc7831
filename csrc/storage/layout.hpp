// How a segment cuts its codes into substrings, and which form its tables take.
#pragma once

#include <cstdint>
#include <vector>

namespace hashnet {

/// One table: its substring is `substring_bits` bits from bit `start`; its directory is addressed by
/// the `directory_bits` >= substring_bits bits from there, around the end of the code; the `planes`
/// bytes of residue that an entry stores follow them.
struct TableLayout {
    unsigned start = 0;
    unsigned substring_bits = 0;
    unsigned directory_bits = 0;
    unsigned planes = 0;
    /// Where whole bytes leave room, a residue begins with so many bits that the directory implies already,
    /// the last of them, as far as they do not belong to the substring: its distance is then nearer to the
    /// code's.
    unsigned repeated = 0;
};

/// The value of TableLayout::repeated that the others imply for codes of `n_bits`.
unsigned repeated_bits(const TableLayout& table, unsigned n_bits);

struct Layout {
    /// Residue form: directory and residue together are the whole code, and table 0 is the code store.
    /// Otherwise codes lie as rows beside the tables, and an entry is the number of a row.
    bool residue_form = true;
    std::vector<TableLayout> tables;
};

/// The widest directory address a table may have.
inline constexpr unsigned kMaxDirectoryBits = 28;

/// What a user may decide about a layout; 0 leaves the choice to choose_layout.
struct LayoutOptions {
    unsigned tables = 0;
    unsigned directory_bits = 0;
};

/// The one place where the layout of a segment is decided. Throws std::invalid_argument for options that
/// no layout of codes of `n_bits` can have.
Layout choose_layout(unsigned n_bits, std::uint64_t n_distinct, const LayoutOptions& options = {});

}  // namespace hashnet
