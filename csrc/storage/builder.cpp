#include "storage/builder.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <vector>

#include "kernels/residue.hpp"
#include "storage/checksum.hpp"
#include "storage/format.hpp"
#include "storage/layout.hpp"
#include "storage/partition_sort.hpp"
#include "storage/segment.hpp"

namespace hashnet {

namespace {

/// The first 64 bits of something to sort, and where it came from.
struct Keyed {
    std::uint64_t key;
    std::uint32_t from;
};

std::uint64_t key_of(const Keyed& item) {
    return item.key;
}

/// Rows in the order of table 0: ascending (code, id).
std::vector<Keyed> sort_rows(CodesView codes, const std::int64_t* ids, unsigned threads) {
    std::vector<Keyed> rows(codes.n);
    std::array<std::uint64_t, kMaxWords> words{};
    bool ids_ascend = true;
    for (std::size_t i = 0; i < codes.n; ++i) {
        load_words(codes.row(i), codes.n_bits, words.data());
        rows[i] = {words[0], static_cast<std::uint32_t>(i)};
        ids_ascend = ids_ascend && (i == 0 || ids[i - 1] < ids[i]);
    }
    const std::size_t n_bytes = codes.n_bytes();
    const bool one_word = codes.n_bits <= 64;
    // Where ids ascend, comparing rows instead saves a cache miss a comparison.
    partition_sort(rows, threads, key_of, [=](const Keyed& a, const Keyed& b) {
        if (a.key != b.key) return a.key < b.key;
        if (!one_word) {
            const int order = std::memcmp(codes.row(a.from), codes.row(b.from), n_bytes);
            if (order != 0) return order < 0;
        }
        return ids_ascend ? a.from < b.from : ids[a.from] < ids[b.from];
    });
    return rows;
}

class Builder {
  public:
    Builder(CodesView codes, const std::int64_t* ids, unsigned threads)
        : codes_(codes), ids_(ids), threads_(threads), n_words_(words_for(codes.n_bits)) {}

    Image build(const std::string& path) {
        rows_ = sort_rows(codes_, ids_, threads_);
        find_runs();
        layout_ = choose_layout(codes_.n_bits, runs_.size() - 1);
        plan_sections();
        image_ = path.empty() ? Image::allocate(size_) : Image::create_file(path, size_);
        try {
            fill();
            seal();
            if (!path.empty()) image_.sync();
        } catch (...) {
            if (!path.empty()) ::unlink(path.c_str());
            throw;
        }
        return std::move(image_);
    }

  private:
    std::size_t n_distinct() const { return runs_.size() - 1; }

    void find_runs() {
        const std::size_t n_bytes = codes_.n_bytes();
        for (std::size_t i = 0; i < rows_.size(); ++i) {
            if (i == 0 || rows_[i].key != rows_[i - 1].key ||
                std::memcmp(codes_.row(rows_[i].from), codes_.row(rows_[i - 1].from), n_bytes) != 0) {
                runs_.push_back(static_cast<std::uint32_t>(i));
            }
        }
        runs_.push_back(static_cast<std::uint32_t>(rows_.size()));
    }

    void plan_sections() {
        const std::size_t n = n_distinct();
        const std::size_t n_blocks = (n + kBlockEntries - 1) / kBlockEntries;
        wide_ids_ = std::any_of(ids_, ids_ + codes_.n, [](std::int64_t id) { return id > UINT32_MAX; });
        add(wide_ids_ ? SectionKind::kIds64 : SectionKind::kIds32, 0, codes_.n * (wide_ids_ ? 8 : 4));
        if (n != codes_.n) add(SectionKind::kRuns, 0, 4 * (n + 1));
        if (!layout_.residue_form) add(SectionKind::kRows, 0, 8 * n_words_ * n);
        for (std::uint32_t j = 0; j < layout_.tables.size(); ++j) {
            const TableLayout& table = layout_.tables[j];
            add(SectionKind::kDirectory, j, 4 * ((std::size_t{1} << table.directory_bits) + 1));
            add(SectionKind::kBlocks, j, n_blocks * kBlockEntries * table.planes);
            if (!layout_.residue_form) add(SectionKind::kPositions, j, 4 * n);
        }
        if (layout_.residue_form) add(SectionKind::kBlockCells, 0, 4 * n_blocks);
        std::size_t at = aligned(sizeof(FileHeader) + layout_.tables.size() * sizeof(TableRecord) +
                                 sections_.size() * sizeof(SectionRecord));
        for (SectionRecord& section : sections_) {
            section.offset = at;
            at = aligned(at + section.size);
        }
        size_ = at;
    }

