// Row-sparse matrices applied along the rows of a grid, and across them.
#pragma once
#include "arena.h"
#include "problem.h"
#include "rows.h"

namespace mgnet {

// A `Table` in the kernels' numbers. `falls`, where rows are written with differences:
// row . v = sum_m falls[m] (v[m] - v[m + 1]) + sums v[width - 1],   falls[m] = weights[0] + ... + weights[m]
template <class T>
struct Matrix {
    const long* start;
    const T *weights, *falls, *sums;
    long width, columns, lo, hi;
    bool wraps;
};

template <class T>
static Matrix<T> matrix(const Table& table, bool wraps, Arena& arena) {
    const long entries = table.rows * table.width;
    long* start = arena.take<long>(table.rows);
    T *weights = arena.take<T>(entries), *falls = arena.take<T>(entries), *sums = arena.take<T>(table.rows);
    for (long i = 0; i < table.rows; i++) {
        start[i] = table.start[i], sums[i] = table.sums.empty() ? 0 : static_cast<T>(table.sums[i]);
        double fall = 0;
        for (long k = i * table.width; k < (i + 1) * table.width; k++) {
            weights[k] = static_cast<T>(table.weights[k]);
            falls[k] = static_cast<T>(fall += table.weights[k]);
        }
    }
    return {start, weights, falls, sums, table.width, table.columns, table.lo, table.hi, wraps};
}

static inline long wrapped(long i, long n) {
    if (i >= 0 && i < n) return i;
    const long r = i % n;
    return r < 0 ? r + n : r;
}

// WRAPPED numbers on either side of a row of a workspace
template <class T>
static inline void wrap_ghosts(T* row, long n) {
    for (long k = 0; k < WRAPPED; k++) row[-1 - k] = row[wrapped(-1 - k, n)], row[n + k] = row[wrapped(k, n)];
}

template <class X>
struct Tables {
    using T = typename X::T;
    using V = typename X::V;
    static constexpr long W = X::W;

    static inline T dot(const Matrix<T>& A, long i, const T* v) {
        const T *w = A.weights + i * A.width, *x = v + A.start[i];
        T total = 0;
        for (long k = 0; k < A.width; k++) total += w[k] * x[k];
        return total;
    }

    static inline T dot_of_differences(const Matrix<T>& A, long i, const T* v) {
        const T *w = A.falls + i * A.width, *x = v + A.start[i];
        T total = A.sums[i] * x[A.width - 1];
        for (long k = 0; k + 1 < A.width; k++) total += w[k] * (x[k] - x[k + 1]);
        return total;
    }

    // out = base + A c (+ B b) for i in [from, to); any of base, B may be missing
    static void plainly(T* out, long from, long to, const T* base, const Matrix<T>& A, const T* c, const Matrix<T>* B,
                        const T* b) {
        for (long i = from; i < to; i++) out[i] = (base ? base[i] : T(0)) + dot(A, i, c) + (B ? dot(*B, i, b) : T(0));
    }

    // pairs of rows (lo, lo + 1), (lo + 2, lo + 3), ... that repeat, one column further each
    template <int Width, int Other, bool Base>
    static void interleave(T* out, long pairs, const T* base, const T* w, const T* c, const T* w2, const T* c2,
                           const T* ahead) {
        V even[Width], odd[Width], even2[Other + 1], odd2[Other + 1];
        for (int m = 0; m < Width; m++) even[m] = X::splat(w[m]), odd[m] = X::splat(w[Width + m]);
        for (int m = 0; m < Other; m++) even2[m] = X::splat(w2[m]), odd2[m] = X::splat(w2[Other + m]);
        auto body = [&](long k) __attribute__((always_inline)) {
            __builtin_prefetch(ahead + 2 * k), __builtin_prefetch(ahead + 2 * k + W);
            V x = {}, y = {};
#pragma GCC unroll 4
            for (int m = 0; m < Width; m++) {
                const V v = X::load(c + k + m);
                x += even[m] * v, y += odd[m] * v;
            }
#pragma GCC unroll 4
            for (int m = 0; m < Other; m++) {
                const V v = X::load(c2 + k + m);
                x += even2[m] * v, y += odd2[m] * v;
            }
            V low = X::merge_low(x, y), high = X::merge_high(x, y);
            if constexpr (Base) low += X::load(base + 2 * k), high += X::load(base + 2 * k + W);
            X::store(out + 2 * k, low);
            X::store(out + 2 * k + W, high);
        };
        long k = 0;
        for (; k + W <= pairs; k += W) body(k);
        if (k < pairs) body(pairs - W);
    }

