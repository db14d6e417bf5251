// One grid as the kernels see it: weights of its stencils, and its transfers.
#pragma once
#include "tables.h"
#include "wave.h"

namespace mgnet {

constexpr int KINDS = 5;  // of planes (and of rows): the first two, the last two, and those between

// Steps of one way, and the residual after them.
// weights[unweighted]: (stage, kind of plane, kind of row), stage 0 is step 1.
template <class T>
struct Steps {
    int nu;
    bool coloured, folds;
    const int* colours;
    const Weights<T>* weights[2];
    const Weights<T>* fold[2];  // steps 1 and 2 from zero, as one stencil on the datum
};

template <class T>
struct AxisOf {
    long n;
    bool wraps;
    long index[2];

    long before(long p) const { return p == 0 && !wraps ? index[0] : p - 1; }
    long after(long p) const { return p == n - 1 && !wraps ? index[1] : p + 1; }
    int kind(long p) const {
        return wraps ? 2 : p < 2 ? static_cast<int>(p) : p >= n - 2 ? static_cast<int>(4 - (n - 1 - p)) : 2;
    }
};

struct Range {
    long begin, end;
    bool has(long i) const { return begin <= i && i < end; }
};

template <class T>
struct Level {
    int dims;
    AxisOf<T> a0, a1, a2;
    long nc0, nc1, nc2, size, coarse_size;
    Range counted[3];  // along each axis, what a norm counts
    T sign[2];  // of the ends along the rows
    Matrix<T> P[3], Q[3], R[3], mass[3], stiffness[3];
    Steps<T> down, up, both, none;
    bool small;         // not worth more than one thread
    long planes, rows;  // blocks that a pass is shared out in, of planes and of rows
};

template <class X>
struct Levels {
    using T = typename X::T;

    static Level<T> make(const Problem& problem, const Grid& grid, Arena& arena) {
        const Axis* a = grid.axes;
        auto axis = [](const Axis& a) { return AxisOf<T>{a.n, a.wraps, {a.lo.index, a.hi.index}}; };
        Level<T> level{grid.dims, axis(a[0]), axis(a[1]), axis(a[2]), grid.coarse[0], grid.coarse[1], grid.coarse[2]};
        level.size = grid.size(), level.coarse_size = grid.coarse_size();
        for (int d = 0; d < 3; d++) level.counted[d] = {grid.counted[d][0], grid.counted[d][1]};
        level.sign[0] = static_cast<T>(a[2].wraps ? 1 : a[2].lo.sign),
        level.sign[1] = static_cast<T>(a[2].wraps ? 1 : a[2].hi.sign);
        for (int d = 0; d < 3; d++) {
            level.P[d] = matrix<T>(grid.P[d], a[d].wraps, arena), level.Q[d] = matrix<T>(grid.Q[d], a[d].wraps, arena);
            level.R[d] = matrix<T>(grid.R[d], a[d].wraps, arena),
            level.mass[d] = matrix<T>(grid.mass[d], a[d].wraps, arena);
            level.stiffness[d] = matrix<T>(grid.stiffness[d], a[d].wraps, arena);
        }
        const Step* none = nullptr;
        const int down = static_cast<int>(grid.down.size()), up = static_cast<int>(grid.up.size());
        Step* both = arena.take<Step>(up + down + 1);
        for (int k = 0; k < up; k++) both[k] = grid.up[k];
        for (int k = 0; k < down; k++) both[up + k] = grid.down[k];
        level.down = steps(problem.c, grid, both + up, down, arena), level.up = steps(problem.c, grid, both, up, arena);
        level.both = steps(problem.c, grid, both, up + down, arena),
        level.none = steps(problem.c, grid, none, 0, arena);
        return level;
    }

  private:
    static double sum_k(const Grid& g) { return g.axes[0].k + g.axes[1].k + g.axes[2].k; }

    static long sample(const Axis& axis, int kind) {
        const long p = kind < 2 ? kind : kind == 2 ? 2 : axis.n - 1 - (4 - kind);
        return p < 0 ? 0 : p >= axis.n ? axis.n - 1 : p;
    }