    void add(SectionKind kind, std::uint32_t table, std::size_t size) {
        sections_.push_back({static_cast<std::uint32_t>(kind), table, 0, size, 0, 0});
    }

    template <class T>
    T* section(SectionKind kind, std::uint32_t table = 0) {
        for (const SectionRecord& record : sections_) {
            if (record.kind == static_cast<std::uint32_t>(kind) && record.table == table) {
                return reinterpret_cast<T*>(image_.mutable_data() + record.offset);
            }
        }
        return nullptr;
    }

    void fill() {
        fill_ids();
        load_distinct();
        rows_ = {};
        for (std::uint32_t j = 0; j < layout_.tables.size(); ++j) {
            if (layout_.residue_form) {
                fill_residue_table(j);
            } else {
                fill_signature_table(j);
            }
        }
    }

    void fill_ids() {
        auto* wide = section<std::int64_t>(SectionKind::kIds64);
        auto* narrow = section<std::uint32_t>(SectionKind::kIds32);
        for (std::size_t i = 0; i < rows_.size(); ++i) {
            const std::int64_t id = ids_[rows_[i].from];
            if (wide_ids_) {
                wide[i] = id;
            } else {
                narrow[i] = static_cast<std::uint32_t>(id);
            }
        }
        if (auto* runs = section<std::uint32_t>(SectionKind::kRuns)) {
            std::copy(runs_.begin(), runs_.end(), runs);
        }
    }

    void load_distinct() {
        if (!layout_.residue_form) {
            auto* words = section<std::uint64_t>(SectionKind::kRows);
            for (std::size_t i = 0; i < n_distinct(); ++i) {
                load_words(codes_.row(rows_[runs_[i]].from), codes_.n_bits, words + i * n_words_);
            }
            return;
        }
        distinct_.resize(n_distinct());
        for (std::size_t i = 0; i < n_distinct(); ++i) distinct_[i] = rows_[runs_[i]].key;
    }

    void fill_residue_table(std::uint32_t j) {
        const TableLayout& table = layout_.tables[j];
        std::vector<std::uint64_t> rotated(distinct_);
        if (j != 0) {
            const unsigned n_bits = codes_.n_bits;
            for (std::uint64_t& code : rotated) code = rotate(code, n_bits, table.start);
            partition_sort(rotated, threads_, [](std::uint64_t code) { return code; }, std::less<>());
        }
        fill_entries(j, [&](std::size_t i) { return rotated[i]; });
        if (j != 0) return;
        auto* cells = section<std::uint32_t>(SectionKind::kBlockCells);
        for (std::size_t i = 0; i < rotated.size(); i += kBlockEntries) {
            cells[i / kBlockEntries] = static_cast<std::uint32_t>(rotated[i] >> (64 - table.directory_bits));
        }
    }

    void fill_signature_table(std::uint32_t j) {
        const TableLayout& table = layout_.tables[j];
        const auto* words = section<std::uint64_t>(SectionKind::kRows);
        const unsigned stored_bits = table.directory_bits + 8 * table.planes;
        std::vector<Keyed> entries(n_distinct());
        for (std::size_t i = 0; i < entries.size(); ++i) {
            const std::uint64_t bits =
                ring_bits_at(words + i * n_words_, codes_.n_bits, table.start, stored_bits);
            entries[i] = {bits << (64 - stored_bits), static_cast<std::uint32_t>(i)};
        }
        partition_sort(entries, threads_, key_of, [](const Keyed& a, const Keyed& b) {
            return a.key != b.key ? a.key < b.key : a.from < b.from;
        });
        fill_entries(j, [&](std::size_t i) { return entries[i].key; });
        auto* positions = section<std::uint32_t>(SectionKind::kPositions, j);
        for (std::size_t i = 0; i < entries.size(); ++i) positions[i] = entries[i].from;
    }

