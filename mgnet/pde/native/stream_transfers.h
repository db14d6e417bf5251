// Residuals to the next coarser grid, f_c = Q^T r, and corrections back, u += P u_c.
#pragma once
#include <vector>

#include "stream_between.h"
#include "stream_weights.h"

namespace mgnet {

// X: the vectors of u and f; weights are made in Doubles.
template <class X, class Doubles>
class StreamTransfers {
    using T = typename X::T;
    using V = typename X::V;
    using Made = StreamWeights<Doubles>;
    static constexpr long W = X::W;

  public:
    StreamTransfers(const StreamMesh& mesh, const StreamHalving& halving, const Made& Q, const Made& P, int threads, Arena& arena)
        : mesh_(mesh), halving_(halving), threads_(threads) {
        const StreamMesh& coarse = halving.coarse;
        for (int delta = 0; delta < 27; delta++) {
            bool possible = true;
            for (int d = 0; d < 3; d++) possible &= !step_of(delta, d) || halving.halved[d];
            if (!possible) continue;
            const Weights w{delta, coarse.take<T>(arena), coarse.take<T>(arena)};
            share_out(coarse.rows(), threads, [&](long R) {
                copy(Q, R, delta, w.q + coarse.begin(R)), copy(P, R, delta, w.p + coarse.begin(R));
                coarse.close(w.p + coarse.begin(R));
            });
            weights_.push_back(w);
        }
    }

    void restrict(const T* r, T* f_c) const {
        const StreamMesh& coarse = halving_.coarse;
        const long step = halving_.halved[2] ? 2 : 1;
        share_out(coarse.rows(), threads_, [&](long R) {
            const T *q[27], *from[27];
            int count = 0;
            for (const Weights& w : weights_) {
                const long row = fine_row(R, w.delta);
                if (row < 0) continue;
                q[count] = w.q + coarse.begin(R);
                from[count++] = r + mesh_.begin(row) + halving_.fine_of(0, 2) + step_of(w.delta, 2);
            }
            for (long J = 0; J < coarse.n[2]; J += W) {
                V sum = {};
                for (int k = 0; k < count; k++) sum += X::load(q[k] + J) * strided<X>(from[k] + J * step, step);
                X::put(f_c + coarse.begin(R) + J, sum, coarse.n[2] - J);
            }
        });
    }

    void correct(const T* u_c, T* u) const {
        share_out(mesh_.rows(), threads_, [&](long r) {
            T* const to = u + mesh_.begin(r);
            Part parts[3];  // of the unknowns before coarse ones along the row, at them, and behind
            for (const Weights& w : weights_) {
                const long R = coarse_row(r, w.delta);
                if (R < 0) continue;
                Part& part = parts[step_of(w.delta, 2) + 1];
                part.p[part.count] = w.p + halving_.coarse.begin(R), part.u[part.count++] = u_c + halving_.coarse.begin(R);
            }
            halving_.halved[2] ? spread(parts, to) : add(parts[1], to);
            mesh_.close(to);
        });
    }

  private:
    // of coarse unknowns in the fine ones delta beside them
    struct Weights {
        int delta;
        T *q, *p;
    };
    struct Part {
        const T *p[9], *u[9];
        int count = 0;
        V at(long J) const {
            V sum = {};
            for (int k = 0; k < count; k++) sum += X::load(p[k] + J) * X::load(u[k] + J);
            return sum;
        }
        T one(long J) const {
            T sum = 0;
            for (int k = 0; k < count; k++) sum += p[k][J] * u[k][J];
            return sum;
        }
    };

    // weights of row R's unknowns, W_delta = w_{-delta}
    void copy(const Made& of, long R, int delta, T* to) const {
        using D = typename Doubles::V;
        constexpr long TOGETHER = Doubles::W;
        const StreamBetween between(mesh_, halving_);
        between.for_alike([&](long J, long count) {
            const long I[3] = {R / halving_.coarse.n[1], R % halving_.coarse.n[1], J};
            long i[3];
            const bool there = between.beside(I, delta, i);
            const double* from = there ? of.from(26 - delta, between.place(i)) : nullptr;
            for (long k = 0; k < count; k += TOGETHER) {
                const D v = from ? strided<Doubles>(from + k * between.step(), between.step()) : Doubles::splat(there ? 1.0 : 0.0);
                if constexpr (std::is_same_v<T, double>)
                    Doubles::put(to + J + k, v, count - k);
                else
                    for (long l = 0; l < std::min(TOGETHER, count - k); l++) to[J + k + l] = static_cast<T>(v[l]);
            }
        });
    }

    void add(const Part& part, T* to) const {
        for (long j = 0; j < mesh_.n[2]; j += W) X::put(to + j, X::load(to + j) + part.at(j), mesh_.n[2] - j);
    }

    // a coarse unknown's and that between it and the next one
    void spread(const Part parts[3], T* to) const {
        const long n = mesh_.n[2], first = halving_.first[2];
        if (first == 1) to[0] += parts[0].one(0) + parts[2].one(-1);
        for (long J = 0; J < halving_.coarse.n[2]; J += W) {
            const V at = parts[1].at(J), behind = parts[2].at(J) + parts[0].at(J + 1);
            T* const here = to + first + 2 * J;
            const V low = X::load(here) + X::merge_low(at, behind), high = X::load(here + W) + X::merge_high(at, behind);
            const long left = n - first - 2 * J;
            X::put(here, low, left);
            if (left > W) X::put(here + W, high, left - W);
        }
    }

    // the fine row delta beside a coarse one, or -1
    long fine_row(long R, int delta) const {
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
    const int threads_;
    std::vector<Weights> weights_;
};

}  // namespace mgnet
