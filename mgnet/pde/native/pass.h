// One pass through memory: source -> nu steps -> iterate -> residual -> restriction.
//
// The three verbs of a level are this pass with stages left out. Planes (2-D: rows) travel through the stages as a
// wavefront: when plane p enters, step s works on plane p - s and the residual on plane p - nu - 1, so three planes a
// stage live in cache and every array is read or written once. A task owns a block of planes and of rows; the few
// around it are computed again, so tasks share nothing.
//
//     source     u, or the interpolant Q guess, or zero;  plus P e
//     step       u <- u + omega / d (f / w - L u)          A = w L, d a diagonal, w the shares of a cell
//     relax      u <- omega u + (1 - omega) u_0, where u_0 is the iterate that the pass began with
//     residual   r = f - w L u, of differences
//     restrict   f_c = R r
//
// Boundaries are reflections, so no stage asks which one it meets.
#pragma once
#include "pass_block.h"

namespace mgnet {

template <class X, int Dims>
class Passes {
    using T = typename X::T;
    using R = Rows<X>;
    using TT = Tables<X>;
    static constexpr bool flat = Dims < 3;
    using Block = PassBlock<X, flat>;

  public:
    static long workspace(const Level<T>& level, int nu) { return Block::workspace(level, nu); }

    static void block(const Pass<T>& pass, long number, T* workspace) {
        Passes passes(pass, number, workspace);
        passes.go();
        if (pass.squares) pass.squares[number] = passes.total;
    }

  private:
    const Pass<T>& pass;
    const Level<T>& g;
    const Steps<T>& steps;
    const int nu;
    const bool zero, bare, untouched, folds;  // from zero; r = w f; r = f; steps 1 and 2 are one
    const int begin;                          // the first stage that there is
    const Block at;
    const long n2;
    const Line<T> along;
    double total = 0;

    Passes(const Pass<T>& p, long number, T* workspace)
        : pass(p), g(*p.level), steps(*p.steps), nu(p.steps->nu), zero(!p.u && !p.guess && !p.e), bare(zero && nu == 0),
          untouched(bare && !p.unweighted), folds(zero && steps.folds), begin(folds ? 2 : zero ? 1 : 0),
          at(p, number, workspace), n2(at.n2),
          along{n2, g.axes[2].wraps, {g.sign[0], g.sign[1]}, {g.axes[2].index[0], g.axes[2].index[1]}, at.f_limit(),
                p.u ? p.u + g.size : nullptr} {}

    void go() {
        const int end = at.end;
        const Range &planes = at.last[0], &rows = at.last[1];
        long next_coarse = at.coarse[0].begin;
        for (long t = at.base; t < planes.end + end; t++) {
            int oldest = begin, newest = untouched ? 0 : static_cast<int>(least(end, (t - planes.begin + end) / 2));
            if (!g.axes[0].wraps)
                oldest = static_cast<int>(most(begin, t - at.n0 + 1)), newest = static_cast<int>(least(newest, t));
            if (untouched && pass.squares && counts(t)) count_data(t);
            for (long j = at.rows.begin; j < at.rows.end; j++) {
                const long beyond = flat ? 0 : most(most(rows.begin - j, j - rows.end + 1), 0);
                advance(t, j, oldest, static_cast<int>(least(newest, end - beyond)));
            }
            if (!pass.f_c) continue;
            for (; next_coarse < at.coarse[0].end; next_coarse++) {
                if (g.R[0].start[next_coarse] + g.R[0].width - 1 > t - nu - 1) break;
                restrict_plane(next_coarse);
            }
        }
    }

    // stages s, s + 1, ... of rows (t - s, j), (t - s - 1, j), ...
    void advance(long t, long j, int s, int last) {
        const bool measured = pass.squares && counts(t - nu - 1) && at.own[1].has(j) && g.counted[1].has(j);
        while (s <= last) {
            int done = 1;
            if (s == 0)
                source(t, j);
            else if (bare)
                scaled_datum(t - s, j, measured);
            else if (s == 1 && zero)
                first_step(t - 1, j);
            else
                done = several(t, j, s, last, measured);
            s += done;
        }
    }

