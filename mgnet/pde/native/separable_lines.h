// Line smoothing of separable operators: Jacobi's steps whose unknowns are the lines along axis 0, all of them at once.
//
//     u <- u + omega T^-1 (f - A u),    T the part of A along its lines, with all of A's diagonal
//
// With the other axes coarsened alone, these steps smooth whatever the spacings: where lines are coupled strongly to
// their neighbours, as points along an axis are, and where they are not, T^-1 all but solves. T = L D L^T a column at a
// time, c_i the coupling of i - 1 and i, x_i the row sum:
//
//     1 / q_i = c_{i+1} + e_i,   e_i = x_i + c_i q_{i-1} e_{i-1}     (nothing is subtracted)
//     z_i = q_i (r_i + c_i z_{i-1}),   v_i = z_i + q_i c_{i+1} v_{i+1}
//
// A closed line is opened at its last unknown; g is what the others are for 1 there.
#pragma once
#include <limits>

#include "level.h"

namespace mgnet {

constexpr long TILE = 1 << 18;  // bytes of z in a tile of columns, about

// What a step works on.
template <class T>
struct LineStep {
    const T *u, *f;  // u: 0 for zero
    T* out;
    T omega, length;  // out = length (u + omega ...) + (1 - length) begun
    const T* begun;
};

template <class X>
struct SeparableLines {
    using T = typename X::T;
    using V = typename X::V;
    static constexpr long W = X::W;

    static long width_of(const Level<T>& g, long crew) {
        const long fits = TILE / (g.a0.n * static_cast<long>(sizeof(T))), share = (g.a2.n + crew - 1) / crew;
        const long width = fits < share ? fits : share;
        return ((width > 4 * W ? width : 4 * W) + W - 1) / W * W;
    }
    static long workspace(const Level<T>& g) { return (g.a0.n + 3) * padded_width(g) + g.a2.n + 2 * SLACK; }
    static long tiles(const Level<T>& g, long width) { return (g.a2.n + width - 1) / width; }

    // q and g of every line
    static void factor(Level<T>& g, Arena& arena) {
        g.stride = (g.a2.n + W - 1) / W * W + 2 * W;
        const long size = g.a0.n * g.a1.n * g.stride;
        T *q = arena.take<T>(size), *closing = g.a0.wraps ? arena.take<T>(size) : nullptr;
        double* work = arena.take<double>(3 * g.a0.n);
        for (long p = 0; p < g.a1.n; p++)
            for (long j = 0; j < g.a2.n; j++) {
                const long at = p * g.stride + j, step = g.a1.n * g.stride;
                const double last = one(g, p, j, q + at, step, work);
                if (closing) close(g, p, j, last, q + at, closing + at, step, work);
            }
        g.q = q, g.closing = closing;
    }

    // a step on columns [tile * width, ...) of sheet p
    static void step(const Level<T>& g, const LineStep<T>& s, long p, long tile, long width, T* space) {
        const long J0 = tile * width, J1 = J0 + width < g.a2.n ? J0 + width : g.a2.n;
        const SeparableLines lines(g, s, p, J0, J1, space);
        if (g.dims == 2)
            lines.template go<2>();
        else
            lines.template go<3>();
    }

  private:
    const Level<T>& g;
    const LineStep<T>& s;
    const long p, J0, J1;
    T* const space;
    const long width;

    SeparableLines(const Level<T>& level, const LineStep<T>& step, long sheet, long from, long to, T* workspace)
        : g(level), s(step), p(sheet), J0(from), J1(to), space(workspace), width(padded_width(level)) {}

    static long padded_width(const Level<T>& g) { return width_of(g, 1) + 2 * W; }