    static Kind kind(const Grid& g, const Weights<T>& w, bool mirrored) {
        if (g.dims == 1) return EVEN;
        if (!mirrored || w.before != w.after || w.left != w.right) return GENERAL;
        return w.before == w.side && (g.dims == 2 || w.left == w.side) ? EVEN : MIRRORED;
    }

    // what an end adds to c (Robin) and to D, at plane p
    static double extra(const Axis& a, long p) {
        return a.wraps ? 0 : (p == 0 ? a.lo.extra : 0) + (p == a.n - 1 ? a.hi.extra : 0);
    }
    static double diagonal(const Axis& a, long p) {
        return a.wraps ? 0 : (p == 0 ? a.lo.diagonal : 0) + (p == a.n - 1 ? a.hi.diagonal : 0);
    }
    static double share(const Axis& a, long p) { return a.wraps ? 1 : a.share(p); }
    static double sign(const Axis& a, long p, int side) {
        return a.wraps ? 1 : side == 0 ? (p == 0 ? a.lo.sign : 1) : (p == a.n - 1 ? a.hi.sign : 1);
    }
    static double beside(const Axis& a, long p, int side) {  // the share of the plane before or after p
        if (a.wraps || a.n == 1) return 1;
        return share(a, side == 0 ? (p == 0 ? a.lo.index : p - 1) : (p == a.n - 1 ? a.hi.index : p + 1));
    }

    static Steps<T> steps(double c, const Grid& g, const Step* each, int nu, Arena& arena) {
        Steps<T> made{};
        made.nu = nu;
        int* colours = arena.take<int>(nu + 1);
        for (int s = 0; s < nu; s++) colours[s] = each[s].colour, made.coloured |= each[s].colour >= 0;
        made.colours = colours;
        made.folds = nu >= 2 && !made.coloured;
        for (const Axis& a : g.axes)
            for (const End* end : {&a.lo, &a.hi}) made.folds &= end->extra == 0 && end->diagonal == 0;
        for (int unweighted = 0; unweighted < 2; unweighted++) {
            Weights<T>* weights = arena.take<Weights<T>>((nu + 1) * KINDS * KINDS);
            Weights<T>* fold = made.folds ? arena.take<Weights<T>>(KINDS * KINDS) : nullptr;
            for (int i = 0; i < KINDS; i++)
                for (int j = 0; j < KINDS; j++) {
                    const long p = sample(g.axes[0], i), q = sample(g.axes[1], j);
                    for (int s = 0; s < nu; s++)
                        weights[(s * KINDS + i) * KINDS + j] = step(c, g, each[s].omega, p, q, unweighted);
                    weights[(nu * KINDS + i) * KINDS + j] = residual(c, g, p, q, unweighted);
                    if (fold) fold[i * KINDS + j] = folded(c, g, each[0].omega, each[1].omega, p, q, unweighted);
                }
            made.weights[unweighted] = weights, made.fold[unweighted] = fold;
        }
        return made;
    }

    static Weights<T> step(double c, const Grid& g, double omega, long p, long q, bool unweighted) {
        const Axis *a0 = &g.axes[0], *a1 = &g.axes[1], *a2 = &g.axes[2];
        const double L = 2 * sum_k(g) + c + extra(*a0, p) + extra(*a1, q);
        const double w = unweighted ? 1 : share(*a0, p) * share(*a1, q);
        const double D = 2 * sum_k(g) + c + diagonal(*a0, p) + diagonal(*a1, q), gain = omega / D;
        Weights<T> to{};
        to.own = static_cast<T>(L == D ? 1 - omega : 1 - gain * L);
        to.side = static_cast<T>(gain * a2->k), to.f = static_cast<T>(gain / w);
        to.before = static_cast<T>(gain * a0->k * sign(*a0, p, 0)),
        to.after = static_cast<T>(gain * a0->k * sign(*a0, p, 1));
        to.left = static_cast<T>(gain * a1->k * sign(*a1, q, 0)),
        to.right = static_cast<T>(gain * a1->k * sign(*a1, q, 1));
        for (int e = 0; e < 2; e++) {
            const long i = e == 0 ? 0 : a2->n - 1;
            const double L_e = L + extra(*a2, i), D_e = D + diagonal(*a2, i), gain_e = omega / D_e;
            to.own_end[e] = static_cast<T>(L_e == D_e ? 1 - omega : 1 - gain_e * L_e),
            to.scale_end[e] = static_cast<T>(gain_e / gain);
            to.f_end[e] = static_cast<T>(gain_e / (unweighted ? 1 : w * share(*a2, i)));
        }
        to.kind = kind(g, to, true);
        return to;
    }

