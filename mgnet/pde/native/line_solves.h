// One bundle of lines: their right-hand sides r = f + (what couples them to other lines) u, and u = T^-1 r.
//
// Along the rows W lines are turned into one vector of them, W unknowns at a time. Across them a row's every second
// number belongs to a bundle: r is formed of all numbers, packed, eliminated and spread again.
#pragma once
#include "line_factors.h"

namespace mgnet {

constexpr long AHEAD = 6;  // rows that memory, the factors' too, is asked for before they are worked on

template <class X>
struct LineSolves {
    using T = typename X::T;
    using V = typename X::V;
    using M = typename X::M;
    static constexpr long W = X::W;

    const LineSet<X>& g;
    T* const u;              // a member's
    const T* const f;        // a member's
    const long member;       // of the coefficients
    const T* const nothing;  // a row of zeros, from its first number on
    T* const space;

    static long workspace(const LineSet<X>& g) {
        return g.axis == 2 ? W * pitch(g.n) + W * (g.n + W) : (g.n + 1) * g.lanes;
    }

    // N: terms of the right-hand side besides f; none where all other lines are zero, and not read
    template <int N>
    void solve(long sheet, const Bundle<T>& b) const {
        if (b.count == 0) return;
        if (g.axis == 2)
            rows<N>(sheet, b);
        else
            columns<N>(sheet, b);
    }

  private:
    static long pitch(long n) { return (n + W - 1) / W * W + W; }

    template <int N>
    struct Sum {
        const T *f, *s[N + 1], *v[N + 1];
        inline V at(long j) const {
            V r = X::load(f + j);
#pragma GCC unroll 24
            for (int k = 0; k < N; k++) r += X::load(s[k] + j) * X::load(v[k] + j);
            return r;
        }
        // the rows that come later
        inline void fetch(long j) const {
            __builtin_prefetch(f + j);
#pragma GCC unroll 24
            for (int k = 0; k < N; k += 2) __builtin_prefetch(s[k] + j);
            if constexpr (N > 0) __builtin_prefetch(v[0] + j);
        }
    };

    // Where f, and each coupling to another line and the u it leads to, lie for row (i0, i1); beyond an end there are
    // zeros.
    template <int N>
    Sum<N> sum(long i0, long i1) const {
        Sum<N> to;
        const long stride = g.stride, row = i0 * g.mesh.n[1] + i1;
        to.f = f + row * stride + LEFT;
        if constexpr (N > 0) {
            const T* S = g.S + member * g.mesh.size() + LEFT;
            for (int k = 0; k < N / 2; k++) {
                const Across& c = g.couplings[k];
                const long next = row_at(i0 + c.step[0], i1 + c.step[1]), last = row_at(i0 - c.step[0], i1 - c.step[1]);
                const T* s = S + c.number * g.size;
                to.s[2 * k] = next < 0 ? nothing : s + row * stride;
                to.v[2 * k] = next < 0 ? nothing : u + next * stride + LEFT + c.step[2];
                to.s[2 * k + 1] = last < 0 ? nothing : s + last * stride - c.step[2];
                to.v[2 * k + 1] = last < 0 ? nothing : u + last * stride + LEFT - c.step[2];
            }
        }
        return to;
    }

    long row_at(long i0, long i1) const {
        const long a = inside(i0, 0), b = inside(i1, 1);
        return a < 0 || b < 0 ? -1 : a * g.mesh.n[1] + b;
    }
    long inside(long i, int d) const {
        const long n = g.mesh.n[d];
        if (i >= 0 && i < n) return i;
        return g.mesh.wraps[d] ? (i + n) % n : -1;
    }

    static inline void transpose(V* v) {
        V w[W];
#pragma GCC unroll 4
        for (long half = 1; half < W; half *= 2) {
#pragma GCC unroll 16
            for (long k = 0; k < W / 2; k++)
                w[2 * k] = X::merge_low(v[k], v[k + W / 2]), w[2 * k + 1] = X::merge_high(v[k], v[k + W / 2]);
#pragma GCC unroll 16
            for (long k = 0; k < W; k++) v[k] = w[k];
        }
    }

