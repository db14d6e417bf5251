// What decides how an operator is solved, in a pass or two over its conductances.
#include <algorithm>
#include <cmath>
#include <limits>

#include "conductances.h"
#include "parts.h"

namespace mgnet {
namespace {

struct Here {};
using X = Vectors<double, 16, Here>;
using Y = Vectors<float, 16, Here>;
constexpr double INF = std::numeric_limits<double>::infinity();
constexpr float FAR = std::numeric_limits<float>::infinity();

Y::V smaller(Y::V a, Y::V b) { return Y::where(reinterpret_cast<Y::M>(a < b), a, b); }
Y::V larger(Y::V a, Y::V b) { return Y::where(reinterpret_cast<Y::M>(a > b), a, b); }

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
        if (to.variation > varies) to.dominance = dominance();
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

    // The largest k_d / k_e, for any two axes, that an unknown and all its neighbours reach; ends are alike.
    double dominance() const {
        const long* n = A_.mesh.n;
        double largest = 0;
        std::vector<float> low(A_.members * rows_ * n[2]), high(low.size());
        for (int d = 0; d < 3; d++)
            for (int e = d + 1; e < 3; e++)
                if (n[d] > 1 && n[e] > 1) largest = std::fmax(largest, dominance(d, e, low.data(), high.data()));
        return largest;
    }

    // low, high: of k_d / k_e at each unknown and its neighbours along the row
    double dominance(int d, int e, float* low, float* high) const {
        const long n = A_.mesh.n[2], count = A_.members * rows_;
        in_parts(count, 4 * n, threads_, [&](long begin, long end, long) {
            OperatorRows<X> rows(A_);
            std::vector<double> one(n), other(n);
            std::vector<float> least(n + 2), most(n + 2);
            for (long at = begin; at < end; at++) {
                sums(rows, at, d, one.data()), sums(rows, at, e, other.data());
                for (long x = 0; x < n; x++) {
                    const float ratio = static_cast<float>(one[x] / other[x]);  // NaN where both are 0
                    least[x + 1] = one[x] > 0 ? ratio : 0, most[x + 1] = other[x] > 0 ? ratio : FAR;
                }
                for (auto* v : {&least, &most}) v->front() = (*v)[n], v->back() = (*v)[1];
                each<Y>(low + at * n, n, [&](auto row) {
                    const float* v = least.data();
                    return smaller(row(v), smaller(row(v + 1), row(v + 2)));
                });
                each<Y>(high + at * n, n, [&](auto row) {
                    const float* v = most.data();
                    return larger(row(v), larger(row(v + 1), row(v + 2)));
                });
            }
        });
        std::vector<float> largest(parts_of(count, 4 * n)), smallest(largest.size(), FAR);
        in_parts(count, 4 * n, threads_, [&](long begin, long end, long part) {
            std::vector<float> least(n), most(n);
            for (long at = begin; at < end; at++) {
                std::copy_n(low + at * n, n, least.begin()), std::copy_n(high + at * n, n, most.begin());
                beside(at, [&](long r) {
                    each<Y>(least.data(), n, [&](auto row) { return smaller(row(least.data()), row(low + r * n)); });
                    each<Y>(most.data(), n, [&](auto row) { return larger(row(most.data()), row(high + r * n)); });
                });
                largest[part] = std::max(largest[part], *std::max_element(least.begin(), least.end()));
                smallest[part] = std::min(smallest[part], *std::min_element(most.begin(), most.end()));
            }
        });
        return std::fmax(*std::max_element(largest.begin(), largest.end()),
                         1.0 / *std::min_element(smallest.begin(), smallest.end()));
    }

    // The conductances of the two faces of each unknown of a row, along axis d.
    void sums(OperatorRows<X>& rows, long at, int d, double* out) const {
        const long member = at / rows_, i = at % rows_ / A_.mesh.n[1], j = at % rows_ % A_.mesh.n[1];
        const double *share = A_.share[2].data(), *low = rows.k(d, member, i, j, 0);
        const double* high = d == 2 ? low + 1 : rows.k(d, member, i + (d == 0), j + (d == 1), 1);
        const X::V w = X::splat((d == 0 ? 1 : A_.share[0][i]) * (d == 1 ? 1 : A_.share[1][j]));
        each<X>(out, A_.mesh.n[2], [&](auto row) {
            const X::V both = (row(low) + row(high)) * w;
            return d == 2 ? both : both * row(share);
        });
    }

    // body(row) for those beside a row
    template <class Body>
    void beside(long at, const Body& body) const {
        const long n0 = A_.mesh.n[0], n1 = A_.mesh.n[1], first = at / rows_ * rows_;
        const long i = at % rows_ / n1, j = at % rows_ % n1;
        for (long a = n0 > 1 ? -1 : 0; a <= (n0 > 1); a++)
            for (long b = n1 > 1 ? -1 : 0; b <= (n1 > 1); b++)
                if (a != 0 || b != 0) body(first + (i + a + n0) % n0 * n1 + (j + b + n1) % n1);
    }

    const Conductances& A_;
    const int threads_;
    const long rows_;
    Seen seen_;
};

}  // namespace

Survey survey(const Conductances& A, double varies, int threads) { return Surveyor(A, threads)(varies); }

}  // namespace mgnet
