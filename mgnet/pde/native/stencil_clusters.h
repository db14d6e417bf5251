// Corrections of clusters on one member's padded field, u += B (f - A u): see mgnet.pde.blackbox.clusters.
//
//     values = ((z, f) - (A z, u)) / (z, A z),   u += z values          A z is zero but at a cluster's edge
#pragma once
#include "stencil_rows.h"

namespace mgnet {

template <class X>
struct ClusterCorrections {
    using T = typename X::T;
    static constexpr long AHEAD = 64;  // numbers to ask for early: no processor foresees in which rows clusters lie

    static void sum(const Clusters<T>& B, long begin, long end, const T* u, const T* f, double* values) {
        for (long k = begin; k < end; k++) {
            const double zf = dotted(B.at.data(), B.z.data(), B.begin.data() + k, static_cast<long>(B.at.size()), f);
            const double Azu =
                dotted(B.at_A.data(), B.Az.data(), B.begin_A.data() + k, static_cast<long>(B.at_A.size()), u);
            values[k] = B.inverse[k] * (zf - Azu);
        }
    }

    static void add(const Clusters<T>& B, long begin, long end, const double* values, const Mesh& mesh, T* u) {
        const std::int32_t* at = B.at.data();
        const T* z = B.z.data();
        const long all = static_cast<long>(B.at.size()), n = mesh.n[2], stride = mesh.stride();
        for (long k = begin; k < end; k++)
            for (long m = B.begin[k]; m < B.begin[k + 1]; m++) {
                __builtin_prefetch(u + at[m + AHEAD < all ? m + AHEAD : m]);
                u[at[m]] += static_cast<T>(z[m] * values[k]);
                if (mesh.wraps[2]) ghosts(u + at[m], at[m] % stride - LEFT, n);
            }
    }

  private:
    static double dotted(const std::int32_t* at, const T* w, const long* range, long all, const T* v) {
        double total = 0;
        for (long m = range[0]; m < range[1]; m++) {
            __builtin_prefetch(v + at[m + AHEAD < all ? m + AHEAD : m]);
            total += static_cast<double>(w[m]) * static_cast<double>(v[at[m]]);
        }
        return total;
    }

    // the copies of the number at u, which is number i of a row that wraps
    static void ghosts(T* u, long i, long n) {
        if (i == 0) u[n] = *u;
        if (i == 1 % n) u[n + 1 - i] = *u;
        if (i == n - 1) u[-n] = *u;
        if (i == (n + n - 2) % n) u[-2 - i] = *u;
    }
};

}  // namespace mgnet
