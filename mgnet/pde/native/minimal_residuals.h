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
        : mesh_(mesh), A_(A), threads_(threads), parts_(parts_of(mesh.rows(), mesh.stride())),
          r_(mesh.take<T>(arena_)), x_0_(mesh.take<T>(arena_)), sums_(parts_ * SUMS) {}
    MinimalResiduals(const MinimalResiduals&) = delete;

    double norm() const { return norm_; }

    // from x, (n0, n1, n2), or from zero
    void begin(const T* x, const T* b) {
        count_ = last_ = 0, from_zero_ = x == nullptr, off_ = slow_ = false;
        if (x) copy(x, x_0_);
        renew(b);
    }

    // cycle(f, u): u, in padded rows, for the datum f
    template <class Cycle>
    void step(const T* b, const Cycle& cycle) {
        if (off_) settle(b);
        if (count_ == MANY) restart(b);
        for (;;) {
            T *const z = direction(count_), *const w = product(count_);
            cycle(slow_ ? w_[count_ - 1] : r_, z);
            if (orthogonalise(z, w)) break;
            restart(b);
        }
        last_ = count_++;
    }
    void stay() { last_ = count_; }

    // x, (n0, n1, n2); returns ||b - A x||
    double finish(const T* b, T* x) {
        combine(count_, x, A_.room());
        double left = residual(b, A_.room(), nullptr);
        off_ = off_ || !(sums_[1] <= DRIFT * DRIFT * left);
        return norm_ = std::sqrt(left);
    }

    // the x before the last step (null: not asked for); returns ||b - A x||
    double before(const T* b, T* x) {
        combine(last_, x, A_.room());
        return std::sqrt(residual(b, A_.room(), nullptr));
    }

  private:
    T* direction(int k) { return taken(k), z_[k]; }
    T* product(int k) { return taken(k), w_[k]; }
    void taken(int k) {
        if (k < static_cast<int>(z_.size())) return;
        arena_.reserve(2 * TOGETHER * mesh_.template bytes<T>());
        for (int more = 0; more < TOGETHER; more++) z_.push_back(mesh_.template take<T>(arena_)), w_.push_back(mesh_.template take<T>(arena_));
    }

    // work(begin, end, sums) on parts of the rows; their sums are added to sums_, `count` of them
    template <class Work>
    void sweep(int count, const Work& work) {
        in_parts(mesh_.rows(), mesh_.stride(), threads_, [&](long begin, long end, long part) {
            double* const sums = &sums_[part * SUMS];
            std::fill_n(sums, count, 0.0);
            for (long r = begin; r < end; r++) work(r, sums);
        });
        for (long part = 1; part < parts_; part++)
            for (int k = 0; k < count; k++) sums_[k] += sums_[part * SUMS + k];
    }

    // sums += (row, w_i), i < count, over numbers of rows that zeros follow
    void dots(const T* row, long at, int count, double* sums) const {
        const long n = mesh_.n[2];
        int i = 0;
        for (; i + 4 <= count; i += 4) {
            V v[4] = {};
            for (long j = 0; j < n; j += W) {
                const V own = X::load(row + j);
#pragma GCC unroll 4
                for (int k = 0; k < 4; k++) v[k] += own * X::load(w_[i + k] + at + j);
            }
            for (int k = 0; k < 4; k++) sums[i + k] += X::sum(v[k]);
        }
        for (; i < count; i++) {
            V v = {};
            for (long j = 0; j < n; j += W) v += X::load(row + j) * X::load(w_[i] + at + j);
            sums[i] += X::sum(v);
        }
    }

    // sum_i y_i v_i, i < count, from number j of a row on
    struct Sum {
        const T* v[MANY];
        T y[MANY];
        int count = 0;
        void add(const T* from, double factor) { v[count] = from, y[count++] = static_cast<T>(factor); }
        V at(long j) const {
            V sum = {};
            for (int i = 0; i < count; i++) sum += y[i] * X::load(v[i] + j);
            return sum;
        }
    };

    // w and column `count_` of R for z, and the next r; false where w is no more than rounding beside the others
    bool orthogonalise(const T* z, T* w) {
        const int count = count_;
        const long n = mesh_.n[2];
        sweep(count + 2, [&](long r, double* sums) {
            const long at = mesh_.begin(r);
            const typename StreamApply<X>::Row row = A_.row(r, z);
            V own = {}, along = {};
            for (long j = 0; j < n; j += W) {
                V v = row.at(j);
                if (n - j < W) v = X::first(v, n - j);
                X::store(w + at + j, v);
                own += v * v, along += v * X::load(r_ + at + j);
            }
            dots(w + at, at, count, sums);
            sums[count] += X::sum(own), sums[count + 1] += X::sum(along);
        });
        const double whole = sums_[count];
        double left = added(count);
        if (count > 0 && left < AGAIN * whole) {
            again(w), off_ = true;
            left = added(count, false);
            if (left <= std::numeric_limits<T>::epsilon() * whole) return false;
        }
        advance(w, left > 0 ? std::sqrt(left) : 1.0);
        return true;
    }

    // h of the sums to column `count` of R; |w|^2 without them
    double added(int count, bool first = true) {
        double left = sums_[count];
        for (int i = 0; i < count; i++) {
            left -= sums_[i] * sums_[i], h_[i] = sums_[i];
            R_[i][count] = first ? h_[i] : R_[i][count] + h_[i];
        }
        along_ = sums_[count + 1];
        return left;
    }

    // w less what it has of the others, and products with what is left
    void again(T* w) {
        const int count = count_;
        const long n = mesh_.n[2];
        sweep(count + 2, [&](long r, double* sums) {
            const long at = mesh_.begin(r);
            const Sum those = of(w_, h_, count, at);
            V own = {}, along = {};
            for (long j = 0; j < n; j += W) {
                const V v = X::load(w + at + j) - those.at(j);
                X::store(w + at + j, v);
                own += v * v, along += v * X::load(r_ + at + j);
            }
            dots(w + at, at, count, sums);
            sums[count] += X::sum(own), sums[count + 1] += X::sum(along);
        });
    }

    // w <- (w - sum_i h_i w_i) / size, r <- r - alpha w
    void advance(T* w, double size) {
        const int count = count_;
        const long n = mesh_.n[2];
        alpha_[count] = along_ / size, R_[count][count] = size;
        const T inverse = static_cast<T>(1 / size), alpha = static_cast<T>(alpha_[count]);
        sweep(1, [&](long r, double* sums) {
            const long at = mesh_.begin(r);
            const Sum those = of(w_, h_, count, at);
            V squares = {};
            for (long j = 0; j < n; j += W) {
                const V v = inverse * (X::load(w + at + j) - those.at(j)), left = X::load(r_ + at + j) - alpha * v;
                X::store(w + at + j, v), X::store(r_ + at + j, left);
                squares += left * left;
            }
            sums[0] += X::sum(squares);
        });
        const double before = norm_;
        norm_ = std::sqrt(sums_[0]), slow_ = norm_ > SLOW * before;
    }

    static Sum of(const std::vector<T*>& v, const double* factors, int count, long at) {
        Sum to;
        for (int i = 0; i < count; i++) to.add(v[i] + at, factors[i]);
        return to;
    }

    // x_0 + Z y, R y = alpha, of the first `count` directions: to x, (n0, n1, n2) or null, and to padded rows
    void combine(int count, T* x, T* to) {
        double y[MANY];
        for (int i = count - 1; i >= 0; i--) {
            y[i] = alpha_[i];
            for (int k = i + 1; k < count; k++) y[i] -= R_[i][k] * y[k];
            y[i] /= R_[i][i];
        }
        const long n = mesh_.n[2];
        sweep(0, [&](long r, double*) {
            const long at = mesh_.begin(r);
            const Sum those = of(z_, y, count, at);
            for (long j = 0; j < n; j += W) {
                const V v = from_zero_ ? those.at(j) : X::load(x_0_ + at + j) + those.at(j);
                X::put(to + at + j, v, n - j);
                if (x) X::put(x + r * n + j, v, n - j);
            }
            mesh_.close(to + at);
        });
    }

    // ||b - A x||^2 of padded x, and in sums_[1] how far r is off; to `out`, unless that is null
    double residual(const T* b, const T* x, T* out) {
        const long n = mesh_.n[2];
        sweep(2, [&](long r, double* sums) {
            const long at = mesh_.begin(r);
            const typename StreamApply<X>::Row row = A_.row(r, x);
            const T* const limit = b + mesh_.unknowns();
            V squares = {}, apart = {};
            for (long j = 0; j < n; j += W) {
                V left = X::load_some(b + r * n + j, n - j, limit) - row.at(j);
                if (n - j < W) left = X::first(left, n - j);
                const V off = left - X::load(r_ + at + j);
                squares += left * left, apart += off * off;
                if (out) X::store(out + at + j, left);
            }
            sums[0] += X::sum(squares), sums[1] += X::sum(apart);
        });
        return sums_[0];
    }

    void copy(const T* from, T* to) {
        const long n = mesh_.n[2];
        sweep(0, [&](long r, double*) {
            std::copy_n(from + r * n, n, to + mesh_.begin(r)), mesh_.close(to + mesh_.begin(r));
        });
    }

    // r = b - A x_0
    void renew(const T* b) {
        const long n = mesh_.n[2];
        if (!from_zero_) {
            norm_ = std::sqrt(residual(b, x_0_, r_));
            return;
        }
        sweep(1, [&](long r, double* sums) {
            T* const to = r_ + mesh_.begin(r);
            std::copy_n(b + r * n, n, to);
            V squares = {};
            for (long j = 0; j < n; j += W) squares += X::load(to + j) * X::load(to + j);
            sums[0] += X::sum(squares);
        });
        norm_ = std::sqrt(sums_[0]);
    }

    void restart(const T* b) {
        combine(count_, nullptr, x_0_);
        count_ = 0, from_zero_ = slow_ = false;
        renew(b);
    }

    // What rounding leaves in x of long directions that nearly cancel, r does not show: x_0 = x and r are made anew, and
    // the directions take what that has of them.
    void settle(const T* b) {
        combine(count_, nullptr, x_0_);
        from_zero_ = off_ = false;
        renew(b);
        const int count = count_;
        const long n = mesh_.n[2];
        sweep(count, [&](long r, double* sums) { dots(r_ + mesh_.begin(r), mesh_.begin(r), count, sums); });
        for (int i = 0; i < count; i++) h_[i] = alpha_[i] = sums_[i];
        sweep(0, [&](long r, double*) {
            const long at = mesh_.begin(r);
            const Sum those = of(w_, h_, count, at);
            for (long j = 0; j < n; j += W) X::store(r_ + at + j, X::load(r_ + at + j) - those.at(j));
        });
    }

    Arena arena_;
    const StreamMesh mesh_;
    const StreamApply<X>& A_;
    const int threads_;
    const long parts_;
    T *const r_, *const x_0_;
    std::vector<T*> z_, w_;
    std::vector<double> sums_;
    int count_ = 0, last_ = 0;  // directions, now and before the last step
    bool from_zero_ = true, off_ = false, slow_ = false;  // whether x_0 = 0, r may be off, and it hardly fell
    double norm_ = 0, along_ = 0;
    double h_[MANY] = {}, alpha_[MANY] = {}, R_[MANY][MANY] = {};
};

}  // namespace mgnet
