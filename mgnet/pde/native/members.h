// The members of a batch on their way through the grids.
#pragma once
#include "pool.h"

namespace mgnet {

struct Member {
    long b;
    int who, crew;  // whose workspace and lane, and how many threads work on it
};

// body(member) for all of the batch: `apart`, several at once, or one after the other with all threads on each
template <class Body>
void each_member(long batch, int crew, bool apart, const Body& body) {
    struct Job {
        const Body* body;
    } job{&body};
    if (apart) {
        run(
            batch, crew, [](void* job, long b, int who) { (*static_cast<Job*>(job)->body)(Member{b, who, 1}); }, &job);
        return;
    }
    for (long b = 0; b < batch; b++) body(Member{b, 0, crew});
}

// body(task, workspace) for a member's tasks, by so many threads, of which each has a workspace
template <class T, class Body>
void share(Member m, long tasks, int threads, T* const* spaces, const Body& body) {
    struct Job {
        const Body* body;
        T* const* spaces;
        int who;
    } job{&body, spaces, m.who};
    run(
        tasks, threads,
        [](void* at, long number, int who) {
            const Job& job = *static_cast<Job*>(at);
            (*job.body)(number, job.spaces[job.who + who]);
        },
        &job);
}

}  // namespace mgnet
