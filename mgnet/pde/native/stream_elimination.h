// The coarsest grid of an operator with convection: elimination of its unknowns in turn, in a band.
//
// An equation is sum_j s_ij (u_i - u_j) + m_i u_i = f_i. Unknown k is eliminated from those that follow,
//
//     d_k = m_k + sum_{j>k} s_kj,     l_ik = s_ik / d_k,     s_ij += l_ik s_kj,     m_i += l_ik m_k:
//
// nothing is subtracted, so that where all couplings are positive no digit is lost, however little holds u. A pivot of 0
// ends a part that nothing holds: its last unknown is 0.
//
// Source: Grassmann, Taksar & Heyman 1985, Operations Research 33, 1107.
#pragma once
#include <algorithm>
#include <cmath>

#include "simd.h"
#include "stream_mesh.h"

namespace mgnet {

// In which order a grid's unknowns are eliminated: closed axes are folded, so that their ends meet.
class BandOrder {
  public:
    explicit BandOrder(const StreamOperator& A) : mesh_(A.mesh) {
        int axes[3] = {0, 1, 2};
        do {
            const long found = band_of(A, axes);
            if (band < 0 || found < band) band = found, std::copy(axes, axes + 3, axes_);
        } while (std::next_permutation(axes, axes + 3));
        band_of(A, axes_);
    }

    long work() const { return mesh_.unknowns() * band * band; }

    // the number of an unknown
    long operator()(const long i[3]) const {
        long at = 0;
        for (int d = 0; d < 3; d++) at += step_[d] * folded(i[d], d);
        return at;
    }

    long band = -1;  // how far apart two coupled unknowns are at most

  private:
    long folded(long i, int d) const {
        if (!mesh_.wraps[d]) return i;
        const long n = mesh_.n[d];
        return i < (n + 1) / 2 ? 2 * i : 2 * (n - i) - 1;
    }

    // the band with axes[0] outermost; step_ is set
    long band_of(const StreamOperator& A, const int axes[3]) {
        step_[axes[2]] = 1, step_[axes[1]] = mesh_.n[axes[2]], step_[axes[0]] = step_[axes[1]] * mesh_.n[axes[1]];
        long widest = 1;
        for (int o = 0; o < 27; o++) {
            if (!A.s[o]) continue;
            long reach = 0;
            for (int d = 0; d < 3; d++)
                if (step_of(o, d)) reach += step_[d] * std::min(mesh_.n[d] - 1, mesh_.wraps[d] ? 2L : 1L);
            widest = std::max(widest, reach);
        }
        return widest;
    }

    const StreamMesh mesh_;
    int axes_[3] = {};
    long step_[3] = {};
};

// In doubles, whatever the numbers of u and f.
template <class X>
class StreamElimination {
    using V = typename X::V;
    static constexpr long W = X::W;
    static constexpr int TOGETHER = 4, ROWS = 4;  // pivots, and rows that they are taken from

  public:
    explicit StreamElimination(const StreamOperator& A) : mesh_(A.mesh) {
        const BandOrder order(A);
        band_ = order.band, N_ = mesh_.unknowns();
        width_ = 2 * band_ + 1 + TOGETHER + 2 * X::W;  // zeros behind a row, for pivots together
        number_.resize(N_);
        for (long r = 0, k = 0; r < mesh_.rows(); r++)
            for (long j = 0; j < mesh_.n[2]; j++, k++) {
                const long i[3] = {r / mesh_.n[1], r % mesh_.n[1], j};
                number_[k] = order(i);
            }
        factor(A);
    }

    ~StreamElimination() { spare().swap(rows_); }
    StreamElimination(const StreamElimination&) = delete;

    const StreamMesh& mesh() const { return mesh_; }
    // the smallest pivot over the diagonal, but for those of 0: what little holds a part of the unknowns together by
    double weakest() const { return weakest_; }

    // u for f, both padded rows of the mesh
    template <class T>
    void operator()(const T* f, T* u, std::vector<double>& room) const {
        const long n = mesh_.n[2];
        room.resize(N_ + 2 * band_ + 4 * W);  // zeros around what is solved for
        double* const x = room.data() + band_ + W;
        for (long r = 0, k = 0; r < mesh_.rows(); r++)
            for (long j = 0; j < n; j++, k++) x[number_[k]] = f[mesh_.begin(r) + j];
        for (long i = 0; i < N_; i++) x[i] += product(row(i), x + i - band_, band_);
        for (long i = N_ - 1; i >= 0; i--) x[i] = e_[i] * (x[i] + product(row(i) + band_ + 1, x + i + 1, band_));
        for (long r = 0, k = 0; r < mesh_.rows(); r++) {
            T* const to = u + mesh_.begin(r);
            for (long j = 0; j < n; j++, k++) to[j] = static_cast<T>(x[number_[k]]);
            if (mesh_.wraps[2]) to[-1] = to[n - 1], to[n] = to[0];
        }
    }

  private:
    // the last one's memory, for the next one: fresh memory costs a small grid as much as all of its arithmetic
    static std::vector<double>& spare() {
        thread_local std::vector<double> memory;
        if (memory.capacity() > SPARE) std::vector<double>().swap(memory);
        return memory;
    }
    static constexpr std::size_t SPARE = 1 << 20;

    static constexpr double NONE = 1e-13;  // of the diagonal: where something is subtracted, one below is round-off of 0

    // row i: l of the unknowns before, at `band_` 0, s of those behind
    const double* row(long i) const { return rows_.data() + i * width_; }

