// u = M f on one member's padded field, for the dense inverse M of the coarsest grid's operator.
#pragma once
#include "arena.h"
#include "stencil_rows.h"

namespace mgnet {

template <class X>
struct DenseProduct {
    using T = typename X::T;
    using V = typename X::V;
    static constexpr long W = X::W;

    Mesh mesh;
    long N, wide, own;  // unknowns, numbers of a row of M in whole vectors, and of a member's M, or 0 for one M
    T* M;

    static long whole(long N) { return (N + 15) / 16 * 16; }
    static long workspace(const Mesh& mesh) { return whole(mesh.unknowns()); }

    static DenseProduct make(const Mesh& mesh, long members, const T* inverse, Arena& arena) {
        const long N = mesh.unknowns(), wide = whole(N);
        T* M = arena.take<T>(members * N * wide);
        for (long i = 0; i < members * N; i++)
            for (long j = 0; j < N; j++) M[i * wide + j] = inverse[i * N + j];
        return {mesh, N, wide, members > 1 ? N * wide : 0, M};
    }

    void operator()(long member, const T* f, T* u, T* flat) const {
        const long n = mesh.n[2], stride = mesh.stride();
        for (long i = N; i < wide; i++) flat[i] = 0;
        for (long q = 0; q < mesh.rows(); q++)
            for (long j = 0; j < n; j++) flat[q * n + j] = f[q * stride + LEFT + j];
        const T* row = M + member * own;
        for (long q = 0; q < mesh.rows(); q++) {
            T* to = u + q * stride + LEFT;
            for (long j = 0; j < n; j++, row += wide) to[j] = product(row, flat);
            mesh.close(to);
        }
    }

  private:
    T product(const T* row, const T* v) const {
        V even = {}, odd = {};
        for (long i = 0; i < wide; i += 2 * W) {
            even += X::load(row + i) * X::load(v + i);
            odd += X::load(row + i + W) * X::load(v + i + W);
        }
        return X::sum(even + odd);
    }
};

}  // namespace mgnet
