// Cutting 64-bit keys into ranges of about equal numbers of items, from a sample of the keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hashnet {

/// Ranges, ascending, that together are all keys.
class KeyRanges {
  public:
    /// About `wanted` ranges. A key that fills more than one of them by itself gets a range of its own, so
    /// there may be up to twice as many.
    KeyRanges(std::vector<std::uint64_t> sample, std::size_t wanted);

    std::size_t size() const { return lows_.size(); }
    std::uint64_t low(std::size_t range) const { return lows_[range]; }
    /// The last key that belongs to the range.
    std::uint64_t last(std::size_t range) const {
        return range + 1 < lows_.size() ? lows_[range + 1] - 1 : ~std::uint64_t{0};
    }
    bool single_key(std::size_t range) const { return low(range) == last(range); }

    /// The range that holds `key`.
    std::size_t find(std::uint64_t key) const {
        const std::uint64_t above = key < least_ ? 0 : (key - least_) >> shift_;
        const std::size_t digit = above < kDigits ? static_cast<std::size_t>(above) : kDigits - 1;
        std::uint32_t range = first_[digit];
        // Ranges that begin inside this digit; with evenly spread keys there is one or none.
        for (std::uint32_t left = first_[digit + 1] - range; left > 0;) {
            const std::uint32_t half = (left + 1) / 2;
            const bool beyond = lows_[range + half] <= key;
            range = beyond ? range + half : range;
            left = beyond ? left - half : half - 1;
        }
        return range;
    }

  private:
    static constexpr std::size_t kDigits = std::size_t{1} << 16;

    std::vector<std::uint64_t> lows_;
    /// For each digit the range in which it begins.
    std::vector<std::uint32_t> first_;
    std::uint64_t least_ = 0;
    unsigned shift_ = 0;
};

}  // namespace hashnet
