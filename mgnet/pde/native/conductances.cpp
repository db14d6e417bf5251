#include "conductances.h"

#include <atomic>
#include <cmath>
#include <limits>

#include "parts.h"
#include "simd.h"

namespace mgnet {
namespace {

struct Here {};
constexpr double INF = std::numeric_limits<double>::infinity();

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

// The smallest and the largest number, and the smallest that is positive.
struct Extremes {
    double smallest = INF, positive = INF, largest = 0;

    void add(const Extremes& other) {
        smallest = std::fmin(smallest, other.smallest), positive = std::fmin(positive, other.positive);
        largest = std::fmax(largest, other.largest);
    }
    double spread() const { return std::fmax(1.0, largest / positive); }
    bool any() const { return smallest < INF; }
};

using X = Vectors<double, 16, Here>;

// over of(i), i + 1, ... for i < n, numbers >= 0
template <class Of>
void extremes(Extremes& to, long n, const Of& of) {
    using V = X::V;
    using M = X::M;
    V smallest = X::splat(INF), positive = X::splat(INF), largest = {};
    auto see = [&](V v, M here) {
        const V low = X::where(here, v, X::splat(INF));
        smallest = X::where(reinterpret_cast<M>(low < smallest), low, smallest);
        positive = X::where(reinterpret_cast<M>(low < positive) & reinterpret_cast<M>(low > V{}), low, positive);
        const V high = X::where(here, v, V{});
        largest = X::where(reinterpret_cast<M>(high > largest), high, largest);
    };
    for (long i = 0; i < n; i += X::W) {
        const long left = n - i;
        see(of([i, left](const double* row) { return X::load_some(row + i, left, row + i + left); }), X::below(left));
    }
    for (long lane = 0; lane < X::W; lane++) to.add({smallest[lane], positive[lane], largest[lane]});
}

// What a row of unknowns tells: sums of the diagonal and the excess, and per axis of the faces before them.
struct RowSums {
    double diagonal = 0, excess = 0, faces[3] = {};
};

class Surveyor {
  public:
    Surveyor(const Conductances& A, int threads) : A_(A), threads_(threads), rows_(A.mesh.rows()) {}

    Survey operator()(double varies) {
        Survey to;
        std::vector<RowSums> sums(A_.members * rows_);
        in_rows([&](OperatorRows<X>& rows, long begin, long end, Seen& seen) { look(rows, begin, end, sums, seen); });
        for (int d = 0; d < 3; d++) to.contrast = std::fmax(to.contrast, seen_.each[d].spread());
        to.lone = seen_.lone;
        hold(sums, to);
        const Seen first = seen_;
        for (int d = 0; d < 3; d++)
            for (int e = d + 1; e < 3; e++)
                if (first.each[d].any() && first.each[e].any() &&
                    first.each[d].spread() * first.each[e].spread() > varies)
                    to.variation = std::fmax(to.variation, ratios(d, e));
        return to;
    }

  private:
    struct Seen {
        Extremes each[3];
        bool lone = false;
    };

    // body(rows, begin, end, seen) for parts of all rows of all members; what they have seen is put together
    template <class Body>
    void in_rows(const Body& body) {
        const long count = A_.members * rows_, size = 4 * A_.mesh.n[2];
        std::vector<Seen> seen(parts_of(count, size));
        in_parts(count, size, threads_, [&](long begin, long end, long part) {
            OperatorRows<X> rows(A_);
            body(rows, begin, end, seen[part]);
        });
        seen_ = Seen();
        for (const Seen& part : seen) {
            for (int d = 0; d < 3; d++) seen_.each[d].add(part.each[d]);
            seen_.lone |= part.lone;
        }
    }

