// Conductances of the faces of a grid: made of a coefficient at the unknowns, surveyed, and made into stencils.
//
//     (A u)_i = sum_d cross_d [k_{i-1/2} (u_i - u_{i-1}) + k_{i+1/2} (u_i - u_{i+1})] + m u_i
//
// as problem/operators.py has it: k_d on the n_d + 1 faces of axis d, cross_d and m the unknowns' shares of a cell.
#pragma once
#include <vector>

#include "loops.h"
#include "stencil.h"

namespace mgnet {

// An array (members, n0, n1, n2) of float or double, along some of whose axes nothing may change (a step of 0).
struct Field {
    const void* v = nullptr;
    bool single = false;
    long step[4] = {};

    // n numbers of a row, where they lie or converted into `room`
    const double* row(long member, long i, long j, long n, double* room) const {
        const long at = member * step[0] + i * step[1] + j * step[2];
        if (single) return converted(static_cast<const float*>(v) + at, n, room);
        const double* from = static_cast<const double*>(v) + at;
        return step[3] == 1 ? from : converted(from, n, room);
    }

  private:
    template <class T>
    const double* converted(const T* from, long n, double* room) const {
        for (long j = 0; j < n; j++) room[j] = from[j * step[3]];
        return room;
    }
};

struct Conductances {
    Mesh mesh;
    long members = 1;
    Field k[3], c;                   // no k for an axis that a grid of fewer dimensions lacks; perhaps no c
    std::vector<double> share[3];    // of a cell, per axis

    // whether rows have to be converted
    bool converted() const {
        auto plain = [](const Field& of) { return !of.v || (!of.single && of.step[3] == 1); };
        return !(plain(k[0]) && plain(k[1]) && plain(k[2]) && plain(c));
    }
};

// Where a row of the operator goes: n2 numbers each; `s`, the couplings with the next unknown, as far as asked for.
struct OperatorRow {
    double *diagonal, *excess;  // the sum of a row: what c and the ends add to its couplings
    double* near;               // the sum of its couplings, or none
    double* s[3];
};

// The rows of the operator, one after the other, for one worker.
template <class X>
class OperatorRows {
    using V = typename X::V;

  public:
    explicit OperatorRows(const Conductances& A) : A_(A), n_(A.mesh.n[2]), room_(A.converted() ? 6 * (n_ + 1) : 0) {}

    const double* k(int d, long member, long i, long j, int number) {
        return A_.k[d].row(member, i, j, n_ + (d == 2), room_.data() + number * (n_ + 1));
    }
    const double* c(long member, long i, long j) { return A_.c.row(member, i, j, n_, room_.data() + 5 * (n_ + 1)); }

    void make(long member, long i, long j, const OperatorRow& to) {
        reaction(member, i, j, to);
        const long at[2] = {i, j};
        for (int d = 0; d < 2; d++)
            if (A_.k[d].v) {
                const double *low = k(d, member, i, j, 2 * d), *high = k(d, member, i + (d == 0), j + (d == 1), 2 * d + 1);
                const bool first = at[d] == 0 && !A_.mesh.wraps[d], last = at[d] == A_.mesh.n[d] - 1 && !A_.mesh.wraps[d];
                across(low, high, A_.share[1 - d][at[1 - d]], first, last, to, to.s[d]);
            }
        along(k(2, member, i, j, 4), A_.share[0][i] * A_.share[1][j], to);
    }

  private:
    void reaction(long member, long i, long j, const OperatorRow& to) {
        const V w = X::splat(A_.share[0][i] * A_.share[1][j]);
        const double *c = A_.c.v ? this->c(member, i, j) : nullptr, *share = A_.share[2].data();
        each<X>(to.diagonal, n_, [&](auto row) { return c ? row(c) * (w * row(share)) : V{}; });
        each<X>(to.excess, n_, [&](auto row) { return row(to.diagonal); });
        each<X>(to.near, n_, [](auto) { return V{}; });
    }

    // The faces before and after a row.
    void across(const double* low, const double* high, double share, bool first, bool last, const OperatorRow& to,
                double* s) const {
        const V w = X::splat(share), none = {};
        const double* w2 = A_.share[2].data();
        each<X>(s, n_, [&](auto row) { return last ? none : row(high) * (w * row(w2)); });
        each<X>(to.diagonal, n_, [&](auto row) { return row(to.diagonal) + (row(low) + row(high)) * (w * row(w2)); });
        auto some = [&](double* out, bool lows, bool highs) {
            if (!lows && !highs) return;
            each<X>(out, n_, [&](auto row) {
                return row(out) + ((lows ? row(low) : none) + (highs ? row(high) : none)) * (w * row(w2));
            });
        };
        some(to.excess, first, last), some(to.near, !first, !last);
    }

    // The faces along a row.
    void along(const double* k, double share, const OperatorRow& to) const {
        const V w = X::splat(share);
        const bool wraps = A_.mesh.wraps[2];
        const double low = k[0] * share, high = k[n_] * share;
        each<X>(to.s[2], n_, [&](auto row) { return row(k + 1) * w; });
        if (to.s[2] && !wraps) to.s[2][n_ - 1] = 0;
        each<X>(to.diagonal, n_, [&](auto row) { return row(to.diagonal) + (row(k) + row(k + 1)) * w; });
        if (!wraps) to.excess[0] += low, to.excess[n_ - 1] += high;
        if (!to.near) return;
        for (long l = 0; l < n_; l++)
            to.near[l] += ((l > 0 || wraps ? k[l] : 0) + (l < n_ - 1 || wraps ? k[l + 1] : 0)) * share;
    }

    const Conductances& A_;
    const long n_;
    std::vector<double> room_;  // for rows that have to be converted
};

// What an end's face is to its unknown, with a there, h the mesh width and half = 2 a / h: a / h^2 as between unknowns,
// half / h, alpha half / (alpha + half) / h, or alpha / h.
enum EndKind { WHOLE, HALF, THROUGH, GIVEN };
struct EndFace {
    EndKind kind;
    double alpha;
};
struct FaceRule {
    bool wraps;
    EndFace ends[2];
    double h, h2;          // h^2
    double least, most;    // that a face's a may be
};

// k (pre, n + 1, post) = a / h^2 on the faces along the middle axis of a (pre, n, post), a the harmonic mean of both
// sides, beside an end its unknown's; or of a (pre, n + 1, post), on the faces. False where some a is not positive, or its
// mean not between least and most; k then has no meaning.
template <class T>
bool conductances(const T* a, bool on_faces, T* k, long pre, long n, long post, const FaceRule& rule, int threads);

// What decides how an operator is solved; the functions of blackbox/traits.py say it word by word.
struct Survey {
    double contrast = 1, variation = 1, dominance = 0;
    bool lone = false;                 // whether an unknown is coupled to no other
    std::vector<double> constant, wave;  // per member
};

// variation is looked for only where it may be more than `varies`, dominance where it is
Survey survey(const Conductances& A, double varies, int threads);

// squares (members) = || |A||u| + |b| ||^2: where 2 eps of its root is all of a residual, rounding has left it
void magnitudes(const Conductances& A, const Field& u, const Field& b, long members, double* squares, int threads);

// out (members, n0, n1, n2) = A u
void apply(const Conductances& A, const Field& u, long members, double* out, int threads);

}  // namespace mgnet
