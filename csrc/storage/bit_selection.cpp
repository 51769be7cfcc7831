// Which dimensions share a substring: a local search on the chances of pairs of bits to agree, judged by
// counting candidates on codes that it has not seen.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "codes.hpp"
#include "storage/bit_order.hpp"
#include "storage/layout.hpp"

namespace hashnet {

namespace {

constexpr std::size_t kMostSample = 16384;
// Below this the moments are noise, and searching so few codes costs nothing whatever their order.
constexpr std::size_t kLeastSample = 1024;
constexpr std::uint64_t kSeed = 0x62697473;

// What a new order must save of the candidates, forecast and then counted.
constexpr double kLeastForecast = 0.02;
constexpr double kLeastGain = 0.05;
// Standard errors that a counted gain must exceed.
constexpr double kBeyondChance = 3.0;

// Searches from this many starts for short codes, whose searches take a millisecond.
constexpr unsigned kStarts = 8;
constexpr unsigned kManyStartsBits = 128;
constexpr unsigned kMostSweeps = 30;

// Substrings compared for one count; and the distances counted, 0..kCountedDistances-1.
constexpr std::size_t kMostComparisons = std::size_t{1} << 24;
constexpr unsigned kCountedDistances = 6;

unsigned popcount_sum(const std::uint64_t* a, const std::uint64_t* b, std::size_t n_words) {
    // Without a popcount instruction in the baseline this form is the one that compilers vectorise.
    std::uint64_t sum = 0;
    for (std::size_t w = 0; w < n_words; ++w) {
        std::uint64_t v = a[w] ^ b[w];
        v -= v >> 1 & 0x5555555555555555;
        v = (v & 0x3333333333333333) + (v >> 2 & 0x3333333333333333);
        v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0f;
        v += v >> 8;
        v += v >> 16;
        sum += (v + (v >> 32)) & 0x7f;
    }
    return static_cast<unsigned>(sum);
}

// The transpose of 64 words of 64 bits: bit i of word j becomes bit j of word i, counted from the top.
void transpose(std::array<std::uint64_t, 64>& block) {
    std::uint64_t mask = 0x00000000ffffffff;
    for (unsigned width = 32; width != 0; width /= 2, mask ^= mask << width) {
        for (unsigned i = 0; i < 64; i = ((i | width) + 1) & ~width) {
            const std::uint64_t swapped = (block[i] ^ (block[i | width] >> width)) & mask;
            block[i] ^= swapped;
            block[i | width] ^= swapped << width;
        }
    }
}

/// How the bits of two random codes of a sample agree, to second order. With P the chance to agree,
/// log P(all of S) ~ sum of log P(i) + sum over pairs of log P(i, k) / (P(i) P(k)).
struct Agreement {
    unsigned n_bits = 0;
    std::vector<double> single;  // log 2 P(i), so that a fair bit has 0
    std::vector<double> pair;    // log P(i, k) / (P(i) P(k)), row after row; 0 on the diagonal

    double of(unsigned i, unsigned k) const { return pair[std::size_t{i} * n_bits + k]; }
};

Agreement measure_agreement(const std::vector<const std::uint64_t*>& codes, unsigned n_bits) {
    const unsigned n_words = words_for(n_bits);
    const std::size_t n_blocks = codes.size() / 64;
    const double n = static_cast<double>(n_blocks * 64);
    // Dimension i of all codes, one bit a code.
    std::vector<std::uint64_t> columns(std::size_t{n_words} * 64 * n_blocks);
    std::array<std::uint64_t, 64> block;
    for (std::size_t b = 0; b < n_blocks; ++b) {
        for (unsigned w = 0; w < n_words; ++w) {
            for (unsigned i = 0; i < 64; ++i) block[i] = codes[b * 64 + i][w];
            transpose(block);
            for (unsigned i = 0; i < 64; ++i) columns[(std::size_t{w} * 64 + i) * n_blocks + b] = block[i];
        }
    }
    const std::vector<std::uint64_t> zero(n_blocks);
    // With x = +-1 and moments E, two independent codes agree on i with chance (1 + E[x_i]^2) / 2, and on i
    // and k with chance (1 + E[x_i]^2 + E[x_k]^2 + E[x_i x_k]^2) / 4.
    std::vector<double> square(n_bits);
    Agreement result;
    result.n_bits = n_bits;
    result.single.resize(n_bits);
    result.pair.assign(std::size_t{n_bits} * n_bits, 0.0);
    const auto squared_moment = [n](unsigned differing) {
        const double moment = 1.0 - 2.0 * differing / n;
        return moment * moment;
    };
    for (unsigned i = 0; i < n_bits; ++i) {
        const std::uint64_t* column = columns.data() + i * n_blocks;
        square[i] = squared_moment(popcount_sum(column, zero.data(), n_blocks));
        result.single[i] = std::log1p(square[i]);
        for (unsigned k = 0; k < i; ++k) {
            const double both = squared_moment(popcount_sum(column, columns.data() + k * n_blocks, n_blocks));
            const double log_ratio =
                std::log1p(square[i] + square[k] + both) - result.single[i] - result.single[k];
            result.pair[std::size_t{i} * n_bits + k] = log_ratio;
            result.pair[std::size_t{k} * n_bits + i] = log_ratio;
        }
    }
    return result;
}

/// A share of the dimensions for each substring, and what is expected to agree there.
class Assignment {
  public:
    /// `order[s]` is the dimension in slot s, `substring_of[s]` the substring of that slot; `weights[j]` the
    /// chance that fair bits agree on substring j, 0 for slots in none.
    Assignment(const Agreement& agreement, std::vector<std::uint16_t> order,
               const std::vector<unsigned>& substring_of, const std::vector<double>& weights)
        : agreement_(agreement),
          order_(std::move(order)),
          substring_of_(substring_of),
          weights_(weights),
          exponent_(weights.size(), 0.0),
          links_(order_.size() * weights.size(), 0.0) {
        for (std::size_t s = 0; s < order_.size(); ++s) {
            exponent_[substring_of_[s]] += agreement_.single[order_[s]];
            for (std::size_t t = 0; t < order_.size(); ++t) {
                const double with = agreement_.of(order_[s], order_[t]);
                link(order_[t], substring_of_[s]) += with;
                if (t < s && substring_of_[t] == substring_of_[s]) exponent_[substring_of_[s]] += with;
            }
        }
    }

