// The weights of the interpolation that a stencil induces (Dendy 1982), a coarse row at a time.
//
//     W_delta(I) = sum_o s+_o W_{delta + part}(I) / (m+ + sum_o s+_o),    at fine unknown i = I + delta
//
// part is what o does along the axes where delta is not 0; o counts where that is not nothing, above where it leads
// towards I. m is the row sum; couplings and row sums below 0 count as 0. Beside a mask, o counts where the unknown
// it leads to along part is inside; where there is none, i takes the value of the first coarse unknown in reach.
#pragma once
#include "line_weights.h"

namespace mgnet {

template <class X>
class InducedWeights {
    using F = Fields<X>;
    using V = typename X::V;
    using M = typename X::M;

    struct Term {
        int h, at[3], rest, to[3];  // the coupling, where it is stored, delta + part, the unknown it leads to
    };
    struct Weight {
        int number, delta[3];
        std::vector<Term> terms;  // those that lead towards I, those that leave along delta, others
        long towards, along;
    };

    // A coarse row: what is near, its member, its plane and row, and its first weights.
    struct Row {
        Near near;
        long member, at[2];
        double* weights;
    };

  public:
    InducedWeights(const Pair& pair, const LineWeights<X>& lines) : pair_(pair), lines_(lines) {
        for (int away = 1; away <= 3; away++)
            for (int number = 0; number < pair.halving.deltas(); number++) add(number, away);
    }

    // delta number k: (-1 | 0 | 1) an axis that is halved, the last one fastest
    static void delta(const Halving& halving, int k, int* to) {
        for (int d = 2; d >= 0; d--) {
            to[d] = halving.halved[d] ? k % 3 - 1 : 0;
            if (halving.halved[d]) k /= 3;
        }
    }
    static int number(const Halving& halving, const int* delta) {
        int k = 0;
        for (int d = 0; d < 3; d++) k = halving.halved[d] ? 3 * k + delta[d] + 1 : k;
        return k;
    }

    // Of coarse row (I, J), to a slot of a window.
    void row(long member, long I, long J, double* window, long slot) const {
        const Operator &coarse = *pair_.coarse, &fine = *pair_.fine;
        const long nc = coarse.mesh.n[2];
        const Row r{Near(pair_, I, J), member, {I, J}, window + pair_.in_window(slot, J)};
        const int zero[3] = {}, centre = number(pair_.halving, zero);
        double* middle = r.weights + centre * pair_.of_delta();
        for (long K = 0; K < nc; K++) middle[K] = 1;
        for (const Weight& w : weights_) {
            double* out = r.weights + w.number * pair_.of_delta();
            const bool halved = pair_.halving.halved[2];
            if (!exists(w, r)) {
                for (long K = 0; K < nc; K++) out[K] = 0;
            } else if (const double* across = lines_.across(w.delta)) {
                const double* from = at(across + member * fine.mesh.size(), r.near, w.delta);
                for (long K = 0; K < nc; K++) out[K] = from[pair_.steps(2) * K];
            } else if (fine.inside) {
                halved ? one<true, true>(w, r, out) : one<false, true>(w, r, out);
            } else {
                halved ? one<true, false>(w, r, out) : one<false, false>(w, r, out);
            }
            ends(w, out);
            coarse.mesh.close(out);
        }
        if (fine.inside) phantoms(r, middle);
        coarse.mesh.close(middle);
    }

  private:
    // The weight of a fine unknown that is `away` steps from the coarse one: it needs those that are closer.
    void add(int k, int away) {
        Weight w{k, {}, {}, 0, 0};
        delta(pair_.halving, k, w.delta);
        if (std::abs(w.delta[0]) + std::abs(w.delta[1]) + std::abs(w.delta[2]) != away) return;
        std::vector<Term> kinds[3];
        for (int h = 0; h < pair_.fine->mesh.couplings(); h++)
            for (int sign = 1; sign >= -1 && pair_.fine->has(h); sign -= 2) {
                Term t{h, {}, 0, {}};
                bool leaves = false, towards = true;
                for (int d = 0; d < 3; d++) {
                    const int o = sign * OFFSETS[pair_.fine->mesh.points][h][d], part = w.delta[d] ? o : 0;
                    t.at[d] = w.delta[d] + (sign < 0 ? o : 0), t.to[d] = w.delta[d] + part;
                    leaves |= part != 0, towards &= part == 0 || part == -w.delta[d];
                }
                if (leaves && towards) t.rest = number(pair_.halving, t.to);
                kinds[!leaves ? 2 : towards ? 0 : 1].push_back(t);
            }
        for (const auto& kind : kinds) w.terms.insert(w.terms.end(), kind.begin(), kind.end());
        w.towards = kinds[0].size(), w.along = w.towards + kinds[1].size();
        weights_.push_back(w);
    }

