#include "storage/key_ranges.hpp"

#include <algorithm>

namespace hashnet {

KeyRanges::KeyRanges(std::vector<std::uint64_t> sample, std::size_t wanted) : lows_{0} {
    std::sort(sample.begin(), sample.end());
    const auto at = [&](std::size_t i) { return sample[i * sample.size() / wanted]; };
    const auto begin_range = [&](std::uint64_t key) {
        if (key > lows_.back()) lows_.push_back(key);
    };
    for (std::size_t i = 1; !sample.empty() && i < wanted; ++i) {
        begin_range(at(i));
        if (at(i) == at(i - 1) && at(i) != ~std::uint64_t{0}) begin_range(at(i) + 1);
    }
    // Digits divide the keys between the lowest and the highest beginning, where they tell ranges apart.
    least_ = lows_.size() > 1 ? lows_[1] : 0;
    const std::uint64_t span = lows_.back() - least_;
    while (span >> shift_ >= kDigits) ++shift_;
    first_.resize(kDigits + 1);
    std::size_t range = 0;
    for (std::size_t digit = 0; digit < kDigits; ++digit) {
        // The lowest key of digit 0 is 0: keys below least_ count into it.
        const std::uint64_t key = digit == 0 ? 0 : least_ + (std::uint64_t{digit} << shift_);
        // Beyond the highest key of all the digits are never asked for.
        const bool possible = digit == 0 || key > least_;
        while (possible && range + 1 < lows_.size() && lows_[range + 1] <= key) ++range;
        first_[digit] = static_cast<std::uint32_t>(range);
    }
    first_[kDigits] = static_cast<std::uint32_t>(lows_.size() - 1);
}

}  // namespace hashnet
