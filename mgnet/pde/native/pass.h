// One pass through memory: source -> nu steps -> iterate -> residual -> restriction.
//
// The three verbs of a level are this pass with stages left out. Planes (2-D: rows) travel through the stages as a
// wavefront: when plane p enters, step s works on plane p - s and the residual on plane p - nu - 1, so three planes a
// stage live in cache and every array is read or written once. A task owns a block of planes and of rows; the few
// around it are computed again, so tasks share nothing. Arrays are (n0, n1, n2); two dimensions have n1 = 1, one has
// n0 = n1 = 1.
//
//     source     u, or the interpolant Q guess, or zero;  plus P e
//     step       u <- u + omega / d (f / w - L u)          A = w L, d a diagonal, w the shares of a cell
//     relax      u <- omega u + (1 - omega) u_0, where u_0 is the iterate that the pass began with
//     residual   r = f - w L u, of differences
//     restrict   f_c = R r
//
// Boundaries are reflections, so no stage asks which one it meets.
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
    const T *u, *guess, *e, *f;
    T *out, *f_c;
    T omega;
    bool residual, unweighted;
    double* squares;  // one a block, if the residual's norm is wanted
    long blocks0, blocks1;
    Apart<T> apart{};  // of f
};

// Numbers from one row of the ring to the next: room for a ghost value and a vector, and not a page apart.
static inline long stride_of(long n, long size) {
    const long bytes = (n * size + 63) / 64 * 64 + 64;
    return (bytes % 4096 < 256 ? bytes + 256 : bytes) / size;
}

template <class X, int Dims>
struct Passes {
    using T = typename X::T;
    using R = Rows<X>;
    using TT = Tables<X>;
    static constexpr bool flat = Dims < 3;

    // rows of a workspace that a block of a pass with so many steps needs
    static long workspace(const Level<T>& level, int nu) {
        const long n = most(level.a2.n, level.nc2);
        const long rows = flat ? 1 : level.a1.n + 2 * (nu + 2) + 2 * WRAPPED, depth = most(level.R[0].width + 2, 3);
        return (3 * (nu + 1) + depth) * rows * stride_of(level.a2.n, sizeof(T)) + 3 * (n + 2 * SLACK) + 2 * SLACK;
    }

    static void block(const Pass<T>& pass, long number, T* workspace) { Passes(pass, number, workspace).go(); }

  private:
    const Pass<T>& pass;
    const Level<T>& g;
    const Steps<T>& steps;
    const int nu;
    const bool zero, bare, untouched, folds, restricts;
    const long n0, n1, n2, plane;
    const int begin, end;
    long I0, I1, J0, J1;  // the coarse planes and rows of this block
    long i0, i1, j0, j1;  // the fine ones that go with them
    long r0, r1, s0, s1;  // those of its last stage
    long base0, base1, top1, rows, stride, depth;
    T *ring, *residuals, *line, *pad, *pad2;
    bool straight;  // the last step's rows go to memory, not to the ring
    Line<T> along;
    double total = 0;
    const long number_;

    Passes(const Pass<T>& p, long number, T* workspace)
        : pass(p),
          g(*p.level),
          steps(*p.steps),
          nu(p.steps->nu),
          zero(!p.u && !p.guess && !p.e),
          bare(zero && nu == 0),
          untouched(bare && !p.unweighted),
          folds(zero && steps.folds),
          restricts(p.f_c),
          n0(g.a0.n),
          n1(g.a1.n),
          n2(g.a2.n),
          plane(n1 * n2),
          begin(folds  ? 2
                : zero ? 1
                       : 0),
          end(p.residual ? nu + 1 : nu),
          number_(number) {
        const long k0 = number / p.blocks1, k1 = number % p.blocks1;
        I0 = k0 * g.nc0 / p.blocks0, I1 = (k0 + 1) * g.nc0 / p.blocks0;
        J0 = k1 * g.nc1 / p.blocks1, J1 = (k1 + 1) * g.nc1 / p.blocks1;
        i0 = I0 * n0 / g.nc0, i1 = I1 * n0 / g.nc0, j0 = J0 * n1 / g.nc1, j1 = J1 * n1 / g.nc1;
        r0 = i0, r1 = i1, s0 = j0, s1 = j1;
        if (restricts) {
            r0 = least(i0, g.R[0].start[I0]), r1 = most(i1, g.R[0].start[I1 - 1] + g.R[0].width);
            s0 = least(j0, g.R[1].start[J0]), s1 = most(j1, g.R[1].start[J1 - 1] + g.R[1].width);
        }
        if (!g.a0.wraps) r0 = most(r0, 0), r1 = least(r1, n0);
        if (!g.a1.wraps) s0 = most(s0, 0), s1 = least(s1, n1);
        const long halo = flat ? 0 : end;
        base0 = g.a0.wraps ? r0 - end : most(r0 - end, 0);
        base1 = g.a1.wraps ? s0 - halo : most(s0 - halo, 0), top1 = g.a1.wraps ? s1 + halo : least(s1 + halo, n1);
        rows = top1 - base1, depth = restricts ? g.R[0].width + 1 : 1;
        stride = stride_of(n2, sizeof(T));
        straight = p.out && !p.residual;
        ring = workspace + SLACK, residuals = ring + 3 * (nu + 1) * rows * stride;
        const long wide = most(n2, g.nc2) + 2 * SLACK;
        line = residuals + depth * (s1 - s0) * stride + SLACK, pad = line + wide, pad2 = pad + wide;
        along = {n2,
                 g.a2.wraps,
                 {g.sign[0], g.sign[1]},
                 {g.a2.index[0], g.a2.index[1]},
                 f_limit(),
                 p.u ? p.u + g.size : nullptr};
    }