    // row (p, j) of u, or of Q guess, or 0; plus that of P e
    void source(long p, long j) {
        T* row = at.home(0, p, j);
        const T *u = pass.u ? pass.u + at.place(p, j) : nullptr, *ahead = at.datum(p + 1, j);
        const Matrix<T>*P = nullptr, *Q = nullptr;
        if (pass.e) P = &g.P[2], coarse(at.pad, pass.e, g.P, p, j);
        if (pass.guess) Q = &g.Q[2], coarse(at.pad2, pass.guess, g.Q, p, j);
        if (P || Q)
            TT::expand(row, n2, u, P, at.pad, Q, at.pad2, ahead);
        else
            for (long i = 0; i < n2; i++) row[i] = u[i];
        fill_ghosts(row, along);
    }

    // what tables of axes 0 and 1 make of coarse v
    void coarse(T* row, const T* v, const Matrix<T>* A, long p, long j) {
        const long c0 = g.axes[0].n_c, c1 = g.axes[1].n_c, c2 = g.axes[2].n_c;
        const long i0 = wrapped(p, at.n0), i1 = flat ? 0 : wrapped(j, at.n1);
        TT::gather(row, c2, v, c1 * c2, c2, A[0], i0, 0, c0, A[1], i1, 0, c1);
        if (g.axes[2].wraps) wrap_ghosts(row, c2);
    }

    // from zero without steps
    void scaled_datum(long p, long j, bool measured) {
        T* row = at.home(1, p, j);
        const Weights<T>& w = weights(steps.weights[pass.unweighted], p, j);
        const double squares = R::scale(row, at.datum(p, j), n2, w.f, w.f_end, -1, along.f_limit);
        total += measured ? counted(row, squares) : 0;
    }

    // from zero
    void first_step(long p, long j) {
        T* const row = at.home(1, p, j);
        const bool narrow = nu == 1 && at.straight;  // in the caller's memory, where whole vectors may not fit
        const Weights<T>& w = weights(steps.weights[pass.unweighted], p, j);
        R::scale(narrow ? at.line : row, at.datum(p, j), n2, w.f, w.f_end, parity(1, p, j), along.f_limit);
        if (narrow) {
            for (long i = 0; i < n2; i++) row[i] = at.line[i];
            return;
        }
        if (nu == 1 && pass.residual()) keep_row(row, keep(p, j));
        fill_ghosts(row, along);
    }

    void keep_row(T* row, const Keep<T>& keep) {
        if (keep.omega != 1 && keep.begun)
            for (long i = 0; i < n2; i++) row[i] = keep.omega * row[i] + (1 - keep.omega) * keep.begun[i];
        if (keep.copy)
            for (long i = 0; i < n2; i++) keep.copy[i] = row[i];
    }

    // As many of the stages s, ..., last as go into one loop; returns how many.
    int several(long t, long j, int s, int last, bool measured) {
        Stages<T> all;
        all.folded = folds && s == 2, all.coloured = steps.coloured;
        all.steps = together(static_cast<int>(least(last, nu)) - s + 1, last > nu, all.folded || all.coloured);
        const bool ends = all.steps > 0 && s + all.steps - 1 == nu;  // with the last step
        all.rest = last > nu && (all.steps == 0 || (ends && !all.coloured));
        for (int k = 0; k < all.steps + all.rest; k++) {
            all.rows[k] = all.folded && k == 0 ? fold(t - s, j) : stage(s + k, t - s - k, j);
            all.kind = std::min(all.kind, all.rows[k].w->kind);
        }
        if (all.kind == GENERAL && all.steps + all.rest > 1) all.rest = false, all.steps = 1;
        Keep<T> what = keep(t - nu, j);
        if (!pass.residual() || all.steps == 0 || s + all.steps - 1 != nu) what.omega = 1, what.copy = nullptr;
        if (s == begin + 1 || (all.folded && s == begin)) {
            if (pass.out) what.ahead = pass.out + at.place(t + 1 - nu, j);
            if (zero || pass.u) what.ahead2 = zero ? at.datum(t + 1, j) : pass.u + at.place(t + 2, j);
        }
        const double squares = Waves<X, Dims>::run(all, along, what);
        if (all.rest && measured) total += counted(all.rows[all.steps].out, squares);
        return all.steps + all.rest;
    }

    // how many of the steps that are left go into the next loop; `rests`: a residual follows them
    static int together(int left, bool rests, bool alone) {
        if (left <= 0) return 0;
        if (alone) return 1;
        return rests ? (left == 3 ? 1 : std::min(left, 2)) : left <= 3 ? left : 2;
    }

    const Weights<T>& weights(const Weights<T>* table, long p, long j) const {
        return table[g.axes[0].kind(p) * KINDS + (flat ? 0 : g.axes[1].kind(j))];
    }

