// The rows that a stencil couples with one another, wherever they lie.
#pragma once
#include "stencil_rows.h"

namespace mgnet {

// A plane of rows: row j begins at `at` + j stride, wrapped around if it lies in memory; `at` is 0 beyond an end.
template <class T>
struct Plane {
    const T* at;
    bool memory;
};

// X: the numbers' vectors.
template <class X, Points P>
struct Neighbours {
    using T = typename X::T;
    static constexpr bool flat = P == FIVE || P == NINE;

    const T* S;
    long between;  // numbers from one coupling to the next
    const T* nothing;  // a row of zeros, which stands for those beyond an end
    long n[3], stride;
    bool wraps[3];

    Neighbours(const Mesh& mesh, const T* S_, long between_, const T* zeros)
        : S(S_), between(between_), nothing(zeros), stride(mesh.stride()) {
        for (int d = 0; d < 3; d++) n[d] = mesh.n[d], wraps[d] = mesh.wraps[d];
    }

    bool beyond(long p, int axis) const { return !wraps[axis] && (p < 0 || p >= n[axis]); }

    long wrapped(long p, int axis) const {
        while (p < 0) p += n[axis];
        while (p >= n[axis]) p -= n[axis];
        return p;
    }

    // inside the grid unless it wraps
    long clip(long p, int axis) const { return wraps[axis] ? p : p < 0 ? 0 : p > n[axis] ? n[axis] : p; }

    // number of the row (p, j), and where it begins in a field
    long number(long p, long j) const { return flat ? wrapped(p, 0) : wrapped(p, 0) * n[1] + wrapped(j, 1); }
    long row(long p, long j) const { return number(p, j) * stride + LEFT; }

    inline __attribute__((always_inline)) Plane<T> memory(const T* field, long p) const {
        if (beyond(p, 0)) return {nullptr, false};
        return {field + row(p, 0), true};
    }

    inline __attribute__((always_inline)) const T* at(const Plane<T>& plane, long j) const {
        if (!plane.at || (!flat && beyond(j, 1))) return nothing;
        return plane.at + (flat ? 0 : plane.memory ? wrapped(j, 1) : j) * stride;
    }

    // the row at (p, j) of the middle one of three planes
    inline __attribute__((always_inline)) StencilRow<T> operator()(const Plane<T>* planes, long p, long j) const {
        StencilRow<T> r{};
        r.v = at(planes[1], j), r.s = S + row(p, j), r.between = between;
        if constexpr (flat) r.opposite[0] = opposite(planes, p, j, 1, 0, 1);
        if constexpr (!flat) r.opposite[0] = opposite(planes, p, j, 0, 1, 1);
        if constexpr (P == SEVEN) r.opposite[1] = opposite(planes, p, j, 1, 0, 2);
        if constexpr (P == TWENTY_SEVEN)
            for (int d = -1; d < 2; d++) r.opposite[2 + d] = opposite(planes, p, j, 1, d, 7 + 3 * d);
        if constexpr (P == NINETEEN) {
            r.opposite[1] = opposite(planes, p, j, 1, 0, 5);
            r.opposite[2] = opposite(planes, p, j, 1, -1, 4), r.opposite[3] = opposite(planes, p, j, 1, 1, 8);
        }
        return r;
    }

  private:
    // the rows o0 planes and o1 rows away, and opposite; couplings from the `first` on
    inline __attribute__((always_inline)) Opposite<T> opposite(const Plane<T>* planes, long p, long j, int o0, int o1, int first) const {
        Opposite<T> o;
        const T* s = S + first * between;
        o.s_ahead = o.s_behind = s + row(p, j);
        o.ahead = at(planes[1 + o0], j + o1), o.behind = at(planes[1 - o0], j - o1);
        if (o.behind != nothing) o.s_behind = s + row(p - o0, j - o1);
        return o;
    }
};

}  // namespace mgnet
