// What happens to one row of a separable grid: several stages in one loop. Along the row the couplings k and the
// weights w are vectors, which the stages share; across it they are a few numbers a row.
//
//     A u = s (k_j (u - l) + k_{j+1} (u - r) + m_j u) + w_j (before (u - b) + after (u - a) + left ... + own u)
//     D   = s sum_j + w_j total
//
// first     out = omega f / D
// step      out = (1 - omega) u + omega (f + what the neighbours add) / D
// residual  out = f - A u
//
// Beyond the ends there are zeros, so no stage asks which end it meets; beyond a row's last number vectors are zero.
#pragma once
#include "rows.h"

namespace mgnet {

// The numbers of a row's couplings.
template <class T>
struct Couplings {
    T s, before, after, left, right, own, total;
};

template <class T>
struct SeparableRow {
    Couplings<T> w;
    T omega;
    const T *here, *before, *after, *left, *right, *f;
    T* out;
    bool slack;  // whether `out` is a row of a workspace
};

// What the rows of a grid have in common.
template <class T>
struct AlongRow {
    const T *k, *m, *sum, *w;
};

template <class X>
struct SeparableRows {
    using T = typename X::T;
    using V = typename X::V;
    static constexpr long W = X::W;

    struct Splat {
        V s, before, after, left, right, own, total, omega, rest;
        explicit Splat(const SeparableRow<T>& row)
            : s(X::splat(row.w.s)),
              before(X::splat(row.w.before)),
              after(X::splat(row.w.after)),
              left(X::splat(row.w.left)),
              right(X::splat(row.w.right)),
              own(X::splat(row.w.own)),
              total(X::splat(row.w.total)),
              omega(X::splat(row.omega)),
              rest(X::splat(1 - row.omega)) {}
        Splat() = default;
    };

    struct Here {
        V k, next, m, sum, w;  // of the vector that is worked on
    };

    // Stages of rows p, p - 1, ... in one loop: `Steps` steps (`First`: the first of them from zero), and the residual.
    // Returns the residual's sum of squares.
    template <int Dims, int Steps, bool Rest, bool First>
    __attribute__((noinline)) static double wave(const SeparableRow<T>* given, const AlongRow<T>& grid,
                                                 const Line<T>& line, const Keep<T>& keep) {
        constexpr int K = Steps + Rest;
        SeparableRow<T> rows[K];
        Splat splats[K];
        for (int k = 0; k < K; k++) rows[k] = given[k], splats[k] = Splat(rows[k]);
        V squares = {};
        auto body = [&](long i, auto edge) __attribute__((always_inline)) {
            constexpr bool Edge = decltype(edge)::value;
            if constexpr (!Edge) __builtin_prefetch(keep.ahead + i), __builtin_prefetch(keep.ahead2 + i);
            const Here c{X::load(grid.k + i), X::load(grid.k + i + 1), Rest ? X::load(grid.m + i) : V{},
                         Steps ? X::load(grid.sum + i) : V{}, X::load(grid.w + i)};
            V fresh = {};
            if constexpr (!First) fresh = X::load(rows[0].after + i);
#pragma GCC unroll 4
            for (int k = 0; k < K; k++) {
                const SeparableRow<T>& s = rows[k];
                const Splat& w = splats[k];
                const V f = Edge ? X::load_some(s.f + i, line.n - i, line.f_limit) : X::load(s.f + i);
                V v;
                if (k == Steps)
                    v = residual<Dims>(w, c, s, i, fresh, f);
                else if (First && k == 0)
                    v = w.omega * (f / (w.s * c.sum + w.total * c.w));
                else
                    v = step<Dims>(w, c, s, i, fresh, f);
                if (Steps > 0 && k == Steps - 1) v = kept<Edge>(v, i, line, keep);
                if constexpr (Edge) v = X::first(v, line.n - i);
                if (!Edge || s.slack)
                    X::store(s.out + i, v);
                else
                    X::store_some(s.out + i, v, line.n - i);
                if (Rest && k == Steps) squares += v * v;
                fresh = v;
            }
        };
        long i = 0;
        for (; i + W < line.n; i += W) body(i, std::false_type{});
        body(i, std::true_type{});
        for (int k = 0; k < Steps; k++)
            if (rows[k].slack) fill_ghosts(rows[k].out, line);
        return X::sum(squares);
    }

  private:
    template <int Dims>
    static inline V step(const Splat& w, const Here& c, const SeparableRow<T>& s, long i, V fresh, V f) {
        V across = w.before * X::load(s.before + i) + w.after * fresh;
        if constexpr (Dims == 3) across += w.left * X::load(s.left + i) + w.right * X::load(s.right + i);
        const V along = c.k * X::load(s.here + i - 1) + c.next * X::load(s.here + i + 1);
        const V sum = f + w.s * along + c.w * across;
        return w.rest * X::load(s.here + i) + w.omega * (sum / (w.s * c.sum + w.total * c.w));
    }

    // of differences, so that the diagonal is never summed: what is almost constant keeps its small residual
    template <int Dims>
    static inline V residual(const Splat& w, const Here& c, const SeparableRow<T>& s, long i, V fresh, V f) {
        const V u = X::load(s.here + i);
        V across = w.own * u + w.before * (u - X::load(s.before + i)) + w.after * (u - fresh);
        if constexpr (Dims == 3)
            across += w.left * (u - X::load(s.left + i)) + w.right * (u - X::load(s.right + i));
        const V along = c.m * u + c.k * (u - X::load(s.here + i - 1)) + c.next * (u - X::load(s.here + i + 1));
        return f - w.s * along - c.w * across;
    }

    template <bool Edge>
    static inline V kept(V v, long i, const Line<T>& line, const Keep<T>& keep) {
        if (keep.omega != 1) {
            const V begun = Edge ? X::load_some(keep.begun + i, line.n - i, line.u_limit) : X::load(keep.begun + i);
            v = keep.omega * v + (1 - keep.omega) * begun;
        }
        if (keep.copy && Edge) X::store_some(keep.copy + i, v, line.n - i);
        if (keep.copy && !Edge) X::store(keep.copy + i, v);
        return v;
    }
};

}  // namespace mgnet
