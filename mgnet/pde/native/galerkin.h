// The Galerkin product A_c = P^T A P, a coarse row at a time.
//
//     A_c(I, I + O) = sum_delta W_delta(I) sum_epsilon A(i, j) W_epsilon(I + O),    i = I + delta, j = I + O + epsilon
//
// On the diagonal each pair i < j counts twice. A coarse neighbour across a seam is one fine step away, not two.
#pragma once
#include "weights.h"

namespace mgnet {

constexpr double ROUND_OFF = 1e-8;  // of a fine diagonal: a coarse one below is round-off of zero

template <class X>
class GalerkinProduct {
    using F = Fields<X>;
    using V = typename X::V;

    struct Term {
        int h, at[3], epsilon;  // the coupling, where it is stored, the weight of I + O that it meets
    };
    struct Group {
        int delta, at[3], diagonal;  // the weight of I, and the weight of I + O in the same fine unknown, or -1
        std::size_t begin, end;
    };
    struct Entry {
        int number, O[3];  // -1: the diagonal
        bool crosses[3];   // whether it is for ways across a seam
        std::vector<Group> groups;
        std::vector<Term> terms;
    };

  public:
    GalerkinProduct(const Pair& pair) : pair_(pair) {
        const int zero[3] = {}, deltas = pair.halving.deltas();
        delta_.resize(deltas);
        for (int k = 0; k < deltas; k++) InducedWeights<X>::delta(pair.halving, k, delta_[k].o);
        add(-1, zero, 0);
        for (int h = 0; h < pair.coarse->mesh.couplings(); h++)
            for (int bits = 0; bits < 8 && pair.coarse->has(h); bits++)
                add(h, OFFSETS[pair.coarse->mesh.points][h], bits);
    }

    // A_c's entries in row r; D_c's inverse root as well.
    void row(long member, long r) const {
        Operator& coarse = *pair_.coarse;
        const long n1 = coarse.mesh.n[1], I = r / n1, J = r % n1, nc = coarse.mesh.n[2], size = coarse.mesh.size();
        const long here = member * size + r * coarse.mesh.stride() + LEFT;
        const Near<X> near(pair_, I, J);
        for (const Entry& e : entries_) {
            if (crosses(e, 0, I) != e.crosses[0] || crosses(e, 1, J) != e.crosses[1]) continue;
            double* out = e.number < 0 ? coarse.D : coarse.S + e.number * coarse.members * size;
            long begin = 0, end = nc;
            if (pair_.seam[2] && e.O[2] != 0) {  // the last (first) column alone crosses the seam
                const long last = e.O[2] > 0 ? nc - 1 : 0;
                begin = e.crosses[2] ? last : e.O[2] > 0 ? 0 : 1;
                end = e.crosses[2] ? last + 1 : e.O[2] > 0 ? nc - 1 : nc;
            }
            pair_.halving.halved[2] ? sum<true>(e, near, member, out + here, begin, end)
                                    : sum<false>(e, near, member, out + here, begin, end);
        }
        if (pair_.fine->inside) regular(near, member, coarse.D + here);
        F::fill(coarse.D + here, nc, coarse.mesh.wraps[2]);
        for (int h = 0; h < coarse.mesh.couplings(); h++)
            F::fill(coarse.S + h * coarse.members * size + here, nc, coarse.mesh.wraps[2]);
    }

  private:
    struct Three {
        int o[3];
    };
    struct Factors {
        const double *s, *v;
    };
    struct Part {
        const double *w, *d, *v;
        std::size_t begin, end;
    };

    void add(int entry, const int* O, int bits) {
        Entry e{entry, {O[0], O[1], O[2]}, {}, {}, {}};
        int jump[3];
        for (int d = 0; d < 3; d++) {
            e.crosses[d] = bits >> d & 1;
            if (e.crosses[d] && !(pair_.seam[d] && O[d] != 0)) return;
            jump[d] = pair_.halving.halved[d] && !e.crosses[d] ? 2 * O[d] : O[d];
        }
        const int deltas = static_cast<int>(delta_.size());
        for (int k = 0; k < deltas; k++) {
            const int* delta = delta_[k].o;
            Group g{k, {delta[0], delta[1], delta[2]}, -1, e.terms.size(), 0};
            for (int m = 0; m < deltas; m++) {
                int o[3];
                for (int d = 0; d < 3; d++) o[d] = jump[d] + delta_[m].o[d] - delta[d];
                if (o[0] == 0 && o[1] == 0 && o[2] == 0) g.diagonal = m;
                const int way = coupling(o);
                if (way == 0 || (way < 0 && entry < 0)) continue;
                Term t{std::abs(way) - 1, {delta[0], delta[1], delta[2]}, m};
                for (int d = 0; d < 3 && way < 0; d++) t.at[d] += o[d];
                e.terms.push_back(t);
            }
            g.end = e.terms.size();
            if (g.end > g.begin || g.diagonal >= 0) e.groups.push_back(g);
        }
        entries_.push_back(e);
    }

