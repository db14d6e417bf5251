// The weights of an induced interpolation across solved lines: along axis d, for unknowns between coarse lines along the
// axes where sigma is not 0,
//
//     sum_o s+_o v(i) + s+_d (v(i) - v(i + d)) + s+_-d (v(i) - v(i - d)) = sum_{o towards} s+_o w_{sigma - part}(i + part),
//     w = v sum_o s+_o / (m+ + sum_o s+_o)
//
// where part, not 0, is what o does along those axes; see interpolation.py. Unknowns are eliminated one after the other
// without a subtraction, as in lines.py; a line that closes is opened at its last unknown.
#pragma once
#include <algorithm>
#include <vector>

#include "operators.h"

namespace mgnet {

template <class X>
class LineWeights {
    using F = Fields<X>;
    using V = typename X::V;

  public:
    // solved: the axes along which lines are solved
    LineWeights(const Pair& pair, const std::vector<int>& solved, int threads) : pair_(pair), fine_(*pair.fine) {
        for (const int axis : solved)
            for (int order = 1; order <= 2; order++)
                for (int between = 1; between < 8; between++) {  // axes, as bits
                    bool halved = true;
                    int count = 0;
                    for (int d = 0; d < 3; d++)
                        if (between >> d & 1) halved = halved && pair.halving.halved[d] && d != axis, count++;
                    if (halved && count == order) find(axis, between, threads);
                }
    }

    // On the fine grid, of the coarse unknown that lies at -delta; null where no line is solved across delta.
    const double* across(const int* delta) const {
        for (int axis = 0; axis < 3; axis++)
            if (delta[axis] == 0 && towards_[axis][place(delta, -1)]) return towards_[axis][place(delta, -1)];
        return nullptr;
    }

  private:
    static constexpr long COLUMNS = 64, ROWS = 8;  // lines that are solved together

    static int place(const int* sigma, int sign = 1) {
        return 9 * (sign * sigma[0] + 1) + 3 * (sign * sigma[1] + 1) + sign * sigma[2] + 1;
    }

    // The unknowns of an axis: those between coarse ones, coarse ones, or all.
    struct Range {
        long begin, step, count;
    };
    Range range(int d, bool between) const {
        const long n = fine_.mesh.n[d], begin = between ? (pair_.first(d) + 1) % 2 : pair_.first(d), step = pair_.steps(d);
        return {begin, step, (n - begin + step - 1) / step};
    }

    // All weights of unknowns that lie between coarse ones along the axes `between`, by lines along `axis`.
    void find(int axis, int between, int threads) {
        const Mesh& mesh = fine_.mesh;
        Group group{axis, axis != 2 ? 2 : mesh.n[1] > 1 ? 1 : 0, 0, {}, {}};
        group.other = 3 - axis - group.side;
        for (int code = 0; code < 27; code++) {
            const int sigma[3] = {code / 9 - 1, code / 3 % 3 - 1, code % 3 - 1};
            bool fits = true;
            for (int d = 0; d < 3; d++) fits = fits && (sigma[d] != 0) == ((between >> d & 1) != 0);
            if (!fits) continue;
            towards_[axis][code] = arena_.take<double>(fine_.members * mesh.size() + BEYOND);
            group.sigmas.push_back({{sigma[0], sigma[1], sigma[2]}, towards_[axis][code]});
        }
        find_ways(group);
        const Range lines = range(group.side, between >> group.side & 1);
        const Range sheets = range(group.other, between >> group.other & 1);
        const long most = axis == 2 ? ROWS : COLUMNS, bundles = (lines.count + most - 1) / most;
        F::each_block(fine_.members, sheets.count * bundles, sheets.count * bundles, fine_.crew(threads),
                      [&](long b, long k, long, long, int) {
                          const long at = most * (k % bundles), sheet = sheets.begin + sheets.step * (k / bundles);
                          const Range some{lines.begin + lines.step * at, lines.step, std::min(most, lines.count - at)};
                          Bundle(*this, group, b, sheet, some).solve();
                      });
        for (const Sigma& sigma : group.sigmas)
            for (long row = 0; axis != 2 && row < fine_.members * mesh.rows(); row++)
                mesh.close(sigma.weights + row * mesh.stride() + LEFT);
    }

    struct Sigma {
        int o[3];
        double* weights;
    };

