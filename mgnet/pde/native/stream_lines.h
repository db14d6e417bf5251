// Lines of one grid, factored for their exact solution u = T^-1 r. Both ends are eliminated towards where they meet:
//
//     y_i = r_i + p_i y_{i-1} (below: i-1, above: i+1),     u_i = e_i y_i + q_i u_{i+1},
//     u_meet = e (r + p y_{meet-1} + q y_{meet+1}).
//
// A closed line is opened at its last unknown, u = y + w u_last, u_last = e_last (r_last + z_0 y_0 + z_1 y_{n-2}).
#pragma once
#include <algorithm>
#include <cmath>

#include "arena.h"
#include "stream_mesh.h"

namespace mgnet {

// The lines along one axis of one member's grid.
template <class T>
struct StreamLines {
    int axis = 0;
    bool closed = false;
    long meet = 0;  // the middle of rows, whose two recurrences then run side by side; else the last unknown
    T *p = nullptr, *e = nullptr, *q = nullptr, *w = nullptr, *z[2] = {};

    static StreamLines of(const StreamOperator& A, int axis, int threads, Arena& arena) {
        StreamLines to;
        const StreamMesh& mesh = A.mesh;
        int ahead[3] = {}, behind[3] = {};
        ahead[axis] = 1, behind[axis] = -1;
        const double *forth = A.s[number_of(ahead[0], ahead[1], ahead[2])],
                     *back = A.s[number_of(behind[0], behind[1], behind[2])];
        to.axis = axis, to.closed = mesh.wraps[axis] && mesh.n[axis] > 1;
        for (T** v : {&to.p, &to.e, &to.q}) *v = arena.take<T>(mesh.size() + SIDE);
        if (to.closed)
            for (T** v : {&to.w, &to.z[0], &to.z[1]}) *v = arena.take<T>(mesh.size() + SIDE);
        const long n = mesh.n[axis], stride = mesh.stride(), open = to.closed ? n - 1 : n;
        to.meet = axis == 2 ? open / 2 : open - 1;
        const long step = axis == 2 ? 1 : axis == 1 ? stride : stride * mesh.n[1];
        const long sheets = axis == 0 ? mesh.n[1] : mesh.n[0], lines = axis == 2 ? mesh.n[1] : mesh.n[2];
        share_out(sheets, threads, [&](long sheet) {
            std::vector<double> room(5 * n);
            double *const l = room.data(), *const h = l + n, *const m = h + n, *const x = m + n, *const own = x + n;
            for (long line = 0; line < lines; line++) {
                const long at = axis == 2 ? mesh.begin(sheet * mesh.n[1] + line)
                                          : mesh.begin(axis == 1 ? sheet * mesh.n[1] : sheet) + line;
                for (long i = 0; i < n; i++) {
                    l[i] = back ? back[at + i * step] : 0.0, h[i] = forth ? forth[at + i * step] : 0.0;
                    m[i] = A.s[CENTRE][at + i * step] - l[i] - h[i];
                }
                to.closed ? to.close(n, at, step, l, h, m, x, own) : to.eliminate(n, at, step, l, h, m);
            }
        });
        return to;
    }

  private:
    void close(long n, long at, long step, double* l, double* h, double* m, double* x, double* own) {
        const long open = n - 1, end = at + open * step;
        const double low = l[0], high = h[open - 1], z0 = h[open], z1 = l[open];
        l[0] = h[open - 1] = 0;
        std::copy(m, m + open, own);
        m[0] += low, m[open - 1] += high;
        eliminate(open, at, step, l, h, m);
        solve(open, at, step, own, x);
        const double last = m[open] + z0 * x[0] + z1 * x[open - 1];
        std::fill(own, own + open, 0.0);
        own[0] += low, own[open - 1] += high;
        solve(open, at, step, own, x);
        for (long i = 0; i < open; i++) w[at + i * step] = static_cast<T>(x[i]);
        e[end] = static_cast<T>(reciprocal(last, z0 + z1)), z[0][end] = static_cast<T>(z0), z[1][end] = static_cast<T>(z1);
    }

    // Nothing is subtracted: m are the row sums, and stay so.
    void eliminate(long n, long at, long step, const double* l, const double* h, double* m) {
        double below = 0, above = 0;
        auto pass = [&](long i, double from, double before, double to, double& inverse) {
            const double factor = from * inverse;
            m[i] += factor * before;
            inverse = reciprocal(m[i] + to, from + to);
            p[at + i * step] = static_cast<T>(factor), e[at + i * step] = static_cast<T>(inverse);
            q[at + i * step] = static_cast<T>(to * inverse);
        };
        for (long i = 0, k = n - 1; i < meet || k > meet; i++, k--) {
            if (i < meet) pass(i, l[i], i > 0 ? m[i - 1] : 0.0, h[i], below);
            if (k > meet) pass(k, h[k], k < n - 1 ? m[k + 1] : 0.0, l[k], above);
        }
        const double low = l[meet] * below, high = h[meet] * above;
        if (meet > 0) m[meet] += low * m[meet - 1];
        if (meet < n - 1) m[meet] += high * m[meet + 1];
        p[at + meet * step] = static_cast<T>(low), q[at + meet * step] = static_cast<T>(high);
        e[at + meet * step] = static_cast<T>(reciprocal(m[meet], l[meet] + h[meet]));
    }

    void solve(long n, long at, long step, const double* r, double* x) const {
        auto of = [&](const T* v, long i) { return static_cast<double>(v[at + i * step]); };
        for (long i = 0; i < meet; i++) x[i] = r[i] + (i > 0 ? of(p, i) * x[i - 1] : 0.0);
        for (long i = n - 1; i > meet; i--) x[i] = r[i] + (i < n - 1 ? of(p, i) * x[i + 1] : 0.0);
        x[meet] = r[meet] + (meet > 0 ? of(p, meet) * x[meet - 1] : 0.0) + (meet < n - 1 ? of(q, meet) * x[meet + 1] : 0.0);
        x[meet] *= of(e, meet);
        for (long i = meet - 1; i >= 0; i--) x[i] = of(e, i) * x[i] + of(q, i) * x[i + 1];
        for (long i = meet + 1; i < n; i++) x[i] = of(e, i) * x[i] + of(q, i) * x[i - 1];
    }

    // 1 / d, 0 where d is round-off of 0 beside what it is made of
    static double reciprocal(double d, double beside) { return std::abs(d) > 1e-14 * std::abs(beside) ? 1 / d : 0.0; }
};

}  // namespace mgnet
