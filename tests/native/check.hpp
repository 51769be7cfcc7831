// The smallest thing that lets a test say what it expects.
#pragma once

#include <atomic>
#include <cstdio>
#include <string>

namespace hashnet::testing {

inline std::atomic<int> failures{0};
inline std::atomic<long> checks{0};

/// Counts a check, and prints where it failed and on what; the first hundred failures are enough to read.
inline void check(bool ok, const char* file, int line, const char* condition, const std::string& about) {
    checks.fetch_add(1, std::memory_order_relaxed);
    if (ok) return;
    if (failures.fetch_add(1) < 100) {
        std::fprintf(stderr, "%s:%d: %s is false: %s\n", file, line, condition, about.c_str());
    }
}

/// What main() returns.
inline int verdict() {
    std::printf("%ld checks, %d failures\n", checks.load(), failures.load());
    return failures.load() == 0 ? 0 : 1;
}

}  // namespace hashnet::testing

#define HASHNET_CHECK(condition, about) \
    ::hashnet::testing::check((condition), __FILE__, __LINE__, #condition, (about))