    static Weights<T> residual(double c, const Grid& g, long p, long q, bool unweighted) {
        const Axis *a0 = &g.axes[0], *a1 = &g.axes[1], *a2 = &g.axes[2];
        const double w = share(*a0, p) * share(*a1, q), m = c + extra(*a0, p) + extra(*a1, q);
        Weights<T> to{};
        to.own = static_cast<T>(w * m), to.side = static_cast<T>(w * a2->k), to.f = static_cast<T>(unweighted ? w : 1);
        to.before = to.after = static_cast<T>(w * a0->k), to.left = to.right = static_cast<T>(w * a1->k);
        to.sign_before = static_cast<T>(sign(*a0, p, 0)), to.sign_after = static_cast<T>(sign(*a0, p, 1));
        to.sign_left = static_cast<T>(sign(*a1, q, 0)), to.sign_right = static_cast<T>(sign(*a1, q, 1));
        for (int e = 0; e < 2; e++) {
            const long i = e == 0 ? 0 : a2->n - 1;
            const double s = share(*a2, i);
            to.own_end[e] = static_cast<T>(w * s * (m + extra(*a2, i))), to.scale_end[e] = static_cast<T>(s);
            to.f_end[e] = static_cast<T>(unweighted ? w * s : 1);
        }
        to.kind = kind(
            g, to,
            to.sign_before == 1 && to.sign_after == 1 && (g.dims < 3 || (to.sign_left == 1 && to.sign_right == 1)));
        return to;
    }

    // u_1 = g_1 F,   u_2 = (1 - omega_2) u_1 + g_2 (F + sum of k times u_1's neighbours),   g = omega / D, F = f / w
    static Weights<T> folded(double c, const Grid& g, double omega1, double omega2, long p, long q, bool unweighted) {
        const Axis *a0 = &g.axes[0], *a1 = &g.axes[1], *a2 = &g.axes[2];
        const double D = 2 * sum_k(g) + c, g1 = omega1 / D, g2 = omega2 / D;
        auto w = [unweighted](double s, double t) { return unweighted ? 1 : s * t; };
        const double s0 = share(*a0, p), s1 = share(*a1, q), here = w(s0, s1);
        Weights<T> to{};
        to.own = static_cast<T>(((1 - omega2) * g1 + g2) / here), to.side = static_cast<T>(g1 * g2 * a2->k / here);
        to.before = static_cast<T>(g1 * g2 * a0->k * sign(*a0, p, 0) / w(beside(*a0, p, 0), s1));
        to.after = static_cast<T>(g1 * g2 * a0->k * sign(*a0, p, 1) / w(beside(*a0, p, 1), s1));
        to.left = static_cast<T>(g1 * g2 * a1->k * sign(*a1, q, 0) / w(s0, beside(*a1, q, 0)));
        to.right = static_cast<T>(g1 * g2 * a1->k * sign(*a1, q, 1) / w(s0, beside(*a1, q, 1)));
        to.f_end[0] = static_cast<T>(1 / w(share(*a2, 0), 1)),
        to.f_end[1] = static_cast<T>(1 / w(share(*a2, a2->n - 1), 1));
        to.kind = kind(g, to, true);
        return to;
    }
};

}  // namespace mgnet
