// Lines of one grid, and their exact solution: r = f + (what couples them to other lines) u, then u = T^-1 r.
//
//     y_i = r_i + p_i y_{i-1},     u_i = e_i y_i + q_i u_{i+1}
//
// A closed line is opened at its last unknown, u = y + w u_last, u_last = e_last (r_last + z_0 y_0 + z_1 y_{n-2}).
#pragma once
#include <algorithm>
#include <cmath>

#include "simd.h"
#include "stream_mesh.h"

namespace mgnet {

template <class T>
struct StreamCoupling {
    int step[3];
    std::vector<T> s;
};

// The lines along one axis of one member's grid.
template <class T>
struct StreamLines {
    int axis = 0;
    bool closed = false;
    std::vector<T> p, e, q, w, z[2];

    static StreamLines of(const StreamOperator& A, int axis, int threads) {
        StreamLines to;
        const StreamMesh& mesh = A.mesh;
        int ahead[3] = {}, behind[3] = {};
        ahead[axis] = 1, behind[axis] = -1;
        const std::vector<double>&forth = A.s[number_of(ahead[0], ahead[1], ahead[2])],
              &back = A.s[number_of(behind[0], behind[1], behind[2])];
        to.axis = axis, to.closed = mesh.wraps[axis] && mesh.n[axis] > 1;
        for (auto* v : {&to.p, &to.e, &to.q}) v->assign(mesh.size() + SIDE, T(0));
        if (to.closed)
            for (auto* v : {&to.w, &to.z[0], &to.z[1]}) v->assign(mesh.size() + SIDE, T(0));
        const long n = mesh.n[axis], stride = mesh.stride();
        const long step = axis == 2 ? 1 : axis == 1 ? stride : stride * mesh.n[1];
        const long sheets = axis == 0 ? mesh.n[1] : mesh.n[0], lines = axis == 2 ? mesh.n[1] : mesh.n[2];
        share_out(sheets, threads, [&](long sheet) {
            std::vector<double> l(n), h(n), m(n), x(n);
            for (long line = 0; line < lines; line++) {
                const long at = axis == 2 ? mesh.begin(sheet * mesh.n[1] + line)
                                          : mesh.begin(axis == 1 ? sheet * mesh.n[1] : sheet) + line;
                for (long i = 0; i < n; i++) {
                    l[i] = back.empty() ? 0.0 : back[at + i * step], h[i] = forth.empty() ? 0.0 : forth[at + i * step];
                    m[i] = A.s[CENTRE][at + i * step] - l[i] - h[i];
                }
                to.factor(n, at, step, l.data(), h.data(), m.data(), x.data());
            }
        });
        return to;
    }

  private:
    // Nothing is subtracted: m are the row sums, and stay so.
    void factor(long n, long at, long step, double* l, double* h, double* m, double* x) {
        const long open = closed ? n - 1 : n;
        double last = m[n - 1];
        if (closed) {
            const double low = l[0], high = h[n - 2], z0 = h[n - 1], z1 = l[n - 1];
            l[0] = h[n - 2] = 0;
            std::vector<double> v(open, 0.0), own(m, m + open);
            v[0] += low, v[open - 1] += high;
            for (long i = 0; i < open; i++) m[i] += v[i];
            eliminate(open, at, step, l, h, m);
            solve(open, at, step, own.data(), x);
            last += z0 * x[0] + z1 * x[open - 1];
            solve(open, at, step, v.data(), x);
            for (long i = 0; i < open; i++) w[at + i * step] = static_cast<T>(x[i]);
            const long end = at + (n - 1) * step;
            e[end] = static_cast<T>(reciprocal(last, z0 + z1)), z[0][end] = static_cast<T>(z0), z[1][end] = static_cast<T>(z1);
        } else {
            eliminate(open, at, step, l, h, m);
        }
    }

