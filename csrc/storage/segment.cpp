#include "storage/segment.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>

#include "codes.hpp"
#include "kernels/residue.hpp"
#include "storage/checksum.hpp"
#include "storage/format.hpp"

namespace hashnet {

namespace {

template <class T>
T read_record(const std::uint8_t* bytes, std::size_t offset) {
    T record;
    std::memcpy(&record, bytes + offset, sizeof(T));
    return record;
}

std::size_t blocks_for(std::uint64_t n) {
    return static_cast<std::size_t>((n + kBlockEntries - 1) / kBlockEntries);
}

// Every kind once, and those of tables for each table.
constexpr std::uint32_t kMaxSections = 12 + 3 * kMaxTables;

bool sane(const TableRecord& table, unsigned n_bits, bool residue_form) {
    if (table.start >= n_bits || table.substring_bits == 0 || table.substring_bits > kMaxDirectoryBits)
        return false;
    if (table.start + table.substring_bits > n_bits) return false;
    if (table.directory_bits < table.substring_bits || table.directory_bits > kMaxDirectoryBits) return false;
    if (table.directory_bits > n_bits || table.planes > kMaxPlanes) return false;
    for (const float mean : table.mean_bucket) {
        if (!std::isfinite(mean) || mean < 0) return false;
    }
    const unsigned rest = n_bits - table.directory_bits;
    return residue_form ? table.planes == (rest + 7) / 8 : table.planes == 0;
}

}  // namespace

Segment::Segment(Image image, Verify verify_what) : image_(std::move(image)) {
    const auto damaged = [](const std::string& why) { return DamagedSegment(why); };
    const std::uint8_t* bytes = image_.data();
    if (image_.size() < sizeof(FileHeader)) throw damaged("shorter than a segment header");
    auto header = read_record<FileHeader>(bytes, 0);
    if (header.magic != kMagic) throw damaged("not a segment file (magic bytes differ)");
    if (header.version != kFormatVersion) {
        throw damaged("format version " + std::to_string(header.version) + ", this hashnet reads version " +
                      std::to_string(kFormatVersion) +
                      "; build the index again from its codes, or use the hashnet that wrote it");
    }
    if (header.file_size != image_.size()) {
        throw damaged("size is " + std::to_string(image_.size()) + " bytes, its header says " +
                      std::to_string(header.file_size));
    }
    if (header.n_tables > kMaxTables || header.n_sections > kMaxSections) {
        throw damaged("impossible number of tables or sections");
    }
    const std::size_t tables_at = sizeof(FileHeader);
    const std::size_t sections_at = tables_at + header.n_tables * sizeof(TableRecord);
    const std::size_t records_end = sections_at + header.n_sections * sizeof(SectionRecord);
    if (records_end > image_.size()) throw damaged("truncated inside its section table");
    checksum_ = header.checksum;
    header.checksum = 0;
    std::uint32_t computed = crc32c(&header, sizeof(header));
    computed = crc32c(bytes + tables_at, records_end - tables_at, computed);
    if (computed != checksum_) throw damaged("checksum of the header differs");
    if (header.n_bits % 8 != 0 || header.n_bits < 8 || header.n_bits > kMaxBits)
        throw damaged("impossible n_bits");
    if (header.n_rows == 0 || header.n_rows >= UINT32_MAX || header.n_distinct == 0 ||
        header.n_distinct > header.n_rows) {
        throw damaged("impossible number of codes");
    }
    n_bits_ = header.n_bits;
    n_rows_ = static_cast<std::uint32_t>(header.n_rows);
    n_distinct_ = static_cast<std::uint32_t>(header.n_distinct);
    runs_.n_rows = n_rows_;
    runs_.n_runs = n_distinct_;
    order_ = BitOrder::identity(n_bits_);

    for (std::uint32_t i = 0; i < header.n_sections; ++i) {
        const auto record = read_record<SectionRecord>(bytes, sections_at + i * sizeof(SectionRecord));
        if (record.offset % kSectionAlignment != 0 || record.offset < records_end ||
            record.offset > image_.size() || record.size > image_.size() - record.offset) {
            throw damaged("section " + std::to_string(i) + " lies outside the file");
        }
        sections_.push_back({static_cast<SectionKind>(record.kind), record.table, record.offset, record.size,
                             record.checksum});
    }
    const bool residues = std::none_of(sections_.begin(), sections_.end(),
                                       [](const Section& s) { return s.kind == SectionKind::kRows; });
    for (std::uint32_t j = 0; j < header.n_tables; ++j) {
        const auto record = read_record<TableRecord>(bytes, tables_at + j * sizeof(TableRecord));
        if (!sane(record, n_bits_, residues))
            throw damaged("impossible layout of table " + std::to_string(j));
        Table table;
        table.layout = {record.start, record.substring_bits, record.directory_bits, record.planes, 0};
        table.layout.repeated = repeated_bits(table.layout, n_bits_);
        table.mean_bucket = record.mean_bucket;
        tables_.push_back(table);
    }
    attach_sections();
    if (verify_what == Verify::kAll) verify();
}

void Segment::attach_sections() {
    const std::uint16_t* order = nullptr;
    for (const Section& section : sections_) {
        const std::uint8_t* at = image_.data() + section.offset;
        std::uint64_t wanted = 0;
        const bool per_table = section.kind == SectionKind::kDirectory ||
                               section.kind == SectionKind::kBlocks ||
                               section.kind == SectionKind::kPositions;
        if (per_table && section.table >= tables_.size()) throw DamagedSegment("a section names no table");
        Table* table = per_table ? &tables_[section.table] : nullptr;
        switch (section.kind) {
            case SectionKind::kIds32:
                ids32_ = reinterpret_cast<const std::uint32_t*>(at);
                wanted = std::uint64_t{4} * n_rows_;
                break;
            case SectionKind::kIds64:
                ids64_ = reinterpret_cast<const std::int64_t*>(at);
                wanted = std::uint64_t{8} * n_rows_;
                break;
            case SectionKind::kRunStarts:
                runs_.run_starts = reinterpret_cast<const std::uint32_t*>(at);
                wanted = std::uint64_t{4} * (std::uint64_t{n_distinct_} + 1);
                break;
            case SectionKind::kRunBits:
                runs_.bits = reinterpret_cast<const std::uint64_t*>(at);
                wanted = 8 * RunIndex::words(n_rows_);
                break;
            case SectionKind::kRunSamples:
                runs_.run_samples = reinterpret_cast<const std::uint32_t*>(at);
                wanted = 4 * RunIndex::samples(n_distinct_);
                break;
            case SectionKind::kRunRanks:
                runs_.row_ranks = reinterpret_cast<const std::uint32_t*>(at);
                wanted = 4 * RunIndex::ranks(n_rows_);
                break;
            case SectionKind::kBitOrder:
                order = reinterpret_cast<const std::uint16_t*>(at);
                wanted = std::uint64_t{2} * n_bits_;
                break;
            case SectionKind::kRows:
                rows_ = reinterpret_cast<const std::uint64_t*>(at);
                wanted = std::uint64_t{8} * n_words() * n_distinct_;
                break;
            case SectionKind::kDirectory:
                table->directory = reinterpret_cast<const std::uint32_t*>(at);
                wanted = 4 * (table->n_cells() + 1);
                break;
            case SectionKind::kBlocks:
                table->blocks = at;
                wanted = blocks_for(n_distinct_) * kBlockEntries * table->layout.planes;
                break;
            case SectionKind::kPositions:
                table->positions = reinterpret_cast<const std::uint32_t*>(at);
                wanted = std::uint64_t{4} * n_distinct_;
                break;
            case SectionKind::kBlockCells:
                block_cells_ = reinterpret_cast<const std::uint32_t*>(at);
                wanted = std::uint64_t{4} * blocks_for(n_distinct_);
                break;
            default:
                throw DamagedSegment("unknown kind of section");
        }
        if (section.size != wanted) throw DamagedSegment("a section has the wrong size");
    }
    bool complete = (ids32_ == nullptr) != (ids64_ == nullptr);
    const bool run_bits = runs_.bits != nullptr;
    complete =
        complete && run_bits == (runs_.run_samples != nullptr) && run_bits == (runs_.row_ranks != nullptr);
    complete = complete && (n_distinct_ == n_rows_ || !runs_.trivial());
    // Every table of a segment has the same form, and residue form needs table 0 as its code store.
    const bool residues = rows_ == nullptr;
    complete = complete && (!residues || (!tables_.empty() && tables_[0].layout.start == 0 && n_bits_ <= 64));
    complete = complete && residues == (block_cells_ != nullptr);
    for (const Table& table : tables_) {
        complete = complete && table.directory != nullptr && table.blocks != nullptr;
        complete = complete && residues == (table.positions == nullptr);
    }
    if (!complete) throw DamagedSegment("sections are missing or do not belong together");
    if (order == nullptr) return;
    try {
        order_ = BitOrder::from(order, n_bits_);
    } catch (const std::invalid_argument& error) {
        throw DamagedSegment(error.what());
    }
}

void Segment::code_at(std::uint32_t position, std::uint64_t* words) const {
    std::array<std::uint64_t, kMaxWords> internal;
    internal_code_at(position, internal.data());
    order_.to_external(internal.data(), words);
}

void Segment::internal_code_at(std::uint32_t position, std::uint64_t* words) const {
    if (!residue_form()) {
        std::memcpy(words, rows_ + std::size_t{position} * n_words(), std::size_t{8} * n_words());
        return;
    }
    const Table& table = tables_[0];
    walk_codes(table.layout, table.directory, table.blocks, position, position + 1,
               [&](std::uint64_t code, std::uint32_t) { words[0] = code; });
}

void Segment::verify() const {
    const unsigned threads = std::max(std::thread::hardware_concurrency(), 1U);
    for (const Section& section : sections_) {
        if (crc32c_parallel(image_.data() + section.offset, section.size, threads) != section.checksum) {
            throw DamagedSegment("checksum of section kind " +
                                 std::to_string(static_cast<std::uint32_t>(section.kind)) + ", table " +
                                 std::to_string(section.table) + " differs");
        }
    }
    verify_structure();
}

// A checksum proves that nothing changed by accident; a file that was made to mislead has correct ones.
void Segment::verify_structure() const {
    const auto require = [](bool holds, const char* what) {
        if (!holds) throw DamagedSegment(std::string("its ") + what + " contradict each other");
    };
    for (const Table& table : tables_) {
        const std::uint32_t* end = table.directory + table.n_cells();
        require(table.directory[0] == 0 && *end == n_distinct_ && std::is_sorted(table.directory, end + 1),
                "directory entries");
        if (table.positions != nullptr) {
            const std::uint32_t last = *std::max_element(table.positions, table.positions + n_distinct_);
            require(last < n_distinct_, "positions");
        }
    }
    require(runs_.consistent(), "runs");
    if (block_cells_ != nullptr) {
        const std::uint32_t* end = block_cells_ + blocks_for(n_distinct_);
        require(std::is_sorted(block_cells_, end) && *(end - 1) < tables_[0].n_cells(), "block cells");
    }
    if (ids64_ != nullptr) {
        require(std::all_of(ids64_, ids64_ + n_rows_, [](std::int64_t id) { return id >= 0; }), "ids");
    }
}

}  // namespace hashnet
