// Every instruction set that this machine has gives what the scalar kernels give, within the memory promised.
//
//     test_kernels [rounds [seed]]
//
// Inputs lie in arrays of exactly their size, so that a sanitizer sees a read beyond them; behind the room
// for survivors lies a mark that must stay.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "codes.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/find.hpp"
#include "kernels/labelled.hpp"
#include "kernels/residue.hpp"
#include "kernels/rows.hpp"
#include "kernels/sliced.hpp"

namespace {

using namespace hashnet;

constexpr Survivor kMark{0xA5A5A5A5, 0x5A5A5A5A};

class Random {
  public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}

    std::uint64_t word() { return engine_(); }
    /// A number from `low` to `high`, both included.
    std::int64_t from(std::int64_t low, std::int64_t high) {
        return std::uniform_int_distribution<std::int64_t>(low, high)(engine_);
    }
    bool one_in(int n) { return from(1, n) == 1; }

  private:
    std::mt19937_64 engine_;
};

std::vector<Simd> others() {
    std::vector<Simd> found;
    for (const Simd simd : {Simd::kAvx512, Simd::kAvx2, Simd::kNeon}) {
        if (is_available(simd)) found.push_back(simd);
    }
    return found;
}

bool equal(const std::vector<Survivor>& a, std::size_t n_a, const std::vector<Survivor>& b, std::size_t n_b) {
    return n_a == n_b && std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(n_a), b.begin(),
                                    [](const Survivor& x, const Survivor& y) {
                                        return x.position == y.position && x.distance == y.distance;
                                    });
}

bool marked(const std::vector<Survivor>& out) {
    return out.back().position == kMark.position && out.back().distance == kMark.distance;
}

/// Counts what goes wrong, and says where.
int failures = 0;

void expect(bool holds, const char* kernel, Simd simd, const char* what, unsigned width, std::size_t size) {
    if (holds) return;
    ++failures;
    std::fprintf(stderr, "%s, %s: %s (width %u, size %zu)\n", kernel, simd_name(simd), what, width, size);
}

void test_residues(Random& random) {
    const auto planes = static_cast<unsigned>(random.from(0, kMaxPlanes));
    const auto n_blocks = static_cast<std::uint32_t>(random.from(1, 40));
    const std::uint32_t n = n_blocks * kBlockEntries;
    std::vector<std::uint8_t> blocks(std::size_t{n} * planes);
    // Half of the time residues are near each other, so that bounds matter whatever the number of planes.
    const std::uint64_t query = random.word() & (planes == 0 ? 0 : ~std::uint64_t{0} << (64 - 8 * planes));
    const bool near = random.one_in(2);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        const std::size_t plane = i / kBlockEntries % planes;
        const auto byte = static_cast<std::uint8_t>(query >> (56 - 8 * plane));
        const std::uint64_t noise = near ? random.word() & random.word() & random.word() : random.word();
        blocks[i] = static_cast<std::uint8_t>(byte ^ noise);
    }
    NibbleTables tables;
    tables.set(query, planes);
    const auto begin = static_cast<std::uint32_t>(random.from(0, n - 1));
    const auto end = static_cast<std::uint32_t>(random.one_in(20) ? begin : random.from(begin, n));
    const std::uint32_t first_block = begin / kBlockEntries;
    const std::uint32_t n_touched = begin == end ? 0 : (end - 1) / kBlockEntries - first_block + 1;
    for (const unsigned step : {0U, 1U}) {
        std::vector<std::int8_t> bounds(step == 0 ? 1 : std::max(1U, n_touched));
        const int usual = static_cast<int>(random.from(-1, 8 * static_cast<int>(planes)));
        for (std::int8_t& bound : bounds) {
            const std::int64_t any = random.one_in(8) ? 127 : random.from(-1, 8 * planes);
            bound = static_cast<std::int8_t>(random.one_in(3) ? any : usual);
        }
        std::vector<Survivor> expected(std::size_t{n_touched} * kBlockEntries + 1, kMark);
        const std::size_t n_expected = filter_residues(Simd::kScalar)(
            blocks.data(), planes, tables, begin, end, bounds.data(), step, expected.data());
        for (const Simd simd : others()) {
            std::vector<Survivor> out(expected.size(), kMark);
            const std::size_t found = filter_residues(simd)(blocks.data(), planes, tables, begin, end,
                                                            bounds.data(), step, out.data());
            const char* kernel = step == 0 ? "residues, one bound" : "residues, a bound a block";
            expect(equal(out, found, expected, n_expected), kernel, simd, "other survivors", planes,
                   end - begin);
            expect(marked(out), kernel, simd, "wrote beyond the room", planes, end - begin);
        }
    }
}

