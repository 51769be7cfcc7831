#include "storage/builder.hpp"

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "kernels/residue.hpp"
#include "storage/bit_order.hpp"
#include "storage/bucket_means.hpp"
#include "storage/distinct_sample.hpp"
#include "storage/first_table.hpp"
#include "storage/later_tables.hpp"
#include "storage/runs.hpp"
#include "storage/section_writer.hpp"
#include "storage/sliced_sort.hpp"

namespace hashnet {

namespace {

constexpr std::uint64_t kDefaultMemory = std::uint64_t{4} << 30;
constexpr std::size_t kSampledPerRange = 32;

struct IdFacts {
    bool ascend = true;
    bool wide = false;
};

IdFacts look_at_ids(RowIds ids, std::size_t n, BuildContext& context) {
    if (ids.ids == nullptr) return {true, ids.at(n - 1) > UINT32_MAX};
    std::atomic<bool> ascend{true};
    std::atomic<bool> wide{false};
    context.in_pieces(n, kPassRows, [&](std::size_t first, std::size_t last) {
        bool own_ascend = true;
        bool own_wide = false;
        for (std::size_t row = first; row < last; ++row) {
            own_wide |= ids.ids[row] > UINT32_MAX;
            own_ascend &= row == 0 || ids.ids[row - 1] < ids.ids[row];
        }
        if (!own_ascend) ascend = false;
        if (own_wide) wide = true;
    });
    return {ascend, wide};
}

class Builder {
  public:
    Builder(CodesView codes, RowIds ids, const BuildOptions& options)
        : codes_(codes),
          ids_(ids),
          options_(options),
          n_words_(words_for(codes.n_bits)),
          progress_(options.progress),
          context_{options.threads, options.memory != 0 ? options.memory : kDefaultMemory, progress_, {}} {}

    Image build() {
        const SortPlan plan = plan_sort(codes_.n, kFirstTableItem, context_.memory, context_.threads);
        sample_ = sample_codes(codes_, std::min<std::size_t>(kSampledPerRange * plan.ranges, codes_.n),
                               context_.threads, progress_);
        const IdFacts id_facts = look_at_ids(ids_, codes_.n, context_);
        layout_ = choose_layout(codes_.n_bits, sample_.n_distinct, options_.layout);
        progress_.begin("choosing bits", 1);
        order_ = options_.select_bits
                     ? choose_bit_order(sample_.codes.data(), sample_.n_codes, codes_.n_bits, layout_)
                     : BitOrder::identity(codes_.n_bits);
        keep_sample_in_order();

        SectionWriter writer(options_.path, layout_.tables.size(),
                             image_size(sample_.n_distinct, id_facts.wide),
                             image_size(codes_.n, id_facts.wide), context_.threads);
        add_first_sections(writer, id_facts);
        if (layout_.residue_form) {
            add_later_tables(writer, 1);
        } else {
            add_later_tables(writer, 0);
        }
        context_.working = Image();
        return writer.seal(header(), table_records(writer), progress_);
    }

  private:
    /// Bytes of an image of n_distinct codes, or a little more.
    std::size_t image_size(std::uint64_t n_distinct, bool wide_ids) const {
        // Alignment, the order of bits, and what rounding up takes.
        constexpr std::size_t kSmall = 8192;
        const auto n = static_cast<std::size_t>(n_distinct);
        const std::size_t blocks = (n + kBlockEntries - 1) / kBlockEntries;
        std::size_t size = SectionWriter::header_bytes(layout_.tables.size()) + kSmall;
        size += codes_.n * (wide_ids ? 8 : 4);
        // This grows with n, so it holds for fewer distinct codes too.
        size += runs_size(n);
        if (layout_.residue_form) {
            size += 4 * blocks;
        } else {
            size += 8 * n_words_ * n;
        }
        for (const TableLayout& table : layout_.tables) {
            size += 4 * ((std::size_t{1} << table.directory_bits) + 1) + 3 * kSectionAlignment;
            size += blocks * kBlockEntries * table.planes;
            if (!layout_.residue_form) size += 4 * n;
        }
        return size;
    }

    std::size_t runs_size(std::size_t n_runs) const {
        if (RunIndex::prefers_starts(codes_.n, n_runs)) return 4 * (n_runs + 1);
        return 8 * RunIndex::words(codes_.n) + 4 * RunIndex::samples(n_runs) + 4 * RunIndex::ranks(codes_.n);
    }

    void keep_sample_in_order() {
        internal_sample_.resize(sample_.codes.size());
        for (std::size_t i = 0; i < sample_.n_codes; ++i) {
            order_.to_internal(sample_.codes.data() + i * n_words_, internal_sample_.data() + i * n_words_);
        }
        sample_.codes = {};
    }

