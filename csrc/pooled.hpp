// Working memory that outlives the threads which use it.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace hashnet {

/// Borrows a T from those that are free, or makes one, and returns it at the end of its life. What a T holds
/// is warm: the threads of a batch live for that batch only, and touching new memory took them longer than
/// easy queries.
template <class T>
class Pooled {
  public:
    Pooled() : held_(pool().take()) {}
    ~Pooled() { pool().put(std::move(held_)); }
    Pooled(const Pooled&) = delete;
    Pooled& operator=(const Pooled&) = delete;

    T& operator*() const { return *held_; }
    T* operator->() const { return held_.get(); }

  private:
    class Pool {
      public:
        std::unique_ptr<T> take() {
            {
                const std::lock_guard<std::mutex> hold(mutex_);
                if (!free_.empty()) {
                    std::unique_ptr<T> one = std::move(free_.back());
                    free_.pop_back();
                    return one;
                }
            }
            return std::make_unique<T>();
        }

        void put(std::unique_ptr<T> one) noexcept {
            const std::lock_guard<std::mutex> hold(mutex_);
            // Within the reserve, so that nothing can throw.
            if (free_.size() < kMost) free_.push_back(std::move(one));
        }

        Pool() { free_.reserve(kMost); }

      private:
        static constexpr std::size_t kMost = 64;

        std::mutex mutex_;
        std::vector<std::unique_ptr<T>> free_;
    };

    // Never destroyed: a thread may end after the statics of the program have.
    static Pool& pool() {
        static Pool* const all = new Pool;
        return *all;
    }

    std::unique_ptr<T> held_;
};

}  // namespace hashnet
