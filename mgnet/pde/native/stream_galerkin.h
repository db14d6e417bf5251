// A coarse grid's operator A_c = Q^T A P, as blackbox/galerkin.py makes it.
#pragma once
#include <vector>

#include "stream_between.h"
#include "stream_lumps.h"
#include "stream_weights.h"

namespace mgnet {

template <class X>
class StreamGalerkin {
    using V = typename X::V;
    static constexpr long W = X::W;
    using Weights = StreamWeights<X>;

  public:
    // transposed : whether A is the transpose of an operator with convection
    StreamGalerkin(const StreamOperator& A, const StreamHalving& halving, const Weights& Q, const Weights& P, bool transposed)
        : A_(A), halving_(halving), between_(A.mesh, halving), Q_(Q), P_(P), transposed_(transposed) {}

    StreamOperator operator()(int threads, Arena& arena) const {
        const StreamMesh& coarse = halving_.coarse;
        const StreamOperator to = StreamOperator::of(coarse, arena, [&](int O) {
            bool there = true;
            for (int d = 0; d < 3; d++) there &= step_of(O, d) == 0 || coarse.n[d] > 1;
            return there;
        });
        in_parts(coarse.rows(), 64 * coarse.n[2], threads, [&](long begin, long end, long) {
            std::vector<double> part(coarse.n[2] + W);
            for (long R = begin; R < end; R++) {
                between_.for_alike([&](long J, long count) { numbers(R, J, count, part.data(), to); });
                for (int O = 0; O < 27; O++)
                    if (to.s[O]) to.close(O, R);
            }
        });
        lump(to, transposed_, threads);
        return to;
    }

  private:
    // rows of A_c: `count` of row R from J on, which are alike
    void numbers(long R, long J, long count, double* part, const StreamOperator& to) const {
        const long I[3] = {R / to.mesh.n[1], R % to.mesh.n[1], J}, step = between_.step();
        for (int delta = 0; delta < 27; delta++) {
            long i[3];
            if (!between_.beside(I, delta, i)) continue;
            const double* q = Q_.from(26 - delta, between_.place(i));
            for (int o = 0; o < 27; o++) {
                if (!A_.s[o]) continue;
                const double* s = A_.s[o] + between_.place(i);
                if (count == 1) {
                    part[0] = q ? *q * *s : *s;
                } else {
                    for (long k = 0; k < count; k += W) {
                        const V v = strided<X>(s + k * step, step);
                        X::store(part + k, q ? strided<X>(q + k * step, step) * v : v);
                    }
                }
                spread(I, i, o, part, count, to);
            }
        }
    }

    // what the rows of P at i + o make of entries
    void spread(const long I[3], const long i[3], int o, const double* part, long count, const StreamOperator& to) const {
        long j[3];
        Side sides[3][2];
        int there[3];
        for (int d = 0; d < 3; d++) {
            j[d] = between_.is_open(d) ? i[d] + step_of(o, d) : A_.mesh.inside(i[d] + step_of(o, d), d);
            if (j[d] < 0 && !between_.is_open(d)) return;
            there[d] = sides_of(j[d], d, I[d], step_of(o, d), sides[d]);
        }
        const long at = between_.place(j), step = between_.step(), here = to.mesh.begin(I[0] * to.mesh.n[1] + I[1]) + I[2];
        for (int a = 0; a < there[0]; a++)
            for (int b = 0; b < there[1]; b++)
                for (int c = 0; c < there[2]; c++) {
                    const int O = number_of(sides[0][a].O, sides[1][b].O, sides[2][c].O);
                    if (!to.s[O]) continue;
                    const double* p = P_.from(number_of(sides[0][a].sigma, sides[1][b].sigma, sides[2][c].sigma), at);
                    const double sign = (o == CENTRE) == (O == CENTRE) ? 1.0 : -1.0;  // couplings are minus entries
                    add(to.s[O] + here, sign, part, p, step, count);
                }
    }

    static void add(double* sum, double sign, const double* part, const double* p, long step, long count) {
        if (count == 1) {
            *sum += sign * part[0] * (p ? *p : 1.0);
            return;
        }
        for (long k = 0; k < count; k += W) {
            const V v = X::load(part + k) * sign;
            X::put(sum + k, X::load(sum + k) + (p ? strided<X>(p + k * step, step) * v : v), count - k);
        }
    }

    struct Side {
        int sigma, O;  // where a coarse unknown lies, from fine unknown j and from coarse unknown I
    };
    // of the coarse unknowns beside j, which is `step` from one beside I
    int sides_of(long j, int d, long I, int step, Side sides[2]) const {
        if (!halving_.halved[d]) return sides[0] = {0, step}, 1;
        const bool between = between_.is_open(d) ? (j - halving_.first[d]) & 1 : !halving_.is_coarse(j, d);
        int count = 0;
        for (int sigma = -between; sigma <= between; sigma += 2) {
            long t = j + sigma;
            if (!between_.is_open(d) && (t = A_.mesh.inside(t, d)) < 0) continue;
            const long n = halving_.coarse.n[d], far = (t - halving_.first[d]) / 2 - I;
            sides[count++] = {sigma, static_cast<int>(between_.is_open(d) || (far >= -1 && far <= 1) ? far : far > 1 ? far - n : far + n)};
        }
        return count;
    }

    const StreamOperator& A_;
    const StreamHalving& halving_;
    const StreamBetween between_;
    const Weights &Q_, &P_;
    const bool transposed_;
};

}  // namespace mgnet
