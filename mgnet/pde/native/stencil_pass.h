// One pass of a black-box level through memory: source -> nu steps -> iterate -> residual -> restriction.
//
// As in pass.h planes (2-D: rows) travel through the stages as a wavefront, a task owns a block of coarse planes and
// rows with the fine ones that go with them, and works on the few around it again, so tasks share nothing. Stencils
// have a unit diagonal.
//
//     source     u, or zero;  plus P e
//     step       u <- u + omega (f - A u)          the first one from zero is a factor, never stored on its own
//     residual   r = f - A u
//     restrict   f_c = P^T r
//
// The inner product (f, u) is left as a sum for each row, so that no block matters to it.
#pragma once
#include "stencil_neighbours.h"

namespace mgnet {

// One member's part of a level, and how a pass is shared out.
template <class T>
struct StencilPass {
    const StencilLevel<T>* level;
    const T *S, *W;             // this member's
    long between, between_c;    // numbers from one coupling, and from one delta, to the next
    const T *u, *e, *f;         // 0 where there is nothing
    T *out, *f_c;
    const T* steps;
    int nu;
    double* sums;  // (n0 n1,) or 0
    long blocks0, blocks1;
};

template <class X, Points P>
struct StencilPasses {
    using T = typename X::T;
    using R = StencilRows<X>;
    static constexpr bool flat = P == FIVE || P == NINE;

    // numbers of a workspace that a block of a pass of so many steps needs
    static long workspace(const StencilLevel<T>& level, int nu, long blocks1) {
        const long n1 = level.fine.n[1], nc1 = level.coarse.n[1], stride = level.fine.stride();
        const long rows = flat ? 1 : (nc1 + blocks1 - 1) / blocks1 * n1 / nc1 + 4 + 2 * (nu + 2);
        return (3 * (nu + 2) * rows + 2) * stride + 64;
    }

    static void block(const StencilPass<T>& pass, long number, T* workspace) {
        StencilPasses(pass, number, workspace).go();
    }

  private:
    const StencilPass<T>& pass;
    const Mesh &fine, &coarse;
    const Halving& h;
    const int nu;
    const bool zero, direct, restricts, folds;
    const long n1, n2, stride, stride_c;
    const int end;  // the last stage: nu, or nu + 1 for the residual
    long I0, I1, J0, J1, i0, i1, j0, j1;  // the coarse planes and rows of this block, and the fine ones with them
    long r0, r1, s0, s1;                  // those of the last stage
    long base0, base1, rows;
    T* ring;
    Neighbours<X, P> grid;

    StencilPasses(const StencilPass<T>& p, long number, T* workspace)
        : pass(p),
          fine(p.level->fine),
          coarse(p.level->coarse),
          h(p.level->halving),
          nu(p.nu),
          zero(!p.u && !p.e),
          direct(p.u && !p.e),
          restricts(p.f_c),
          folds(zero && p.nu > 0),
          n1(p.level->fine.n[1]),
          n2(p.level->fine.n[2]),
          stride(p.level->fine.stride()),
          stride_c(coarse.stride()),
          end(p.f_c ? p.nu + 1 : p.nu),
          grid(p.level->fine, p.S, p.between, workspace + LEFT) {
        share(number / p.blocks1, p.blocks0, 0, I0, I1, i0, i1, r0, r1);
        share(number % p.blocks1, p.blocks1, 1, J0, J1, j0, j1, s0, s1);
        base0 = r0 - end;
        base1 = flat ? 0 : grid.clip(s0 - end, 1);
        rows = flat ? 1 : grid.clip(s1 + end, 1) - base1;
        for (long i = 0; i < stride; i++) workspace[i] = 0;
        ring = workspace + stride + LEFT;
    }

    // block k of an axis: its coarse planes, the fine ones, and those of the last stage
    void share(long k, long blocks, int axis, long& C0, long& C1, long& c0, long& c1, long& a, long& b) const {
        const long n = grid.n[axis], n_c = coarse.n[axis];
        C0 = k * n_c / blocks, C1 = (k + 1) * n_c / blocks;
        c0 = a = C0 * n / n_c, c1 = b = C1 * n / n_c;
        if (!restricts || !h.halved[axis]) return;
        const long low = 2 * C0 + h.first[axis] - 1, high = 2 * (C1 - 1) + h.first[axis] + 2;
        a = grid.clip(low < a ? low : a, axis), b = grid.clip(high > b ? high : b, axis);
    }

    // where row j of plane p lies as stage s left it
    T* slot(int s, long p, long j) const {
        return ring + ((3 * s + (p - base0) % 3) * rows + (flat ? 0 : j - base1)) * stride;
    }

    // plane p as stage s left it: in memory if it is the iterate given, or the data, of which step 1 is a factor
    Plane<T> source(int s, long p) const {
        if (s == 0 && direct) return grid.memory(pass.u, p);
        if (s == 1 && folds) return grid.memory(pass.f, p);
        if (grid.beyond(p, 0)) return {nullptr, false};
        return {slot(s, p, 0), false};
    }

    // stage s on the rows of plane p that later ones need
    void plane(int s, long p) {
        const int reach = end - s;
        if (p < grid.clip(r0 - reach, 0) || p >= grid.clip(r1 + reach, 0)) return;
        const long begin = flat ? 0 : grid.clip(s0 - reach, 1), stop = flat ? 1 : grid.clip(s1 + reach, 1);
        Plane<T> around[3] = {};
        for (int k = 0; k < 3 && s > 0; k++) around[k] = source(s - 1, p + k - 1);
        for (long j = begin; j < stop; j++) {
            const bool own = p >= i0 && p < i1 && j >= j0 && j < j1;
            T* out = slot(s, p, j);
            T* copy = nullptr;
            if (s == nu && own && pass.out) (restricts ? copy : out) = pass.out + grid.row(p, j);
            const double sum = work(s, around, p, j, out, copy, s == nu && own && pass.sums);
            fine.close(out);
            if (copy) fine.close(copy);
            if (s == nu && own && pass.sums) pass.sums[p * n1 + j] = sum;
        }
    }

