// A k-NN bound from many distances at once.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/residue.hpp"
#include "search/collector.hpp"

namespace hashnet {

/// Lowers a k-NN bound by `n` survivors that are distinct codes, each at most its distance + `beyond` away:
/// the k-th least of these is a bound of the answer. Without it, while the bound is still wide, most entries
/// would be verified one by one only to be dropped.
inline void cap_by_survivors(Bound& bound, const Survivor* survivors, std::size_t n, unsigned beyond) {
    constexpr std::size_t kWorthCapping = 8;
    if (bound.k() == 0 || n < bound.k() + kWorthCapping) return;
    std::array<std::uint32_t, kMaxBits + 1> histogram;
    const unsigned wide = bound.value();
    std::fill_n(histogram.begin(), wide + 1, 0U);
    for (std::size_t i = 0; i < n; ++i) {
        const unsigned distance = survivors[i].distance + beyond;
        if (distance < wide) ++histogram[distance];
    }
    std::uint64_t within = 0;
    for (unsigned d = 0; d < wide; ++d) {
        within += histogram[d];
        if (within >= bound.k()) {
            bound.cap(d);
            return;
        }
    }
}

}  // namespace hashnet
