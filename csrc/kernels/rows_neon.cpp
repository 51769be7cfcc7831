#include "kernels/rows_kernels.hpp"
#include "kernels/targets.hpp"

#if defined(__aarch64__)

namespace hashnet {

namespace {

// The distances of eight rows, in their order. Pairwise additions halve the registers and the counts of a row
// alike, so that a tree over the rows ends with one lane for each of them.

/// kWords = 1 or 2: the bits that differ in each byte of 16 / kWords / 8 rows or of one.
inline uint8x16_t differing_bits(const std::uint64_t* words, uint8x16_t query) {
    return vcntq_u8(veorq_u8(vreinterpretq_u8_u64(vld1q_u64(words)), query));
}

inline uint8x16_t load_query(const std::uint64_t* words) {
    return vreinterpretq_u8_u64(vld1q_u64(words));
}

/// kWords = 0 stands for a length known at run time only.
template <unsigned kWords>
struct EightRows;

template <>
struct EightRows<1> {
    EightRows(const std::uint64_t* query, unsigned) : query_(vreinterpretq_u8_u64(vdupq_n_u64(*query))) {}

    uint16x8_t distances(const std::uint64_t* rows) const {
        const uint8x16_t a = vpaddq_u8(differing_bits(rows, query_), differing_bits(rows + 2, query_));
        const uint8x16_t b = vpaddq_u8(differing_bits(rows + 4, query_), differing_bits(rows + 6, query_));
        return vpaddlq_u8(vpaddq_u8(a, b));
    }

  private:
    uint8x16_t query_;
};

template <>
struct EightRows<2> {
    EightRows(const std::uint64_t* query, unsigned) : query_(load_query(query)) {}

    uint16x8_t distances(const std::uint64_t* rows) const {
        return vpaddlq_u8(vpaddq_u8(four(rows), four(rows + 8)));
    }

  private:
    uint8x16_t four(const std::uint64_t* rows) const {
        const uint8x16_t a = vpaddq_u8(differing_bits(rows, query_), differing_bits(rows + 2, query_));
        const uint8x16_t b = vpaddq_u8(differing_bits(rows + 4, query_), differing_bits(rows + 6, query_));
        return vpaddq_u8(a, b);
    }

    uint8x16_t query_;
};

template <>
struct EightRows<0> {
    EightRows(const std::uint64_t* query, unsigned n_words) : query_(query), n_words_(n_words) {}

    uint16x8_t distances(const std::uint64_t* rows) const {
        const uint16x8_t ab = vpaddq_u16(pair(rows, 0), pair(rows, 2));
        const uint16x8_t cd = vpaddq_u16(pair(rows, 4), pair(rows, 6));
        return vpaddq_u16(ab, cd);
    }

  private:
    uint16x8_t pair(const std::uint64_t* rows, unsigned i) const {
        return vpaddq_u16(vpaddlq_u8(counts(rows + i * n_words_)),
                          vpaddlq_u8(counts(rows + (i + 1) * n_words_)));
    }

    // A byte counts at most 8 bits of each of 8 registers.
    uint8x16_t counts(const std::uint64_t* row) const {
        uint8x16_t sum = vdupq_n_u8(0);
        std::size_t w = 0;
        for (; w + 2 <= n_words_; w += 2)
            sum = vaddq_u8(sum, differing_bits(row + w, load_query(query_ + w)));
        if (w == n_words_) return sum;
        const uint8x8_t last =
            vcnt_u8(vreinterpret_u8_u64(veor_u64(vld1_u64(row + w), vld1_u64(query_ + w))));
        return vaddq_u8(sum, vcombine_u8(last, vdup_n_u8(0)));
    }

    const std::uint64_t* query_;
    std::size_t n_words_;
};

template <>
struct EightRows<4> : EightRows<0> {
    EightRows(const std::uint64_t* query, unsigned) : EightRows<0>(query, 4) {}
};

template <unsigned kWords>
std::size_t filter(const std::uint64_t* rows, std::size_t n, unsigned n_words, const std::uint64_t* query,
                   unsigned bound, std::uint32_t first, Survivor* out) {
    if (kWords != 0) n_words = kWords;
    const EightRows<kWords> eight(query, n_words);
    const uint16x8_t limit = vdupq_n_u16(static_cast<std::uint16_t>(bound < 0xFFFF ? bound : 0xFFFF));
    Survivor* const start = out;
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const uint16x8_t distances = eight.distances(rows + i * n_words);
        const uint8x8_t passed = vmovn_u16(vcleq_u16(distances, limit));
        std::uint64_t mask = vget_lane_u64(vreinterpret_u64_u8(passed), 0);
        if (mask == 0) continue;
        std::uint16_t values[8];
        vst1q_u16(values, distances);
        // One bit of each byte.
        for (mask &= 0x0101010101010101; mask != 0; mask &= mask - 1) {
            const auto lane = static_cast<unsigned>(__builtin_ctzll(mask)) / 8;
            *out++ = {first + static_cast<std::uint32_t>(i) + lane, values[lane]};
        }
    }
    out += filter_rows_scalar(rows + i * n_words, n - i, n_words, query, bound,
                              first + static_cast<std::uint32_t>(i), out);
    return static_cast<std::size_t>(out - start);
}

}  // namespace

std::size_t filter_rows_neon(const std::uint64_t* rows, std::size_t n, unsigned n_words,
                             const std::uint64_t* query, unsigned bound, std::uint32_t first, Survivor* out) {
    switch (n_words) {
        case 1:
            return filter<1>(rows, n, n_words, query, bound, first, out);
        case 2:
            return filter<2>(rows, n, n_words, query, bound, first, out);
        case 4:
            return filter<4>(rows, n, n_words, query, bound, first, out);
        default:
            return filter<0>(rows, n, n_words, query, bound, first, out);
    }
}

}  // namespace hashnet

#endif
