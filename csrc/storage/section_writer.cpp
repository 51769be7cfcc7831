#include "storage/section_writer.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "storage/checksum.hpp"

namespace hashnet {

namespace {

// Sections of a segment that are not repeated for each table, and those that are.
constexpr std::size_t kOwnSections = 7;
constexpr std::size_t kTableSections = 3;

}  // namespace

std::size_t SectionWriter::header_bytes(std::size_t n_tables) {
    return aligned(sizeof(FileHeader) + n_tables * sizeof(TableRecord) +
                   (kOwnSections + kTableSections * n_tables) * sizeof(SectionRecord));
}

SectionWriter::SectionWriter(const std::string& path, std::size_t n_tables, std::size_t expected,
                             std::size_t capacity, unsigned threads)
    : path_(path), n_tables_(n_tables), threads_(threads), end_(header_bytes(n_tables)) {
    image_ = path.empty() ? Image::allocate(capacity) : Image::create_file(path, capacity);
    try {
        image_.reserve(std::min(expected, capacity));
    } catch (...) {
        ::unlink(path_.c_str());
        throw;
    }
}

SectionWriter::~SectionWriter() {
    if (!sealed_ && !path_.empty()) ::unlink(path_.c_str());
}

SectionWriter::Index SectionWriter::add(SectionKind kind, std::uint32_t table, std::size_t size) {
    const Index section = open(kind, table);
    close(section, size);
    return section;
}

SectionWriter::Index SectionWriter::open(SectionKind kind, std::uint32_t table) {
    sections_.push_back({static_cast<std::uint32_t>(kind), table, end_, 0, 0, 0});
    finished_.push_back(0);
    return sections_.size() - 1;
}

void SectionWriter::grow(Index section, std::size_t size) {
    image_.reserve(sections_[section].offset + size);
}

void SectionWriter::close(Index section, std::size_t size) {
    grow(section, size);
    sections_[section].size = size;
    end_ = aligned(sections_[section].offset + size);
}

void SectionWriter::finish(Index section, std::size_t end) {
    SectionRecord& record = sections_[section];
    const std::size_t begin = finished_[section];
    if (end <= begin) return;
    record.checksum =
        crc32c_parallel(image_.data() + record.offset + begin, end - begin, threads_, record.checksum);
    finished_[section] = end;
    image_.finish(record.offset + begin, record.offset + end);
}

void SectionWriter::forget(Index section, std::size_t begin, std::size_t end) const {
    image_.forget(sections_[section].offset + begin, sections_[section].offset + end);
}

Image SectionWriter::seal(FileHeader header, const std::vector<TableRecord>& tables,
                          BuildProgress& progress) {
    for (Index section = 0; section < sections_.size(); ++section) finish(section);
    image_.reserve(end_);
    image_.truncate(end_);
    header.file_size = end_;
    header.n_tables = static_cast<std::uint32_t>(n_tables_);
    header.n_sections = static_cast<std::uint32_t>(sections_.size());
    std::uint8_t* const records = image_.mutable_data() + sizeof(FileHeader);
    const std::size_t table_bytes = n_tables_ * sizeof(TableRecord);
    const std::size_t section_bytes = sections_.size() * sizeof(SectionRecord);
    if (table_bytes != 0) std::memcpy(records, tables.data(), table_bytes);
    std::memcpy(records + table_bytes, sections_.data(), section_bytes);
    header.checksum = 0;
    header.checksum = crc32c(records, table_bytes + section_bytes, crc32c(&header, sizeof(header)));
    std::memcpy(image_.mutable_data(), &header, sizeof(header));
    if (!path_.empty()) {
        progress.begin("writing to disk", end_);
        image_.sync([&](std::size_t bytes) {
            progress.add(bytes);
            progress.poll();
        });
    }
    sealed_ = true;
    return std::move(image_);
}

}  // namespace hashnet
