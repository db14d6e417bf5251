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
    if (apart) return run(batch, crew, [&](long b, int who) { body(Member{b, who, 1}); });
    for (long b = 0; b < batch; b++) body(Member{b, 0, crew});
}

// body(task, workspace) for a member's tasks, by so many threads, of which each has a workspace
template <class T, class Body>
void share(Member m, long tasks, int threads, T* const* spaces, const Body& body) {
    run(tasks, threads, [&](long number, int who) { body(number, spaces[m.who + who]); });
}

}  // namespace mgnet
