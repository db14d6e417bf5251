#include "conductances.h"

#include <atomic>
#include <cmath>
#include <limits>

#include "parts.h"
#include "simd.h"

namespace mgnet {
namespace {

struct Here {};

// k on a row of faces between two rows of a; whether all is well
template <class X>
bool faces(typename X::T* k, const typename X::T* left, const typename X::T* right, long n, EndFace face,
           const FaceRule& rule) {
    using T = typename X::T;
    using V = typename X::V;
    using M = typename X::M;
    const T h = static_cast<T>(rule.h), h2 = static_cast<T>(rule.h2), alpha = static_cast<T>(face.alpha);
    const T least = static_cast<T>(rule.least);
    const T most = static_cast<T>(std::fmin(rule.most, std::numeric_limits<T>::max()));
    M bad = {};
    for (long i = 0; i < n; i += X::W) {
        const long count = n - i;
        const V l = X::load_some(left + i, count, left + n), r = X::load_some(right + i, count, right + n);
        const V mean = l * (2 * r / (l + r)), half = 2 * mean / h;  // no product of two values, which might overflow
        const V to = face.kind == WHOLE     ? mean / h2
                     : face.kind == HALF    ? half / h
                     : face.kind == THROUGH ? alpha * half / (alpha + half) / h
                                            : X::splat(static_cast<T>(face.alpha / rule.h));
        count >= X::W ? X::store(k + i, to) : X::store_some(k + i, to, count);
        const M good = (l > V{}) & (r > V{}) & (mean > V{}) & (mean >= X::splat(least)) & (mean <= X::splat(most));
        bad |= ~good & X::below(count);
    }
    for (int lane = 0; lane < X::W; lane++)
        if (bad[lane]) return false;
    return true;
}

using X = Vectors<double, 16, Here>;

// The rows of |A||u| + |b| (`Sizes`), or of A u, one after the other, for one worker.
template <bool Sizes>
class ProductRows {
    using V = X::V;

  public:
    ProductRows(const Conductances& A, const Field& u) : A_(A), u_(u), n_(A.mesh.n[2]), faces_(A), room_(3 * (n_ + 2)) {}

    // adds to out
    void operator()(long member, long i, long j, double* out) {
        double* here = room(0) + 1;
        const double *share = A_.share[2].data(), w = A_.share[0][i] * A_.share[1][j];
        load(u_, member, i, j, here);
        const bool wraps = A_.mesh.wraps[2];
        here[-1] = wraps ? here[n_ - 1] : 0, here[n_] = wraps ? here[0] : 0;
        if (A_.c.v) {
            const double* c = faces_.c(member, i, j);
            each<X>(out, n_, [&](auto row) { return row(out) + row(c) * (X::splat(w) * row(share)) * row(here); });
        }
        for (int d = 0; d < 2; d++)
            if (A_.k[d].v) across(d, member, i, j, here, out);
        const double* k = faces_.k(2, member, i, j, 4);
        each<X>(out, n_, [&](auto row) {
            const V low = row(k) * apart(row(here), row(here - 1)), high = row(k + 1) * apart(row(here), row(here + 1));
            return row(out) + X::splat(w) * (low + high);
        });
    }

    // a row of u or b, or its sizes
    void load(const Field& of, long member, long i, long j, double* out) {
        const double* v = of.row(member, i, j, n_, room(2));
        each<X>(out, n_, [&](auto row) { return Sizes ? X::where(row(v) < V{}, -row(v), row(v)) : row(v); });
    }

  private:
    double* room(int number) { return room_.data() + number * (n_ + 2); }
    static V apart(V here, V beyond) { return Sizes ? here + beyond : here - beyond; }

