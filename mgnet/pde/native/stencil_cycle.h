// Cycles, full multigrid and conjugate gradients over all grids of a black-box hierarchy, each one call.
#pragma once
#include "conjugate_gradients.h"

namespace mgnet {

template <class X>
class StencilEngine final : public StencilCycles {
    using T = typename X::T;

  public:
    StencilEngine(const StencilHierarchy<T>& hierarchy, const StencilRun& run)
        : h_(hierarchy),
          run_(run),
          verbs_(hierarchy, run, ConjugateGradients<X>::workspace(hierarchy.finest), arena_),
          cg_(hierarchy, run, verbs_, arena_) {}

    void begin(const void* x, const void* b, double* norms) override {
        each_member([&](Member m) { cg_.begin(m, x, b, norms); });
    }
    void dot(const void* v, const void* w, double* sums) override {
        each_member([&](Member m) { sums[m.b] = cg_.dotted(m, of(v, 0, m), of(w, 0, m)); });
    }
    void turn(const void* z, const void* p, const double* beta, void* p_out, double* energy) override {
        each_member(
            [&](Member m) { energy[m.b] = cg_.turned(m, of(z, 0, m), of(p, 0, m), beta[m.b], of(p_out, 0, m)); });
    }
    void move(const void* x, const void* p, const double* alpha, void* x_out, const void* b, const double* scale,
              void* r, double* squares, double* rp) override {
        each_member([&](Member m) {
            squares[m.b] = cg_.moved(m, x, of(p, 0, m), alpha[m.b], x_out, b, scale[m.b], of(r, 0, m), &rp[m.b]);
        });
    }
    void advance(const void* x, void* x_out, const void* b, const double* floor, double* norms, double* rz,
                 double* rp) override {
        each_member([&](Member m) {
            const long k = m.b;
            if (norms[k] > floor[k])
                cg_.advance(m, from_zero(m), x, x_out, b, norms[k], rz[k], rp[k]);
            else
                cg_.moved(m, x, nullptr, 0, x_out, b, nullptr, nullptr);
        });
        cg_.exchange();
    }
    void full_multigrid(void* x_out, const void* b, bool measured, double* norms) override {
        each_member([&](Member m) {
            cg_.begin(m, nullptr, b, norms);
            T* u = full_multigrid(m);
            norms[m.b] = cg_.moved(m, nullptr, u, cg_.size(m), x_out, measured ? b : nullptr, nullptr, nullptr);
        });
    }
    void cycle(const void* x, void* x_out, const void* b, bool measured, double* norms) override {
        each_member([&](Member m) {
            cg_.begin(m, x, b, norms);
            T* z = from_zero(m)(cg_.r(m), nullptr);
            norms[m.b] = cg_.moved(m, x, z, cg_.size(m), x_out, measured ? b : nullptr, nullptr, nullptr);
        });
    }
    void norms(const void* x, const void* b, double* norms) override {
        each_member([&](Member m) { norms[m.b] = cg_.moved(m, x, nullptr, 0, nullptr, b, nullptr, nullptr); });
    }

    void smooth(int l, const void* u, const void* f, void* out, bool up) override {
        each_member([&](Member m) {
            const T *from = of(u, l, m), *data = of(f, l, m);
            T* to = room(m, l, from, out);
            const T* v = up ? verbs_.stepped(m, l, from, nullptr, data, to, true, nullptr)
                            : verbs_.smoothed(m, l, from, nullptr, data, to);
            verbs_.copy(of(out, l, m), v, verbs_.size(l));
        });
    }
    void down(int l, const void* u, const void* f, void* out, void* f_c) override {
        each_member([&](Member m) {
            const T *from = of(u, l, m), *data = of(f, l, m);
            const T* v = verbs_.down(m, l, from, nullptr, data, room(m, l, from, out), of(f_c, l + 1, m));
            verbs_.copy(of(out, l, m), v, verbs_.size(l));
        });
    }
    void up(int l, const void* u, const void* f, const void* e, void* out) override {
        each_member([&](Member m) {
            const T* from = of(u, l, m);
            const T* v = verbs_.up(m, l, from, of(e, l + 1, m), of(f, l, m), room(m, l, from, out), nullptr);
            verbs_.copy(of(out, l, m), v, verbs_.size(l));
        });
    }
    void restrict_(int l, const void* u, const void* f, void* f_c) override {
        each_member([&](Member m) { verbs_.restrict_(m, l, of(u, l, m), of(f, l, m), of(f_c, l + 1, m)); });
    }
    void interpolate(int l, const void* u, const void* e, void* out) override {
        each_member([&](Member m) { verbs_.interpolate(m, l, of(u, l, m), of(e, l + 1, m), of(out, l, m)); });
    }
    void solve(const void* f, void* u) override {
        each_member([&](Member m) { verbs_.solve(m, of(f, verbs_.L, m), of(u, verbs_.L, m)); });
    }

  private:
    const T* of(const void* v, int l, Member m) const {
        return v ? static_cast<const T*>(v) + m.b * verbs_.size(l) : nullptr;
    }
    T* of(void* v, int l, Member m) const { return v ? static_cast<T*>(v) + m.b * verbs_.size(l) : nullptr; }

    // where a verb works: of a level alone in the caller's field, which then has room behind it
    T* room(Member m, int l, const T* u, void* out) { return h_.alone ? of(out, l, m) : verbs_.other(m, l, u); }

    template <class Body>
    void each_member(const Body& body) {
        verbs_.each_member(body);
    }

    // One cycle on grid l from u, or from P guess, or from zero.
    T* visit(Member m, int l, const T* u, const T* guess, const T* f, int gamma, double* sums) {
        if (l == verbs_.L) {
            T* solution = verbs_.other(m, l, nullptr);
            verbs_.solve(m, f, solution);
            return solution;
        }
        T* f_c = verbs_.lane_of(m).f_c[l + 1];
        u = verbs_.down(m, l, u, guess, f, verbs_.other(m, l, u), f_c);
        T* e = visit(m, l + 1, nullptr, nullptr, f_c, gamma, nullptr);
        if (l + 1 < verbs_.L)
            for (int again = gamma == 0 ? 1 : gamma - 1; again > 0; again--)
                e = visit(m, l + 1, e, nullptr, f_c, gamma == 0 ? 1 : gamma, nullptr);
        return const_cast<T*>(verbs_.up(m, l, u, e, f, verbs_.other(m, l, u), sums));
    }

    // a cycle on the finest grid
    auto from_zero(Member m) {
        return [this, m](const T* f, double* sums) { return visit(m, 0, nullptr, nullptr, f, run_.gamma, sums); };
    }

    // from the residual
    T* full_multigrid(Member m) {
        T** data = verbs_.lane_of(m).data;
        const T* f = cg_.r(m);
        for (int l = 0; l < verbs_.L; l++) verbs_.restrict_(m, l, nullptr, f, data[l + 1]), f = data[l + 1];
        T* u = visit(m, verbs_.L, nullptr, nullptr, f, run_.gamma, nullptr);
        for (int l = verbs_.L - 1; l >= 0; l--)
            u = visit(m, l, nullptr, u, l == 0 ? cg_.r(m) : data[l], run_.gamma, nullptr);
        return u;
    }

    Arena arena_;
    const StencilHierarchy<T>& h_;
    const StencilRun run_;
    StencilVerbs<X> verbs_;
    ConjugateGradients<X> cg_;
};

}  // namespace mgnet