    static double coupling(const Level<T>& g, long p, long j, long i) {
        return i == 0 && !g.a0.wraps ? 0
                                     : double(g.vectors[0].k[i]) * g.vectors[1].w[0][p] * g.vectors[2].w[0][j];
    }
    static double row_sum(const Level<T>& g, long p, long j, long i) {
        const AxisVectors<T>&v0 = g.vectors[0], &v1 = g.vectors[1], &v2 = g.vectors[2];
        double own = v0.m[i];
        if (!g.a0.wraps) own += (i == 0 ? v0.k[0] : T(0)) + (i == g.a0.n - 1 ? v0.k[g.a0.n] : T(0));
        const double along = double(v0.w[2][i]) * v1.w[2][p] * v2.sum[j];
        return along + v2.w[0][j] * (own * v1.w[0][p] + (g.dims == 3 ? double(v0.w[1][i]) * v1.sum[p] : 0));
    }

    // q of a line, opened if it is closed, and e; returns the last one's 1 / q, before it is opened
    static double one(const Level<T>& g, long p, long j, T* q, long step, double* work) {
        const long n = g.a0.n, count = g.a0.wraps ? n - 1 : n;
        double *inverse = work, *sums = work + n, before = 0, e = 0;
        for (long i = 0; i < n; i++) sums[i] = row_sum(g, p, j, i);
        for (long i = 0; i < count; i++) {
            const double c = i == 0 ? 0 : coupling(g, p, j, i);
            const double next = i + 1 < count ? coupling(g, p, j, i + 1) : 0;
            double x = sums[i];
            if (g.a0.wraps && i == 0) x += coupling(g, p, j, 0);
            if (g.a0.wraps && i == n - 2) x += coupling(g, p, j, n - 1);
            e = x + c * before * e;
            const double pivot = next + e;
            before = pivot > 8 * std::numeric_limits<T>::epsilon() * (next + c + x) ? 1 / pivot : 0;
            inverse[i] = before, q[i * step] = static_cast<T>(before);
        }
        return sums[n - 1];
    }

    static void close(const Level<T>& g, long p, long j, double last, T* q, T* closing, long step, double* work) {
        const long n = g.a0.n;
        double *inverse = work, *sums = work + n, *v = work + 2 * n, size = last;
        for (long i = 0; i < n - 1; i++) {
            v[i] = (i == 0 ? coupling(g, p, j, 0) : coupling(g, p, j, i) * v[i - 1]);
            if (i == n - 2) v[i] += coupling(g, p, j, n - 1);
            v[i] *= inverse[i];
        }
        for (long i = n - 2; i >= 0; i--) {
            if (i < n - 2) v[i] += inverse[i] * coupling(g, p, j, i + 1) * v[i + 1];
            last += v[i] * sums[i], closing[i * step] = static_cast<T>(v[i]);
        }
        size += coupling(g, p, j, 0) + coupling(g, p, j, n - 1);
        q[(n - 1) * step] = last > 8 * std::numeric_limits<T>::epsilon() * size ? static_cast<T>(1 / last) : T(0);
    }

    template <int Dims>
    void go() const {
        if (s.u)
            g.a0.wraps ? forward<Dims, true, true>() : forward<Dims, true, false>();
        else
            g.a0.wraps ? forward<Dims, false, true>() : forward<Dims, false, false>();
        g.a0.wraps ? backward<true>() : backward<false>();
    }

    long row(long i) const { return (i * g.a1.n + p) * g.a2.n; }
    long factors(long i) const { return (i * g.a1.n + p) * g.stride; }
    T* extra(long k) const { return space + (g.a0.n + k) * width; }

    V get(const T* v, long j, const T* begin) const {
        return j + W <= g.a2.n ? X::load(v + j) : X::load_some(v + j, g.a2.n - j, begin + g.size);
    }

    // columns [J0 - 1, J1] of a row of u, with what lies beyond the ends
    const T* with_ghosts(long i) const {
        const long n = g.a2.n;
        T* to = extra(3) + SLACK;
        const T* from = s.u + row(i);
        for (long j = J0 > 0 ? J0 - 1 : 0; j <= J1 && j < n; j++) to[j] = from[j];
        if (J0 == 0) to[-1] = g.a2.wraps ? from[n - 1] : T(0);
        if (J1 == n) to[n] = g.a2.wraps ? from[0] : T(0);
        for (long j = J1 + 1; j < J1 + W; j++) to[j] = 0;
        return to;
    }

