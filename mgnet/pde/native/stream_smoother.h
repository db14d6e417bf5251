// Gauss-Seidel by lines on one grid: r = f + (what couples a line to others) u, then u = T^-1 r on the line.
//
// By colours: along each axis, lines two apart together. In turn: rows from the middle to both ends or back, each for
// the latest of those beside it. What flows then is carried along by a sweep as far as it goes, whatever its direction:
// where all couplings are positive that is nearly a solution, but what turns and what diffuses.
//
// Source: Hackbusch & Probst 1997, Numer. Linear Algebra Appl. 4, 85 (Gauss-Seidel in the order of the flow).
#pragma once
#include <algorithm>
#include <type_traits>
#include <vector>

#include "simd.h"
#include "stream_lines.h"
#include "stream_order.h"

namespace mgnet {

template <class T>
struct StreamCoupling {
    int step[3];
    const T* s;
};

// a grid's doubles as T: themselves, or a copy
template <class T>
T* numbers_of(double* from, const StreamMesh& mesh, int threads, Arena& arena) {
    if constexpr (std::is_same_v<T, double>) {
        (void)mesh, (void)threads, (void)arena;
        return from;
    } else {
        T* const to = mesh.take<T>(arena);
        share_out(mesh.rows(), threads, [&](long r) {
            for (long at = mesh.begin(r) - 1; at <= mesh.begin(r) + mesh.n[2]; at++) to[at] = static_cast<T>(from[at]);
        });
        return to;
    }
}

template <class T>
std::vector<StreamCoupling<T>> couplings_of(const StreamOperator& A, int threads, Arena& arena) {
    std::vector<StreamCoupling<T>> to;
    for (int o = 0; o < 27; o++)
        if (o != CENTRE && A.s[o])
            to.push_back({{step_of(o, 0), step_of(o, 1), step_of(o, 2)}, numbers_of<T>(A.s[o], A.mesh, threads, arena)});
    return to;
}

template <class X>
class StreamSmoother {
    using T = typename X::T;
    using V = typename X::V;
    static constexpr long W = X::W, TOGETHER = 4, COLUMNS = 256;
    static constexpr long WORTH = 1 << 14;  // unknowns a second thread is woken for

  public:
    StreamSmoother(const StreamMesh& mesh, const std::vector<StreamCoupling<T>>& couplings, int threads)
        : mesh_(mesh), couplings_(couplings), threads_(threads) {}

    // the lines of one colour: along the other axes the index's parity, or 2 for the last one of an odd ring
    // y : a workspace, padded rows
    void solve(const StreamLines<T>& lines, const int colour[3], const T* f, T* u, T* y) const {
        lines.axis == 2 ? rows(lines, colour, f, u) : columns(lines, colour, f, u, y);
    }

    // All rows in turn, both of a pair of planes at a time, on one thread or on two.
    // left : where the residual goes, or null. A row's equations hold when it is solved; what changes later leaves them
    // its couplings to that.
    void sweep(const StreamLines<T>& lines, const StreamOrder& order, const T* f, T* u, T* left) const {
        auto solve = [&](const auto& these) {
            constexpr long K = std::extent_v<std::remove_reference_t<decltype(these)>>;
            for (long r : these)
                if (left) std::copy_n(u + mesh_.begin(r), mesh_.n[2], left + mesh_.begin(r));
            bundle<K>(lines, these, f, u);
            for (long r : these)
                if (left) leave(r, order, u, left);
        };
        auto alone = [&](long plane) {
            for (long k = 0; k < order.inner; k++) {
                const long one[1] = {order.row(plane, k)};
                solve(one);
            }
        };
        auto middle = [&] {
            for (long k = order.pairs; k < order.planes - order.pairs; k++) alone(k);
        };
        if (!order.inwards) middle();
        if (threads_ > 1 && mesh_.unknowns() > WORTH) {
            share_out(2, 2, [&](long side) {
                for (long k = 0; k < order.pairs; k++) alone(order.plane(k, side));
            });
        } else {
            for (long k = 0; k < order.pairs; k++)
                for (long i = 0; i < order.inner; i++) {
                    const long both[2] = {order.row(order.plane(k, 0), i), order.row(order.plane(k, 1), i)};
                    solve(both);
                }
        }
        if (order.inwards) middle();
    }

