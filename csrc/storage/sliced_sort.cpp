#include "storage/sliced_sort.hpp"

namespace hashnet {

namespace {

// Ranges of this many items are sorted in the second-level cache; more than so many at a time would need
// more buffers than fit there.
constexpr std::uint64_t kRangeItems = 8192;
constexpr std::uint64_t kMaxRanges = 2048;
constexpr std::uint64_t kLeastSlice = 4096;
constexpr std::uint64_t kLaneBytes = 260;

}  // namespace

SortPlan plan_sort(std::uint64_t n, std::size_t item_bytes, std::uint64_t memory, unsigned threads) {
    const auto ranges_for = [](std::uint64_t items) {
        return std::clamp<std::uint64_t>(items / kRangeItems, 1, kMaxRanges);
    };
    const std::uint64_t lanes = threads * ranges_for(std::min(n, memory / item_bytes)) * kLaneBytes;
    const std::uint64_t rest = memory - std::min(memory, lanes);
    // Each thread sorts a range with a copy of it, which may be twice as large as they are on average.
    const std::uint64_t ranges = ranges_for(std::min(n, rest / item_bytes));
    const std::uint64_t items = rest / item_bytes * ranges / (ranges + 2 * threads);
    SortPlan plan;
    plan.slice_items = std::max(items, kLeastSlice);
    const std::uint64_t slices = (n + plan.slice_items - 1) / plan.slice_items;
    // Small slices are filled better by more ranges.
    const std::uint64_t least = slices > 1 ? 8 : 1;
    plan.ranges =
        static_cast<std::size_t>(slices * std::max(ranges_for(std::min(n, plan.slice_items)), least));
    return plan;
}

std::vector<Slice> cut_slices(const std::vector<std::uint64_t>& counts, const std::vector<char>& apart,
                              std::uint64_t slice_items) {
    std::vector<Slice> slices;
    Slice open{0, 0, 0};
    for (std::size_t range = 0; range < counts.size(); ++range) {
        const std::uint64_t items = apart[range] != 0 ? 0 : counts[range];
        if (open.items > 0 && open.items + items > slice_items) {
            slices.push_back(open);
            open = {range, range, 0};
        }
        open.end = range + 1;
        open.items += items;
    }
    slices.push_back(open);
    return slices;
}

}  // namespace hashnet
