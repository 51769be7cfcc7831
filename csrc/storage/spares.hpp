// Working memory that threads borrow while they are at a piece, so that there is one for each at most.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

namespace hashnet {

template <class T>
class Spares {
  public:
    /// One that was given back, or what `make()` returns, a std::unique_ptr<T>.
    template <class Make>
    std::unique_ptr<T> borrow(Make&& make) {
        {
            const std::lock_guard<std::mutex> hold(mutex_);
            if (!idle_.empty()) {
                std::unique_ptr<T> spare = std::move(idle_.back());
                idle_.pop_back();
                return spare;
            }
        }
        return make();
    }

    void give_back(std::unique_ptr<T> spare) {
        const std::lock_guard<std::mutex> hold(mutex_);
        idle_.push_back(std::move(spare));
    }

    /// All that were given back.
    const std::vector<std::unique_ptr<T>>& all() const { return idle_; }

  private:
    std::mutex mutex_;
    std::vector<std::unique_ptr<T>> idle_;
};

}  // namespace hashnet
