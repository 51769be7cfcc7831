// The permutation of dimensions and its choice: C++ tests, run by ctest.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <vector>

#include "codes.hpp"
#include "storage/bit_order.hpp"
#include "storage/layout.hpp"

using hashnet::BitOrder;
using hashnet::Layout;

namespace {

int failures = 0;

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            std::printf("%s:%d: not %s\n", __FILE__, __LINE__, #condition); \
            ++failures;                                                     \
        }                                                                   \
    } while (false)

using Codes = std::vector<std::uint64_t>;

bool bit_of(const std::uint64_t* code, unsigned i) {
    return code[i / 64] >> (63 - i % 64) & 1;
}

void set_bit(std::uint64_t* code, unsigned i) {
    code[i / 64] |= std::uint64_t{1} << (63 - i % 64);
}

std::vector<std::uint16_t> shuffled(unsigned n_bits, std::mt19937_64& random) {
    std::vector<std::uint16_t> order = BitOrder::identity(n_bits).order();
    std::shuffle(order.begin(), order.end(), random);
    return order;
}

// Codes whose bit i is latent i % n_latents, turned with chance `noise`, 1 with chance `ones`.
Codes dependent_codes(std::size_t n, unsigned n_bits, unsigned n_latents, double noise, double ones) {
    std::mt19937_64 random(7);
    std::bernoulli_distribution turned(noise);
    std::bernoulli_distribution one(ones);
    const unsigned n_words = hashnet::words_for(n_bits);
    Codes codes(n * n_words);
    std::vector<bool> latents(n_latents);
    for (std::size_t c = 0; c < n; ++c) {
        for (unsigned i = 0; i < n_latents; ++i) latents[i] = one(random);
        for (unsigned i = 0; i < n_bits; ++i) {
            // Neighbouring bits share a latent, as neighbouring pixels do.
            if (latents[i * n_latents / n_bits] != turned(random)) set_bit(codes.data() + c * n_words, i);
        }
    }
    return codes;
}

Codes uniform_codes(std::size_t n, unsigned n_bits) {
    return dependent_codes(n, n_bits, n_bits, 0.5, 0.5);
}

// Random centres, every bit flipped with p = 0.1.
Codes clustered_codes(std::size_t n, unsigned n_bits, std::size_t n_centres) {
    std::mt19937_64 random(8);
    std::bernoulli_distribution turned(0.1);
    const Codes centres = uniform_codes(n_centres, n_bits);
    const unsigned n_words = hashnet::words_for(n_bits);
    Codes codes(n * n_words);
    for (std::size_t c = 0; c < n; ++c) {
        const std::uint64_t* centre = centres.data() + random() % n_centres * n_words;
        for (unsigned i = 0; i < n_bits; ++i) {
            if (bit_of(centre, i) != turned(random)) set_bit(codes.data() + c * n_words, i);
        }
    }
    return codes;
}

// Pairs that agree on a whole substring of the layout.
std::size_t pairs_in_a_bucket(const Codes& codes, const BitOrder& order, const Layout& layout) {
    const unsigned n_words = hashnet::words_for(order.n_bits());
    Codes moved(codes.size());
    for (std::size_t c = 0; c < codes.size(); c += n_words) order.to_internal(&codes[c], &moved[c]);
    std::size_t pairs = 0;
    for (const hashnet::TableLayout& table : layout.tables) {
        std::vector<std::uint64_t> keys;
        for (std::size_t c = 0; c < codes.size(); c += n_words) {
            keys.push_back(hashnet::bits_at(&moved[c], table.start, table.substring_bits));
        }
        std::sort(keys.begin(), keys.end());
        for (std::size_t first = 0, last = 0; first < keys.size(); first = last) {
            while (last < keys.size() && keys[last] == keys[first]) ++last;
            pairs += (last - first) * (last - first - 1) / 2;
        }
    }
    return pairs;
}

Layout disjoint(unsigned n_bits, unsigned n_tables, unsigned substring_bits) {
    Layout layout;
    layout.residue_form = n_bits <= 64;
    for (unsigned j = 0; j < n_tables; ++j) {
        hashnet::TableLayout table;
        table.start = j * substring_bits;
        table.substring_bits = table.directory_bits = substring_bits;
        layout.tables.push_back(table);
    }
    return layout;
}

BitOrder choose(const Codes& codes, unsigned n_bits, const Layout& layout) {
    return hashnet::choose_bit_order(codes.data(), codes.size() / hashnet::words_for(n_bits), n_bits, layout);
}

void internal_bit_is_the_dimension_that_the_order_names() {
    std::mt19937_64 random(1);
    for (const unsigned n_bits :
         {8U, 16U, 24U, 48U, 56U, 64U, 72U, 120U, 128U, 200U, 256U, 512U, 1016U, 1024U}) {
        const std::vector<std::uint16_t> permutation = shuffled(n_bits, random);
        const BitOrder order = BitOrder::from(permutation.data(), n_bits);
        CHECK(order.n_bits() == n_bits);
        CHECK(order.order() == permutation);
        CHECK(!order.is_identity());
        const unsigned n_words = hashnet::words_for(n_bits);
        const Codes codes = uniform_codes(20, n_bits);
        for (std::size_t c = 0; c < codes.size(); c += n_words) {
            Codes expected(n_words);
            for (unsigned i = 0; i < n_bits; ++i) {
                if (bit_of(&codes[c], permutation[i])) set_bit(expected.data(), i);
            }
            Codes internal(n_words, 1);
            Codes external(n_words, 1);
            order.to_internal(&codes[c], internal.data());
            order.to_external(internal.data(), external.data());
            CHECK(internal == expected);
            CHECK(
                std::equal(external.begin(), external.end(), codes.begin() + static_cast<std::ptrdiff_t>(c)));
        }
    }
}