    static double product(const double* a, const double* x, long n) {
        V even = {}, odd = {};
        long j = 0;
        for (; j + 2 * W <= n; j += 2 * W)
            even += X::load(a + j) * X::load(x + j), odd += X::load(a + j + W) * X::load(x + j + W);
        double total = X::sum(even + odd);
        for (; j < n; j++) total += a[j] * x[j];
        return total;
    }

    void factor(const StreamOperator& A) {
        rows_.swap(spare()), e_.assign(N_, 0.0);
        if (static_cast<long>(rows_.size()) < N_ * width_) rows_.resize(N_ * width_);
        std::vector<double> m(N_), d(N_);
        gather(A, rows_.data(), m.data(), d.data());
        long i = 0;
        for (; i + ROWS <= N_; i += ROWS) eliminate<ROWS>(i, rows_.data(), m.data(), d.data(), e_.data());
        for (; i < N_; i++) eliminate<1>(i, rows_.data(), m.data(), d.data(), e_.data());
    }

    void gather(const StreamOperator& A, double* S, double* m, double* d) {
        int offsets[26], count = 0;
        for (int o = 0; o < 27; o++)
            if (o != CENTRE && A.s[o]) offsets[count++] = o;
        exact_ = A.m != nullptr;
        for (long r = 0, k = 0; r < mesh_.rows(); r++) {
            long rows[26];
            for (int q = 0; q < count; q++) rows[q] = mesh_.row(r, step_of(offsets[q], 0), step_of(offsets[q], 1)) * mesh_.n[2];
            for (long j = 0; j < mesh_.n[2]; j++, k++) {
                const long i = number_[k], at = mesh_.begin(r) + j;
                std::fill_n(S + i * width_, width_, 0.0);
                d[i] = A.s[CENTRE][at], m[i] = A.m ? A.m[at] : d[i];
                exact_ &= m[i] >= 0;
                for (int q = 0; q < count; q++) {
                    const double s = A.s[offsets[q]][at];
                    if (s == 0) continue;
                    if (!A.m) m[i] -= s;
                    exact_ &= s > 0;
                    const long c = mesh_.inside(j + step_of(offsets[q], 2), 2);
                    if (rows[q] < 0 || c < 0) continue;
                    const long to = number_[rows[q] + c];
                    if (to != i) S[i * width_ + to - i + band_] += s;
                }
            }
        }
    }

    // Rows i, i + 1, ..., R of them: pivots before them are loaded once for all.
    template <int R>
    void eliminate(long i, double* S, double* m, const double* diagonal, double* e) {
        double* w[R];  // w[r][j] is s of row i + r and unknown j; just before its band there are zeros
        for (int r = 0; r < R; r++) w[r] = S + (i + r) * (width_ - 1) + band_;
        long k = std::max(0L, i - band_);
        auto nothing = [&] {
            bool none = true;
            for (int r = 0; r < R; r++) none &= w[r][k] == 0;
            return none;
        };
        while (k < i && nothing()) k++;
        auto group = [&](auto count) {
            const double* s[TOGETHER];
            double l[R][TOGETHER] = {};
            for (long p = 0; p < TOGETHER; p++) s[p] = S + (k + std::min<long>(p, count - 1)) * (width_ - 1) + band_;
#pragma GCC unroll 4
            for (int p = 0; p < TOGETHER; p++) {
                if (p >= count) break;
#pragma GCC unroll 4
                for (int r = 0; r < R; r++) {
                    double v = w[r][k + p];
#pragma GCC unroll 4
                    for (int q = 0; q < p; q++) v += l[r][q] * s[q][k + p];
                    w[r][k + p] = l[r][p] = v * e[k + p];
                    m[i + r] += l[r][p] * m[k + p];
                }
            }
            for (long j = k + count; j < k + count + band_; j += X::W) {
                const V a = X::load(s[0] + j), b = X::load(s[1] + j), c = X::load(s[2] + j), d = X::load(s[3] + j);
#pragma GCC unroll 4
                for (int r = 0; r < R; r++)
                    X::store(w[r] + j, X::load(w[r] + j) + ((l[r][0] * a + l[r][1] * b) + (l[r][2] * c + l[r][3] * d)));
            }
        };
        for (; k + TOGETHER <= i; k += TOGETHER) group(std::integral_constant<int, TOGETHER>());
        if (k < i) group(static_cast<int>(i - k));
        for (int r = 0; r < R; r++) {
            for (int q = 0; q < r; q++) {
                const double l = w[r][i + q] *= e[i + q];
                m[i + r] += l * m[i + q];
                for (long j = i + q + 1; j <= i + q + band_; j += X::W) X::store(w[r] + j, X::load(w[r] + j) + l * X::load(w[q] + j));
            }
            finish(i + r, w[r], m[i + r], diagonal[i + r], e);
        }
    }

    void finish(long i, double* w, double m, double diagonal, double* e) {
        w[i] = 0;
        V sum = {};
        for (long j = i + 1; j <= i + band_; j += W) sum += X::load(w + j);
        const double d = m + X::sum(sum);
        e[i] = std::abs(d) > (exact_ ? 0.0 : NONE * std::abs(diagonal)) ? 1 / d : 0.0;
        if (d != 0) weakest_ = std::min(weakest_, std::abs(d / diagonal));
    }

    const StreamMesh mesh_;
    long N_ = 0, band_ = 0, width_ = 0;
    bool exact_ = false;  // whether nothing is subtracted
    double weakest_ = 1;
    std::vector<long> number_;
    std::vector<double> rows_, e_;
};

}  // namespace mgnet
