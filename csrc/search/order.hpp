// Bringing hits into the order of every answer: ascending (distance, id).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "search/collector.hpp"

namespace hashnet {

/// Sorts hits. Many are sorted by radix, least digit first: a comparison sort mispredicts every other branch,
/// which was a sixth of a radius search with 150 answers.
inline void sort_hits(std::vector<Hit>& hits) {
    constexpr std::size_t kFew = 80;
    constexpr unsigned kDigitBits = 8;
    std::uint64_t any = 0;
    for (const Hit& hit : hits) any |= static_cast<std::uint64_t>(hit.id);
    const unsigned id_bits = any == 0 ? 1 : 64 - static_cast<unsigned>(__builtin_clzll(any));
    if (hits.size() < kFew || id_bits > 64 - 11) {  // a distance takes up to 11 bits
        std::sort(hits.begin(), hits.end());
        return;
    }
    thread_local std::vector<std::uint64_t> keys;
    thread_local std::vector<std::uint64_t> other;
    keys.resize(hits.size());
    other.resize(hits.size());
    std::uint64_t differing = 0;
    for (std::size_t i = 0; i < hits.size(); ++i) {
        keys[i] = std::uint64_t{hits[i].distance} << id_bits | static_cast<std::uint64_t>(hits[i].id);
        differing |= keys[i] ^ keys[0];
    }
    for (unsigned shift = 0; shift < 64 && differing >> shift != 0; shift += kDigitBits) {
        constexpr std::uint64_t kMask = (1U << kDigitBits) - 1;
        if ((differing >> shift & kMask) == 0) continue;
        std::array<std::uint32_t, kMask + 1> starts{};
        for (const std::uint64_t key : keys) ++starts[key >> shift & kMask];
        std::uint32_t sum = 0;
        for (std::uint32_t& start : starts) sum += std::exchange(start, sum);
        for (const std::uint64_t key : keys) other[starts[key >> shift & kMask]++] = key;
        keys.swap(other);
    }
    const std::uint64_t id_mask = (std::uint64_t{1} << id_bits) - 1;
    for (std::size_t i = 0; i < hits.size(); ++i) {
        hits[i] = {static_cast<std::uint32_t>(keys[i] >> id_bits),
                   static_cast<std::int64_t>(keys[i] & id_mask)};
    }
}

/// Leaves the k least hits, sorted.
inline void cut_to_nearest(std::vector<Hit>& hits, std::uint64_t k) {
    if (hits.size() > 2 * k) {
        std::nth_element(hits.begin(), hits.begin() + static_cast<std::ptrdiff_t>(k), hits.end());
        hits.resize(k);
    }
    sort_hits(hits);
    if (hits.size() > k) hits.resize(k);
}

}  // namespace hashnet
