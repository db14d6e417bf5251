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
        int near;           // the row where the coupling is stored, among those near
        long coupling;      // where it is from there
        long weight;        // the weight of I + O that it meets, from that row's first
    };
    struct Group {
        long weight;        // the weight of I, from its row's first
        int near;           // the fine row that it is of; the diagonal there,
        long diagonal, own; // and the weight of I + O in the same unknown, or -1
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
        for (int h = 0; h < pair.fine->mesh.couplings(); h++)
            for (int sign = 1; sign >= -1 && pair.fine->has(h); sign -= 2) {
                const int* o = OFFSETS[pair.fine->mesh.points][h];
                ways_.push_back({h, sign > 0, {sign * o[0], sign * o[1], sign * o[2]}});
            }
        add(-1, zero, 0);
        for (int h = 0; h < pair.coarse->mesh.couplings(); h++)
            for (int bits = 0; bits < 8 && pair.coarse->has(h); bits++)
                add(h, OFFSETS[pair.coarse->mesh.points][h], bits);
    }

    // A_c's entries in coarse row (I, J), by the weights of its plane and the next in a window.
    void row(long member, long I, long J, const double* window) const {
        Operator& coarse = *pair_.coarse;
        const long nc = coarse.mesh.n[2], r = I * coarse.mesh.n[1] + J;
        double* const D = coarse.D + coarse.begin(member, r);
        const Near near(pair_, I, J);
        for (const Entry& e : entries_) {
            if (crosses(e, 0, I) != e.crosses[0] || crosses(e, 1, J) != e.crosses[1]) continue;
            double* out = e.number < 0 ? D : coarse.couplings(e.number, member, r);
            long begin = 0, end = nc;
            if (pair_.seam[2] && e.O[2] != 0) {  // the last (first) column alone crosses the seam
                const long last = e.O[2] > 0 ? nc - 1 : 0;
                begin = e.crosses[2] ? last : e.O[2] > 0 ? 0 : 1;
                end = e.crosses[2] ? last + 1 : e.O[2] > 0 ? nc - 1 : nc;
            }
            pair_.halving.halved[2] ? sum<true>(e, near, member, window, out, begin, end)
                                    : sum<false>(e, near, member, window, out, begin, end);
        }
        if (pair_.fine->inside) regular(near, member, D);
        coarse.mesh.close(D);
        for (int h = 0; h < coarse.mesh.couplings(); h++) coarse.mesh.close(coarse.couplings(h, member, r));
    }

  private:
    struct Three {
        int o[3];
    };
    struct Way {
        int h;
        bool forward;
        int o[3];
    };
    struct Factors {
        const double *s, *v;
    };
    struct Part {
        const double *w, *d, *v;  // d, v: none, or the diagonal and its other weight
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
        e.terms.reserve(delta_.size() * ways_.size());
        for (std::size_t k = 0; k < delta_.size(); k++) group(static_cast<int>(k), jump, e);
        entries_.push_back(std::move(e));
    }

    // All that fine unknown I + delta adds to an entry; on the diagonal one of each two that are equal.
    void group(int k, const int* jump, Entry& e) const {
        const Operator& fine = *pair_.fine;
        const int *delta = delta_[k].o, zero[3] = {}, same = met(delta, zero, jump);
        const long every = pair_.of_delta();
        Group g{k * every, near(delta), pair_.first(2) + delta[2], same < 0 ? -1 : same * every + e.O[2],
                e.terms.size(), 0};
        if (same < 0) g.diagonal = -1;
        for (const Way& way : ways_) {
            const int other = met(delta, way.o, jump);
            if (other < 0 || (e.number < 0 && !way.forward)) continue;
            int at[3];
            for (int d = 0; d < 3; d++) at[d] = delta[d] + (way.forward ? 0 : way.o[d]);
            const long coupling = way.h * fine.members * fine.mesh.size() + pair_.first(2) + at[2];
            e.terms.push_back({near(at), coupling, other * every + e.O[2]});
        }
        g.end = e.terms.size();
        if (g.end > g.begin || same >= 0) e.groups.push_back(g);
    }

    // The number of epsilon = delta + o - jump, -1 if that is none.
    int met(const int* delta, const int* o, const int* jump) const {
        int epsilon[3];
        for (int d = 0; d < 3; d++) {
            const int reach = pair_.halving.halved[d] ? 1 : 0;
            epsilon[d] = delta[d] + o[d] - jump[d];
            if (epsilon[d] < -reach || epsilon[d] > reach) return -1;
        }
        return InducedWeights<X>::number(pair_.halving, epsilon);
    }

    static int near(const int* o) { return 5 * (o[0] + 2) + o[1] + 2; }

    bool crosses(const Entry& e, int d, long I) const {
        return pair_.seam[d] && ((e.O[d] > 0 && I == pair_.coarse->mesh.n[d] - 1) || (e.O[d] < 0 && I == 0));
    }

    void resolve(const Entry& e, const Near& near, long member, const double* W, Part* parts,
                 Factors* factors) const {
        const Operator& A = *pair_.fine;
        const double *zeros = A.zeros + LEFT, *S = A.S + member * A.mesh.size(), *D = A.D + member * A.mesh.size();
        const long there = near.coarse[e.O[0]][e.O[1] + 1], *fine = near.fine[0];
        for (std::size_t k = 0; k < e.groups.size(); k++) {
            const Group& g = e.groups[k];
            const bool same = g.own >= 0 && there >= 0 && fine[g.near] >= 0;
            parts[k] = {W + near.coarse[0][1] + g.weight, same ? D + fine[g.near] + g.diagonal : nullptr,
                        W + there + g.own, g.begin, g.end};
        }
        for (std::size_t k = 0; k < e.terms.size(); k++) {
            const Term& t = e.terms[k];
            factors[k].s = fine[t.near] < 0 ? zeros : S + fine[t.near] + t.coupling;
            factors[k].v = there < 0 ? zeros : W + there + t.weight;
        }
    }

    template <bool Halved>
    void sum(const Entry& e, const Near& near, long member, const double* W, double* out, long begin,
             long end) const {
        Part parts[27];
        Factors factors[343];
        resolve(e, near, member, W, parts, factors);
        long K = begin;
        for (; end - K > 2 * X::W; K += 4 * X::W) block<Halved, 4>(e, parts, factors, out, K, end);
        if (K < end) block<Halved, 2>(e, parts, factors, out, K, end);
    }

    // N vectors of an entry at a time, so that sums need not wait for each other.
    template <bool Halved, int N>
    static void block(const Entry& e, const Part* parts, const Factors* factors, double* out, long K, long end) {
        const std::size_t groups = e.groups.size();
        const double twice = e.number < 0 ? 2 : 1, sign = e.number < 0 ? -1 : 1;
        V total[N] = {};
        for (std::size_t g = 0; g < groups; g++) {
            const Part& p = parts[g];
            V part[N] = {};
            for (std::size_t k = p.begin; k < p.end; k++) {
                const double *s = factors[k].s, *v = factors[k].v;
#pragma GCC unroll 4
                for (int q = 0; q < N; q++)
                    part[q] += F::template every<Halved>(s, K + q * X::W) * X::load(v + K + q * X::W);
            }
#pragma GCC unroll 4
            for (int q = 0; q < N; q++) part[q] *= twice;
            if (p.d) {
#pragma GCC unroll 4
                for (int q = 0; q < N; q++)
                    part[q] -= F::template every<Halved>(p.d, K + q * X::W) * X::load(p.v + K + q * X::W);
            }
#pragma GCC unroll 4
            for (int q = 0; q < N; q++) total[q] += X::load(p.w + K + q * X::W) * part[q];
        }
#pragma GCC unroll 4
        for (int q = 0; q < N; q++) F::put(out + K + q * X::W, sign * total[q], end - K - q * X::W);
    }

    // D_c is A's diagonal where its own vanishes: one unknown stands for a part whose constant is free.
    void regular(const Near& near, long member, double* D_c) const {
        const double* D = pair_.fine->D + member * pair_.fine->mesh.size() + near.fine[2][2] + pair_.first(2);
        for (long K = 0; K < pair_.coarse->mesh.n[2]; K++) {
            const double at = D[pair_.steps(2) * K];
            if (D_c[K] < ROUND_OFF * at) D_c[K] = at;
        }
    }

    const Pair& pair_;
    std::vector<Three> delta_;
    std::vector<Way> ways_;
    std::vector<Entry> entries_;
};

}  // namespace mgnet
