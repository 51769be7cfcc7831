// Where the relevant items of labelled queries stand in the ranking by distance.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hashnet {

/// `n` packed codes of `n_bytes` bytes each with their labels, `n_label_words` words of multi-hot bits each.
struct LabelledCodes {
    const std::uint8_t* codes;
    const std::uint64_t* labels;
    std::size_t n;
    std::size_t n_bytes;
    std::size_t n_label_words;
};

/// An item is relevant to a query if they share a label. Rows of `all` and `relevant` are queries and hold
/// 8 * n_bytes + 1 counts, one for each distance.
struct Ranking {
    std::vector<std::uint32_t> all;
    std::vector<std::uint32_t> relevant;
    /// Of each query: the mean of precision@rank over the relevant items among the first `at`, in ascending
    /// (distance, database row); 0 where there is none.
    std::vector<double> average_precision;
    /// The mean of `average_precision` over all orders of the database, computed in closed form.
    std::vector<double> tie_aware;
    /// Of each rank below min(at, n): how many queries have a relevant item there.
    std::vector<std::int64_t> hits;
    /// The mean of `hits` over all orders of the database.
    std::vector<double> expected_hits;
};

/// Ranks the database for every query. Both views have the same n_bytes (at most 128) and n_label_words, at
/// least one item, fewer than 2^32; `at` >= 1. Works on `n_threads` threads (0: one for each core), each with
/// 2 * database.n + at bytes of its own; the result does not depend on their number.
Ranking rank(LabelledCodes queries, LabelledCodes database, std::size_t at, unsigned n_threads);

}  // namespace hashnet
