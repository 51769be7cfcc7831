// Sorting many items by a 64-bit key: one pass of partitioning, then small sorts on all threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "parallel.hpp"

namespace hashnet {

/// Sorts by `less`, which must order first by `key(item)`, a std::uint64_t spread from the top bit.
/// Needs as much memory again as the items take.
template <class Item, class Key, class Less>
void partition_sort(std::vector<Item>& items, unsigned threads, Key&& key, Less&& less) {
    // Partitions of about 1,024 items are sorted inside the second-level cache.
    unsigned bits = 0;
    while (bits < 16 && items.size() >> (bits + 11) != 0) ++bits;
    if (bits == 0) {
        std::sort(items.begin(), items.end(), less);
        return;
    }
    const std::size_t parts = std::size_t{1} << bits;
    std::vector<std::size_t> starts(parts + 1, 0);
    for (const Item& item : items) ++starts[(key(item) >> (64 - bits)) + 1];
    for (std::size_t p = 0; p < parts; ++p) starts[p + 1] += starts[p];
    std::vector<Item> sorted(items.size());
    std::vector<std::size_t> next(starts.begin(), starts.end() - 1);
    for (const Item& item : items) sorted[next[key(item) >> (64 - bits)]++] = item;
    items.swap(sorted);
    const auto at = [&](std::size_t p) { return items.begin() + static_cast<std::ptrdiff_t>(starts[p]); };
    parallel_pieces(parts, std::max<std::size_t>(parts / 256, 1), threads,
                    [&](std::size_t first, std::size_t last) {
                        for (std::size_t p = first; p < last; ++p) std::sort(at(p), at(p + 1), less);
                    });
}

}  // namespace hashnet
