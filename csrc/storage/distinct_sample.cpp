#include "storage/distinct_sample.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "parallel.hpp"
#include "storage/spares.hpp"

namespace hashnet {

namespace {

constexpr std::size_t kMaxHashes = std::size_t{1} << 18;
constexpr std::size_t kMaxSample = std::size_t{1} << 14;
constexpr std::size_t kPieceRows = std::size_t{1} << 19;

// The finalizer of splitmix64 (Steele, Lea and Flood, OOPSLA 2014): a bijection of 64-bit words.
std::uint64_t mix(std::uint64_t x) {
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ x >> 27) * 0x94D049BB133111EBULL;
    return x ^ x >> 31;
}

// Distinct for distinct codes of one word. Longer ones may collide; the estimate is then off by one.
std::uint64_t hash_of(const std::uint64_t* words, unsigned n_words) {
    std::uint64_t hash = 0;
    for (unsigned w = 0; w < n_words; ++w) hash = mix((hash ^ words[w]) + 0x9E3779B97F4A7C15ULL);
    return hash;
}

/// The hashes of distinct codes whose lowest `level` bits are zero, each with a row that carries the code.
/// When they become more than kMaxHashes the level rises, which about halves them (Wegman's adaptive
/// sampling, in Flajolet, Computing 1990). The level and the hashes at the end follow from the set of all
/// hashes, whatever order they come in: the level is the lowest at which they fit.
class AdaptiveSample {
  public:
    struct Entry {
        std::uint64_t hash;
        std::uint32_t row;
    };
    static constexpr std::uint32_t kNone = 0xFFFFFFFFU;

    void add(std::uint64_t hash, std::uint32_t row) {
        if ((hash & mask_) == 0) insert({hash, row});
    }

    unsigned level() const { return level_; }

    void add_all(const AdaptiveSample& other) {
        while (level_ < other.level_) raise();
        for (const Entry& entry : other.slots_) {
            if (entry.row != kNone) add(entry.hash, entry.row);
        }
    }

    std::vector<Entry> entries() const {
        std::vector<Entry> all;
        for (const Entry& entry : slots_) {
            if (entry.row != kNone) all.push_back(entry);
        }
        return all;
    }

  private:
    void insert(Entry entry) {
        // The low bits are zero, and high ones choose the slot.
        std::size_t slot = static_cast<std::size_t>(entry.hash >> 32) & (slots_.size() - 1);
        while (slots_[slot].row != kNone) {
            if (slots_[slot].hash == entry.hash) return;
            slot = (slot + 1) & (slots_.size() - 1);
        }
        slots_[slot] = entry;
        ++size_;
        while (size_ > kMaxHashes) raise();
        if (2 * size_ > slots_.size()) refill(2 * slots_.size());
    }

    void raise() {
        ++level_;
        mask_ = (std::uint64_t{1} << level_) - 1;
        refill(slots_.size());
    }

    void refill(std::size_t n_slots) {
        const std::vector<Entry> old = std::exchange(slots_, std::vector<Entry>(n_slots, Entry{0, kNone}));
        size_ = 0;
        for (const Entry& entry : old) {
            if (entry.row != kNone && (entry.hash & mask_) == 0) insert(entry);
        }
    }

    std::vector<Entry> slots_ = std::vector<Entry>(1024, Entry{0, kNone});
    std::size_t size_ = 0;
    unsigned level_ = 0;
    std::uint64_t mask_ = 0;
};

}  // namespace

DistinctSample sample_codes(CodesView codes, std::size_t wanted_rows, unsigned threads,
                            BuildProgress& progress) {
    const unsigned n_words = words_for(codes.n_bits);
    DistinctSample sample;
    // One row of each stretch of `step`, at a place that varies.
    const std::size_t step =
        std::max<std::size_t>((codes.n + wanted_rows - 1) / std::max<std::size_t>(wanted_rows, 1), 1);
    const auto sampled_row = [&](std::size_t stretch) {
        const std::size_t begin = stretch * step;
        return begin + mix(stretch) % std::min(step, codes.n - begin);
    };
    sample.n_rows = (codes.n + step - 1) / step;
    sample.rows.resize(sample.n_rows * n_words);

    Spares<AdaptiveSample> parts;
    progress.begin("sampling", codes.n);
    const auto work = [&](std::size_t first, std::size_t last) {
        std::unique_ptr<AdaptiveSample> own = parts.borrow([] { return std::make_unique<AdaptiveSample>(); });
        std::array<std::uint64_t, kMaxWords> words{};
        std::size_t stretch = first / step;
        if (sampled_row(stretch) < first) ++stretch;
        std::size_t next = stretch < sample.n_rows ? sampled_row(stretch) : codes.n;
        for (std::size_t row = first; row < last; ++row) {
            load_words(codes.row(row), codes.n_bits, words.data());
            own->add(hash_of(words.data(), n_words), static_cast<std::uint32_t>(row));
            if (row != next) continue;
            std::copy_n(words.data(), n_words, sample.rows.data() + stretch * n_words);
            ++stretch;
            next = stretch < sample.n_rows ? sampled_row(stretch) : codes.n;
        }
        parts.give_back(std::move(own));
        progress.add(last - first);
    };
    parallel_pieces(codes.n, kPieceRows, threads, work, [&] { progress.poll(); });

    AdaptiveSample all;
    for (const auto& part : parts.all()) all.add_all(*part);
    std::vector<AdaptiveSample::Entry> entries = all.entries();
    sample.n_distinct = std::min<std::uint64_t>(std::uint64_t{entries.size()} << all.level(), codes.n);
    sample.n_distinct = std::max<std::uint64_t>(sample.n_distinct, 1);
    // By hash, so that it depends on the codes alone.
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.hash < b.hash; });
    sample.n_codes = std::min(entries.size(), kMaxSample);
    sample.codes.resize(sample.n_codes * n_words);
    for (std::size_t i = 0; i < sample.n_codes; ++i) {
        load_words(codes.row(entries[i].row), codes.n_bits, sample.codes.data() + i * n_words);
    }
    return sample;
}

}  // namespace hashnet
