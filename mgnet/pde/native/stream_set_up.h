// From one grid's operator to the next one's, as blackbox/unsymmetric.py does it: P of the symmetric part, Q of A^T,
// A_c = Q^T A P; of the transpose of an operator, whose grids are transposes, P and Q change places.
#pragma once
#include "parts.h"
#include "simd.h"
#include "stream_lumps.h"

namespace mgnet {

// from[step k], for k < W
template <class X>
inline typename X::V strided(const typename X::T* from, long step) {
    return step == 1 ? X::load(from) : X::evens(X::load(from), X::load(from + X::W));
}

// The weights of coarse unknowns in the fine ones between them: w_sigma of the coarse one that lies towards sigma.
template <class X>
class StreamTransfer {
    using V = typename X::V;
    static constexpr long W = X::W;

  public:
    // share : of A's own couplings in those that weights are of; 1: of A, 0: of A^T, 1/2: of its symmetric part
    StreamTransfer(const StreamOperator& A, const StreamHalving& halving, double share, int threads, Arena& arena)
        : A_(A), mesh_(A.mesh), halving_(halving), share_(share) {
        for (int sigma = 0; sigma < 27; sigma++) {
            bool possible = sigma != CENTRE;
            for (int d = 0; d < 3; d++) possible &= !step_of(sigma, d) || halving.halved[d];
            if (possible) to_[sigma] = mesh_.take<double>(arena);
        }
        for (int between = 0; between <= 2; between++)  // rows' weights are made of those of rows between fewer
            in_parts(mesh_.rows(), 16 * mesh_.n[2], threads, [&](long begin, long end, long) {
                Row row(mesh_);
                for (long r = begin; r < end; r++)
                    if (is_between(r, 0) + is_between(r, 1) == between) weigh(r, row);
            });
    }

    static long arrays(const StreamHalving& halving) {
        long count = 1;
        for (bool halved : halving.halved) count *= halved ? 3 : 1;
        return count - 1;
    }

    // of an unknown towards sigma
    double operator()(int sigma, long at) const { return sigma == CENTRE ? 1.0 : to_[sigma] ? to_[sigma][at] : 0.0; }
    // of the unknowns of a row from there on; of the coarse ones themselves, which is 1, null
    const double* from(int sigma, long at) const { return sigma == CENTRE ? nullptr : to_[sigma] + at; }

  private:
    // The couplings of a row that count, and its row sums.
    struct Row {
        explicit Row(const StreamMesh& mesh) : size(mesh.stride() + SIDE), numbers(29 * size), inverse(&numbers[28 * size]) {}
        double* c(int o) { return &numbers[o * size]; }  // from the row's first unknown on
        double* m() { return &numbers[27 * size]; }
        const long size;
        std::vector<double> numbers;
        double* const inverse;
        bool there[27] = {};
    };

    bool is_between(long r, int d) const {
        return d < 2 && !halving_.is_coarse(d == 0 ? r / mesh_.n[1] : r % mesh_.n[1], d);
    }

    void weigh(long r, Row& row) {
        const int between[2] = {is_between(r, 0), is_between(r, 1)};
        if (!between[0] && !between[1] && !halving_.halved[2]) return;
        count(r, row);
        for (int along = 0; along <= halving_.halved[2]; along++) {
            if (!between[0] && !between[1] && !along) continue;
            invert(between, along, row);
            for (int s0 = -between[0]; s0 <= between[0]; s0 += 2)
                for (int s1 = -between[1]; s1 <= between[1]; s1 += 2)
                    for (int s2 = -along; s2 <= along; s2 += 2) towards(r, s0, s1, s2, row);
        }
    }