    template <int Dims, bool Begun, bool Closed>
    void forward() const {
        const AxisVectors<T>&v0 = g.vectors[0], &v1 = g.vectors[1], &v2 = g.vectors[2];
        for (long k = 0; k < J1 - J0; k += W) X::store(extra(0) + k, V{}), X::store(extra(1) + k, V{});
        const T* before = extra(0);
        for (long i = 0; i < g.a0.n; i++) {
            const T *f = s.f + row(i), *q = g.q + factors(i), *u = Begun ? with_ghosts(i) : nullptr;
            const T scale = v0.w[2][i] * v1.w[2][p], c = i > 0 ? v1.w[0][p] * v0.k[i] : T(0);
            const T left = v0.w[1][i] * v1.k[p], right = v0.w[1][i] * v1.k[p + 1];
            const T *l = g.nothing, *r = g.nothing;
            if (Dims == 3 && Begun) l = beside(i, p - 1), r = beside(i, p + 1);
            const bool last = Closed && i == g.a0.n - 1;
            T* z = space + i * width;
            for (long j = J0, k = 0; j < J1; j += W, k += W) {
                V sum = get(f, j, s.f);
                if constexpr (Begun) {
                    const V low = X::load(v2.k + j) * X::load(u + j - 1);
                    sum += scale * (low + X::load(v2.k + j + 1) * X::load(u + j + 1));
                    if constexpr (Dims == 3)
                        sum += X::load(v2.w[0] + j) * (left * get(l, j, s.u) + right * get(r, j, s.u));
                }
                T* total = extra(1) + k;
                if (last) {
                    sum += X::load(total);
                } else {
                    if constexpr (Closed) X::store(total, X::load(total) + X::load(g.closing + factors(i) + j) * sum);
                    sum += c * X::load(v2.w[0] + j) * X::load(before + k);
                }
                X::store(z + k, X::load(q + j) * sum);
            }
            before = z;
        }
    }

    // row (i, p1) of u, or zeros
    const T* beside(long i, long p1) const {
        const long n = g.a1.n;
        if (p1 < 0 || p1 >= n) return g.a1.wraps ? s.u + (i * n + (p1 + n) % n) * g.a2.n : g.nothing;
        return s.u + (i * n + p1) * g.a2.n;
    }

    template <bool Closed>
    void backward() const {
        const AxisVectors<T>&v0 = g.vectors[0], &v1 = g.vectors[1], &v2 = g.vectors[2];
        const long n = g.a0.n;
        T *after = extra(0), *end = space + (n - 1) * width;
        for (long k = 0; k < J1 - J0; k += W) X::store(after + k, V{});
        for (long i = n - 1; i >= 0; i--) {
            const T *q = g.q + factors(i), *z = space + i * width;
            const bool last = Closed && i == n - 1;
            const T c = last || i == n - 1 || (Closed && i == n - 2) ? T(0) : v1.w[0][p] * v0.k[i + 1];
            for (long j = J0, k = 0; j < J1; j += W, k += W) {
                V v = X::load(z + k);
                if (!last) {
                    v += X::load(q + j) * (c * X::load(v2.w[0] + j)) * X::load(after + k);
                    X::store(after + k, v);
                    if constexpr (Closed) v += X::load(g.closing + factors(i) + j) * X::load(end + k);
                }
                put(i, j, v);
            }
        }
    }

    void put(long i, long j, V v) const {
        if (s.u && s.omega != 1) v = s.omega * v + (1 - s.omega) * get(s.u + row(i), j, s.u);
        if (!s.u) v = s.omega * v;
        if (s.length != 1) v = s.length * v + (1 - s.length) * get(s.begun + row(i), j, s.begun);
        if (j + W <= g.a2.n)
            X::store(s.out + row(i) + j, v);
        else
            X::store_some(s.out + row(i) + j, v, g.a2.n - j);
    }
};

}  // namespace mgnet
