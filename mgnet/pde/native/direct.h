// The direct solve of a coarsest grid: u = (V0 x V1 x V2) D (V0 x V1 x V2)^T f, fast diagonalisation.
#pragma once
#include "arena.h"
#include "problem.h"
#include "products.h"

namespace mgnet {

template <class X>
struct DirectSolve {
    using T = typename X::T;
    using P = Products<X>;
    static constexpr long W = X::W;

    long n0, n1, n2, stride;                      // rows of a workspace have `stride` numbers, zero beyond the n2-th
    const T *V0, *V1, *V2, *V0t, *V1t, *V2t, *D;  // V2 and V2t in rows of `stride` numbers, D as well

    static DirectSolve make(const Direct& direct, Arena& arena) {
        DirectSolve to{};
        to.n0 = direct.n[0], to.n1 = direct.n[1], to.n2 = direct.n[2];
        to.stride = Products<X>::padded(to.n2);
        to.V0 = P::square(direct.V[0], to.n0, to.n0, false, arena),
        to.V0t = P::square(direct.V[0], to.n0, to.n0, true, arena);
        to.V1 = P::square(direct.V[1], to.n1, to.n1, false, arena),
        to.V1t = P::square(direct.V[1], to.n1, to.n1, true, arena);
        to.V2 = P::square(direct.V[2], to.n2, to.stride, false, arena),
        to.V2t = P::square(direct.V[2], to.n2, to.stride, true, arena);
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
    // v <- (A0 x A1 x A2^T) v; w as well is overwritten
    void transform(T*& v, T*& w, const T* A0, const T* A1, const T* A2) const {
        P::product(w, stride, v, stride, A2, stride, n0 * n1, n2, stride);
        swap(v, w);
        if (n1 > 1) {
            for (long p = 0; p < n0; p++)
                P::product(w + p * n1 * stride, stride, A1, n1, v + p * n1 * stride, stride, n1, n1, stride);
            swap(v, w);
        }
        if (n0 > 1) {
            for (long j = 0; j < n1; j++)
                P::product(w + j * stride, n1 * stride, A0, n0, v + j * stride, n1 * stride, n0, n0, stride);
            swap(v, w);
        }
    }

    static void swap(T*& a, T*& b) {
        T* c = a;
        a = b, b = c;
    }
};

}  // namespace mgnet
