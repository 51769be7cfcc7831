// CRC-32C (Castagnoli), the checksum of every section on disk.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hashnet {

/// CRC-32C of `size` bytes; pass the result of an earlier call as `seed` to continue it.
std::uint32_t crc32c(const void* data, std::size_t size, std::uint32_t seed = 0);

}  // namespace hashnet
