// One bundle of lines: u = T^-1 r.
//
// Along the rows W lines are turned into one vector of them, W unknowns at a time. Across them a row's every second
// number belongs to a bundle: r is packed, eliminated and spread again.
#pragma once
#include "line_factors.h"

namespace mgnet {

constexpr long AHEAD = 6;  // rows that the factors are asked for before they are worked on

template <class X>
struct LineSolves {
    using T = typename X::T;
    using V = typename X::V;
    using M = typename X::M;
    static constexpr long W = X::W;

    const LineSet<X>& g;
    T* const u;                   // a member's
    const LineFields<T> fields;   // the same member's
    T* const space;

    static long workspace(const LineSet<X>& g) {
        return g.axis == 2 ? W * pitch(g.n) + W * (g.n + W) : (g.n + 1) * g.lanes + 2 * half(g);
    }

    // lone: where all other lines are zero, and not read. Of the second colour of a tile, `begun`: what the first one
    // left for it, and is left in `others`; or null, where that is not there.
    void solve(long sheet, const Bundle<T>& b, bool lone, const T* begun, T* others) const {
        if (b.count == 0 && (begun || g.axis == 2)) return;
        const LineForms<T> forms = lone ? LoneLines<X>::forms() : g.forms;
        if (g.axis == 2)
            rows(sheet, b, forms.whole);
        else
            columns(sheet, b, lone, forms, begun, others);
    }

    // what the first colour of a tile leaves for the second
    T* left(long tile) const { return g.axis == 2 ? nullptr : space + (g.n + 1) * g.lanes + tile % 2 * half(g); }

  private:
    static long pitch(long n) { return (n + W - 1) / W * W + W; }
    static long half(const LineSet<X>& g) { return g.n * g.lanes; }

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

    template <class Form>
    void rows(long sheet, const Bundle<T>& b, Form r) const {
        const long m = pitch(g.n);
        for (long k = 0; k < b.count; k++) {
            const long a = b.first + 2 * k;
            g.side == 1 ? r(fields, sheet, a, space + k * m) : r(fields, a, sheet, space + k * m);
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

    void columns(long sheet, const Bundle<T>& b, bool lone, const LineForms<T>& forms, const T* begun,
                 T* others) const {
        const bool odd = b.colour == 1;
        const long from = b.first - odd, columns = b.colour == 2 ? 1 : least(g.across - g.seam - from, 2 * g.lanes);
        const long pairs = (columns + 2 * W - 1) / (2 * W);  // of either colour
        LineRow row{sheet, sheet, from, pairs};
        const auto r = [&](long i) {
            T* const y = space + i * g.lanes;
            (g.axis == 0 ? row.p : row.j) = i;
            if (begun)
                forms.second[odd](fields, row, y, begun + i * g.lanes);
            else
                forms.first[odd](fields, row, y, others + i * g.lanes);
        };
        if (g.closed)
            eliminate<true>(b, pairs, r);
        else
            eliminate<false>(b, pairs, r);
        if (g.closed)
            odd ? substitute<true, true>(sheet, b, pairs, lone) : substitute<true, false>(sheet, b, pairs, lone);
        else
            odd ? substitute<false, true>(sheet, b, pairs, lone) : substitute<false, false>(sheet, b, pairs, lone);
    }

    // y; r(i) puts the right-hand sides of unknowns i of the lines there
    template <bool Closed, class Data>
    void eliminate(const Bundle<T>& b, long pairs, const Data& r) const {
        const long K = g.lanes, D = g.depth * K;
        for (long k = 0; k < pairs * W; k += W) X::store(space + g.n * K + k, V{});
        const T* before = space + g.n * K;
        for (long i = 0; i < g.n; i++) {
            r(i);
            T* y = space + i * K;
            const T* at = b.factors + i * D;
            for (long k = 0; k < pairs * W; k += W) {
                __builtin_prefetch(at + AHEAD * D + k);
                const V now = X::load(y + k) + X::load(at + k) * X::load(before + k);
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
    }

    template <bool Closed, bool Odd>
    void substitute(long sheet, const Bundle<T>& b, long pairs, bool lone) const {
        if (lone)
            substitute<Closed, Odd, true>(sheet, b, pairs, b.first - Odd);
        else
            substitute<Closed, Odd, false>(sheet, b, pairs, b.first - Odd);
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
                put<Odd, Bare>(to, j, e, b.first + 2 * (b.count - 1));
            }
            fill(to, b.first, b.first + 2 * (b.count - 1), 2);
        }
    }

    // e to every second of the numbers from j on, `end` the last of them
    template <bool Odd, bool Bare>
    void put(T* to, long j, V e, long end) const {
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
