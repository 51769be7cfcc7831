#include "search/flat.hpp"

#include <algorithm>
#include <array>

#include "kernels/rows.hpp"
#include "kernels/sliced.hpp"
#include "search/answers.hpp"
#include "search/capping.hpp"

namespace hashnet {

namespace {

constexpr std::size_t kChunkRows = 4096;

// Slices take twice the bytes of rows, an eighth of the core's second cache. Below four queries, cutting them
// takes longer than it saves.
constexpr std::size_t kChunkSliceBytes = 65536;
constexpr std::size_t kSlicedQueries = 4;

/// Rows stay in the cache while every query of the group is compared with them.
class Worker {
  public:
    Worker(const std::uint64_t* words, std::size_t n, unsigned n_words, CodesView queries)
        : words_(words),
          n_(n),
          n_words_(n_words),
          queries_(queries),
          filter_(filter_rows()),
          sliced_(n_words <= kMaxSlicedWords ? sliced_kernels() : nullptr),
          survivors_(2 * kChunkRows) {}

    void operator()(std::size_t first_query, std::size_t n, GroupAnswers& answers) {
        for (std::size_t i = 0; i < n; ++i) {
            load_words(queries_.row(first_query + i), queries_.n_bits, query_words_[i].data());
            prune_at_[i] = 0;
        }
        const bool slices = sliced_ != nullptr && n >= kSlicedQueries;
        const std::size_t chunk =
            slices ? kChunkSliceBytes / (16 * kSliceRows * n_words_) * kSliceRows : kChunkRows;
        if (slices) prepare_slices(n);
        for (std::size_t first = 0; first < n_; first += chunk) {
            const std::size_t count = std::min(chunk, n_ - first);
            if (slices) {
                compare_slices(n, first, count, answers);
            } else {
                for (std::size_t i = 0; i < n; ++i) compare_rows(i, first, count, answers);
            }
        }
        for (std::size_t i = 0; i < n; ++i) drop_beyond(answers.bounds[i].value(), answers.hits[i]);
    }

  private:
    void prepare_slices(std::size_t n) {
        slices_.resize(kChunkSliceBytes);
        sliced_queries_.resize(n);
        for (std::size_t i = 0; i < n; ++i) sliced_queries_[i].set(query_words_[i].data(), n_words_);
    }

    // Two queries at a time; one whose bound is beyond what slices tell, as in the beginning of a k-NN search
    // among long codes, has its bits counted.
    void compare_slices(std::size_t n, std::size_t first, std::size_t count, GroupAnswers& answers) {
        sliced_->slice(words_ + first * n_words_, count, n_words_, slices_.data());
        std::array<SlicedAsk, 2> asks;
        std::array<std::size_t, 2> asking;
        unsigned n_asks = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const unsigned bound = answers.bounds[i].value();
            if (bound > kMostSlicedBound) {
                compare_rows(i, first, count, answers);
            } else {
                asking[n_asks] = i;
                asks[n_asks] = {&sliced_queries_[i], bound, survivors_.data() + n_asks * kChunkRows, 0};
                ++n_asks;
            }
            if (n_asks == 0 || (n_asks == 1 && i + 1 < n)) continue;
            sliced_->filter(slices_.data(), count, n_words_, asks.data(), n_asks);
            for (unsigned a = 0; a < n_asks; ++a) {
                if (asks[a].found != 0) keep(asking[a], first, asks[a].out, asks[a].found, answers);
            }
            n_asks = 0;
        }
    }

    void compare_rows(std::size_t i, std::size_t first, std::size_t count, GroupAnswers& answers) {
        const std::size_t passed = filter_(words_ + first * n_words_, count, n_words_, query_words_[i].data(),
                                           answers.bounds[i].value(), 0, survivors_.data());
        if (passed != 0) keep(i, first, survivors_.data(), passed, answers);
    }

    void keep(std::size_t i, std::size_t first, const Survivor* survivors, std::size_t n,
              GroupAnswers& answers) {
        Bound& bound = answers.bounds[i];
        std::vector<Hit>& hits = answers.hits[i];
        cap_by_survivors(bound, survivors, n, 0);
        for (const Survivor* survivor = survivors; survivor < survivors + n; ++survivor) {
            if (survivor->distance > bound.value()) continue;
            hits.push_back({survivor->distance, static_cast<std::int64_t>(first + survivor->position)});
            bound.tell(survivor->distance, 1);
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
    const SlicedKernels* sliced_;
    std::vector<std::uint8_t> slices_;
    std::vector<SlicedQuery> sliced_queries_;
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
