#include "storage/later_tables.hpp"

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "codes.hpp"
#include "storage/table_entries.hpp"

namespace hashnet {

namespace {

// Every so many codes one is looked at, to see how keys are spread.
constexpr std::uint64_t kSampledPerRange = 32;

/// Codes of table 0, turned so that the table's substring comes first.
class TurnedCodes {
  public:
    using Item = std::uint64_t;
    static constexpr bool kDistinct = true;

    TurnedCodes(const CodeStore& store, const TableLayout& layout) : store_(store), start_(layout.start) {}

    std::size_t size() const { return static_cast<std::size_t>(store_.n_distinct); }

    template <class Visit>
    void each(std::size_t first, std::size_t last, Visit&& visit) const {
        walk_codes(*store_.first_layout, store_.first_directory,
                   static_cast<const std::uint8_t*>(store_.data), static_cast<std::uint32_t>(first),
                   static_cast<std::uint32_t>(last), [&](std::uint64_t code, std::uint32_t position) {
                       visit(rotate(code, store_.n_bits, start_), position);
                   });
    }

    void done(std::size_t first, std::size_t last) const {
        const std::size_t planes = store_.first_layout->planes;
        store_.writer->forget(store_.section, first * planes, last * planes);
    }

  private:
    const CodeStore& store_;
    unsigned start_;
};

/// The bits of each row that address the directory, and the number of the row.
class Addresses {
  public:
    using Item = KeyedRow;
    static constexpr bool kDistinct = false;

    Addresses(const CodeStore& store, const TableLayout& layout)
        : store_(store),
          start_(layout.start),
          directory_bits_(layout.directory_bits),
          n_words_(words_for(store.n_bits)) {}

    std::size_t size() const { return static_cast<std::size_t>(store_.n_distinct); }

    template <class Visit>
    void each(std::size_t first, std::size_t last, Visit&& visit) const {
        const auto* words = static_cast<const std::uint64_t*>(store_.data) + first * n_words_;
        for (std::size_t i = first; i < last; ++i, words += n_words_) {
            const std::uint64_t bits = ring_bits_at(words, store_.n_bits, start_, directory_bits_);
            visit(bits << (64 - directory_bits_), static_cast<std::uint32_t>(i));
        }
    }

    void done(std::size_t first, std::size_t last) const {
        store_.writer->forget(store_.section, first * n_words_ * 8, last * n_words_ * 8);
    }

  private:
    const CodeStore& store_;
    unsigned start_;
    unsigned directory_bits_;
    std::size_t n_words_;
};

template <class Source>
std::vector<std::uint64_t> sample_keys(const Source& source, std::size_t wanted) {
    std::vector<std::uint64_t> sample;
    const std::size_t step = std::max<std::size_t>(source.size() / std::max<std::size_t>(wanted, 1), 1);
    for (std::size_t i = 0; i < source.size(); i += step) {
        source.each(i, i + 1, [&](std::uint64_t key, std::uint32_t) { sample.push_back(key); });
    }
    return sample;
}

template <class Source>
void build_from(BuildContext& context, const Source& source, const LaterTable& table, SectionWriter& writer) {
    using Item = typename Source::Item;
    const std::size_t n = source.size();
    const SortPlan plan = plan_sort(n, sizeof(Item), context.memory, context.threads);
    context.progress.begin("sorting table " + std::to_string(table.number), 3 * n);
    const KeyRanges ranges(sample_keys(source, kSampledPerRange * plan.ranges), plan.ranges);
    const std::vector<std::uint64_t> counts = count_keys(context, source, ranges);
    std::vector<std::uint64_t> starts(ranges.size() + 1, 0);
    std::partial_sum(counts.begin(), counts.end(), starts.begin() + 1);

    const TableWriter entries{table.layout, writer.data<std::uint32_t>(table.directory),
                              writer.data<std::uint8_t>(table.blocks)};
    auto* positions = Source::kDistinct ? nullptr : writer.data<std::uint32_t>(table.positions);

    // Where many rows have the same key, only their numbers are of interest, and these come in order.
    std::vector<char> apart(ranges.size(), 0);
    for (std::size_t range = 0; !Source::kDistinct && range < ranges.size(); ++range) {
        apart[range] = ranges.single_key(range) && counts[range] > 0 ? 1 : 0;
    }
    if (std::any_of(apart.begin(), apart.end(), [](char one) { return one != 0; })) {
        std::vector<std::uint64_t> next(starts.begin(), starts.end() - 1);
        visit_apart(context, source, ranges, apart,
                    [&](std::size_t range, std::uint32_t from) { positions[next[range]++] = from; });
    }
    const std::vector<Slice> slices = cut_slices(counts, apart, plan.slice_items);
    context.working_memory(largest(slices) * sizeof(Item));
    for (const Slice& slice : slices) {
        SortedSlice<Item> sorted(context, slice, counts, apart);
        sorted.fetch(source, ranges, apart);
        sorted.for_each_range([&](std::size_t range, Item* items, std::size_t n_items, Item* scratch) {
            const auto first = static_cast<std::uint32_t>(starts[range]);
            const std::uint64_t low = ranges.low(range);
            if (apart[range] != 0) {
                entries.write(low, low, first, static_cast<std::size_t>(counts[range]), [&] { return low; });
                return;
            }
            radix_sort(items, scratch, n_items);
            if constexpr (!Source::kDistinct) {
                order_equal_keys(items, n_items, [](std::uint32_t a, std::uint32_t b) { return a < b; });
                for (std::size_t i = 0; i < n_items; ++i) positions[first + i] = items[i].from;
            }
            const Item* item = items;
            entries.write(low, ranges.last(range), first, n_items, [&] { return key_of(*item++); });
            context.progress.add(n_items);
        });
        const std::uint64_t whole = starts[slice.end] / kBlockEntries * kBlockEntries;
        writer.finish(table.blocks, static_cast<std::size_t>(whole * table.layout.planes));
        if (!Source::kDistinct)
            writer.finish(table.positions, static_cast<std::size_t>(4 * starts[slice.end]));
    }
    entries.directory[entries.n_cells()] = static_cast<std::uint32_t>(n);
    writer.finish(table.blocks);
    writer.finish(table.directory);
}

}  // namespace

void build_later_table(BuildContext& context, const CodeStore& store, const LaterTable& table,
                       SectionWriter& writer) {
    if (store.first_layout != nullptr) {
        build_from(context, TurnedCodes(store, table.layout), table, writer);
    } else {
        build_from(context, Addresses(store, table.layout), table, writer);
    }
}

}  // namespace hashnet
