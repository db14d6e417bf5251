// The direct solve of a coarsest grid: u = (V0 x V1 x V2) D (V0 x V1 x V2)^T f, fast diagonalisation.
#pragma once
#include <utility>

#include "arena.h"
#include "problem.h"
#include "products.h"

namespace mgnet {

template <class X>
struct DirectSolve {
    using T = typename X::T;
    using P = Products<X>;
    static constexpr long W = X::W;

    long n[3], stride;  // rows of a workspace have `stride` numbers, zero beyond the n[2]-th
    const T *V[3], *Vt[3], *D;  // V[2] and Vt[2] in rows of `stride` numbers, D as well

    static DirectSolve make(const Direct& direct, Arena& arena) {
        DirectSolve to{};
        to.stride = P::padded(direct.n[2]);
        for (int d = 0; d < 3; d++) {
            const long n = to.n[d] = direct.n[d], wide = d == 2 ? to.stride : n;
            to.V[d] = P::square(direct.V[d], n, wide, false, arena), to.Vt[d] = P::square(direct.V[d], n, wide, true, arena);
        }
        T* D = arena.take<T>(to.rows() * to.stride);
        for (long p = 0; p < to.rows(); p++)
            for (long i = 0; i < to.n[2]; i++) D[p * to.stride + i] = static_cast<T>(direct.D[p * to.n[2] + i]);
        to.D = D;
        return to;
    }

    long rows() const { return n[0] * n[1]; }
    long workspace() const { return 2 * rows() * stride; }

    void operator()(const T* f, T* u, T* workspace) const {
        T *v = workspace, *w = workspace + rows() * stride;
        for (long p = 0; p < rows(); p++) {
            for (long i = 0; i < n[2]; i++) v[p * stride + i] = f[p * n[2] + i];
            for (long i = n[2]; i < stride; i++) v[p * stride + i] = 0;
        }
        transform(v, w, Vt[0], Vt[1], V[2]);
        for (long i = 0; i < rows() * stride; i += W) X::store(v + i, X::load(D + i) * X::load(v + i));
        transform(v, w, V[0], V[1], Vt[2]);
        for (long p = 0; p < rows(); p++)
            for (long i = 0; i < n[2]; i++) u[p * n[2] + i] = v[p * stride + i];
    }

  private:
    // v <- (A0 x A1 x A2^T) v; w as well is overwritten
    void transform(T*& v, T*& w, const T* A0, const T* A1, const T* A2) const {
        const long plane = n[1] * stride;
        P::product(w, stride, v, stride, A2, stride, rows(), n[2], stride);
        std::swap(v, w);
        if (n[1] > 1) {
            for (long p = 0; p < n[0]; p++)
                P::product(w + p * plane, stride, A1, n[1], v + p * plane, stride, n[1], n[1], stride);
            std::swap(v, w);
        }
        if (n[0] > 1) {
            for (long j = 0; j < n[1]; j++)
                P::product(w + j * stride, plane, A0, n[0], v + j * stride, plane, n[0], n[0], stride);
            std::swap(v, w);
        }
    }
};

}  // namespace mgnet
