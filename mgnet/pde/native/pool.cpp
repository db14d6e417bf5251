#include "pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#ifndef _WIN32
#include <pthread.h>
#endif

#include "relax.h"

namespace mgnet {
namespace {

constexpr int LOOKS = 2000;           // at the board before a waiting thread lets others run, some microseconds
constexpr long PATIENCE_US = 1000;    // after which it goes to sleep
constexpr long MOST_TASKS = 1 << 16;  // beyond it several tasks are claimed at once

// The board: what is to be done. Jobs are numbered; while `gate` is odd none is open.
class Pool {
  public:
    void run(long tasks, int crew, Task task, void* job) {
        if (crew <= 1 || tasks <= 1 || !busy_.try_lock()) {
            for (long t = 0; t < tasks; t++) task(job, t, 0);
            return;
        }
        wake(std::min<long>(crew, MOST_WORKERS) - 1);
        tasks_ = tasks, crew_ = crew, task_ = task, job_ = job;
        pieces_ = std::min(tasks, MOST_TASKS), failed_ = false;
        if (static_cast<long>(claims_.size()) < pieces_) claims_ = std::vector<std::atomic<char>>(pieces_);
        for (long k = 0; k < pieces_; k++) claims_[k].store(0, std::memory_order_relaxed);
        gate_.fetch_add(1);
        work(0);
        gate_.fetch_add(1);
        for (long looks = 0; inside_.load() > 0; looks++) {
            relax();
            if (looks % LOOKS == LOOKS - 1) std::this_thread::yield();  // a helper may wait for this very processor
        }
        const std::exception_ptr failure = failed_ ? std::move(failure_) : nullptr;
        busy_.unlock();
        if (failure) std::rethrow_exception(failure);
    }

  private:
    void wake(int helpers) {
        while (helpers_ < helpers) {
            const int who = ++helpers_;
            std::thread([this, who] { help(who); }).detach();
        }
        if (asleep_.load() > 0) {
            std::lock_guard<std::mutex> hold(bed_);
            bell_++;
            alarm_.notify_all();
        }
    }

    void work(int who) {
        const long begin = static_cast<long>(who) * pieces_ / crew_;
        for (long k = 0; k < pieces_; k++) {
            const long piece = begin + k < pieces_ ? begin + k : begin + k - pieces_;
            if (claims_[piece].load(std::memory_order_relaxed) || claims_[piece].exchange(1)) continue;
            for (long t = piece * tasks_ / pieces_; t < (piece + 1) * tasks_ / pieces_; t++) attempt(t, who);
        }
    }

    // What is thrown, as where memory is short, may not leave a thread; the caller throws the first of it.
    void attempt(long t, int who) {
        try {
            task_(job_, t, who);
        } catch (...) {
            if (!failed_.exchange(true)) failure_ = std::current_exception();
        }
    }

    void help(int who) {
        for (;;) {
            wait_and_work(who);
            std::unique_lock<std::mutex> hold(bed_);
            asleep_.fetch_add(1);
            const long heard = bell_;
            if (gate_.load() % 2 == 1) alarm_.wait(hold, [&] { return bell_ != heard; });
            asleep_.fetch_sub(1);
        }
    }

    // Helps with every job that opens; returns after a while without one.
    void wait_and_work(int who) {
        long last = 0;
        auto idle = std::chrono::steady_clock::now();
        for (long looks = 1;; looks++) {
            if (gate_.load() % 2 == 0) {
                inside_.fetch_add(1);
                const long gate = gate_.load();  // still open: then the board does not change while we are inside
                const bool useful = gate % 2 == 0 && gate != last && who < crew_;
                if (useful) work(who);
                inside_.fetch_sub(1);
                if (useful) last = gate, looks = 0, idle = std::chrono::steady_clock::now();
            }
            relax();
            if (looks % LOOKS == 0) {
                std::this_thread::yield();
                if (std::chrono::steady_clock::now() - idle > std::chrono::microseconds(PATIENCE_US)) return;
            }
        }
    }

    std::mutex busy_, bed_;
    std::condition_variable alarm_;
    long bell_ = 0;
    int helpers_ = 0;
    long tasks_ = 0, pieces_ = 0;
    int crew_ = 0;
    Task task_ = nullptr;
    void* job_ = nullptr;
    std::atomic<bool> failed_{false};
    std::exception_ptr failure_;
    std::vector<std::atomic<char>> claims_;
    alignas(64) std::atomic<long> gate_{1};
    alignas(64) std::atomic<int> inside_{0};
    alignas(64) std::atomic<int> asleep_{0};
};

Pool* pool = nullptr;
std::once_flag made;

void make() {
    pool = new Pool;  // never freed: helpers may look at it until the process ends
#ifndef _WIN32
    pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });  // the parent's helpers do not survive a fork
#endif
}

}  // namespace

void run(long tasks, int crew, Task task, void* job) {
    std::call_once(made, make);
    pool->run(tasks, crew, task, job);
}

}  // namespace mgnet
