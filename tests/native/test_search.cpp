// Every search equals the naive scan: all lengths, awkward codes, every radius, many k, several segments.

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "check.hpp"
#include "database.hpp"
#include "search/flat.hpp"
#include "search/searcher.hpp"
#include "search/segment_search.hpp"

namespace hashnet::testing {

namespace {

constexpr std::size_t kQueries = 6;
constexpr Policy kPolicies[] = {Policy::kAuto, Policy::kProbe, Policy::kScan, Policy::kUniform};

struct Case {
    std::string name;
    Database database;
    Segments segments;
    std::vector<std::uint8_t> queries;
    std::vector<std::vector<Hit>> expected;  // of each query: all rows in order

    CodesView view() const { return {queries.data(), expected.size(), database.n_bits}; }
};

std::size_t within(const std::vector<Hit>& sorted, unsigned radius) {
    return static_cast<std::size_t>(std::upper_bound(sorted.begin(), sorted.end(), Hit{radius, INT64_MAX}) -
                                    sorted.begin());
}

bool same(const Hit& a, const Hit& b) {
    return a.distance == b.distance && a.id == b.id;
}

template <class Search>
void check_balls(const Case& one, const Search& search, unsigned radius, unsigned threads) {
    const std::string about = one.name + ", radius " + std::to_string(radius);
    const BallArrays balls = search.balls(one.view(), radius, threads);
    for (std::size_t q = 0; q < one.expected.size(); ++q) {
        const std::vector<Hit>& expected = one.expected[q];
        const auto begin = static_cast<std::size_t>(balls.offsets[q]);
        const auto n = static_cast<std::size_t>(balls.offsets[q + 1]) - begin;
        HASHNET_CHECK(n == within(expected, radius), about);
        bool equal = n <= expected.size();
        for (std::size_t i = 0; equal && i < n; ++i) {
            equal = same(expected[i], {static_cast<std::uint32_t>(balls.hits.distances[begin + i]),
                                       balls.hits.ids[begin + i]});
        }
        HASHNET_CHECK(equal, about);
    }
}

template <class Search>
void check_nearest(const Case& one, const Search& search, std::size_t k, unsigned threads) {
    const std::string about = one.name + ", k " + std::to_string(k);
    const std::size_t nq = one.expected.size();
    std::vector<std::int32_t> distances(nq * k, -7);
    std::vector<std::int64_t> ids(nq * k, -7);
    search.nearest(one.view(), k, nullptr, threads, distances.data(), ids.data());
    for (std::size_t q = 0; q < nq; ++q) {
        bool equal = true;
        for (std::size_t i = 0; i < k; ++i) {
            const bool real = i < one.expected[q].size();
            const Hit pad{static_cast<std::uint32_t>(kPadDistance), kPadId};
            equal = equal && same(real ? one.expected[q][i] : pad,
                                  {static_cast<std::uint32_t>(distances[q * k + i]), ids[q * k + i]});
        }
        HASHNET_CHECK(equal, about);
    }
}

void check_counts(const Case& one, const Searcher& searcher, unsigned radius) {
    std::vector<std::int64_t> counts(one.expected.size(), -1);
    searcher.count(one.view(), radius, 1, counts.data());
    for (std::size_t q = 0; q < counts.size(); ++q) {
        HASHNET_CHECK(static_cast<std::size_t>(counts[q]) == within(one.expected[q], radius),
                      one.name + ", count within " + std::to_string(radius));
    }
}

/// One question under every policy, the queries together and alone. k = 0: a radius search.
void check_policies(const Case& one, std::size_t k, unsigned radius) {
    for (const Policy policy : kPolicies) {
        // Probing at any price: at large radii it looks up more buckets than there are.
        const bool endless = policy == Policy::kProbe && (k > 100 || radius > one.database.n_bits / 4 + 1);
        if (endless) continue;
        for (const std::size_t group : {std::size_t{1}, kQueries}) {
            SegmentSearch search;
            for (std::size_t first = 0; first < one.expected.size(); first += group) {
                const std::size_t n = std::min(group, one.expected.size() - first);
                std::array<std::array<std::uint64_t, kMaxWords>, kQueries> words{};
                std::array<const std::uint64_t*, kQueries> pointers{};
                std::array<Bound, kQueries> bounds;
                std::array<std::vector<Hit>, kQueries> hits;
                SearchCounters counters;
                for (std::size_t i = 0; i < n; ++i) {
                    load_words(one.view().row(first + i), one.database.n_bits, words[i].data());
                    pointers[i] = words[i].data();
                    if (k == 0) {
                        bounds[i].start_radius(radius);
                    } else {
                        bounds[i].start_nearest(k, one.database.n_bits);
                    }
                    search.query(i).bound = &bounds[i];
                    search.query(i).hits = &hits[i];
                    search.query(i).counters = &counters;
                }
                for (const auto& segment : one.segments) search.run(*segment, pointers.data(), n, policy);
                for (std::size_t i = 0; i < n; ++i) {
                    std::sort(hits[i].begin(), hits[i].end());
                    const std::vector<Hit>& expected = one.expected[first + i];
                    const std::size_t wanted =
                        k == 0 ? within(expected, radius) : std::min(k, expected.size());
                    const bool enough = k == 0 ? hits[i].size() == wanted : hits[i].size() >= wanted;
                    const bool equal =
                        enough &&
                        std::equal(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(wanted),
                                   hits[i].begin(), same);
                    HASHNET_CHECK(equal, one.name + ", policy " + std::to_string(static_cast<int>(policy)) +
                                             ", group of " + std::to_string(group) + ", k " +
                                             std::to_string(k) + ", radius " + std::to_string(radius));
                }
            }
        }
    }
}

std::vector<unsigned> radii_of(unsigned n_bits) {
    std::vector<unsigned> radii;
    // Every radius of short codes; of long ones those where plans change, then steps.
    for (unsigned radius = 0; radius <= n_bits; radius += radius < 24 || n_bits <= 64 ? 1 : n_bits / 16) {
        radii.push_back(radius);
    }
    if (radii.back() != n_bits) radii.push_back(n_bits);
    return radii;
}

void check_case(const Case& one) {
    const Searcher searcher(one.segments);
    const FlatCodes flat(one.database.view());
    HASHNET_CHECK(searcher.n_rows() == one.database.n(), one.name);
    for (const unsigned radius : radii_of(one.database.n_bits)) {
        check_balls(one, searcher, radius, 1 + radius % 3);
        check_counts(one, searcher, radius);
        if (radius % 5 == 0) check_policies(one, 0, radius);
    }
    const std::size_t n = one.database.n();
    for (const std::size_t k : {std::size_t{1}, std::size_t{2}, std::size_t{10}, n / 2 + 1, n, n + 3}) {
        check_nearest(one, searcher, k, static_cast<unsigned>(1 + k % 3));
        check_policies(one, k, 0);
    }
    // The flat scan numbers rows itself: its order is known only where ids ascend with rows.
    Case rows = one;
    for (std::size_t i = 0; i < n; ++i) rows.database.ids[i] = static_cast<std::int64_t>(i);
    for (std::size_t q = 0; q < rows.expected.size(); ++q) {
        rows.expected[q] = naive_scan(rows.database, rows.view().row(q));
    }
    check_balls(rows, flat, one.database.n_bits / 4, 2);
    check_nearest(rows, flat, n / 3 + 1, 2);
}

}  // namespace

}  // namespace hashnet::testing

/// Without arguments every length; otherwise the numbers of bits given.
int main(int n_arguments, char** arguments) {
    using namespace hashnet::testing;
    std::vector<unsigned> lengths = {8, 16, 24, 32, 48, 64, 72, 128, 256, 1024};
    if (n_arguments > 1) lengths.clear();
    for (int i = 1; i < n_arguments; ++i) {
        lengths.push_back(static_cast<unsigned>(std::strtoul(arguments[i], nullptr, 10)));
    }
    for (const unsigned n_bits : lengths) {
        for (const std::string& kind : kinds()) {
            for (const std::size_t n : {1, 2, 33, 3000}) {
                Random random(n_bits * 1000003 + n);
                Case one;
                one.name = kind + ", " + std::to_string(n) + " codes of " + std::to_string(n_bits) + " bits";
                one.database = make_database(kind, n, n_bits, random);
                one.queries = make_queries(one.database, kQueries, random);
                one.segments = build(one.database, n >= 33 ? 3 : 1, 2);
                for (std::size_t q = 0; q < kQueries; ++q) {
                    one.expected.push_back(naive_scan(one.database, one.queries.data() + q * (n_bits / 8)));
                }
                check_case(one);
            }
        }
    }
    return verdict();
}
