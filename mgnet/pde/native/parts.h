// Work on long arrays in parts that are the same whatever the number of threads, and so are sums over them.
#pragma once
#include <algorithm>

#include "pool.h"

namespace mgnet {

constexpr long PART = 1 << 15;  // numbers that a task works on, about

inline long parts_of(long count, long size) { return std::max(1L, std::min(count, count * size / PART)); }

// body(begin, end, number) for parts of [0, count), each worth `size` numbers
template <class Body>
void in_parts(long count, long size, int threads, const Body& body) {
    struct Job {
        const Body& body;
        long count, parts;
    };
    const long parts = parts_of(count, size);
    Job job{body, count, parts};
    run(
        parts, threads,
        [](void* at, long k, int) {
            const Job& job = *static_cast<Job*>(at);
            job.body(k * job.count / job.parts, (k + 1) * job.count / job.parts, k);
        },
        &job);
}

}  // namespace mgnet
