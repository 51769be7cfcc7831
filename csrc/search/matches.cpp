// What SegmentSearch does with a match: telling the bound, finding its rows, reading their ids.
#include <algorithm>
#include <array>

#include "codes.hpp"
#include "search/entries.hpp"
#include "search/segment_search.hpp"

namespace hashnet {

namespace {

// Matches whose cache misses overlap while they are located and their ids read.
constexpr std::size_t kTogether = 64;

// Matches that a count or a scan keeps before it puts them away.
constexpr std::size_t kCountTogether = 4096;

}  // namespace

void SegmentSearch::add(Query& query, std::uint64_t code, std::uint32_t position, unsigned distance) {
    query.bound->tell(distance, 1);
    if (query.hits == nullptr && !segment_->has_runs()) {
        ++query.rows_counted;
        ++query.counters->matches;
        return;
    }
    query.matches.push_back({code, position, distance});
    if (query.hits == nullptr && query.matches.size() >= kCountTogether) count_matches(query);
}

// Tells the bound of the other rows of the runs that were met, now that the round is over (see
// Planner::tells_runs).
void SegmentSearch::settle(Query& query) {
    if (query.bound->k() == 0) return;
    if (!planner_->tells_runs()) {
        query.settled = query.matches.size();
        return;
    }
    auto begin = query.matches.begin() + static_cast<std::ptrdiff_t>(query.settled);
    const auto beyond = [&](const Match& match) { return match.distance > query.bound->value(); };
    query.matches.erase(std::remove_if(begin, query.matches.end(), beyond), query.matches.end());
    Match* first = query.matches.data() + query.settled;
    Match* last = query.matches.data() + query.matches.size();
    locate(first, last);
    for (const Match* match = first; match < last; ++match) {
        const Run run = segment_->run_at(match->position);
        query.bound->tell(match->distance, run.last - run.first - 1);
    }
    query.settled = query.matches.size();
}

// What lies beyond `distance` will be found again by a scan, and telling the two apart would cost more.
void SegmentSearch::forget(Query& query, int distance) const {
    const auto again = [&](const Match& match) {
        if (static_cast<int>(match.distance) <= distance) return false;
        const Run run = planner_->tells_runs() ? segment_->run_at(match.position) : Run{0, 1};
        query.bound->take_back(match.distance, run.last - run.first);
        return true;
    };
    query.matches.erase(std::remove_if(query.matches.begin(), query.matches.end(), again),
                        query.matches.end());
    query.settled = query.matches.size();
}

// Between the chunks of a scan: keeps the matches few, and the bound as low as it can be.
void SegmentSearch::put_away(Query& query) {
    if (query.bound->k() == 0) {
        if (query.hits != nullptr && query.matches.size() >= kCountTogether) emit_hits(query);
        return;
    }
    if (query.matches.size() == query.settled) return;
    settle(query);
    if (query.matches.size() < query.prune_at) return;
    const auto beyond = [&](const Match& match) { return match.distance > query.bound->value(); };
    query.matches.erase(std::remove_if(query.matches.begin(), query.matches.end(), beyond),
                        query.matches.end());
    query.settled = query.matches.size();
    query.prune_at = 2 * query.matches.size() + kCountTogether;
}

// In passes over a few matches at a time, so that their misses overlap.
void SegmentSearch::locate(Match* first, Match* last) const {
    if (segment_->residue_form()) {
        const Table& table = segment_->tables()[0];
        const std::size_t bytes = block_bytes(table);
        const auto cell_of = [&](const Match& match) {
            return table.directory + (match.code >> (64 - table.layout.directory_bits));
        };
        for (Match* part = first; part < last; part += std::min<std::ptrdiff_t>(kTogether, last - part)) {
            Match* stop = part + std::min<std::ptrdiff_t>(kTogether, last - part);
            for (Match* match = part; match < stop; ++match) {
                if (match->position == kNotLocated) prefetch(cell_of(*match));
            }
            for (Match* match = part; match < stop; ++match) {
                if (match->position != kNotLocated) continue;
                const std::uint32_t* cell = cell_of(*match);
                // The cells of table 0 hold a few codes, so one or two blocks.
                const std::uint8_t* block = table.blocks + cell[0] / kBlockEntries * bytes;
                const std::size_t blocks = cell[1] / kBlockEntries == cell[0] / kBlockEntries ? 1 : 2;
                for (std::size_t line = 0; line < blocks * bytes; line += 64) prefetch(block + line);
            }
            for (Match* match = part; match < stop; ++match) {
                if (match->position == kNotLocated) match->position = position_of(match->code);
            }
        }
    }
    if (segment_->has_runs()) {
        for (const Match* match = first; match < last; ++match)
            prefetch(segment_->run_address(match->position));
        for (const Match* match = first; match < last; ++match) {
            prefetch(segment_->next_run_address(match->position));
        }
    }
}

std::uint32_t SegmentSearch::position_of(std::uint64_t code) const {
    const Table& table = segment_->tables()[0];
    const std::uint32_t* cell = table.directory + (code >> (64 - table.layout.directory_bits));
    const std::uint32_t end = std::min(cell[1], segment_->n_distinct());
    const std::uint32_t begin = std::min(cell[0], end);
    const std::uint32_t found =
        find_residue_(table.blocks, table.layout.planes,
                      code << (table.layout.directory_bits - table.layout.repeated), begin, end);
    // Only where bytes were altered after they were verified.
    return std::min(found, segment_->n_distinct() - 1);
}

void SegmentSearch::count_matches(Query& query) {
    query.counters->matches += query.matches.size();
    locate(query.matches.data(), query.matches.data() + query.matches.size());
    for (const Match& match : query.matches) {
        const Run run = segment_->run_at(match.position);
        query.rows_counted += run.last - run.first;
    }
    query.matches.clear();
}

// Ids ascend within a run, so no more than its first k can be among the k nearest.
void SegmentSearch::emit_hits(Query& query) {
    const unsigned bound = query.bound->value();
    const std::uint64_t most = query.bound->k() == 0 ? ~std::uint64_t{0} : query.bound->k();
    auto& matches = query.matches;
    const auto beyond = [=](const Match& match) { return match.distance > bound; };
    matches.erase(std::remove_if(matches.begin(), matches.end(), beyond), matches.end());
    query.counters->matches += matches.size();
    for (std::size_t part = 0; part < matches.size(); part += kTogether) {
        const std::size_t stop = std::min(part + kTogether, matches.size());
        locate(matches.data() + part, matches.data() + stop);
        std::array<Run, kTogether> runs;
        for (std::size_t i = part; i < stop; ++i) {
            runs[i - part] = segment_->run_at(matches[i].position);
            prefetch(segment_->id_address(runs[i - part].first));
        }
        for (std::size_t i = part; i < stop; ++i) {
            const Run run = runs[i - part];
            const auto rows = static_cast<std::uint32_t>(std::min<std::uint64_t>(run.last - run.first, most));
            for (std::uint32_t row = run.first; row < run.first + rows; ++row) {
                query.hits->push_back({matches[i].distance, segment_->id_at(row)});
            }
        }
    }
    matches.clear();
}

}  // namespace hashnet