    long wrap0(long p) const { return wrapped(p, n0); }
    long wrap1(long j) const { return flat ? 0 : wrapped(j, n1); }
    // row (p, j) of f, and where whole vectors of it may not be read any more
    const T* datum(long p, long j) const {
        const Apart<T>& a = pass.apart;
        const long q = wrap0(p), i = wrap1(j) * n2;
        if (q >= a.end) return a.after + (q - a.end) * plane + i;
        return q < a.begin ? a.before + q * plane + i : pass.f + (q - a.begin) * plane + i;
    }
    const T* f_limit() const {
        const Apart<T>& a = pass.apart;
        if (!a.after) return pass.f + g.size;
        return std::max({pass.f + (a.end - a.begin) * plane, a.before + a.begin * plane + SLACK,
                         a.after + (n0 - a.end) * plane + SLACK});
    }

    const T* memory(const T* v, long p, long j) const { return v + wrap0(p) * plane + wrap1(j) * n2; }

    // where row base1 of plane p lies as stage s left it
    T* slot(int s, long p) const { return ring + (3 * s + (p - base0) % 3) * rows * stride; }

    T* home(int s, long p, long j) const {
        if (s > nu) return residuals + ((p - r0) % depth * (s1 - s0) + j - s0) * stride;
        if (s == nu && straight) return pass.out + wrap0(p) * plane + wrap1(j) * n2;
        return slot(s, p) + (j - base1) * stride;
    }

    const Weights<T>& weights(const Weights<T>* table, long p, long j) const {
        return table[g.a0.kind(p) * KINDS + (flat ? 0 : g.a1.kind(j))];
    }

    // stage s (a step, or the residual) on row (p, j)
    Row<T> stage(int s, long p, long j) const {
        Row<T> row{};
        row.w = &weights(steps.weights[pass.unweighted] + (s - 1) * KINDS * KINDS, p, j);
        const long q = (j - base1) * stride;
        const T* at = slot(s - 1, p);
        row.here = at + q, row.f = datum(p, j), row.out = home(s, p, j);
        if (Dims >= 2) row.before = slot(s - 1, g.a0.before(p)) + q, row.after = slot(s - 1, g.a0.after(p)) + q;
        if (Dims == 3) {
            const long jm = wrap1(j);
            row.left = at + q + (g.a1.before(jm) - jm) * stride, row.right = at + q + (g.a1.after(jm) - jm) * stride;
        }
        row.slack = s != nu || !straight;
        const int colour = s <= nu ? steps.colours[s - 1] : -1;
        row.parity = colour >= 0 ? static_cast<int>((wrap0(p) + wrap1(j) + colour) % 2) : 0;
        return row;
    }

    // steps 1 and 2 from zero on row (p, j)
    Row<T> fold(long p, long j) const {
        Row<T> row{};
        row.w = &weights(steps.fold[pass.unweighted], p, j);
        row.here = datum(p, j), row.out = home(2, p, j), row.slack = nu != 2 || !straight;
        if (Dims >= 2) row.before = datum(g.a0.before(p), j), row.after = datum(g.a0.after(p), j);
        if (Dims == 3) {
            const long jm = wrap1(j);
            row.left = datum(p, g.a1.before(jm)), row.right = datum(p, g.a1.after(jm));
        }
        return row;
    }

    // row = row (p, j) of u, or of Q guess, or 0; plus that of P e
    void source(T* row, long p, long j, const T* ahead) {
        bring(row, p, j, ahead);
        fill_ghosts(row, along);
    }