  private:
    // what the change of row r, from its numbers in `left`, leaves of the rows before it
    void leave(long r, const StreamOrder& order, const T* u, T* left) const {
        const long n = mesh_.n[2], at = mesh_.begin(r);
        T* const change = left + at;
        for (long j = 0; j < n; j += W) X::put(change + j, X::load(u + at + j) - X::load(change + j), n - j);
        mesh_.close(change);
        for (const auto& c : couplings_) {
            const long other = mesh_.row(r, -c.step[0], -c.step[1]);
            if (other < 0 || other == r || !order.before(other, r)) continue;
            const T *const s = c.s + mesh_.begin(other), *const v = change + c.step[2];
            T* const to = left + mesh_.begin(other);
            for (long j = 0; j < n; j += W) X::put(to + j, X::load(to + j) + X::load(s + j) * X::load(v + j), n - j);
        }
        std::fill(change - 1, change + n + 1, T(0));
    }

    // r at numbers [j, j + W) of a row
    struct Sum {
        const T* f;
        const T *s[26], *v[26];
        int count = 0;
        V at(long j) const {
            V r = X::load(f + j);
            for (int k = 0; k < count; k++) r += X::load(s[k] + j) * X::load(v[k] + j);
            return r;
        }
        // and of a whole row, which its pads follow
        void row(T* y, long n) const {
            long j = 0;
            for (; j + 4 * W <= n; j += 4 * W) {
                V r[4];
#pragma GCC unroll 4
                for (int l = 0; l < 4; l++) r[l] = X::load(f + j + l * W);
                for (int k = 0; k < count; k++)
#pragma GCC unroll 4
                    for (int l = 0; l < 4; l++) r[l] += X::load(s[k] + j + l * W) * X::load(v[k] + j + l * W);
#pragma GCC unroll 4
                for (int l = 0; l < 4; l++) X::store(y + j + l * W, r[l]);
            }
            for (; j < n; j += W) X::store(y + j, at(j));
        }
    };

    Sum sum(long r, int axis, const T* f, const T* u) const {
        Sum to;
        to.f = f + mesh_.begin(r);
        for (const auto& c : couplings_) {
            bool along = true;
            for (int d = 0; d < 3; d++) along &= d == axis || c.step[d] == 0;
            const long other = along ? -1 : mesh_.row(r, c.step[0], c.step[1]);
            if (other < 0) continue;
            to.s[to.count] = c.s + mesh_.begin(r);
            to.v[to.count++] = u + mesh_.begin(other) + c.step[2];
        }
        return to;
    }

    void rows(const StreamLines<T>& lines, const int colour[3], const T* f, T* u) const {
        std::vector<long> mine;
        for (long r = 0; r < mesh_.rows(); r++)
            if (mesh_.colour(r / mesh_.n[1], 0) == colour[0] && mesh_.colour(r % mesh_.n[1], 1) == colour[1]) mine.push_back(r);
        const long count = static_cast<long>(mine.size()), bundles = (count + TOGETHER - 1) / TOGETHER;
        share_out(bundles, threads_, [&](long b) {
            const long size = std::min(TOGETHER, count - b * TOGETHER), *r = &mine[b * TOGETHER];
            if (size == TOGETHER) return bundle<TOGETHER>(lines, r, f, u);
            for (long k = 0; k < size; k++) one(lines, r[k], f, u);
        });
    }

    void one(const StreamLines<T>& lines, long r, const T* f, T* u) const { bundle<1>(lines, &r, f, u); }

    // Rows none of which is beside another. Pads stay 0: so are f's, and the couplings'.
    template <long K>
    void bundle(const StreamLines<T>& lines, const long* r, const T* f, T* u) const {
        const long n = mesh_.n[2], open = lines.closed ? n - 1 : n, meet = lines.meet;
        const T *p[K], *e[K], *q[K];
        T *y[K], below[K] = {}, above[K] = {};
        for (long k = 0; k < K; k++) {
            const long at = mesh_.begin(r[k]);
            const Sum sums = sum(r[k], 2, f, u);
            y[k] = u + at, p[k] = lines.p + at, e[k] = lines.e + at, q[k] = lines.q + at;
            sums.row(y[k], n);
        }
        const long both = std::min(meet, open - 1 - meet);
        auto up = [&](long j) {
#pragma GCC unroll 4
            for (long k = 0; k < K; k++) below[k] = y[k][j] = y[k][j] + p[k][j] * below[k];
        };
        auto down = [&](long j) {
#pragma GCC unroll 4
            for (long k = 0; k < K; k++) above[k] = y[k][j] = y[k][j] + p[k][j] * above[k];
        };
        for (long i = 0; i < both; i++) up(i), down(open - 1 - i);
        for (long j = both; j < meet; j++) up(j);
        for (long j = open - 1 - both; j > meet; j--) down(j);
        for (long k = 0; k < K; k++)
            below[k] = above[k] = y[k][meet] = e[k][meet] * (y[k][meet] + p[k][meet] * below[k] + q[k][meet] * above[k]);
        auto back = [&](long j) {
#pragma GCC unroll 4
            for (long k = 0; k < K; k++) below[k] = y[k][j] = e[k][j] * y[k][j] + q[k][j] * below[k];
        };
        auto forth = [&](long j) {
#pragma GCC unroll 4
            for (long k = 0; k < K; k++) above[k] = y[k][j] = e[k][j] * y[k][j] + q[k][j] * above[k];
        };
        for (long i = 1; i <= both; i++) back(meet - i), forth(meet + i);
        for (long j = meet - both - 1; j >= 0; j--) back(j);
        for (long j = meet + both + 1; j < open; j++) forth(j);
        for (long k = 0; k < K; k++) {
            if (lines.closed) {
                const long at = mesh_.begin(r[k]), end = at + n - 1;
                const T last = lines.e[end] * (y[k][n - 1] + lines.z[0][end] * y[k][0] + lines.z[1][end] * y[k][n - 2]);
                for (long j = 0; j < open; j++) y[k][j] += lines.w[at + j] * last;
                y[k][n - 1] = last;
            }
            mesh_.close(y[k]);
        }
    }

