// u = A^-1 f in the modes of axes 1 and 2, where A falls apart into lines along axis 0.
//
//     v = (1 x V1 x V2)^T f;    lines of v are eliminated;    u = (1 x V1 x V2) v
//
// Some planes at a time are turned into modes, and back, in cache; whole planes are eliminated at once. An axis
// without a V is in its modes already.
#pragma once
#include <algorithm>

#include "elimination.h"
#include "pool.h"
#include "products.h"
#include "separable_solver.h"

namespace mgnet {

constexpr long FEW_UNKNOWNS = 6'000;  // below which threads cost more than they bring
constexpr long ROWS = 48;             // which a strip of a matrix is read for; whole blocks of 6
constexpr long LINES = 64;            // which are eliminated together: all their unknowns fit into cache

template <class X>
class SeparableEngine final : public SeparableSolver {
    using T = typename X::T;
    using P = Products<X>;

  public:
    explicit SeparableEngine(const SeparableProblem& problem)
        : n0_(problem.n[0]), n1_(problem.n[1]), n2_(problem.n[2]), given_(!problem.modes[0] && !problem.modes[1]),
          wide_(given_ ? n2_ : P::padded(n2_)), planes_(problem.modes[0] ? 1 : std::max(1L, ROWS / n1_)),
          lines_(problem.m, problem.s, n0_, n1_, n2_, wide_, arena_) {
        const bool few = n0_ * n1_ * n2_ <= FEW_UNKNOWNS;
        crew_ = few ? 1 : problem.threads < MOST_WORKERS ? problem.threads : MOST_WORKERS;
        if (problem.modes[0]) {
            const std::vector<double> modes(problem.modes[0], problem.modes[0] + n1_ * n1_);
            modes_[0] = P::square(modes, n1_, n1_, true, arena_);
            back_[0] = P::square(modes, n1_, n1_, false, arena_);
        }
        if (problem.modes[1]) {
            modes_[1] = P::strips(problem.modes[1], n2_, false, arena_);
            back_[1] = P::strips(problem.modes[1], n2_, true, arena_);
        }
        if (given_) return;
        v_ = arena_.take<T>(lines_.size() * n0_), spaces_ = arena_.take<T*>(crew_);
        for (int who = 0; who < crew_; who++) spaces_[who] = arena_.take<T>(2 * planes_ * lines_.size());
    }

    void solve(const double* f, double* u, long batch) override {
        const long size = n0_ * n1_ * n2_;
        if (given_) return eliminate(f, u, batch);
        const long tasks = (n0_ + planes_ - 1) / planes_;
        for (long b = 0; b < batch; b++, f += size, u += size) {
            each(tasks, [&](long k, T* space) { forth(k * planes_, std::min((k + 1) * planes_, n0_), f, space); });
            eliminate(v_, v_, 1);
            each(tasks, [&](long k, T* space) { back(k * planes_, std::min((k + 1) * planes_, n0_), u, space); });
        }
    }

  private:
    // body(task, workspace)
    template <class Body>
    void each(long tasks, const Body& body) {
        run(tasks, crew_, [&](long task, int who) { body(task, spaces_ ? spaces_[who] : nullptr); });
    }

    void eliminate(const T* f, T* u, long batch) {
        const long size = lines_.size(), blocks = (size + LINES - 1) / LINES;
        each(batch * blocks, [&](long task, T*) {
            const long at = task / blocks * n0_ * size, from = task % blocks * LINES;
            lines_.solve(f + at, u + at, from, std::min(from + LINES, size));
        });
    }

    // v of planes [i, end)
    void forth(long i, long end, const T* f, T* space) {
        T *v = v_ + i * lines_.size(), *half = modes_[0] ? space : v;
        along_rows(half, f + i * n1_ * n2_, n2_, modes_[1], (end - i) * n1_);
        if (modes_[0]) P::product(v, wide_, modes_[0], n1_, half, wide_, n1_, n1_, wide_);
    }

    void back(long i, long end, T* u, T* space) {
        const long rows = (end - i) * n1_;
        T *v = v_ + i * lines_.size(), *half = space + planes_ * lines_.size();
        if (modes_[0]) P::product(half, wide_, back_[0], n1_, v, wide_, n1_, n1_, wide_);
        along_rows(space, modes_[0] ? half : v, wide_, back_[1], rows);
        for (long j = 0; j < rows; j++) std::copy(space + j * wide_, space + j * wide_ + n2_, u + (i * n1_ + j) * n2_);
    }

    void along_rows(T* to, const T* from, long step, const T* matrix, long rows) {
        if (matrix) return P::by_strips(to, wide_, from, step, matrix, rows, n2_);
        for (long j = 0; j < rows; j++) std::copy(from + j * step, from + j * step + n2_, to + j * wide_);
    }

    Arena arena_;
    long n0_, n1_, n2_;
    bool given_;  // in the modes of both axes
    long wide_, planes_;
    Elimination<X> lines_;
    int crew_;
    const T *modes_[2] = {}, *back_[2] = {};  // that turn to modes, and back
    T *v_ = nullptr, **spaces_ = nullptr;
};

}  // namespace mgnet
