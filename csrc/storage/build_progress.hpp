// How far a build has come, told to whoever waits for it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace hashnet {

/// Called with a stage of the build and how much of it is done, only from the thread that builds, and also
/// while that waits for others. Whatever it throws ends the build.
using ProgressCallback = std::function<void(const char* stage, std::uint64_t done, std::uint64_t total)>;

class BuildProgress {
  public:
    explicit BuildProgress(ProgressCallback callback) : callback_(std::move(callback)) {}

    void begin(std::string stage, std::uint64_t total) {
        stage_ = std::move(stage);
        total_ = total;
        done_.store(0, std::memory_order_relaxed);
        tell();
    }

    /// From any thread.
    void add(std::uint64_t done) { done_.fetch_add(done, std::memory_order_relaxed); }

    /// From the building thread, often; it is cheap.
    void poll() {
        if (Clock::now() >= next_) tell();
    }

  private:
    using Clock = std::chrono::steady_clock;

    void tell() {
        next_ = Clock::now() + std::chrono::milliseconds(100);
        const std::uint64_t done = done_.load(std::memory_order_relaxed);
        if (callback_) callback_(stage_.c_str(), done < total_ ? done : total_, total_);
    }

    ProgressCallback callback_;
    std::string stage_;
    std::uint64_t total_ = 0;
    std::atomic<std::uint64_t> done_{0};
    Clock::time_point next_{};
};

}  // namespace hashnet
