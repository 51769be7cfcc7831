#include "search/ranking.hpp"

#include <algorithm>
#include <mutex>
#include <thread>

#include "codes.hpp"
#include "kernels/labelled.hpp"
#include "parallel.hpp"

namespace hashnet {

namespace {

/// Rows are read, and counted, in blocks whose values stay in the first-level cache.
constexpr std::size_t kBlock = 4096;

/// Neighbouring rows are counted in different copies: equal distances in a row would otherwise wait for each
/// other's store.
constexpr std::size_t kCopies = 4;

std::vector<std::uint64_t> to_words(LabelledCodes view, std::size_t n_words) {
    std::vector<std::uint64_t> words(view.n * n_words);
    const auto n_bits = static_cast<unsigned>(8 * view.n_bytes);
    for (std::size_t i = 0; i < view.n; ++i) {
        load_words(view.codes + i * view.n_bytes, n_bits, words.data() + i * n_words);
    }
    return words;
}

/// sums[n] = 1 + 1/2 + ... + 1/n.
std::vector<double> harmonic_sums(std::size_t n) {
    std::vector<double> sums(n + 1, 0.0);
    for (std::size_t i = 1; i <= n; ++i) sums[i] = sums[i - 1] + 1.0 / static_cast<double>(i);
    return sums;
}

/// Expected sum of precision@rank over `hits` relevant items that lie in random order on the `places` ranks
/// after `rank`, when `before` relevant items precede these.
//
// A place j = 1..places holds a relevant item with probability hits / places; then (j - 1) b further ones are
// expected before it in the group, b = (hits - 1) / (places - 1). So the sum is
// hits / places * sum_j (before + 1 + (j - 1) b) / (rank + j), and each term is b + (before + 1 - (rank + 1)
// b) / (rank + j).
double expected_sum(std::size_t rank, double before, std::size_t places, double hits,
                    const std::vector<double>& harmonic) {
    if (hits == 0.0) return 0.0;
    const double j = static_cast<double>(places);
    const double b = places > 1 ? (hits - 1.0) / (j - 1.0) : 0.0;
    const double rest = before + 1.0 - (static_cast<double>(rank) + 1.0) * b;
    return hits / j * (j * b + rest * (harmonic[rank + places] - harmonic[rank]));
}

/// Mean of average precision over all orders of the `relevant` among `size` tied items, of which only the
/// first `places` < `size` count; `sum` and `before` are those of the closer items.
//
// The number of hits x on these places is hypergeometric; given x, every order is equally likely. Weights are
// built from the mode outwards by the ratio of neighbours, so nothing overflows, and stop where they vanish.
double cut_group(double sum, std::size_t rank, double before, std::size_t places, std::size_t size,
                 std::size_t relevant, const std::vector<double>& harmonic) {
    const std::size_t others = size - relevant;
    const std::size_t lowest = places > others ? places - others : 0;
    const std::size_t highest = std::min(places, relevant);
    const double mode =
        static_cast<double>(places + 1) * static_cast<double>(relevant + 1) / static_cast<double>(size + 2);
    const std::size_t start = std::clamp(static_cast<std::size_t>(mode), lowest, highest);
    double weights = 0.0;
    double total = 0.0;
    const auto take = [&](std::size_t x, double weight) {
        const double hits = static_cast<double>(x);
        weights += weight;
        if (before + hits > 0.0) {
            total += weight * (sum + expected_sum(rank, before, places, hits, harmonic)) / (before + hits);
        }
    };
    // weight(x + 1) / weight(x)
    const auto ratio = [&](std::size_t x) {
        return static_cast<double>(relevant - x) * static_cast<double>(places - x) /
               (static_cast<double>(x + 1) * static_cast<double>(others + x + 1 - places));
    };
    constexpr double kVanished = 1e-20;
    take(start, 1.0);
    double weight = 1.0;
    for (std::size_t x = start; x < highest && weight > kVanished; ++x) {
        weight *= ratio(x);
        take(x + 1, weight);
    }
    weight = 1.0;
    for (std::size_t x = start; x > lowest && weight > kVanished; --x) {
        weight /= ratio(x - 1);
        take(x - 1, weight);
    }
    return total / weights;
}

double tie_aware_precision(const std::uint32_t* all, const std::uint32_t* relevant, std::size_t n_counts,
                           std::size_t at, const std::vector<double>& harmonic) {
    double sum = 0.0;
    double before = 0.0;
    std::size_t rank = 0;
    for (std::size_t d = 0; d < n_counts && rank < at; ++d) {
        if (all[d] == 0) continue;
        if (rank + all[d] > at) {
            return cut_group(sum, rank, before, at - rank, all[d], relevant[d], harmonic);
        }
        sum += expected_sum(rank, before, all[d], relevant[d], harmonic);
        before += relevant[d];
        rank += all[d];
    }
    return before > 0.0 ? sum / before : 0.0;
}

/// What one thread needs for a query at a time.
class Ranker {
  public:
    Ranker(std::size_t n, std::size_t n_counts, std::size_t at)
        : values_(n), order_(at), next_(n_counts), hits_(at, 0), counts_(kCopies * 2 * n_counts) {}

    /// Fills both histograms and returns the average precision of one query.
    double operator()(LabelledRun run, FillLabelled fill_values, std::uint32_t* all,
                      std::uint32_t* relevant) {
        count(run, fill_values, all, relevant);
        return place(all);
    }

