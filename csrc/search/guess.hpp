// What a sample of a segment tells of where a k-NN answer will end.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "search/collector.hpp"

namespace hashnet {

inline constexpr unsigned kNoGuess = kMaxBits + 1;

/// A guess at the final bound of a k-NN search, from equal pieces of codes spread evenly over a segment. It
/// only falls, so whatever lies within the last guess lay within all guesses before.
class BoundGuess {
  public:
    /// Begins a sample of a segment of `n_pieces`; what `bound` knows already, it knows of other codes.
    void start(const Bound& bound, double n_pieces) {
        guess_ = kNoGuess;
        n_pieces_ = n_pieces;
        n_seen_ = 0;
        before_.resize(bound.value() + 1);
        for (unsigned d = 0; d <= bound.value(); ++d) before_[d] = bound.known(d);
        seen_ = before_;
        squares_.assign(before_.size(), 0);
    }

    /// Tells that `bound` now knows the rows of one more piece, if any were `found` in it. Returns the least
    /// distance within which the segment should hold k rows.
    ///
    /// That is what the pieces hold, less three standard deviations, times the pieces that there are for each
    /// seen. The variance is that of the pieces and no less than a Poisson count's: codes near a query lie
    /// together, and one piece that holds them all tells nothing of the others.
    unsigned observe(const Bound& bound, bool found) {
        constexpr unsigned kLeastPieces = 3;
        ++n_seen_;
        if (!found) return guess_;
        const double m = n_seen_;
        const double each = n_pieces_ / m;
        double elsewhere = 0;
        double sampled = 0;
        double here = 0;
        const unsigned end = std::min(bound.value(), guess_);
        for (unsigned d = 0; d < end; ++d) {
            const std::uint64_t known = bound.known(d);
            elsewhere += static_cast<double>(before_[d]);
            sampled += static_cast<double>(known - before_[d]);
            here += static_cast<double>(known - seen_[d]);
            seen_[d] = known;
            squares_[d] += here * here;
            if (n_seen_ < kLeastPieces) continue;
            const double variance = (squares_[d] - sampled * sampled / m) * m / (m - 1);
            const double sure = sampled - 3 * std::sqrt(std::max(variance, sampled));
            if (elsewhere + each * sure >= static_cast<double>(bound.k())) {
                guess_ = d;
                break;
            }
        }
        return guess_;
    }

  private:
    unsigned guess_ = kNoGuess;
    double n_pieces_ = 0;
    std::uint32_t n_seen_ = 0;
    std::vector<std::uint64_t> before_;  // rows of other segments at each distance
    std::vector<std::uint64_t> seen_;    // rows at each distance after the last piece
    std::vector<double> squares_;        // of the rows within each distance, summed over pieces
};

}  // namespace hashnet
