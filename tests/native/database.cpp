#include "database.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "storage/builder.hpp"

namespace hashnet::testing {

namespace {

void fill(std::uint8_t* bytes, std::size_t n, Random& random) {
    for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::uint8_t>(random());
}

void flip(std::uint8_t* code, unsigned n_bits, double probability, Random& random) {
    std::bernoulli_distribution coin(probability);
    for (unsigned bit = 0; bit < n_bits; ++bit) {
        if (coin(random)) code[bit / 8] = static_cast<std::uint8_t>(code[bit / 8] ^ (0x80U >> bit % 8));
    }
}

Image build_image(CodesView codes, const std::int64_t* ids, unsigned threads, std::uint64_t memory) {
    BuildOptions options;
    options.threads = threads;
    options.memory = memory;
    return build_segment(codes, RowIds{ids}, options);
}

}  // namespace

const std::vector<std::string>& kinds() {
    static const std::vector<std::string> all = {"uniform", "clustered", "repeated", "equal",
                                                 "two",     "skewed",    "narrow"};
    return all;
}

Database make_database(const std::string& kind, std::size_t n, unsigned n_bits, Random& random) {
    const std::size_t n_bytes = n_bits / 8;
    Database made{n_bits, std::vector<std::uint8_t>(n * n_bytes), std::vector<std::int64_t>(n)};
    std::size_t n_centres = 1;
    if (kind == "clustered" || kind == "repeated") n_centres = n / 50 + 1;
    if (kind == "two") n_centres = 2;
    std::vector<std::uint8_t> centres(n_centres * n_bytes);
    fill(centres.data(), centres.size(), random);
    if (kind == "two") {
        for (std::size_t i = 0; i < n_bytes; ++i) {
            centres[n_bytes + i] = static_cast<std::uint8_t>(~centres[i]);
        }
    }
    for (std::size_t row = 0; row < n; ++row) {
        std::uint8_t* code = made.codes.data() + row * n_bytes;
        const std::uint8_t* centre = centres.data() + random() % n_centres * n_bytes;
        std::copy(centre, centre + n_bytes, code);
        if (kind == "uniform") fill(code, n_bytes, random);
        if (kind == "clustered") flip(code, n_bits, 0.08, random);
        if (kind == "two") flip(code, n_bits, 0.03, random);
        if (kind == "narrow") fill(code + n_bytes - 1, 1, random);
        if (kind == "skewed") {
            for (unsigned bit = 0; bit < n_bits; ++bit) {
                if (random() % (n_bits + 16) < bit) {
                    code[bit / 8] = static_cast<std::uint8_t>(code[bit / 8] ^ (0x80U >> bit % 8));
                }
            }
        }
    }
    // Distinct, in no order, some beyond 32 bits where there are many.
    std::iota(made.ids.begin(), made.ids.end(), std::int64_t{0});
    if (n % 2 == 0) {
        for (std::int64_t& id : made.ids) id *= 3'000'000'017;
    }
    std::shuffle(made.ids.begin(), made.ids.end(), random);
    return made;
}

std::vector<std::uint8_t> make_queries(const Database& database, std::size_t nq, Random& random) {
    const std::size_t n_bytes = database.n_bits / 8;
    std::vector<std::uint8_t> queries(nq * n_bytes);
    for (std::size_t q = 0; q < nq; ++q) {
        std::uint8_t* query = queries.data() + q * n_bytes;
        const std::uint8_t* code = database.codes.data() + random() % database.n() * n_bytes;
        std::copy(code, code + n_bytes, query);
        if (q % 3 == 1) flip(query, database.n_bits, 0.05, random);
        if (q % 3 == 2) fill(query, n_bytes, random);
    }
    return queries;
}

Segments build(const Database& database, std::size_t n_segments, unsigned threads) {
    Segments segments;
    const std::size_t n = database.n();
    for (std::size_t part = 0; part < n_segments; ++part) {
        const std::size_t first = part * n / n_segments;
        const std::size_t last = (part + 1) * n / n_segments;
        if (first == last) continue;
        const CodesView rows{database.view().row(first), last - first, database.n_bits};
        // Every other one in less memory than it would like, so that it is built in several passes.
        const std::uint64_t memory = part % 2 == 0 ? 0 : std::uint64_t{1} << 16;
        segments.push_back(std::make_shared<const Segment>(
            build_image(rows, database.ids.data() + first, threads, memory), Verify::kAll));
    }
    return segments;
}

std::vector<std::uint8_t> build_bytes(const Database& database) {
    const Image image = build_image(database.view(), database.ids.data(), 1, 0);
    return {image.data(), image.data() + image.size()};
}

std::vector<Hit> naive_scan(const Database& database, const std::uint8_t* query) {
    std::vector<Hit> hits;
    const std::size_t n_bytes = database.n_bits / 8;
    for (std::size_t row = 0; row < database.n(); ++row) {
        unsigned distance = 0;
        for (std::size_t i = 0; i < n_bytes; ++i) {
            const unsigned differing = query[i] ^ database.codes[row * n_bytes + i];
            for (unsigned bit = 0; bit < 8; ++bit) distance += differing >> bit & 1U;
        }
        hits.push_back({distance, database.ids[row]});
    }
    std::sort(hits.begin(), hits.end());
    return hits;
}

}  // namespace hashnet::testing