    // out = base + P c + Q q along the rows, for n numbers; c and q (either may be missing) are rows of a workspace
    static void expand(T* out, long n, const T* base, const Matrix<T>* P, const T* c, const Matrix<T>* Q, const T* q,
                       const T* ahead) {
        if (!P) return expand(out, n, base, Q, q, nullptr, nullptr, ahead);
        if (P->width == 1 && P->hi - P->lo != n) return plainly(out, 0, n, base, *P, c, Q, q);
        long lo = P->lo, hi = P->hi;
        bool fits = P->width == 2 || P->width == 4;
        if (Q) {
            lo = lo > Q->lo ? lo : Q->lo, hi = hi < Q->hi ? hi : Q->hi;
            fits = P->width == 2 && Q->width == 4 && (P->lo - Q->lo) % 2 == 0;
        }
        const long pairs = (hi - lo) / 2;
        if (!fits || pairs < W) return plainly(out, 0, n, base, *P, c, Q, q);
        plainly(out, 0, lo, base, *P, c, Q, q);
        plainly(out, lo + 2 * pairs, n, base, *P, c, Q, q);
        const T *w = P->weights + lo * P->width, *at = c + P->start[lo], *b = base ? base + lo : nullptr;
        if (Q)
            interleave<2, 4, false>(out + lo, pairs, b, w, at, Q->weights + 4 * lo, q + Q->start[lo], ahead + lo);
        else if (P->width == 4)
            interleave<4, 0, false>(out + lo, pairs, b, w, at, nullptr, nullptr, ahead + lo);
        else if (base)
            interleave<2, 0, true>(out + lo, pairs, b, w, at, nullptr, nullptr, ahead + lo);
        else
            interleave<2, 0, false>(out + lo, pairs, b, w, at, nullptr, nullptr, ahead + lo);
    }

    // out[i] = sum_k w[k] r[2 i + k]
    template <int Width>
    static void decimate(T* out, long n, const T* w, const T* r) {
        auto body = [&](long i) __attribute__((always_inline)) {
            const T* p = r + 2 * i;
            const V a = X::load(p), b = X::load(p + W), c = X::load(p + 2), d = X::load(p + 2 + W);
            V v = w[0] * X::evens(a, b) + w[1] * X::odds(a, b) + w[2] * X::evens(c, d);
            if constexpr (Width == 4) v += w[3] * X::odds(c, d);
            X::store(out + i, v);
        };
        long i = 0;
        for (; i + W <= n; i += W) body(i);
        if (i < n) body(n - W);
    }

    // out = R r along the rows; r is a row of a workspace with its ghosts
    static void contract(T* out, long n, const T* r, const Matrix<T>& R) {
        const long lo = R.lo, count = R.hi - R.lo;
        if ((R.width != 3 && R.width != 4) || count < W) return plainly(out, 0, n, nullptr, R, r, nullptr, nullptr);
        plainly(out, 0, lo, nullptr, R, r, nullptr, nullptr);
        plainly(out, R.hi, n, nullptr, R, r, nullptr, nullptr);
        const T *w = R.weights + lo * R.width, *at = r + R.start[lo];
        if (R.width == 3)
            decimate<3>(out + lo, count, w, at);
        else
            decimate<4>(out + lo, count, w, at);
    }

