// Bytes of a segment file altered at random: opening it fails, or searches end without a fault.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"
#include "database.hpp"
#include "search/searcher.hpp"
#include "storage/image.hpp"

namespace hashnet::testing {

namespace {

constexpr int kTrials = 120;

Image image_of(const std::vector<std::uint8_t>& bytes) {
    Image image = Image::allocate(bytes.size());
    std::copy(bytes.begin(), bytes.end(), image.mutable_data());
    return image;
}

/// Ids of some answers, for what could be opened.
std::vector<std::int64_t> search(const std::vector<std::uint8_t>& bytes, Verify verify, CodesView queries) {
    const Searcher searcher({std::make_shared<const Segment>(image_of(bytes), verify)});
    std::vector<std::int64_t> found;
    for (const unsigned radius : {0U, queries.n_bits / 16, queries.n_bits / 4}) {
        const BallArrays balls = searcher.balls(queries, radius, 1);
        found.insert(found.end(), balls.hits.ids.get(), balls.hits.ids.get() + balls.hits.size);
    }
    std::vector<std::int32_t> distances(queries.n * 10);
    std::vector<std::int64_t> ids(queries.n * 10);
    searcher.nearest(queries, 10, nullptr, 1, distances.data(), ids.data());
    found.insert(found.end(), ids.begin(), ids.end());
    return found;
}

void damage(const std::string& kind, unsigned n_bits) {
    Random random(n_bits);
    const Database database = make_database(kind, 700, n_bits, random);
    const std::vector<std::uint8_t> codes = make_queries(database, 6, random);
    const CodesView queries{codes.data(), 6, n_bits};
    const std::vector<std::uint8_t> whole = build_bytes(database);
    const std::vector<std::int64_t> expected = search(whole, Verify::kAll, queries);
    int refused = 0;
    for (int trial = 0; trial < kTrials; ++trial) {
        std::vector<std::uint8_t> bytes = whole;
        // The header and the section table are checked by checksum; the sections only on request, so most
        // damage goes there.
        for (std::uint64_t hit = 0; hit <= random() % 8; ++hit) {
            bytes[random() % bytes.size()] ^= static_cast<std::uint8_t>(1 + random() % 255);
        }
        if (trial % 10 == 0) bytes.resize(random() % bytes.size() + 1);
        try {
            // Wrong answers are allowed here, faults are not.
            search(bytes, Verify::kHeader, queries);
        } catch (const DamagedSegment&) {
            ++refused;
        }
        try {
            // What passes every checksum was altered between the sections only.
            HASHNET_CHECK(search(bytes, Verify::kAll, queries) == expected,
                          kind + ", " + std::to_string(n_bits) + " bits: damage passed all checksums");
        } catch (const DamagedSegment&) {
            ++refused;
        }
    }
    HASHNET_CHECK(refused > 0, kind + ", " + std::to_string(n_bits) + " bits: nothing was refused");
}

}  // namespace

}  // namespace hashnet::testing

int main() {
    for (const unsigned n_bits : {16U, 40U, 64U, 128U}) {
        for (const char* kind : {"uniform", "repeated"}) hashnet::testing::damage(kind, n_bits);
    }
    return hashnet::testing::verdict();
}
