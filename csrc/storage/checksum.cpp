#include "storage/checksum.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "parallel.hpp"

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace hashnet {

namespace {

constexpr std::uint32_t kReflectedPolynomial = 0x82F63B78U;

// Row 0 takes one byte; row i takes a byte that i more bytes follow, so that eight go at a time.
constexpr std::array<std::array<std::uint32_t, 256>, 8> make_tables() {
    std::array<std::array<std::uint32_t, 256>, 8> tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t value = byte;
        for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? kReflectedPolynomial : 0);
        tables[0][byte] = value;
    }
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        for (std::size_t i = 1; i < 8; ++i) {
            tables[i][byte] = tables[i - 1][byte] >> 8 ^ tables[0][tables[i - 1][byte] & 255];
        }
    }
    return tables;
}

constexpr auto kTables = make_tables();

std::uint32_t update_portable(std::uint32_t crc, const std::uint8_t* data, std::size_t size) {
    for (; size >= 8; data += 8, size -= 8) {
        std::uint64_t word = 0;
        for (unsigned i = 0; i < 8; ++i) word |= std::uint64_t{data[i]} << (8 * i);
        word ^= crc;
        crc = 0;
        for (unsigned i = 0; i < 8; ++i) crc ^= kTables[7 - i][word >> (8 * i) & 255];
    }
    for (std::size_t i = 0; i < size; ++i) crc = kTables[0][(crc ^ data[i]) & 255] ^ crc >> 8;
    return crc;
}

// One stream of the instruction takes about 10 GB/s, so that two threads are at the speed of the memory.
#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t update_sse42(std::uint32_t crc, const std::uint8_t* data,
                                                             std::size_t size) {
    std::uint64_t wide = crc;
    for (; size >= 8; data += 8, size -= 8) {
        std::uint64_t word;
        std::memcpy(&word, data, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    return update_portable(static_cast<std::uint32_t>(wide), data, size);
}
#elif defined(__ARM_FEATURE_CRC32)
std::uint32_t update_arm(std::uint32_t crc, const std::uint8_t* data, std::size_t size) {
    for (; size >= 8; data += 8, size -= 8) {
        std::uint64_t word;
        std::memcpy(&word, data, 8);
        crc = __crc32cd(crc, word);
    }
    return update_portable(crc, data, size);
}
#endif

/// Product of two polynomials modulo the polynomial of the checksum, bit 31 being the coefficient of x^0.
std::uint32_t multiply(std::uint32_t a, std::uint32_t b) {
    std::uint32_t product = 0;
    for (std::uint32_t bit = 0x80000000U; bit != 0; bit >>= 1) {
        if (a & bit) product ^= b;
        b = b >> 1 ^ (b & 1 ? kReflectedPolynomial : 0);
    }
    return product;
}

}  // namespace

std::uint32_t crc32c(const void* data, std::size_t size, std::uint32_t seed) {
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    const std::uint32_t crc = ~seed;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return ~update_sse42(crc, bytes, size);
#elif defined(__ARM_FEATURE_CRC32)
    return ~update_arm(crc, bytes, size);
#endif
    return ~update_portable(crc, bytes, size);
}

// A checksum is the remainder of a polynomial, up to constants that cancel here; `second_size` bytes behind
// it multiply that by x^(8 second_size).
std::uint32_t crc32c_combine(std::uint32_t first, std::uint32_t second, std::uint64_t second_size) {
    std::uint32_t power = 0x80000000U >> 8;  // x^8
    std::uint32_t shift = 0x80000000U;       // 1
    for (std::uint64_t bytes = second_size; bytes != 0; bytes >>= 1) {
        if (bytes & 1) shift = multiply(shift, power);
        power = multiply(power, power);
    }
    return multiply(shift, first) ^ second;
}

std::uint32_t crc32c_parallel(const void* data, std::size_t size, unsigned threads, std::uint32_t seed) {
    constexpr std::size_t kPiece = std::size_t{4} << 20;
    if (threads <= 1 || size <= kPiece) return crc32c(data, size, seed);
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    std::vector<std::uint32_t> pieces((size + kPiece - 1) / kPiece);
    parallel_pieces(size, kPiece, threads, [&](std::size_t first, std::size_t last) {
        pieces[first / kPiece] = crc32c(bytes + first, last - first);
    });
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        seed = crc32c_combine(seed, pieces[i], std::min(kPiece, size - i * kPiece));
    }
    return seed;
}

}  // namespace hashnet
