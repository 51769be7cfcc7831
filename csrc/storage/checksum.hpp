// CRC-32C (Castagnoli), the checksum of every section on disk.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hashnet {

/// CRC-32C of `size` bytes; pass the result of an earlier call as `seed` to continue it.
std::uint32_t crc32c(const void* data, std::size_t size, std::uint32_t seed = 0);

/// The same, computed in pieces on up to `threads` threads.
std::uint32_t crc32c_parallel(const void* data, std::size_t size, unsigned threads, std::uint32_t seed = 0);

/// CRC-32C of a sequence of bytes followed by `second_size` others, from the CRC-32C of each.
std::uint32_t crc32c_combine(std::uint32_t first, std::uint32_t second, std::uint64_t second_size);

}  // namespace hashnet
