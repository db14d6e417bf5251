// The weights of an induced interpolation across solved lines, in two dimensions: along axis d, for unknowns between two
// coarse lines,
//
//     (m+ + sum_o s+_o) w(i) + s+_d (w(i) - w(i + d)) + s+_-d (w(i) - w(i - d)) = sum_{o towards a coarse line} s+_o
//
// where o goes to one of the lines beside; see interpolation.py. Unknowns are eliminated one after the other without a
// subtraction, as in lines.py; a line that closes is opened at its last unknown.
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
    // lines: the axes along which lines are solved, 0 or 2
    LineWeights(const Pair& pair, const std::vector<int>& lines, int threads) : pair_(pair), fine_(*pair.fine) {
        const Mesh& mesh = fine_.mesh;
        for (const int axis : lines) {
            if (!pair.halving.halved[2 - axis]) continue;
            for (double*& towards : weights_[axis]) towards = arena_.take<double>(fine_.members * mesh.size() + BEYOND);
            const long across = mesh.n[2 - axis], first = (pair.first(2 - axis) + 1) % 2, count = (across - first + 1) / 2;
            const long most = axis == 0 ? COLUMNS : ROWS, bundles = (count + most - 1) / most;
            F::each_block(fine_.members, bundles, bundles, fine_.crew(threads), [&](long b, long k, long, long, int) {
                Bundle(*this, axis, b, first + 2 * most * k, std::min(most, count - most * k)).solve();
            });
            for (double* towards : weights_[axis])  // ghosts of what is across the rows
                for (long row = 0; axis == 0 && row < fine_.members * mesh.rows(); row++)
                    F::fill(towards + row * mesh.stride() + LEFT, mesh.n[2], mesh.wraps[2]);
        }
    }

    // On the fine grid, of the coarse unknown that lies at -delta; null where no line is solved across delta.
    const double* across(const int* delta) const {
        if (delta[1] != 0 || (delta[0] != 0) == (delta[2] != 0)) return nullptr;
        const int axis = delta[0] == 0 ? 0 : 2;
        return weights_[axis][delta[2 - axis] < 0];
    }

  private:
    static constexpr long COLUMNS = 64, ROWS = 8;  // lines that are solved together

    // Some lines of a member, two apart: number `at` and those after it.
    struct Bundle {
        const LineWeights& of;
        const int axis;
        const long member, at, count, n;
        const bool closed;
        const long next, beside;              // numbers from an unknown to the next one of its line, and to the next line's
        std::vector<double> r, a, y[3];       // row sums, couplings to the next unknown, right-hand sides

        Bundle(const LineWeights& all, int along, long b, long first, long lines)
            : of(all), axis(along), member(b), at(first), count(lines), n(all.fine_.mesh.n[along]),
              closed(all.fine_.mesh.wraps[along] && n > 1), next(along == 0 ? lines : 1),
              beside(along == 0 ? 1 : n + X::W), r(size()), a(size()), y{std::vector<double>(size()),
              std::vector<double>(size()), std::vector<double>(closed ? size() : 0)} {}

        long size() const { return (axis == 0 ? n * count : count * beside) + X::W; }

        void solve() {
            for (long t = 0; axis == 0 && t < n; t++) equations<true>(t, at, count, t * next);
            for (long k = 0; axis == 2 && k < count; k++) equations<false>(at + 2 * k, 0, n, k * beside);
            if (!closed)
                for (long k = 0; k < count; k++) a[(n - 1) * next + k * beside] = 0;
            closed ? ring() : open(n, 2);
            const Mesh& mesh = of.fine_.mesh;
            const long row = mesh.stride(), along = axis == 0 ? row : 1, aside = axis == 0 ? 2 : 2 * row;
            for (int side = 0; side < 2; side++) {
                double* to = of.weights_[axis][side] + member * mesh.size() + LEFT + at * (axis == 0 ? 1 : row);
                for (long t = 0; t < n; t++)
                    for (long k = 0; k < count; k++) to[t * along + k * aside] = y[side][t * next + k * beside];
            }
        }

        // Of unknowns j, j + 1, ... of row i, or every second one, to number p and those after it.
        template <bool Halved>
        void equations(long i, long j, long length, long p) {
            const Operator& A = of.fine_;
            const Mesh& mesh = A.mesh;
            const double *forth[4], *back[4];
            for (int h = 0; h < mesh.couplings(); h++) {
                const double* S = A.S + (h * A.members + member) * mesh.size() + LEFT + j;
                const long before = F::row(mesh, i - OFFSETS[mesh.points][h][0], 0);
                forth[h] = S + i * mesh.stride();
                back[h] = before < 0 ? A.zeros + LEFT : S + before * mesh.stride() - OFFSETS[mesh.points][h][2];
            }
            const double* D = A.D + member * mesh.size() + i * mesh.stride() + LEFT + j;
            for (long K = 0; K < length; K += X::W) {
                V m = F::template every<Halved>(D, K), ways = {}, along = {}, towards[2] = {};
                for (int h = 0; h < mesh.couplings(); h++) {
                    const int side = OFFSETS[mesh.points][h][2 - axis];
                    const V s = F::template every<Halved>(forth[h], K), b = F::template every<Halved>(back[h], K);
                    m -= s + b;
                    if (side == 0) {
                        along = F::positive(s);
                    } else {
                        towards[side > 0] += F::positive(s), towards[side < 0] += F::positive(b);
                    }
                }
                ways = towards[0] + towards[1] + F::positive(m);
                const long left = length - K;
                F::put(&r[p + K], ways, left), F::put(&a[p + K], along, left);
                for (int side = 0; side < 2; side++) F::put(&y[side][p + K], towards[side], left);
            }
        }

        // y <- T^-1 y of the first unknowns of each line, whose last one is coupled to none behind
        void open(long length, int sides) {
            for (long t = 0; t < length; t++) {
                const bool last = t + 1 == length;
                for (long k = 0; k < count; k++) {
                    const long p = t * next + k * beside;
                    const double s = last ? 0 : a[p], d = r[p] + s, inverse = d > 0 ? 1 / d : 0, part = s * inverse;
                    for (int side = 0; side < sides; side++) {
                        if (!last) y[side][p + next] += part * y[side][p];
                        y[side][p] *= inverse;
                    }
                    if (!last) r[p + next] += part * r[p], a[p] = part;
                }
            }
            for (long t = length - 2; t >= 0; t--)
                for (long k = 0; k < count; k++)
                    for (int side = 0; side < sides; side++) {
                        const long p = t * next + k * beside;
                        y[side][p] += a[p] * y[side][p + next];
                    }
        }

        // The last unknown of each line is coupled to the first and to the one before it: both are y[2].
        void ring() {
            const std::vector<double> m = r, to[2] = {y[0], y[1]};
            for (long k = 0; k < count; k++) {
                const long first = k * beside, last = first + (n - 1) * next;
                y[2][first] += a[last], y[2][last - next] += a[last - next];
                for (long p = first; p < last; p += next) r[p] += y[2][p];
            }
            open(n - 1, 3);
            for (long k = 0; k < count; k++) {
                const long first = k * beside, last = first + (n - 1) * next;
                for (int side = 0; side < 2; side++) {
                    double d = m[last], value = to[side][last];
                    for (long p = first; p < last; p += next) d += y[2][p] * m[p], value += y[2][p] * to[side][p];
                    value = d > 0 ? value / d : 0;
                    for (long p = first; p < last; p += next) y[side][p] += y[2][p] * value;
                    y[side][last] = value;
                }
            }
        }
    };

    const Pair& pair_;
    const Operator& fine_;
    Arena arena_;
    double* weights_[3][2] = {};  // of lines along an axis, towards the coarse line before and the one after
};

}  // namespace mgnet
