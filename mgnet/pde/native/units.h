// Unit forms, a row at a time, in the levels' precision, and the upper end of their spectrum.
//
//     s <- s / sqrt(d_i d_j),    W <- W sqrt(d_i / D_I)
#pragma once
#include <cmath>

#include "weights.h"

namespace mgnet {

constexpr double COARSE_BOUND = 1.7;  // of the spectrum of coarse operators in unit form; steps are stable up to 2.1
constexpr double NEGATIVE = 0.05, VERY_NEGATIVE = 0.1;  // couplings below minus these make the spectrum larger
constexpr int POWER_STEPS = 12;

// What the rows of a block told of the couplings in unit form.
struct Told {
    double sums[13] = {};
    double smallest = 0;
};

template <class X>
struct Units {
    using F = Fields<X>;
    using V = typename X::V;
    using M = typename X::M;

    // D^-1/2 of a row
    static void roots(const Operator& A, long member, long r) {
        const long begin = A.begin(member, r), n = A.mesh.n[2];
        for (long j = 0; j < n; j += X::W) {
            const V d = X::load(A.D + begin + j);
            V root = {};
            for (long k = 0; k < X::W; k++) root[k] = std::sqrt(d[k] > 0 ? d[k] : 0.0);
            F::put(A.scale + begin + j, X::where(reinterpret_cast<M>(root > V{}), 1 / root, V{}), n - j);
        }
        A.mesh.close(A.scale + begin);
    }

    // The couplings of a row in unit form; `told` gathers their sums and the smallest, if that is below 0.
    template <class T>
    static void couplings(const Operator& A, T* S, long member, long r, Told& told) {
        const Mesh& mesh = A.mesh;
        const long n = mesh.n[2], begin = A.begin(member, r);
        const double* own = A.scale + begin;
        for (int h = 0; h < mesh.couplings(); h++) {
            const int* o = OFFSETS[mesh.points][h];
            const long row = mesh.row(r, o);
            const double* other = row < 0 ? A.zeros + LEFT : A.scale + A.begin(member, row) + o[2];
            const double* s = A.couplings(h, member, r);
            T* out = S + h * A.members * mesh.size() + begin;
            V sum = {}, least = {};
            for (long j = 0; j < n; j += X::W) {
                const V v = X::first(X::load(s + j) * X::load(own + j) * X::load(other + j), n - j);
                F::put(out + j, v, n - j);
                sum += v, least = X::where(reinterpret_cast<M>(v < least), v, least);
            }
            mesh.close(out);
            told.sums[h] += X::sum(sum);
            for (long k = 0; k < X::W; k++) told.smallest = least[k] < told.smallest ? least[k] : told.smallest;
        }
    }

    // The weights of a coarse row between the unit forms; from: its first ones in a window.
    template <class T>
    static void weights(const Pair& pair, const double* from, T* W, long member, long r) {
        pair.halving.halved[2] ? weights<true>(pair, from, W, member, r) : weights<false>(pair, from, W, member, r);
    }

    // 1 where an unknown is coupled to any other, along a row.
    static void inside(const Operator& A, long member, long r) {
        const Mesh& mesh = A.mesh;
        const long n = mesh.n[2];
        double* out = A.inside + A.begin(member, r);
        for (long j = 0; j < n; j++) out[j] = 0;
        for (int h = 0; h < mesh.couplings(); h++) {
            const int* o = OFFSETS[mesh.points][h];
            const long row = mesh.row(r, o, -1);
            const double* here = A.couplings(h, member, r);
            const double* there = row < 0 ? A.zeros + LEFT : A.couplings(h, member, row) - o[2];
            for (long j = 0; j < n; j++) out[j] = here[j] != 0 || there[j] != 0 ? 1 : out[j];
        }
        mesh.close(out);
    }

    // An upper end of the spectrum of an operator in unit form. Nine points that all couple positively have one below
    // COARSE_BOUND; with some negative couplings 2 serves until they are large, and the power method finds it.
    // `tensor`: the finest grid's has negative couplings; coarse ones then go up to 2.5.
    static double bound(const Operator& A, double smallest, bool tensor, int threads) {
        if (smallest >= -NEGATIVE && !tensor) return COARSE_BOUND;
        if (smallest >= -VERY_NEGATIVE && !tensor) return 2;
        std::vector<double> norms(A.members);
        F::each_member(A.members, A.crew(threads), [&](long member) { norms[member] = power(A, member); });
        double largest = 2;
        for (double norm : norms) largest = std::fmax(largest, 1.1 * norm);
        return largest;
    }

