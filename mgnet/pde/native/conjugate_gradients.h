// The parts of a step of conjugate gradients on the finest grid, for one member of the batch at a time; see krylov.h.
#pragma once
#include <algorithm>
#include <cmath>
#include <utility>

#include "krylov.h"
#include "stencil_verbs.h"

namespace mgnet {

constexpr double LOST = 0.03;  // of (r, z), see krylov.py

template <class X>
class ConjugateGradients {
    using T = typename X::T;

  public:
    // doubles of a thread's workspace
    static long workspace(const Mesh& mesh) {
        const long rows = blocks_of_rows(mesh.n[1], mesh.n[1]);
        return flat(mesh) ? KrylovPasses<X, T, FIVE>::workspace(mesh, rows)  // as of NINE
                          : KrylovPasses<X, T, SEVEN>::workspace(mesh, rows);
    }

    ConjugateGradients(const StencilHierarchy<T>& hierarchy, const StencilRun& run, StencilVerbs<X>& verbs,
                       Arena& arena)
        : h_(hierarchy), run_(run), mesh_(hierarchy.finest), verbs_(verbs) {
        for (T** field : {&r_, &p_, &q_})
            *field = h_.alone ? nullptr : arena.take<T>(run.batch * verbs.size0 + APART / sizeof(T));
        sizes_ = arena.take<double>(run.batch);
        std::fill_n(sizes_, run.batch, 1.0);
    }

    T* r(Member m) const { return at(r_, m); }
    double size(Member m) const { return sizes_[m.b]; }
    void exchange() { std::swap(p_, q_); }

    void begin(Member m, const void* x, const void* b, double* norms) {
        const double size = moved(m, nullptr, nullptr, 0, nullptr, b, nullptr, nullptr);
        sizes_[m.b] = size > 0 ? size : 1;
        T* p = at(p_, m);
        for (long i = 0; i < verbs_.size0; i++) p[i] = 0;
        norms[m.b] = moved(m, x, nullptr, 0, nullptr, b, r(m), nullptr);
    }

    // One iteration; rz and rp: those of the step before. `visit` makes z = M r, and sums of rows if it is given where to.
    template <class Visit>
    void advance(Member m, const Visit& visit, const void* x, void* x_out, const void* b, double& norm, double& rz,
                 double& rp) {
        const bool along = verbs_.sums_come_along();
        double *const sums = verbs_.lane_of(m).sums, before = rz;
        const T* z = visit(r(m), along ? sums : nullptr);
        rz = along ? total(sums) : dotted(m, r(m), z);
        const double beta = quotient(rz, before), left = beta * rp;
        const double alpha = quotient(rz + left, turned(m, z, at(p_, m), beta, at(q_, m)));
        norm = moved(m, x, at(q_, m), alpha * size(m), x_out, b, r(m), &rp);
        if (std::abs(left) > LOST * rz) rz = -rz;
    }

    // x_out = x + alpha s p, its residual to r if that is not 0; ||b - A x_out||, and (r, p), unless b is 0
    double moved(Member m, const void* x, const T* p, double alpha, void* x_out, const void* b, T* r, double* rp) {
        return std::sqrt(moved(m, x, p, alpha, x_out, b, 1 / sizes_[m.b], r, rp));
    }
    double moved(Member m, const void* x, const T* p, double alpha, void* x_out, const void* b, double scale, T* r,
                 double* rp) {
        KrylovPass<T> pass = krylov_pass(m);
        pass.x = data(x, m), pass.b = data(b, m), pass.x_out = const_cast<void*>(data(x_out, m));
        pass.p = p, pass.r = r, pass.factor = alpha, pass.scale = scale;
        run(m, pass, false);
        if (!b) return 0;
        if (rp) *rp = total(pass.sums + mesh_.rows());
        return total(pass.sums);
    }

    double dotted(Member m, const T* v, const T* w) {
        double* sums = verbs_.lane_of(m).sums;
        for (long i = 0; i < mesh_.rows(); i++) {
            const long row = i * mesh_.stride() + LEFT;
            sums[i] = StencilRows<X>::dot(v + row, w + row, mesh_.n[2]);
        }
        return total(sums);
    }

    // p_out = z + beta p;  (p, A p)
    double turned(Member m, const T* z, const T* p, double beta, T* p_out) {
        KrylovPass<T> pass = krylov_pass(m);
        pass.z = z, pass.p = p, pass.p_out = p_out, pass.factor = beta;
        run(m, pass, true);
        return total(pass.sums);
    }

  private:
    T* at(T* field, Member m) const { return field + m.b * verbs_.size0; }

    const void* data(const void* v, Member m) const {
        return v ? static_cast<const char*>(v) + m.b * mesh_.unknowns() * (run_.single ? 4 : 8) : nullptr;
    }

    // a / b, 0 where b is not positive (NaN stays)
    static double quotient(double a, double b) { return b <= 0 ? 0 : a / b; }

    // a sum of the sums of rows that count, in an order of its own
    double total(const double* v) const {
        double part[8] = {};
        const long n = least(run_.counted[1], mesh_.n[0]) * mesh_.n[1];
        for (long i = run_.counted[0] * mesh_.n[1]; i < n; i++) part[i % 8] += v[i];
        return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
    }

    bool small() const { return mesh_.unknowns() <= FEW || verbs_.crew == 1; }

    KrylovPass<T> krylov_pass(Member m) {
        const long size = verbs_.size0, own = h_.members > 1 ? m.b * size : 0;
        KrylovPass<T> p{};
        p.mesh = &mesh_, p.between = h_.members * size, p.S = h_.S + own, p.s = h_.s + own;
        p.S_wide = h_.couplings + own, p.excess = h_.excess + own, p.sums = verbs_.lane_of(m).sums;
        p.blocks0 = m.crew == 1 || small() ? 1 : least(2 * verbs_.crew, mesh_.n[0]);
        p.blocks1 = blocks_of_rows(mesh_.n[1], mesh_.n[1]);
        return p;
    }

    // the pass for this precision of data and these points: `direct`, or a step
    void run(Member m, const KrylovPass<T>& pass, bool direct) {
        using Block = void (*)(const KrylovPass<T>&, long, double*);
        const Block block = with_points(mesh_.points, [&](auto P) -> Block {
            using Singles = KrylovPasses<X, float, decltype(P)::value>;
            using Doubles = KrylovPasses<X, double, decltype(P)::value>;
            if (direct) return &Doubles::direct;
            return run_.single ? &Singles::step : &Doubles::step;
        });
        verbs_.blocks(m, pass.blocks0 * pass.blocks1, small(),
                      [&](long number, T* space) { block(pass, number, reinterpret_cast<double*>(space)); });
    }

    const StencilHierarchy<T>& h_;
    const StencilRun run_;
    const Mesh& mesh_;
    StencilVerbs<X>& verbs_;
    T *r_, *p_, *q_;
    double* sizes_;  // of b
};

}  // namespace mgnet
