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

struct LevelAxis {
    long n, n_c;
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
    LevelAxis axes[3];
    long size, coarse_size;
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
        Level<T> level{};
        level.dims = grid.dims, level.size = grid.size(), level.coarse_size = grid.coarse_size();
        for (int d = 0; d < 3; d++) {
            const Axis& a = grid.axes[d];
            level.axes[d] = {a.n, grid.coarse[d], a.wraps, {a.lo.index, a.hi.index}};
            level.counted[d] = {grid.counted[d][0], grid.counted[d][1]};
            level.P[d] = matrix<T>(grid.P[d], a.wraps, arena), level.Q[d] = matrix<T>(grid.Q[d], a.wraps, arena);
            level.R[d] = matrix<T>(grid.R[d], a.wraps, arena), level.mass[d] = matrix<T>(grid.mass[d], a.wraps, arena);
            level.stiffness[d] = matrix<T>(grid.stiffness[d], a.wraps, arena);
        }
        level.sign[0] = static_cast<T>(grid.axes[2].lo.sign), level.sign[1] = static_cast<T>(grid.axes[2].hi.sign);
        std::vector<Step> both(grid.up);
        both.insert(both.end(), grid.down.begin(), grid.down.end());
        level.down = steps(problem.c, grid, grid.down, arena), level.up = steps(problem.c, grid, grid.up, arena);
        level.both = steps(problem.c, grid, both, arena), level.none = steps(problem.c, grid, {}, arena);
        return level;
    }

  private:
    static Steps<T> steps(double c, const Grid& g, const std::vector<Step>& each, Arena& arena) {
        const int nu = static_cast<int>(each.size());
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

    // a plane (or row) of that kind
    static long sample(const Axis& axis, int kind) {
        return most(0, least(kind <= 2 ? kind : axis.n - 1 - (4 - kind), axis.n - 1));
    }

    // u + omega / D (f / w - L u) at row q of plane p
    static Weights<T> step(double c, const Grid& g, double omega, long p, long q, bool unweighted) {
        const Axis &a0 = g.axes[0], &a1 = g.axes[1], &a2 = g.axes[2];
        const double L = 2 * g.sum_k() + c + a0.extra(p) + a1.extra(q);
        const double D = 2 * g.sum_k() + c + a0.diagonal(p) + a1.diagonal(q), gain = omega / D;
        const double w = unweighted ? 1 : a0.share(p) * a1.share(q);
        Weights<T> to{};
        to.own = static_cast<T>(L == D ? 1 - omega : 1 - gain * L);
        to.side = static_cast<T>(gain * a2.k), to.f = static_cast<T>(gain / w);
        to.before = static_cast<T>(gain * a0.k * a0.sign(p, 0)), to.after = static_cast<T>(gain * a0.k * a0.sign(p, 1));
        to.left = static_cast<T>(gain * a1.k * a1.sign(q, 0)), to.right = static_cast<T>(gain * a1.k * a1.sign(q, 1));
        for (int e = 0; e < 2; e++) {
            const long i = e == 0 ? 0 : a2.n - 1;
            const double L_e = L + a2.extra(i), D_e = D + a2.diagonal(i), gain_e = omega / D_e;
            to.own_end[e] = static_cast<T>(L_e == D_e ? 1 - omega : 1 - gain_e * L_e);
            to.scale_end[e] = static_cast<T>(gain_e / gain);
            to.f_end[e] = static_cast<T>(gain_e / (unweighted ? 1 : w * a2.share(i)));
        }
        to.kind = kind(g, to, true);
        return to;
    }

    // f - w L u there
    static Weights<T> residual(double c, const Grid& g, long p, long q, bool unweighted) {
        const Axis &a0 = g.axes[0], &a1 = g.axes[1], &a2 = g.axes[2];
        const double w = a0.share(p) * a1.share(q), m = c + a0.extra(p) + a1.extra(q);
        Weights<T> to{};
        to.own = static_cast<T>(w * m), to.side = static_cast<T>(w * a2.k), to.f = static_cast<T>(unweighted ? w : 1);
        to.before = to.after = static_cast<T>(w * a0.k), to.left = to.right = static_cast<T>(w * a1.k);
        to.sign_before = static_cast<T>(a0.sign(p, 0)), to.sign_after = static_cast<T>(a0.sign(p, 1));
        to.sign_left = static_cast<T>(a1.sign(q, 0)), to.sign_right = static_cast<T>(a1.sign(q, 1));
        for (int e = 0; e < 2; e++) {
            const long i = e == 0 ? 0 : a2.n - 1;
            const double s = a2.share(i);
            to.own_end[e] = static_cast<T>(w * s * (m + a2.extra(i))), to.scale_end[e] = static_cast<T>(s);
            to.f_end[e] = static_cast<T>(unweighted ? w * s : 1);
        }
        const bool even = to.sign_before == 1 && to.sign_after == 1;
        to.kind = kind(g, to, even && (g.dims < 3 || (to.sign_left == 1 && to.sign_right == 1)));
        return to;
    }

    // u_1 = g_1 F,   u_2 = (1 - omega_2) u_1 + g_2 (F + sum of k times u_1's neighbours),   g = omega / D, F = f / w
    static Weights<T> folded(double c, const Grid& g, double omega1, double omega2, long p, long q, bool unweighted) {
        const Axis &a0 = g.axes[0], &a1 = g.axes[1], &a2 = g.axes[2];
        const double D = 2 * g.sum_k() + c, g1 = omega1 / D, g2 = omega2 / D;
        auto w = [unweighted](double s, double t) { return unweighted ? 1 : s * t; };
        const double s0 = a0.share(p), s1 = a1.share(q), here = w(s0, s1);
        Weights<T> to{};
        to.own = static_cast<T>(((1 - omega2) * g1 + g2) / here), to.side = static_cast<T>(g1 * g2 * a2.k / here);
        auto plane = [&](int side) { return static_cast<T>(g1 * g2 * a0.k * a0.sign(p, side) / w(a0.share_beside(p, side), s1)); };
        auto row = [&](int side) { return static_cast<T>(g1 * g2 * a1.k * a1.sign(q, side) / w(s0, a1.share_beside(q, side))); };
        to.before = plane(0), to.after = plane(1), to.left = row(0), to.right = row(1);
        to.f_end[0] = static_cast<T>(1 / w(a2.share(0), 1)), to.f_end[1] = static_cast<T>(1 / w(a2.share(a2.n - 1), 1));
        to.kind = kind(g, to, true);
        return to;
    }

    static Kind kind(const Grid& g, const Weights<T>& w, bool mirrored) {
        if (g.dims == 1) return EVEN;
        if (!mirrored || w.before != w.after || w.left != w.right) return GENERAL;
        return w.before == w.side && (g.dims == 2 || w.left == w.side) ? EVEN : MIRRORED;
    }
};

}  // namespace mgnet
