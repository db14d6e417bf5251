// The two passes of conjugate gradients over the finest grid.
//
//     direct     p <- z + beta p;  (p, A p)                          in the precision of the levels
//     step       x <- x + alpha s p,  r = scale s (b - A x);  ||b - A x||^2, (r, p)      s = D^-1/2
//
// b - A x is made of differences of x in double, and A 1: D x would round away what little holds x. Planes come in
// as a wavefront of three; p and x are written to other memory than they are read from, as neighbouring tasks read
// them too. Sums are left for each row.
#pragma once
#include "stencil_neighbours.h"

namespace mgnet {

// One member's part; addresses are 0 where there is nothing. `sums`: two fields of (n0 n1,).
template <class T>
struct KrylovPass {
    const Mesh* mesh;
    long between;
    const T *S, *s, *z, *p;
    T *p_out, *r;
    const double *S_wide, *excess;
    const void *x, *b;  // rows without padding
    void* x_out;
    double factor, scale;  // beta, or alpha
    double* sums;
    long blocks0, blocks1;
};

// Data: of x and b.
template <class X, class Data, Points P>
struct KrylovPasses {
    using T = typename X::T;
    using V = typename X::V;
    using D = Wide<X>;
    using XD = typename D::D;
    using R = StencilRows<X>;
    static constexpr bool flat = P == FIVE || P == NINE;

    // doubles
    static long workspace(const Mesh& mesh, long blocks1) {
        const long rows = flat ? 1 : (mesh.n[1] + blocks1 - 1) / blocks1 + 3;
        return (3 * rows + 1) * mesh.stride() + 64;
    }

    static void direct(const KrylovPass<T>& pass, long number, double* workspace) {
        KrylovPasses(pass, number).template go<X, false>(reinterpret_cast<T*>(workspace), pass.S);
    }
    static void step(const KrylovPass<T>& pass, long number, double* workspace) {
        const KrylovPasses here(pass, number);
        if (!pass.b) return here.only_x(workspace + LEFT);
        if (!pass.x && !pass.p && !pass.x_out) return here.at_zero();
        here.template go<XD, true>(workspace, pass.S_wide);
    }

  private:
    const KrylovPass<T>& pass;
    const Mesh& mesh;
    const long n2, stride, all;
    long i0, i1, j0, j1;

    KrylovPasses(const KrylovPass<T>& p, long number)
        : pass(p), mesh(*p.mesh), n2(mesh.n[2]), stride(mesh.stride()), all(mesh.rows()) {
        const long k0 = number / p.blocks1, k1 = number % p.blocks1;
        i0 = k0 * mesh.n[0] / p.blocks0, i1 = (k0 + 1) * mesh.n[0] / p.blocks0;
        j0 = k1 * mesh.n[1] / p.blocks1, j1 = (k1 + 1) * mesh.n[1] / p.blocks1;
    }

    // Y: the vectors of the numbers that the stencil is applied to.
    template <class Y, bool Step, class N = typename Y::T>
    void go(N* workspace, const N* S) const {
        for (long i = 0; i < stride; i++) workspace[i] = 0;
        const Neighbours<Y, P> grid(mesh, S, pass.between, workspace + LEFT);
        const long base = flat ? 0 : grid.clip(j0 - 1, 1), top = flat ? 1 : grid.clip(j1 + 1, 1);
        N* ring = workspace + stride + LEFT;
        auto slot = [&](long i) { return ring + ((i - i0 + 3) % 3 * (top - base) - base) * stride; };
        for (long t = i0 - 1; t <= i1; t++) {
            for (long j = base; j < top && !grid.beyond(t, 0); j++) {
                const bool own = t >= i0 && t < i1 && j >= j0 && j < j1;
                if constexpr (Step) make_x(slot(t) + j * stride, grid.number(t, j), own);
                if constexpr (!Step) make_p(slot(t) + j * stride, grid.number(t, j), own);
            }
            const long i = t - 1;
            if (i < i0) continue;
            Plane<N> around[3];
            for (int k = 0; k < 3; k++) around[k] = {grid.beyond(i + k - 1, 0) ? nullptr : slot(i + k - 1), false};
            for (long j = j0; j < j1; j++) {
                if constexpr (Step) use_x(grid(around, i, j), grid.nothing, grid.number(i, j));
                if constexpr (!Step) pass.sums[grid.number(i, j)] = R::template energy<P>(grid(around, i, j), n2);
            }
        }
    }

    // row = z + beta p
    void make_p(T* row, long number, bool own) const {
        const long at = number * stride + LEFT;
        const T *z = pass.z + at, *p = pass.p + at, beta = static_cast<T>(pass.factor);
        T* copy = own ? pass.p_out + at : nullptr;
        for (long i = 0; i < n2; i += X::W) {
            const V v = X::load(z + i) + beta * X::load(p + i);
            X::store(row + i, v);
            if (copy) X::store(copy + i, v);
        }
        mesh.close(row);
        if (copy) mesh.close(copy);
    }

