#include "storage/first_table.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "storage/table_entries.hpp"

namespace hashnet {

namespace {

/// The first word of every code, in the order of bits that the segment has.
class RowKeys {
  public:
    RowKeys(CodesView codes, const BitOrder& order) : codes_(codes), order_(order) {}

    std::size_t size() const { return codes_.n; }

    template <class Visit>
    void each(std::size_t first, std::size_t last, Visit&& visit) const {
        if (order_.is_identity() && codes_.n_bits >= 64) {
            const std::size_t n_bytes = codes_.n_bytes();
            const std::uint8_t* row = codes_.row(first);
            for (std::size_t i = first; i < last; ++i, row += n_bytes) {
                visit(load_word(row), static_cast<std::uint32_t>(i));
            }
            return;
        }
        std::array<std::uint64_t, kMaxWords> words;
        for (std::size_t i = first; i < last; ++i) {
            load(i, words.data());
            visit(words[0], static_cast<std::uint32_t>(i));
        }
    }

    void done(std::size_t, std::size_t) const {}

    /// The whole code of a row.
    void load(std::size_t row, std::uint64_t* words) const {
        if (order_.is_identity()) {
            load_words(codes_.row(row), codes_.n_bits, words);
            return;
        }
        std::array<std::uint64_t, kMaxWords> external;
        load_words(codes_.row(row), codes_.n_bits, external.data());
        order_.to_internal(external.data(), words);
    }

    bool equal(std::uint32_t a, std::uint32_t b) const {
        return std::memcmp(codes_.row(a), codes_.row(b), codes_.n_bytes()) == 0;
    }

    const CodesView& codes() const { return codes_; }

  private:
    CodesView codes_;
    const BitOrder& order_;
};

class FirstTable {
  public:
    FirstTable(BuildContext& context, const RowKeys& keys, RowIds ids, bool ids_ascend, const Layout& layout,
               SectionWriter& writer, const FirstTableSections& sections)
        : context_(context),
          keys_(keys),
          ids_(ids),
          ids_ascend_(ids_ascend),
          layout_(layout),
          writer_(writer),
          sections_(sections),
          n_words_(words_for(keys.codes().n_bits)) {}

    SortedRows build(const std::vector<std::uint64_t>& row_sample) {
        const std::size_t n = keys_.size();
        const std::uint64_t bits_bytes = n / 8;
        const SortPlan plan = plan_sort(
            n, sizeof(KeyedRow), context_.memory - std::min(context_.memory, bits_bytes), context_.threads);
        const KeyRanges ranges(row_sample, plan.ranges);
        context_.progress.begin("counting", n);
        const std::vector<std::uint64_t> counts = count_keys(context_, keys_, ranges);
        row_starts_.assign(ranges.size() + 1, 0);
        std::partial_sum(counts.begin(), counts.end(), row_starts_.begin() + 1);
        result_.run_bits.assign((n + 63) / 64, 0);

        // In residue form a key is a whole code. Ranges of one code need no sorting, only their ids.
        std::vector<char> apart(ranges.size(), 0);
        for (std::size_t range = 0; layout_.residue_form && range < ranges.size(); ++range) {
            apart[range] = ranges.single_key(range) && counts[range] > 0 ? 1 : 0;
        }
        context_.progress.begin("sorting rows", 2 * n);
        gather_repeated(ranges, counts, apart);
        const std::vector<Slice> slices = cut_slices(counts, apart, plan.slice_items);
        context_.working_memory(largest(slices) * sizeof(KeyedRow));
        for (const Slice& slice : slices) {
            SortedSlice<KeyedRow> sorted(context_, slice, counts, apart);
            sorted.fetch(keys_, ranges, apart);
            fill_slice(slice, sorted, ranges, apart);
        }
        if (layout_.residue_form) {
            directory()[std::size_t{1} << layout_.tables[0].directory_bits] =
                static_cast<std::uint32_t>(result_.n_distinct);
        }
        return std::move(result_);
    }

