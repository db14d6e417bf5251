// One grid of an operator with convection: its lines, and its residual. It does not change once it is made.
#pragma once
#include <cmath>
#include <cstdint>

#include "stream_smoother.h"
#include "stream_space.h"
#include "streams.h"

namespace mgnet {

template <class X>
class StreamLevel {
    using T = typename X::T;
    using V = typename X::V;
    using Grid = StreamGrid<T>;
    static constexpr long W = X::W;

  public:
    // in_turn : whether rows are smoothed in turn, or lines along all axes by colours
    StreamLevel(const StreamProblem& problem, const StreamOperator& A, bool in_turn, Arena& arena)
        : mesh_(A.mesh), down_(problem.down), up_(problem.up), threads_(problem.threads), in_turn_(in_turn),
          D_(numbers_of<T>(A.s[CENTRE], mesh_, threads_, arena)), couplings_(couplings_of<T>(A, threads_, arena)),
          smoother_(mesh_, couplings_, threads_) {
        for (int d = 0; d < 3; d++)
            if (in_turn ? d == 2 : problem.smoothed[d]) lines_.push_back(StreamLines<T>::of(A, d, threads_, arena));
    }
    StreamLevel(const StreamLevel&) = delete;

    // u from the one that is there, or from zero; and then the residual
    void smooth_down(const Grid& at, bool zero) const {
        if (zero) std::fill(at.u, at.u + mesh_.size(), T(0));
        const bool left = sweep_down(at, true);
        if (!left || mesh_.wraps[2])
            share_out(mesh_.rows(), threads_, [&](long r) { left ? mesh_.close(at.r + mesh_.begin(r)) : residual<false>(at, r, nullptr); });
    }
    void smooth_up(const Grid& at) const {
        for (int sweep = 0; sweep < up_; sweep++) {
            if (in_turn_) {
                smoother_.sweep(lines_[0], {mesh_, sweep % 2 == 0, sweep % 2 == 0}, at.f, at.u, nullptr);
                continue;
            }
            for (auto lines = lines_.rbegin(); lines != lines_.rend(); ++lines)
                for (int k = 26; k >= 0; k--) solve(*lines, k, at);
        }
    }

    // both, from zero
    void smooth(const Grid& at) const {
        std::fill(at.u, at.u + mesh_.size(), T(0));
        sweep_down(at, false), smooth_up(at);
    }

    // Whether sweeps down and up leave little of residuals: of noise, and of what they leave of it.
    bool smooths_alone(const Grid& at) const {
        constexpr double ALONE = 0.25;
        constexpr int TIMES = 3;
        std::uint32_t noise = 1;
        for (long r = 0; r < mesh_.rows(); r++)
            for (long j = 0; j < mesh_.n[2]; j++) {
                noise = noise * 1664525u + 1013904223u;
                at.f[mesh_.begin(r) + j] = static_cast<T>(noise / 4294967296.0 - 0.5);
            }
        for (int k = 0; k < TIMES; k++) {
            smooth(at);
            if (!(residual(at) <= ALONE)) return false;
            for (long r = 0; r < mesh_.rows(); r++) std::copy_n(at.r + mesh_.begin(r), mesh_.n[2], at.f + mesh_.begin(r));
        }
        return true;
    }

  private:
    // whether the residual is there; asked : in sweeps that can leave it
    bool sweep_down(const Grid& at, bool asked) const {
        for (int sweep = 0; sweep < down_; sweep++) {
            if (in_turn_) {
                T* const left = asked && sweep == down_ - 1 ? at.r : nullptr;
                smoother_.sweep(lines_[0], {mesh_, sweep % 2 == 1, sweep % 2 == 0}, at.f, at.u, left);
                continue;
            }
            for (const auto& lines : lines_)
                for (int k = 0; k < 27; k++) solve(lines, k, at);
        }
        return asked && in_turn_ && down_ > 0;
    }

    void solve(const StreamLines<T>& lines, int k, const Grid& at) const {
        int colour[3] = {k / 9, k / 3 % 3, k % 3};
        for (int d = 0; d < 3; d++)
            if (d == lines.axis ? colour[d] > 0 : colour[d] >= std::min<long>(mesh_.colours(d), mesh_.n[d])) return;
        smoother_.solve(lines, colour, at.f, at.u, at.r);
    }

    // r = f - A u; returns ||r|| / ||f||
    double residual(const Grid& at) const {
        std::vector<double> squares(2 * mesh_.rows());  // of each row's residuals, and of its data
        share_out(mesh_.rows(), threads_, [&](long r) { residual<true>(at, r, &squares[2 * r]); });
        double left = 0, whole = 0;
        for (long r = 0; r < mesh_.rows(); r++) left += squares[2 * r], whole += squares[2 * r + 1];
        return whole > 0 ? std::sqrt(left / whole) : 0.0;
    }

    template <bool Measured>
    void residual(const Grid& at, long r, double* squares) const {
        const long n = mesh_.n[2], begin = mesh_.begin(r);
        const T *s[26], *v[26];
        int count = 0;
        for (const auto& c : couplings_) {
            const long other = mesh_.row(r, c.step[0], c.step[1]);
            if (other >= 0) s[count] = c.s + begin, v[count++] = at.u + mesh_.begin(other) + c.step[2];
        }
        V left = {}, whole = {};
        for (long j = 0; j < n; j += W) {
            const V f = X::load(at.f + begin + j);
            V sum = f - X::load(D_ + begin + j) * X::load(at.u + begin + j);
            for (int k = 0; k < count; k++) sum += X::load(s[k] + j) * X::load(v[k] + j);
            X::store(at.r + begin + j, sum);
            if constexpr (Measured) sum = X::first(sum, n - j), left += sum * sum, whole += f * f;
        }
        if constexpr (Measured) squares[0] = X::sum(left), squares[1] = X::sum(whole);
        mesh_.close(at.r + begin);
    }

    const StreamMesh mesh_;
    const int down_, up_, threads_;
    const bool in_turn_;
    const T* const D_;
    const std::vector<StreamCoupling<T>> couplings_;
    std::vector<StreamLines<T>> lines_;
    const StreamSmoother<X> smoother_;
};

}  // namespace mgnet
