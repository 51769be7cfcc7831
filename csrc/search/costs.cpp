#include "search/costs.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "kernels/dispatch.hpp"
#include "kernels/residue.hpp"

namespace hashnet {

namespace {

// Bytes that come from memory, or from the last level of cache; a bucket is read with the rest of its first
// and last blocks.
constexpr double kMemoryByte = 0.05;
constexpr double kCachedByte = 0.03;
constexpr double kScannedByte = 0.027;
constexpr double kScannedCachedByte = 0.0055;
constexpr double kScannedNearByte = 0.0015;  // from the cache of the core itself
constexpr double kBucketBytes = 128;

double cache_bytes() {
    static const double bytes = [] {
#if defined(_SC_LEVEL3_CACHE_SIZE)
        const long size = ::sysconf(_SC_LEVEL3_CACHE_SIZE);
        // Virtual machines report caches that they share with many others.
        if (size > 0) return std::min(static_cast<double>(size), 32.0 * (1 << 20));
#endif
        return 16.0 * (1 << 20);
    }();
    return bytes;
}

double near_cache_bytes() {
    static const double bytes = [] {
#if defined(_SC_LEVEL2_CACHE_SIZE)
        const long size = ::sysconf(_SC_LEVEL2_CACHE_SIZE);
        if (size > 0) return std::min(static_cast<double>(size), 4.0 * (1 << 20));
#endif
        return 0.5 * (1 << 20);
    }();
    return bytes;
}

// Of a scan, by the bytes that it reads: from a cache, from memory, or in part from either.
double scanned_byte(double bytes) {
    const double beyond = std::clamp((bytes - cache_bytes() / 2) / cache_bytes(), 0.0, 1.0);
    const double beyond_near = std::clamp(2 * bytes / near_cache_bytes() - 1, 0.0, 1.0);
    return kScannedNearByte + beyond_near * (kScannedCachedByte - kScannedNearByte) +
           beyond * (kScannedByte - kScannedCachedByte);
}

struct KernelCosts {
    double plane;    // of one entry, in cache
    double word;     // of one row, in cache
    double nearest;  // of finding a bound: see Costs::scan_nearest
};

KernelCosts kernel_costs() {
    switch (active_simd()) {
        case Simd::kAvx512:
            return {0.007, 0.045, 40};
        case Simd::kAvx2:
            return {0.018, 0.32, 32};
        case Simd::kNeon:
            return {0.03, 0.4, 32};
        default:
            return {1.2, 2.5, 32};
    }
}

}  // namespace

// A bucket begins and ends where its cells do, in one line of the cache or two.
double Costs::far_probe(const TableLayout& layout) {
    constexpr double kFarLine = 40;
    constexpr double kLineBytes = 64;
    const std::uint64_t cells = std::uint64_t{sizeof(std::uint32_t)} << layout.directory_bits;
    if (static_cast<double>(cells) <= near_cache_bytes()) return 0;
    const std::uint64_t apart = cells >> layout.substring_bits;
    return kFarLine * (1 + std::min(static_cast<double>(apart) / kLineBytes, 1.0));
}

Costs Costs::of(const Segment& segment) {
    const KernelCosts kernel = kernel_costs();
    const bool cached = static_cast<double>(segment.size()) < 1.25 * cache_bytes();
    const double byte = cached ? kCachedByte : kMemoryByte;
    Costs costs{};
    costs.beginning = 500;
    costs.scan_beginning = 300;
    costs.scan_nearest = kernel.nearest * std::pow(static_cast<double>(segment.n_distinct()), 0.35);
    costs.scan_runs = 5000;
    if (segment.residue_form()) {
        const double planes = segment.tables()[0].layout.planes;
        costs.probe = 13 + kBucketBytes * byte;
        costs.entry = planes * std::max(kernel.plane, byte);
        costs.survivor = 18;
        costs.match = cached ? 40 : 55;
        costs.nearest = cached ? 40 : 80;
        if (planes == 0) {
            // A table of whole codes: every entry passes, and only its cell tells how far it is.
            costs.probe = 8;
            costs.scan_entry = 4;
            return costs;
        }
        costs.scan_entry = 0.031;
        costs.scan_read = planes * std::max(0.4 * kernel.plane, scanned_byte(segment.n_distinct() * planes));
        costs.scan_match = 50;
    } else {
        const double row_bytes = 8.0 * segment.n_words();
        costs.probe = 15 + kBucketBytes * byte;
        costs.entry = (cached ? 6 : 10) + segment.n_words() * std::max(0.4, kernel.word);
        costs.survivor = 10;
        costs.scan_entry =
            segment.n_words() * std::max(kernel.word, 8 * scanned_byte(segment.n_distinct() * row_bytes));
        costs.scan_match = 10;
    }
    return costs;
}

}  // namespace hashnet