    // The faces before and after a row; beyond an end is nothing.
    void across(int d, long member, long i, long j, const double* here, double* out) {
        const double* share = A_.share[2].data();
        for (int side = 0; side < 2; side++) {
            long at[2] = {i, j}, face[2] = {i, j};
            at[d] += 2 * side - 1, face[d] += side;
            const bool there = A_.mesh.wraps[d] || (at[d] >= 0 && at[d] < A_.mesh.n[d]);
            at[d] = (at[d] + A_.mesh.n[d]) % A_.mesh.n[d];
            double* beyond = room(1);
            if (there) load(u_, member, at[0], at[1], beyond);
            const double* k = faces_.k(d, member, face[0], face[1], side);
            const V w = X::splat(A_.share[1 - d][d == 0 ? j : i]);
            each<X>(out, n_, [&](auto row) {
                return row(out) + w * row(share) * row(k) * (there ? apart(row(here), row(beyond)) : row(here));
            });
        }
    }

    const Conductances& A_;
    const Field& u_;
    const long n_;
    OperatorRows<X> faces_;
    std::vector<double> room_;
};

}  // namespace

void magnitudes(const Conductances& A, const Field& u, const Field& b, long members, double* squares, int threads) {
    const long rows = A.mesh.rows(), n = A.mesh.n[2];
    std::vector<double> each(members * rows);
    in_parts(members * rows, 4 * n, threads, [&](long begin, long end, long) {
        ProductRows<true> of(A, u);
        std::vector<double> out(n + 2);
        for (long r = begin; r < end; r++) {
            const long member = r / rows, i = r % rows / A.mesh.n[1], j = r % rows % A.mesh.n[1];
            of.load(b, member, i, j, out.data()), of(member, i, j, out.data());
            each[r] = sum<X>(n, [&](auto row) { return row(out.data()) * row(out.data()); });
        }
    });
    for (long m = 0; m < members; m++) {
        squares[m] = 0;
        for (long r = m * rows; r < (m + 1) * rows; r++) squares[m] += each[r];
    }
}

void apply(const Conductances& A, const Field& u, long members, double* out, int threads) {
    const long rows = A.mesh.rows(), n = A.mesh.n[2];
    in_parts(members * rows, 4 * n, threads, [&](long begin, long end, long) {
        ProductRows<false> of(A, u);
        for (long r = begin; r < end; r++) {
            double* to = out + r * n;
            for (long k = 0; k < n; k++) to[k] = 0;
            of(r / rows, r % rows / A.mesh.n[1], r % rows % A.mesh.n[1], to);
        }
    });
}

template <class T>
bool conductances(const T* a, bool on_faces, T* k, long pre, long n, long post, const FaceRule& rule, int threads) {
    using Y = Vectors<T, 16, Here>;
    const bool rows = post == 1;  // whose faces lie along them
    const long count = rows ? 1 : n + 1, size = rows ? n + 1 : post, given = n + on_faces;
    const EndFace inner{WHOLE, 0}, *ends = rule.ends;
    std::atomic<bool> good{true};
    in_parts(pre * count, size, threads, [&](long begin, long end, long) {
        bool all = true;
        for (long r = begin; r < end; r++) {
            const T *v = a + r / count * given * post, *top = v + (given - 1) * post;
            const T *low = rule.wraps ? top : v, *high = rule.wraps ? v : top;
            if (on_faces) low = v, high = top;
            T* to = k + r * size;
            if (rows) {
                const T* left = on_faces ? v + 1 : v;
                all &= faces<Y>(to, low, v, 1, ends[0], rule) & faces<Y>(to + 1, left, v + 1, n - 1, inner, rule) &
                       faces<Y>(to + n, top, high, 1, ends[1], rule);
            } else {
                const long f = r % count;
                const T *left = on_faces ? v + f * post : f == 0 ? low : v + (f - 1) * post;
                const T *right = on_faces ? left : f == n ? high : v + f * post;
                all &= faces<Y>(to, left, right, post, f == 0 ? ends[0] : f == n ? ends[1] : inner, rule);
            }
        }
        if (!all) good = false;
    });
    return good;
}

template bool conductances(const float*, bool, float*, long, long, long, const FaceRule&, int);
template bool conductances(const double*, bool, double*, long, long, long, const FaceRule&, int);

}  // namespace mgnet
