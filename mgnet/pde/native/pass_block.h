// What a pass works on, and a block of it: its planes and rows at each stage, and where these lie.
//
// Arrays are (n0, n1, n2); two dimensions have n1 = 1, one has n0 = n1 = 1. Three planes of a stage live in a ring; a
// row of a workspace has room for ghost values and vectors on either side.
#pragma once
#include <algorithm>

#include "level.h"

namespace mgnet {

// Planes [0, begin) and [end, n0) of a datum that lie apart from the others, with whole vectors of room behind them.
template <class T>
struct Apart {
    const T *before = nullptr, *after = nullptr;
    long begin = 0, end = ALL;
};

// What a pass works on; addresses are 0 where there is nothing.
template <class T>
struct Pass {
    const Level<T>* level;
    const Steps<T>* steps;
    const T* f;
    const T *u = nullptr, *guess = nullptr, *e = nullptr;
    T *out = nullptr, *f_c = nullptr;
    T omega = 1;
    bool unweighted = false;
    double* squares = nullptr;  // one a block, if the residual's norm is wanted
    long blocks0 = 1, blocks1 = 1;
    Apart<T> apart{};  // of f
    bool residual() const { return f_c || squares; }
};

template <class X, bool flat>
struct PassBlock {
    using T = typename X::T;

    const Pass<T>& pass;
    const Level<T>& g;
    const int nu, end;  // steps, and the last stage: the residual, or the last step
    const bool straight;  // the last step's rows go to memory, not to the ring
    const long n0, n1, n2, plane;
    Range coarse[2], own[2], last[2];  // the coarse planes and rows, the fine ones with them, those of the last stage
    Range rows;                        // of the first stage
    long base, depth;                  // its first plane; how many planes of residuals are kept
    long stride, ring_plane, kept_plane;  // numbers of a row of the ring, of a plane of it, and of one that is kept
    T *ring, *residuals, *line, *pad, *pad2;

    PassBlock(const Pass<T>& p, long number, T* workspace)
        : pass(p), g(*p.level), nu(p.steps->nu), end(p.residual() ? nu + 1 : nu), straight(p.out && !p.residual()),
          n0(g.axes[0].n), n1(g.axes[1].n), n2(g.axes[2].n), plane(n1 * n2), stride(stride_of(n2)) {
        share(0, number / p.blocks1, p.blocks0), share(1, number % p.blocks1, p.blocks1);
        base = widened(0, end).begin, rows = widened(1, flat ? 0 : end);
        depth = p.f_c ? g.R[0].width + 1 : 1;
        ring_plane = (rows.end - rows.begin) * stride, kept_plane = (last[1].end - last[1].begin) * stride;
        ring = workspace + SLACK, residuals = ring + 3 * (nu + 1) * ring_plane;
        const long wide = most(n2, g.axes[2].n_c) + 2 * SLACK;
        line = residuals + depth * kept_plane + SLACK, pad = line + wide, pad2 = pad + wide;
    }

    // numbers of a workspace that a block of a pass with so many steps needs
    static long workspace(const Level<T>& level, int nu) {
        const long n1 = level.axes[1].n, wide = most(level.axes[2].n, level.axes[2].n_c) + 2 * SLACK;
        const long rows = flat ? 1 : n1 + 2 * (nu + 2) + 2 * WRAPPED, depth = most(level.R[0].width + 2, 3);
        return (3 * (nu + 1) + depth) * rows * stride_of(wide - 2 * SLACK) + 3 * wide + 2 * SLACK;
    }

    bool owns(long p, long j) const { return own[0].has(p) && own[1].has(j); }

    // where row (p, j) of an array begins
    long place(long p, long j) const { return wrapped(p, n0) * plane + (flat ? 0 : wrapped(j, n1)) * n2; }

    // row (p, j) of f, and where whole vectors of it may not be read any more
    const T* datum(long p, long j) const {
        const Apart<T>& a = pass.apart;
        const long q = wrapped(p, n0), at = place(p, j);
        if (q >= a.end) return a.after + at - a.end * plane;
        return q < a.begin ? a.before + at : pass.f + at - a.begin * plane;
    }
    const T* f_limit() const {
        const Apart<T>& a = pass.apart;
        if (!a.after) return pass.f + g.size;
        return std::max({pass.f + (a.end - a.begin) * plane, a.before + a.begin * plane + SLACK,
                         a.after + (n0 - a.end) * plane + SLACK});
    }

    // where the first row of plane p lies as stage s left it, and any row of one that is to be made
    T* slot(int s, long p) const { return ring + (3 * s + (p - base) % 3) * ring_plane; }
    T* home(int s, long p, long j) const {
        if (s > nu) return residuals + kept(p, j);
        if (s == nu && straight) return pass.out + place(p, j);
        return slot(s, p) + (j - rows.begin) * stride;
    }

    // row (p, j) of the residuals that are kept
    long kept(long p, long j) const {
        return (p - last[0].begin) % depth * kept_plane + (j - last[1].begin) * stride;
    }

  private:
    // Numbers from one row of the ring to the next: room for a ghost value and a vector, and not a page apart.
    static long stride_of(long n) {
        const long size = sizeof(T), bytes = (n * size + 63) / 64 * 64 + 64;
        return (bytes % 4096 < 256 ? bytes + 256 : bytes) / size;
    }

    // block k of so many along an axis
    void share(int d, long k, long blocks) {
        const LevelAxis& a = g.axes[d];
        coarse[d] = {k * a.n_c / blocks, (k + 1) * a.n_c / blocks};
        own[d] = last[d] = {coarse[d].begin * a.n / a.n_c, coarse[d].end * a.n / a.n_c};
        if (pass.f_c) {
            const Matrix<T>& R = g.R[d];
            last[d] = {least(own[d].begin, R.start[coarse[d].begin]), most(own[d].end, R.start[coarse[d].end - 1] + R.width)};
        }
        last[d] = widened(d, 0);
    }

    // by so many on either side, as far as there are any
    Range widened(int d, long by) const {
        const LevelAxis& a = g.axes[d];
        const Range to{last[d].begin - by, last[d].end + by};
        return a.wraps ? to : Range{most(to.begin, 0), least(to.end, a.n)};
    }
};

}  // namespace mgnet
