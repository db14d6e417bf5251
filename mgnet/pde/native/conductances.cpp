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

using X = Vectors<double, 16, Here>;

// The largest number, the smallest that is positive, and whether there is any.
struct Extremes {
    double positive = INF, largest = 0;
    bool any = false;

    void add(const Extremes& other) {
        positive = std::fmin(positive, other.positive), largest = std::fmax(largest, other.largest);
        any |= other.any;
    }
    double spread() const { return std::fmax(1.0, largest / positive); }
};

// Those of vectors, in their lanes.
struct Seer {
    X::V positive = X::splat(INF), largest = {};
    bool any = false;

    // numbers >= 0; what is 0 tells nothing
    void see(X::V v) {
        const X::V low = X::where(reinterpret_cast<X::M>(v > X::V{}), v, X::splat(INF));
        positive = X::where(reinterpret_cast<X::M>(low < positive), low, positive);
        largest = X::where(reinterpret_cast<X::M>(v > largest), v, largest);
    }
    Extremes extremes() const {
        Extremes to;
        to.any = any;
        for (long lane = 0; lane < X::W; lane++)
            to.positive = std::fmin(to.positive, positive[lane]), to.largest = std::fmax(to.largest, largest[lane]);
        return to;
    }
};

// body(row, left) for i = 0, W, ... < n: `row` loads numbers i, i + 1, ... of a row, zeros beyond its `left` last ones
template <class Body>
void across_row(long n, const Body& body) {
    long i = 0;
    for (; i + X::W <= n; i += X::W) body([i](const double* v) { return X::load(v + i); }, i, n - i);
    if (i < n) body([i, n](const double* v) { return X::load_some(v + i, n - i, v + n); }, i, n - i);
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
                if (first.each[d].any && first.each[e].any &&
                    first.each[d].spread() * first.each[e].spread() > varies)
                    to.variation = std::fmax(to.variation, ratios(d, e));
        return to;
    }

  private:
    struct Seen {
        Extremes each[3];
        bool lone = false;
    };
    // The rows of k before and after a row of unknowns, along an axis that is not the row's own.
    struct Beside {
        const double *low = nullptr, *high = nullptr;
        X::V weight;
        bool first, last;  // whether the face is an end's
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
        Seer seers[3];
        for (long at = begin; at < end; at++)
            look(rows, at / rows_, at % rows_ / A_.mesh.n[1], at % rows_ % A_.mesh.n[1], sums[at], seers, seen.lone);
        for (int d = 0; d < 3; d++) seen.each[d] = seers[d].extremes();
    }

    void look(OperatorRows<X>& rows, long member, long i, long j, RowSums& to, Seer* seers, bool& lone) const {
        using V = X::V;
        using M = X::M;
        const long n = A_.mesh.n[2], at[2] = {i, j};
        const bool wraps = A_.mesh.wraps[2];
        const double *share = A_.share[2].data(), *k = rows.k(2, member, i, j, 4);
        const double* c = A_.c.v ? rows.c(member, i, j) : nullptr;
        const V w = X::splat(A_.share[0][i] * A_.share[1][j]), none = {};
        Beside beside[2];
        for (int d = 0; d < 2; d++)
            if (A_.k[d].v)
                beside[d] = {rows.k(d, member, i, j, 2 * d), rows.k(d, member, i + (d == 0), j + (d == 1), 2 * d + 1),
                             X::splat(A_.share[1 - d][at[1 - d]]), at[d] == 0, at[d] == A_.mesh.n[d] - 1};
        V all = none, more = none, faces[3] = {none, none, none};
        M alone = {};
        across_row(n, [&](auto row, long l, long left) {
            const V of_c = c ? row(c) * (w * row(share)) : none;
            V diagonal = of_c, excess = of_c, near = none;
            auto face = [&](V low, bool end) { diagonal += low, (end ? excess : near) += low; };
            for (int d = 0; d < 2; d++) {
                const Beside& b = beside[d];
                if (!b.low) continue;
                const V of_k = row(b.low), weight = b.weight * row(share), low = of_k * weight;
                face(low, b.first && !A_.mesh.wraps[d]), face(row(b.high) * weight, b.last && !A_.mesh.wraps[d]);
                faces[d] += low;
                if (!b.first) seers[d].see(of_k);
            }
            const V before = row(k), low = before * w, high = X::first(row(k + 1), left) * w;
            const M first = X::lane(l == 0 && !wraps ? 0 : -1), last = X::lane(!wraps ? left - 1 : -1);
            diagonal += low + high, faces[2] += low;
            excess += X::where(first, low, none) + X::where(last, high, none);
            near += X::where(first, none, low) + X::where(last, none, high);
            seers[2].see(X::where(X::lane(l == 0 ? 0 : -1), none, before));
            const M held = reinterpret_cast<M>(diagonal > of_c);  // where more than c holds u
            all += X::where(held, diagonal, none), more += X::where(held, excess, none);
            alone |= reinterpret_cast<M>(near == none) & X::below(left);
        });
        for (int d = 0; d < 2; d++) seers[d].any |= beside[d].low && !beside[d].first;
        seers[2].any |= n > 1;
        for (long lane = 0; lane < X::W; lane++) lone |= alone[lane] != 0;
        to = {X::sum(all), X::sum(more), {X::sum(faces[0]), X::sum(faces[1]), X::sum(faces[2])}};
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
            Seer seer;
            for (long at = begin; at < end; at++) {
                const long member = at / rows_, i = at % rows_ / n[1], j = at % rows_ % n[1];
                if ((d == 0 && i == n[0] - 1) || ((d == 1 || e == 1) && j == n[1] - 1)) continue;
                const double* one = rows.k(d, member, i + (d == 0), j + (d == 1), 0);
                const double* other = rows.k(e, member, i, j + (e == 1), 4) + (e == 2);
                across_row(n[2] - (e == 2), [&](auto row, long, long) {
                    const X::V a = row(one), b = row(other);
                    const X::M both = reinterpret_cast<X::M>(a > X::V{}) & reinterpret_cast<X::M>(b > X::V{});
                    seer.see(X::where(both, a / X::where(both, b, X::splat(1)), X::V{}));
                });
            }
            seen.each[0] = seer.extremes();
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