    void columns(const StreamLines<T>& lines, const int colour[3], const T* f, T* u, T* y) const {
        const int other = lines.axis == 0 ? 1 : 0;
        const long blocks = (mesh_.n[2] + COLUMNS - 1) / COLUMNS;
        share_out(mesh_.n[other] * blocks, threads_, [&](long task) {
            const long sheet = task / blocks, from = task % blocks * COLUMNS;
            if (mesh_.colour(sheet, other) == colour[other])
                block(lines, sheet, from, std::min(from + COLUMNS, mesh_.n[2]), colour[2], f, u, y);
        });
        if (mesh_.wraps[2])
            for (long r = 0; r < mesh_.rows(); r++) mesh_.close(u + mesh_.begin(r));
    }

    // numbers [from, to) of the rows of a sheet: all are eliminated, and those of the colour are kept
    void block(const StreamLines<T>& lines, long sheet, long from, long to, int colour, const T* f, T* u, T* y) const {
        const long n = mesh_.n[lines.axis], open = lines.closed ? n - 1 : n;
        auto row = [&](long i) { return lines.axis == 0 ? i * mesh_.n[1] + sheet : sheet * mesh_.n[1] + i; };
        for (long i = 0; i < n; i++) {
            const Sum sums = sum(row(i), lines.axis, f, u);
            const long at = mesh_.begin(row(i)), before = i > 0 ? mesh_.begin(row(i - 1)) : at;
            for (long j = from; j < to; j += W) {
                V v = sums.at(j);
                if (i > 0 && i < open) v += X::load(lines.p + at + j) * X::load(y + before + j);
                X::put(y + at + j, v, to - j);
            }
        }
        for (long i = open - 1; i >= 0; i--) {
            const long at = mesh_.begin(row(i)), next = i < open - 1 ? mesh_.begin(row(i + 1)) : at;
            for (long j = from; j < to; j += W) {
                V v = X::load(lines.e + at + j) * X::load(y + at + j);
                if (i < open - 1) v += X::load(lines.q + at + j) * X::load(y + next + j);
                X::put(y + at + j, v, to - j);
            }
        }
        if (lines.closed) close(lines, mesh_.begin(row(0)), mesh_.begin(row(n - 2)), mesh_.begin(row(n - 1)), from, to, y);
        for (long i = 0; i < n; i++) {
            const long at = mesh_.begin(row(i)), end = lines.closed && i < open ? mesh_.begin(row(n - 1)) : at;
            for (long j = from + first(from, colour); j < to; j += colour == 2 ? 1 : 2)
                if (mesh_.colour(j, 2) == colour)
                    u[at + j] = end == at ? y[at + j] : y[at + j] + lines.w[at + j] * y[end + j];
        }
    }

    static long first(long from, int colour) { return colour == 2 ? 0 : (colour + from) % 2; }

    void close(const StreamLines<T>& lines, long first, long before, long end, long from, long to, T* y) const {
        for (long j = from; j < to; j += W) {
            const V r = X::load(y + end + j) + X::load(lines.z[0] + end + j) * X::load(y + first + j) +
                        X::load(lines.z[1] + end + j) * X::load(y + before + j);
            X::put(y + end + j, X::load(lines.e + end + j) * r, to - j);
        }
    }

    const StreamMesh mesh_;
    const std::vector<StreamCoupling<T>>& couplings_;
    const int threads_;
};

}  // namespace mgnet
