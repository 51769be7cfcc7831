#include "search/searcher.hpp"

#include <array>
#include <chrono>
#include <utility>

#include "search/answers.hpp"
#include "search/segment_search.hpp"

namespace hashnet {

namespace {

using Segments = std::vector<std::shared_ptr<const Segment>>;
using Clock = std::chrono::steady_clock;

double ns_since(Clock::time_point begin) {
    return std::chrono::duration<double, std::nano>(Clock::now() - begin).count();
}

/// The words of a group of queries.
class GroupWords {
  public:
    void load(CodesView queries, std::size_t first, std::size_t n) {
        for (std::size_t i = 0; i < n; ++i) {
            load_words(queries.row(first + i), queries.n_bits, words_[i].data());
            pointers_[i] = words_[i].data();
        }
    }
    const std::uint64_t* const* get() const { return pointers_.data(); }

  private:
    std::array<std::array<std::uint64_t, kMaxWords>, kGroup> words_;
    std::array<const std::uint64_t*, kGroup> pointers_;
};

/// Asks every segment in turn; a bound that fell in one is already tight in the next.
class Worker {
  public:
    Worker(const Segments& segments, CodesView queries, Policy policy)
        : segments_(segments), queries_(queries), policy_(policy), search_(*borrowed_) {}

    void operator()(std::size_t first, std::size_t n, GroupAnswers& answers) {
        words_.load(queries_, first, n);
        SearchCounters counters;
        for (std::size_t i = 0; i < n; ++i) {
            Query& query = search_.query(i);
            query.bound = &answers.bounds[i];
            query.hits = &answers.hits[i];
            query.counters = &counters;
        }
        for (const auto& segment : segments_) search_.run(*segment, words_.get(), n, policy_);
    }

    /// As the call, for numbers of rows within the bounds.
    void count(std::size_t first, std::size_t n, GroupAnswers& answers, std::int64_t* counts) {
        words_.load(queries_, first, n);
        SearchCounters counters;
        for (std::size_t i = 0; i < n; ++i) {
            Query& query = search_.query(i);
            query.bound = &answers.bounds[i];
            query.hits = nullptr;
            query.counters = &counters;
            query.rows_counted = 0;
        }
        for (const auto& segment : segments_) search_.run(*segment, words_.get(), n, policy_);
        for (std::size_t i = 0; i < n; ++i) {
            counts[first + i] = static_cast<std::int64_t>(search_.query(i).rows_counted);
        }
    }

  private:
    const Segments& segments_;
    CodesView queries_;
    Policy policy_;
    GroupWords words_;
    Pooled<SegmentSearch> borrowed_;
    SegmentSearch& search_;
};

void start(Bound& bound, std::uint64_t k, unsigned radius, unsigned n_bits) {
    if (k != 0) {
        bound.start_nearest(k, n_bits);
    } else {
        bound.start_radius(radius);
    }
}

}  // namespace

Searcher::Searcher(Segments segments) : segments_(std::move(segments)) {
    for (const auto& segment : segments_) n_rows_ += segment->n_rows();
}

void Searcher::nearest(CodesView queries, std::uint64_t k, const std::int32_t* within, unsigned threads,
                       std::int32_t* distances, std::int64_t* ids, const Poll& poll) const {
    answer_nearest(queries.n, k, queries.n_bits, within, threads, poll, distances, ids,
                   [&] { return Worker(segments_, queries, Policy::kAuto); });
}

BallArrays Searcher::balls(CodesView queries, unsigned radius, unsigned threads, const Poll& poll) const {
    return answer_balls(queries.n, radius, threads, poll,
                        [&] { return Worker(segments_, queries, Policy::kAuto); });
}

void Searcher::count(CodesView queries, unsigned radius, unsigned threads, std::int64_t* counts,
                     const Poll& poll) const {
    const auto piece = [&](std::size_t first, std::size_t last) {
        Worker worker(segments_, queries, Policy::kAuto);
        const Pooled<GroupAnswers> borrowed;
        GroupAnswers& answers = *borrowed;
        for (std::size_t q = first; q < last; q += kGroup) {
            const std::size_t n = std::min(kGroup, last - q);
            for (std::size_t i = 0; i < n; ++i) answers.bounds[i].start_radius(radius);
            worker.count(q, n, answers, counts);
        }
    };
    parallel_pieces(queries.n, query_grain(queries.n, threads), threads, piece, poll);
}

std::vector<SegmentReport> Searcher::explain(const std::uint8_t* query, unsigned n_bits, std::uint64_t k,
                                             unsigned radius, Policy policy) const {
    GroupWords words;
    words.load({query, 1, n_bits}, 0, 1);
    const Pooled<SegmentSearch> borrowed;
    const Pooled<GroupAnswers> borrowed_answers;
    SegmentSearch& search = *borrowed;
    GroupAnswers& answers = *borrowed_answers;
    start(answers.bounds[0], k, radius, n_bits);
    answers.hits[0].clear();
    std::vector<SegmentReport> reports;
    for (const auto& segment : segments_) {
        SegmentReport report;
        Query& one = search.query(0);
        one.bound = &answers.bounds[0];
        one.hits = &answers.hits[0];
        one.counters = &report.counters;
        const auto begin = Clock::now();
        search.run(*segment, words.get(), 1, policy);
        report.ns = ns_since(begin);
        report.plan = one.plan;
        reports.push_back(std::move(report));
    }
    answers.release();
    return reports;
}

void Searcher::time(CodesView queries, std::uint64_t k, unsigned radius, Policy policy, double* ns,
                    const Poll& poll) const {
    Worker worker(segments_, queries, policy);
    const Pooled<GroupAnswers> borrowed;
    GroupAnswers& answers = *borrowed;
    for (std::size_t q = 0; q < queries.n; ++q) {
        if (poll) poll();
        const auto begin = Clock::now();
        answers.hits[0].clear();
        start(answers.bounds[0], k, radius, queries.n_bits);
        worker(q, 1, answers);
        if (k != 0) {
            cut_to_nearest(answers.hits[0], k);
        } else {
            sort_hits(answers.hits[0]);
        }
        ns[q] = ns_since(begin);
    }
    answers.release();
}

}  // namespace hashnet