    /// `stored(i)` is what directory and residue of entry i hold, left-aligned and ascending.
    template <class Stored>
    void fill_entries(std::uint32_t j, Stored&& stored) {
        const TableLayout& table = layout_.tables[j];
        auto* directory = section<std::uint32_t>(SectionKind::kDirectory, j);
        auto* blocks = section<std::uint8_t>(SectionKind::kBlocks, j);
        std::size_t cell = 0;
        for (std::size_t i = 0; i < n_distinct(); ++i) {
            const std::uint64_t bits = stored(i);
            for (const std::size_t own = bits >> (64 - table.directory_bits); cell <= own; ++cell) {
                directory[cell] = static_cast<std::uint32_t>(i);
            }
            const std::uint64_t residue = bits << table.directory_bits;
            std::uint8_t* at = blocks + i / kBlockEntries * table.planes * kBlockEntries + i % kBlockEntries;
            for (unsigned p = 0; p < table.planes; ++p) {
                at[std::size_t{p} * kBlockEntries] = static_cast<std::uint8_t>(residue >> (56 - 8 * p));
            }
        }
        for (; cell <= std::size_t{1} << table.directory_bits; ++cell) {
            directory[cell] = static_cast<std::uint32_t>(n_distinct());
        }
    }

    /// Mean bucket sizes at small substring distances, as seen from codes of the database themselves:
    /// what the planner expects of a query that resembles the data.
    TableRecord table_record(std::uint32_t j) {
        constexpr std::size_t kSample = 256;
        const TableLayout& table = layout_.tables[j];
        const auto* directory = section<std::uint32_t>(SectionKind::kDirectory, j);
        const auto* words = section<std::uint64_t>(SectionKind::kRows);
        const std::size_t sample = std::min(kSample, n_distinct());
        const unsigned s = table.substring_bits;
        const unsigned below = table.directory_bits - s;
        std::array<double, kKnownDistances> entries{};
        std::array<double, kKnownDistances> buckets{};
        const auto count = [&](std::uint64_t substring, unsigned e) {
            const std::uint32_t* cell = directory + (substring << below);
            entries[e] += cell[std::size_t{1} << below] - cell[0];
            buckets[e] += 1;
        };
        for (std::size_t i = 0; i < sample; ++i) {
            const std::size_t at = i * n_distinct() / sample;
            const std::uint64_t* code = words != nullptr ? words + at * n_words_ : &distinct_[at];
            const std::uint64_t own = bits_at(code, table.start, s);
            count(own, 0);
            for (unsigned a = 0; a < s; ++a) {
                count(own ^ std::uint64_t{1} << a, 1);
                for (unsigned b = 0; b < a; ++b)
                    count(own ^ std::uint64_t{1} << a ^ std::uint64_t{1} << b, 2);
            }
        }
        TableRecord record{table.start, s, table.directory_bits, table.planes, {}, 0};
        for (unsigned e = 0; e < kKnownDistances; ++e) {
            record.mean_bucket[e] = static_cast<float>(buckets[e] > 0 ? entries[e] / buckets[e] : 0);
        }
        return record;
    }

    void seal() {
        FileHeader header{};
        header.magic = kMagic;
        header.version = kFormatVersion;
        header.n_bits = codes_.n_bits;
        header.n_rows = codes_.n;
        header.n_distinct = n_distinct();
        header.file_size = size_;
        header.n_tables = static_cast<std::uint32_t>(layout_.tables.size());
        header.n_sections = static_cast<std::uint32_t>(sections_.size());
        std::uint8_t* at = image_.mutable_data() + sizeof(FileHeader);
        for (std::uint32_t j = 0; j < header.n_tables; ++j, at += sizeof(TableRecord)) {
            const TableRecord record = table_record(j);
            std::memcpy(at, &record, sizeof(record));
        }
        for (SectionRecord& record : sections_) {
            record.checksum = crc32c(image_.data() + record.offset, record.size);
            std::memcpy(at, &record, sizeof(record));
            at += sizeof(record);
        }
        const std::uint8_t* records = image_.data() + sizeof(FileHeader);
        const std::uint32_t of_header = crc32c(&header, sizeof(header));
        header.checksum = crc32c(records, static_cast<std::size_t>(at - records), of_header);
        std::memcpy(image_.mutable_data(), &header, sizeof(header));
    }

    CodesView codes_;
    const std::int64_t* ids_;
    unsigned threads_;
    std::size_t n_words_;
    std::vector<Keyed> rows_;
    std::vector<std::uint32_t> runs_;
    std::vector<std::uint64_t> distinct_;
    Layout layout_;
    std::vector<SectionRecord> sections_;
    std::size_t size_ = 0;
    bool wide_ids_ = false;
    Image image_;
};

}  // namespace

Image build_segment(CodesView codes, const std::int64_t* ids, const std::string& path, unsigned threads) {
    return Builder(codes, ids, threads).build(path);
}

}  // namespace hashnet