    const std::vector<std::uint16_t>& order() const { return order_; }

    double cost() const {
        double sum = 0;
        for (std::size_t j = 0; j < weights_.size(); ++j) sum += weights_[j] * grown(exponent_[j]);
        return sum;
    }

    /// Swaps dimensions between substrings while that lowers the cost.
    void descend() {
        for (unsigned sweep = 0; sweep < kMostSweeps; ++sweep) {
            bool improved = false;
            for (std::size_t s = 1; s < order_.size(); ++s) {
                for (std::size_t t = 0; t < s; ++t) improved = swap_if_better(s, t) || improved;
            }
            if (!improved) return;
        }
    }

  private:
    // The second order overstates what many dependent bits do; beyond this only the direction matters.
    static double grown(double exponent) {
        constexpr double kSteep = 20.0;
        if (exponent <= kSteep) return std::exp(exponent);
        static const double at_steep = std::exp(kSteep);
        return at_steep * (1.0 + exponent - kSteep);
    }

    double& link(unsigned dim, unsigned substring) {
        return links_[std::size_t{dim} * weights_.size() + substring];
    }

    bool swap_if_better(std::size_t s, std::size_t t) {
        const unsigned j = substring_of_[s];
        const unsigned l = substring_of_[t];
        if (j == l) return false;
        const unsigned a = order_[s];
        const unsigned b = order_[t];
        const double between = agreement_.of(a, b);
        const double single = agreement_.single[b] - agreement_.single[a];
        const double at_j = exponent_[j] + single + link(b, j) - link(a, j) - between;
        const double at_l = exponent_[l] - single + link(a, l) - link(b, l) - between;
        const double now = weights_[j] * grown(exponent_[j]) + weights_[l] * grown(exponent_[l]);
        const double then = weights_[j] * grown(at_j) + weights_[l] * grown(at_l);
        // The margin keeps rounding from swapping back and forth.
        if (then >= now * (1 - 1e-9)) return false;
        exponent_[j] = at_j;
        exponent_[l] = at_l;
        std::swap(order_[s], order_[t]);
        for (unsigned dim = 0; dim < order_.size(); ++dim) {
            const double moved = agreement_.of(dim, b) - agreement_.of(dim, a);
            link(dim, j) += moved;
            link(dim, l) -= moved;
        }
        return true;
    }

