// The weights of coarse unknowns in the fine ones between them, as blackbox/interpolation.py induces them: w_sigma of the
// coarse one that lies towards sigma.
#pragma once
#include <vector>

#include "parts.h"
#include "simd.h"
#include "stream_mesh.h"

namespace mgnet {

template <class X>
class StreamWeights {
    using V = typename X::V;
    static constexpr long W = X::W;

  public:
    // share : of A's own couplings in those that weights are of; 1: of A, 0: of A^T, 1/2: of its symmetric part
    StreamWeights(const StreamOperator& A, const StreamHalving& halving, double share, int threads, Arena& arena)
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

}  // namespace mgnet
