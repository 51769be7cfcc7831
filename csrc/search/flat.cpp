#include "search/flat.hpp"

#include <algorithm>
#include <array>

#include "kernels/rows.hpp"
#include "search/answers.hpp"

namespace hashnet {

namespace {

constexpr std::size_t kChunkRows = 4096;

class Worker {
  public:
    Worker(const std::uint64_t* words, std::size_t n, unsigned n_words, CodesView queries)
        : words_(words),
          n_(n),
          n_words_(n_words),
          queries_(queries),
          filter_(filter_rows()),
          survivors_(kChunkRows) {}

    void operator()(std::size_t q, Bound& bound, std::vector<Hit>& hits) {
        load_words(queries_.row(q), queries_.n_bits, query_.data());
        std::size_t limit = 2 * std::min<std::size_t>(bound.k(), n_) + kChunkRows;
        for (std::size_t first = 0; first < n_; first += kChunkRows) {
            const std::size_t count = std::min(kChunkRows, n_ - first);
            const std::size_t passed = filter_(words_ + first * n_words_, count, n_words_, query_.data(),
                                               bound.value(), 0, survivors_.data());
            for (std::size_t i = 0; i < passed; ++i) {
                const Survivor& survivor = survivors_[i];
                if (survivor.distance > bound.value()) continue;
                hits.push_back({survivor.distance, static_cast<std::int64_t>(first + survivor.position)});
                bound.tell(survivor.distance, 1);
            }
            if (bound.k() != 0 && hits.size() > limit) {
                drop_beyond(bound.value(), hits);
                limit = 2 * hits.size() + kChunkRows;
            }
        }
        drop_beyond(bound.value(), hits);
    }

  private:
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
    std::array<std::uint64_t, kMaxWords> query_{};
    std::vector<Survivor> survivors_;
};

}  // namespace

FlatCodes::FlatCodes(CodesView codes)
    : n_words_(words_for(codes.n_bits)), n_(codes.n), words_(codes.n * n_words_) {
    for (std::size_t i = 0; i < n_; ++i) load_words(codes.row(i), codes.n_bits, words_.data() + i * n_words_);
}

void FlatCodes::nearest(CodesView queries, std::uint64_t k, unsigned threads, std::int32_t* distances,
                        std::int64_t* ids) const {
    answer_nearest(queries.n, k, queries.n_bits, threads, distances, ids,
                   [&] { return Worker(words_.data(), n_, n_words_, queries); });
}

BallArrays FlatCodes::balls(CodesView queries, unsigned radius, unsigned threads) const {
    return answer_balls(queries.n, radius, threads,
                        [&] { return Worker(words_.data(), n_, n_words_, queries); });
}

}  // namespace hashnet