    template <int N>
    void rows(long sheet, const Bundle<T>& b) const {
        const long m = pitch(g.n);
        for (long k = 0; k < b.count; k++) {
            const long a = b.first + 2 * k;
            const Sum<N> r = g.side == 1 ? sum<N>(sheet, a) : sum<N>(a, sheet);
            for (long j = 0; j < g.n; j += W) X::store(space + k * m + j, r.at(j));
        }
        if (g.closed)
            forward<true>(b.factors), backward<true>(sheet, b);
        else
            forward<false>(b.factors), backward<false>(sheet, b);
        for (long k = 0; k < b.count; k++) fill(u + g.row(sheet, b.first + 2 * k, 0) * g.stride + LEFT, 0, 1);
    }

    // y, W lines at a time, where the rows of the workspace end
    template <bool Closed>
    void forward(const T* factors) const {
        constexpr long D = (Closed ? 3 : 2) * W;
        const long m = pitch(g.n);
        T* const out = space + W * m;
        V y = {}, total = {};
        for (long j = 0; j < g.n; j += W) {
            V v[W];
#pragma GCC unroll 16
            for (long k = 0; k < W; k++) v[k] = X::load(space + k * m + j);
            transpose(v);
            const long here = g.n - j < W ? g.n - j : W;
            const T* at = factors + j * D;
            auto step = [&](long k) __attribute__((always_inline)) {
                y = v[k] + X::load(at + k * D) * y;
                if constexpr (Closed) total += X::load(at + k * D + 2 * W) * y;
                X::store(out + (j + k) * W, y);
            };
            if (here == W) {
#pragma GCC unroll 16
                for (long k = 0; k < W; k++) step(k);
            } else {
                for (long k = 0; k < here; k++) step(k);
            }
        }
        if constexpr (Closed) X::store(out + (g.n - 1) * W, y + total);
    }

    template <bool Closed>
    void backward(long sheet, const Bundle<T>& b) const {
        constexpr long D = (Closed ? 3 : 2) * W;
        const T* const y = space + W * pitch(g.n);
        T* to[W];
        for (long k = 0; k < W; k++)
            to[k] = u + g.row(sheet, b.first + 2 * (k < b.count ? k : 0), 0) * g.stride + LEFT;
        V e = {}, last = {};
        if constexpr (Closed) last = X::load(b.factors + (g.n - 1) * D + W) * X::load(y + (g.n - 1) * W);
        for (long j = (g.n - 1) / W * W; j >= 0; j -= W) {
            V v[W];
            const long here = g.n - j < W ? g.n - j : W;
            const T* at = b.factors + j * D;
            auto step = [&](long k) __attribute__((always_inline)) {
                V r = X::load(at + k * D + W) * X::load(y + (j + k) * W);
                if constexpr (Closed) r += X::load(at + k * D + 2 * W) * last;
                e = r + X::load(at + (k + 1) * D) * e;
                v[k] = e;
            };
            if (here == W) {
#pragma GCC unroll 16
                for (long k = W - 1; k >= 0; k--) step(k);
            } else {
                for (long k = W - 1; k >= here; k--) v[k] = V{};
                for (long k = here - 1; k >= 0; k--) step(k);
            }
            transpose(v);
            if (here == W && b.count == W) {
#pragma GCC unroll 16
                for (long k = 0; k < W; k++) X::store(to[k] + j, v[k]);
            } else {
                for (long k = 0; k < b.count; k++) X::store_some(to[k] + j, v[k], here);
            }
        }
    }

    template <int N>
    void columns(long sheet, const Bundle<T>& b) const {
        const bool odd = b.colour == 1;
        const long pairs = (b.count + W - 1) / W, from = b.first - odd;
        if (g.closed)
            odd ? eliminate<N, true, true>(sheet, b, pairs, from) : eliminate<N, true, false>(sheet, b, pairs, from);
        else
            odd ? eliminate<N, false, true>(sheet, b, pairs, from) : eliminate<N, false, false>(sheet, b, pairs, from);
    }

