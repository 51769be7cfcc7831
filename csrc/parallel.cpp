#include "parallel.hpp"

#include <condition_variable>
#include <deque>
#include <system_error>
#include <thread>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace hashnet {

namespace {

/// What the caller of with_helpers waits for.
struct Job {
    const std::function<void()>* help;
    std::size_t wanted;
    std::size_t active = 0;
};

/// Threads that wait for jobs. There are as many as were ever wanted at once.
class Helpers {
  public:
    void run(std::size_t helpers, const std::function<void()>& help, const std::function<void()>& own) {
        Job job{&help, helpers};
        {
            const std::lock_guard<std::mutex> hold(mutex_);
            jobs_.push_back(&job);
            wanted_ += helpers;
            while (threads_ < wanted_ && add_thread()) {
            }
        }
        for (std::size_t i = 0; i < helpers; ++i) work_there_.notify_one();
        own();
        std::unique_lock<std::mutex> hold(mutex_);
        wanted_ -= helpers;
        // Who has not begun by now is not needed.
        const auto at = std::find(jobs_.begin(), jobs_.end(), &job);
        if (at != jobs_.end()) jobs_.erase(at);
        job_done_.wait(hold, [&] { return job.active == 0; });
    }

  private:
    bool add_thread() {
        try {
            std::thread([this] { serve(); }).detach();
        } catch (const std::system_error&) {
            return false;  // No more threads to be had: the ones that run do the work.
        }
        ++threads_;
        return true;
    }

    [[noreturn]] void serve() {
        std::unique_lock<std::mutex> hold(mutex_);
        for (;;) {
            work_there_.wait(hold, [&] { return !jobs_.empty(); });
            Job& job = *jobs_.front();
            if (--job.wanted == 0) jobs_.pop_front();
            ++job.active;
            hold.unlock();
            (*job.help)();
            hold.lock();
            if (--job.active == 0) job_done_.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable work_there_;
    std::condition_variable job_done_;
    std::deque<Job*> jobs_;
    std::size_t threads_ = 0;
    std::size_t wanted_ = 0;
};

// Never destroyed: its threads wait until the process ends.
Helpers* all_helpers = nullptr;

Helpers& helpers_of_this_process() {
    static const bool made = [] {
        all_helpers = new Helpers;
#if defined(__unix__) || defined(__APPLE__)
        // A child of fork has none of the threads, and perhaps a locked mutex.
        ::pthread_atfork(nullptr, nullptr, [] { all_helpers = new Helpers; });
#endif
        return true;
    }();
    static_cast<void>(made);
    return *all_helpers;
}

}  // namespace

void with_helpers(std::size_t helpers, const std::function<void()>& help, const std::function<void()>& own) {
    if (helpers == 0) {
        own();
        return;
    }
    helpers_of_this_process().run(helpers, help, own);
}

}  // namespace hashnet
