// Lines along axis 0 of planes of unknowns, each eliminated without subtraction:
//
//     q_i = 1 / (m'_i + s_i),   m'_i = m_i + s_{i-1} q_{i-1} m'_{i-1}
//     u_i <- q_i (f_i + s_{i-1} u_{i-1}),   u_i <- u_i + q_i s_i u_{i+1}
//
// A line that nothing holds has m' = 0: its last unknown is fixed at 0.
#pragma once
#include <vector>

#include "arena.h"
#include "simd.h"

namespace mgnet {

template <class X>
class Elimination {
    using T = typename X::T;
    using V = typename X::V;
    static constexpr long W = X::W;

  public:
    // m (planes, rows, columns), s (planes - 1,); rows of `wide` numbers are what is solved for
    Elimination(const double* m, const double* s, long planes, long rows, long columns, long wide, Arena& arena)
        : planes_(planes), size_(rows * wide), s_(arena.take<T>(planes)), q_(arena.take<T>(planes * rows * wide)) {
        for (long i = 0; i + 1 < planes; i++) s_[i] = static_cast<T>(s[i]);
        std::vector<double> rest(rows * columns);
        for (long i = 0; i < planes; i++)
            for (long j = 0; j < rows; j++)
                for (long k = 0; k < columns; k++, m++) {
                    double& own = rest[j * columns + k];
                    own += *m;
                    const double pivot = own + s_[i], q = pivot > 0 ? 1 / pivot : 0;
                    q_[i * size_ + j * wide + k] = q, own *= s_[i] * q;
                }
    }

    long size() const { return size_; }  // of a plane

    // lines [from, to) of the planes of f and u, which may be one
    void solve(const T* f, T* u, long from, long to) const {
        for (long i = 0; i < planes_; i++) {
            const long at = i * size_;
            const T s = i > 0 ? s_[i - 1] : 0, *before = i > 0 ? u - size_ : f;
            along(from, to, u + at, [&](auto load) { return load(q_ + at) * (load(f + at) + s * load(before + at)); });
        }
        for (long i = planes_ - 2; i >= 0; i--) {
            const long at = i * size_;
            const T s = s_[i], *after = u + size_;
            along(from, to, u + at, [&](auto load) { return load(u + at) + s * load(q_ + at) * load(after + at); });
        }
    }

  private:
    template <class Of>
    static void along(long from, long to, T* out, const Of& of) {
        long k = from;
        for (; k + W <= to; k += W) X::store(out + k, of([k](const T* p) { return X::load(p + k); }));
        for (; k < to; k++) out[k] = of([k](const T* p) { return p[k]; });
    }

    long planes_, size_;
    T *s_, *q_;
};

}  // namespace mgnet
