// Loops over a row, a vector at a time. `of` takes what loads numbers i, i + 1, ... of a row.
#pragma once
#include "simd.h"

namespace mgnet {

// out_i = of(i) for i < n; no `out`, no loop
template <class X, class Of>
inline void each(typename X::T* out, long n, const Of& of) {
    constexpr long W = X::W;
    if (!out) return;
    for (long i = 0; i < n; i += W) {
        const long left = n - i;
        if (left >= W)
            X::store(out + i, of([i](const auto* row) { return X::load(row + i); }));
        else
            X::store_some(out + i, of([i, left](const auto* row) { return X::load_some(row + i, left, row + i); }), left);
    }
}

// the sum of of(i) for i < n; `of` is 0 of zeros
template <class X, class Of>
inline double sum(long n, const Of& of) {
    typename X::V total = {};
    for (long i = 0; i < n; i += X::W)
        total += of([i, left = n - i](const auto* row) {
            return left >= X::W ? X::load(row + i) : X::load_some(row + i, left, row + i);
        });
    return X::sum(total);
}

}  // namespace mgnet
