// Many threads ask one searcher at once, each on threads of its own, while segments are built beside them.

#include <algorithm>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "database.hpp"
#include "search/flat.hpp"
#include "search/searcher.hpp"

namespace hashnet::testing {

namespace {

constexpr std::size_t kAskers = 4;
constexpr std::size_t kQueries = 40;
constexpr std::size_t kNearest = 20;

struct Answers {
    BallArrays balls;
    std::vector<std::int32_t> distances = std::vector<std::int32_t>(kQueries * kNearest);
    std::vector<std::int64_t> ids = std::vector<std::int64_t>(kQueries * kNearest);
    std::vector<std::int64_t> counts = std::vector<std::int64_t>(kQueries);
};

bool same(const HitArrays& one, const HitArrays& other) {
    return one.size == other.size && std::equal(one.ids.get(), one.ids.get() + one.size, other.ids.get()) &&
           std::equal(one.distances.get(), one.distances.get() + one.size, other.distances.get());
}

Answers ask(const Searcher& searcher, CodesView queries, unsigned radius, unsigned threads) {
    Answers answers;
    answers.balls = searcher.balls(queries, radius, threads);
    searcher.nearest(queries, kNearest, nullptr, threads, answers.distances.data(), answers.ids.data());
    searcher.count(queries, radius, threads, answers.counts.data());
    searcher.explain(queries.data, queries.n_bits, 0, radius, Policy::kAuto);
    return answers;
}

void check_equal(const Answers& one, const Answers& other, const std::string& about) {
    HASHNET_CHECK(one.balls.offsets == other.balls.offsets, about);
    HASHNET_CHECK(same(one.balls.hits, other.balls.hits), about);
    HASHNET_CHECK(one.distances == other.distances, about);
    HASHNET_CHECK(one.ids == other.ids, about);
    HASHNET_CHECK(one.counts == other.counts, about);
}

void check_concurrent(const std::string& kind, unsigned n_bits) {
    const std::string about = kind + ", " + std::to_string(n_bits) + " bits";
    Random random(n_bits);
    const Database database = make_database(kind, 6000, n_bits, random);
    const std::vector<std::uint8_t> codes = make_queries(database, kQueries, random);
    const CodesView queries{codes.data(), kQueries, n_bits};
    const unsigned radius = n_bits / 10;
    const Searcher searcher(build(database, 3, 1));
    const Answers expected = ask(searcher, queries, radius, 1);
    std::vector<std::thread> askers;
    askers.reserve(kAskers);
    for (std::size_t i = 0; i < kAskers; ++i) {
        askers.emplace_back([&, i] {
            for (unsigned round = 0; round < 3; ++round) {
                const auto threads = static_cast<unsigned>(1 + (i + round) % 3);
                check_equal(ask(searcher, queries, radius, threads), expected, about);
            }
        });
    }
    // A builder on several threads beside them shares nothing with them but the kernels' choice.
    const Searcher built_beside(build(database, 2, 3));
    for (std::thread& asker : askers) asker.join();
    check_equal(ask(built_beside, queries, radius, 2), expected, about);

    const FlatCodes flat(database.view());
    const BallArrays alone = flat.balls(queries, radius, 1);
    const BallArrays together = flat.balls(queries, radius, 3);
    HASHNET_CHECK(same(alone.hits, together.hits), about);
}

}  // namespace

}  // namespace hashnet::testing

int main() {
    for (const unsigned n_bits : {16U, 48U, 64U, 128U, 256U}) {
        for (const char* kind : {"uniform", "clustered", "repeated"}) {
            hashnet::testing::check_concurrent(kind, n_bits);
        }
    }
    return hashnet::testing::verdict();
}
