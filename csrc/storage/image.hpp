// The bytes of one segment: owned memory on huge pages, a file being written, or a mapped file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace hashnet {

/// Move-only owner of a contiguous byte range, aligned to at least 4096.
class Image {
  public:
    /// Zeroed memory, advised to huge pages: random reads cost half (benchmarks/README.md).
    static Image allocate(std::size_t size);

    /// A new file of `size` zero bytes, mapped for writing. The space is reserved first, so that a full
    /// disk is an error here and not a SIGBUS later. Throws std::system_error; removes the file then.
    static Image create_file(const std::string& path, std::size_t size);

    /// An existing file, mapped read-only.
    static Image map_file(const std::string& path);

    /// An existing file, read into memory as from allocate().
    static Image read_file(const std::string& path);

    Image() = default;
    Image(Image&& other) noexcept;
    Image& operator=(Image&& other) noexcept;
    Image(const Image&) = delete;
    Image& operator=(const Image&) = delete;
    ~Image();

    const std::uint8_t* data() const { return data_; }
    /// Null for a read-only map.
    std::uint8_t* mutable_data() { return writable_ ? data_ : nullptr; }
    std::size_t size() const { return size_; }

    /// Makes a created file durable. Throws std::system_error.
    void sync();

  private:
    Image(std::uint8_t* data, std::size_t size, int descriptor, bool writable)
        : data_(data), size_(size), descriptor_(descriptor), writable_(writable) {}
    void release() noexcept;

    std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
    int descriptor_ = -1;
    bool writable_ = false;
};

}  // namespace hashnet
