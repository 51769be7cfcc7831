// The order in which a segment keeps the dimensions of its codes, and how it is chosen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hashnet {

struct Layout;

/// A permutation of the dimensions of a code: internal bit i is external dimension order()[i]. Codes are
/// words as in codes.hpp in either order.
class BitOrder {
  public:
    /// The identity of 0 bits.
    BitOrder() = default;

    static BitOrder identity(unsigned n_bits);

    /// Throws std::invalid_argument unless `order` holds each of 0..n_bits-1 once.
    static BitOrder from(const std::uint16_t* order, unsigned n_bits);

    bool is_identity() const { return to_internal_.empty(); }
    unsigned n_bits() const { return static_cast<unsigned>(order_.size()); }
    const std::vector<std::uint16_t>& order() const { return order_; }

    /// Both take and give words_for(n_bits()) words, which must not overlap; unused low bits of the input
    /// must be zero and those of the output are. Any number of threads may call them.
    void to_internal(const std::uint64_t* external, std::uint64_t* internal) const;
    void to_external(const std::uint64_t* internal, std::uint64_t* external) const;

  private:
    void permute(const std::vector<std::uint64_t>& table, const std::uint64_t* source,
                 std::uint64_t* target) const;

    std::vector<std::uint16_t> order_;
    // For each piece of a code and each of its values, the words that its bits become; empty for the
    // identity.
    std::vector<std::uint64_t> to_internal_;
    std::vector<std::uint64_t> to_external_;
};

/// Chooses from a sample of distinct codes (row after row, external order) which dimensions share a substring
/// of `layout`, whose substrings must be disjoint. Substrings whose bits are balanced and independent spread
/// codes over their buckets evenly, so that searches meet fewer candidates. Returns the identity unless the
/// candidates counted on a part of the sample held out from the choice are fewer by 5 % and beyond chance.
/// The same arguments give the same order.
BitOrder choose_bit_order(const std::uint64_t* sample, std::size_t n_sample, unsigned n_bits,
                          const Layout& layout);

}  // namespace hashnet
