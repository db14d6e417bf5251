// Whole arrays, on the pool's threads: products, shifts, weighted sums, products of differences, changes.
//
// Arrays are (batch, n), or (batch, n0, n1, n2); parts of an array are the same whatever the number of threads, and so
// are sums over them.
#pragma once

namespace mgnet {

template <class T>
struct WholeArrays {
    // out = v w for v (batch, n) and w (n)
    static void product(const T* v, const T* w, T* out, long batch, long n, int threads);

    // v += by for each member; by (batch,)
    static void shift(T* v, const double* by, long batch, long n, int threads);

    // sums (batch, 2) = the sum of w0_i w1_j w2_k v_ijk, and that of |v|; n and w: per array axis
    static void weighted_sums(const T* v, const T* const w[3], const long n[3], long batch, double* sums, int threads);

    // out = -(v_i - v_{i-1}) (u_i - u_{i-1}) on the n + 1 faces of the middle axis of (pre, n, post). Beside an end v is 0,
    // and u 0 or, where the axis wraps, u's other end.
    static void difference_products(const T* v, const T* u, T* out, long pre, long n, long post, bool wraps, int threads);

    // squares (batch, 2) = || u - v ||^2, || u ||^2 for u, v (batch, n)
    static void changes(const T* u, const T* v, long batch, long n, double* squares, int threads);
};

}  // namespace mgnet
