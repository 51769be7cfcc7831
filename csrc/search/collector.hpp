// What one query has found so far, and how near a code must be to matter still.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "codes.hpp"

namespace hashnet {

/// One answer: ordered by (distance, id), the order of every result of hashnet.
struct Hit {
    std::uint32_t distance;
    std::int64_t id;

    friend bool operator<(const Hit& a, const Hit& b) {
        return a.distance != b.distance ? a.distance < b.distance : a.id < b.id;
    }
};

/// The largest distance that can still belong to the answer. For a radius it is the radius; for k-NN it
/// is the smallest distance within which k rows are already known, and it only falls.
class Bound {
  public:
    void start_radius(unsigned radius) {
        value_ = radius;
        k_ = 0;
    }

    void start_nearest(std::uint64_t k, unsigned n_bits) {
        value_ = n_bits;
        k_ = k;
        within_ = 0;
        std::fill(known_.begin(), known_.begin() + n_bits + 1, 0);
    }

    unsigned value() const { return value_; }
    std::uint64_t k() const { return k_; }

    /// Tells that `rows` rows at `distance` are known. Each row must be told once; those beyond value() are
    /// ignored.
    void tell(unsigned distance, std::uint64_t rows) {
        if (k_ == 0 || distance > value_) return;
        known_[distance] += rows;
        within_ += rows;
        while (value_ > 0 && within_ - known_[value_] >= k_) {
            within_ -= known_[value_];
            --value_;
        }
    }

    /// Takes back rows that were told. The bound stays: they are there, and will be told again.
    void take_back(unsigned distance, std::uint64_t rows) {
        if (k_ == 0 || distance > value_) return;
        known_[distance] -= rows;
        within_ -= rows;
    }

    /// Tells that k rows lie within `distance`, told or not.
    void cap(unsigned distance) {
        while (value_ > distance) {
            within_ -= known_[value_];
            --value_;
        }
    }

    /// Rows told at exactly `distance`, which must not exceed value().
    std::uint64_t known(unsigned distance) const { return known_[distance]; }

  private:
    unsigned value_ = 0;
    std::uint64_t k_ = 0;
    std::uint64_t within_ = 0;
    std::array<std::uint64_t, kMaxBits + 1> known_{};
};

}  // namespace hashnet