    void eliminate(long n, long at, long step, const double* l, const double* h, double* m) {
        double before = 0;
        for (long i = 0; i < n; i++) {
            const double factor = l[i] * before;
            if (i > 0) p[at + i * step] = static_cast<T>(factor), m[i] += factor * m[i - 1];
            before = reciprocal(m[i] + h[i], l[i] + h[i]);
            e[at + i * step] = static_cast<T>(before), q[at + i * step] = static_cast<T>(h[i] * before);
        }
    }

    void solve(long n, long at, long step, const double* r, double* x) const {
        for (long i = 0; i < n; i++) x[i] = r[i] + (i > 0 ? p[at + i * step] * x[i - 1] : 0.0);
        for (long i = n - 1; i >= 0; i--) x[i] = e[at + i * step] * x[i] + (i < n - 1 ? q[at + i * step] * x[i + 1] : 0.0);
    }

    // 1 / d, 0 where d is round-off of 0 beside what it is made of
    static double reciprocal(double d, double beside) { return std::abs(d) > 1e-14 * std::abs(beside) ? 1 / d : 0.0; }
};

// Gauss-Seidel by lines on one grid.
template <class X>
class StreamSmoother {
    using T = typename X::T;
    using V = typename X::V;
    using M = typename X::M;
    static constexpr long W = X::W, TOGETHER = 4, COLUMNS = 256;

  public:
    StreamSmoother(const StreamMesh& mesh, const std::vector<StreamCoupling<T>>& couplings, int threads)
        : mesh_(mesh), couplings_(couplings), threads_(threads), space_((mesh.size() + 2 * SIDE) * 2) {}

    // the lines of one colour: along the other axes the index's parity, or 2 for the last one of an odd ring
    void solve(const StreamLines<T>& lines, const int colour[3], const T* f, T* u) {
        lines.axis == 2 ? rows(lines, colour, f, u) : columns(lines, colour, f, u);
    }

  private:
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
    };

    Sum sum(long r, int axis, const T* f, const T* u) const {
        Sum to;
        to.f = f + mesh_.begin(r);
        for (const auto& c : couplings_) {
            bool along = true;
            for (int d = 0; d < 3; d++) along &= d == axis || c.step[d] == 0;
            const long other = along ? -1 : mesh_.row(r, c.step[0], c.step[1]);
            if (other < 0) continue;
            to.s[to.count] = c.s.data() + mesh_.begin(r);
            to.v[to.count++] = u + mesh_.begin(other) + c.step[2];
        }
        return to;
    }

    void rows(const StreamLines<T>& lines, const int colour[3], const T* f, T* u) {
        std::vector<long>& mine = chosen_;
        mine.clear();
        for (long r = 0; r < mesh_.rows(); r++)
            if (mesh_.colour(r / mesh_.n[1], 0) == colour[0] && mesh_.colour(r % mesh_.n[1], 1) == colour[1]) mine.push_back(r);
        const long count = static_cast<long>(mine.size()), bundles = (count + TOGETHER - 1) / TOGETHER;
        share_out(bundles, threads_, [&](long b) {
            const long size = std::min(TOGETHER, count - b * TOGETHER);
            size == TOGETHER ? bundle<TOGETHER>(lines, &mine[b * TOGETHER], f, u)
                             : one_by_one(lines, &mine[b * TOGETHER], size, f, u);
        });
    }

    void one_by_one(const StreamLines<T>& lines, const long* r, long count, const T* f, T* u) {
        for (long k = 0; k < count; k++) bundle<1>(lines, r + k, f, u);
    }

