// What couples a row's unknowns to others, in padded fields (stencil.h): sums of s_o v_{i+o}, some vectors side by side.
#pragma once
#include "simd.h"
#include "stencil.h"

namespace mgnet {

// Two rows opposite each other, and where the couplings to them begin: those to the row ahead are stored with this
// row's unknowns, those to the row behind with its own.
template <class T>
struct Opposite {
    const T *s_ahead, *ahead, *s_behind, *behind;
};

constexpr int OPPOSITES[] = {1, 1, 2, 4, 4};    // of FIVE, NINE, SEVEN, TWENTY_SEVEN, NINETEEN points
constexpr int DIAGONALS[] = {0, 1, 0, 4, 2};    // of how many of them, the first ones, three unknowns are coupled

// A row that a stencil is applied to.
template <class T>
struct StencilRow {
    const T *v, *f, *s;  // values, data, couplings along the row
    Opposite<T> opposite[4];
    long between;  // numbers from one coupling to the next
    T *out, *copy;  // copy may be 0
};

template <class X>
struct Couplings {
    using T = typename X::T;
    using V = typename X::V;
    static constexpr long W = X::W;

    // sum[k] = what is coupled along the row, at the k-th vector from number i on
    template <int U>
    static inline __attribute__((always_inline)) void along(const StencilRow<T>& r, long i, V (&sum)[U]) {
#pragma GCC unroll 4
        for (int k = 0; k < U; k++) {
            const T *s = r.s + i + k * W, *v = r.v + i + k * W;
            sum[k] = X::load(s) * X::load(v + 1) + X::load(s - 1) * X::load(v - 1);
        }
    }

    // sum[k] += what is coupled on all other rows, but those of one number
    template <int P, int But, int U>
    static inline __attribute__((always_inline)) void across(const StencilRow<T>& r, long i, V (&sum)[U]) {
        const long h = r.between;
        // by number where there are few, so that the addresses stay in registers
        if constexpr (OPPOSITES[P] <= 2) {
            if constexpr (But != 0) beside<(DIAGONALS[P] > 0), true>(r.opposite[0], h, i, sum);
            if constexpr (But != 1 && OPPOSITES[P] == 2) beside<false, true>(r.opposite[1], h, i, sum);
        } else {
#pragma GCC unroll 4
            for (int m = 0; m < DIAGONALS[P]; m++)
                if (m != But) beside<true, true>(r.opposite[m], h, i, sum);
#pragma GCC unroll 4
            for (int m = DIAGONALS[P]; m < OPPOSITES[P]; m++) beside<false, true>(r.opposite[m], h, i, sum);
        }
    }

    // sum[k] += what is coupled on two rows opposite each other: right ahead and behind, and diagonally
    template <bool Diagonals, bool Straight, int U>
    static inline __attribute__((always_inline)) void beside(const Opposite<T>& o, long h, long i, V (&sum)[U]) {
#pragma GCC unroll 4
        for (int k = 0; k < U; k++) {
            const long j = i + k * W;
            const T *s = o.s_ahead + j, *v = o.ahead + j, *q = o.s_behind + j, *u = o.behind + j;
            if constexpr (Diagonals && Straight) {
                sum[k] += X::load(s) * X::load(v - 1) + X::load(s + h) * X::load(v);
                sum[k] += X::load(s + 2 * h) * X::load(v + 1) + X::load(q + 1) * X::load(u + 1);
                sum[k] += X::load(q + h) * X::load(u) + X::load(q + 2 * h - 1) * X::load(u - 1);
            } else if constexpr (Diagonals) {
                sum[k] += X::load(s) * X::load(v - 1) + X::load(s + 2 * h) * X::load(v + 1);
                sum[k] += X::load(q + 1) * X::load(u + 1) + X::load(q + 2 * h - 1) * X::load(u - 1);
            } else {
                sum[k] += X::load(s) * X::load(v) + X::load(q) * X::load(u);
            }
        }
    }
};

}  // namespace mgnet
