// A u in the data's precision: differences of u times couplings, and what c and the ends hold u by.
#pragma once
#include "simd.h"
#include "stream_lines.h"
#include "streams.h"

namespace mgnet {

template <class X>
class StreamApply {
    using T = typename X::T;
    using V = typename X::V;
    static constexpr long W = X::W;

  public:
    StreamApply(const StreamProblem& problem, long member)
        : mesh_(problem.mesh), threads_(problem.threads), u_(mesh_.size() + 2 * SIDE), excess_(u_) {
        const long offset = member * mesh_.unknowns();
        fill(problem.excess + offset, excess_);
        for (int o = 0; o < 27; o++) {
            if (!problem.a[o]) continue;
            couplings_.push_back({{step_of(o, 0), step_of(o, 1), step_of(o, 2)}, std::vector<T>(u_.size())});
            fill(problem.a[o] + offset, couplings_.back().s);
        }
    }

    // u, out (n0, n1, n2)
    void operator()(const T* u, T* out) {
        const long n = mesh_.n[2];
        fill(u, u_);
        share_out(mesh_.rows(), threads_, [&](long r) {
            const long at = mesh_.begin(r);
            for (long j = 0; j < n; j += W) {
                const V here = X::load(&u_[at + j]);
                V v = X::load(&excess_[at + j]) * here;
                for (const auto& c : couplings_) {
                    const long other = mesh_.row(r, c.step[0], c.step[1]);
                    if (other >= 0) v += X::load(&c.s[at + j]) * (here - X::load(&u_[mesh_.begin(other) + c.step[2] + j]));
                }
                X::store_some(out + r * n + j, v, n - j);
            }
        });
    }

  private:
    // rows with their ghosts
    template <class Number>
    void fill(const Number* from, std::vector<T>& to) const {
        const long n = mesh_.n[2];
        share_out(mesh_.rows(), threads_, [&](long r) {
            T* const row = &to[mesh_.begin(r)];
            for (long j = 0; j < n; j++) row[j] = static_cast<T>(from[r * n + j]);
            if (mesh_.wraps[2]) row[-1] = row[n - 1], row[n] = row[0];
        });
    }

    const StreamMesh mesh_;
    const int threads_;
    std::vector<T> u_, excess_;
    std::vector<StreamCoupling<T>> couplings_;
};

}  // namespace mgnet