  private:
    template <bool Halved, class T>
    static void weights(const Pair& pair, const double* from, T* W, long member, long r) {
        const Operator &fine = *pair.fine, &coarse = *pair.coarse;
        const long nc = coarse.mesh.n[2], n1 = coarse.mesh.n[1], begin = coarse.begin(member, r);
        for (int k = 0; k < pair.halving.deltas(); k++) {
            int delta[3];
            InducedWeights<X>::delta(pair.halving, k, delta);
            const long i = pair.steps(0) * (r / n1) + pair.first(0) + delta[0];
            const long j = pair.steps(1) * (r % n1) + pair.first(1) + delta[1];
            const long row = fine.mesh.row(i, j), at = fine.begin(member, row) + pair.first(2) + delta[2];
            const double* D = row < 0 ? fine.zeros + LEFT : fine.D + at;
            const double* root = row < 0 ? fine.zeros + LEFT : fine.scale + at;
            const double *w = from + k * pair.of_delta(), *scale = coarse.scale + begin;
            T* out = W + k * coarse.members * coarse.mesh.size() + begin;
            for (long K = 0; K < nc; K += X::W) {
                const V fine = F::template every<Halved>(D, K) * F::template every<Halved>(root, K);  // D^1/2
                F::put(out + K, X::load(w + K) * X::load(scale + K) * fine, nc - K);
            }
            coarse.mesh.close(out);
        }
    }

    // number i of a sequence without order in [-1/2, 1/2), as blackbox/hierarchy.py has it
    static double scattered(long i) {
        std::uint64_t z = static_cast<std::uint64_t>(i + 1) * 6364136223846793005u;
        z = (z ^ (z >> 32)) * 1442695040888963407u;
        return static_cast<double>(z >> 11) * 0x1p-53 - 0.5;
    }

    // |A v| of a member after some steps of the power method, |v| = 1
    static double power(const Operator& A, long member) {
        Arena arena;
        const Mesh& mesh = A.mesh;
        double *v = arena.take<double>(mesh.size() + BEYOND), *y = arena.take<double>(mesh.size() + BEYOND), square = 0;
        for (long r = 0; r < mesh.rows(); r++)
            for (long j = 0; j < mesh.n[2]; j++) {
                const double number = scattered(r * mesh.n[2] + j);
                v[r * mesh.stride() + LEFT + j] = number, square += number * number;
            }
        for (int step = 0; step <= POWER_STEPS && square > 0; step++) {
            const double* scale = A.scale + member * mesh.size();
            for (long r = 0; r < mesh.rows(); r++) {
                const long begin = r * mesh.stride() + LEFT;
                for (long j = begin; j < begin + mesh.n[2]; j++) y[j] = scale[j] * v[j] / std::sqrt(square);
                mesh.close(y + begin);
            }
            square = 0;
            for (long r = 0; r < mesh.rows(); r++) square += applied(A, member, y, v, r);
        }
        return std::sqrt(square);
    }

    // v = D^-1/2 A y in a row; |v|^2
    static double applied(const Operator& A, long member, const double* y, double* v, long r) {
        const Mesh& mesh = A.mesh;
        const long n = mesh.n[2], at = A.begin(member, r), begin = at - member * mesh.size();
        const double *s[26], *u[26];
        int count = 0;
        for (int h = 0; h < mesh.couplings(); h++)
            for (int sign = 1; sign >= -1; sign -= 2) {
                const int* o = OFFSETS[mesh.points][h];
                const long row = mesh.row(r, o, sign);
                if (row < 0) continue;
                const long there = row * mesh.stride() + LEFT + sign * o[2];
                s[count] = A.couplings(h, member, 0) - LEFT + (sign > 0 ? begin : there);
                u[count++] = y + there;
            }
        V square = {};
        for (long j = 0; j < n; j += X::W) {
            V sum = X::load(A.D + at + j) * X::load(y + begin + j);
            for (int k = 0; k < count; k++) sum -= X::load(s[k] + j) * X::load(u[k] + j);
            sum = X::first(sum * X::load(A.scale + at + j), n - j);
            F::put(v + begin + j, sum, n - j);
            square += sum * sum;
        }
        return X::sum(square);
    }
};

}  // namespace mgnet
