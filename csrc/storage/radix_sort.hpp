// Sorting in cache: a few thousand items by their 64-bit keys, from the highest bit in which they differ.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace hashnet {

/// A key and the number of the row that it came from, in 12 bytes.
struct KeyedRow {
    std::uint32_t high;
    std::uint32_t low;
    std::uint32_t from;
};

inline std::uint64_t key_of(std::uint64_t item) {
    return item;
}
inline std::uint64_t key_of(const KeyedRow& item) {
    return std::uint64_t{item.high} << 32 | item.low;
}

template <class Item>
Item make_item(std::uint64_t key, std::uint32_t from);
template <>
inline std::uint64_t make_item(std::uint64_t key, std::uint32_t) {
    return key;
}
template <>
inline KeyedRow make_item(std::uint64_t key, std::uint32_t from) {
    return {static_cast<std::uint32_t>(key >> 32), static_cast<std::uint32_t>(key), from};
}

namespace radix {

inline constexpr std::size_t kFew = 24;
inline constexpr unsigned kMaxDigit = 12;
inline constexpr unsigned kSmallDigit = 6;

/// Inserts `n` items into `to`, which may be `from`.
template <class Item>
void insert_sorted(const Item* from, Item* to, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
        const Item item = from[i];
        const std::uint64_t key = key_of(item);
        std::size_t at = i;
        for (; at > 0 && key_of(to[at - 1]) > key; --at) to[at] = to[at - 1];
        to[at] = item;
    }
}

template <class Item>
void sort(Item* items, Item* scratch, std::size_t n);

// One digit of at most kDigit bits; a small table of counts keeps the deep levels cheap, in time and stack.
template <unsigned kDigit, class Item>
void sort_by_digit(Item* items, Item* scratch, std::size_t n, unsigned digit, unsigned shift) {
    std::array<std::uint32_t, (std::size_t{1} << kDigit) + 1> ends{};
    const std::uint64_t mask = (std::uint64_t{1} << digit) - 1;
    for (std::size_t i = 0; i < n; ++i) ++ends[(key_of(items[i]) >> shift & mask) + 1];
    const std::size_t values = std::size_t{1} << digit;
    for (std::size_t v = 0; v < values; ++v) ends[v + 1] += ends[v];
    // ends[v] is where value v begins, and becomes where it ends.
    for (std::size_t i = 0; i < n; ++i) scratch[ends[key_of(items[i]) >> shift & mask]++] = items[i];
    std::size_t begin = 0;
    for (std::size_t v = 0; v < values; ++v) {
        const std::size_t count = ends[v] - begin;
        if (count <= kFew) {
            insert_sorted(scratch + begin, items + begin, count);
        } else {
            std::memcpy(items + begin, scratch + begin, count * sizeof(Item));
            if (shift != 0) sort(items + begin, scratch + begin, count);
        }
        begin = ends[v];
    }
}

template <class Item>
void sort(Item* items, Item* scratch, std::size_t n) {
    if (n <= kFew) {
        insert_sorted(items, items, n);
        return;
    }
    const std::uint64_t first = key_of(items[0]);
    std::uint64_t differing = 0;
    for (std::size_t i = 1; i < n; ++i) differing |= key_of(items[i]) ^ first;
    if (differing == 0) return;
    const auto top = 64 - static_cast<unsigned>(__builtin_clzll(differing));
    // About four items a value, where keys are spread.
    const unsigned wanted = 61 - static_cast<unsigned>(__builtin_clzll(n));
    const unsigned digit = std::min({wanted, kMaxDigit, top});
    if (digit <= kSmallDigit) {
        sort_by_digit<kSmallDigit>(items, scratch, n, digit, top - digit);
    } else {
        sort_by_digit<kMaxDigit>(items, scratch, n, digit, top - digit);
    }
}

}  // namespace radix

/// Sorts fewer than 2^32 items by key; items of equal keys come in no particular order. `scratch` has room
/// for `n` items. Every level takes several bits off the keys, so any keys take O(n) levels-of-64-bits time.
template <class Item>
void radix_sort(Item* items, Item* scratch, std::size_t n) {
    radix::sort(items, scratch, n);
}

}  // namespace hashnet
