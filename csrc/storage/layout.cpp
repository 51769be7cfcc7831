#include "storage/layout.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "kernels/residue.hpp"
#include "storage/format.hpp"

namespace hashnet {

namespace {

// Up to so many bits one table over the whole code takes hardly any memory and has no residue at all. Beyond,
// two tables of half the bits are as fast near the query and much faster farther away.
constexpr unsigned kWholeCodeBits = 20;

// A probe waits about as long as 64 to 128 residues take to compare, so buckets of that size waste neither:
// substrings are this many bits shorter than log2 n (benchmarks/README.md, "Buckets").
constexpr double kResidueBucketBits = 6.5;
// A candidate of a long code costs a row from memory, as much as a probe.
constexpr double kRowBucketBits = 0.5;

// Few codes are scanned whatever the tables are; these keep substrings from becoming many and short.
constexpr double kLeastResidueSubstring = 10.0;
constexpr double kLeastRowSubstring = 10.0;

// Rows of long codes need no table to be stored; below this many a scan is always faster.
constexpr std::uint64_t kScanOnly = 2048;

unsigned number_of_tables(unsigned n_bits, double log2_n) {
    if (n_bits <= kWholeCodeBits) return 1;
    const double substring = n_bits <= 64 ? std::max(kLeastResidueSubstring, log2_n - kResidueBucketBits)
                                          : std::max(kLeastRowSubstring, log2_n - kRowBucketBits);
    const double m = n_bits <= 64 ? std::round(n_bits / substring) : std::ceil(n_bits / substring);
    const unsigned least = (n_bits + kMaxDirectoryBits - 1) / kMaxDirectoryBits;
    return std::max({static_cast<unsigned>(m), least, n_bits > kWholeCodeBits ? 2U : 1U});
}

// Table 0 is also where every match is located: cells of a few codes are worth half a byte a code.
unsigned widen_first_directory(unsigned directory_bits, unsigned planes, unsigned n_bits, std::uint64_t n) {
    constexpr double kMostBytesPerCode = 0.5;
    unsigned wide = directory_bits;
    while (wide < std::min(kMaxDirectoryBits, n_bits) && (n_bits - wide - 1 + 7) / 8 <= planes &&
           4.0 * std::exp2(wide + 1) <= kMostBytesPerCode * static_cast<double>(n)) {
        ++wide;
    }
    return wide;
}

// What the user asked for, or an error that says what can be had.
unsigned checked_tables(unsigned n_bits, unsigned tables) {
    const unsigned least = (n_bits + kMaxDirectoryBits - 1) / kMaxDirectoryBits;
    if (tables < least || tables > n_bits / 2 || tables > kMaxTables) {
        throw std::invalid_argument("tables is " + std::to_string(tables) + "; codes of " +
                                    std::to_string(n_bits) + " bits take from " + std::to_string(least) +
                                    " to " + std::to_string(std::min(n_bits / 2, kMaxTables)));
    }
    return tables;
}

unsigned checked_directory_bits(unsigned n_bits, unsigned substring_bits, unsigned directory_bits) {
    const unsigned most = std::min(n_bits, kMaxDirectoryBits);
    if (directory_bits < substring_bits || directory_bits > most) {
        throw std::invalid_argument("directory_bits is " + std::to_string(directory_bits) +
                                    "; substrings of " + std::to_string(substring_bits) + " bits take from " +
                                    std::to_string(substring_bits) + " to " + std::to_string(most));
    }
    return directory_bits;
}

// Directory bits beyond the substring shorten every residue; many codes take them while that pays for the
// cells. Few codes do not: the kernel does not see those bits, so that more entries pass it which are not
// near.
unsigned choose_directory_bits(unsigned n_bits, unsigned substring_bits, std::uint64_t n) {
    constexpr std::uint64_t kBytesMatter = std::uint64_t{1} << 22;
    if (n < kBytesMatter) return substring_bits;
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

unsigned repeated_bits(const TableLayout& table, unsigned n_bits) {
    const unsigned room = 8 * table.planes;
    const unsigned rest = n_bits - table.directory_bits;
    return room <= rest ? 0 : std::min(room - rest, table.directory_bits - table.substring_bits);
}

Layout choose_layout(unsigned n_bits, std::uint64_t n_distinct, const LayoutOptions& options) {
    const double log2_n = std::log2(static_cast<double>(std::max<std::uint64_t>(n_distinct, 1)));
    unsigned m =
        options.tables == 0 ? number_of_tables(n_bits, log2_n) : checked_tables(n_bits, options.tables);
    if (options.tables == 0 && options.directory_bits != 0) {
        // Substrings that the directories can address, however many codes there will be.
        m = checked_tables(n_bits,
                           std::max(m, (n_bits + options.directory_bits - 1) / options.directory_bits));
    }
    Layout layout;
    layout.residue_form = n_bits <= 64;
    if (!layout.residue_form && options.tables == 0 && n_distinct < kScanOnly) return layout;
    unsigned start = 0;
    for (unsigned j = 0; j < m; ++j) {
        TableLayout table;
        table.start = start;
        table.substring_bits = n_bits / m + (j >= m - n_bits % m ? 1 : 0);
        if (layout.residue_form) {
            table.directory_bits =
                options.directory_bits == 0
                    ? choose_directory_bits(n_bits, table.substring_bits, n_distinct)
                    : checked_directory_bits(n_bits, table.substring_bits, options.directory_bits);
            table.planes = (n_bits - table.directory_bits + 7) / 8;
            if (j == 0 && options.directory_bits == 0) {
                table.directory_bits =
                    widen_first_directory(table.directory_bits, table.planes, n_bits, n_distinct);
                table.planes = (n_bits - table.directory_bits + 7) / 8;
            }
        } else {
            // No residue and no signature: at the radii that long codes are asked for, a random code differs
            // in fewer of 16 or 32 bits than the radius allows, so these would reject nothing.
            table.directory_bits = table.substring_bits;
        }
        table.repeated = repeated_bits(table, n_bits);
        start += table.substring_bits;
        layout.tables.push_back(table);
    }
    return layout;
}

}  // namespace hashnet
