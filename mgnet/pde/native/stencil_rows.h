// What happens to one row of a stencil that varies from unknown to unknown, in padded fields (stencil.h).
//
// Whole vectors are read and written everywhere: beyond a row's ghosts nothing means anything, and `fill` sets the
// ghosts after whatever wrote over them.
//
//     step       out = a v + b f + w sum_o s_o v_{i+o}          a residual is a = -1, b = w = 1
//     prolong    out = u + sum_delta W_delta e                  of the coarse unknowns that a fine one lies beside
//     restrict   out = sum_delta W_delta r                      the transpose
#pragma once
#include "couplings.h"

namespace mgnet {

// A coarse row that a fine one is interpolated from, or a fine row that a coarse one is restricted from, and the
// weights: where axis 2 is halved, those of delta = -1, 0, 1 are `between` apart.
template <class T>
struct Weighted {
    const T *row, *W;
};

template <class X>
struct StencilRows {
    using T = typename X::T;
    using V = typename X::V;
    static constexpr long W = X::W;
    static_assert(W <= 8, "rows have room for a vector of 8 numbers behind them");

    static void scale(T* out, T w, const T* v, long n) {
        for (long i = 0; i < n; i += W) X::store(out + i, w * X::load(v + i));
    }

    static void clear(T* out, long n) {
        for (long i = 0; i < n; i += W) X::store(out + i, V{});
    }

    static double dot(const T* v, const T* w, long n) {
        V total = {};
        for (long i = 0; i < n; i += W) total += X::within(X::load(v + i) * X::load(w + i), n - i);
        return X::sum(total);
    }

    // (f, out) where it is asked for
    template <int P, bool Sums>
    __attribute__((noinline)) static double step(const StencilRow<T>& given, long n, T a, T b, T w) {
        const StencilRow<T> r = given;  // a copy, which no store can change
        V sums = {};
        each<P>(n, [&](long i, auto count, auto edge) __attribute__((always_inline)) {
            constexpr int U = decltype(count)::value;
            constexpr bool Edge = decltype(edge)::value;
            V total[U];
            couple<P, U>(r, i, total);
#pragma GCC unroll 4
            for (int k = 0; k < U; k++) {
                const long j = i + k * W;
                const V f = X::load(r.f + j), v = a * X::load(r.v + j) + (b * f + w * total[k]);
                X::store(r.out + j, v);
                if (r.copy) X::store(r.copy + j, v);
                if constexpr (Sums) sums += Edge ? X::within(f * v, n - j) : f * v;
            }
        });
        return X::sum(sums);
    }

    // (v, A v)
    template <int P>
    __attribute__((noinline)) static double energy(const StencilRow<T>& given, long n) {
        const StencilRow<T> r = given;
        V sums = {};
        each<P>(n, [&](long i, auto count, auto edge) __attribute__((always_inline)) {
            constexpr int U = decltype(count)::value;
            constexpr bool Edge = decltype(edge)::value;
            V total[U];
            couple<P, U>(r, i, total);
#pragma GCC unroll 4
            for (int k = 0; k < U; k++) {
                const V v = X::load(r.v + i + k * W);
                const V term = v * (v - total[k]);
                sums += Edge ? X::within(term, n - i - k * W) : term;
            }
        });
        return X::sum(sums);
    }

    // row = u + P e of one to four coarse rows; u may be 0
    static void prolong(T* row, const T* u, const Weighted<T>* from, int count, long between, bool halved, long first,
                        long n_c) {
        const auto all = [&](auto known) {
            constexpr int K = decltype(known)::value;
            if (halved)
                spread<K>(row - first, u ? u - first : nullptr, from, between, first, n_c + first);
            else
                add<K>(row, u, from, n_c);
        };
        if (count == 1) all(Count<1>{});
        if (count == 2) all(Count<2>{});
        if (count == 4) all(Count<4>{});
    }

