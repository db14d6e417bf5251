// What happens to one row of a grid: stencils of several stages in one loop, and tables.
//
// A row of a workspace has a ghost value on either side and SLACK numbers beyond, which are zero; a row of the
// caller's has neither, and nothing beyond it is read.
#pragma once
#include "simd.h"

namespace mgnet {

constexpr long SLACK = 64;  // numbers beyond either end of a workspace's row, at least three vectors

// How a stencil's weights are related: not at all, the same on either side of an unknown (no end of the grid is
// near, but along the row), or all the same.
enum Kind { GENERAL, MIRRORED, EVEN };

// The weights of a stencil, for one kind of row. At the ends of the row: `own`, what multiplies all but `own`, and
// how often f counts.
//
// step      out = own u + side (l + r) + before b + after a + left ... + right ... + f f
// residual  out = f f - own u - side ((u - l) + (u - r)) - before ((u - sign b) + ...) - ...
// fold      out = own F + side (l + r) + ...,    F = f, at the ends times `f_end`
template <class T>
struct Weights {
    T own, side, before, after, left, right, f;
    T sign_before, sign_after, sign_left, sign_right;
    T own_end[2], scale_end[2], f_end[2];
    Kind kind;
};

// A stencil on a row: where its values lie, and where they go.
template <class T>
struct Row {
    const Weights<T>* w;
    const T *here, *before, *after, *left, *right, *f;
    T* out;
    bool slack;  // whether `out` is a row of a workspace
    int parity;  // with colours: i + parity even is worked on
};

// What becomes of the last step's row where a residual follows: omega out + (1 - omega) begun, and a copy.
template <class T>
struct Keep {
    const T* begun;
    T* copy;
    T omega;
    const T *ahead, *ahead2;  // rows that will be needed soon
};

// What lies along the rows: their length, the ends' reflections, and where f's memory ends.
template <class T>
struct Line {
    long n;
    bool wraps;
    T sign[2];
    long index[2];
    const T *f_limit, *u_limit;
};

template <class T>
static inline void fill_ghosts(T* row, const Line<T>& line) {
    row[-1] = line.sign[0] * row[line.index[0]];
    row[line.n] = line.sign[1] * row[line.index[1]];
}

template <class X>
struct Rows {
    using T = typename X::T;
    using V = typename X::V;
    using M = typename X::M;
    static constexpr long W = X::W;

    // The weights of a stencil in registers: nothing that is stored can change them.
    struct Splat {
        V own, side, before, after, left, right, f;
        explicit Splat(const Weights<T>& w)
            : own(X::splat(w.own)),
              side(X::splat(w.side)),
              before(X::splat(w.before)),
              after(X::splat(w.after)),
              left(X::splat(w.left)),
              right(X::splat(w.right)),
              f(X::splat(w.f)) {}
        Splat() = default;
    };

    // inner everywhere but at the row's first and last number
    static inline V ends(V inner, const T* end, M first, M last) {
        return X::where(first, X::splat(end[0]), X::where(last, X::splat(end[1]), inner));
    }

    // The sum of u's neighbours times their weights, u excepted.
    template <int Dims, Kind kind>
    static inline V sum(const Splat& w, V l, V r, V b, V a, V m, V p) {
        if constexpr (Dims == 1) return w.side * (l + r);
        if constexpr (kind == EVEN) return w.side * (Dims == 2 ? (l + r) + (b + a) : ((l + r) + (m + p)) + (b + a));
        V v = w.side * (l + r);
        if constexpr (kind == MIRRORED) v += w.before * (b + a);
        if constexpr (kind == GENERAL) v += w.before * b + w.after * a;
        if constexpr (Dims == 3 && kind == MIRRORED) v += w.left * (m + p);
        if constexpr (Dims == 3 && kind == GENERAL) v += w.left * m + w.right * p;
        return v;
    }

    // The same of differences, so that the diagonal is never summed: what is almost constant keeps its small residual.
    template <int Dims, Kind kind>
    static inline V differences(const Splat& w, const Weights<T>& of, V u, V l, V r, V b, V a, V m, V p) {
        if constexpr (kind == GENERAL) b *= of.sign_before, a *= of.sign_after, m *= of.sign_left, p *= of.sign_right;
        return sum<Dims, kind == GENERAL ? MIRRORED : kind>(w, u - l, u - r, u - b, u - a, u - m, u - p);
    }

