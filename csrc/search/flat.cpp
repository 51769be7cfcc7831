#include "search/flat.hpp"

#include <algorithm>
#include <array>

#include "kernels/rows.hpp"
#include "search/answers.hpp"
#include "search/capping.hpp"

namespace hashnet {

namespace {

constexpr std::size_t kChunkRows = 4096;

/// Rows stay in the cache while every query of the group is compared with them.
class Worker {
  public:
    Worker(const std::uint64_t* words, std::size_t n, unsigned n_words, CodesView queries)
        : words_(words),
          n_(n),
          n_words_(n_words),
          queries_(queries),
          filter_(filter_rows()),
          survivors_(kChunkRows) {}

    void operator()(std::size_t first_query, std::size_t n, GroupAnswers& answers) {
        for (std::size_t i = 0; i < n; ++i) {
            load_words(queries_.row(first_query + i), queries_.n_bits, query_words_[i].data());
            prune_at_[i] = 0;
        }
        for (std::size_t first = 0; first < n_; first += kChunkRows) {
            for (std::size_t i = 0; i < n; ++i) compare(i, first, answers.bounds[i], answers.hits[i]);
        }
        for (std::size_t i = 0; i < n; ++i) drop_beyond(answers.bounds[i].value(), answers.hits[i]);
    }

  private:
    void compare(std::size_t i, std::size_t first, Bound& bound, std::vector<Hit>& hits) {
        const std::size_t count = std::min(kChunkRows, n_ - first);
        const std::size_t passed = filter_(words_ + first * n_words_, count, n_words_, query_words_[i].data(),
                                           bound.value(), 0, survivors_.data());
        if (passed == 0) return;
        cap_by_survivors(bound, survivors_.data(), passed, 0);
        for (std::size_t s = 0; s < passed; ++s) {
            const Survivor& survivor = survivors_[s];
            if (survivor.distance > bound.value()) continue;
            hits.push_back({survivor.distance, static_cast<std::int64_t>(first + survivor.position)});
            bound.tell(survivor.distance, 1);
        }
        if (bound.k() != 0 && hits.size() > prune_at_[i]) {
            drop_beyond(bound.value(), hits);
            prune_at_[i] = 2 * hits.size() + kChunkRows;
        }
    }

    static void drop_beyond(unsigned bound, std::vector<Hit>& hits) {
        hits.erase(
            std::remove_if(hits.begin(), hits.end(), [=](const Hit& hit) { return hit.distance > bound; }),
            hits.end());
    }

    const std::uint64_t* words_;
    std::size_t n_;
    unsigned n_words_;
    CodesView queries_;
    FilterRows filter_;
    std::array<std::array<std::uint64_t, kMaxWords>, kGroup> query_words_{};
    std::array<std::size_t, kGroup> prune_at_{};
    std::vector<Survivor> survivors_;
};

}  // namespace

FlatCodes::FlatCodes(CodesView codes)
    : n_bits_(codes.n_bits),
      n_words_(words_for(codes.n_bits)),
      n_(codes.n),
      image_(Image::allocate(codes.n * n_words_ * sizeof(std::uint64_t))),
      words_(reinterpret_cast<const std::uint64_t*>(image_.data())) {
    auto* words = reinterpret_cast<std::uint64_t*>(image_.mutable_data());
    for (std::size_t i = 0; i < n_; ++i) load_words(codes.row(i), codes.n_bits, words + i * n_words_);
}

void FlatCodes::nearest(CodesView queries, std::uint64_t k, const std::int32_t* within, unsigned threads,
                        std::int32_t* distances, std::int64_t* ids, const Poll& poll) const {
    answer_nearest(queries.n, k, queries.n_bits, within, threads, poll, distances, ids,
                   [&] { return Worker(words_, n_, n_words_, queries); });
}

BallArrays FlatCodes::balls(CodesView queries, unsigned radius, unsigned threads, const Poll& poll) const {
    return answer_balls(queries.n, radius, threads, poll,
                        [&] { return Worker(words_, n_, n_words_, queries); });
}

}  // namespace hashnet