    // c = max(s, 0), m = max(d - sum s, 0)
    void count(long r, Row& row) {
        const long n = mesh_.n[2], here = mesh_.begin(r);
        double* const m = row.m();
        for (long j = 0; j < n; j += W) X::store(m + j, X::load(A_.s[CENTRE] + here + j));
        for (int o = 0; o < 27; o++) {
            if (o == CENTRE || (!A_.s[o] && !A_.s[26 - o])) continue;
            const long other = mesh_.row(r, step_of(o, 0), step_of(o, 1));
            const double *own = A_.s[o] ? A_.s[o] + here : nullptr;
            const double *back = A_.s[26 - o] && other >= 0 ? A_.s[26 - o] + mesh_.begin(other) + step_of(o, 2) : nullptr;
            row.there[o] = true;
            double* const c = row.c(o);
            for (long j = 0; j < n; j += W) {
                const V from = back ? X::load(back + j) : V{};
                const V s = (own ? X::load(own + j) : V{}) * share_ + from * (1 - share_);
                X::store(m + j, X::load(m + j) - s), X::store(c + j, X::where(s > V{}, s, V{}));
            }
        }
        for (long j = 0; j < n; j += W) X::store(m + j, X::where(X::load(m + j) > V{}, X::load(m + j), V{}));
    }

    // whether o couples an unknown to others that lie elsewhere along the axes it lies between coarse ones on
    static bool is_across(int o, const int between[2], int along) {
        return (between[0] && step_of(o, 0)) || (between[1] && step_of(o, 1)) || (along && step_of(o, 2));
    }

    // 1 / the sum of what couples across, 0 where there is none
    void invert(const int between[2], int along, Row& row) {
        const double* across[26];
        int count = 0;
        for (int o = 0; o < 27; o++)
            if (row.there[o] && is_across(o, between, along)) across[count++] = row.c(o);
        for (long j = 0; j < mesh_.n[2]; j += W) {
            V sum = X::load(row.m() + j);
            for (int k = 0; k < count; k++) sum += X::load(across[k] + j);
            X::store(row.inverse + j, X::where(sum > V{}, 1 / X::where(sum > V{}, sum, X::splat(1)), V{}));
        }
    }

    void towards(long r, int s0, int s1, int s2, Row& row) {
        const int sigma[3] = {s0, s1, s2};
        const double *plain[26], *c[26], *w[26];
        int plains = 0, products = 0;
        for (int o = 0; o < 27; o++) {
            if (!row.there[o]) continue;
            int part[3], rest[3];
            bool any = false, along = true;
            for (int d = 0; d < 3; d++) {
                part[d] = sigma[d] ? step_of(o, d) : 0, rest[d] = sigma[d] - part[d];
                any |= part[d] != 0, along &= part[d] == 0 || part[d] == sigma[d];
            }
            const long other = any && along ? mesh_.row(r, part[0], part[1]) : -1;
            if (other < 0) continue;
            const int left = number_of(rest[0], rest[1], rest[2]);
            if (left == CENTRE)
                plain[plains++] = row.c(o);
            else
                c[products] = row.c(o), w[products++] = to_[left] + mesh_.begin(other) + part[2];
        }
        double* const to = to_[number_of(s0, s1, s2)] + mesh_.begin(r);
        for (long j = 0; j < mesh_.n[2]; j += W) {
            V total = {};
            for (int k = 0; k < plains; k++) total += X::load(plain[k] + j);
            for (int k = 0; k < products; k++) total += X::load(c[k] + j) * X::load(w[k] + j);
            X::store(to + j, total * X::load(row.inverse + j));
        }
        mesh_.close(to);
    }

    const StreamOperator& A_;
    const StreamMesh mesh_;
    const StreamHalving& halving_;
    const double share_;
    double* to_[27] = {};
};

// A_c = Q^T A P, and the weights of coarse unknowns in the fine ones delta beside them: W_delta = towards(-delta).
template <class X>
class StreamProduct {
    using V = typename X::V;
    static constexpr long W = X::W;
    using Transfer = StreamTransfer<X>;

