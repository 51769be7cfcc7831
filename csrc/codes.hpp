// Packed codes as 64-bit words: loading, taking bits out, and the view of a code array.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace hashnet {

inline constexpr unsigned kMaxBits = 1024;
inline constexpr unsigned kMaxWords = kMaxBits / 64;

inline constexpr unsigned words_for(unsigned n_bits) {
    return (n_bits + 63) / 64;
}

/// A row-major array of packed codes, `n_bytes` each, first dimension in the top bit of byte 0.
struct CodesView {
    const std::uint8_t* data = nullptr;
    std::size_t n = 0;
    unsigned n_bits = 0;

    unsigned n_bytes() const { return n_bits / 8; }
    const std::uint8_t* row(std::size_t i) const { return data + i * n_bytes(); }
};

/// Eight bytes as one big-endian word.
inline std::uint64_t load_word(const std::uint8_t* bytes) {
    std::uint64_t word;
    std::memcpy(&word, bytes, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/// Loads one packed code as big-endian words: dimension i is bit 63 - i % 64 of word i / 64, so that
/// the numeric order of words is the lexicographic order of codes. Unused low bits are zero.
inline void load_words(const std::uint8_t* bytes, unsigned n_bits, std::uint64_t* words) {
    const unsigned whole = n_bits / 64;
    for (unsigned w = 0; w < whole; ++w) words[w] = load_word(bytes + 8 * w);
    if (n_bits % 64 == 0) return;
    std::uint64_t rest = 0;
    for (unsigned i = 0; i < n_bits % 64 / 8; ++i) {
        rest |= std::uint64_t{bytes[8 * whole + i]} << (56 - 8 * i);
    }
    words[whole] = rest;
}

/// The inverse of load_words.
inline void store_words(const std::uint64_t* words, unsigned n_bits, std::uint8_t* bytes) {
    for (unsigned i = 0; i < n_bits / 8; ++i) {
        bytes[i] = static_cast<std::uint8_t>(words[i / 8] >> (56 - 8 * (i % 8)));
    }
}

/// `length` (1..64) bits from bit `start`, right-aligned; all of them must lie inside the words.
inline std::uint64_t bits_at(const std::uint64_t* words, unsigned start, unsigned length) {
    const unsigned word = start / 64;
    const unsigned offset = start % 64;
    std::uint64_t bits = words[word] << offset;
    if (offset + length > 64) bits |= words[word + 1] >> (64 - offset);
    return bits >> (64 - length);
}

/// As bits_at, on the code closed to a ring of `n_bits`: bit n_bits is bit 0 again. `start` may be up
/// to 2 * n_bits - 1, `length` at most min(64, n_bits).
inline std::uint64_t ring_bits_at(const std::uint64_t* words, unsigned n_bits, unsigned start,
                                  unsigned length) {
    if (length == 0) return 0;
    if (start >= n_bits) start -= n_bits;
    if (start + length <= n_bits) return bits_at(words, start, length);
    const unsigned head = n_bits - start;
    return bits_at(words, start, head) << (length - head) | bits_at(words, 0, length - head);
}

/// A code of one word, closed to a ring of `n_bits` <= 64 and turned so that its bit `by` comes first.
inline std::uint64_t rotate(std::uint64_t code, unsigned n_bits, unsigned by) {
    if (by == 0 || by == n_bits) return code;
    const std::uint64_t used = ~std::uint64_t{0} << (64 - n_bits);
    return (code << by | code >> (n_bits - by)) & used;
}

inline unsigned distance(const std::uint64_t* a, const std::uint64_t* b, unsigned n_words) {
    unsigned sum = 0;
    for (unsigned w = 0; w < n_words; ++w) {
        sum += static_cast<unsigned>(__builtin_popcountll(a[w] ^ b[w]));
    }
    return sum;
}

}  // namespace hashnet
