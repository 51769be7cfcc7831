// Writing the hits of queries into the arrays of an answer, for every kind of search alike.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <vector>

#include "parallel.hpp"
#include "search/collector.hpp"
#include "search/searcher.hpp"

namespace hashnet {

/// Leaves the k least hits, sorted.
inline void cut_to_nearest(std::vector<Hit>& hits, std::uint64_t k) {
    if (hits.size() > k) {
        std::nth_element(hits.begin(), hits.begin() + static_cast<std::ptrdiff_t>(k), hits.end());
        hits.resize(k);
    }
    std::sort(hits.begin(), hits.end());
}

/// Queries handed to a thread at once: enough pieces that an expensive query delays nobody for long.
inline std::size_t query_grain(std::size_t nq, unsigned threads) {
    return std::max<std::size_t>(1, nq / (std::size_t{threads} * 16));
}

/// `make_worker()` gives each piece of queries a `worker(q, bound, hits)` that appends the hits of
/// query q within `bound`.
template <class MakeWorker>
void answer_nearest(std::size_t nq, std::uint64_t k, unsigned n_bits, unsigned threads,
                    std::int32_t* distances, std::int64_t* ids, MakeWorker&& make_worker) {
    parallel_pieces(nq, query_grain(nq, threads), threads, [&](std::size_t first, std::size_t last) {
        auto worker = make_worker();
        Bound bound;
        std::vector<Hit> hits;
        for (std::size_t q = first; q < last; ++q) {
            hits.clear();
            bound.start_nearest(k, n_bits);
            worker(q, bound, hits);
            cut_to_nearest(hits, k);
            for (std::uint64_t i = 0; i < k; ++i) {
                const bool real = i < hits.size();
                distances[q * k + i] = real ? static_cast<std::int32_t>(hits[i].distance) : kPadDistance;
                ids[q * k + i] = real ? hits[i].id : kPadId;
            }
        }
    });
}

/// As answer_nearest, for all hits within a radius.
template <class MakeWorker>
BallArrays answer_balls(std::size_t nq, unsigned radius, unsigned threads, MakeWorker&& make_worker) {
    struct Piece {
        std::size_t first;
        std::vector<std::size_t> counts;
        std::vector<Hit> hits;
    };
    std::vector<Piece> pieces;
    std::mutex pieces_mutex;
    parallel_pieces(nq, query_grain(nq, threads), threads, [&](std::size_t first, std::size_t last) {
        auto worker = make_worker();
        Bound bound;
        Piece piece{first, {}, {}};
        std::vector<Hit> hits;
        for (std::size_t q = first; q < last; ++q) {
            hits.clear();
            bound.start_radius(radius);
            worker(q, bound, hits);
            std::sort(hits.begin(), hits.end());
            piece.counts.push_back(hits.size());
            piece.hits.insert(piece.hits.end(), hits.begin(), hits.end());
        }
        const std::lock_guard<std::mutex> hold(pieces_mutex);
        pieces.push_back(std::move(piece));
    });
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
