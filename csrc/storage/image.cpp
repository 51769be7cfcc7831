#include "storage/image.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

namespace hashnet {

namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

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

}  // namespace

Image Image::allocate(std::size_t size) {
    if (size == 0) return {};
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    // Advice only: without transparent huge pages the memory works as well, slower.
    if (size >= kHugePage) ::madvise(memory, size, MADV_HUGEPAGE);
    return Image(static_cast<std::uint8_t*>(memory), size, -1, true);
}

Image Image::create_file(const std::string& path, std::size_t size) {
    Descriptor descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (descriptor.get() < 0) fail(errno, path);
    const int reserved = ::posix_fallocate(descriptor.get(), 0, static_cast<off_t>(size));
    if (reserved != 0) {
        ::unlink(path.c_str());
        fail(reserved, path);
    }
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor.get(), 0);
    if (memory == MAP_FAILED) {
        const int error = errno;
        ::unlink(path.c_str());
        fail(error, path);
    }
    return Image(static_cast<std::uint8_t*>(memory), size, descriptor.release(), true);
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
    std::size_t done = 0;
    while (done < image.size_) {
        const ssize_t got = ::read(descriptor.get(), image.data_ + done, image.size_ - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail(errno, path);
        if (got == 0) fail(EIO, path + " became shorter while it was read");
        done += static_cast<std::size_t>(got);
    }
    return image;
}

Image::Image(Image&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      writable_(other.writable_) {}

Image& Image::operator=(Image&& other) noexcept {
    if (this != &other) {
        release();
        data_ = std::exchange(other.data_, nullptr);
        size_ = std::exchange(other.size_, 0);
        descriptor_ = std::exchange(other.descriptor_, -1);
        writable_ = other.writable_;
    }
    return *this;
}

Image::~Image() {
    release();
}

void Image::release() noexcept {
    if (data_ != nullptr) ::munmap(data_, size_);
    if (descriptor_ >= 0) ::close(descriptor_);
}

void Image::sync() {
    if (::msync(data_, size_, MS_SYNC) != 0) fail(errno, "msync");
    if (::fsync(descriptor_) != 0) fail(errno, "fsync");
}

}  // namespace hashnet
