#include "storage/layout.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/residue.hpp"

namespace hashnet {

namespace {

// Below this a scan takes less time than the look-ups of even one probe sequence, but table 0 is also
// the code store, so the tables stay; they are only kept from becoming many and narrow.
constexpr double kMinLog2 = 10.0;

// A table over the whole code is worth its directory up to this many cells for each code.
constexpr double kDirectCellsPerCode = 8.0;

constexpr unsigned kSignatureBytes = 2;

// Rows of long codes need no table to be stored; below this many a scan is always faster.
constexpr std::uint64_t kScanOnly = 2048;

unsigned number_of_tables(unsigned n_bits, double log2_n) {
    if (n_bits <= kMaxDirectoryBits && std::exp2(n_bits) <= kDirectCellsPerCode * std::exp2(log2_n)) return 1;
    // Norouzi et al., TPAMI 2014, section 4: substrings of about log2 n bits.
    const auto m = static_cast<unsigned>(std::ceil(n_bits / log2_n));
    const unsigned least = (n_bits + kMaxDirectoryBits - 1) / kMaxDirectoryBits;
    return std::max({m, least, 1U});
}

// Directory bits beyond the substring shorten every residue; take them while that pays for the cells.
unsigned choose_directory_bits(unsigned n_bits, unsigned substring_bits, std::uint64_t n) {
    unsigned best = substring_bits;
    double least = 0;
    for (unsigned d = substring_bits; d <= std::min({substring_bits + 7, n_bits, kMaxDirectoryBits}); ++d) {
        const double bytes = 4.0 * std::exp2(d) + static_cast<double>(n) * ((n_bits - d + 7) / 8);
        if (d == substring_bits || bytes < least) {
            best = d;
            least = bytes;
        }
    }
    return best;
}

}  // namespace

Layout choose_layout(unsigned n_bits, std::uint64_t n_distinct) {
    const double log2_n =
        std::max(kMinLog2, std::log2(static_cast<double>(std::max<std::uint64_t>(n_distinct, 1))));
    const unsigned m = number_of_tables(n_bits, log2_n);
    Layout layout;
    layout.residue_form = n_bits <= 64;
    if (!layout.residue_form && n_distinct < kScanOnly) return layout;
    unsigned start = 0;
    for (unsigned j = 0; j < m; ++j) {
        TableLayout table;
        table.start = start;
        table.substring_bits = n_bits / m + (j >= m - n_bits % m ? 1 : 0);
        if (layout.residue_form) {
            table.directory_bits = choose_directory_bits(n_bits, table.substring_bits, n_distinct);
            table.planes = (n_bits - table.directory_bits + 7) / 8;
        } else {
            table.directory_bits = table.substring_bits;
            table.planes = kSignatureBytes;
        }
        start += table.substring_bits;
        layout.tables.push_back(table);
    }
    return layout;
}

}  // namespace hashnet
