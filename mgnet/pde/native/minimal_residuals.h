// Steps of minimal residuals for one right-hand side; see outer/krylov.py, their readable twin.
//
//     w = A z, z = M r;     h_i = (w, w_i),  w <- (w - sum_i h_i w_i) / |...|;     r <- r - alpha w,  alpha = (r, w)
//     A Z = W R,  x = x_0 + Z R^-1 alpha
//
// A step is a cycle and two passes over memory: products with all directions come with A z, and as r is orthogonal to
// those, |w|, alpha and the next r with their subtraction. x is made when it is asked for; then its residual is computed
// anew. Inner products are summed in parts that are the same on any number of threads.
//
// Source: Eisenstat, Elman & Schultz 1983; Jiranek, Rozloznik & Gutknecht 2008, SIAM J. Matrix Anal. Appl. 30, 1483
// (residuals as the basis); Daniel, Gragg, Kaufman & Stewart 1976 (when to orthogonalise again).
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "parts.h"
#include "stream_apply.h"

namespace mgnet {

template <class X>
class MinimalResiduals {
    using T = typename X::T;
    using V = typename X::V;
    static constexpr long W = X::W;
    static constexpr int MANY = 40, TOGETHER = 4;  // directions that are kept; so many are allocated at once
    static constexpr double AGAIN = 0.1;           // of |w|^2 that is left: less is orthogonalised again
    static constexpr double DRIFT = 1e-2;          // of ||b - A x||, that r may be off
    static constexpr double SLOW = 0.9;            // of a residual: where more is left, directions go on from the last w
    static constexpr int SUMS = MANY + 2;

  public:
    MinimalResiduals(const StreamMesh& mesh, const StreamApply<X>& A, int threads)
        : mesh_(mesh), n_(mesh.n[2]), A_(A), threads_(threads), parts_(parts_of(mesh.rows(), mesh.stride())),
          r_(mesh.take<T>(arena_)), x_0_(mesh.take<T>(arena_)), sums_(parts_ * SUMS) {}
    MinimalResiduals(const MinimalResiduals&) = delete;

    double norm() const { return norm_; }

    // from x, (n0, n1, n2), or from zero
    void begin(const T* x, const T* b) {
        count_ = last_ = 0, from_zero_ = x == nullptr, off_ = slow_ = false;
        if (x) A_.pad(x, x_0_);
        renew(b);
    }

    // cycle(f, u): u, in padded rows, for the datum f
    template <class Cycle>
    void step(const T* b, const Cycle& cycle) {
        if (off_) settle(b);
        if (count_ == MANY) restart(b);
        for (;; restart(b)) {
            take_directions();
            T *const z = z_[count_], *const w = w_[count_];
            cycle(slow_ ? w_[count_ - 1] : r_, z);
            if (orthogonalise(z, w)) break;
        }
        last_ = count_++;
    }
    void stay() { last_ = count_; }

    // x, (n0, n1, n2), and in padded rows; returns ||b - A x||
    double finish(const T* b, T* x, T* padded) {
        norm_ = residual(count_, b, x, padded);
        off_ = off_ || !(sums_[1] <= DRIFT * DRIFT * sums_[0]);
        return norm_;
    }

    // the x before the last step (null: not asked for); returns ||b - A x||
    double before(const T* b, T* x, T* padded) { return residual(last_, b, x, padded); }

  private:
    void take_directions() {
        if (count_ < static_cast<int>(z_.size())) return;
        arena_.reserve(2 * TOGETHER * mesh_.template bytes<T>());
        for (int more = 0; more < TOGETHER; more++)
            for (auto* of : {&z_, &w_}) of->push_back(mesh_.template take<T>(arena_));
    }

    // w and column `count_` of R for z, and the next r; false where w is no more than rounding beside the others
    bool orthogonalise(const T* z, T* w) {
        for (int i = 0; i < count_; i++) R_[i][count_] = 0;
        project(w, [&](long r, long) { return A_.row(r, z); });
        const double whole = sums_[count_];
        double left = subtracted();
        if (count_ > 0 && left < AGAIN * whole) {
            project(w, [&](long, long at) { return Sum(w + at, -1, h_, w_, count_, at); });
            left = subtracted(), off_ = true;
            if (left <= std::numeric_limits<T>::epsilon() * whole) return false;
        }
        advance(w, left > 0 ? std::sqrt(left) : 1.0);
        return true;
    }

