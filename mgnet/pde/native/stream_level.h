// One grid of an operator with convection: its lines, its residual, and the way to the next coarser grid and back.
#pragma once
#include "stream_lines.h"
#include "stream_set_up.h"
#include "streams.h"

namespace mgnet {

template <class X>
class StreamLevel {
    using T = typename X::T;
    using V = typename X::V;
    static constexpr long W = X::W;

  public:
    StreamLevel(const StreamProblem& problem, const StreamOperator& A, const StreamHalving& halving,
                const StreamProduct& product, const StreamTransfer& Q, const StreamTransfer& P)
        : mesh_(A.mesh), halving_(halving), down_(problem.down), up_(problem.up), threads_(problem.threads) {
        const long size = mesh_.size() + 2 * SIDE;
        u_.assign(size, T(0)), f_ = u_, r_ = u_, D_ = u_;
        for (long k = 0; k < mesh_.size(); k++) D_[k] = static_cast<T>(A.s[CENTRE][k]);
        for (int o = 0; o < 27; o++) {
            if (o == CENTRE || A.s[o].empty()) continue;
            StreamCoupling<T> c{{step_of(o, 0), step_of(o, 1), step_of(o, 2)}, std::vector<T>(size, T(0))};
            for (long k = 0; k < mesh_.size(); k++) c.s[k] = static_cast<T>(A.s[o][k]);
            couplings_.push_back(std::move(c));
        }
        for (int d = 0; d < 3; d++)
            if (problem.smoothed[d]) lines_.push_back(StreamLines<T>::of(A, d, threads_));
        smoother_ = std::make_unique<StreamSmoother<X>>(mesh_, couplings_, threads_);
        for (int delta = 0; delta < 27; delta++) weigh(delta, product, Q, P);
    }
    StreamLevel(StreamLevel&&) = delete;

    const StreamMesh& mesh() const { return mesh_; }
    T* u() { return u_.data(); }
    T* f() { return f_.data(); }

    void smooth_down(bool zero) {
        if (zero) std::fill(u_.begin(), u_.end(), T(0));
        for (int sweep = 0; sweep < down_; sweep++)
            for (const auto& lines : lines_)
                for (int k = 0; k < 27; k++) solve(lines, k);
    }
    void smooth_up() {
        for (int sweep = 0; sweep < up_; sweep++)
            for (auto lines = lines_.rbegin(); lines != lines_.rend(); ++lines)
                for (int k = 26; k >= 0; k--) solve(*lines, k);
    }

    // f_c = Q^T (f - A u)
    void restrict_residual(T* f_c) {
        share_out(mesh_.rows(), threads_, [&](long r) { residual(r); });
        const StreamMesh& coarse = halving_.coarse;
        share_out(coarse.rows(), threads_, [&](long R) {
            T* to = f_c + coarse.begin(R);
            std::fill(to, to + coarse.n[2], T(0));
            for (const Weights& w : weights_) {
                const long r = beside(R, w.delta);
                if (r < 0) continue;
                const T *from = r_.data() + mesh_.begin(r) + halving_.fine_of(0, 2) + step_of(w.delta, 2),
                        *q = w.q.data() + coarse.begin(R);
                const long step = halving_.halved[2] ? 2 : 1;
                for (long J = 0; J < coarse.n[2]; J++) to[J] += q[J] * from[J * step];
            }
        });
    }

    // u += P u_c
    void correct(const T* u_c) {
        share_out(mesh_.rows(), threads_, [&](long r) {
            T* const to = u_.data() + mesh_.begin(r);
            const long n = mesh_.n[2], step = halving_.halved[2] ? 2 : 1;
            for (const Weights& w : weights_) {
                const long R = coarse_row(r, w.delta);
                if (R < 0) continue;
                const StreamMesh& coarse = halving_.coarse;
                const T *p = w.p.data() + coarse.begin(R), *from = u_c + coarse.begin(R);
                const long shift = halving_.fine_of(0, 2) + step_of(w.delta, 2);
                const long begin = shift < 0 ? 1 : 0, end = std::min(coarse.n[2], (n - shift + step - 1) / step);
                for (long J = begin; J < end; J++) to[J * step + shift] += p[J] * from[J];
                if (begin == 1) to[n + shift] += p[0] * from[0];  // 0 unless the axis wraps
                for (long J = std::max(begin, end); J < coarse.n[2]; J++) to[J * step + shift - n] += p[J] * from[J];
            }
            if (mesh_.wraps[2]) to[-1] = to[n - 1], to[n] = to[0];
        });
    }