std::vector<std::uint64_t> random_query(Random& random, unsigned n_words) {
    std::vector<std::uint64_t> query(n_words);
    for (std::uint64_t& word : query) word = random.word();
    return query;
}

/// Rows equal to the query, opposite, near, or anything.
std::vector<std::uint64_t> random_rows(Random& random, std::size_t n,
                                       const std::vector<std::uint64_t>& query) {
    const std::size_t n_words = query.size();
    std::vector<std::uint64_t> rows(n * n_words);
    for (std::size_t i = 0; i < n; ++i) {
        const std::int64_t kind = random.from(0, 9);
        for (std::size_t w = 0; w < n_words; ++w) {
            const std::uint64_t noise = kind == 0   ? 0
                                        : kind == 1 ? ~std::uint64_t{0}
                                        : kind <= 4 ? random.word() & random.word() & random.word()
                                                    : random.word();
            rows[i * n_words + w] = query[w] ^ noise;
        }
    }
    return rows;
}

void test_rows(Random& random) {
    const auto n_words =
        static_cast<unsigned>(random.one_in(2) ? random.from(1, 4) : random.from(1, kMaxWords));
    const auto n = static_cast<std::size_t>(random.from(0, 200));
    const std::vector<std::uint64_t> query = random_query(random, n_words);
    const std::vector<std::uint64_t> rows = random_rows(random, n, query);
    const auto bound = static_cast<unsigned>(random.one_in(10) ? 5000 : random.from(0, 64 * n_words));
    const auto first = static_cast<std::uint32_t>(random.from(0, 0xFFFFFF00));
    std::vector<Survivor> expected(n + 1, kMark);
    const std::size_t n_expected =
        filter_rows(Simd::kScalar)(rows.data(), n, n_words, query.data(), bound, first, expected.data());
    for (const Simd simd : others()) {
        std::vector<Survivor> out(n + 1, kMark);
        const std::size_t found =
            filter_rows(simd)(rows.data(), n, n_words, query.data(), bound, first, out.data());
        expect(equal(out, found, expected, n_expected), "rows", simd, "other survivors", n_words, n);
        expect(marked(out), "rows", simd, "wrote beyond the room", n_words, n);
    }
}

/// Rows cut into slices, for one query or two.
void test_sliced(Random& random) {
    const auto n_words = static_cast<unsigned>(random.from(1, kMaxSlicedWords));
    const auto n = static_cast<std::size_t>(random.from(0, 300));
    const std::vector<std::uint64_t> queries[2] = {random_query(random, n_words),
                                                   random_query(random, n_words)};
    const std::vector<std::uint64_t> rows = random_rows(random, n, queries[random.from(0, 1)]);
    const auto n_asks = static_cast<unsigned>(random.from(1, 2));
    std::vector<std::uint8_t> slices((n + kSliceRows - 1) / kSliceRows * 16 * kSliceRows * n_words);
    for (const Simd simd : others()) {
        const SlicedKernels* kernels = sliced_kernels(simd);
        if (kernels == nullptr) continue;
        kernels->slice(rows.data(), n, n_words, slices.data());
        SlicedQuery sliced[2];
        std::vector<Survivor> outs[2];
        SlicedAsk asks[2];
        for (unsigned a = 0; a < n_asks; ++a) {
            sliced[a].set(queries[a].data(), n_words);
            outs[a].assign(n + 1, kMark);
            const auto most = std::min<std::int64_t>(kMostSlicedBound, 64 * n_words);
            asks[a] = {&sliced[a], static_cast<unsigned>(random.from(0, most)), outs[a].data(), 99};
        }
        kernels->filter(slices.data(), n, n_words, asks, n_asks);
        for (unsigned a = 0; a < n_asks; ++a) {
            std::vector<Survivor> expected(n + 1, kMark);
            const std::size_t n_expected = filter_rows(Simd::kScalar)(
                rows.data(), n, n_words, queries[a].data(), asks[a].bound, 0, expected.data());
            expect(equal(outs[a], asks[a].found, expected, n_expected), "sliced", simd, "other survivors",
                   n_words, n);
            expect(marked(outs[a]), "sliced", simd, "wrote beyond the room", n_words, n);
        }
    }
}

