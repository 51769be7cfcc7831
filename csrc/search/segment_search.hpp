// One query in one segment: probes, verification, and each match exactly once.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/residue.hpp"
#include "kernels/rows.hpp"
#include "search/collector.hpp"
#include "search/plan.hpp"
#include "storage/segment.hpp"

namespace hashnet {

/// What a query cost, summed over segments.
struct SearchCounters {
    std::uint64_t probes = 0;      // buckets looked up
    std::uint64_t candidates = 0;  // entries whose residue was compared
    std::uint64_t verified = 0;    // entries that passed and whose full distance was computed
    std::uint64_t matches = 0;     // distinct codes that entered the answer, before it was cut to k
    bool scanned = false;
};

/// Searches segments with one query at a time. Holds the working memory, so keep one for each thread.
class SegmentSearch {
  public:
    SegmentSearch();

    /// Appends the rows of `segment` within `bound` of `query` (words, see codes.hpp) to `hits`, in no
    /// order. For k-NN, `bound` falls while rows are found, and every row within its final value has
    /// been appended; rows beyond it may have been. `plan`, where given, gets the plan as executed.
    void run(const Segment& segment, const std::uint64_t* query, Bound& bound, std::vector<Hit>& hits,
             SearchCounters& counters, Plan* plan = nullptr);

  private:
    /// The query as one table sees it.
    struct Facet {
        std::uint32_t key = 0;      // its substring
        std::uint32_t address = 0;  // its directory address
        std::uint64_t mask = 0;     // the substring's place in a code of one word
        NibbleTables nibbles;
    };

    /// A distinct code of the answer; in residue form it may still have to be located in table 0.
    struct Match {
        std::uint64_t code;
        std::uint32_t position;
        std::uint32_t distance;
    };

    static constexpr std::uint32_t kNotLocated = 0xFFFFFFFFU;
    static constexpr unsigned kBatch = 16;

    /// Probes that are on their way together, so that their cache misses overlap.
    struct Batch {
        unsigned n = 0;
        std::array<std::uint32_t, kBatch> keys;
        std::array<std::uint32_t, kBatch> begins;
        std::array<std::uint32_t, kBatch> ends;
    };

    void prepare(const Segment& segment, const std::uint64_t* query);
    void probe_radius(Plan& plan);
    void probe_nearest(Plan& plan);
    bool scan_is_cheaper(const Plan& plan) const;
    void step(unsigned table, unsigned e);
    void resolve_batch(const Table& table, Batch& batch) const;
    void scan_batch(unsigned table, unsigned e, const Batch& batch);
    void verify_residues(unsigned table, unsigned e, std::uint32_t key, std::size_t n);
    void collect_rows(unsigned table, std::size_t n);
    void verify_rows(unsigned table);
    void scan_residues();
    void scan_rows();
    bool met_earlier(unsigned table, const std::uint64_t* difference) const;
    bool met_at_all(const std::uint64_t* difference) const;
    std::uint64_t code_from(const Table& table, std::uint64_t address, std::uint32_t position) const;
    void add(std::uint64_t code, std::uint32_t position, unsigned distance);
    std::uint32_t locate(std::uint64_t code) const;
    void emit_hits(std::vector<Hit>& hits);

    FilterResidues filter_residues_;
    FilterRows filter_rows_;
    const Segment* segment_ = nullptr;
    const std::uint64_t* query_ = nullptr;
    Bound* bound_ = nullptr;
    SearchCounters* counters_ = nullptr;
    std::vector<Facet> facets_;
    /// steps_[j][e]: when table j was asked at substring distance e, counted from 0; kNever if not.
    std::vector<std::array<std::uint16_t, kMaxDirectoryBits + 1>> steps_;
    std::uint16_t n_steps_ = 0;
    std::vector<Survivor> survivors_;
    std::vector<std::uint32_t> rows_on_their_way_;
    std::vector<Match> matches_;
};

}  // namespace hashnet