    const std::vector<std::int64_t>& hits() const { return hits_; }

  private:
    void count(LabelledRun run, FillLabelled fill_values, std::uint32_t* all, std::uint32_t* relevant) {
        std::fill(counts_.begin(), counts_.end(), 0u);
        const std::size_t stride = 2 * next_.size();
        const std::uint64_t* codes = run.codes;
        const std::uint64_t* labels = run.labels;
        const std::size_t n = values_.size();
        for (std::size_t first = 0; first < n; first += kBlock) {
            run.n = std::min(kBlock, n - first);
            run.codes = codes + first * run.n_words;
            run.labels = labels + first * run.n_label_words;
            run.values = values_.data() + first;
            fill_values(run);
            std::size_t i = 0;
            for (; i + kCopies <= run.n; i += kCopies) {
                for (std::size_t c = 0; c < kCopies; ++c) ++counts_[c * stride + run.values[i + c]];
            }
            for (; i < run.n; ++i) ++counts_[run.values[i]];
        }
        for (std::size_t d = 0; d < next_.size(); ++d) {
            std::uint32_t hits = 0;
            std::uint32_t misses = 0;
            for (std::size_t c = 0; c < kCopies; ++c) {
                misses += counts_[c * stride + 2 * d];
                hits += counts_[c * stride + 2 * d + 1];
            }
            all[d] = hits + misses;
            relevant[d] = hits;
        }
    }

    /// A counting sort that keeps the first `at` places: rows are met in order, so ties stay in row order.
    double place(const std::uint32_t* all) {
        std::size_t rank = 0;
        std::size_t bound = 0;  // Values from here on lie behind the last place.
        for (std::size_t d = 0; d < next_.size() && rank < order_.size(); ++d) {
            next_[d] = rank;
            rank += all[d];
            bound = 2 * (d + 1);
        }
        for (const std::uint16_t value : values_) {
            if (value >= bound) continue;
            const std::size_t position = next_[value / 2]++;
            if (position < order_.size()) order_[position] = value & 1u;
        }
        double sum = 0.0;
        std::int64_t hits = 0;
        for (std::size_t i = 0; i < order_.size(); ++i) {
            if (order_[i] == 0) continue;
            ++hits;
            ++hits_[i];
            sum += static_cast<double>(hits) / static_cast<double>(i + 1);
        }
        return hits > 0 ? sum / static_cast<double>(hits) : 0.0;
    }

    std::vector<std::uint16_t> values_;
    std::vector<std::uint8_t> order_;
    std::vector<std::size_t> next_;
    std::vector<std::int64_t> hits_;
    std::vector<std::uint32_t> counts_;
};

void add_expected_hits(const std::uint32_t* all, const std::uint32_t* relevant, std::size_t n_counts,
                       std::vector<double>& expected) {
    std::size_t rank = 0;
    for (std::size_t d = 0; d < n_counts && rank < expected.size(); ++d) {
        const std::size_t end = std::min<std::size_t>(rank + all[d], expected.size());
        if (relevant[d] == 0) {
            rank = end;
            continue;
        }
        const double share = static_cast<double>(relevant[d]) / static_cast<double>(all[d]);
        for (; rank < end; ++rank) expected[rank] += share;
    }
}

}  // namespace

Ranking rank(LabelledCodes queries, LabelledCodes database, std::size_t at, unsigned n_threads) {
    at = std::min(at, database.n);
    const std::size_t n_words = (database.n_bytes + 7) / 8;
    const std::size_t n_counts = 8 * database.n_bytes + 1;
    const auto query_words = to_words(queries, n_words);
    const auto words = to_words(database, n_words);
    const auto harmonic = harmonic_sums(at);
    const FillLabelled fill_values = fill_labelled();

    Ranking result;
    result.all.resize(queries.n * n_counts);
    result.relevant.resize(queries.n * n_counts);
    result.average_precision.resize(queries.n);
    result.tie_aware.resize(queries.n);
    result.hits.assign(at, 0);
    result.expected_hits.assign(at, 0.0);

    if (n_threads == 0) n_threads = std::max(1u, std::thread::hardware_concurrency());
    std::mutex mutex;
    const std::size_t grain = queries.n / (std::size_t{n_threads} * 4) + 1;
    parallel_pieces(queries.n, grain, n_threads, [&](std::size_t first, std::size_t last) {
        Ranker ranker(database.n, n_counts, at);
        for (std::size_t q = first; q < last; ++q) {
            const LabelledRun run{&query_words[q * n_words],
                                  queries.labels + q * queries.n_label_words,
                                  words.data(),
                                  database.labels,
                                  database.n,
                                  n_words,
                                  database.n_label_words,
                                  nullptr};
            std::uint32_t* all = &result.all[q * n_counts];
            std::uint32_t* relevant = &result.relevant[q * n_counts];
            result.average_precision[q] = ranker(run, fill_values, all, relevant);
            result.tie_aware[q] = tie_aware_precision(all, relevant, n_counts, at, harmonic);
        }
        const std::lock_guard<std::mutex> lock(mutex);
        for (std::size_t i = 0; i < at; ++i) result.hits[i] += ranker.hits()[i];
    });

    for (std::size_t q = 0; q < queries.n; ++q) {
        add_expected_hits(&result.all[q * n_counts], &result.relevant[q * n_counts], n_counts,
                          result.expected_hits);
    }
    return result;
}

}  // namespace hashnet
