// The bytes of a segment file: fixed-size little-endian records at its beginning.
//
//     FileHeader | TableRecord x n_tables | SectionRecord x n_sections | sections, 64-byte aligned
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace hashnet {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "segment files are little-endian");

inline constexpr std::array<char, 8> kMagic = {'H', 'N', 'S', 'E', 'G', 'M', 'N', 'T'};
inline constexpr std::uint32_t kFormatVersion = 2;
inline constexpr std::size_t kSectionAlignment = 64;
/// 1024 bits cut into substrings of at least 8; far more than any layout needs.
inline constexpr std::uint32_t kMaxTables = 128;

/// Substring distances for which a segment knows the mean number of candidates.
inline constexpr unsigned kKnownDistances = 6;

enum class SectionKind : std::uint32_t {
    kIds32 = 1,        // n_rows ids, in the order of table 0, ascending within equal codes
    kIds64 = 2,        // the same, where some id does not fit 32 bits
    kRunStarts = 3,    // n_distinct + 1 starts into the ids; where codes repeat, this or the next three
    kRows = 4,         // n_distinct codes as words, ascending; row form only
    kDirectory = 5,    // 2^directory_bits + 1 positions: where each cell begins
    kBlocks = 6,       // residues in blocks of 32, by byte plane
    kPositions = 7,    // the row of each entry; row form only
    kBlockCells = 8,   // the cell of each block's first entry; table 0, residue form only
    kBitOrder = 9,     // the dimension of each bit, 16 bits each; absent where they are in order
    kRunBits = 10,     // one bit a row, set where a run begins, in 64-bit words (runs.hpp)
    kRunSamples = 11,  // the row where every 256th run begins
    kRunRanks = 12,    // the runs that begin before every 4096th row
};

struct FileHeader {
    std::array<char, 8> magic;
    std::uint32_t version;
    std::uint32_t n_bits;
    std::uint64_t n_rows;
    std::uint64_t n_distinct;
    std::uint64_t file_size;
    std::uint32_t n_tables;
    std::uint32_t n_sections;
    /// CRC-32C of header, table records and section records, with this field zero.
    std::uint32_t checksum;
    std::array<std::uint32_t, 3> reserved;
};
static_assert(sizeof(FileHeader) == 64);

struct TableRecord {
    std::uint32_t start;
    std::uint32_t substring_bits;
    std::uint32_t directory_bits;
    std::uint32_t planes;
    std::array<float, kKnownDistances> mean_bucket;
    std::array<std::uint32_t, 2> reserved;
};
static_assert(sizeof(TableRecord) == 48);

struct SectionRecord {
    std::uint32_t kind;
    std::uint32_t table;
    std::uint64_t offset;
    std::uint64_t size;
    std::uint32_t checksum;
    std::uint32_t reserved;
};
static_assert(sizeof(SectionRecord) == 32);

inline constexpr std::size_t aligned(std::size_t offset) {
    return (offset + kSectionAlignment - 1) / kSectionAlignment * kSectionAlignment;
}

}  // namespace hashnet