    void bring(T* row, long p, long j, const T* ahead) {
        const long pm = wrap0(p), jm = wrap1(j);
        const T* base = pass.u ? pass.u + pm * plane + jm * n2 : nullptr;
        const Matrix<T>*P = nullptr, *Q = nullptr;
        if (pass.e) P = &g.P[2], coarse(pad, pass.e, g.P, pm, jm);
        if (pass.guess) Q = &g.Q[2], coarse(pad2, pass.guess, g.Q, pm, jm);
        if (P || Q)
            TT::expand(row, n2, base, P, pad, Q, pad2, ahead);
        else
            for (long i = 0; i < n2; i++) row[i] = base[i];
    }

    void coarse(T* row, const T* v, const Matrix<T>* A, long p, long j) {
        TT::gather(row, g.nc2, v, g.nc1 * g.nc2, g.nc2, A[0], p, 0, g.nc0, A[1], j, 0, g.nc1);
        if (g.a2.wraps) wrap_ghosts(row, g.nc2);
    }

    Keep<T> keep(long t, long j) const {
        const long p = t - nu;
        const bool owned = i0 <= p && p < i1 && j0 <= j && j < j1;
        const long at = wrap0(p) * plane + wrap1(j) * n2;
        return {pass.u + (pass.u ? at : 0), pass.out && owned ? pass.out + at : nullptr, pass.omega, line, line};
    }

    // whether this block counts a plane's residuals
    bool counts(long plane) const { return i0 <= plane && plane < i1 && g.counted[0].has(plane); }

    // what a norm counts of a row whose squares sum up to `all`
    double counted(const T* row, double all) const {
        const long begin = most(g.counted[2].begin, 0), end = least(g.counted[2].end, n2);
        return begin == 0 && end == n2 ? all : R::dot(row + begin, row + begin, end - begin);
    }

    void go() {
        long next_coarse = I0;
        for (long t = base0; t < r1 + end; t++) {
            int oldest = begin, newest = untouched ? 0 : static_cast<int>(least(end, (t - r0 + end) / 2));
            if (!g.a0.wraps)
                oldest = static_cast<int>(most(begin, t - n0 + 1)), newest = static_cast<int>(least(newest, t));
            if (untouched && pass.squares && counts(t)) {
                for (long j = most(j0, g.counted[1].begin); j < least(j1, g.counted[1].end); j++) {
                    const T* at = datum(t, j);
                    total += counted(at, R::dot(at, at, n2));
                }
            }
            for (long j = base1; j < top1; j++) {
                const int last =
                    flat ? newest : static_cast<int>(least(newest, end - most(most(s0 - j, j - s1 + 1), 0)));
                advance(t, j, oldest, last);
            }
            while (restricts && next_coarse < I1 && g.R[0].start[next_coarse] + g.R[0].width - 1 <= t - nu - 1)
                restrict_plane(next_coarse++);
        }
        if (pass.squares) pass.squares[number_] = total;
    }

    // stages oldest, oldest + 1, ... of rows (t - oldest, j), (t - oldest - 1, j), ...
    void advance(long t, long j, int s, int last) {
        const bool rests = last > nu;
        const bool measured = pass.squares && counts(t - nu - 1) && j0 <= j && j < j1 && g.counted[1].has(j);
        while (s <= last) {
            if (s == 0) {
                source(home(0, t, j), t, j, datum(t + 1, j));
                s += 1;
            } else {
                s += constants(t, j, s, last, rests, measured);
            }
        }
    }

    // Some of the stages s, ..., last; returns how many.
    int constants(long t, long j, int s, int last, bool rests, bool measured) {
        const long p = t - s;
        if (bare) {
            const Weights<T>& w = weights(steps.weights[pass.unweighted], p, j);
            const double squares =
                R::scale(home(s, p, j), datum(p, j), n2, w.f, w.f_end, -1, along.f_limit);
            total += measured ? counted(home(s, p, j), squares) : 0;
            return 1;
        }
        if (s > 1 || !zero) return several(t, j, s, last, rests, measured);
        first_step(p, j);
        return 1;
    }

    void first_step(long p, long j) {
        T* row = home(1, p, j);
        const Weights<T>& w = weights(steps.weights[pass.unweighted], p, j);
        const int colour = steps.colours[0],
                  parity = colour >= 0 ? static_cast<int>((wrap0(p) + wrap1(j) + colour) % 2) : -1;
        if (nu == 1 && straight) {
            R::scale(line, datum(p, j), n2, w.f, w.f_end, parity, along.f_limit);
            for (long i = 0; i < n2; i++) row[i] = line[i];
            return;
        }
        R::scale(row, datum(p, j), n2, w.f, w.f_end, parity, along.f_limit);
        if (nu == 1 && pass.residual) kept(row, keep(p + 1, j));
        fill_ghosts(row, along);
    }

    void kept(T* row, const Keep<T>& keep) {
        if (keep.omega != 1 && keep.begun)
            for (long i = 0; i < n2; i++) row[i] = keep.omega * row[i] + (1 - keep.omega) * keep.begun[i];
        if (keep.copy)
            for (long i = 0; i < n2; i++) keep.copy[i] = row[i];
    }

