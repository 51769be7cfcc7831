#include "search/merging.hpp"

#include <algorithm>
#include <utility>

namespace hashnet {

namespace {

bool precedes(const Found& a, const Found& b) {
    return *a.distances != *b.distances ? *a.distances < *b.distances : *a.ids < *b.ids;
}

}  // namespace

// Most of the time the next one comes from the part of the last, so its head sinks from the top instead of
// being taken out and put in again.
void Merger::sink(std::size_t at) {
    for (;;) {
        std::size_t least = 2 * at + 1;
        if (least >= heads_.size()) return;
        if (least + 1 < heads_.size() && precedes(heads_[least + 1], heads_[least])) ++least;
        if (!precedes(heads_[least], heads_[at])) return;
        std::swap(heads_[at], heads_[least]);
        at = least;
    }
}

std::size_t Merger::merge(std::size_t limit, std::int32_t* distances, std::int64_t* ids) {
    for (std::size_t at = heads_.size() / 2; at-- > 0;) sink(at);
    std::size_t n = 0;
    while (n < limit && heads_.size() > 1) {
        Found& head = heads_.front();
        distances[n] = *head.distances++;
        ids[n++] = *head.ids++;
        if (--head.n == 0) {
            head = heads_.back();
            heads_.pop_back();
        }
        sink(0);
    }
    if (n < limit && !heads_.empty()) {
        const Found& rest = heads_.front();
        const std::size_t count = std::min(limit - n, rest.n);
        std::copy_n(rest.distances, count, distances + n);
        std::copy_n(rest.ids, count, ids + n);
        n += count;
    }
    heads_.clear();
    return n;
}

}  // namespace hashnet
