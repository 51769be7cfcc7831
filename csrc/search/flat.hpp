// Linear scan of plain packed codes, without an index: the reference that every other path must equal.
#pragma once

#include <cstdint>

#include "codes.hpp"
#include "search/searcher.hpp"

namespace hashnet {

/// Codes of the database as rows of words, id of a code = its row number.
class FlatCodes {
  public:
    explicit FlatCodes(CodesView codes);

    void nearest(CodesView queries, std::uint64_t k, unsigned threads, std::int32_t* distances,
                 std::int64_t* ids) const;
    BallArrays balls(CodesView queries, unsigned radius, unsigned threads) const;

  private:
    unsigned n_words_;
    std::size_t n_;
    std::vector<std::uint64_t> words_;
};

}  // namespace hashnet
