// The direct solve of a coarsest grid: u = (V0 x V1 x V2) D (V0 x V1 x V2)^T f, fast diagonalisation.
#pragma once
#include "arena.h"
#include "problem.h"
#include "simd.h"

namespace mgnet {

template <class X>
struct DirectSolve {
    using T = typename X::T;
    using V = typename X::V;
    static constexpr long W = X::W;

    long n0, n1, n2, stride;                      // rows of a workspace have `stride` numbers, zero beyond the n2-th
    const T *V0, *V1, *V2, *V0t, *V1t, *V2t, *D;  // V2 and V2t in rows of `stride` numbers, D as well

    static DirectSolve make(const Direct& direct, Arena& arena) {
        DirectSolve to{};
        to.n0 = direct.n[0], to.n1 = direct.n[1], to.n2 = direct.n[2];
        to.stride = (to.n2 + 2 * W - 1) / (2 * W) * (2 * W);
        to.V0 = square(direct.V[0], to.n0, to.n0, false, arena),
        to.V0t = square(direct.V[0], to.n0, to.n0, true, arena);
        to.V1 = square(direct.V[1], to.n1, to.n1, false, arena),
        to.V1t = square(direct.V[1], to.n1, to.n1, true, arena);
        to.V2 = square(direct.V[2], to.n2, to.stride, false, arena),
        to.V2t = square(direct.V[2], to.n2, to.stride, true, arena);
        T* D = arena.take<T>(to.n0 * to.n1 * to.stride);
        for (long p = 0; p < to.n0 * to.n1; p++)
            for (long i = 0; i < to.n2; i++) D[p * to.stride + i] = static_cast<T>(direct.D[p * to.n2 + i]);
        to.D = D;
        return to;
    }

    long workspace() const { return 2 * n0 * n1 * stride; }

    void operator()(const T* f, T* u, T* workspace) const {
        const long count = n0 * n1;
        T *v = workspace, *w = workspace + count * stride;
        for (long p = 0; p < count; p++) {
            for (long i = 0; i < n2; i++) v[p * stride + i] = f[p * n2 + i];
            for (long i = n2; i < stride; i++) v[p * stride + i] = 0;
        }
        transform(v, w, V0t, V1t, V2);
        for (long i = 0; i < count * stride; i += W) X::store(v + i, X::load(D + i) * X::load(v + i));
        transform(v, w, V0, V1, V2t);
        for (long p = 0; p < count; p++)
            for (long i = 0; i < n2; i++) u[p * n2 + i] = v[p * stride + i];
    }

  private:
    static const T* square(const std::vector<double>& V, long n, long stride, bool transposed, Arena& arena) {
        T* to = arena.take<T>(n * stride);
        for (long i = 0; i < n; i++)
            for (long j = 0; j < n; j++) to[i * stride + j] = static_cast<T>(transposed ? V[j * n + i] : V[i * n + j]);
        return to;
    }

    // v <- (A0 x A1 x A2^T) v; w as well is overwritten
    void transform(T*& v, T*& w, const T* A0, const T* A1, const T* A2) const {
        product(w, stride, v, stride, A2, stride, n0 * n1, n2);
        swap(v, w);
        if (n1 > 1) {
            for (long p = 0; p < n0; p++)
                product(w + p * n1 * stride, stride, A1, n1, v + p * n1 * stride, stride, n1, n1);
            swap(v, w);
        }
        if (n0 > 1) {
            for (long j = 0; j < n1; j++)
                product(w + j * stride, n1 * stride, A0, n0, v + j * stride, n1 * stride, n0, n0);
            swap(v, w);
        }
    }

    static void swap(T*& a, T*& b) {
        T* c = a;
        a = b, b = c;
    }

    // C = A B for `rows` rows of A with `count` numbers each; rows of B and C have `stride` numbers, in steps
    void product(T* C, long step_C, const T* A, long step_A, const T* B, long step_B, long rows, long count) const {
        if (rows == 1) return of_one_row(C, A, B, step_B, count);
        long i = 0;
        for (; i + 4 <= rows; i += 4) block<4>(C + i * step_C, step_C, A + i * step_A, step_A, B, step_B, count);
        for (; i < rows; i++) block<1>(C + i * step_C, step_C, A + i * step_A, step_A, B, step_B, count);
    }

    // C = A B for one row: B, which may be large, is read once and in its order
    void of_one_row(T* C, const T* A, const T* B, long step_B, long count) const {
        for (long k = 0; k < stride; k++) C[k] = 0;
        for (long m = 0; m < count; m += 4) {
            const T* b[4];
            T a[4];
            for (long q = 0; q < 4; q++)
                b[q] = B + (m + q < count ? m + q : m) * step_B, a[q] = m + q < count ? A[m + q] : T(0);
            for (long k = 0; k < stride; k += W) {
                const V x = a[0] * X::load(b[0] + k) + a[1] * X::load(b[1] + k),
                        y = a[2] * X::load(b[2] + k) + a[3] * X::load(b[3] + k);
                X::store(C + k, X::load(C + k) + (x + y));
            }
        }
    }

    template <int N>
    void block(T* C, long step_C, const T* A, long step_A, const T* B, long step_B, long count) const {
        for (long k = 0; k < stride; k += 2 * W) {
            V x[N] = {}, y[N] = {};
            for (long m = 0; m < count; m++) {
                const V b = X::load(B + m * step_B + k), c = X::load(B + m * step_B + k + W);
#pragma GCC unroll 4
                for (int i = 0; i < N; i++) x[i] += A[i * step_A + m] * b, y[i] += A[i * step_A + m] * c;
            }
            for (int i = 0; i < N; i++) X::store(C + i * step_C + k, x[i]), X::store(C + i * step_C + k + W, y[i]);
        }
    }
};

}  // namespace mgnet
