// Moving items to their ranges in memory from several threads, through small buffers that write whole lines.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "storage/spares.hpp"

namespace hashnet {

/// Codes, or an index made of them, did not stay the same while they were read several times.
class ChangedWhileBuilding : public std::runtime_error {
  public:
    ChangedWhileBuilding() : std::runtime_error("the codes changed while a segment was built from them") {}
};

/// Target p takes exactly as many items as it was announced, in the order in which threads deliver them.
template <class Item>
class Scatter {
  public:
    /// Items that one buffer holds: about 256 bytes, so that the buffers of 2,048 targets lie in the
    /// second-level cache.
    static constexpr std::uint32_t kBuffered = 256 / sizeof(Item);

    /// Target p is items [starts[p], starts[p + 1]) from `items` on.
    Scatter(Item* items, const std::vector<std::uint64_t>& starts)
        : items_(items), starts_(starts), cursors_(new std::atomic<std::uint64_t>[starts.size() - 1]) {
        for (std::size_t p = 0; p + 1 < starts.size(); ++p) cursors_[p].store(starts[p]);
    }

    /// The buffers of one thread. Everything is delivered after flush().
    class Lane {
      public:
        explicit Lane(Scatter& scatter)
            : scatter_(&scatter),
              counts_(scatter.starts_.size() - 1),
              buffers_((scatter.starts_.size() - 1) * kBuffered) {}

        void add(std::size_t target, const Item& item) {
            Item* buffer = buffers_.data() + target * kBuffered;
            buffer[counts_[target]] = item;
            if (++counts_[target] == kBuffered) {
                scatter_->deliver(target, buffer, kBuffered);
                counts_[target] = 0;
            }
        }

        void flush() {
            for (std::size_t target = 0; target < counts_.size(); ++target) {
                if (counts_[target] == 0) continue;
                scatter_->deliver(target, buffers_.data() + target * kBuffered, counts_[target]);
                counts_[target] = 0;
            }
        }

      private:
        Scatter* scatter_;
        std::vector<std::uint32_t> counts_;
        std::vector<Item> buffers_;
    };

    /// Lends the calling thread a lane and flushes it when `work(lane)` returns.
    template <class Work>
    void with_lane(Work&& work) {
        std::unique_ptr<Lane> lane = lanes_.borrow([&] { return std::make_unique<Lane>(*this); });
        work(*lane);
        lane->flush();
        lanes_.give_back(std::move(lane));
    }

    /// Throws ChangedWhileBuilding unless every target got all its items.
    void require_full() const {
        for (std::size_t p = 0; p + 1 < starts_.size(); ++p) {
            if (cursors_[p].load() != starts_[p + 1]) throw ChangedWhileBuilding();
        }
    }

  private:
    void deliver(std::size_t target, const Item* items, std::uint32_t count) {
        const std::uint64_t at = cursors_[target].fetch_add(count, std::memory_order_relaxed);
        if (at + count > starts_[target + 1]) throw ChangedWhileBuilding();
        std::copy_n(items, count, items_ + at);
    }

    Item* items_;
    const std::vector<std::uint64_t>& starts_;
    std::unique_ptr<std::atomic<std::uint64_t>[]> cursors_;
    Spares<Lane> lanes_;
};

}  // namespace hashnet