    // w <- of(r, at).at(j) at numbers j of row r; its products with w_0, w_1, ..., with itself and with r
    template <class Of>
    void project(T* w, const Of& of) {
        sweep(count_ + 2, [&](long r, long at, double* sums) {
            const auto row = of(r, at);
            V own = {}, along = {};
            for (long j = 0; j < n_; j += W) {
                const V v = X::within(row.at(j), n_ - j);
                X::store(w + at + j, v);
                own += v * v, along += v * X::load(r_ + at + j);
            }
            dots(w, at, sums);
            sums[count_] += X::sum(own), sums[count_ + 1] += X::sum(along);
        });
    }

    // h_i = (w, w_i), which column `count_` of R gains; |w|^2 without them
    double subtracted() {
        double left = sums_[count_];
        for (int i = 0; i < count_; i++) h_[i] = sums_[i], R_[i][count_] += h_[i], left -= h_[i] * h_[i];
        return left;
    }

    // w <- (w - sum_i h_i w_i) / size, r <- r - alpha w
    void advance(T* w, double size) {
        alpha_[count_] = sums_[count_ + 1] / size, R_[count_][count_] = size;
        const T inverse = static_cast<T>(1 / size), alpha = static_cast<T>(alpha_[count_]);
        sweep(1, [&](long, long at, double* sums) {
            const Sum rest(w + at, -1, h_, w_, count_, at);
            V squares = {};
            for (long j = 0; j < n_; j += W) {
                const V v = inverse * rest.at(j), left = X::load(r_ + at + j) - alpha * v;
                X::store(w + at + j, v), X::store(r_ + at + j, left);
                squares += left * left;
            }
            sums[0] += X::sum(squares);
        });
        const double before = norm_;
        norm_ = std::sqrt(sums_[0]), slow_ = norm_ > SLOW * before;
    }

    // ||b - A x|| of x, (n0, n1, n2) or null and padded, by the first `count` directions; in sums_ its square, and how far r is off
    double residual(int count, const T* b, T* x, T* padded) {
        combine(count, x, padded);
        return residual(b, padded, nullptr);
    }

    // x_0 + Z y, R y = alpha, of the first `count` directions: to x, (n0, n1, n2) or null, and to padded rows
    void combine(int count, T* x, T* to) {
        double y[MANY];
        for (int i = count - 1; i >= 0; i--) {
            y[i] = alpha_[i];
            for (int k = i + 1; k < count; k++) y[i] -= R_[i][k] * y[k];
            y[i] /= R_[i][i];
        }
        sweep(0, [&](long r, long at, double*) {
            const Sum sum(from_zero_ ? nullptr : x_0_ + at, 1, y, z_, count, at);
            for (long j = 0; j < n_; j += W) {
                const V v = sum.at(j);
                X::put(to + at + j, v, n_ - j);
                if (x) X::put(x + r * n_ + j, v, n_ - j);
            }
            mesh_.close(to + at);
        });
    }

    // the same of padded x; the residual itself to `out`, unless that is null
    double residual(const T* b, const T* x, T* out) {
        const T* const limit = b + mesh_.unknowns();
        sweep(2, [&](long r, long at, double* sums) {
            const auto row = A_.row(r, x);
            V squares = {}, apart = {};
            for (long j = 0; j < n_; j += W) {
                const V left = X::within(X::load_some(b + r * n_ + j, n_ - j, limit) - row.at(j), n_ - j);
                const V off = left - X::load(r_ + at + j);
                squares += left * left, apart += off * off;
                if (out) X::store(out + at + j, left);
            }
            sums[0] += X::sum(squares), sums[1] += X::sum(apart);
        });
        return std::sqrt(sums_[0]);
    }