    template <long K>
    void bundle(const StreamLines<T>& lines, const long* r, const T* f, T* u) {
        const long n = mesh_.n[2], open = lines.closed ? n - 1 : n;
        const T *p[K], *e[K], *q[K];
        T *y[K], before[K] = {};
        for (long k = 0; k < K; k++) {
            const long at = mesh_.begin(r[k]);
            const Sum sums = sum(r[k], 2, f, u);
            y[k] = space_.data() + at, p[k] = lines.p.data() + at, e[k] = lines.e.data() + at, q[k] = lines.q.data() + at;
            for (long j = 0; j < n; j += W) X::store(y[k] + j, sums.at(j));
        }
        for (long j = 0; j < open; j++)
            for (long k = 0; k < K; k++) before[k] = y[k][j] = y[k][j] + p[k][j] * before[k];
        for (long k = 0; k < K; k++) before[k] = 0;
        for (long j = open - 1; j >= 0; j--)
            for (long k = 0; k < K; k++) before[k] = y[k][j] = e[k][j] * y[k][j] + q[k][j] * before[k];
        for (long k = 0; k < K; k++) {
            T* to = u + mesh_.begin(r[k]);
            if (lines.closed) {
                const long at = mesh_.begin(r[k]), end = at + n - 1;
                const T last = lines.e[end] * (y[k][n - 1] + lines.z[0][end] * y[k][0] + lines.z[1][end] * y[k][n - 2]);
                for (long j = 0; j < open; j++) y[k][j] += lines.w[at + j] * last;
                y[k][n - 1] = last;
            }
            for (long j = 0; j < n; j++) to[j] = y[k][j];
            ghosts(to);
        }
    }

    void ghosts(T* row) const {
        if (mesh_.wraps[2]) row[-1] = row[mesh_.n[2] - 1], row[mesh_.n[2]] = row[0];
    }

    void columns(const StreamLines<T>& lines, const int colour[3], const T* f, T* u) {
        const int other = lines.axis == 0 ? 1 : 0;
        const long blocks = (mesh_.n[2] + COLUMNS - 1) / COLUMNS;
        share_out(mesh_.n[other] * blocks, threads_, [&](long task) {
            const long sheet = task / blocks, from = task % blocks * COLUMNS;
            if (mesh_.colour(sheet, other) == colour[other])
                block(lines, sheet, from, std::min(from + COLUMNS, mesh_.n[2]), colour[2], f, u);
        });
        if (mesh_.wraps[2])
            for (long r = 0; r < mesh_.rows(); r++) ghosts(u + mesh_.begin(r));
    }

    // numbers [from, to) of the rows of a sheet: all are eliminated, and those of the colour are kept
    void block(const StreamLines<T>& lines, long sheet, long from, long to, int colour, const T* f, T* u) {
        const long n = mesh_.n[lines.axis], open = lines.closed ? n - 1 : n;
        auto row = [&](long i) { return lines.axis == 0 ? i * mesh_.n[1] + sheet : sheet * mesh_.n[1] + i; };
        T* const y = space_.data();
        for (long i = 0; i < n; i++) {
            const Sum sums = sum(row(i), lines.axis, f, u);
            const long at = mesh_.begin(row(i)), before = i > 0 ? mesh_.begin(row(i - 1)) : at;
            for (long j = from; j < to; j += W) {
                V v = sums.at(j);
                if (i > 0 && i < open) v += X::load(lines.p.data() + at + j) * X::load(y + before + j);
                X::store_some(y + at + j, v, to - j);
            }
        }
        for (long i = open - 1; i >= 0; i--) {
            const long at = mesh_.begin(row(i)), next = i < open - 1 ? mesh_.begin(row(i + 1)) : at;
            for (long j = from; j < to; j += W) {
                V v = X::load(lines.e.data() + at + j) * X::load(y + at + j);
                if (i < open - 1) v += X::load(lines.q.data() + at + j) * X::load(y + next + j);
                X::store_some(y + at + j, v, to - j);
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
            const V r = X::load(y + end + j) + X::load(lines.z[0].data() + end + j) * X::load(y + first + j) +
                        X::load(lines.z[1].data() + end + j) * X::load(y + before + j);
            X::store_some(y + end + j, X::load(lines.e.data() + end + j) * r, to - j);
        }
    }

    const StreamMesh mesh_;
    const std::vector<StreamCoupling<T>>& couplings_;
    const int threads_;
    std::vector<T> space_;
    std::vector<long> chosen_;
};

}  // namespace mgnet
