// Helper threads that wait for work, and sleep when there is none.
#pragma once

namespace mgnet {

// One piece of work: task `number` of a job, done by worker `who` (0 is the caller).
using Task = void (*)(void* job, long number, int who);

// Runs tasks 0, 1, ..., tasks - 1 on at most `crew` threads, the caller among them; returns when all are done.
// Everybody begins with a share of their own, the same for every job of as many tasks, whose data their caches may
// still hold, and goes on with what others have not begun. What a task throws, the caller does when all are done. A
// second caller at the same time works alone, so any number of threads may solve; a forked child starts helpers of its
// own.
void run(long tasks, int crew, Task task, void* job);

// The same of work(number, who).
template <class Work>
void run(long tasks, int crew, const Work& work) {
    const Task task = [](void* job, long number, int who) { (*static_cast<const Work*>(job))(number, who); };
    run(tasks, crew, task, const_cast<Work*>(&work));
}

constexpr int MOST_WORKERS = 256;

}  // namespace mgnet
