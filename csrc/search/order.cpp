#include "search/order.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace hashnet {

namespace {

// Fewer are left to std::sort.
constexpr std::size_t kFew = 80;

// From here on the counters of wide digits are worth clearing: an answer of 145,000 hits among 1e6 rows has
// keys of 22 bits, two digits in place of three.
constexpr std::size_t kMany = 4096;

unsigned width(std::uint64_t number) {
    return number == 0 ? 0 : 64 - static_cast<unsigned>(__builtin_clzll(number));
}

/// Sorts keys, least digit first. `differing` has the bits in which not all agree.
template <unsigned kDigitBits, class Key>
void sort_keys(std::vector<Key>& keys, Key differing) {
    constexpr Key kMask = (Key{1} << kDigitBits) - 1;
    thread_local std::vector<Key> other;
    other.resize(keys.size());
    for (unsigned shift = 0; shift < 8 * sizeof(Key) && differing >> shift != 0; shift += kDigitBits) {
        if ((differing >> shift & kMask) == 0) continue;
        std::array<std::uint32_t, kMask + 1> starts{};
        for (const Key key : keys) ++starts[key >> shift & kMask];
        std::uint32_t sum = 0;
        for (std::uint32_t& start : starts) sum += std::exchange(start, sum);
        for (const Key key : keys) other[starts[key >> shift & kMask]++] = key;
        keys.swap(other);
    }
}

// A hit as one number, which orders as hits do: the distance above `id_bits` bits of the id.
template <class Key, class Put>
void put_by_radix(const std::vector<Hit>& hits, unsigned id_bits, Put&& put) {
    thread_local std::vector<Key> keys;
    keys.resize(hits.size());
    Key differing = 0;
    bool in_order = true;
    for (std::size_t i = 0; i < hits.size(); ++i) {
        const Hit& hit = hits[i];
        keys[i] =
            static_cast<Key>(std::uint64_t{hit.distance} << id_bits | static_cast<std::uint64_t>(hit.id));
        differing |= keys[i] ^ keys[0];
        in_order &= i == 0 || keys[i - 1] <= keys[i];
    }
    if (!in_order) {
        if (hits.size() < kMany) {
            sort_keys<8>(keys, differing);
        } else {
            sort_keys<11>(keys, differing);
        }
    }
    const std::uint64_t id_mask = (std::uint64_t{1} << id_bits) - 1;
    for (std::size_t i = 0; i < hits.size(); ++i) {
        const std::uint64_t key = keys[i];
        put(i, {static_cast<std::uint32_t>(key >> id_bits), static_cast<std::int64_t>(key & id_mask)});
    }
}

template <class Put>
void put_in_order(std::vector<Hit>& hits, Put&& put) {
    std::uint64_t ids = 0;
    std::uint32_t distances = 0;
    if (hits.size() >= kFew) {
        for (const Hit& hit : hits) {
            ids |= static_cast<std::uint64_t>(hit.id);
            distances |= hit.distance;
        }
    }
    const unsigned id_bits = width(ids);
    const unsigned key_bits = id_bits + width(distances);
    if (hits.size() < kFew || key_bits > 64) {
        std::sort(hits.begin(), hits.end());
        for (std::size_t i = 0; i < hits.size(); ++i) put(i, hits[i]);
    } else if (key_bits > 32) {
        put_by_radix<std::uint64_t>(hits, id_bits, put);
    } else {
        put_by_radix<std::uint32_t>(hits, id_bits, put);
    }
}

}  // namespace

void sort_hits(std::vector<Hit>& hits) {
    put_in_order(hits, [&](std::size_t i, const Hit& hit) { hits[i] = hit; });
}

void write_in_order(std::vector<Hit>& hits, std::int32_t* distances, std::int64_t* ids) {
    put_in_order(hits, [=](std::size_t i, const Hit& hit) {
        distances[i] = static_cast<std::int32_t>(hit.distance);
        ids[i] = hit.id;
    });
}

void cut_to_nearest(std::vector<Hit>& hits, std::uint64_t k) {
    if (hits.size() > 2 * k) {
        std::nth_element(hits.begin(), hits.begin() + static_cast<std::ptrdiff_t>(k), hits.end());
        hits.resize(k);
    }
    sort_hits(hits);
    if (hits.size() > k) hits.resize(k);
}

}  // namespace hashnet