void identity_copies() {
    for (const unsigned n_bits : {8U, 64U, 1024U}) {
        const BitOrder order = BitOrder::identity(n_bits);
        CHECK(order.is_identity());
        CHECK(BitOrder::from(order.order().data(), n_bits).is_identity());
        const Codes code = uniform_codes(1, n_bits);
        Codes moved(code.size());
        order.to_internal(code.data(), moved.data());
        CHECK(moved == code);
        order.to_external(code.data(), moved.data());
        CHECK(moved == code);
    }
    CHECK(BitOrder().is_identity());
    CHECK(BitOrder().n_bits() == 0);
}

void what_is_no_permutation_is_refused() {
    const auto refused = [](std::vector<std::uint16_t> order) {
        try {
            BitOrder::from(order.data(), static_cast<unsigned>(order.size()));
        } catch (const std::invalid_argument&) {
            return true;
        }
        return false;
    };
    CHECK(refused({0, 1, 2, 3, 4, 5, 6, 6}));
    CHECK(refused({0, 1, 2, 3, 4, 5, 6, 8}));
    CHECK(refused({0, 1, 2, 3, 4, 5, 6, 65535}));
    CHECK(!refused({7, 6, 5, 4, 3, 2, 1, 0}));
}

void independent_bits_stay_where_they_are() {
    for (const unsigned n_bits : {32U, 64U, 256U}) {
        const Layout layout = disjoint(n_bits, n_bits / 16, 16);
        CHECK(choose(uniform_codes(16384, n_bits), n_bits, layout).is_identity());
        CHECK(choose(clustered_codes(16384, n_bits, 1000), n_bits, layout).is_identity());
    }
}

void dependent_bits_are_parted() {
    for (const unsigned n_bits : {64U, 256U}) {
        const Layout layout = disjoint(n_bits, n_bits / 16, 16);
        const Codes codes = dependent_codes(16384, n_bits, n_bits / 4, 0.05, 0.5);
        const BitOrder order = choose(codes, n_bits, layout);
        CHECK(!order.is_identity());
        const std::size_t before = pairs_in_a_bucket(codes, BitOrder::identity(n_bits), layout);
        CHECK(10 * pairs_in_a_bucket(codes, order, layout) < before);
        CHECK(choose(codes, n_bits, layout).order() == order.order());
    }
}

void balanced_dimensions_lead_their_substring() {
    // Every fourth dimension is nearly constant, the others share latents.
    Codes codes = dependent_codes(16384, 64, 16, 0.05, 0.5);
    const Codes rare = dependent_codes(16384, 64, 64, 0.0, 0.05);
    constexpr std::uint64_t kFourth = 0x1111111111111111;
    for (std::size_t c = 0; c < codes.size(); ++c) codes[c] = (codes[c] & ~kFourth) | (rare[c] & kFourth);
    const BitOrder order = choose(codes, 64, disjoint(64, 4, 16));
    CHECK(!order.is_identity());
    for (unsigned j = 0; j < 4; ++j) {
        const auto first = order.order().begin() + 16 * j;
        const auto rare_one = [](std::uint16_t dim) { return dim % 4 == 3; };
        CHECK(std::none_of(first, first + 8, rare_one));
        CHECK(std::count_if(first, first + 16, rare_one) == 4);
    }
}

void slots_outside_substrings_take_the_worst_dimensions() {
    // Dimensions 0..15 are one latent; 48 of 64 slots are covered.
    Codes codes = uniform_codes(16384, 64);
    const Codes same = dependent_codes(16384, 64, 4, 0.02, 0.5);
    for (std::size_t c = 0; c < codes.size(); ++c) {
        codes[c] = (codes[c] & 0x0000ffffffffffff) | (same[c] & 0xffff000000000000);
    }
    const BitOrder order = choose(codes, 64, disjoint(64, 3, 16));
    const auto covered = order.order().begin() + 48;
    CHECK(std::count_if(order.order().begin(), covered, [](std::uint16_t dim) { return dim < 16; }) <= 3);
}

void little_to_choose_from_gives_the_identity() {
    const Codes codes = dependent_codes(16384, 64, 16, 0.05, 0.5);
    CHECK(choose(codes, 64, Layout()).is_identity());
    CHECK(choose(codes, 64, disjoint(64, 1, 16)).is_identity());
    CHECK(choose(Codes(codes.begin(), codes.begin() + 100), 64, disjoint(64, 4, 16)).is_identity());
    CHECK(choose(Codes(), 64, disjoint(64, 4, 16)).is_identity());
    CHECK(choose(Codes(16384, 5), 64, disjoint(64, 4, 16)).is_identity());
}

}  // namespace

int main() {
    internal_bit_is_the_dimension_that_the_order_names();
    identity_copies();
    what_is_no_permutation_is_refused();
    independent_bits_stay_where_they_are();
    dependent_bits_are_parted();
    balanced_dimensions_lead_their_substring();
    slots_outside_substrings_take_the_worst_dimensions();
    little_to_choose_from_gives_the_identity();
    if (failures == 0) std::puts("ok");
    return failures == 0 ? 0 : 1;
}
