// The restricted residual of an interpolant on the coarse grid: R b - (R A Q) u.
//
// R A Q is a sum of products of one-dimensional tables, the masses M and the stiffnesses K. One axis after the other,
// so that each sum is made once:
//
//     a = K0 u,  b = M0 u;    r = M1 a + K1 b,  q = M1 b;    out = f - M2 r - K2 q
//
// Rows of K are differences and an exact row sum: nothing of a small c, nor of a weak end, is rounded away.
#pragma once
#include "level.h"

namespace mgnet {

template <class X>
struct Interpolants {
    using T = typename X::T;
    using V = typename X::V;
    using TT = Tables<X>;
    static constexpr long W = X::W;

    static long workspace(const Level<T>& level) { return (2 * level.axes[1].n_c + 3) * stride(level) + 2 * SLACK; }

    // planes begin, ..., end - 1 of out
    static void planes(const Level<T>& g, const T* f, const T* u, T* out, long begin, long end, T* workspace) {
        const long n0 = g.axes[0].n_c, n1 = g.axes[1].n_c, n2 = g.axes[2].n_c, row = stride(g);
        T *a = workspace + SLACK, *b = a + n1 * row, *r = g.dims == 3 ? b + n1 * row : a,
          *q = g.dims == 3 ? r + row : b;
        for (long I = begin; I < end; I++) {
            for (long j = 0; j < n1; j++) {
                if (g.dims > 1)
                    both(a + j * row, b + j * row, u + j * n2, n1 * n2, n0, n2, g.stiffness[0], g.mass[0], I);
                else
                    for (long i = 0; i < n2; i++) b[i] = u[i];
            }
            for (long J = 0; J < n1; J++) {
                if (g.dims == 3) {
                    both(r, q, b, row, n1, n2, g.stiffness[1], g.mass[1], J);
                    add_mass(r, a, row, n1, n2, g.mass[1], J);
                }
                if (g.axes[2].wraps) {
                    if (g.dims > 1) wrap_ghosts(r, n2);
                    wrap_ghosts(q, n2);
                }
                along(out + (I * n1 + J) * n2, f + (I * n1 + J) * n2, g.dims > 1 ? r : nullptr, q, n2, g.mass[2],
                      g.stiffness[2]);
            }
        }
    }

  private:
    static long stride(const Level<T>& level) {
        const long bytes = (level.axes[2].n_c * sizeof(T) + 63) / 64 * 64 + 2 * SLACK * sizeof(T);
        return (bytes % 4096 < 512 ? bytes + 512 : bytes) / sizeof(T);
    }

    // a = row i of K times rows u, u + step, ... (n of them), b = row i of M times them
    static void both(T* a, T* b, const T* u, long step, long n, long n2, const Matrix<T>& K, const Matrix<T>& M,
                     long i) {
        const long first = M.start[i];
        if (M.width == 5 && K.width == 3 && first >= 0 && first + 5 <= n && K.start[i] == first + 1) {
            const T *d = K.falls + 3 * i, *m = M.weights + 5 * i;
            const T *u0 = u + first * step, *u1 = u0 + step, *u2 = u1 + step, *u3 = u2 + step, *u4 = u3 + step;
            each(n2, [&](long k, auto get, auto put) __attribute__((always_inline)) {
                auto v0 = get(u0 + k), v1 = get(u1 + k), v2 = get(u2 + k), v3 = get(u3 + k), v4 = get(u4 + k);
                put(a + k, d[0] * (v1 - v2) + d[1] * (v2 - v3) + K.sums[i] * v3);
                put(b + k, m[0] * v0 + m[1] * v1 + m[2] * v2 + m[3] * v3 + m[4] * v4);
            });
            return;
        }
        auto at = [&](const Matrix<T>& A, long m) { return u + wrapped(A.start[i] + m, n) * step; };
        const T *last = at(K, K.width - 1), s = K.sums[i];
        each(n2, [&](long k, auto get, auto put) __attribute__((always_inline)) { put(a + k, s * get(last + k)); });
        for (long m = 0; m + 1 < K.width; m++) {
            const T *x = at(K, m), *y = at(K, m + 1), d = K.falls[i * K.width + m];
            each(n2, [&](long k, auto get, auto put)
                         __attribute__((always_inline)) { put(a + k, get(a + k) + d * (get(x + k) - get(y + k))); });
        }
        for (long m = 0; m < M.width; m++) {
            const T *x = at(M, m), w = M.weights[i * M.width + m];
            if (m == 0)
                each(n2,
                     [&](long k, auto get, auto put) __attribute__((always_inline)) { put(b + k, w * get(x + k)); });
            else
                each(n2, [&](long k, auto get, auto put)
                             __attribute__((always_inline)) { put(b + k, get(b + k) + w * get(x + k)); });
        }
    }

    // r += row i of M times rows a, a + step, ...
    static void add_mass(T* r, const T* a, long step, long n, long n2, const Matrix<T>& M, long i) {
        const T *x[WIDEST], *w = M.weights + i * M.width;
        for (long m = 0; m < M.width; m++) x[m] = a + wrapped(M.start[i] + m, n) * step;
        if (M.width == 5) return Rows<X>::template combine<5>(r, x, w, n2, true);
        for (long m = 0; m < M.width; m++) Rows<X>::template combine<1>(r, x + m, w + m, n2, true);
    }

    // body(k, get, put) for vectors at k, and for what is left of n one by one
    template <class Body>
    static inline __attribute__((always_inline)) void each(long n, Body body) {
        long k = 0;
        for (; k + W <= n; k += W)
            body(
                k, [](const T* p) __attribute__((always_inline)) { return X::load(p); },
                [](T* p, V v) __attribute__((always_inline)) { X::store(p, v); });
        for (; k < n; k++)
            body(
                k, [](const T* p) __attribute__((always_inline)) { return *p; },
                [](T* p, T v) __attribute__((always_inline)) { *p = v; });
    }

    // out = f - M r - K q along the rows; r may be missing
    static void along(T* out, const T* f, const T* r, const T* q, long n, const Matrix<T>& M, const Matrix<T>& K) {
        long lo = M.lo > K.lo ? M.lo : K.lo, hi = M.hi < K.hi ? M.hi : K.hi;
        if (M.width != 5 || K.width != 3 || hi - lo < W) lo = hi = 0;
        auto plainly = [&](long i) { out[i] = f[i] - (r ? TT::dot(M, i, r) : T(0)) - TT::dot_of_differences(K, i, q); };
        for (long i = 0; i < lo; i++) plainly(i);
        for (long i = hi; i < n; i++) plainly(i);
        if (hi <= lo) return;
        const T *m = M.weights + 5 * lo, *d = K.falls + 3 * lo, s = K.sums[lo];
        const T *x = r ? r + M.start[lo] - lo : nullptr, *y = q + K.start[lo] - lo;
        auto body = [&](long i) __attribute__((always_inline)) {
            const V y1 = X::load(y + i + 1), y2 = X::load(y + i + 2);
            V v = X::load(f + i) - (d[0] * (X::load(y + i) - y1) + d[1] * (y1 - y2) + s * y2);
            if (x)
                v -= m[0] * X::load(x + i) + m[1] * X::load(x + i + 1) + m[2] * X::load(x + i + 2) +
                     m[3] * X::load(x + i + 3) + m[4] * X::load(x + i + 4);
            X::store(out + i, v);
        };
        long i = lo;
        for (; i + W <= hi; i += W) body(i);
        if (i < hi) body(hi - W);
    }
};

}  // namespace mgnet
