#include "storage/runs.hpp"

#include <functional>

#include "kernels/dispatch.hpp"

namespace hashnet {

namespace {

// Between two samples lie mostly a few hundred rows, which are walked; where long runs lie between them the
// ranks are searched first.
constexpr std::uint32_t kWalked = 2 * RunIndex::kRanked;

template <class Visit>
void for_each_run(const std::uint64_t* bits, std::uint32_t n_rows, Visit&& visit) {
    for (std::size_t w = 0; w < RunIndex::words(n_rows); ++w) {
        for (std::uint64_t rest = bits[w]; rest != 0; rest &= rest - 1) {
            visit(static_cast<std::uint32_t>(w * 64 + static_cast<unsigned>(__builtin_ctzll(rest))));
        }
    }
}

/// The first set bit at or behind `row`, among the next `words` words; `none` where there is none.
std::uint32_t next_set(const std::uint64_t* bits, std::uint32_t row, std::size_t words, std::uint32_t none) {
    std::uint64_t word = bits[row / 64] >> (row % 64) << (row % 64);
    for (std::size_t w = row / 64;; word = bits[w]) {
        if (word != 0) {
            return std::min(static_cast<std::uint32_t>(w * 64 + static_cast<unsigned>(__builtin_ctzll(word))),
                            none);
        }
        ++w;
        if (--words == 0) return none;
    }
}

}  // namespace

HASHNET_POPCNT_CLONES std::uint32_t RunIndex::row_of(std::uint32_t run) const {
    if (run >= n_runs) return n_rows;
    const std::uint32_t sample = run / kSampled;
    std::uint32_t row = std::min(run_samples[sample], n_rows - 1);
    const std::uint32_t next = sample + 1 < samples(n_runs) ? run_samples[sample + 1] : n_rows;
    const std::uint32_t end = std::clamp(next, row, n_rows);
    // Set bits to pass, from `row` on.
    std::uint32_t pass = run % kSampled;
    if (end - row > kWalked) {
        const std::uint32_t* first = row_ranks + row / kRanked;
        const std::uint32_t* last = row_ranks + (end - 1) / kRanked + 1;
        const std::uint32_t* after = std::upper_bound(first, last, run);
        // Unless the run begins in the row's own stretch, which is walked from the row.
        if (after - first > 1) {
            row = static_cast<std::uint32_t>(after - 1 - row_ranks) * kRanked;
            pass = run - *(after - 1);
        }
    }
    const std::size_t stop = std::min(words(n_rows), std::size_t{row} / 64 + kWalked / 64 + 1);
    std::uint64_t word = bits[row / 64] >> (row % 64) << (row % 64);
    for (std::size_t w = row / 64;;) {
        const auto here = static_cast<std::uint32_t>(__builtin_popcountll(word));
        if (pass < here) {
            for (; pass > 0; --pass) word &= word - 1;
            return std::min(static_cast<std::uint32_t>(w * 64 + static_cast<unsigned>(__builtin_ctzll(word))),
                            n_rows - 1);
        }
        pass -= here;
        if (++w >= stop) return n_rows - 1;
        word = bits[w];
    }
}

Run RunIndex::from_bits(std::uint32_t run) const {
    const std::uint32_t first = row_of(run);
    if (first + 1 >= n_rows) return {std::min(first, n_rows), n_rows};
    // Most runs are short; the end of a long one is where the next one begins.
    constexpr std::size_t kNear = 4;
    const std::size_t near = std::min(kNear, words(n_rows) - (first + 1) / 64);
    std::uint32_t last = next_set(bits, first + 1, near, n_rows);
    if (last == n_rows) last = row_of(run + 1);
    return {first, std::max(first, last)};
}

HASHNET_POPCNT_CLONES bool RunIndex::consistent() const {
    if (run_starts != nullptr) {
        const std::uint32_t* end = run_starts + n_runs;
        return run_starts[0] == 0 && *end == n_rows &&
               std::adjacent_find(run_starts, end + 1, std::greater_equal<>()) == end + 1;
    }
    if (bits == nullptr) return n_runs == n_rows;
    if ((bits[0] & 1) == 0) return false;
    if (n_rows % 64 != 0 && bits[words(n_rows) - 1] >> (n_rows % 64) != 0) return false;
    std::uint64_t seen = 0;
    for (std::size_t w = 0; w < words(n_rows); ++w) {
        if (w % (kRanked / 64) == 0 && row_ranks[w / (kRanked / 64)] != seen) return false;
        const auto here = static_cast<std::uint64_t>(__builtin_popcountll(bits[w]));
        const std::uint64_t sampled = (seen + kSampled - 1) / kSampled * kSampled;
        if (sampled < seen + here && sampled < n_runs) {
            std::uint64_t word = bits[w];
            for (std::uint64_t pass = sampled - seen; pass > 0; --pass) word &= word - 1;
            const std::size_t row = w * 64 + static_cast<unsigned>(__builtin_ctzll(word));
            if (run_samples[sampled / kSampled] != row) return false;
        }
        seen += here;
    }
    return seen == n_runs;
}

void fill_run_starts(const std::uint64_t* bits, std::uint32_t n_rows, std::uint32_t* starts) {
    for_each_run(bits, n_rows, [&](std::uint32_t row) { *starts++ = row; });
    *starts = n_rows;
}

void fill_run_samples(const std::uint64_t* bits, std::uint32_t n_rows, std::uint32_t* samples,
                      std::uint32_t* ranks) {
    std::uint32_t run = 0;
    for (std::size_t w = 0; w < RunIndex::words(n_rows); ++w) {
        if (w % (RunIndex::kRanked / 64) == 0) *ranks++ = run;
        for (std::uint64_t rest = bits[w]; rest != 0; rest &= rest - 1, ++run) {
            if (run % RunIndex::kSampled != 0) continue;
            *samples++ = static_cast<std::uint32_t>(w * 64 + static_cast<unsigned>(__builtin_ctzll(rest)));
        }
    }
}

}  // namespace hashnet
