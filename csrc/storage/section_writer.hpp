// The sections of an image that is being built: where they lie, and their checksums as they fill.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "storage/build_progress.hpp"
#include "storage/format.hpp"
#include "storage/image.hpp"

namespace hashnet {

class SectionWriter {
  public:
    using Index = std::size_t;

    /// An image of at most `capacity` bytes, in memory or, where `path` is not empty, in a new file, which
    /// is removed again unless seal() returns. `expected` bytes of it are reserved at once, so that a disk
    /// that is too small is noticed before the work begins.
    SectionWriter(const std::string& path, std::size_t n_tables, std::size_t expected, std::size_t capacity,
                  unsigned threads);
    ~SectionWriter();
    SectionWriter(const SectionWriter&) = delete;
    SectionWriter& operator=(const SectionWriter&) = delete;

    /// Bytes before the first section.
    static std::size_t header_bytes(std::size_t n_tables);

    /// Places a section of zero bytes behind the others.
    Index add(SectionKind kind, std::uint32_t table, std::size_t size);

    /// Places a section behind the others that gets its size from close(); no other can be added until then.
    Index open(SectionKind kind, std::uint32_t table);
    /// Makes the first `size` bytes of the open section usable.
    void grow(Index section, std::size_t size);
    void close(Index section, std::size_t size);

    template <class T>
    T* data(Index section) {
        return reinterpret_cast<T*>(image_.mutable_data() + sections_[section].offset);
    }

    /// Nothing before byte `end` of the section will change any more: it enters the checksum, and for a file
    /// its way to the disk begins.
    void finish(Index section, std::size_t end);
    /// The same for the whole section.
    void finish(Index section) { finish(section, sections_[section].size); }

    /// What was read of bytes [begin, end) of a finished section need not stay in memory.
    void forget(Index section, std::size_t begin, std::size_t end) const;

    /// Finishes everything, writes header and records, and returns the image, durable where it is a file.
    Image seal(FileHeader header, const std::vector<TableRecord>& tables, BuildProgress& progress);

  private:
    std::string path_;
    std::size_t n_tables_;
    unsigned threads_;
    Image image_;
    std::vector<SectionRecord> sections_;
    std::vector<std::size_t> finished_;
    std::size_t end_;
    bool sealed_ = false;
};

}  // namespace hashnet
