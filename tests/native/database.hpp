// Seeded codes of every awkward character, their segments, and the naive scan that everyone can read.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "codes.hpp"
#include "search/collector.hpp"
#include "storage/segment.hpp"

namespace hashnet::testing {

using Random = std::mt19937_64;
using Segments = std::vector<std::shared_ptr<const Segment>>;

struct Database {
    unsigned n_bits = 0;
    std::vector<std::uint8_t> codes;
    std::vector<std::int64_t> ids;

    std::size_t n() const { return ids.size(); }
    CodesView view() const { return {codes.data(), n(), n_bits}; }
};

/// "uniform"; "clustered" around few centres; "repeated": few distinct codes; "equal": one; "two": two codes
/// far apart and what is near them; "skewed": bits of very unequal balance; "narrow": codes that differ in
/// their last byte only, so that one bucket of all other substrings holds everything.
const std::vector<std::string>& kinds();

/// `n` codes of a kind, with distinct ids in no order.
Database make_database(const std::string& kind, std::size_t n, unsigned n_bits, Random& random);

/// Codes of the database, codes near one, and codes anywhere.
std::vector<std::uint8_t> make_queries(const Database& database, std::size_t nq, Random& random);

/// Segments of equal size that together hold the database.
Segments build(const Database& database, std::size_t n_segments, unsigned threads);

/// The bytes of the one segment that holds the database.
std::vector<std::uint8_t> build_bytes(const Database& database);

/// Every row with its distance to `query`, ascending (distance, id).
std::vector<Hit> naive_scan(const Database& database, const std::uint8_t* query);

}  // namespace hashnet::testing