void test_find(Random& random) {
    const auto planes = static_cast<unsigned>(random.from(0, kMaxPlanes));
    const auto n = static_cast<std::uint32_t>(random.from(1, 20) * kBlockEntries);
    // Bytes of few values, so that many entries begin alike.
    std::vector<std::uint8_t> blocks(std::size_t{n} * planes);
    for (std::uint8_t& byte : blocks) byte = static_cast<std::uint8_t>(random.from(0, 2));
    std::uint64_t residue = 0;
    for (unsigned i = 0; i < planes; ++i) {
        residue |= static_cast<std::uint64_t>(random.from(0, 2)) << (56 - 8 * i);
    }
    const auto begin = static_cast<std::uint32_t>(random.from(0, n));
    const auto end = static_cast<std::uint32_t>(random.from(begin, n));
    const std::uint32_t expected = find_residue(Simd::kScalar)(blocks.data(), planes, residue, begin, end);
    for (const Simd simd : others()) {
        const std::uint32_t found = find_residue(simd)(blocks.data(), planes, residue, begin, end);
        expect(found == expected, "find", simd, "another position", planes, end - begin);
    }
}

void test_labelled(Random& random) {
    LabelledRun run{};
    run.n = static_cast<std::size_t>(random.from(0, 100));
    run.n_words = static_cast<std::size_t>(random.from(1, kMaxWords));
    run.n_label_words = static_cast<std::size_t>(random.from(1, 4));
    std::vector<std::uint64_t> query(run.n_words), codes(run.n * run.n_words);
    std::vector<std::uint64_t> query_labels(run.n_label_words), labels(run.n * run.n_label_words);
    for (auto* words : {&query, &codes}) {
        for (std::uint64_t& word : *words) word = random.word();
    }
    for (auto* words : {&query_labels, &labels}) {
        for (std::uint64_t& word : *words) word = std::uint64_t{random.one_in(2)} << random.from(0, 3);
    }
    std::vector<std::uint16_t> expected(run.n), values(run.n);
    run.query = query.data();
    run.query_labels = query_labels.data();
    run.codes = codes.data();
    run.labels = labels.data();
    run.values = expected.data();
    fill_labelled(Simd::kScalar)(run);
    run.values = values.data();
    for (const Simd simd : others()) {
        std::fill(values.begin(), values.end(), std::uint16_t{0xFFFF});
        fill_labelled(simd)(run);
        expect(values == expected, "labelled", simd, "other values", static_cast<unsigned>(run.n_words),
               run.n);
    }
}

/// The scalar kernels themselves, against what they compute by definition.
void test_scalar(Random& random) {
    const auto planes = static_cast<unsigned>(random.from(1, kMaxPlanes));
    std::vector<std::uint8_t> block(std::size_t{planes} * kBlockEntries);
    for (std::uint8_t& byte : block) byte = static_cast<std::uint8_t>(random.word());
    const std::uint64_t query = random.word() & ~std::uint64_t{0} << (64 - 8 * planes);
    NibbleTables tables;
    tables.set(query, planes);
    const std::int8_t bound = 127;
    std::vector<Survivor> out(kBlockEntries);
    const std::size_t found =
        filter_residues(Simd::kScalar)(block.data(), planes, tables, 0, kBlockEntries, &bound, 0, out.data());
    expect(found == kBlockEntries, "residues", Simd::kScalar, "entries missing", planes, found);
    for (unsigned entry = 0; entry < found; ++entry) {
        std::uint64_t residue = 0;
        for (unsigned i = 0; i < planes; ++i) {
            residue |= std::uint64_t{block[i * kBlockEntries + entry]} << (56 - 8 * i);
        }
        expect(out[entry].position == entry && out[entry].distance == distance(&residue, &query, 1),
               "residues", Simd::kScalar, "a wrong distance", planes, entry);
    }
}

}  // namespace

int main(int argc, char** argv) {
    const long rounds = argc > 1 ? std::atol(argv[1]) : 2000;
    const auto seed = static_cast<std::uint64_t>(argc > 2 ? std::atoll(argv[2]) : 1);
    Random random(seed);
    for (long round = 0; round < rounds && failures < 20; ++round) {
        test_scalar(random);
        test_residues(random);
        test_rows(random);
        test_sliced(random);
        test_find(random);
        test_labelled(random);
    }
    std::printf("%ld rounds, seed %llu, compared with scalar:", rounds,
                static_cast<unsigned long long>(seed));
    for (const Simd simd : others()) std::printf(" %s", simd_name(simd));
    std::printf("; %d failures\n", failures);
    return failures == 0 ? 0 : 1;
}
