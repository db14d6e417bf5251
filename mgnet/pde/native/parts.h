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
    const long parts = parts_of(count, size);
    run(parts, threads, [&](long k, int) { body(k * count / parts, (k + 1) * count / parts, k); });
}

}  // namespace mgnet
