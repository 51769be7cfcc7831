// Work shared between threads: the smallest thing that does it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>

namespace hashnet {

/// Called now and then by the calling thread of long work; what it throws stops the work. May be empty.
using Poll = std::function<void()>;

/// Calls `own()` here and `help()` on up to `helpers` other threads at the same time; returns when all are
/// done. `help` must be ready to find nothing left to do, and neither may throw. Threads are kept for the
/// next call: making them took longer than a small batch of queries.
void with_helpers(std::size_t helpers, const std::function<void()>& help, const std::function<void()>& own);

/// Calls `work(first, last)` for pieces of at most `grain` that together are [0, n), on up to `threads`
/// threads, the caller among them, and `poll` between the pieces of the caller. The first exception is
/// rethrown here; the pieces that were not begun by then are dropped.
template <class Work>
void parallel_pieces(std::size_t n, std::size_t grain, unsigned threads, Work&& work, const Poll& poll = {}) {
    grain = std::max<std::size_t>(grain, 1);
    const std::size_t pieces = (n + grain - 1) / grain;
    std::atomic<std::size_t> next{0};
    std::exception_ptr failure;
    std::mutex failure_mutex;
    const auto run = [&](const Poll& between) {
        for (;;) {
            const std::size_t piece = next.fetch_add(1, std::memory_order_relaxed);
            if (piece >= pieces) return;
            try {
                if (between) between();
                work(piece * grain, std::min(n, (piece + 1) * grain));
            } catch (...) {
                const std::lock_guard<std::mutex> hold(failure_mutex);
                if (!failure) failure = std::current_exception();
                next.store(pieces, std::memory_order_relaxed);
                return;
            }
        }
    };
    const std::size_t wanted =
        std::min<std::size_t>(std::max(threads, 1U), std::max<std::size_t>(pieces, 1)) - 1;
    with_helpers(wanted, [&run] { run({}); }, [&] { run(poll); });
    if (failure) std::rethrow_exception(failure);
}

}  // namespace hashnet
