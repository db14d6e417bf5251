// u = A^-1 f in the modes of axes 1 and 2, where A falls apart into lines along axis 0.
//
//     v = (1 x V1 x V2)^T f;    q_i = 1 / (m'_i + s_i),   m'_i = m_i + s_{i-1} q_{i-1} m'_{i-1}
//     v_i <- q_i (v_i + s_{i-1} v_{i-1}),   v_i <- v_i + q_i s_i v_{i+1};    u = (1 x V1 x V2) v
//
// Planes are turned into modes, and back, one at a time in cache; whole planes are eliminated at once. Nothing is
// subtracted. A line that nothing holds has m' = 0: its last unknown is fixed at 0.
#pragma once
#include "pool.h"
#include "products.h"
#include "separable_solver.h"

namespace mgnet {

constexpr long FEW_UNKNOWNS = 6'000;  // below which threads cost more than they bring

template <class X>
class SeparableEngine final : public SeparableSolver {
    using T = typename X::T;
    using V = typename X::V;
    using P = Products<X>;
    static constexpr long W = X::W;

  public:
    explicit SeparableEngine(const SeparableProblem& problem)
        : n0_(problem.n[0]), n1_(problem.n[1]), n2_(problem.n[2]), wide_(P::padded(n2_)) {
        const bool few = n0_ * n1_ * n2_ <= FEW_UNKNOWNS;
        crew_ = few ? 1 : problem.threads < MOST_WORKERS ? problem.threads : MOST_WORKERS;
        for (int d = 0; d < 2; d++) {
            const long n = problem.n[d + 1], stride = d == 0 ? n : wide_;
            const std::vector<double> modes(problem.modes[d], problem.modes[d] + n * n);
            modes_[d] = P::square(modes, n, stride, false, arena_);
            transposes_[d] = P::square(modes, n, stride, true, arena_);
        }
        s_ = arena_.take<T>(n0_), inverse_ = arena_.take<T>(plane() * n0_), v_ = arena_.take<T>(plane() * n0_);
        spaces_ = arena_.take<T*>(crew_);
        for (int who = 0; who < crew_; who++) spaces_[who] = arena_.take<T>(2 * plane());
        for (long i = 0; i + 1 < n0_; i++) s_[i] = static_cast<T>(problem.s[i]);
        factor(problem.m);
    }

    void solve(const double* f, double* u, long batch) override {
        const long blocks = crew_ == 1 ? 1 : 2 * crew_ < n1_ ? 2 * crew_ : n1_;
        for (long b = 0; b < batch; b++) {
            const long from = b * n0_ * n1_ * n2_;
            each(n0_, [&](long i, T* space) { forth(i, f + from, space); });
            each(blocks, [&](long k, T*) { eliminate(k * n1_ / blocks, (k + 1) * n1_ / blocks); });
            each(n0_, [&](long i, T* space) { back(i, u + from, space); });
        }
    }

  private:
    long plane() const { return n1_ * wide_; }

    // body(task, workspace)
    template <class Body>
    void each(long tasks, const Body& body) {
        struct Job {
            const Body* body;
            T** spaces;
        } job{&body, spaces_};
        run(
            tasks, crew_,
            [](void* at, long task, int who) {
                const Job& job = *static_cast<Job*>(at);
                (*job.body)(task, job.spaces[who]);
            },
            &job);
    }

    void factor(const double* m) {
        std::vector<double> rest(n1_ * n2_);
        for (long i = 0; i < n0_; i++)
            for (long j = 0; j < n1_; j++)
                for (long k = 0; k < n2_; k++, m++) {
                    double& own = rest[j * n2_ + k];
                    own += *m;
                    const double pivot = own + s_[i], q = pivot > 0 ? 1 / pivot : 0;
                    inverse_[i * plane() + j * wide_ + k] = q, own *= s_[i] * q;
                }
    }

    void forth(long i, const T* f, T* half) {
        P::product(half, wide_, f + i * n1_ * n2_, n2_, modes_[1], wide_, n1_, n2_, wide_);
        P::product(v_ + i * plane(), wide_, transposes_[0], n1_, half, wide_, n1_, n1_, wide_);
    }

    // lines of rows [j0, j1) of the planes
    void eliminate(long j0, long j1) {
        const long size = (j1 - j0) * wide_;
        for (long i = 0; i < n0_; i++) {
            T *v = v_ + i * plane() + j0 * wide_, *q = inverse_ + (v - v_), *before = v - plane();
            for (long k = 0; k < size; k += W) {
                V r = X::load(v + k);
                if (i > 0) r += s_[i - 1] * X::load(before + k);
                X::store(v + k, X::load(q + k) * r);
            }
        }
        for (long i = n0_ - 2; i >= 0; i--) {
            T *v = v_ + i * plane() + j0 * wide_, *q = inverse_ + (v - v_), *after = v + plane();
            for (long k = 0; k < size; k += W)
                X::store(v + k, X::load(v + k) + s_[i] * X::load(q + k) * X::load(after + k));
        }
    }

    void back(long i, T* u, T* half) {
        T* whole = half + plane();
        P::product(half, wide_, v_ + i * plane(), wide_, transposes_[1], wide_, n1_, n2_, wide_);
        P::product(whole, wide_, modes_[0], n1_, half, wide_, n1_, n1_, wide_);
        for (long j = 0; j < n1_; j++) {
            T* to = u + (i * n1_ + j) * n2_;
            for (long k = 0; k < n2_; k++) to[k] = whole[j * wide_ + k];
        }
    }

    Arena arena_;
    long n0_, n1_, n2_, wide_;
    int crew_;
    const T *modes_[2], *transposes_[2];
    T *s_, *inverse_, *v_, **spaces_;
};

}  // namespace mgnet