    // Whether the fine row lies between coarse ones: not beyond an end, and not beside a coarse one across a seam.
    bool exists(const Weight& w, const Row& r) const {
        for (int d = 0; d < 2; d++) {
            const long n = pair_.fine->mesh.n[d], i = pair_.steps(d) * r.at[d] + pair_.first(d) + w.delta[d];
            if ((i < 0 || i >= n) && (!pair_.fine->mesh.wraps[d] || pair_.seam[d])) return false;
        }
        return true;
    }

    // The same along the row.
    void ends(const Weight& w, double* out) const {
        const Mesh& fine = pair_.fine->mesh;
        const long nc = pair_.coarse->mesh.n[2], at = pair_.first(2) + w.delta[2];
        if (w.delta[2] == 0 || (fine.wraps[2] && !pair_.seam[2])) return;
        if (at < 0) out[0] = 0;
        if (at + 2 * (nc - 1) >= fine.n[2]) out[nc - 1] = 0;
    }

    struct Resolved {
        const double *s, *w, *inside;
    };

    const double* at(const double* field, const Near& near, const int* o) const {
        const long begin = near.fine[o[0] + 2][o[1] + 2];
        return begin < 0 ? pair_.fine->zeros + LEFT : field + begin + pair_.first(2) + o[2];
    }

    void resolve(const Weight& w, const Row& r, Resolved* to) const {
        const Operator& fine = *pair_.fine;
        const long size = fine.mesh.size();
        for (std::size_t k = 0; k < w.terms.size(); k++) {
            const Term& t = w.terms[k];
            to[k].s = at(fine.S + (t.h * fine.members + r.member) * size, r.near, t.at);
            to[k].w = r.weights + t.rest * pair_.of_delta();
            to[k].inside = fine.inside ? at(fine.inside + r.member * size, r.near, t.to) : nullptr;
        }
    }

    template <bool Halved, bool Masked>
    void one(const Weight& w, const Row& r, double* out) const {
        Resolved terms[26];
        resolve(w, r, terms);
        const double* D = at(pair_.fine->D + r.member * pair_.fine->mesh.size(), r.near, w.delta);
        const long nc = pair_.coarse->mesh.n[2], count = w.terms.size();
        const long stuck = Masked ? held(w, r) : 0;
        for (long K = 0; K < nc; K += X::W) {
            V m = F::template every<Halved>(D, K), total = {}, ways = {}, others = {};
            for (long k = 0; k < count; k++) {
                const V s = F::template every<Halved>(terms[k].s, K);
                V way = F::positive(s);
                m -= s;
                if (k >= w.along) {
                    if constexpr (Masked) others += way;
                    continue;
                }
                if constexpr (Masked) way *= F::template every<Halved>(terms[k].inside, K);
                ways += way;
                if (k < w.towards) total += way * X::load(terms[k].w + K);
            }
            if constexpr (Masked) {
                const M none = reinterpret_cast<M>(ways == V{});
                const V value = X::first(others, stuck - K);
                total = X::where(none, value, total), ways = X::where(none, others, ways);
            }
            const V all = ways + F::positive(m);
            F::put(out + K, X::where(reinterpret_cast<M>(all > V{}), total / all, V{}), nc - K);
        }
    }

    // For how many columns, from the first, row r has the first coarse unknowns in reach of those delta beside:
    // back from it, or forth from the very first unknown of an axis.
    long held(const Weight& w, const Row& r) const {
        const Mesh &fine = pair_.fine->mesh, &coarse = pair_.coarse->mesh;
        for (int d = 0; d < 2; d++)
            if (w.delta[d] < 0 && (fine.wraps[d] || 2 * r.at[d] + pair_.first(d) != 1)) return 0;
        return w.delta[2] >= 0 ? coarse.n[2] : pair_.first(2) == 1 && !fine.wraps[2] ? 1 : 0;
    }

    // No weight for a coarse unknown in itself where it lies outside and stands for others.
    void phantoms(const Row& r, double* middle) const {
        const int zero[3] = {};
        const double* inside = at(pair_.fine->inside + r.member * pair_.fine->mesh.size(), r.near, zero);
        for (long K = 0; K < pair_.coarse->mesh.n[2]; K++) {
            double around = 0;
            for (const Weight& w : weights_) around += r.weights[w.number * pair_.of_delta() + K];
            if (inside[pair_.steps(2) * K] == 0 && around > 0) middle[K] = 0;
        }
    }

    const Pair& pair_;
    const LineWeights<X>& lines_;
    std::vector<Weight> weights_;
};

}  // namespace mgnet
