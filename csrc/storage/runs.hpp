// Where the rows of each distinct code begin, where codes repeat.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hashnet {

/// Rows [first, last) carry one code.
struct Run {
    std::uint32_t first;
    std::uint32_t last;
};

/// In one of two forms: an array of starts, where codes repeat massively; otherwise one bit a row, set where
/// a run begins, with samples that find the i-th set bit. With neither, every row is a run of its own.
///
/// The arrays may come from a file that was altered after it was verified: runs are then wrong, but stay
/// within the rows, and nothing outside the arrays is read.
class RunIndex {
  public:
    /// Runs between two samples.
    static constexpr std::uint32_t kSampled = 256;
    /// Rows between two ranks.
    static constexpr std::uint32_t kRanked = 4096;

    static std::size_t words(std::uint64_t n_rows) { return static_cast<std::size_t>((n_rows + 63) / 64); }
    static std::size_t samples(std::uint64_t n_runs) {
        return static_cast<std::size_t>((n_runs + kSampled - 1) / kSampled);
    }
    static std::size_t ranks(std::uint64_t n_rows) {
        return static_cast<std::size_t>((n_rows + kRanked - 1) / kRanked);
    }
    /// Whether the array of starts is the smaller form.
    static bool prefers_starts(std::uint64_t n_rows, std::uint64_t n_runs) {
        return 4 * (n_runs + 1) <= 8 * words(n_rows) + 4 * samples(n_runs) + 4 * ranks(n_rows);
    }

    std::uint32_t n_rows = 0;
    std::uint32_t n_runs = 0;
    /// n_runs + 1 of them.
    const std::uint32_t* run_starts = nullptr;
    /// Bit r % 64 of word r / 64 is row r; rows beyond the last have none set.
    const std::uint64_t* bits = nullptr;
    /// The row where run kSampled * i begins.
    const std::uint32_t* run_samples = nullptr;
    /// How many runs begin before row kRanked * i.
    const std::uint32_t* row_ranks = nullptr;

    bool trivial() const { return run_starts == nullptr && bits == nullptr; }

    /// `run` must be below n_runs.
    Run at(std::uint32_t run) const {
        if (run_starts != nullptr) {
            const std::uint32_t last = std::min(run_starts[run + 1], n_rows);
            return {std::min(run_starts[run], last), last};
        }
        if (bits != nullptr) return from_bits(run);
        return {run, run + 1};
    }

    /// What at(run) reads first; null where it reads nothing.
    const void* address(std::uint32_t run) const {
        if (run_starts != nullptr) return run_starts + run;
        return bits != nullptr ? run_samples + run / kSampled : nullptr;
    }

    /// Whether all parts say the same.
    bool consistent() const;

  private:
    Run from_bits(std::uint32_t run) const;
    std::uint32_t row_of(std::uint32_t run) const;
};

/// Fill the arrays of an index from its bits; `n_runs` of them are set.
void fill_run_starts(const std::uint64_t* bits, std::uint32_t n_rows, std::uint32_t* starts);
void fill_run_samples(const std::uint64_t* bits, std::uint32_t n_rows, std::uint32_t* samples,
                      std::uint32_t* ranks);

}  // namespace hashnet
