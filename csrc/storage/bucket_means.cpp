#include "storage/bucket_means.hpp"

#include <algorithm>
#include <vector>

#include "codes.hpp"

namespace hashnet {

namespace {

constexpr std::size_t kSample = 256;
constexpr unsigned kEnumerated = 2;
// Distances beyond: this many buckets a code, drawn anew every so many codes. Small segments are built
// often, and should not spend their time here.
constexpr unsigned kDrawn = 64;
constexpr std::size_t kCodesOfADraw = 8;

/// Xorshift (Marsaglia, J. Stat. Softw. 2003); the same numbers in every build.
class Draws {
  public:
    unsigned below(unsigned n) {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return static_cast<unsigned>((state_ >> 32) * n >> 32);
    }

  private:
    std::uint64_t state_ = 0x9E3779B97F4A7C15ULL;
};

/// All masks of one or two bits, or drawn ones of `e`; none where a substring has fewer bits.
std::vector<std::uint64_t> masks_of(unsigned substring_bits, unsigned e, std::size_t wanted, Draws& draws) {
    std::vector<std::uint64_t> masks;
    if (e > substring_bits) return masks;
    if (e == 0) return {0};
    if (e <= kEnumerated) {
        for (unsigned a = 0; a < substring_bits; ++a) {
            if (e == 1) masks.push_back(std::uint64_t{1} << a);
            for (unsigned b = 0; e == 2 && b < a; ++b) {
                masks.push_back(std::uint64_t{1} << a | std::uint64_t{1} << b);
            }
        }
        return masks;
    }
    while (masks.size() < wanted) {
        std::uint64_t mask = 0;
        for (unsigned bits = 0; bits < e;) {
            const std::uint64_t bit = std::uint64_t{1} << draws.below(substring_bits);
            bits += (mask & bit) == 0 ? 1 : 0;
            mask |= bit;
        }
        masks.push_back(mask);
    }
    return masks;
}

}  // namespace

std::array<float, kKnownDistances> bucket_means(const TableLayout& layout, const std::uint32_t* directory,
                                                const std::uint64_t* codes, std::size_t n, unsigned n_words) {
    const std::size_t sample = std::min(n, kSample);
    const unsigned below = layout.directory_bits - layout.substring_bits;
    const std::size_t width = std::size_t{1} << below;
    std::array<float, kKnownDistances> means{};
    Draws draws;
    for (unsigned e = 0; e < kKnownDistances; ++e) {
        double entries = 0;
        double buckets = 0;
        std::vector<std::uint64_t> masks = masks_of(layout.substring_bits, e, kDrawn, draws);
        for (std::size_t i = 0; i < sample; ++i) {
            if (i > 0 && i % kCodesOfADraw == 0 && e > kEnumerated)
                masks = masks_of(layout.substring_bits, e, kDrawn, draws);
            const std::uint64_t own = bits_at(codes + i * n_words, layout.start, layout.substring_bits);
            for (const std::uint64_t mask : masks) {
                const std::uint32_t* cell = directory + ((own ^ mask) << below);
                entries += cell[width] - cell[0];
                buckets += 1;
            }
        }
        if (buckets > 0) means[e] = static_cast<float>(entries / buckets);
    }
    return means;
}

}  // namespace hashnet
