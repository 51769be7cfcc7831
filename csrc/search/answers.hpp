// Writing the hits of queries into the arrays of an answer, for every kind of search alike.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "parallel.hpp"
#include "pooled.hpp"
#include "search/collector.hpp"
#include "search/order.hpp"
#include "search/searcher.hpp"
#include "search/segment_search.hpp"

namespace hashnet {

/// Queries handed to a thread at once: a group, so that an expensive query delays nobody for long and a
/// search can be stopped soon, or fewer where there would not be a few pieces for each thread.
inline std::size_t query_grain(std::size_t nq, unsigned threads) {
    return std::clamp<std::size_t>(nq / (std::size_t{threads} * 4), 1, kGroup);
}

/// Hits from which gathering them is shared by threads.
inline constexpr std::size_t kLargeAnswer = std::size_t{1} << 18;

/// What a group of queries needs: bounds and hits.
struct GroupAnswers {
    std::array<Bound, kGroup> bounds;
    std::array<std::vector<Hit>, kGroup> hits;

    /// Forgets the hits, and the memory of an unusually large answer.
    void release() {
        constexpr std::size_t kKeep = std::size_t{1} << 18;
        for (auto& one : hits) {
            one.clear();
            if (one.capacity() > kKeep) one.shrink_to_fit();
        }
    }
};

/// Calls `each(q, i)` after `worker(first, n, answers)` has answered queries first to first + n - 1 in places
/// 0 to n - 1 of `answers`.
template <class Worker, class Start, class Each>
void answer_groups(std::size_t first, std::size_t last, Worker&& worker, Start&& start, Each&& each) {
    const Pooled<GroupAnswers> borrowed;
    GroupAnswers& answers = *borrowed;
    for (std::size_t q = first; q < last; q += kGroup) {
        const std::size_t n = std::min(kGroup, last - q);
        for (std::size_t i = 0; i < n; ++i) {
            answers.hits[i].clear();
            start(q + i, answers.bounds[i]);
        }
        worker(q, n, answers);
        for (std::size_t i = 0; i < n; ++i) each(q + i, answers.hits[i]);
    }
    answers.release();
}

/// `make_worker()` gives each piece of queries a `worker(first, n, answers)`. Where `within` is not null,
/// neighbours of query q beyond within[q] are not wanted.
template <class MakeWorker>
void answer_nearest(std::size_t nq, std::uint64_t k, unsigned n_bits, const std::int32_t* within,
                    unsigned threads, const Poll& poll, std::int32_t* distances, std::int64_t* ids,
                    MakeWorker&& make_worker) {
    const auto start = [=](std::size_t q, Bound& bound) {
        bound.start_nearest(k, n_bits);
        if (within != nullptr) bound.cap(static_cast<unsigned>(within[q]));
    };
    const auto piece = [&](std::size_t first, std::size_t last) {
        answer_groups(first, last, make_worker(), start, [=](std::size_t q, std::vector<Hit>& hits) {
            cut_to_nearest(hits, k);
            for (std::uint64_t i = 0; i < k; ++i) {
                const bool real = i < hits.size();
                distances[q * k + i] = real ? static_cast<std::int32_t>(hits[i].distance) : kPadDistance;
                ids[q * k + i] = real ? hits[i].id : kPadId;
            }
        });
    };
    parallel_pieces(nq, query_grain(nq, threads), threads, piece, poll);
}

/// As answer_nearest, for all hits within a radius. Of every piece the hits are counted before there is
/// memory for them, and of all pieces together: large answers are written twice, and those of one piece once.
template <class MakeWorker>
BallArrays answer_balls(std::size_t nq, unsigned radius, unsigned threads, const Poll& poll,
                        MakeWorker&& make_worker) {
    const std::size_t grain = query_grain(nq, threads);
    std::vector<HitArrays> pieces(nq == 0 ? 0 : (nq - 1) / grain + 1);
    BallArrays balls;
    balls.offsets.assign(nq + 1, 0);
    std::int64_t* counts = balls.offsets.data() + 1;
    const auto answer = [&](std::size_t first, std::size_t last) {
        const Pooled<GroupAnswers> borrowed;
        GroupAnswers& answers = *borrowed;
        const std::size_t n = last - first;
        for (std::size_t i = 0; i < n; ++i) {
            answers.hits[i].clear();
            answers.bounds[i].start_radius(radius);
        }
        make_worker()(first, n, answers);
        std::size_t total = 0;
        for (std::size_t i = 0; i < n; ++i) {
            counts[first + i] = static_cast<std::int64_t>(answers.hits[i].size());
            total += answers.hits[i].size();
        }
        HitArrays piece(total);
        std::size_t at = 0;
        for (std::size_t i = 0; i < n; ++i) {
            write_in_order(answers.hits[i], piece.distances.get() + at, piece.ids.get() + at);
            at += answers.hits[i].size();
        }
        answers.release();
        pieces[first / grain] = std::move(piece);
    };
    parallel_pieces(nq, grain, threads, answer, poll);
    for (std::size_t q = 0; q < nq; ++q) balls.offsets[q + 1] += balls.offsets[q];
    if (pieces.size() == 1) {
        balls.hits = std::move(pieces[0]);
        return balls;
    }
    balls.hits = HitArrays(static_cast<std::size_t>(balls.offsets[nq]));
    const auto gather = [&](std::size_t first, std::size_t last) {
        for (std::size_t i = first; i < last; ++i) {
            const auto at = balls.offsets[i * grain];
            std::copy_n(pieces[i].distances.get(), pieces[i].size, balls.hits.distances.get() + at);
            std::copy_n(pieces[i].ids.get(), pieces[i].size, balls.hits.ids.get() + at);
            pieces[i] = {};
        }
    };
    parallel_pieces(pieces.size(), 1, balls.hits.size < kLargeAnswer ? 1 : threads, gather, poll);
    return balls;
}

}  // namespace hashnet
