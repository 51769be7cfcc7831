// An immutable part of an index: the format of its bytes, and typed views into them.
#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "storage/image.hpp"
#include "storage/layout.hpp"

namespace hashnet {

/// The bytes are not a whole and unaltered segment.
class DamagedSegment : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

enum class SectionKind : std::uint32_t {
    kIds32 = 1,       // n_rows ids, in the order of table 0, ascending within equal codes
    kIds64 = 2,       // the same, where some id does not fit 32 bits
    kRuns = 3,        // n_distinct + 1 starts into the ids; absent where all codes are distinct
    kRows = 4,        // n_distinct codes as words, ascending; signature form only
    kDirectory = 5,   // 2^directory_bits + 1 positions: where each cell begins
    kBlocks = 6,      // residues in blocks of 32, by byte plane
    kPositions = 7,   // the row of each entry; signature form only
    kBlockCells = 8,  // the cell of each block's first entry; table 0, residue form only
};

/// Substring distances for which a segment knows the mean number of candidates.
inline constexpr unsigned kKnownDistances = 3;

/// One table of a segment: views into the image.
struct Table {
    TableLayout layout;
    const std::uint32_t* directory = nullptr;
    const std::uint8_t* blocks = nullptr;
    /// Null in residue form.
    const std::uint32_t* positions = nullptr;
    /// Entries in a bucket at substring distance e from a code of the database, on average.
    std::array<float, kKnownDistances> mean_bucket{};

    std::uint64_t n_cells() const { return std::uint64_t{1} << layout.directory_bits; }
};

/// How much of an opened file is compared with its checksums.
enum class Verify { kHeader, kAll };

/// Thread-safe after construction: everything is read-only.
class Segment {
  public:
    /// Takes over an image and checks its header, its section table and, with kAll, every section.
    /// Throws DamagedSegment.
    Segment(Image image, Verify verify);

    unsigned n_bits() const { return n_bits_; }
    unsigned n_words() const { return (n_bits_ + 63) / 64; }
    std::uint32_t n_rows() const { return n_rows_; }
    std::uint32_t n_distinct() const { return n_distinct_; }
    std::size_t size() const { return image_.size(); }
    /// CRC-32C of the header, which holds the checksums of all sections: it identifies the content.
    std::uint32_t checksum() const { return checksum_; }

    bool residue_form() const { return rows_ == nullptr; }
    bool has_runs() const { return runs_ != nullptr; }
    const std::vector<Table>& tables() const { return tables_; }
    /// Null in residue form.
    const std::uint64_t* rows() const { return rows_; }
    /// Null in signature form.
    const std::uint32_t* block_cells() const { return block_cells_; }

    /// Rows [first, last) carry the code at `position`.
    struct Run {
        std::uint32_t first;
        std::uint32_t last;
    };
    Run run_at(std::uint32_t position) const;
    /// Where run_at begins to read; only with has_runs().
    const void* run_address(std::uint32_t position) const { return runs_ + position; }
    const void* id_address(std::uint32_t row) const {
        return ids32_ != nullptr ? static_cast<const void*>(ids32_ + row) : ids64_ + row;
    }
    std::int64_t id_at(std::uint32_t row) const { return ids32_ != nullptr ? ids32_[row] : ids64_[row]; }

    /// The code at a position of table 0, as words. `position` must be below n_distinct.
    void code_at(std::uint32_t position, std::uint64_t* words) const;

    /// Compares every section with its checksum, and the sections with each other; throws DamagedSegment.
    void verify() const;

  private:
    void attach_sections();
    void verify_structure() const;

    struct Section {
        SectionKind kind;
        std::uint32_t table;
        std::uint64_t offset;
        std::uint64_t size;
        std::uint32_t checksum;
    };

    Image image_;
    unsigned n_bits_ = 0;
    std::uint32_t n_rows_ = 0;
    std::uint32_t n_distinct_ = 0;
    std::uint32_t checksum_ = 0;
    std::vector<Section> sections_;
    std::vector<Table> tables_;
    const std::uint32_t* ids32_ = nullptr;
    const std::int64_t* ids64_ = nullptr;
    const std::uint32_t* runs_ = nullptr;
    const std::uint64_t* rows_ = nullptr;
    const std::uint32_t* block_cells_ = nullptr;
};

}  // namespace hashnet
