// Work shared between threads: the smallest thing that does it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace hashnet {

/// As parallel_pieces below, always piece by piece; the caller calls `poll()` after each piece of its own.
/// What `poll` throws ends the work as a failing piece does.
template <class Work, class Poll>
void parallel_pieces(std::size_t n, std::size_t grain, unsigned threads, Work&& work, Poll&& poll) {
    grain = std::max<std::size_t>(grain, 1);
    const std::size_t pieces = (n + grain - 1) / grain;
    std::atomic<std::size_t> next{0};
    std::exception_ptr failure;
    std::mutex failure_mutex;
    const auto run = [&](const auto& after) {
        for (;;) {
            const std::size_t piece = next.fetch_add(1, std::memory_order_relaxed);
            if (piece >= pieces) return;
            try {
                work(piece * grain, std::min(n, (piece + 1) * grain));
                after();
            } catch (...) {
                const std::lock_guard<std::mutex> hold(failure_mutex);
                if (!failure) failure = std::current_exception();
                next.store(pieces, std::memory_order_relaxed);
                return;
            }
        }
    };
    std::vector<std::thread> helpers;
    const std::size_t wanted =
        std::min<std::size_t>(std::max(threads, 1U), std::max<std::size_t>(pieces, 1)) - 1;
    helpers.reserve(wanted);
    for (std::size_t i = 0; i < wanted; ++i) {
        try {
            helpers.emplace_back([&] { run([] {}); });
        } catch (const std::system_error&) {
            break;  // No more threads to be had: the ones that run do the work.
        }
    }
    run(poll);
    for (std::thread& helper : helpers) helper.join();
    if (failure) std::rethrow_exception(failure);
}

/// Calls `work(first, last)` for pieces of at most `grain` that together are [0, n), on up to `threads`
/// threads, the caller among them. The first exception of a piece is rethrown here; the pieces that
/// were not begun by then are dropped. One thread alone gets everything as one piece.
template <class Work>
void parallel_pieces(std::size_t n, std::size_t grain, unsigned threads, Work&& work) {
    if (n == 0) return;
    if (threads <= 1 || n <= grain) {
        work(std::size_t{0}, n);
        return;
    }
    parallel_pieces(n, grain, threads, work, [] {});
}

}  // namespace hashnet