    // out = sum_a v[a] sum_k w[k] rows[a][2 i + k] for n numbers, without a row in between. Rows may be the caller's:
    // nothing at or beyond `limit` is read.
    template <int Rows, int Width>
    static void decimate_rows(T* out, long n, const T* const* given, const T* v, const T* w, const T* limit) {
        const T* rows[Rows];
        V weights[Rows], along[Width];
        for (int a = 0; a < Rows; a++) rows[a] = given[a], weights[a] = X::splat(v[a]);
        for (int k = 0; k < Width; k++) along[k] = X::splat(w[k]);
        V even, odd;
        auto pair = [&](long at, auto safe) __attribute__((always_inline)) {
            V x = {}, y = {};
#pragma GCC unroll 4
            for (int a = 0; a < Rows; a++) {
                if constexpr (decltype(safe)::value)
                    x += weights[a] * X::load(rows[a] + at), y += weights[a] * X::load(rows[a] + at + W);
                else
                    x += weights[a] * X::load_below(rows[a] + at, limit),
                        y += weights[a] * X::load_below(rows[a] + at + W, limit);
            }
            even = X::evens(x, y), odd = X::odds(x, y);
        };
        auto put = [&](long i, V e, V o) __attribute__((always_inline)) {
            V sum = along[0] * e + along[1] * o + along[2] * X::after(e, even);
            if constexpr (Width == 4) sum += along[3] * X::after(o, odd);
            X::store(out + i, sum);
        };
        pair(0, std::true_type{});
        long i = 0;
        for (; i + 2 * W <= n; i += W) {
            const V e = even, o = odd;
            pair(2 * (i + W), std::true_type{});
            put(i, e, o);
        }
        for (; i < n; i += W) {
            if (i + W > n) {  // the last vector overlaps the one before it
                i = n - W;
                pair(2 * i, std::false_type{});
            }
            const V e = even, o = odd;
            pair(2 * (i + W), std::false_type{});
            put(i, e, o);
        }
    }

    // The same as ``gather`` and ``contract`` one after the other, where few rows come together and R repeats.
    // Returns whether it was done; at the ends it never is.
    static bool restrict_rows(T* out, long n, const T* const* rows, const T* v, int count, const Matrix<T>& R,
                              const T* limit) {
        const long lo = R.lo, inner = R.hi - lo;
        if (count != R.width || (count != 3 && count != 4) || R.wraps || inner < 2 * W) return false;
        const T *shifted[4], *w = R.weights + lo * R.width;
        for (int a = 0; a < count; a++) shifted[a] = rows[a] + R.start[lo];
        count == 3 ? decimate_rows<3, 3>(out + lo, inner, shifted, v, w, limit)
                   : decimate_rows<4, 4>(out + lo, inner, shifted, v, w, limit);
        for (long i = 0; i < n; i++) {
            if (i == lo) i = R.hi;
            if (i >= n) break;
            T total = 0;
            for (int a = 0; a < count; a++) total += v[a] * dot(R, i, rows[a]);
            out[i] = total;
        }
        return true;
    }

    // out = row (i, j) of the product of two tables: the weighted sum of rows of(p, q)
    template <class Of>
    static void gather(T* out, long n, const Matrix<T>& A, long i, const Matrix<T>& B, long j, const Of& of) {
        constexpr int MOST = 64;
        const T* at[MOST];
        T w[MOST];
        int count = 0;
        bool begun = false;
        for (long m = 0; m < B.width; m++)
            for (long k = 0; k < A.width; k++) {
                const T weight = B.weights[j * B.width + m] * A.weights[i * A.width + k];
                if (weight == 0) continue;
                at[count] = of(A.start[i] + k, B.start[j] + m);
                w[count++] = weight;
                if (count == MOST) {
                    add(out, at, w, count, n, begun);
                    begun = true, count = 0;
                }
            }
        if (count || !begun) add(out, at, w, count, n, begun);
    }

    // the same of rows that are kept from the origins on, modulo the periods
    static void gather(T* out, long n, const T* rows, long plane, long row, const Matrix<T>& A, long i, long origin0,
                       long period0, const Matrix<T>& B, long j, long origin1, long period1) {
        gather(out, n, A, i, B, j, [=](long p, long q) {
            return rows + wrapped(p - origin0, period0) * plane + wrapped(q - origin1, period1) * row;
        });
    }

  private:
    static void add(T* out, const T** at, T* w, int count, long n, bool begun) {
        if (!begun) return Rows<X>::combine_any(out, at, w, count, n);
        for (int k = 0; k < count; k++) Rows<X>::template combine<1>(out, at + k, w + k, n, true);
    }
};

}  // namespace mgnet
