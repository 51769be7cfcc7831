#include "storage/image.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "parallel.hpp"

namespace hashnet {

namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kPage = 4096;
// A disk is busy with one read of this size for some milliseconds.
constexpr std::size_t kReadPiece = std::size_t{16} << 20;
constexpr std::size_t kSyncPiece = std::size_t{64} << 20;
// More readers than this do not make a disk faster.
constexpr unsigned kMaxReaders = 4;

[[noreturn]] void fail(int error, const std::string& what) {
    throw std::system_error(error, std::generic_category(), what);
}

/// Closes a descriptor that no Image took over.
class Descriptor {
  public:
    explicit Descriptor(int value) : value_(value) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (value_ >= 0) ::close(value_);
    }
    int get() const { return value_; }
    int release() { return std::exchange(value_, -1); }

  private:
    int value_;
};

int open_for_reading(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) fail(errno, path);
    return descriptor;
}

std::size_t size_of(int descriptor, const std::string& path) {
    struct stat status{};
    if (::fstat(descriptor, &status) != 0) fail(errno, path);
    return static_cast<std::size_t>(status.st_size);
}

void read_range(int descriptor, std::uint8_t* to, std::size_t begin, std::size_t end,
                const std::string& path) {
    while (begin < end) {
        const ssize_t got = ::pread(descriptor, to + begin, end - begin, static_cast<off_t>(begin));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail(errno, path);
        if (got == 0) fail(EIO, path + " became shorter while it was read");
        begin += static_cast<std::size_t>(got);
    }
}

}  // namespace

Image Image::allocate(std::size_t capacity) {
    if (capacity == 0) return {};
    void* memory =
        ::mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    // Advice only: without transparent huge pages the memory works as well, slower.
    if (capacity >= kHugePage) ::madvise(memory, capacity, MADV_HUGEPAGE);
    return Image(static_cast<std::uint8_t*>(memory), capacity, -1, true);
}

Image Image::create_file(const std::string& path, std::size_t capacity) {
    Descriptor descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (descriptor.get() < 0) fail(errno, path);
    void* memory = ::mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor.get(), 0);
    if (memory == MAP_FAILED) {
        const int error = errno;
        ::unlink(path.c_str());
        fail(error, path);
    }
    Image image(static_cast<std::uint8_t*>(memory), capacity, descriptor.release(), true);
    image.size_ = 0;
    return image;
}

Image Image::map_file(const std::string& path) {
    Descriptor descriptor(open_for_reading(path));
    const std::size_t size = size_of(descriptor.get(), path);
    if (size == 0) return {};
    void* memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor.get(), 0);
    if (memory == MAP_FAILED) fail(errno, path);
    // The map outlives the descriptor.
    return Image(static_cast<std::uint8_t*>(memory), size, -1, false);
}

Image Image::read_file(const std::string& path) {
    Descriptor descriptor(open_for_reading(path));
    Image image = allocate(size_of(descriptor.get(), path));
    const unsigned readers = std::clamp(std::thread::hardware_concurrency(), 1U, kMaxReaders);
    parallel_pieces(image.size_, kReadPiece, readers, [&](std::size_t begin, std::size_t end) {
        read_range(descriptor.get(), image.data_, begin, end, path);
    });
    return image;
}

Image::Image(Image&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_(std::exchange(other.mapped_, 0)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      writable_(other.writable_) {}

Image& Image::operator=(Image&& other) noexcept {
    if (this != &other) {
        release();
        data_ = std::exchange(other.data_, nullptr);
        size_ = std::exchange(other.size_, 0);
        mapped_ = std::exchange(other.mapped_, 0);
        descriptor_ = std::exchange(other.descriptor_, -1);
        writable_ = other.writable_;
    }
    return *this;
}

Image::~Image() {
    release();
}

void Image::release() noexcept {
    if (data_ != nullptr) ::munmap(data_, mapped_);
    if (descriptor_ >= 0) ::close(descriptor_);
}

void Image::reserve(std::size_t size) {
    if (descriptor_ < 0 || size <= size_) return;
    const int failed =
        ::posix_fallocate(descriptor_, static_cast<off_t>(size_), static_cast<off_t>(size - size_));
    if (failed != 0) fail(failed, "reserving " + std::to_string(size) + " bytes for a segment");
    size_ = size;
}

void Image::truncate(std::size_t size) {
    if (descriptor_ >= 0 && ::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) fail(errno, "ftruncate");
    const std::size_t keep = std::max((size + kPage - 1) / kPage * kPage, kPage);
    if (keep < mapped_ && ::munmap(data_ + keep, mapped_ - keep) == 0) mapped_ = keep;
    size_ = size;
}

void Image::finish(std::size_t begin, std::size_t end) {
    if (descriptor_ < 0 || begin >= end) return;
#if defined(__linux__)
    // Only a beginning: sync() asks for the rest and reports what fails.
    ::sync_file_range(descriptor_, static_cast<off_t>(begin), static_cast<off_t>(end - begin),
                      SYNC_FILE_RANGE_WRITE);
#endif
    forget(begin, end);
}

void Image::forget(std::size_t begin, std::size_t end) const {
    if (descriptor_ < 0) return;
    begin = (begin + kPage - 1) / kPage * kPage;
    end = end / kPage * kPage;
    // The map is shared, so its pages stay with the file.
    if (begin < end) ::madvise(data_ + begin, end - begin, MADV_DONTNEED);
}

void Image::sync(const std::function<void(std::size_t)>& poll) {
#if defined(__linux__)
    // In parts, so that the caller can stop in between; what fails here fails in fsync() again.
    for (std::size_t begin = 0; begin < size_; begin += kSyncPiece) {
        const std::size_t length = std::min(kSyncPiece, size_ - begin);
        ::sync_file_range(descriptor_, static_cast<off_t>(begin), static_cast<off_t>(length),
                          SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
        poll(length);
    }
#else
    poll(0);
#endif
    if (::msync(data_, size_, MS_SYNC) != 0) fail(errno, "msync");
    if (::fsync(descriptor_) != 0) fail(errno, "fsync");
}

}  // namespace hashnet