    // h + 1 if o is the offset of coupling h, -(h + 1) if -o is, 0 if there is none
    int coupling(const int* o) const {
        const Mesh& mesh = pair_.fine->mesh;
        for (int h = 0; h < mesh.couplings(); h++) {
            const int* p = OFFSETS[mesh.points][h];
            if (!pair_.fine->has(h)) continue;
            if (p[0] == o[0] && p[1] == o[1] && p[2] == o[2]) return h + 1;
            if (p[0] == -o[0] && p[1] == -o[1] && p[2] == -o[2]) return -h - 1;
        }
        return 0;
    }

    bool crosses(const Entry& e, int d, long I) const {
        return pair_.seam[d] && ((e.O[d] > 0 && I == pair_.coarse->mesh.n[d] - 1) || (e.O[d] < 0 && I == 0));
    }

    const double* fine(const double* field, const Near<X>& near, const int* o) const {
        const long begin = near.fine[o[0] + 2][o[1] + 2];
        return begin < 0 ? pair_.fine->zeros + LEFT : field + begin + pair_.first(2) + o[2];
    }
    const double* weight(int number, const Near<X>& near, long member, const int* O) const {
        const long begin = near.coarse[O[0] + 1][O[1] + 1];
        if (begin < 0) return pair_.fine->zeros + LEFT;
        return pair_.W + (number * pair_.coarse->members + member) * pair_.coarse->mesh.size() + begin + O[2];
    }

    void resolve(const Entry& e, const Near<X>& near, long member, Part* parts, Factors* factors) const {
        const Operator& A = *pair_.fine;
        const long size = A.mesh.size();
        const int zero[3] = {};
        for (std::size_t k = 0; k < e.groups.size(); k++) {
            const Group& g = e.groups[k];
            const bool same = g.diagonal >= 0;
            parts[k].w = weight(g.delta, near, member, zero), parts[k].begin = g.begin, parts[k].end = g.end;
            parts[k].d = same ? fine(A.D + member * size, near, g.at) : A.zeros + LEFT;
            parts[k].v = same ? weight(g.diagonal, near, member, e.O) : A.zeros + LEFT;
        }
        for (std::size_t k = 0; k < e.terms.size(); k++) {
            const Term& t = e.terms[k];
            factors[k].s = fine(A.S + (t.h * A.members + member) * size, near, t.at);
            factors[k].v = weight(t.epsilon, near, member, e.O);
        }
    }

    // Two vectors at a time, so that sums need not wait for each other.
    template <bool Halved>
    void sum(const Entry& e, const Near<X>& near, long member, double* out, long begin, long end) const {
        constexpr long W = X::W;
        Part parts[27];
        Factors factors[343];
        resolve(e, near, member, parts, factors);
        const std::size_t groups = e.groups.size();
        const double twice = e.number < 0 ? 2 : 1, sign = e.number < 0 ? -1 : 1;
        for (long K = begin; K < end; K += 2 * W) {
            V total[2] = {};
            for (std::size_t g = 0; g < groups; g++) {
                const Part& p = parts[g];
                V part[2] = {};
                for (std::size_t k = p.begin; k < p.end; k++)
#pragma GCC unroll 2
                    for (int q = 0; q < 2; q++)
                        part[q] += F::template every<Halved>(factors[k].s, K + q * W) * X::load(factors[k].v + K + q * W);
#pragma GCC unroll 2
                for (int q = 0; q < 2; q++) {
                    const V d = F::template every<Halved>(p.d, K + q * W) * X::load(p.v + K + q * W);
                    total[q] += X::load(p.w + K + q * W) * (twice * part[q] - d);
                }
            }
#pragma GCC unroll 2
            for (int q = 0; q < 2; q++) F::put(out + K + q * W, sign * total[q], end - K - q * W);
        }
    }

    // D_c is A's diagonal where its own vanishes: one unknown stands for a part whose constant is free.
    void regular(const Near<X>& near, long member, double* D_c) const {
        const int zero[3] = {};
        const double* D = fine(pair_.fine->D + member * pair_.fine->mesh.size(), near, zero);
        for (long K = 0; K < pair_.coarse->mesh.n[2]; K++) {
            const double at = D[pair_.steps(2) * K];
            if (D_c[K] < ROUND_OFF * at) D_c[K] = at;
        }
    }

    const Pair& pair_;
    std::vector<Three> delta_;
    std::vector<Entry> entries_;
};

}  // namespace mgnet