  private:
    void gather_repeated(const KeyRanges& ranges, const std::vector<std::uint64_t>& counts,
                         const std::vector<char>& apart) {
        if (std::none_of(apart.begin(), apart.end(), [](char one) { return one != 0; })) return;
        std::vector<std::uint64_t> next(row_starts_.begin(), row_starts_.end() - 1);
        visit_apart(context_, keys_, ranges, apart, [&](std::size_t range, std::uint32_t from) {
            if (next[range] == row_starts_[range + 1]) throw ChangedWhileBuilding();
            set_id(next[range]++, from);
        });
        context_.in_pieces(ranges.size(), 1, [&](std::size_t range, std::size_t) {
            if (apart[range] == 0) return;
            if (next[range] != row_starts_[range + 1]) throw ChangedWhileBuilding();
            if (!ids_ascend_) sort_ids(row_starts_[range], row_starts_[range + 1]);
            context_.progress.add(2 * counts[range]);
        });
    }

    // What it does goes by the sections' order: ids and run bits of a range have their place from the start;
    // codes have theirs once the distinct ones before them are counted.
    void fill_slice(const Slice& slice, SortedSlice<KeyedRow>& sorted, const KeyRanges& ranges,
                    const std::vector<char>& apart) {
        std::vector<std::uint64_t> positions(slice.end - slice.begin + 1, 0);
        sorted.for_each_range([&](std::size_t range, KeyedRow* items, std::size_t n, KeyedRow* scratch) {
            std::uint64_t& distinct = positions[range - slice.begin + 1];
            if (apart[range] != 0) {
                set_run_bits(row_starts_[range], 1);
                distinct = 1;
                return;
            }
            radix_sort(items, scratch, n);
            order_ties(items, n);
            distinct = place_rows(items, n, row_starts_[range]);
            sorted.count_as_done(n);
        });
        positions[0] = result_.n_distinct;
        std::partial_sum(positions.begin(), positions.end(), positions.begin());
        result_.n_distinct = positions.back();
        writer_.grow(sections_.store, store_bytes(result_.n_distinct));
        sorted.for_each_range([&](std::size_t range, KeyedRow* items, std::size_t n, KeyedRow*) {
            const std::size_t own = range - slice.begin;
            const auto position = static_cast<std::uint32_t>(positions[own]);
            const auto distinct = static_cast<std::size_t>(positions[own + 1] - positions[own]);
            if (!layout_.residue_form) {
                write_rows(items, n, row_starts_[range], position);
            } else if (apart[range] != 0) {
                table_writer().write(ranges.low(range), ranges.last(range), position, 1,
                                     [&] { return ranges.low(range); });
            } else {
                // Equal codes are sorted to one another: the next code is the next that differs.
                const KeyedRow* item = items;
                table_writer().write(ranges.low(range), ranges.last(range), position, distinct, [&] {
                    const std::uint64_t key = key_of(*item);
                    do ++item;
                    while (item != items + n && key_of(*item) == key);
                    return key;
                });
            }
        });
        writer_.finish(sections_.ids, row_starts_[slice.end] * (sections_.wide_ids ? 8 : 4));
        // The last block may still get entries, and with no planes there are no bytes.
        const std::uint64_t whole =
            layout_.residue_form ? result_.n_distinct / kBlockEntries * kBlockEntries : result_.n_distinct;
        writer_.finish(sections_.store, store_bytes(whole));
    }

    void order_ties(KeyedRow* items, std::size_t n) const {
        const auto by_id = [&](std::uint32_t a, std::uint32_t b) {
            return ids_ascend_ ? a < b : ids_.at(a) < ids_.at(b);
        };
        if (layout_.residue_form) {
            order_equal_keys(items, n, by_id);
            return;
        }
        // Codes that share their first word are compared whole, which is rare unless they are equal.
        order_equal_keys(items, n, [&](std::uint32_t a, std::uint32_t b) {
            if (keys_.equal(a, b)) return by_id(a, b);
            std::array<std::uint64_t, kMaxWords> left;
            std::array<std::uint64_t, kMaxWords> right;
            keys_.load(a, left.data());
            keys_.load(b, right.data());
            return std::lexicographical_compare(left.begin(), left.begin() + n_words_, right.begin(),
                                                right.begin() + n_words_);
        });
    }

