#include "search/searcher.hpp"

#include <array>
#include <chrono>
#include <utility>

#include "search/answers.hpp"

namespace hashnet {

namespace {

using Segments = std::vector<std::shared_ptr<const Segment>>;

/// Asks every segment in turn; a bound that fell in one is already tight in the next.
class Worker {
  public:
    Worker(const Segments& segments, CodesView queries)
        : segments_(segments), queries_(queries), search_(search_of_this_thread()) {}

    void operator()(std::size_t q, Bound& bound, std::vector<Hit>& hits) {
        load_words(queries_.row(q), queries_.n_bits, words_.data());
        for (const auto& segment : segments_) search_.run(*segment, words_.data(), bound, hits, counters_);
    }

  private:
    // Working memory is kept between calls: allocating it took longer than an easy query.
    static SegmentSearch& search_of_this_thread() {
        thread_local SegmentSearch search;
        return search;
    }

    const Segments& segments_;
    CodesView queries_;
    std::array<std::uint64_t, kMaxWords> words_{};
    SegmentSearch& search_;
    SearchCounters counters_;
};

}  // namespace

Searcher::Searcher(Segments segments) : segments_(std::move(segments)) {
    for (const auto& segment : segments_) n_rows_ += segment->n_rows();
}

void Searcher::nearest(CodesView queries, std::uint64_t k, unsigned threads, std::int32_t* distances,
                       std::int64_t* ids) const {
    answer_nearest(queries.n, k, queries.n_bits, threads, distances, ids,
                   [&] { return Worker(segments_, queries); });
}

BallArrays Searcher::balls(CodesView queries, unsigned radius, unsigned threads) const {
    return answer_balls(queries.n, radius, threads, [&] { return Worker(segments_, queries); });
}

std::vector<SegmentReport> Searcher::explain(const std::uint8_t* query, unsigned n_bits, std::uint64_t k,
                                             unsigned radius) const {
    std::array<std::uint64_t, kMaxWords> words{};
    load_words(query, n_bits, words.data());
    SegmentSearch search;
    Bound bound;
    if (k != 0) {
        bound.start_nearest(k, n_bits);
    } else {
        bound.start_radius(radius);
    }
    std::vector<Hit> hits;
    std::vector<SegmentReport> reports;
    for (const auto& segment : segments_) {
        SegmentReport report;
        const auto begin = std::chrono::steady_clock::now();
        search.run(*segment, words.data(), bound, hits, report.counters, &report.plan);
        const auto end = std::chrono::steady_clock::now();
        report.ns = std::chrono::duration<double, std::nano>(end - begin).count();
        reports.push_back(std::move(report));
    }
    return reports;
}

}  // namespace hashnet
