// Steps on the normal equations of A itself, after a cycle of levels that have more diffusion; see blackbox/normal.py,
// their twin.
//
//     u <- u + omega A^T D^-1 (f - A u),     D_i = sum_j A_ij^2,     |D^-1/2 A|_1 |D^-1/2 A|_inf >= |D^-1/2 A|_2^2
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "stream_apply.h"

namespace mgnet {

template <class X>
class StreamNormal {
    using T = typename X::T;
    static constexpr long W = X::W;

  public:
    // omegas : of each step, on a spectrum up to 2
    StreamNormal(const StreamApply<X>& A, const StreamOperator& of_A, const StreamOperator& of_T, const std::vector<double>& omegas,
                 int threads, Arena& arena)
        : mesh_(of_A.mesh), A_(A), threads_(threads), inverse_(mesh_.take<T>(arena)), T_(of_T, threads, arena) {
        std::vector<double> root(mesh_.size() + 2 * SIDE);  // D^-1/2
        double across = 0, along = 0;  // sums of |D^-1/2 A| over rows, and over columns
        each(of_A, [&](long at, double sum, double squares, const auto&) {
            root[at] = squares > 0 ? 1 / std::sqrt(squares) : 0.0;
            inverse_[at] = static_cast<T>(root[at] * root[at]), across = std::max(across, sum * root[at]);
        });
        for (long r = 0; r < mesh_.rows(); r++) mesh_.close(&root[mesh_.begin(r)]);
        each(of_T, [&](long, double, double, const auto& weighted) { along = std::max(along, weighted(root)); });
        for (double omega : omegas) omegas_.push_back(across > 0 ? static_cast<T>(2 * omega / (across * along)) : T(0));
    }

    // u for the datum f; r : a workspace; all padded rows
    void operator()(const T* f, T* u, T* r) const {
        const long n = mesh_.n[2];
        for (const T omega : omegas_) {
            share_out(mesh_.rows(), threads_, [&](long k) {
                const long at = mesh_.begin(k);
                const auto row = A_.row(k, u);
                for (long j = 0; j < n; j += W)
                    X::put(r + at + j, X::load(inverse_ + at + j) * (X::load(f + at + j) - row.at(j)), n - j);
                mesh_.close(r + at);
            });
            share_out(mesh_.rows(), threads_, [&](long k) {
                const long at = mesh_.begin(k);
                const auto row = T_.row(k, r);
                for (long j = 0; j < n; j += W) X::put(u + at + j, X::load(u + at + j) + omega * row.at(j), n - j);
                mesh_.close(u + at);
            });
        }
    }

  private:
    // what(where, sum of sizes, sum of squares, w -> sum of sizes times w of their columns) of each row of A
    template <class What>
    void each(const StreamOperator& A, const What& what) const {
        for (long r = 0; r < mesh_.rows(); r++)
            for (long j = 0; j < mesh_.n[2]; j++) {
                const long at = mesh_.begin(r) + j;
                double sizes[27], sum = 0, squares = 0;
                long columns[27];
                int count = 0;
                for (int o = 0; o < 27; o++) {
                    const long row = A.s[o] ? mesh_.row(r, step_of(o, 0), step_of(o, 1)) : -1;
                    if (row < 0) continue;
                    const double s = std::abs(A.s[o][at]);
                    sizes[count] = s, columns[count++] = mesh_.begin(row) + j + step_of(o, 2), sum += s, squares += s * s;
                }
                what(at, sum, squares, [&](const std::vector<double>& w) {
                    double total = 0;
                    for (int k = 0; k < count; k++) total += sizes[k] * w[columns[k]];
                    return total;
                });
            }
    }

    const StreamMesh mesh_;
    const StreamApply<X>& A_;
    const int threads_;
    T* const inverse_;
    const StreamApply<X> T_;
    std::vector<T> omegas_;
};

}  // namespace mgnet
