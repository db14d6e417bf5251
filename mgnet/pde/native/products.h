// Products of small matrices with many rows of vectors.
#pragma once
#include <vector>

#include "arena.h"
#include "simd.h"

namespace mgnet {

template <class X>
struct Products {
    using T = typename X::T;
    using V = typename X::V;
    static constexpr long W = X::W;

    // numbers that a row of so many is padded to
    static constexpr long padded(long n) { return (n + 2 * W - 1) / (2 * W) * (2 * W); }

    // a matrix (n, n), or its transpose, in rows of `stride` numbers
    static const T* square(const std::vector<double>& M, long n, long stride, bool transposed, Arena& arena) {
        T* to = arena.take<T>(n * stride);
        for (long i = 0; i < n; i++)
            for (long j = 0; j < n; j++) to[i * stride + j] = static_cast<T>(transposed ? M[j * n + i] : M[i * n + j]);
        return to;
    }

    // the same in strips of 2 W columns, one behind the other: what a block reads of them lies together
    static const T* strips(const double* M, long n, bool transposed, Arena& arena) {
        const long columns = padded(n);
        T* to = arena.take<T>(n * columns);
        for (long i = 0; i < n; i++)
            for (long j = 0; j < n; j++)
                to[(j / (2 * W) * n + i) * 2 * W + j % (2 * W)] = static_cast<T>(transposed ? M[j * n + i] : M[i * n + j]);
        return to;
    }

    // C = A B for a B (n, n) in strips: each is read once for all rows
    static void by_strips(T* C, long step_C, const T* A, long step_A, const T* B, long rows, long n) {
        for (long k = 0; k < padded(n); k += 2 * W, B += 2 * W * n)
            product(C + k, step_C, A, step_A, B, 2 * W, rows, n, 2 * W);
    }

    // C = A B for `rows` rows of A with `count` numbers each, and `columns` of B and C, a multiple of 2 W
    static void product(T* C, long step_C, const T* A, long step_A, const T* B, long step_B, long rows, long count,
                        long columns) {
        if (rows == 1) return of_one_row(C, A, B, step_B, count, columns);
        long i = 0;
        for (; i + 6 <= rows; i += 6)
            block<6>(C + i * step_C, step_C, A + i * step_A, step_A, B, step_B, count, columns);
        for (; i + 2 <= rows; i += 2)
            block<2>(C + i * step_C, step_C, A + i * step_A, step_A, B, step_B, count, columns);
        for (; i < rows; i++) block<1>(C + i * step_C, step_C, A + i * step_A, step_A, B, step_B, count, columns);
    }

  private:
    // C = A B for one row: B, which may be large, is read once and in its order
    static void of_one_row(T* C, const T* A, const T* B, long step_B, long count, long columns) {
        for (long k = 0; k < columns; k++) C[k] = 0;
        for (long m = 0; m < count; m += 4) {
            const T* b[4];
            T a[4];
            for (long q = 0; q < 4; q++)
                b[q] = B + (m + q < count ? m + q : m) * step_B, a[q] = m + q < count ? A[m + q] : T(0);
            for (long k = 0; k < columns; k += W) {
                const V x = a[0] * X::load(b[0] + k) + a[1] * X::load(b[1] + k),
                        y = a[2] * X::load(b[2] + k) + a[3] * X::load(b[3] + k);
                X::store(C + k, X::load(C + k) + (x + y));
            }
        }
    }

    template <int N>
    static void block(T* C, long step_C, const T* A, long step_A, const T* B, long step_B, long count, long columns) {
        for (long k = 0; k < columns; k += 2 * W) {
            V x[N] = {}, y[N] = {};
            for (long m = 0; m < count; m++) {
                const V b = X::load(B + m * step_B + k), c = X::load(B + m * step_B + k + W);
#pragma GCC unroll 6
                for (int i = 0; i < N; i++) x[i] += A[i * step_A + m] * b, y[i] += A[i * step_A + m] * c;
            }
            for (int i = 0; i < N; i++) X::store(C + i * step_C + k, x[i]), X::store(C + i * step_C + k + W, y[i]);
        }
    }
};

}  // namespace mgnet