    // Sections of a size that is known come first; then the store of distinct codes, which tells how many
    // there are; then what is as large as that.
    void add_first_sections(SectionWriter& writer, const IdFacts& id_facts) {
        FirstTableSections sections{};
        sections.wide_ids = id_facts.wide;
        sections.ids = writer.add(id_facts.wide ? SectionKind::kIds64 : SectionKind::kIds32, 0,
                                  codes_.n * (id_facts.wide ? 8 : 4));
        if (!order_.is_identity()) {
            const auto bits = writer.add(SectionKind::kBitOrder, 0, 2 * std::size_t{codes_.n_bits});
            std::copy(order_.order().begin(), order_.order().end(), writer.data<std::uint16_t>(bits));
        }
        if (layout_.residue_form) {
            sections.directory = writer.add(SectionKind::kDirectory, 0, directory_bytes(layout_.tables[0]));
            directories_.push_back(sections.directory);
        }
        sections.store = writer.open(layout_.residue_form ? SectionKind::kBlocks : SectionKind::kRows, 0);
        const SortedRows sorted = build_first_table(context_, codes_, ids_, id_facts.ascend, order_, layout_,
                                                    sample_.rows, writer, sections);
        sample_.rows = {};
        n_distinct_ = sorted.n_distinct;
        store_ = sections.store;
        if (layout_.residue_form) {
            writer.close(store_, blocks_bytes(layout_.tables[0]));
            writer.finish(sections.directory);
            add_block_cells(writer);
        } else {
            writer.close(store_, static_cast<std::size_t>(8 * n_words_ * n_distinct_));
        }
        writer.finish(store_);
        if (n_distinct_ != codes_.n) add_runs(writer, sorted.run_bits);
    }

    void add_block_cells(SectionWriter& writer) {
        const std::size_t n_blocks = blocks();
        const auto section = writer.add(SectionKind::kBlockCells, 0, 4 * n_blocks);
        auto* cells = writer.data<std::uint32_t>(section);
        const auto* directory = writer.data<std::uint32_t>(directories_[0]);
        std::uint32_t cell = 0;
        for (std::size_t block = 0; block < n_blocks; ++block) {
            while (directory[cell + 1] <= block * kBlockEntries) ++cell;
            cells[block] = cell;
        }
        writer.finish(section);
    }

    void add_runs(SectionWriter& writer, const std::vector<std::uint64_t>& bits) {
        const auto n = static_cast<std::uint32_t>(codes_.n);
        if (RunIndex::prefers_starts(n, n_distinct_)) {
            const auto starts = writer.add(SectionKind::kRunStarts, 0, 4 * (n_distinct_ + 1));
            fill_run_starts(bits.data(), n, writer.data<std::uint32_t>(starts));
            writer.finish(starts);
            return;
        }
        const auto copy = writer.add(SectionKind::kRunBits, 0, 8 * bits.size());
        std::copy(bits.begin(), bits.end(), writer.data<std::uint64_t>(copy));
        const auto samples = writer.add(SectionKind::kRunSamples, 0, 4 * RunIndex::samples(n_distinct_));
        const auto ranks = writer.add(SectionKind::kRunRanks, 0, 4 * RunIndex::ranks(n));
        fill_run_samples(bits.data(), n, writer.data<std::uint32_t>(samples),
                         writer.data<std::uint32_t>(ranks));
        for (const auto section : {copy, samples, ranks}) writer.finish(section);
    }

    void add_later_tables(SectionWriter& writer, std::uint32_t first) {
        CodeStore store{
            &writer, store_, codes_.n_bits, n_distinct_, nullptr, nullptr, writer.data<std::uint8_t>(store_)};
        if (layout_.residue_form) {
            store.first_layout = &layout_.tables[0];
            store.first_directory = writer.data<std::uint32_t>(directories_[0]);
        }
        for (std::uint32_t j = first; j < layout_.tables.size(); ++j) {
            LaterTable table{j, layout_.tables[j], 0, 0, 0};
            table.directory = writer.add(SectionKind::kDirectory, j, directory_bytes(table.layout));
            table.blocks = writer.add(SectionKind::kBlocks, j, blocks_bytes(table.layout));
            if (!layout_.residue_form) {
                table.positions = writer.add(SectionKind::kPositions, j, 4 * n_distinct_);
            }
            directories_.push_back(table.directory);
            build_later_table(context_, store, table, writer);
        }
    }

    std::vector<TableRecord> table_records(SectionWriter& writer) const {
        std::vector<TableRecord> records;
        for (std::size_t j = 0; j < layout_.tables.size(); ++j) {
            const TableLayout& table = layout_.tables[j];
            const auto means = bucket_means(table, writer.data<std::uint32_t>(directories_[j]),
                                            internal_sample_.data(), sample_.n_codes, n_words_);
            records.push_back(
                {table.start, table.substring_bits, table.directory_bits, table.planes, means, {}});
        }
        return records;
    }

    FileHeader header() const {
        FileHeader header{};
        header.magic = kMagic;
        header.version = kFormatVersion;
        header.n_bits = codes_.n_bits;
        header.n_rows = codes_.n;
        header.n_distinct = n_distinct_;
        return header;
    }

    static std::size_t directory_bytes(const TableLayout& table) {
        return 4 * ((std::size_t{1} << table.directory_bits) + 1);
    }
    std::size_t blocks() const {
        return static_cast<std::size_t>((n_distinct_ + kBlockEntries - 1) / kBlockEntries);
    }
    std::size_t blocks_bytes(const TableLayout& table) const {
        return blocks() * kBlockEntries * table.planes;
    }

    CodesView codes_;
    RowIds ids_;
    const BuildOptions& options_;
    unsigned n_words_;
    BuildProgress progress_;
    BuildContext context_;
    DistinctSample sample_;
    std::vector<std::uint64_t> internal_sample_;
    Layout layout_;
    BitOrder order_;
    std::uint64_t n_distinct_ = 0;
    SectionWriter::Index store_ = 0;
    std::vector<SectionWriter::Index> directories_;
};

}  // namespace

Image build_segment(CodesView codes, RowIds ids, const BuildOptions& options) {
    return Builder(codes, ids, options).build();
}

}  // namespace hashnet