    // A coupling to what lies at o; part: what o does along the axes where sigma is not 0.
    struct Way {
        int h;
        bool forth, leaves, along;  // o as it is stored; part is not 0; o is the next unknown of the line
        int o[3], part[3];
        const double* w[4];         // for each sigma, the weights of what it leads to: null where it leads elsewhere
    };

    // What is solved with the same lines.
    struct Group {
        int axis, side, other;  // along the lines, from line to line, and from sheet to sheet
        std::vector<Sigma> sigmas;
        std::vector<Way> ways;
    };

    void find_ways(Group& to) const {
        const Mesh& mesh = fine_.mesh;
        for (int h = 0; h < mesh.couplings(); h++)
            for (int sign = 1; sign >= -1 && fine_.has(h); sign -= 2) {
                Way way{h, sign > 0, false, false, {}, {}, {}};
                for (int d = 0; d < 3; d++) {
                    way.o[d] = sign * OFFSETS[mesh.points][h][d], way.part[d] = to.sigmas[0].o[d] ? way.o[d] : 0;
                    way.leaves = way.leaves || way.part[d] != 0;
                }
                way.along = sign > 0 && way.o[to.axis] == 1 && way.o[to.side] == 0 && way.o[to.other] == 0;
                for (std::size_t which = 0; which < to.sigmas.size() && way.leaves; which++) {
                    int rest[3];
                    bool towards = true;
                    for (int d = 0; d < 3; d++) {
                        rest[d] = to.sigmas[which].o[d] - way.part[d];
                        towards = towards && (way.part[d] == 0 || rest[d] == 0);
                    }
                    way.w[which] = !towards ? nullptr : place(rest) == 13 ? &ONE : towards_[to.axis][place(rest)];
                }
                to.ways.push_back(way);
            }
    }

    // Lines of a member, beside each other in a sheet.
    struct Bundle {
        const LineWeights& of;
        const Group& group;
        const long member, sheet;
        const Range lines;
        const int axis;
        const long n, count;
        const bool closed;
        const long next, beside;             // numbers from an unknown to the next one of its line, and to the next line's
        std::vector<double> r, a, left;      // couplings across, to the next unknown, what m leaves of a weight
        std::vector<std::vector<double>> y;  // right-hand sides; last, where lines close, what couples to the last unknown

        Bundle(const LineWeights& all, const Group& together, long b, long number, const Range& some)
            : of(all), group(together), member(b), sheet(number), lines(some), axis(together.axis),
              n(all.fine_.mesh.n[axis]), count(some.count), closed(all.fine_.mesh.wraps[axis] && n > 1),
              next(axis == 2 ? 1 : count), beside(axis == 2 ? n + X::W : 1), r(size()), a(size()), left(size()),
              y(together.sigmas.size() + closed, std::vector<double>(size())) {}

        long size() const { return (axis == 2 ? count * beside : n * count) + X::W; }

        void solve() {
            if (axis == 2)
                for (long k = 0; k < count; k++) equations<false>(0, k, n, k * beside);
            else
                for (long t = 0; t < n; t++)
                    lines.step == 2 ? equations<true>(t, 0, count, t * next) : equations<false>(t, 0, count, t * next);
            if (!closed)
                for (long k = 0; k < count; k++) a[(n - 1) * next + k * beside] = 0;
            closed ? ring() : open(n);
            for (std::size_t which = 0; which < group.sigmas.size(); which++)
                for (long k = 0; k < count; k++)
                    for (long t = 0; t < n; t++) {
                        const long p = t * next + k * beside;
                        group.sigmas[which].weights[number(t, k)] = y[which][p] * left[p];
                    }
        }

        // Of unknown t of line k, and what lies `away` from it, in the grid's fields; -1: outside.
        long number(long t, long k, const int* away = nullptr) const {
            const Mesh& mesh = of.fine_.mesh;
            long c[3];
            c[axis] = t, c[group.side] = lines.begin + lines.step * k, c[group.other] = sheet;
            for (int d = 0; d < 3 && away; d++) c[d] += away[d];
            const long row = mesh.row(c[0], c[1]);
            return row < 0 ? -1 : member * mesh.size() + row * mesh.stride() + LEFT + c[2];
        }

        // The couplings of a row's unknowns, and for each sigma the weights of what they lead to: null where it is elsewhere.
        struct Row {
            const double *s[26], *w[26][4];
        };

