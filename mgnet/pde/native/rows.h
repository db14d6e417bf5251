// What happens to one row of a grid: stencils of several stages in one loop, and tables.
//
// A row of a workspace has a ghost value on either side and SLACK numbers beyond, which are zero; a row of the
// caller's has neither, and nothing beyond it is read.
#pragma once
#include "simd.h"

namespace mgnet {

constexpr long SLACK = 64;  // numbers beyond either end of a workspace's row, at least three vectors

// The weights of a stencil, for one kind of row. At the ends of the row: `own`, what multiplies all but `own`, and
// how often f counts.
//
// step      out = own u + side (l + r) + before b + after a + left ... + right ... + f f
// residual  out = f f - own u - side ((u - l) + (u - r)) - before ((u - sign b) + ...) - ...
// fold      out = own F + side (l + r) + ...,    F = f, at the ends times `f_end`
template <class T> struct Weights {
    T own, side, before, after, left, right, f;
    T sign_before, sign_after, sign_left, sign_right;
    T own_end[2], scale_end[2], f_end[2];
};

// A stencil on a row: where its values lie, and where they go.
template <class T> struct Row {
    const Weights<T>* w;
    const T *here, *before, *after, *left, *right, *f;
    T* out;
    bool slack;  // whether `out` is a row of a workspace
    int parity;  // with colours: i + parity even is worked on
};

// What becomes of the last step's row where a residual follows: omega out + (1 - omega) begun, and a copy.
template <class T> struct Keep {
    const T* begun;
    T* copy;
    T omega;
};

// What lies along the rows: their length, the ends' reflections, and where f's memory ends.
template <class T> struct Line {
    long n;
    bool wraps;
    T sign[2];
    long index[2];
    const T *f_limit, *u_limit;
};

template <class T> static inline void fill_ghosts(T* row, const Line<T>& line) {
    row[-1] = line.sign[0] * row[line.index[0]];
    row[line.n] = line.sign[1] * row[line.index[1]];
}

template <class X> struct Rows {
    using T = typename X::T;
    using V = typename X::V;
    using M = typename X::M;
    static constexpr long W = X::W;

    // inner everywhere but at the row's first and last number
    static inline V ends(T inner, const T* end, long i, long n) {
        V v = X::splat(inner);
        if (i == 0) v[0] = end[0];
        if (n - i <= W && n - i >= 1) v[n - i - 1] = end[1];
        return v;
    }

    template <int Dims> static inline V sum_of_others(const Row<T>& s, long i, V fresh, long left, const T* limit, V scale) {
        V v = {};
        if constexpr (Dims >= 2) {
            const V b = limit ? scale * X::load_some(s.before + i, left, limit) : X::load(s.before + i);
            v = s.w->before * b + s.w->after * fresh;
        }
        if constexpr (Dims == 3) {
            const V l = limit ? scale * X::load_some(s.left + i, left, limit) : X::load(s.left + i);
            const V r = limit ? scale * X::load_some(s.right + i, left, limit) : X::load(s.right + i);
            v += s.w->left * l + s.w->right * r;
        }
        return v;
    }

    // differences, so that the diagonal is never summed: what is almost constant keeps its small residual
    template <int Dims> static inline V differences(const Row<T>& s, long i, V u, V l, V r, V fresh) {
        V v = s.w->side * ((u - l) + (u - r));
        if constexpr (Dims >= 2)
            v += s.w->before * (u - s.w->sign_before * X::load(s.before + i)) + s.w->after * (u - s.w->sign_after * fresh);
        if constexpr (Dims == 3)
            v += s.w->left * (u - s.w->sign_left * X::load(s.left + i)) + s.w->right * (u - s.w->sign_right * X::load(s.right + i));
        return v;
    }

    // Steps of rows p, p - 1, ..., and then the residual of the row after them, in one loop: each takes what the one
    // before it leaves as `after`. `Fold`: the first is a stencil on f itself. `Keeps`: the last step's row is kept.
    // Returns the residual's sum of squares.
    template <int Dims, int Steps, bool Rest, bool Fold, bool Keeps, bool Coloured>
    __attribute__((noinline)) static double wave(const Row<T>* given, const Line<T>& line, const Keep<T>& keep) {
        constexpr int K = Steps + Rest;
        const long n = line.n;
        Row<T> rows[K];
        V a[K], b[K];
        M colours[K] = {};
        for (int k = 0; k < K; k++) {
            rows[k] = given[k];
            if (!(Fold && k == 0)) a[k] = X::load(rows[k].here - W), b[k] = X::load(rows[k].here);
            if constexpr (Coloured)
                for (int j = 0; j < W; j++) colours[k][j] = (j + rows[k].parity) % 2 == 0 ? -1 : 0;
        }
        V ghost_hi = {}, squares = {};
        if constexpr (Fold) {
            const Row<T>& s = rows[0];
            auto at = [&](long i) { return s.here[i] * (i == 0 ? s.w->f_end[0] : i == n - 1 ? s.w->f_end[1] : T(1)); };
            const bool wraps = line.wraps;
            a[0] = X::splat(wraps ? at(n - 1) : line.sign[0] * at(line.index[0]));
            ghost_hi = X::splat(wraps ? at(0) : line.sign[1] * at(line.index[1]));
            b[0] = X::load_some(s.here, n, line.f_limit);
            b[0][0] *= s.w->f_end[0];
            if (n <= W) b[0][n - 1] *= s.w->f_end[1];
        }
        auto body = [&](long i, auto edge) __attribute__((always_inline)) {
            constexpr bool Edge = decltype(edge)::value;
            const long left = n - i;
            V fresh = {};
            if constexpr (Dims >= 2 && !Fold) fresh = X::load(rows[0].after + i);
#pragma GCC unroll 4
            for (int k = 0; k < K; k++) {
                const Row<T>& s = rows[k];
                const Weights<T>& w = *s.w;
                V v;
                if (Fold && k == 0) {
                    V scale = X::splat(1), here = b[0], next;
                    if constexpr (Edge) {
                        scale = ends(T(1), w.f_end, i, n);
                        next = X::load_some(s.here + i + W, left - W, left > W ? line.f_limit : s.here + i);
                        if (left > W && left <= 2 * W) next[left - W - 1] *= w.f_end[1];
                        const M inside = X::below(left);
                        here = X::where(inside, here, ghost_hi);
                        if (left <= W) next = ghost_hi;
                        if constexpr (Dims >= 2) fresh = scale * X::load_some(s.after + i, left, line.f_limit);
                        v = sum_of_others<Dims>(s, i, fresh, left, line.f_limit, scale);
                    } else {
                        next = X::load(s.here + i + W);
                        if constexpr (Dims >= 2) fresh = X::load(s.after + i);
                        v = sum_of_others<Dims>(s, i, fresh, left, nullptr, scale);
                    }
                    v += w.own * here + w.side * (X::before(a[0], here) + X::after(here, next));
                    a[0] = b[0], b[0] = next;
                } else {
                    const V u = b[k], next = X::load(s.here + i + W), l = X::before(a[k], u), r = X::after(u, next);
                    V f, own = X::splat(w.own), scale;
                    if constexpr (Edge) {
                        f = ends(w.f, w.f_end, i, n) * X::load_some(s.f + i, left, line.f_limit);
                        own = ends(w.own, w.own_end, i, n);
                        scale = ends(T(1), w.scale_end, i, n);
                    } else {
                        f = w.f * X::load(s.f + i);
                    }
                    if (k < Steps) {
                        v = w.side * (l + r) + sum_of_others<Dims>(s, i, fresh, left, nullptr, scale);
                        if constexpr (Edge) v = scale * v;
                        v += own * u + f;
                        if constexpr (Coloured) v = X::where(colours[k], v, u);
                    } else {
                        v = differences<Dims>(s, i, u, l, r, fresh);
                        if constexpr (Edge) v = scale * v;
                        v = f - own * u - v;
                    }
                    a[k] = u, b[k] = next;
                }
                if constexpr (Keeps) {
                    if (k == Steps - 1) {
                        if (keep.omega != 1) {
                            const V begun = Edge ? X::load_some(keep.begun + i, left, line.u_limit) : X::load(keep.begun + i);
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
        constexpr long near = Fold ? 2 * W : W;  // numbers that an inner vector needs, the last of the row not among them
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
            const V weight = i == 0 || n - i <= W ? ends(a, end, i, n) : X::splat(a);
            const V v = X::where(colour, weight * X::load_some(x + i, n - i, limit), V{});
            X::store(out + i, v);
            squares += v * v;
        }
        return X::sum(squares);
    }

    static double dot(const T* x, const T* y, long n) {
        V total = {}, other = {};
        long i = 0;
        for (; i + 2 * W <= n; i += 2 * W) total += X::load(x + i) * X::load(y + i), other += X::load(x + i + W) * X::load(y + i + W);
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
    template <int N> static void combine(T* out, const T* const* rows, const T* weights, long n, bool begun) {
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
            const T *const* r = rows + done, *w = weights + done;
            const bool begun = done > 0;
            switch (count - done) {
                case 0: return clear(out, n);
                case 1: combine<1>(out, r, w, n, begun), done += 1; break;
                case 2: combine<2>(out, r, w, n, begun), done += 2; break;
                case 3: combine<3>(out, r, w, n, begun), done += 3; break;
                case 5: combine<5>(out, r, w, n, begun), done += 5; break;
                case 9: combine<9>(out, r, w, n, begun), done += 9; break;
                default: combine<4>(out, r, w, n, begun), done += 4;
            }
        }
    }

    static void clear(T* out, long n) {
        for (long i = 0; i < n; i++) out[i] = 0;
    }
};

}  // namespace mgnet