  private:
    struct Weights {
        int delta;
        std::vector<T> q, p;
    };

    void weigh(int delta, const StreamProduct& product, const StreamTransfer& Q, const StreamTransfer& P) {
        const StreamMesh& coarse = halving_.coarse;
        for (int d = 0; d < 3; d++)
            if (step_of(delta, d) && !halving_.halved[d]) return;
        Weights w{delta, std::vector<T>(coarse.size(), T(0)), std::vector<T>(coarse.size(), T(0))};
        share_out(coarse.rows(), threads_, [&](long R) {
            for (long J = 0; J < coarse.n[2]; J++) {
                const long I[3] = {R / coarse.n[1], R % coarse.n[1], J};
                w.q[coarse.begin(R) + J] = static_cast<T>(product.weight(Q, I, delta));
                w.p[coarse.begin(R) + J] = static_cast<T>(product.weight(P, I, delta));
            }
        });
        weights_.push_back(std::move(w));
    }

    void solve(const StreamLines<T>& lines, int k) {
        int colour[3] = {k / 9, k / 3 % 3, k % 3};
        for (int d = 0; d < 3; d++)
            if (d == lines.axis ? colour[d] > 0 : colour[d] >= std::min<long>(mesh_.colours(d), mesh_.n[d])) return;
        smoother_->solve(lines, colour, f_.data(), u_.data());
    }

    void residual(long r) {
        const long n = mesh_.n[2], at = mesh_.begin(r);
        T* const to = r_.data() + at;
        for (long j = 0; j < n; j += W) {
            V v = X::load(f_.data() + at + j) - X::load(D_.data() + at + j) * X::load(u_.data() + at + j);
            for (const auto& c : couplings_) {
                const long other = mesh_.row(r, c.step[0], c.step[1]);
                if (other >= 0) v += X::load(c.s.data() + at + j) * X::load(u_.data() + mesh_.begin(other) + c.step[2] + j);
            }
            X::store_some(to + j, v, n - j);
        }
        to[-1] = mesh_.wraps[2] ? to[n - 1] : T(0), to[n] = mesh_.wraps[2] ? to[0] : T(0);
    }

    // the fine row delta beside a coarse one, or -1
    long beside(long R, int delta) const {
        const long a = mesh_.inside(halving_.fine_of(R / halving_.coarse.n[1], 0) + step_of(delta, 0), 0);
        const long b = mesh_.inside(halving_.fine_of(R % halving_.coarse.n[1], 1) + step_of(delta, 1), 1);
        return a < 0 || b < 0 ? -1 : a * mesh_.n[1] + b;
    }

    // the coarse row that fine row r is delta beside, or -1
    long coarse_row(long r, int delta) const {
        long I[2];
        for (int d = 0; d < 2; d++) {
            const long i = d == 0 ? r / mesh_.n[1] : r % mesh_.n[1], c = mesh_.inside(i - step_of(delta, d), d);
            if (c < 0 || !halving_.is_coarse(c, d) || (step_of(delta, d) && halving_.is_coarse(i, d))) return -1;
            I[d] = halving_.coarse_of(c, d);
        }
        return I[0] * halving_.coarse.n[1] + I[1];
    }

    const StreamMesh mesh_;
    const StreamHalving halving_;
    const int down_, up_, threads_;
    std::vector<T> u_, f_, r_, D_;
    std::vector<StreamCoupling<T>> couplings_;
    std::vector<StreamLines<T>> lines_;
    std::vector<Weights> weights_;
    std::unique_ptr<StreamSmoother<X>> smoother_;
};

}  // namespace mgnet
