// Times the residue and the row filter of one instruction set on data in the cache, as JSON on stdout.
//
//     time_kernels INSTRUCTION_SET          (compiled and run by bench_kernels.py)
#include <algorithm>
#include <chrono>
#include <cstdio>
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

}  // namespace

int main(int argc, char** argv) {
    for (const Simd simd : {Simd::kScalar, Simd::kAvx2, Simd::kAvx512, Simd::kNeon}) {
        if (argc != 2 || std::strcmp(argv[1], simd_name(simd)) != 0 || !is_available(simd)) continue;
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
        std::printf("\n]}\n");
        return 0;
    }
    std::fprintf(stderr, "usage: time_kernels INSTRUCTION_SET, one that this machine has\n");
    return 2;
}