    // Steps of rows p, p - 1, ..., and then the residual of the row after them, in one loop: each takes what the one
    // before it leaves as `after`. `Fold`: the first is a stencil on f itself. `Keeps`: the last step's row is kept.
    // Returns the residual's sum of squares.
    template <int Dims, int Steps, bool Rest, bool Fold, bool Keeps, bool Coloured, Kind kind>
    __attribute__((noinline)) static double wave(const Row<T>* given, const Line<T>& line, const Keep<T>& keep) {
        constexpr int K = Steps + Rest;
        const long n = line.n;
        Row<T> rows[K];
        Splat splats[K];
        M colours[K] = {};
        for (int k = 0; k < K; k++) {
            rows[k] = given[k], splats[k] = Splat(*rows[k].w);
            if constexpr (Coloured)
                for (int j = 0; j < W; j++) colours[k][j] = (j + rows[k].parity) % 2 == 0 ? -1 : 0;
        }
        constexpr bool Carries =
            Dims == 3;  // loads that cross a cache line cost twice; in 3-D there are many of others
        V before_[K], here_[K];
        if constexpr (Carries)
            for (int k = 0; k < K; k++)
                if (!(Fold && k == 0)) before_[k] = X::load(rows[k].here - W), here_[k] = X::load(rows[k].here);
        V ghost_lo = {}, ghost_hi = {}, squares = {};
        if constexpr (Fold) {
            const Row<T>& s = rows[0];
            auto at = [&](long i) { return s.here[i] * (i == 0 ? s.w->f_end[0] : i == n - 1 ? s.w->f_end[1] : T(1)); };
            ghost_lo = X::splat(line.sign[0] * at(line.index[0])),
            ghost_hi = X::splat(line.sign[1] * at(line.index[1]));
        }
        const bool relaxes = keep.omega != 1;
        auto body = [&](long i, auto edge) __attribute__((always_inline)) {
            constexpr bool Edge = decltype(edge)::value;
            const long left = n - i;
            M first = {}, last = {};
            if constexpr (!Edge) __builtin_prefetch(keep.ahead + i), __builtin_prefetch(keep.ahead2 + i);
            if constexpr (Edge) first = X::lane(-i), last = X::lane(left - 1);
            V fresh = {};
            if constexpr (Dims >= 2 && !Fold) fresh = X::load(rows[0].after + i);
#pragma GCC unroll 4
            for (int k = 0; k < K; k++) {
                const Row<T>& s = rows[k];
                const Weights<T>& of = *s.w;
                const Splat& w = splats[k];
                V v, b = {}, m = {}, p = {};
                if (Fold && k == 0) {
                    V scale = X::splat(1), here, l, r;
                    auto get = [&](const T* row) __attribute__((always_inline)) {
                        if constexpr (Edge) return scale * X::load_some(row + i, left, line.f_limit);
                        return X::load(row + i);
                    };
                    if constexpr (Edge) {
                        scale = ends(X::splat(1), of.f_end, first, last);
                        here = X::where(X::below(left), get(s.here), ghost_hi);
                        V next = left <= W ? ghost_hi : X::load_some(s.here + i + W, left - W, line.f_limit);
                        if (left == W + 1) next[0] *= of.f_end[1];
                        l = i == 0 ? X::before(ghost_lo, here) : X::load_some(s.here + i - 1, left + 1, line.f_limit);
                        r = X::after(here, next);
                    } else {
                        here = get(s.here), l = X::load(s.here + i - 1), r = X::load(s.here + i + 1);
                    }
                    if constexpr (Dims >= 2) b = get(s.before), fresh = get(s.after);
                    if constexpr (Dims == 3) m = get(s.left), p = get(s.right);
                    v = sum<Dims, kind>(w, l, r, b, fresh, m, p) + w.own * here;
                } else {
                    V u, l, r;
                    if constexpr (Carries) {
                        const V next = X::load(s.here + i + W);
                        u = here_[k], l = X::before(before_[k], u), r = X::after(u, next);
                        before_[k] = u, here_[k] = next;
                    } else {
                        u = X::load(s.here + i), l = X::load(s.here + i - 1), r = X::load(s.here + i + 1);
                    }
                    V f, own = w.own, scale;
                    if constexpr (Edge) {
                        f = ends(w.f, of.f_end, first, last) * X::load_some(s.f + i, left, line.f_limit);
                        own = ends(w.own, of.own_end, first, last);
                        scale = ends(X::splat(1), of.scale_end, first, last);
                    } else {
                        f = w.f * X::load(s.f + i);
                    }
                    if constexpr (Dims >= 2) b = X::load(s.before + i);
                    if constexpr (Dims == 3) m = X::load(s.left + i), p = X::load(s.right + i);
                    if (k < Steps) {
                        v = sum<Dims, kind>(w, l, r, b, fresh, m, p);
                        if constexpr (Edge) v = scale * v;
                        v += own * u + f;
                        if constexpr (Coloured) v = X::where(colours[k], v, u);
                    } else {
                        v = differences<Dims, kind>(w, of, u, l, r, b, fresh, m, p);
                        if constexpr (Edge) v = scale * v;
                        v = f - own * u - v;
                    }
                }
                if constexpr (Keeps) {
                    if (k == Steps - 1) {
                        if (relaxes) {
                            const V begun =
                                Edge ? X::load_some(keep.begun + i, left, line.u_limit) : X::load(keep.begun + i);
                            v = keep.omega * v + (1 - keep.omega) * begun;
                        }
                        if (keep.copy && Edge) X::store_some(keep.copy + i, v, left);
                        if (keep.copy && !Edge) X::store(keep.copy + i, v);
                    }
                }
                if constexpr (Edge) v = X::first(v, left);
                if (!Edge || s.slack)
                    X::store(s.out + i, v);
                else
                    X::store_some(s.out + i, v, left);
                if (Rest && k == Steps) squares += v * v;
                fresh = v;
            }
        };
        constexpr long near =
            Fold ? W + 1 : W;  // numbers that an inner vector needs, the last of the row not among them
        body(0, std::true_type{});
        long i = W;
        for (; i + near < n; i += W) body(i, std::false_type{});
        for (; i < n; i += W) body(i, std::true_type{});
        for (int k = 0; k < K; k++)
            if (rows[k].slack && !(Rest && k == Steps)) fill_ghosts(rows[k].out, line);
        return X::sum(squares);
    }