    const Agreement& agreement_;
    std::vector<std::uint16_t> order_;
    const std::vector<unsigned>& substring_of_;
    const std::vector<double>& weights_;
    std::vector<double> exponent_;  // of a substring: log of chance to agree / chance of fair bits
    std::vector<double> links_;  // of a dimension and a substring: sum over pairs with the dimensions there
};

// Puts the balanced and independent dimensions of every substring first: the leading bits of table 0 divide
// the codes into the partitions of a build and into the blocks that a scan rules out.
void sort_within(const Agreement& agreement, const Layout& layout, std::vector<std::uint16_t>& order) {
    for (const TableLayout& table : layout.tables) {
        const auto first = order.begin() + table.start;
        const auto last = first + table.substring_bits;
        std::sort(first, last);
        std::vector<double> growth(agreement.single);
        for (auto place = first; place != last; ++place) {
            const auto best = std::min_element(
                place, last, [&](std::uint16_t a, std::uint16_t b) { return growth[a] < growth[b]; });
            std::rotate(place, best, best + 1);
            for (auto later = place + 1; later != last; ++later)
                growth[*later] += agreement.of(*place, *later);
        }
    }
}

// Pairs of `values` that differ in exactly e bits, for each e that is counted.
std::array<double, kCountedDistances> count_close(const std::vector<std::uint32_t>& values) {
    std::array<double, kCountedDistances> within{};
    for (std::size_t i = 1; i < values.size(); ++i) {
        const std::uint32_t value = values[i];
        std::array<std::uint32_t, kCountedDistances> sum{};
        for (std::size_t k = 0; k < i; ++k) {
            std::uint32_t differing = values[k] ^ value;
            for (unsigned e = 0; e < kCountedDistances; ++e) {
                sum[e] += differing == 0;
                differing &= differing - 1;
            }
        }
        for (unsigned e = 0; e < kCountedDistances; ++e) within[e] += sum[e];
    }
    for (unsigned e = kCountedDistances - 1; e > 0; --e) within[e] -= within[e - 1];
    return within;
}

// The candidates, summed over pairs of codes, of a radius search that grows the substring radii to 2 on
// average, each time where the next step costs least, as the planner does.
double count_candidates(const std::vector<const std::uint64_t*>& codes, const BitOrder& order,
                        const Layout& layout) {
    const std::size_t m = layout.tables.size();
    const auto most = static_cast<std::size_t>(std::sqrt(2.0 * kMostComparisons / static_cast<double>(m)));
    const std::size_t n = std::min(codes.size(), most);
    const unsigned n_words = words_for(order.n_bits());
    std::vector<std::uint64_t> words(n * n_words);
    for (std::size_t i = 0; i < n; ++i) {
        order.to_internal(codes[i * codes.size() / n], words.data() + i * n_words);
    }
    std::vector<std::array<double, kCountedDistances>> counts;
    std::vector<std::uint32_t> values(n);
    for (const TableLayout& table : layout.tables) {
        static_assert(kMaxDirectoryBits <= 32, "a substring fits an address of its directory");
        for (std::size_t i = 0; i < n; ++i) {
            values[i] = static_cast<std::uint32_t>(
                bits_at(words.data() + i * n_words, table.start, table.substring_bits));
        }
        counts.push_back(count_close(values));
    }
    std::vector<unsigned> next(m, 0);
    double sum = 0;
    for (std::size_t step = 0; step < 3 * m; ++step) {
        double least = std::numeric_limits<double>::infinity();
        std::size_t cheapest = 0;
        for (std::size_t j = 0; j < m; ++j) {
            if (next[j] < kCountedDistances && counts[j][next[j]] < least) {
                least = counts[j][next[j]];
                cheapest = j;
            }
        }
        sum += least;
        ++next[cheapest];
    }
    return sum;
}

}  // namespace

BitOrder choose_bit_order(const std::uint64_t* sample, std::size_t n_sample, unsigned n_bits,
                          const Layout& layout) {
    const BitOrder identity = BitOrder::identity(n_bits);
    const auto m = static_cast<unsigned>(layout.tables.size());
    if (m < 2 || n_sample < kLeastSample) return identity;

    // Every other code chooses, the rest judges; a sorted sample is dealt evenly to both.
    const std::size_t n = std::min(n_sample, kMostSample);
    std::array<std::vector<const std::uint64_t*>, 2> halves;
    for (std::size_t i = 0; i < n; ++i) {
        halves[i % 2].push_back(sample + i * n_sample / n * words_for(n_bits));
    }
    const Agreement agreement = measure_agreement(halves[0], n_bits);

    // Substring m is none: slots that no substring covers cost nothing.
    std::vector<unsigned> substring_of(n_bits, m);
    std::vector<double> weights(m + 1, 0.0);
    for (unsigned j = 0; j < m; ++j) {
        const TableLayout& table = layout.tables[j];
        std::fill_n(substring_of.begin() + table.start, table.substring_bits, j);
        weights[j] = std::exp2(-static_cast<double>(table.substring_bits));
    }
    std::vector<std::uint16_t> start(identity.order());
    std::vector<std::uint16_t> best;
    double least = 0;
    const double unordered = Assignment(agreement, start, substring_of, weights).cost();
    // About what fair and independent bits cost: nothing to gain.
    const double fair = std::accumulate(weights.begin(), weights.end(), 0.0);
    if (fair > unordered * (1 - kLeastForecast)) return identity;
    std::mt19937_64 random(kSeed);
    for (unsigned s = 0; s < (n_bits <= kManyStartsBits ? kStarts : 1); ++s) {
        Assignment assignment(agreement, start, substring_of, weights);
        assignment.descend();
        if (s == 0 || assignment.cost() < least) {
            least = assignment.cost();
            best = assignment.order();
        }
        // Not std::shuffle, which differs between libraries.
        for (unsigned i = n_bits - 1; i > 0; --i) std::swap(start[i], start[random() % (i + 1)]);
    }
    if (least > unordered * (1 - kLeastForecast)) return identity;

    sort_within(agreement, layout, best);
    BitOrder chosen = BitOrder::from(best.data(), n_bits);
    const double before = count_candidates(halves[1], identity, layout);
    const double after = count_candidates(halves[1], chosen, layout);
    const bool less = after <= before * (1 - kLeastGain);
    // Counts of rare events: their variance is about the count.
    const bool surely = before - after > kBeyondChance * std::sqrt(before + after);
    return less && surely ? chosen : identity;
}

}  // namespace hashnet
