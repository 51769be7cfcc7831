// The bytes of one segment: owned memory on huge pages, a file being written, or a mapped file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace hashnet {

/// Move-only owner of a contiguous byte range, aligned to at least 4096.
class Image {
  public:
    /// Zeroed memory, advised to huge pages: random reads cost half (benchmarks/README.md). Pages that are
    /// never touched take no memory, and truncate() gives the address space back.
    static Image allocate(std::size_t capacity);

    /// A new and empty file, mapped for writing up to `capacity` bytes, of which reserve() makes the first
    /// usable. Throws std::system_error; removes the file then, unless it was there before.
    static Image create_file(const std::string& path, std::size_t capacity);

    /// An existing file, mapped read-only.
    static Image map_file(const std::string& path);

    /// An existing file, read into memory as from allocate(), on several threads.
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

    /// Gives a created file space for its first `size` bytes, zero where nothing was written, so that a full
    /// disk is an error here and not a SIGBUS later. Throws std::system_error. Memory needs none.
    void reserve(std::size_t size);

    /// Cuts the image to `size` bytes, at most its capacity. Throws std::system_error.
    void truncate(std::size_t size);

    /// For a created file: [begin, end) is written; its way to the disk begins, and it stops counting as
    /// memory of this process. It may be read and even written all the same.
    void finish(std::size_t begin, std::size_t end);

    /// For a created file: what was read of [begin, end) stops counting as memory of this process.
    void forget(std::size_t begin, std::size_t end) const;

    /// Makes a created file durable; calls `poll(bytes)` after each part. Throws std::system_error.
    void sync(const std::function<void(std::size_t)>& poll);

  private:
    Image(std::uint8_t* data, std::size_t size, int descriptor, bool writable)
        : data_(data), size_(size), mapped_(size), descriptor_(descriptor), writable_(writable) {}
    void release() noexcept;

    std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t mapped_ = 0;
    int descriptor_ = -1;
    bool writable_ = false;
};

}  // namespace hashnet