    /// Writes ids and run bits of sorted rows; returns how many distinct codes they have.
    std::uint64_t place_rows(const KeyedRow* items, std::size_t n, std::uint64_t first_row) {
        std::uint64_t distinct = 0;
        std::uint64_t bits = 0;
        std::uint64_t row = first_row;
        for (std::size_t i = 0; i < n; ++i, ++row) {
            set_id(row, items[i].from);
            const bool repeats = i > 0 && key_of(items[i]) == key_of(items[i - 1]) &&
                                 (layout_.residue_form || keys_.equal(items[i].from, items[i - 1].from));
            distinct += repeats ? 0 : 1;
            bits |= std::uint64_t{!repeats} << (row % 64);
            if (row % 64 == 63) {
                set_run_bits(row / 64 * 64, bits);
                bits = 0;
            }
        }
        if (bits != 0) set_run_bits(row / 64 * 64, bits);
        return distinct;
    }

    void write_rows(const KeyedRow* items, std::size_t n, std::uint64_t first_row, std::uint32_t position) {
        auto* to = writer_.data<std::uint64_t>(sections_.store) + std::size_t{position} * n_words_;
        constexpr std::size_t kAhead = 8;
        for (std::size_t i = 0; i < n; ++i) {
            if (i + kAhead < n) __builtin_prefetch(keys_.codes().row(items[i + kAhead].from));
            const std::uint64_t row = first_row + i;
            if ((result_.run_bits[row / 64] >> (row % 64) & 1) == 0) continue;
            keys_.load(items[i].from, to);
            to += n_words_;
        }
    }

    // Words at the ends of ranges are shared with other threads.
    void set_run_bits(std::uint64_t row, std::uint64_t bits) {
        __atomic_fetch_or(&result_.run_bits[row / 64], bits << (row % 64), __ATOMIC_RELAXED);
    }

    void set_id(std::uint64_t row, std::uint32_t from) {
        const std::int64_t id = ids_.at(from);
        if (sections_.wide_ids) {
            writer_.data<std::int64_t>(sections_.ids)[row] = id;
        } else {
            writer_.data<std::uint32_t>(sections_.ids)[row] = static_cast<std::uint32_t>(id);
        }
    }

    void sort_ids(std::uint64_t first, std::uint64_t last) {
        if (sections_.wide_ids) {
            auto* ids = writer_.data<std::int64_t>(sections_.ids);
            std::sort(ids + first, ids + last);
        } else {
            auto* ids = writer_.data<std::uint32_t>(sections_.ids);
            std::sort(ids + first, ids + last);
        }
    }

    std::uint32_t* directory() { return writer_.data<std::uint32_t>(sections_.directory); }

    TableWriter table_writer() {
        return {layout_.tables[0], directory(), writer_.data<std::uint8_t>(sections_.store)};
    }

    std::size_t store_bytes(std::uint64_t n_distinct) const {
        if (!layout_.residue_form) return static_cast<std::size_t>(8 * n_words_ * n_distinct);
        return static_cast<std::size_t>((n_distinct + kBlockEntries - 1) / kBlockEntries * kBlockEntries *
                                        layout_.tables[0].planes);
    }

    BuildContext& context_;
    const RowKeys& keys_;
    RowIds ids_;
    bool ids_ascend_;
    const Layout& layout_;
    SectionWriter& writer_;
    FirstTableSections sections_;
    std::size_t n_words_;
    std::vector<std::uint64_t> row_starts_;
    SortedRows result_{0, {}};
};

}  // namespace

SortedRows build_first_table(BuildContext& context, CodesView codes, RowIds ids, bool ids_ascend,
                             const BitOrder& order, const Layout& layout,
                             const std::vector<std::uint64_t>& row_sample, SectionWriter& writer,
                             const FirstTableSections& sections) {
    const RowKeys keys(codes, order);
    const unsigned n_words = words_for(codes.n_bits);
    std::vector<std::uint64_t> sample(row_sample.size() / n_words);
    std::array<std::uint64_t, kMaxWords> words;
    for (std::size_t i = 0; i < sample.size(); ++i) {
        order.to_internal(row_sample.data() + i * n_words, words.data());
        sample[i] = words[0];
    }
    FirstTable table(context, keys, ids, ids_ascend, layout, writer, sections);
    return table.build(sample);
}

}  // namespace hashnet
