// What happens to one row of a grid: sums, scalings, combinations of rows.
//
// A row of a workspace has a ghost value on either side and SLACK numbers beyond, which are zero; a row of the
// caller's has neither, and nothing beyond it is read.
#pragma once
#include "simd.h"

namespace mgnet {

constexpr long SLACK = 64;  // numbers beyond either end of a workspace's row, at least three vectors

template <class X>
struct Rows {
    using T = typename X::T;
    using V = typename X::V;
    using M = typename X::M;
    static constexpr long W = X::W;

    // inner everywhere but at the row's first and last number
    static inline V ends(V inner, const T* end, M first, M last) {
        return X::where(first, X::splat(end[0]), X::where(last, X::splat(end[1]), inner));
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