    // no residual is asked for
    void only_x(double* row) const {
        for (long i = i0; i < i1; i++)
            for (long j = j0; j < j1; j++) make_x(row, i * mesh.n[1] + j, true);
    }

    // of x = 0: r = scale s b
    void at_zero() const {
        for (long i = i0; i < i1; i++)
            for (long j = j0; j < j1; j++) {
                const long number = i * mesh.n[1] + j, at = number * stride + LEFT;
                const Data *b = plain<Data>(pass.b, number), *limit = plain<Data>(pass.b, all);
                T* r = pass.r ? pass.r + at : nullptr;
                typename D::V squares = {};
                for (long k = 0; k < n2; k += D::W) {
                    const auto left = XD::within(D::load(b + k, n2 - k, limit), n2 - k);
                    squares += left * left;
                    if (!r) continue;
                    const auto narrow = D::template narrowed<T>(pass.scale * (D::load(pass.s + at + k) * left));
                    D::template Narrow<T>::store(r + k, narrow);
                }
                if (r) mesh.close(r);
                pass.sums[number] = XD::sum(squares), pass.sums[all + number] = 0;
            }
    }

    template <class N>
    const N* plain(const void* v, long number) const {  // a row without padding
        return static_cast<const N*>(v) + number * n2;
    }

    void make_x(double* row, long number, bool own) const {
        using W = typename D::V;
        const Data *x = pass.x ? plain<Data>(pass.x, number) : nullptr, *limit = x ? plain<Data>(pass.x, all) : nullptr;
        const long at = number * stride + LEFT;
        const T *s = pass.s + at, *p = pass.p ? pass.p + at : nullptr;
        Data* out = own && pass.x_out ? static_cast<Data*>(pass.x_out) + number * n2 : nullptr;
        const double alpha = pass.factor;
        for (long i = 0; i < n2; i += D::W) {
            W v = x ? D::load(x + i, n2 - i, limit) : W{};
            if (p) v += alpha * (D::load(s + i) * D::load(p + i));
            if (pass.x_out) v = D::template widened<Data>(D::template narrowed<Data>(v));  // of what is kept
            XD::store(row + i, v);
            if (out) D::store(out + i, v, n2 - i);
        }
        mesh.close(row);
    }

    // r = scale s (b + sum_o s_o (x_{i+o} - x) - (A 1) x); what lies beyond an end differs by nothing
    void use_x(StencilRow<double> q, const double* nothing, long number) const {
        for (int m = 0; m < OPPOSITES[P]; m++) {
            Opposite<double>& o = q.opposite[m];
            if (o.ahead == nothing) o.ahead = m < DIAGONALS[P] ? nullptr : q.v;
            if (o.behind == nothing) o.behind = m < DIAGONALS[P] ? nullptr : q.v;
        }
        using W = typename D::V;
        const Data *b = plain<Data>(pass.b, number), *limit = plain<Data>(pass.b, all);
        const long at = number * stride + LEFT;
        const double* excess = pass.excess + at;
        const T *s = pass.s + at, *p = pass.p ? pass.p + at : nullptr;
        T* r = pass.r ? pass.r + at : nullptr;
        W squares = {}, along = {};
        for (long i = 0; i < n2; i += D::W) {
            const W x = XD::load(q.v + i);
            W flux = difference(q.s + i, q.v + i + 1, x) + difference(q.s + i - 1, q.v + i - 1, x);
#pragma GCC unroll 4
            for (int m = 0; m < OPPOSITES[P]; m++) {
                const Opposite<double>& o = q.opposite[m];
                if (m < DIAGONALS[P])
                    flux += beside(o, q.between, i, x);
                else
                    flux += difference(o.s_ahead + i, o.ahead + i, x) + difference(o.s_behind + i, o.behind + i, x);
            }
            const W left = XD::within(D::load(b + i, n2 - i, limit) + flux - XD::load(excess + i) * x, n2 - i);
            squares += left * left;
            if (!r) continue;
            const auto narrow = D::template narrowed<T>(pass.scale * (D::load(s + i) * left));
            D::template Narrow<T>::store(r + i, narrow);
            if (p) along += XD::within(D::template widened<T>(narrow) * D::load(p + i), n2 - i);
        }
        if (r) mesh.close(r);
        pass.sums[number] = XD::sum(squares), pass.sums[all + number] = XD::sum(along);
    }

    // of the three unknowns of each of two opposite rows, which are 0 beyond an end
    static typename D::V beside(const Opposite<double>& o, long h, long i, typename D::V x) {
        typename D::V flux = {};
        if (const double *s = o.s_ahead + i, *v = o.ahead; v)
            flux += difference(s, v + i - 1, x) + difference(s + h, v + i, x) + difference(s + 2 * h, v + i + 1, x);
        if (const double *s = o.s_behind + i, *v = o.behind; v)
            flux += difference(s + 1, v + i + 1, x) + difference(s + h, v + i, x) + difference(s + 2 * h - 1, v + i - 1, x);
        return flux;
    }
    static typename D::V difference(const double* s, const double* v, typename D::V x) {
        return XD::load(s) * (XD::load(v) - x);
    }
};

}  // namespace mgnet