  public:
    // transposed : whether A is the transpose of an operator with convection
    StreamProduct(const StreamOperator& A, const StreamHalving& halving, const Transfer& Q, const Transfer& P, bool transposed)
        : A_(A), halving_(halving), Q_(Q), P_(P), transposed_(transposed) {}

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
                for_alike([&](long J, long count) { numbers(R, J, count, part.data(), to); });
                for (int O = 0; O < 27; O++)
                    if (to.s[O]) to.close(O, R);
            }
        });
        lump(to, transposed_, threads);
        return to;
    }

    // the weights of row R's unknowns in those delta beside them, of Q or P
    template <class T>
    void weights(const Transfer& of, long R, int delta, T* to) const {
        const long step = halving_.halved[2] ? 2 : 1;
        for_alike([&](long J, long count) {
            const long I[3] = {R / halving_.coarse.n[1], R % halving_.coarse.n[1], J};
            long i[3];
            const bool there = beside(I, delta, i);
            const double* from = there ? of.from(26 - delta, place(i)) : nullptr;
            for (long k = 0; k < count; k += W) {
                const V v = from ? strided<X>(from + k * step, step) : X::splat(there ? 1.0 : 0.0);
                if constexpr (std::is_same_v<T, double>)
                    X::put(to + J + k, v, count - k);
                else
                    for (long l = 0; l < std::min(W, count - k); l++) to[J + k + l] = static_cast<T>(v[l]);
            }
        });
    }

  private:
    long place(const long i[3]) const { return A_.mesh.begin(i[0] * A_.mesh.n[1] + i[1]) + i[2]; }

    // the fine unknown delta beside coarse unknown I, if that lies between coarse ones along delta; before the first
    // one of an open row there are zeros
    bool beside(const long I[3], int delta, long i[3]) const {
        for (int d = 0; d < 3; d++) {
            const int step = step_of(delta, d);
            if (step && !halving_.halved[d]) return false;
            i[d] = halving_.fine_of(I[d], d) + step;
            if (is_open(d)) continue;
            i[d] = A_.mesh.inside(i[d], d);
            if (i[d] < 0 || (step && halving_.is_coarse(i[d], d))) return false;
        }
        return true;
    }

    // Open rows are alike from end to end: beyond them there are zeros.
    bool is_open(int d) const { return d == 2 && !A_.mesh.wraps[2]; }

    // what(J, count) for unknowns of a row that are alike: all of them, or those away from a closed row's seam, and each
    // of the others
    template <class What>
    void for_alike(const What& what) const {
        const long n = halving_.coarse.n[2];
        if (is_open(2)) return what(0, n);
        const long last = halving_.halved[2] ? (A_.mesh.n[2] - 3 - halving_.first[2]) / 2 : n - 2;
        const long inner = std::max(0L, std::min(n - 2, last));
        if (inner > 0) what(1, inner);
        for (long J = 0; J < n; J++)
            if (J < 1 || J > inner) what(J, 1);
    }

    // rows of A_c: `count` of row R from J on, which are alike
    void numbers(long R, long J, long count, double* part, const StreamOperator& to) const {
        const long I[3] = {R / to.mesh.n[1], R % to.mesh.n[1], J}, step = halving_.halved[2] ? 2 : 1;
        for (int delta = 0; delta < 27; delta++) {
            long i[3];
            if (!beside(I, delta, i)) continue;
            const double* q = Q_.from(26 - delta, place(i));
            for (int o = 0; o < 27; o++) {
                if (!A_.s[o]) continue;
                const double* s = A_.s[o] + place(i);
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
            j[d] = is_open(d) ? i[d] + step_of(o, d) : A_.mesh.inside(i[d] + step_of(o, d), d);
            if (j[d] < 0 && !is_open(d)) return;
            there[d] = sides_of(j[d], d, I[d], step_of(o, d), sides[d]);
        }
        const long at = place(j), step = halving_.halved[2] ? 2 : 1, here = to.mesh.begin(I[0] * to.mesh.n[1] + I[1]) + I[2];
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
        const bool between = is_open(d) ? (j - halving_.first[d]) & 1 : !halving_.is_coarse(j, d);
        int count = 0;
        for (int sigma = -between; sigma <= between; sigma += 2) {
            long t = j + sigma;
            if (!is_open(d) && (t = A_.mesh.inside(t, d)) < 0) continue;
            const long n = halving_.coarse.n[d], far = (t - halving_.first[d]) / 2 - I;
            sides[count++] = {sigma, static_cast<int>(is_open(d) || (far >= -1 && far <= 1) ? far : far > 1 ? far - n : far + n)};
        }
        return count;
    }

    const StreamOperator& A_;
    const StreamHalving& halving_;
    const Transfer &Q_, &P_;
    const bool transposed_;
};

}  // namespace mgnet