    void look(OperatorRows<X>& rows, long begin, long end, std::vector<RowSums>& sums, Seen& seen) const {
        const long n = A_.mesh.n[2];
        std::vector<double> room(3 * n);
        const OperatorRow own{room.data(), room.data() + n, room.data() + 2 * n, {}};
        for (long at = begin; at < end; at++) {
            const long member = at / rows_, i = at % rows_ / A_.mesh.n[1], j = at % rows_ % A_.mesh.n[1];
            rows.make(member, i, j, own);
            const double *c = A_.c.v ? rows.c(member, i, j) : nullptr, *share = A_.share[2].data();
            const X::V w = X::splat(A_.share[0][i] * A_.share[1][j]), none = {};
            auto held = [&](auto row, X::V v) {  // v where more than c holds u
                const X::V of_c = c ? row(c) * (w * row(share)) : none;
                return X::where(reinterpret_cast<X::M>(row(own.diagonal) > of_c), v, none);
            };
            RowSums& to = sums[at];
            to.diagonal = sum<X>(n, [&](auto row) { return held(row, row(own.diagonal)); });
            to.excess = sum<X>(n, [&](auto row) { return held(row, row(own.excess)); });
            bool lone = false;
            for (long l = 0; l < n; l++) lone |= own.near[l] == 0;
            seen.lone |= lone;
            faces(rows, member, i, j, to, seen);
        }
    }

    void faces(OperatorRows<X>& rows, long member, long i, long j, RowSums& to, Seen& seen) const {
        const long n = A_.mesh.n[2], at[3] = {i, j, 0};
        for (int d = 0; d < 3; d++) {
            if (!A_.k[d].v) continue;
            const double *k = rows.k(d, member, i, j, 0), *share = A_.share[2].data();
            const double w = (d == 0 ? 1.0 : A_.share[0][i]) * (d == 1 ? 1.0 : A_.share[1][j]);
            to.faces[d] = w * sum<X>(n, [&](auto row) { return d == 2 ? row(k) : row(k) * row(share); });
            if (d < 2 && at[d] == 0) continue;  // an end
            const double* inner = d == 2 ? k + 1 : k;
            extremes(seen.each[d], d == 2 ? n - 1 : n, [&](auto row) { return row(inner); });
        }
    }

    // The energy of a constant, and of half a wave along the axis where it has least of it, over that of the diagonal.
    void hold(const std::vector<RowSums>& sums, Survey& to) const {
        const double pi = std::acos(-1.0);
        for (long member = 0; member < A_.members; member++) {
            RowSums all;
            for (long r = member * rows_; r < (member + 1) * rows_; r++) {
                all.diagonal += sums[r].diagonal, all.excess += sums[r].excess;
                for (int d = 0; d < 3; d++) all.faces[d] += sums[r].faces[d];
            }
            double least = INF;
            for (int d = 0; d < 3; d++)
                if (A_.k[d].v) least = std::fmin(least, all.faces[d] * (pi / A_.mesh.n[d]) * (pi / A_.mesh.n[d]));
            to.constant.push_back(all.excess / all.diagonal), to.wave.push_back(least / all.diagonal);
        }
    }

    // The spread of k_d / k_e at neighbouring inner faces, of those that are positive.
    double ratios(int d, int e) {
        const long* n = A_.mesh.n;
        in_rows([&](OperatorRows<X>& rows, long begin, long end, Seen& seen) {
            for (long at = begin; at < end; at++) {
                const long member = at / rows_, i = at % rows_ / n[1], j = at % rows_ % n[1];
                if ((d == 0 && i == n[0] - 1) || ((d == 1 || e == 1) && j == n[1] - 1)) continue;
                const double* one = rows.k(d, member, i + (d == 0), j + (d == 1), 0);
                const double* other = rows.k(e, member, i, j + (e == 1), 4) + (e == 2);
                extremes(seen.each[0], n[2] - (e == 2), [&](auto row) {
                    const X::V a = row(one), b = row(other);
                    const X::M both = reinterpret_cast<X::M>(a > X::V{}) & reinterpret_cast<X::M>(b > X::V{});
                    return X::where(both, a / X::where(both, b, X::splat(1)), X::V{});
                });
            }
        });
        return seen_.each[0].spread();
    }

    const Conductances& A_;
    const int threads_;
    const long rows_;
    Seen seen_;
};

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

Survey survey(const Conductances& A, double varies, int threads) { return Surveyor(A, threads)(varies); }

}  // namespace mgnet