    // r = b - A x_0
    void renew(const T* b) {
        if (!from_zero_) return void(norm_ = residual(b, x_0_, r_));
        sweep(1, [&](long r, long at, double* sums) {
            std::copy_n(b + r * n_, n_, r_ + at);
            V squares = {};
            for (long j = 0; j < n_; j += W) squares += X::load(r_ + at + j) * X::load(r_ + at + j);
            sums[0] += X::sum(squares);
        });
        norm_ = std::sqrt(sums_[0]);
    }

    // x_0 = x, from which directions begin anew
    void restart(const T* b) {
        rebase(b);
        count_ = 0, slow_ = false;
    }
    void rebase(const T* b) {
        combine(count_, nullptr, x_0_);
        from_zero_ = false;
        renew(b);
    }

    // What rounding leaves in x of long directions that nearly cancel, r does not show: x_0 = x and r are made anew, and
    // the directions take what that has of them.
    void settle(const T* b) {
        rebase(b);
        off_ = false;
        sweep(count_, [&](long, long at, double* sums) { dots(r_, at, sums); });
        std::copy_n(sums_.begin(), count_, alpha_);
        sweep(0, [&](long, long at, double*) {
            const Sum rest(r_ + at, -1, alpha_, w_, count_, at);
            for (long j = 0; j < n_; j += W) X::store(r_ + at + j, rest.at(j));
        });
    }

    // base + sign sum_i y_i v_i, i < count, in the row that begins at `at`; without a base, 0 is
    struct Sum {
        const T *base, *v[MANY];
        T y[MANY];
        const int count;
        Sum(const T* from, int sign, const double* factors, const std::vector<T*>& fields, int many, long at)
            : base(from), count(many) {
            for (int i = 0; i < count; i++) v[i] = fields[i] + at, y[i] = static_cast<T>(sign * factors[i]);
        }
        V at(long j) const {
            V sum = {};
            for (int i = 0; i < count; i++) sum += y[i] * X::load(v[i] + j);
            return base ? X::load(base + j) + sum : sum;
        }
    };

    // sums_i += (v, w_i) in the row that begins at `at`; zeros follow its numbers
    void dots(const T* v, long at, double* sums) const {
        int i = 0;
        for (; i + 4 <= count_; i += 4) dots<4>(v + at, at, i, sums);
        for (; i < count_; i++) dots<1>(v + at, at, i, sums);
    }
    template <int K>
    void dots(const T* row, long at, int first, double* sums) const {
        V total[K] = {};
        for (long j = 0; j < n_; j += W) {
            const V own = X::load(row + j);
#pragma GCC unroll 4
            for (int k = 0; k < K; k++) total[k] += own * X::load(w_[first + k] + at + j);
        }
        for (int k = 0; k < K; k++) sums[first + k] += X::sum(total[k]);
    }

    // work(r, at, sums) for each row r, which begins at `at`; sums of all rows, `count` of them, are left in sums_
    template <class Work>
    void sweep(int count, const Work& work) {
        in_parts(mesh_.rows(), mesh_.stride(), threads_, [&](long begin, long end, long part) {
            double* const sums = &sums_[part * SUMS];
            std::fill_n(sums, count, 0.0);
            for (long r = begin; r < end; r++) work(r, mesh_.begin(r), sums);
        });
        for (long part = 1; part < parts_; part++)
            for (int k = 0; k < count; k++) sums_[k] += sums_[part * SUMS + k];
    }

    Arena arena_;
    const StreamMesh mesh_;
    const long n_;
    const StreamApply<X>& A_;
    const int threads_;
    const long parts_;
    T *const r_, *const x_0_;
    std::vector<T*> z_, w_;
    std::vector<double> sums_;
    int count_ = 0, last_ = 0;  // directions, now and before the last step
    bool from_zero_ = true, off_ = false, slow_ = false;  // whether x_0 = 0, r may be off, and it hardly fell
    double norm_ = 0;
    double h_[MANY] = {}, alpha_[MANY] = {}, R_[MANY][MANY] = {};
};

}  // namespace mgnet