    // one row of a stage; (f, out) if it is asked for
    double work(int s, const Plane<T>* around, long p, long j, T* out, T* copy, bool sums) {
        if (s == 0 || (s == 1 && zero && nu > 0)) {
            if (s == 0) begin(out, p, j);
            if (s == 1) R::scale(out, pass.steps[0], pass.f + grid.row(p, j), n2);
            if (copy) R::scale(copy, T(1), out, n2);
            return sums ? R::dot(pass.f + grid.row(p, j), out, n2) : 0;
        }
        StencilRow<T> r = grid(around, p, j);
        r.f = pass.f + grid.row(p, j), r.out = out, r.copy = copy;
        T a = -1, b = 1, w = 1;
        if (s <= nu) w = b = pass.steps[s - 1], a = 1 - w;
        if (folds && s == 2) a = a * pass.steps[0] + b, b = 0, w *= pass.steps[0];
        return sums ? R::template step<P, true>(r, n2, a, b, w) : R::template step<P, false>(r, n2, a, b, w);
    }

    // row = row (p, j) of u, or 0; plus that of P e
    void begin(T* out, long p, long j) const {
        const T* u = pass.u ? pass.u + grid.row(p, j) : nullptr;
        if (!pass.e) return u ? R::scale(out, T(1), u, n2) : R::clear(out, n2);
        long parent[2][2], delta[2][2];
        int count[2], total = 0;
        for (int d = 0; d < 2; d++) count[d] = parents(grid.wrapped(d == 0 ? p : j, d), d, parent[d], delta[d]);
        Weighted<T> from[4];
        for (int k = 0; k < count[0]; k++)
            for (int m = 0; m < count[1]; m++) {
                const long at = row_c(parent[0][k], parent[1][m]);
                from[total++] = {pass.e + at, weights(delta[0][k], delta[1][m]) + at};
            }
        R::prolong(out, u, from, total, pass.between_c, h.halved[2], h.first[2], coarse.n[2]);
    }

    // the coarse planes (rows) that fine one i is interpolated from, and 1 + delta of each
    int parents(long i, int axis, long* parent, long* delta) const {
        if (!h.halved[axis]) return parent[0] = i, delta[0] = 0, 1;
        const long d = i - h.first[axis], n_c = coarse.n[axis];
        if (d % 2 == 0) return parent[0] = d / 2, delta[0] = 1, 1;
        int count = 0;
        if (d > 0) parent[count] = (d - 1) / 2, delta[count++] = 2;
        const long high = (d + 1) / 2;
        if (high < n_c || grid.wraps[axis]) parent[count] = high < n_c ? high : 0, delta[count++] = 0;
        return count;
    }

    long row_c(long I, long J) const { return (I * coarse.n[1] + J) * stride_c + LEFT; }

    // the weights of so many deltas along axes 0 and 1, and the first along axis 2
    const T* weights(long delta0, long delta1) const {
        return pass.W + (delta0 * (h.halved[1] ? 3 : 1) + delta1) * (h.halved[2] ? 3 : 1) * pass.between_c;
    }

    // f_c on plane I
    void restrict_(long I) const {
        for (long J = J0; J < J1; J++) {
            Weighted<T> from[9];
            int count = 0;
            for (long d0 = 0; d0 < (h.halved[0] ? 3 : 1); d0++) {
                const long p = h.halved[0] ? 2 * I + h.first[0] + d0 - 1 : I;
                for (long d1 = 0; d1 < (h.halved[1] ? 3 : 1); d1++) {
                    const long j = h.halved[1] ? 2 * J + h.first[1] + d1 - 1 : J;
                    if (!grid.beyond(p, 0) && !grid.beyond(j, 1))
                        from[count++] = {residual(p, j), weights(d0, d1) + row_c(I, J)};
                }
            }
            T* out = pass.f_c + row_c(I, J);
            R::restrict_(out, from, count, pass.between_c, h.halved[2], h.first[2], coarse.n[2]);
            coarse.close(out);
        }
    }

    // row (p, j) of the residual: of zero it is the data
    const T* residual(long p, long j) const {
        return zero && nu == 0 ? pass.f + grid.row(p, j) : slot(nu + 1, p, j);
    }

    void go() {
        long next = I0;
        if (restricts && zero && nu == 0) {
            if (pass.out) blank();
            while (next < I1) restrict_(next++);
            return;
        }
        const int first = folds ? (nu == 1 ? 1 : 2) : direct ? 1 : 0;
        for (long t = base0; t < r1 + end; t++) {
            for (int s = first; s <= end; s++) plane(s, t - s);
            for (; restricts && next < I1; next++) {
                const long last = h.halved[0] ? 2 * next + h.first[0] + 1 : next;
                if (grid.clip(last + 1, 0) - 1 > t - end) break;
                restrict_(next);
            }
        }
    }

    // out = 0 on this block
    void blank() const {
        for (long p = i0; p < i1; p++)
            for (long j = j0; j < j1; j++) {
                R::clear(pass.out + grid.row(p, j), n2);
                fine.close(pass.out + grid.row(p, j));
            }
    }
};

}  // namespace mgnet