        // Of unknown t of line k and `length` ones after it, in a row of the grid, to number p and those after it.
        template <bool Halved>
        void equations(long t, long k, long length, long p) {
            const Row row = row_of(t, k);
            const double* D = of.fine_.D + number(t, k);
            const std::size_t sigmas = group.sigmas.size();
            for (long K = 0; K < length; K += X::W) {
                V m = F::template every<Halved>(D, K), ways = {}, along = {}, total[4] = {};
                for (std::size_t c = 0; c < group.ways.size(); c++) {
                    const V s = F::template every<Halved>(row.s[c], K), way = F::positive(s);
                    m -= s;
                    if (group.ways[c].along) along = way;
                    if (!group.ways[c].leaves) continue;
                    ways += way;
                    for (std::size_t which = 0; which < sigmas; which++) {
                        const double* w = row.w[c][which];
                        if (w) total[which] += w == &ONE ? way : way * F::template every<Halved>(w, K);
                    }
                }
                const long rest = length - K;
                const V whole = ways + F::positive(m);
                F::put(&r[p + K], ways, rest), F::put(&a[p + K], along, rest);
                F::put(&left[p + K], X::where(reinterpret_cast<typename X::M>(whole > V{}), ways / whole, V{}), rest);
                for (std::size_t which = 0; which < sigmas; which++) F::put(&y[which][p + K], total[which], rest);
            }
        }

        Row row_of(long t, long k) const {
            const Operator& A = of.fine_;
            const double* nothing = A.zeros + LEFT;
            const int here[3] = {};
            Row to;
            for (std::size_t c = 0; c < group.ways.size(); c++) {
                const Way& way = group.ways[c];
                const long at = number(t, k, way.forth ? here : way.o), there = way.leaves ? number(t, k, way.part) : 0;
                to.s[c] = at < 0 ? nothing : A.S + way.h * A.members * A.mesh.size() + at;
                for (std::size_t which = 0; which < group.sigmas.size(); which++) {
                    const double* w = way.w[which];
                    to.w[c][which] = !w || w == &ONE ? w : there < 0 ? nothing : w + there;
                }
            }
            return to;
        }

        // y <- T^-1 y of the first unknowns of each line, whose last one is coupled to none behind
        void open(long length) {
            for (long t = 0; t < length; t++) {
                const bool last = t + 1 == length;
                for (long k = 0; k < count; k++) {
                    const long p = t * next + k * beside;
                    const double s = last ? 0 : a[p], d = r[p] + s, inverse = d > 0 ? 1 / d : 0, on = s * inverse;
                    for (auto& v : y) {
                        if (!last) v[p + next] += on * v[p];
                        v[p] *= inverse;
                    }
                    if (!last) r[p + next] += on * r[p], a[p] = on;
                }
            }
            for (long t = length - 2; t >= 0; t--)
                for (auto& v : y)
                    for (long k = 0; k < count; k++) {
                        const long p = t * next + k * beside;
                        v[p] += a[p] * v[p + next];
                    }
        }

        // The last unknown of each line is coupled to the first and to the one before it: both are in the last y.
        void ring() {
            const std::vector<double> m = r;
            const std::vector<std::vector<double>> given = y;
            std::vector<double>& v = y.back();
            for (long k = 0; k < count; k++) {
                const long first = k * beside, last = first + (n - 1) * next;
                v[first] += a[last], v[last - next] += a[last - next];
                for (long p = first; p < last; p += next) r[p] += v[p];
            }
            open(n - 1);
            for (long k = 0; k < count; k++) {
                const long first = k * beside, last = first + (n - 1) * next;
                for (std::size_t which = 0; which < group.sigmas.size(); which++) {
                    double d = m[last], value = given[which][last];
                    for (long p = first; p < last; p += next) d += v[p] * m[p], value += v[p] * given[which][p];
                    value = d > 0 ? value / d : 0;
                    for (long p = first; p < last; p += next) y[which][p] += v[p] * value;
                    y[which][last] = value;
                }
            }
        }
    };

    static constexpr double ONE = 1;  // the weight of a coarse unknown in itself

    const Pair& pair_;
    const Operator& fine_;
    Arena arena_;
    double* towards_[3][27] = {};  // of lines along an axis, by the sigma that points to the coarse unknown
};

}  // namespace mgnet