    // out = P^T r of up to nine fine rows
    static void restrict_(T* out, const Weighted<T>* from, int count, long between, bool halved, long first, long n_c) {
        if (halved)
            collect(out, from, count, between, first - 1, n_c);
        else
            gather(out, from, count, n_c);
    }

  private:
    template <int N>
    using Count = std::integral_constant<int, N>;

    // body(i, count of vectors, whether the row ends in them): several side by side where a stencil has many rows
    template <int P, class Body>
    static inline __attribute__((always_inline)) void each(long n, const Body& body) {
        constexpr int U = OPPOSITES[P] == 4 ? 4 : 1;
        long i = 0;
        for (; i + U * W <= n; i += U * W) body(i, Count<U>{}, std::false_type{});
        if (i + (U - 1) * W < n) body(i, Count<U>{}, std::true_type{}), i += U * W;
        if constexpr (U > 1)
            for (; i < n; i += W) body(i, Count<1>{}, std::true_type{});
    }

    // total[k] = sum_o s_o v_{i+o}, at the k-th vector from number i on
    template <int P, int U>
    static inline __attribute__((always_inline)) void couple(const StencilRow<T>& r, long i, V (&total)[U]) {
        Couplings<X>::along(r, i, total);
        Couplings<X>::template across<P, -1>(r, i, total);
    }

    // row[2K] = u[2K] + mid[K] e[K],   row[2K + 1] = u[2K + 1] + high[K] e[K] + low[K + 1] e[K + 1]
    template <int K>
    static void spread(T* row, const T* u, const Weighted<T>* given, long between, long first, long n) {
        Weighted<T> from[K];
        for (int k = 0; k < K; k++) from[k] = {given[k].row - first, given[k].W - first};
        for (long i = 0; i < n; i += W) {
            V even = {}, odd = {};
#pragma GCC unroll 4
            for (int k = 0; k < K; k++) {
                const T *e = from[k].row + i, *w = from[k].W + i;
                const V here = X::load(e);
                even += X::load(w + between) * here;
                odd += X::load(w + 2 * between) * here + X::load(w + 1) * X::load(e + 1);
            }
            V low = X::merge_low(even, odd), high = X::merge_high(even, odd);
            if (u) low += X::load(u + 2 * i), high += X::load(u + 2 * i + W);
            X::store(row + 2 * i, low), X::store(row + 2 * i + W, high);
        }
    }

    template <int K>
    static void add(T* row, const T* u, const Weighted<T>* given, long n) {
        Weighted<T> from[K];
        for (int k = 0; k < K; k++) from[k] = given[k];
        for (long i = 0; i < n; i += W) {
            V total = u ? X::load(u + i) : V{};
#pragma GCC unroll 4
            for (int k = 0; k < K; k++) total += X::load(from[k].W + i) * X::load(from[k].row + i);
            X::store(row + i, total);
        }
    }

    // out[K] = low[K] r[2K] + mid[K] r[2K + 1] + high[K] r[2K + 2], for r from `shift` on
    static void collect(T* out, const Weighted<T>* from, int count, long between, long shift, long n) {
        for (long i = 0; i < n; i += W) {
            V total = {};
            for (int k = 0; k < count; k++) {
                const T *r = from[k].row + shift + 2 * i, *w = from[k].W + i;
                const V a = X::load(r), b = X::load(r + W), c = X::load(r + 2), d = X::load(r + W + 2);
                total += X::load(w) * X::evens(a, b) + X::load(w + between) * X::odds(a, b);
                total += X::load(w + 2 * between) * X::evens(c, d);
            }
            X::store(out + i, total);
        }
    }

    static void gather(T* out, const Weighted<T>* from, int count, long n) {
        for (long i = 0; i < n; i += W) {
            V total = {};
            for (int k = 0; k < count; k++) total += X::load(from[k].W + i) * X::load(from[k].row + i);
            X::store(out + i, total);
        }
    }
};

}  // namespace mgnet
