// The dense inverse of a coarsest grid's operator in unit form, by Cholesky's factors M = L L^T.
#pragma once
#include <cmath>

#include "operators.h"

namespace mgnet {

constexpr double FIRM = 1e-6;  // of the largest pivot: no smaller one, and M is regular

template <class X>
struct DenseInverse {
    using V = typename X::V;
    static constexpr long W = X::W;

    // M (N, N), zeros before: the unit form of a member
    static void assemble(const Operator& A, long member, double* M) {
        const Mesh& mesh = A.mesh;
        const long n2 = mesh.n[2], N = mesh.unknowns();
        for (long p = 0; p < N; p++) M[p * N + p] = 1;
        for (int h = 0; h < mesh.couplings(); h++)
            for (long p = 0; p < N; p++) {
                const int* o = OFFSETS[mesh.points][h];
                const long r = p / n2, x = p % n2, row = mesh.row(r, o);
                const long y = mesh.inside(x + o[2], 2);
                if (row < 0 || y < 0) continue;
                const long here = A.begin(member, r) + x, there = A.begin(member, row) + y, q = row * n2 + y;
                const double s = A.couplings(h, member, r)[x] * A.scale[here] * A.scale[there];
                M[p * N + q] -= s, M[q * N + p] -= s;
            }
    }

    // out = M^-1, both (N, N); false if M is too nearly singular for that
    static bool invert(const double* M, double* out, long N) {
        Arena arena;
        const long stride = (N + W - 1) / W * W;
        double *L = arena.take<double>(N * stride + BEYOND), *Y = arena.take<double>(N * stride + BEYOND);
        std::vector<long> low(N);
        if (!factor(M, N, stride, L, low)) return false;
        substitute(L, N, stride, low, Y);
        for (long i = 0; i < N; i++)
            for (long j = 0; j < N; j++) out[i * N + j] = Y[i * stride + j];
        return true;
    }

  private:
    // Row i of L begins at its first entry that is not 0, which is M's.
    static bool factor(const double* M, long N, long stride, double* L, std::vector<long>& low) {
        double least = INFINITY, most = 0;
        std::vector<double> inverse(N);  // 1 / L_ii
        for (long i = 0; i < N; i++) {
            double* row = L + i * stride;
            long& begin = low[i];
            while (begin < i && M[i * N + begin] == 0) begin++;
            for (long j = begin; j <= i; j++) {
                const long from = std::max(begin, low[j]) / W * W;
                V sum = {};
                for (long k = from; k < j; k += W) sum += X::load(row + k) * X::load(L + j * stride + k);
                const double rest = M[i * N + j] - X::sum(sum);
                row[j] = j < i ? rest * inverse[j] : rest;
            }
            const double pivot = row[i];
            if (!(pivot > 0)) return false;
            least = std::fmin(least, pivot), most = std::fmax(most, pivot);
            row[i] = std::sqrt(pivot), inverse[i] = 1 / row[i];
        }
        return least > FIRM * most;
    }

    // Y = L^-T L^-1: all columns at once, a row of Y after the other
    static void substitute(const double* L, long N, long stride, const std::vector<long>& low, double* Y) {
        for (long i = 0; i < N; i++) {
            double* y = Y + i * stride;
            y[i] = 1;
            for (long k = low[i]; k < i; k++) subtract(y, L[i * stride + k], Y + k * stride, k + 1);
            scale(y, 1 / L[i * stride + i], i + 1);
        }
        for (long i = N - 1; i >= 0; i--) {
            double* y = Y + i * stride;
            scale(y, 1 / L[i * stride + i], N);
            for (long k = low[i]; k < i; k++) subtract(Y + k * stride, L[i * stride + k], y, N);
        }
    }

    static void subtract(double* y, double factor, const double* x, long n) {
        for (long k = 0; k < n; k += W) X::store(y + k, X::load(y + k) - factor * X::load(x + k));
    }
    static void scale(double* y, double by, long n) {
        for (long k = 0; k < n; k += W) X::store(y + k, X::load(y + k) * by);
    }
};

}  // namespace mgnet
