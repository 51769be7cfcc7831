// Linear scan over plain codes: the comparison that every other search must equal.
#pragma once

#include <cstdint>

#include "codes.hpp"
#include "search/searcher.hpp"
#include "storage/image.hpp"

namespace hashnet {

/// Codes of the database as rows of words, id of a code = its row number.
class FlatCodes {
  public:
    explicit FlatCodes(CodesView codes);

    unsigned n_bits() const { return n_bits_; }
    std::size_t n() const { return n_; }

    /// As Searcher::nearest.
    void nearest(CodesView queries, std::uint64_t k, const std::int32_t* within, unsigned threads,
                 std::int32_t* distances, std::int64_t* ids, const Poll& poll = {}) const;
    BallArrays balls(CodesView queries, unsigned radius, unsigned threads, const Poll& poll = {}) const;

  private:
    unsigned n_bits_;
    unsigned n_words_;
    std::size_t n_;
    Image image_;
    const std::uint64_t* words_;
};

}  // namespace hashnet
