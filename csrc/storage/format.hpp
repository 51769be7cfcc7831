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
inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::size_t kSectionAlignment = 64;
/// 1024 bits cut into substrings of at least 8; far more than any layout needs.
inline constexpr std::uint32_t kMaxTables = 128;

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
    std::array<float, 3> mean_bucket;
    std::uint32_t reserved;
};
static_assert(sizeof(TableRecord) == 32);

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