    // of a step's colour on row (p, j), -1 where there is none
    int parity(int s, long p, long j) const {
        const int colour = s <= nu ? steps.colours[s - 1] : -1;
        return colour < 0 ? -1 : static_cast<int>((wrapped(p, at.n0) + (flat ? 0 : wrapped(j, at.n1)) + colour) % 2);
    }

    // stage s (a step, or the residual) on row (p, j)
    Row<T> stage(int s, long p, long j) const {
        const LevelAxis &a0 = g.axes[0], &a1 = g.axes[1];
        const long q = (j - at.rows.begin) * at.stride;
        const T* here = at.slot(s - 1, p) + q;
        Row<T> row{};
        row.w = &weights(steps.weights[pass.unweighted] + (s - 1) * KINDS * KINDS, p, j);
        row.here = here, row.f = at.datum(p, j), row.out = at.home(s, p, j);
        if (Dims >= 2) row.before = at.slot(s - 1, a0.before(p)) + q, row.after = at.slot(s - 1, a0.after(p)) + q;
        if (Dims == 3) {
            const long i = wrapped(j, at.n1);
            row.left = here + (a1.before(i) - i) * at.stride, row.right = here + (a1.after(i) - i) * at.stride;
        }
        row.slack = s != nu || !at.straight, row.parity = parity(s, p, j);
        return row;
    }

    // steps 1 and 2 from zero on row (p, j)
    Row<T> fold(long p, long j) const {
        const LevelAxis &a0 = g.axes[0], &a1 = g.axes[1];
        Row<T> row{};
        row.w = &weights(steps.fold[pass.unweighted], p, j);
        row.here = at.datum(p, j), row.out = at.home(2, p, j), row.slack = nu != 2 || !at.straight;
        if (Dims >= 2) row.before = at.datum(a0.before(p), j), row.after = at.datum(a0.after(p), j);
        if (Dims == 3) {
            const long i = wrapped(j, at.n1);
            row.left = at.datum(p, a1.before(i)), row.right = at.datum(p, a1.after(i));
        }
        return row;
    }

    // of row (p, j) after the last step
    Keep<T> keep(long p, long j) const {
        const long place = at.place(p, j);
        return {pass.u ? pass.u + place : nullptr, pass.out && at.owns(p, j) ? pass.out + place : nullptr, pass.omega,
                at.line, at.line};
    }

    // whether this block counts a plane's residuals, and what a norm counts of a row whose squares sum up to `all`
    bool counts(long p) const { return at.own[0].has(p) && g.counted[0].has(p); }
    double counted(const T* row, double all) const {
        const long begin = most(g.counted[2].begin, 0), end = least(g.counted[2].end, n2);
        return begin == 0 && end == n2 ? all : R::dot(row + begin, row + begin, end - begin);
    }

    // of zero without steps, whose residual is the datum
    void count_data(long p) {
        for (long j = most(at.own[1].begin, g.counted[1].begin); j < least(at.own[1].end, g.counted[1].end); j++) {
            const T* row = at.datum(p, j);
            total += counted(row, R::dot(row, row, n2));
        }
    }

    void restrict_plane(long I) {
        const LevelAxis &a1 = g.axes[1], &a2 = g.axes[2];
        for (long J = at.coarse[1].begin; J < at.coarse[1].end; J++) {
            if (flat && restrict_rows(I)) continue;
            TT::gather(at.line, n2, g.R[0], I, g.R[1], J, [this](long p, long j) { return rest(p, j); });
            if (a2.wraps) wrap_ghosts(at.line, n2);
            TT::contract(pass.f_c + (I * a1.n_c + J) * a2.n_c, a2.n_c, at.line, g.R[2]);
        }
    }

    // row I of f_c from the rows as they lie, in two dimensions
    bool restrict_rows(long I) {
        const Matrix<T>& R0 = g.R[0];
        if (R0.width > 4 || R0.wraps) return false;
        const T *rows[4], *v = R0.weights + I * R0.width;
        for (long k = 0; k < R0.width; k++) rows[k] = rest(R0.start[I] + k, 0);
        const T* limit = untouched ? along.f_limit : at.line;
        const long n_c = g.axes[2].n_c;
        return TT::restrict_rows(pass.f_c + I * n_c, n_c, rows, v, static_cast<int>(R0.width), g.R[2], limit);
    }

    // row (p, j) of the residual
    const T* rest(long p, long j) const {
        return untouched ? at.datum(p, j) : at.residuals + at.kept(p, j);
    }
};

}  // namespace mgnet
