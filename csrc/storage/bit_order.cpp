#include "storage/bit_order.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <string>

#include "codes.hpp"

namespace hashnet {

namespace {

// Codes of one word are permuted a byte at a time, from 16 KiB of table. Longer ones half a byte at a time:
// the table grows with the square of n_bits, and takes half a MiB for 1024 bits.
constexpr unsigned kShortPiece = 8;
constexpr unsigned kLongPiece = 4;

std::uint64_t dimension(unsigned i) {
    return std::uint64_t{1} << (63 - i % 64);
}

// `place[i]`: where bit i goes.
std::vector<std::uint64_t> permutation_table(const std::vector<std::uint16_t>& place) {
    const auto n_bits = static_cast<unsigned>(place.size());
    const unsigned n_words = words_for(n_bits);
    const unsigned piece = n_words == 1 ? kShortPiece : kLongPiece;
    const unsigned n_pieces = n_words * 64 / piece;
    std::vector<std::uint64_t> table(std::size_t{n_pieces} * (1U << piece) * n_words);
    for (unsigned p = 0; p < n_pieces; ++p) {
        std::uint64_t* rows = table.data() + std::size_t{p} * (1U << piece) * n_words;
        for (unsigned value = 1; value < 1U << piece; ++value) {
            const unsigned rest = value & (value - 1);
            const unsigned bit = p * piece + piece - 1 - static_cast<unsigned>(__builtin_ctz(value));
            std::memcpy(rows + value * n_words, rows + rest * n_words, n_words * sizeof(std::uint64_t));
            // Bits behind the last one are zero in every code, so their rows may be.
            if (bit < n_bits) rows[value * n_words + place[bit] / 64] |= dimension(place[bit]);
        }
    }
    return table;
}

// The rows of a code's pieces, united in `kWords` of the `n_words` words that a row has: few enough to stay
// in registers.
template <unsigned kPiece, unsigned kWords>
void gather(const std::uint64_t* rows, unsigned n_words, const std::uint64_t* source, std::uint64_t* target) {
    std::array<std::uint64_t, kWords> sum{};
    for (unsigned s = 0; s < n_words; ++s) {
        std::uint64_t word = source[s];
        for (unsigned at = 0; at < 64; at += kPiece, word <<= kPiece) {
            const std::uint64_t* row = rows + (word >> (64 - kPiece)) * n_words;
            for (unsigned w = 0; w < kWords; ++w) sum[w] |= row[w];
            rows += std::size_t{1U << kPiece} * n_words;
        }
    }
    std::copy(sum.begin(), sum.end(), target);
}

}  // namespace

BitOrder BitOrder::identity(unsigned n_bits) {
    BitOrder result;
    result.order_.resize(n_bits);
    for (unsigned i = 0; i < n_bits; ++i) result.order_[i] = static_cast<std::uint16_t>(i);
    return result;
}

BitOrder BitOrder::from(const std::uint16_t* order, unsigned n_bits) {
    BitOrder result = identity(n_bits);
    std::vector<std::uint16_t> inverse(n_bits, static_cast<std::uint16_t>(n_bits));
    bool moved = false;
    for (unsigned i = 0; i < n_bits; ++i) {
        const unsigned dim = order[i];
        if (dim >= n_bits || inverse[dim] != n_bits) {
            throw std::invalid_argument("a bit order must hold each of 0.." + std::to_string(n_bits - 1) +
                                        " once; at place " + std::to_string(i) + " it has " +
                                        std::to_string(dim) + (dim < n_bits ? " again" : ""));
        }
        inverse[dim] = static_cast<std::uint16_t>(i);
        moved = moved || dim != i;
    }
    if (!moved) return result;
    result.order_.assign(order, order + n_bits);
    result.to_internal_ = permutation_table(inverse);
    result.to_external_ = permutation_table(result.order_);
    return result;
}

void BitOrder::permute(const std::vector<std::uint64_t>& table, const std::uint64_t* source,
                       std::uint64_t* target) const {
    const unsigned n_words = words_for(n_bits());
    if (table.empty()) {
        std::memcpy(target, source, n_words * sizeof(std::uint64_t));
        return;
    }
    const std::uint64_t* rows = table.data();
    if (n_words == 1) return gather<kShortPiece, 1>(rows, 1, source, target);
    unsigned w = 0;
    for (; w + 4 <= n_words; w += 4) gather<kLongPiece, 4>(rows + w, n_words, source, target + w);
    for (; w + 2 <= n_words; w += 2) gather<kLongPiece, 2>(rows + w, n_words, source, target + w);
    if (w < n_words) gather<kLongPiece, 1>(rows + w, n_words, source, target + w);
}

void BitOrder::to_internal(const std::uint64_t* external, std::uint64_t* internal) const {
    permute(to_internal_, external, internal);
}

void BitOrder::to_external(const std::uint64_t* internal, std::uint64_t* external) const {
    permute(to_external_, internal, external);
}

}  // namespace hashnet
