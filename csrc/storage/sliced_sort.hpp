// Sorting more keys than fit into memory: the keys of one slice at a time, each in one pass over all of them.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "parallel.hpp"
#include "storage/build_progress.hpp"
#include "storage/image.hpp"
#include "storage/key_ranges.hpp"
#include "storage/radix_sort.hpp"
#include "storage/scatter.hpp"
#include "storage/spares.hpp"

namespace hashnet {

/// What all steps of a build share.
struct BuildContext {
    unsigned threads;
    std::uint64_t memory;
    BuildProgress& progress;
    Image working;

    /// At least `bytes` of memory on huge pages, which the next call may give away.
    std::uint8_t* working_memory(std::size_t bytes) {
        if (working.size() < bytes) {
            working = Image();
            working = Image::allocate(bytes);
        }
        return working.mutable_data();
    }

    template <class Work>
    void in_pieces(std::size_t n, std::size_t grain, Work&& work) {
        parallel_pieces(n, grain, threads, work, [&] { progress.poll(); });
    }
};

/// Rows that a thread reads at a time.
inline constexpr std::size_t kPassRows = std::size_t{1} << 18;

struct SortPlan {
    std::uint64_t slice_items;
    std::size_t ranges;
};

/// How many items of `item_bytes` a slice may have, and into how many ranges `n` of them are best cut.
SortPlan plan_sort(std::uint64_t n, std::size_t item_bytes, std::uint64_t memory, unsigned threads);

/// Ranges [begin, end) with the items that are sorted together.
struct Slice {
    std::size_t begin;
    std::size_t end;
    std::uint64_t items;
};

/// Cuts the ranges, of which those `apart` take no room, into slices. A range is never cut, so one alone may
/// be larger than `slice_items`.
std::vector<Slice> cut_slices(const std::vector<std::uint64_t>& counts, const std::vector<char>& apart,
                              std::uint64_t slice_items);

/// The most items of any slice: working memory for them is taken once.
inline std::uint64_t largest(const std::vector<Slice>& slices) {
    std::uint64_t items = 0;
    for (const Slice& slice : slices) items = std::max(items, slice.items);
    return items;
}

/// How many keys of `source` each range has. A source has size(), each(first, last, visit), which calls
/// visit(key, from) for its rows [first, last), and done(first, last), which is told what was read.
template <class Source>
std::vector<std::uint64_t> count_keys(BuildContext& context, const Source& source, const KeyRanges& ranges) {
    using Counts = std::vector<std::uint64_t>;
    Spares<Counts> parts;
    context.in_pieces(source.size(), kPassRows, [&](std::size_t first, std::size_t last) {
        std::unique_ptr<Counts> own = parts.borrow([&] { return std::make_unique<Counts>(ranges.size()); });
        source.each(first, last, [&](std::uint64_t key, std::uint32_t) { ++(*own)[ranges.find(key)]; });
        source.done(first, last);
        parts.give_back(std::move(own));
        context.progress.add(last - first);
    });
    Counts counts(ranges.size());
    for (const auto& part : parts.all()) {
        for (std::size_t range = 0; range < counts.size(); ++range) counts[range] += (*part)[range];
    }
    return counts;
}

/// Calls visit(range, from) for the keys of ranges that are `apart`, in the order of the source.
template <class Source, class Visit>
void visit_apart(BuildContext& context, const Source& source, const KeyRanges& ranges,
                 const std::vector<char>& apart, Visit&& visit) {
    for (std::size_t first = 0; first < source.size(); first += kPassRows) {
        const std::size_t last = std::min(source.size(), first + kPassRows);
        source.each(first, last, [&](std::uint64_t key, std::uint32_t from) {
            const std::size_t range = ranges.find(key);
            if (apart[range] != 0) visit(range, from);
        });
        source.done(first, last);
        context.progress.poll();
    }
}

/// The items of one slice, range after range.
template <class Item>
class SortedSlice {
  public:
    SortedSlice(BuildContext& context, const Slice& slice, const std::vector<std::uint64_t>& counts,
                const std::vector<char>& apart)
        : context_(context), slice_(slice), starts_(slice.end - slice.begin + 1) {
        for (std::size_t range = slice.begin; range < slice.end; ++range) {
            const std::size_t own = range - slice.begin;
            starts_[own + 1] = starts_[own] + (apart[range] != 0 ? 0 : counts[range]);
        }
        items_ = reinterpret_cast<Item*>(context.working_memory(starts_.back() * sizeof(Item)));
    }

    /// Fetches the items of the slice from all keys of `source`.
    template <class Source>
    void fetch(const Source& source, const KeyRanges& ranges, const std::vector<char>& apart) {
        if (slice_.items == 0) return;
        Scatter<Item> scatter(items_, starts_);
        const std::uint64_t low = ranges.low(slice_.begin);
        const std::uint64_t span = ranges.last(slice_.end - 1) - low;
        context_.in_pieces(source.size(), kPassRows, [&](std::size_t first, std::size_t last) {
            scatter.with_lane([&](auto& lane) {
                // What belongs to the slice is gathered without a branch, which would be hard to predict.
                constexpr std::size_t kGathered = 1024;
                std::array<std::uint64_t, kGathered> keys;
                std::array<std::uint32_t, kGathered> froms;
                std::size_t n = 0;
                const auto pass_on = [&] {
                    for (std::size_t i = 0; i < n; ++i) {
                        const std::size_t range = ranges.find(keys[i]);
                        if (apart[range] != 0) continue;
                        lane.add(range - slice_.begin, make_item<Item>(keys[i], froms[i]));
                    }
                    n = 0;
                };
                source.each(first, last, [&](std::uint64_t key, std::uint32_t from) {
                    keys[n] = key;
                    froms[n] = from;
                    n += key - low <= span ? 1 : 0;
                    if (n == kGathered) pass_on();
                });
                pass_on();
            });
            source.done(first, last);
            context_.progress.add(slice_.items * (last - first) / source.size());
        });
        scatter.require_full();
    }

    /// Calls work(range, items, n, scratch) for every range, on all threads; scratch has room for n items.
    template <class Work>
    void for_each_range(Work&& work) {
        context_.in_pieces(slice_.end - slice_.begin, 1, [&](std::size_t own, std::size_t) {
            auto scratch = scratches_.borrow([] { return std::make_unique<std::vector<Item>>(); });
            const auto n = static_cast<std::size_t>(starts_[own + 1] - starts_[own]);
            if (scratch->size() < n) *scratch = std::vector<Item>(n);
            work(slice_.begin + own, items_ + starts_[own], n, scratch->data());
            scratches_.give_back(std::move(scratch));
        });
    }

    void count_as_done(std::size_t n) { context_.progress.add(n); }

  private:
    BuildContext& context_;
    Slice slice_;
    std::vector<std::uint64_t> starts_;
    Item* items_;
    Spares<std::vector<Item>> scratches_;
};

/// Brings items of equal keys, sorted by key, into the order of `less` on where they came from.
template <class Less>
void order_equal_keys(KeyedRow* items, std::size_t n, Less&& less) {
    for (std::size_t begin = 0; begin < n;) {
        std::size_t end = begin + 1;
        while (end < n && key_of(items[end]) == key_of(items[begin])) ++end;
        if (end - begin > 1) {
            std::sort(items + begin, items + end,
                      [&](const KeyedRow& a, const KeyedRow& b) { return less(a.from, b.from); });
        }
        begin = end;
    }
}

}  // namespace hashnet