    // out = a x (at the ends `end` x) where i + parity is even (everywhere if parity < 0), else 0; its sum of squares
    static double scale(T* out, const T* x, long n, T a, const T* end, int parity, const T* limit) {
        M colour = {};
        for (int j = 0; j < W; j++) colour[j] = parity < 0 || (j + parity) % 2 == 0 ? -1 : 0;
        V squares = {};
        for (long i = 0; i < n; i += W) {
            const V weight = ends(X::splat(a), end, X::lane(-i), X::lane(n - i - 1));
            const V v = X::where(colour, weight * X::load_some(x + i, n - i, limit), V{});
            X::store(out + i, v);
            squares += v * v;
        }
        return X::sum(squares);
    }

    static double dot(const T* x, const T* y, long n) {
        V total = {}, other = {};
        long i = 0;
        for (; i + 2 * W <= n; i += 2 * W)
            total += X::load(x + i) * X::load(y + i), other += X::load(x + i + W) * X::load(y + i + W);
        T rest = 0;
        for (; i < n; i++) rest += x[i] * y[i];
        return static_cast<double>(X::sum(total + other)) + rest;
    }

    static double absolute(const T* x, long n) {
        V total = {};
        long i = 0;
        for (; i + W <= n; i += W) {
            const V v = X::load(x + i);
            total += X::where(v < 0, -v, v);
        }
        T rest = 0;
        for (; i < n; i++) rest += x[i] < 0 ? -x[i] : x[i];
        return static_cast<double>(X::sum(total)) + rest;
    }

    // out = (out, once begun) + the weighted sum of N rows; the rows may lie in the caller's memory
    template <int N>
    static void combine(T* out, const T* const* rows, const T* weights, long n, bool begun) {
        const T* r[N];
        V w[N];
        for (int k = 0; k < N; k++) r[k] = rows[k], w[k] = X::splat(weights[k]);
        long i = 0;
        for (; i + W <= n; i += W) {
            V v = begun ? X::load(out + i) : V{};
#pragma GCC unroll 16
            for (int k = 0; k < N; k++) v += w[k] * X::load(r[k] + i);
            X::store(out + i, v);
        }
        for (; i < n; i++) {
            T v = begun ? out[i] : T(0);
            for (int k = 0; k < N; k++) v += weights[k] * r[k][i];
            out[i] = v;
        }
    }

    static void combine_any(T* out, const T* const* rows, const T* weights, int count, long n) {
        for (int done = 0; done == 0 || done < count;) {
            const T *const *r = rows + done, *w = weights + done;
            const bool begun = done > 0;
            switch (count - done) {
                case 0:
                    return clear(out, n);
                case 1:
                    combine<1>(out, r, w, n, begun), done += 1;
                    break;
                case 2:
                    combine<2>(out, r, w, n, begun), done += 2;
                    break;
                case 3:
                    combine<3>(out, r, w, n, begun), done += 3;
                    break;
                case 5:
                    combine<5>(out, r, w, n, begun), done += 5;
                    break;
                default:
                    combine<4>(out, r, w, n, begun), done += 4;
            }
        }
    }

    static void clear(T* out, long n) {
        for (long i = 0; i < n; i++) out[i] = 0;
    }
};

}  // namespace mgnet
