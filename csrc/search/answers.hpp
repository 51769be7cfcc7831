// Writing the hits of queries into the arrays of an answer, for every kind of search alike.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <mutex>
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

/// What a group of queries needs: bounds and hits.
struct GroupAnswers {
    std::array<Bound, kGroup> bounds;
    std::array<std::vector<Hit>, kGroup> hits;

    /// Forgets the hits, and the memory of an unusually large answer.
    void release() {
        constexpr std::size_t kKeep = std::size_t{1} << 16;
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
            start(answers.bounds[i]);
        }
        worker(q, n, answers);
        for (std::size_t i = 0; i < n; ++i) each(q + i, answers.hits[i]);
    }
    answers.release();
}

/// `make_worker()` gives each piece of queries a `worker(first, n, answers)`.
template <class MakeWorker>
void answer_nearest(std::size_t nq, std::uint64_t k, unsigned n_bits, unsigned threads, const Poll& poll,
                    std::int32_t* distances, std::int64_t* ids, MakeWorker&& make_worker) {
    const auto piece = [&](std::size_t first, std::size_t last) {
        answer_groups(
            first, last, make_worker(), [=](Bound& bound) { bound.start_nearest(k, n_bits); },
            [=](std::size_t q, std::vector<Hit>& hits) {
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

/// As answer_nearest, for all hits within a radius.
template <class MakeWorker>
BallArrays answer_balls(std::size_t nq, unsigned radius, unsigned threads, const Poll& poll,
                        MakeWorker&& make_worker) {
    struct Piece {
        std::size_t first;
        std::vector<std::size_t> counts;
        std::vector<Hit> hits;
    };
    std::vector<Piece> pieces;
    std::mutex pieces_mutex;
    const auto answer = [&](std::size_t first, std::size_t last) {
        Piece piece{first, {}, {}};
        answer_groups(
            first, last, make_worker(), [=](Bound& bound) { bound.start_radius(radius); },
            [&](std::size_t, std::vector<Hit>& hits) {
                sort_hits(hits);
                piece.counts.push_back(hits.size());
                piece.hits.insert(piece.hits.end(), hits.begin(), hits.end());
            });
        const std::lock_guard<std::mutex> hold(pieces_mutex);
        pieces.push_back(std::move(piece));
    };
    parallel_pieces(nq, query_grain(nq, threads), threads, answer, poll);
    std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.first < b.first; });
    BallArrays balls;
    balls.offsets.reserve(nq + 1);
    balls.offsets.push_back(0);
    std::size_t total = 0;
    for (const Piece& piece : pieces) total += piece.hits.size();
    balls.distances.reserve(total);
    balls.ids.reserve(total);
    for (Piece& piece : pieces) {
        for (const std::size_t count : piece.counts) {
            balls.offsets.push_back(balls.offsets.back() + static_cast<std::int64_t>(count));
        }
        for (const Hit& hit : piece.hits) {
            balls.distances.push_back(static_cast<std::int32_t>(hit.distance));
            balls.ids.push_back(hit.id);
        }
        piece = {};
    }
    return balls;
}

}  // namespace hashnet
