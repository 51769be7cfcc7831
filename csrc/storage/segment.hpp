// An immutable part of an index: the format of its bytes, and typed views into them.
#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "codes.hpp"
#include "storage/bit_order.hpp"
#include "storage/format.hpp"
#include "storage/image.hpp"
#include "storage/layout.hpp"
#include "storage/runs.hpp"
#include "storage/table_entries.hpp"

namespace hashnet {

/// The bytes are not a whole and unaltered segment.
class DamagedSegment : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

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
    /// The dimension of every bit of the codes inside: rows(), tables() and queries of them have this order.
    const BitOrder& order() const { return order_; }
    void to_internal(const std::uint64_t* words, std::uint64_t* internal) const {
        order_.to_internal(words, internal);
    }
    std::uint32_t n_rows() const { return n_rows_; }
    std::uint32_t n_distinct() const { return n_distinct_; }
    std::size_t size() const { return image_.size(); }
    /// CRC-32C of the header, which holds the checksums of all sections: it identifies the content.
    std::uint32_t checksum() const { return checksum_; }

    bool residue_form() const { return rows_ == nullptr; }
    bool has_runs() const { return !runs_.trivial(); }
    const std::vector<Table>& tables() const { return tables_; }
    /// Null in residue form.
    const std::uint64_t* rows() const { return rows_; }
    /// Null in row form.
    const std::uint32_t* block_cells() const { return block_cells_; }

    /// The rows that carry the code at `position`, which must be below n_distinct.
    Run run_at(std::uint32_t position) const { return runs_.at(position); }
    /// What run_at() reads first, for prefetching; null where it reads nothing.
    const void* run_address(std::uint32_t position) const { return runs_.address(position); }
    const void* next_run_address(std::uint32_t position) const { return runs_.next_address(position); }
    const void* id_address(std::uint32_t row) const {
        return ids32_ != nullptr ? static_cast<const void*>(ids32_ + row) : ids64_ + row;
    }
    std::int64_t id_at(std::uint32_t row) const { return ids32_ != nullptr ? ids32_[row] : ids64_[row]; }

    /// The code at a position of table 0, as words in external order. `position` must be below n_distinct.
    void code_at(std::uint32_t position, std::uint64_t* words) const;
    /// The same in internal order.
    void internal_code_at(std::uint32_t position, std::uint64_t* words) const;

    /// Calls `visit(words, position)` for positions [first, last), ascending; words in external order.
    template <class Visit>
    void each_code(std::uint32_t first, std::uint32_t last, Visit&& visit) const {
        std::array<std::uint64_t, kMaxWords> external{};
        if (residue_form()) {
            const Table& table = tables_[0];
            walk_codes(table.layout, table.directory, table.blocks, first, last,
                       [&](std::uint64_t code, std::uint32_t position) {
                           order_.to_external(&code, external.data());
                           visit(external.data(), position);
                       });
            return;
        }
        for (std::uint32_t position = first; position < last; ++position) {
            order_.to_external(rows_ + std::size_t{position} * n_words(), external.data());
            visit(external.data(), position);
        }
    }

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
    RunIndex runs_;
    BitOrder order_;
    const std::uint64_t* rows_ = nullptr;
    const std::uint32_t* block_cells_ = nullptr;
};

}  // namespace hashnet