    // Some of the stages s, ..., last in one loop; returns how many.
    int several(long t, long j, int s, int last, bool rests, bool measured) {
        const bool folded = folds && s == 2;
        const int left = (last < nu ? last : nu) - s + 1;  // steps that are due
        int count;
        if (left <= 0)
            count = 0;
        else if (steps.coloured || folded)
            count = 1;
        else if (rests)
            count = left <= 2 ? left : left == 3 ? 1 : 2;
        else
            count = left <= 3 ? left : 2;
        const bool finishes = count > 0 && s + count - 1 == nu;  // the last step
        bool rest = rests && (count == 0 || (finishes && !steps.coloured));
        Row<T> each[4];
        Kind kind = EVEN;
        for (int k = 0; k < count + rest; k++) {
            each[k] = folded && k == 0 ? fold(t - s, j) : stage(s + k, t - s - k, j);
            if (each[k].w->kind < kind) kind = each[k].w->kind;
        }
        if (kind == GENERAL && count + rest > 1) rest = false, count = 1;  // beside an end of the grid: one at a time
        Keep<T> what = keep(t, j);
        if (!pass.residual || count == 0 || s + count - 1 != nu) what.omega = 1, what.copy = nullptr;
        if (s == begin + 1 || (folded && s == begin)) {
            if (pass.out) what.ahead = pass.out + wrap0(t + 1 - nu) * plane + wrap1(j) * n2;
            if (zero || pass.u) what.ahead2 = zero ? datum(t + 1, j) : memory(pass.u, t + 2, j);
        }
        const double squares = wave(kind, count, rest, folded, each, what);
        if (rest && measured) total += counted(each[count].out, squares);
        return count + rest;
    }

    // Beside an end of the grid, with colours and after a fold, stages come one at a time.
    double wave(Kind kind, int count, bool rest, bool folded, const Row<T>* each, const Keep<T>& what) const {
        if constexpr (Dims > 1) {
            if (kind == GENERAL) return one<GENERAL>(count, folded, each, what);
            if (kind == MIRRORED) return any<MIRRORED>(count, rest, folded, each, what);
        }
        return any<EVEN>(count, rest, folded, each, what);
    }

    template <Kind kind>
    double any(int count, bool rest, bool folded, const Row<T>* each, const Keep<T>& what) const {
        if (folded && rest) return of<1, true, true, false, kind>(each, what);
        if (count + rest == 1) return one<kind>(count, folded, each, what);
        if (rest)
            return count == 1 ? of<1, true, false, false, kind>(each, what)
                              : of<2, true, false, false, kind>(each, what);
        return count == 2 ? of<2, false, false, false, kind>(each, what) : of<3, false, false, false, kind>(each, what);
    }

    template <Kind kind>
    double one(int count, bool folded, const Row<T>* each, const Keep<T>& what) const {
        if (count == 0) return of<0, true, false, false, kind>(each, what);
        if (steps.coloured) return of<1, false, false, true, kind>(each, what);
        if (folded) return of<1, false, true, false, kind>(each, what);
        return of<1, false, false, false, kind>(each, what);
    }

    template <int Steps, bool Rest, bool Fold, bool Coloured, Kind kind>
    double of(const Row<T>* each, const Keep<T>& what) const {
        return Wave<X, Dims, Steps, Rest, Fold, Coloured, kind>::run(each, along, what);
    }

    void restrict_plane(long I) {
        for (long J = J0; J < J1; J++) {
            if (flat && restrict_rows(I)) continue;
            if (untouched)
                TT::gather(line, n2, g.R[0], I, g.R[1], J, [this](long p, long j) { return datum(p, j); });
            else
                TT::gather(line, n2, residuals, (s1 - s0) * stride, stride, g.R[0], I, r0, depth, g.R[1], J, s0,
                           s1 - s0);
            if (g.a2.wraps) wrap_ghosts(line, n2);
            TT::contract(pass.f_c + (I * g.nc1 + J) * g.nc2, g.nc2, line, g.R[2]);
        }
    }

    // row I of f_c from the rows as they lie, in two dimensions
    bool restrict_rows(long I) {
        const Matrix<T>& R0 = g.R[0];
        if (R0.width > 4 || R0.wraps) return false;
        const T *rows[4], *v = R0.weights + I * R0.width;
        for (long k = 0; k < R0.width; k++) {
            const long p = R0.start[I] + k;
            rows[k] = untouched ? datum(p, 0) : residuals + (p - r0) % depth * stride;
        }
        const T* limit = untouched ? along.f_limit : line;
        return TT::restrict_rows(pass.f_c + I * g.nc2, g.nc2, rows, v, static_cast<int>(R0.width), g.R[2], limit);
    }
};

}  // namespace mgnet
