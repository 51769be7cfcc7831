// Times the residue and the row filter of one instruction set on data in the cache, as JSON on stdout; and
// buckets anywhere in so many GiB of memory, which is what a probe of a large index cannot fall below.
//
//     time_kernels INSTRUCTION_SET [GIB]    (compiled and run by bench_kernels.py)
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/dispatch.hpp"
#include "kernels/residue.hpp"
#include "kernels/rows.hpp"

namespace {

using namespace hashnet;

constexpr int kRepeats = 9;

/// Nanoseconds of the fastest of some runs: what disturbs a run makes it slower, never faster.
template <class Run>
double best_ns(Run&& run) {
    double best = 1e18;
    for (int i = 0; i < kRepeats; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        run();
        const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
        best = std::min(best, took.count());
    }
    return best;
}

/// Ranges of about `size` entries anywhere in 192 KiB of random residues; few of them pass.
void time_residues(Simd simd, unsigned planes, std::uint32_t size, std::mt19937_64& random) {
    constexpr std::uint32_t kBlocks = 1024;
    constexpr std::size_t kRanges = 2000;
    std::vector<std::uint8_t> blocks(std::size_t{kBlocks} * kBlockEntries * planes);
    for (std::uint8_t& byte : blocks) byte = static_cast<std::uint8_t>(random());
    std::vector<std::uint32_t> begins(kRanges), ends(kRanges);
    double touched = 0;
    for (std::size_t i = 0; i < kRanges; ++i) {
        const auto length = static_cast<std::uint32_t>(size / 2 + random() % size);
        begins[i] = static_cast<std::uint32_t>(random() % (kBlocks * kBlockEntries - length));
        ends[i] = begins[i] + length;
        touched += (ends[i] - 1) / kBlockEntries - begins[i] / kBlockEntries + 1;
    }
    NibbleTables tables;
    tables.set(random(), planes);
    std::vector<Survivor> out(2 * size + 2 * kBlockEntries);
    const auto bound = static_cast<std::int8_t>(planes + 1);
    const FilterResidues filter = filter_residues(simd);
    std::size_t survivors = 0;
    const double ns = best_ns([&] {
        survivors = 0;
        for (std::size_t i = 0; i < kRanges; ++i) {
            survivors += filter(blocks.data(), planes, tables, begins[i], ends[i], &bound, 0, out.data());
        }
    });
    std::printf(
        "  {\"planes\": %u, \"entries\": %u, \"ns_per_call\": %.2f, \"ns_per_block\": %.3f, "
        "\"survivors_per_call\": %.3f}",
        planes, size, ns / kRanges, ns / touched, static_cast<double>(survivors) / kRanges);
}

/// Chunks that stay in the cache, each compared with many queries; few rows pass.
void time_rows(Simd simd, unsigned n_words, std::mt19937_64& random) {
    constexpr std::size_t kQueries = 512;
    const std::size_t n = 4096;
    std::vector<std::uint64_t> rows(n * n_words), queries(kQueries * n_words);
    for (std::uint64_t& word : rows) word = random();
    for (std::uint64_t& word : queries) word = random();
    std::vector<Survivor> out(n);
    const FilterRows filter = filter_rows(simd);
    const double ns = best_ns([&] {
        for (std::size_t q = 0; q < kQueries; ++q) {
            filter(rows.data(), n, n_words, &queries[q * n_words], 8 * n_words, 0, out.data());
        }
    });
    std::printf("  {\"n_bits\": %u, \"ns_per_pair\": %.4f}", 64 * n_words,
                ns / static_cast<double>(n * kQueries));
}

/// Huge pages of random bytes; the process ends without giving them back.
std::uint8_t* random_memory(std::size_t size, std::mt19937_64& random) {
    constexpr std::size_t kHugePage = std::size_t{2} << 20;
    void* memory =
        ::mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    auto* first = reinterpret_cast<std::uint8_t*>((reinterpret_cast<std::uintptr_t>(memory) + kHugePage - 1) /
                                                  kHugePage * kHugePage);
    ::madvise(first, size, MADV_HUGEPAGE);
    for (std::size_t i = 0; i + 8 <= size; i += 8) {
        const std::uint64_t word = i * 0x9E3779B97F4A7C15 + random();
        std::memcpy(first + i, &word, 8);
    }
    return first;
}

/// Buckets of `length` entries anywhere among `n`, each fetched whole three buckets before it is compared; of
/// so many `together` the first line is fetched before. Nanoseconds a bucket.
double time_buckets(FilterResidues filter, const std::uint8_t* blocks, std::uint32_t n, std::uint32_t length,
                    std::size_t together, std::mt19937_64& random) {
    constexpr unsigned kPlanes = 5;
    constexpr std::size_t kBuckets = 1 << 15;
    constexpr std::size_t kAhead = 3;
    constexpr std::size_t kBlockBytes = std::size_t{kPlanes} * kBlockEntries;
    NibbleTables tables;
    tables.set(random(), kPlanes);
    const std::int8_t bound = 6;
    std::vector<std::uint32_t> begins(kBuckets);
    std::vector<Survivor> out(length + 2 * kBlockEntries);
    std::size_t survivors = 0;
    double best = 1e18;
    for (int repeat = 0; repeat < kRepeats; ++repeat) {
        for (std::uint32_t& begin : begins) begin = static_cast<std::uint32_t>(random() % (n - length));
        const auto first_line = [&](std::size_t i) {
            return blocks + begins[i] / kBlockEntries * kBlockBytes;
        };
        const auto begin = std::chrono::steady_clock::now();
        std::size_t compared = 0;
        for (std::size_t i = 0; i < kBuckets; i += together) {
            for (std::size_t j = i; together > 1 && j < i + together; ++j) __builtin_prefetch(first_line(j));
            for (std::size_t j = i; j < i + together; ++j) {
                const std::uint8_t* last =
                    blocks + ((begins[j] + length - 1) / kBlockEntries + 1) * kBlockBytes;
                for (const std::uint8_t* line = first_line(j); line < last; line += 64)
                    __builtin_prefetch(line);
                for (; j + 1 - compared > kAhead; ++compared) {
                    survivors += filter(blocks, kPlanes, tables, begins[compared], begins[compared] + length,
                                        &bound, 0, out.data());
                }
            }
        }
        const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
        best = std::min(best, took.count() / kBuckets);
    }
    return survivors == 0 ? 0 : best;
}

void time_memory(Simd simd, double gib, std::mt19937_64& random) {
    const auto size = static_cast<std::size_t>(gib * (1 << 30));
    const auto n = static_cast<std::uint32_t>(std::min<std::size_t>(size / 160 * kBlockEntries, 0xFFFFFFF0));
    const std::uint8_t* blocks = random_memory(size, random);
    if (blocks == nullptr) return;
    const char* separator = "";
    for (const std::uint32_t length : {150U, 477U}) {
        const FilterResidues filter = filter_residues(simd);
        std::printf(
            "%s  {\"entries\": %u, \"gib\": %.1f, \"ns_one_at_a_time\": %.1f, \"ns_16_together\": %.1f}",
            separator, length, gib, time_buckets(filter, blocks, n, length, 1, random),
            time_buckets(filter, blocks, n, length, 16, random));
        separator = ",\n";
    }
}

}  // namespace

int main(int argc, char** argv) {
    for (const Simd simd : {Simd::kScalar, Simd::kAvx2, Simd::kAvx512, Simd::kNeon}) {
        if (argc < 2 || argc > 3 || std::strcmp(argv[1], simd_name(simd)) != 0 || !is_available(simd))
            continue;
        std::mt19937_64 random(1);
        const char* separator = "";
        std::printf("{\"residues\": [\n");
        for (const unsigned planes : {5U, 6U}) {
            for (const std::uint32_t entries : {64U, 100U, 200U, 400U, 4096U}) {
                std::printf("%s", separator);
                time_residues(simd, planes, entries, random);
                separator = ",\n";
            }
        }
        std::printf("\n], \"rows\": [\n");
        separator = "";
        for (const unsigned n_words : {1U, 2U, 3U, 4U, 8U, 16U}) {
            std::printf("%s", separator);
            time_rows(simd, n_words, random);
            separator = ",\n";
        }
        std::printf("\n], \"buckets\": [\n");
        if (argc == 3) time_memory(simd, std::atof(argv[2]), random);
        std::printf("\n]}\n");
        return 0;
    }
    std::fprintf(stderr, "usage: time_kernels INSTRUCTION_SET [GIB], one that this machine has\n");
    return 2;
}