    // columns [from, from + 2 W pairs), of which the even or odd ones are this bundle's
    template <int N, bool Closed, bool Odd>
    void eliminate(long sheet, const Bundle<T>& b, long pairs, long from) const {
        const long K = g.lanes, D = g.depth * K;
        for (long k = 0; k < pairs * W; k += W) X::store(space + g.n * K + k, V{});
        const T* before = space + g.n * K;
        const long ahead = AHEAD * (g.row(sheet, 0, 1) - g.row(sheet, 0, 0)) * g.stride;
        for (long i = 0; i < g.n; i++) {
            const Sum<N> r = g.axis == 0 ? sum<N>(i, sheet) : sum<N>(sheet, i);
            T* y = space + i * K;
            const T* at = b.factors + i * D;
            for (long k = 0, j = from; k < pairs * W; k += W, j += 2 * W) {
                r.fetch(j + ahead), __builtin_prefetch(at + AHEAD * D + k);
                const V low = r.at(j), high = r.at(j + W), v = Odd ? X::odds(low, high) : X::evens(low, high);
                const V now = v + X::load(at + k) * X::load(before + k);
                X::store(y + k, now);
                if constexpr (Closed) {
                    T* total = space + g.n * K + k;
                    const V sum = X::load(at + 2 * K + k) * now;
                    X::store(total, i == 0 ? sum : X::load(total) + sum);
                }
            }
            before = y;
        }
        if constexpr (Closed)
            for (long k = 0; k < pairs * W; k += W) {
                T* y = space + (g.n - 1) * K + k;
                X::store(y, X::load(y) + X::load(space + g.n * K + k));
            }
        substitute<Closed, Odd, N == 0>(sheet, b, pairs, from);
    }

    template <bool Closed, bool Odd, bool Bare>
    void substitute(long sheet, const Bundle<T>& b, long pairs, long from) const {
        const long K = g.lanes, D = g.depth * K;
        T *const after = space + g.n * K, *const last = space + (g.n - 1) * K;
        for (long k = 0; k < pairs * W; k += W) {
            X::store(after + k, V{});
            if constexpr (Closed) X::store(last + k, X::load(last + k) * X::load(b.factors + (g.n - 1) * D + K + k));
        }
        for (long i = g.n - 1; i >= 0; i--) {
            T* const to = u + g.row(sheet, 0, i) * g.stride + LEFT;
            const T* at = b.factors + i * D;
            for (long k = 0, j = from; k < pairs * W; k += W, j += 2 * W) {
                __builtin_prefetch(at - AHEAD * D + k), __builtin_prefetch(at - AHEAD * D + K + k);
                V e = X::load(space + i * K + k);
                if (!Closed || i < g.n - 1) e *= X::load(at + K + k);
                e += X::load(at + D + k) * X::load(after + k);
                if constexpr (Closed)
                    if (i < g.n - 1) e += X::load(at + 2 * K + k) * X::load(last + k);
                X::store(after + k, e);
                spread<Odd, Bare>(to, j, e, b.first + 2 * (b.count - 1));
            }
            fill(to, b.first, b.first + 2 * (b.count - 1), 2);
        }
    }

    // e to every second of the numbers from j on, `end` the last of them
    template <bool Odd, bool Bare>
    void spread(T* to, long j, V e, long end) const {
        if (j + 2 * W - 1 <= end + !Odd) {
            const V low = Bare ? V{} : X::load(to + j), high = Bare ? V{} : X::load(to + j + W);
            const M mine = alternate(Odd);
            X::store(to + j, X::where(mine, X::merge_low(e, e), low));
            X::store(to + j + W, X::where(mine, X::merge_high(e, e), high));
            return;
        }
        for (long k = 0; k < W && j + Odd + 2 * k <= end; k++) to[j + Odd + 2 * k] = e[k];
    }

    static inline M alternate(bool odd) {
        M mask = {};
        for (int k = 0; k < W; k++) mask[k] = k % 2 == odd ? -1 : 0;
        return mask;
    }

    // The ghosts of a row that repeat its numbers first, first + step, ..., last; step 1: all. Zeros that are there
    // already are left alone: several threads would write to the same cache line.
    void fill(T* row, long first, long last, long step = 1) const {
        const long n = g.mesh.n[2];
        const bool all = step == 1, wraps = g.mesh.wraps[2];
        if (!wraps && !all) return;
        const long ghost[] = {-2, -1, n, n + 1};
        for (long at : ghost) {
            const long j = (at + 2 * n) % n;
            if (!wraps)
                row[at] = 0;
            else if (all || (j >= first && j <= last && (j - first) % step == 0))
                row[at] = row[j];
        }
    }
};

}  // namespace mgnet
