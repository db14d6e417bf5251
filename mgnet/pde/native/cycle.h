// Cycles and full multigrid over all grids, each one call.
#pragma once
#include "cycles.h"
#include "direct.h"
#include "interpolant.h"
#include "members.h"
#include "pass.h"

namespace mgnet {

constexpr long SMALL = 10'000;     // unknowns of a finest grid below which threads cost more than they bring
constexpr long SMALLER = 3'500;    // the same for a coarse grid, where the helpers are at work anyway
constexpr long COMPACT = 100'000;  // up to here no more blocks than threads: a block works on its neighbours' rows, too
constexpr long THICK = 8;          // planes that a block has at least
constexpr long BLOCK_ROWS = 24;    // rows of a plane that a task works on in three dimensions

// Arrays of the coarser grids, for one member of the batch at a time.
template <class T>
struct Lane {
    T **iterates[2], **held, **data, **f_c;
    double* squares;  // one a block
};

template <class X>
class Engine final : public Cycles {
    using T = typename X::T;
    using TT = Tables<X>;

  public:
    explicit Engine(const Problem& problem)
        : batch_(problem.batch), gamma_(problem.gamma), summed_(problem.sums), L_(static_cast<int>(problem.grids.size())),
          crew_(problem.threads < MOST_WORKERS ? problem.threads : MOST_WORKERS) {
        levels_ = arena_.take<Level<T>>(L_);
        for (int l = 0; l < L_; l++) levels_[l] = Levels<X>::make(problem, problem.grids[l], arena_), share_out(l);
        direct_ = DirectSolve<X>::make(problem.direct, arena_);
        dims_ = levels_[0].dims;
        const long batch = problem.batch, size_c = levels_[0].coarse_size;
        apart_ = batch > 1 && (levels_[0].size <= SMALL || batch % crew_ == 0 || batch >= 4 * crew_);
        f_c0_ = arena_.take<T>(batch * size_c), data0_ = arena_.take<T>(batch * size_c);
        squares_ = arena_.take<double>(batch), sums_ = arena_.take<double>(2 * batch);
        spaces_ = arena_.take<T*>(crew_), lanes_ = arena_.take<Lane<T>>(crew_);
        for (int who = 0; who < crew_; who++) spaces_[who] = arena_.take<T>(workspace());
        for (int who = 0; who < (apart_ ? crew_ : 1); who++) lanes_[who] = lane();
        if (problem.centres)
            for (int d = 0; d < 3; d++)
                of_u_[d] = numbers(problem.centring.of_u[d]), of_e_[d] = numbers(problem.centring.of_e[d]);
    }

    const double* pass(const Arrays& v, int l, int way, bool norm, bool unweighted, double omega) override {
        each_member([&](Member m) {
            const Level<T>& g = levels_[l];
            const Steps<T>* ways[] = {&g.none, &g.down, &g.up, &g.both};
            const long plane = g.axes[1].n * g.axes[2].n;
            Pass<T> p{&g, ways[way], at(v.f, m, v.planes * plane), at(v.u, m, g.size), at(v.guess, m, g.coarse_size),
                      at(v.e, m, g.coarse_size), at(v.out, m, g.size), at(v.f_c, m, g.coarse_size)};
            p.omega = static_cast<T>(omega), p.unweighted = unweighted;
            if (v.after)
                p.apart = {at(v.before, m, v.begin * plane), at(v.after, m, (g.axes[0].n - v.end) * plane), v.begin, v.end};
            run_pass(m, l, p, norm);
        });
        return squares_;
    }

    void interpolant(int l, const void* f, const void* u, void* out) override {
        each_member([&](Member m) {
            const long n = levels_[l].coarse_size;
            residual_of_interpolant(m, l, at(f, m, n), at(u, m, n), at(out, m, n));
        });
    }

    void direct(const void* f, void* u) override {
        const long n = levels_[L_ - 1].coarse_size;
        each_member([&](Member m) { solve(m, at(f, m, n), at(u, m, n)); });
    }

    const double* cycle(const Finest& v, const void* u, bool known, double omega) override {
        each_member([&](Member m) {
            const long n = levels_[0].size;
            visit(m, 0, at(u, m, n), nullptr, nullptr, at(v.b, m, n), gamma_, v, known, static_cast<T>(omega));
        });
        return squares_;
    }

    const double* full_multigrid(const Finest& v, bool ready, const void* const* data,
                                 const void* const* restricted) override {
        each_member([&](Member m) { full_multigrid(m, v, ready, data, restricted); });
        return squares_;
    }

    const double* norms(const void* u, const void* b) override {
        each_member([&](Member m) {
            const Level<T>& g = levels_[0];
            Pass<T> p{&g, &g.none, at(b, m, g.size), at(u, m, g.size)};
            if (!u) p.f_c = data0_ + m.b * g.coarse_size;
            run_pass(m, 0, p, true);
        });
        return squares_;
    }

    const double* sums() const override { return sums_; }

  private:
    static const T* at(const void* v, Member m, long size) {
        return v ? static_cast<const T*>(v) + m.b * size : nullptr;
    }
    static T* at(void* v, Member m, long size) { return v ? static_cast<T*>(v) + m.b * size : nullptr; }

    const T* numbers(const std::vector<double>& v) {
        T* to = arena_.take<T>(v.size());
        for (std::size_t i = 0; i < v.size(); i++) to[i] = static_cast<T>(v[i]);
        return to;
    }

    void share_out(int l) {
        Level<T>& g = levels_[l];
        g.small = g.size <= (l == 0 ? SMALL : SMALLER) || crew_ == 1;
        g.rows = g.dims < 3 ? 1 : most(1, least(g.axes[1].n_c, (g.axes[1].n + BLOCK_ROWS / 2) / BLOCK_ROWS));
        const long tasks = g.size <= COMPACT ? crew_ : 2 * crew_, wanted = (tasks + g.rows - 1) / g.rows;
        g.planes = most(1, least(least(wanted, g.axes[0].n_c), g.axes[0].n / THICK));
    }

    std::size_t workspace() const {
        long numbers = direct_.workspace();
        for (int l = 0; l < L_; l++) {
            const Level<T>& g = levels_[l];
            const int nu = g.both.nu;
            const long pass = dims_ == 1   ? Passes<X, 1>::workspace(g, nu)
                              : dims_ == 2 ? Passes<X, 2>::workspace(g, nu)
                                           : Passes<X, 3>::workspace(g, nu);
            numbers = most(numbers, most(pass, Interpolants<X>::workspace(g)));
        }
        return numbers + 4 * SLACK;
    }

    Lane<T> lane() {
        Lane<T> to{};
        for (T*** of : {&to.iterates[0], &to.iterates[1], &to.held, &to.data, &to.f_c}) *of = arena_.take<T*>(L_ + 1);
        long blocks = 1;
        for (int l = 0; l < L_; l++) {
            const long n = levels_[l].coarse_size;
            for (T** of : {to.iterates[0], to.iterates[1], to.held, to.data}) of[l + 1] = arena_.take<T>(n);
            to.f_c[l] = arena_.take<T>(n);
            blocks = most(blocks, levels_[l].planes * levels_[l].rows);
        }
        to.squares = arena_.take<double>(blocks);
        return to;
    }

    template <class Body>
    void each_member(const Body& body) {
        mgnet::each_member(batch_, crew_, apart_, body);
    }

    // the coarsest grid's solution
    void solve(Member m, const T* f, T* u) { direct_(f, u, spaces_[m.who]); }

    void run_pass(Member m, int l, Pass<T> p, bool norm) {
        const Level<T>& g = levels_[l];
        const bool alone = m.crew == 1 || g.small;
        p.squares = norm ? lanes_[apart_ ? m.who : 0].squares : nullptr;
        p.blocks0 = alone ? 1 : g.planes, p.blocks1 = g.rows;
        const long tasks = p.blocks0 * p.blocks1;
        share(m, tasks, alone ? 1 : crew_, spaces_, [&](long number, T* space) {
            if (dims_ == 1) Passes<X, 1>::block(p, number, space);
            if (dims_ == 2) Passes<X, 2>::block(p, number, space);
            if (dims_ == 3) Passes<X, 3>::block(p, number, space);
        });
        if (!norm) return;
        double total = 0;
        for (long k = 0; k < tasks; k++) total += p.squares[k];
        squares_[m.b] = total;
    }

    void residual_of_interpolant(Member m, int l, const T* f, const T* u, T* out) {
        const Level<T>& g = levels_[l];
        const bool alone = m.crew == 1 || g.coarse_size <= (l == 0 ? SMALL : SMALLER);
        const long n = g.axes[0].n_c, blocks = alone ? 1 : least(n, 2 * crew_);
        share(m, blocks, alone ? 1 : crew_, spaces_, [&](long t, T* space) {
            Interpolants<X>::planes(g, f, u, out, t * n / blocks, (t + 1) * n / blocks, space);
        });
    }

    // One cycle on grid l; the iterate is u, or the interpolant of `guess` (smooth already: no steps down), or zero.
    // Watched, the way up on the finest grid takes the next cycle's steps down as well, and leaves the residual's norm
    // and restriction: a cycle is then one pass over this grid. The order of the steps is the same.
    T* visit(Member m, int l, const T* u, const T* guess, const T* restricted, const T* f, int gamma, const Finest& v,
             bool known, T omega) {
        Lane<T>& lane = lanes_[apart_ ? m.who : 0];
        if (l == L_) {
            solve(m, f, lane.iterates[0][l]);
            return lane.iterates[0][l];
        }
        const Level<T>& g = levels_[l];
        const bool measure = l == 0 && v.measure, unweighted = l == 0 && v.unweighted;
        T* f_c = l == 0 ? f_c0_ + m.b * g.coarse_size : lane.f_c[l];
        Pass<T> p{&g, &g.none, f, u};
        p.f_c = f_c, p.unweighted = unweighted;
        if (guess) {
            residual_of_interpolant(m, l, restricted, guess, f_c);
        } else if (!(measure && known)) {
            if (!measure && g.down.nu > 0)
                p.steps = &g.down, p.out = l == 0 ? at(v.scratch, m, g.size) : other(lane, l, u);
            run_pass(m, l, p, false);
            if (p.out) u = p.out;
        }
        T* e = visit(m, l + 1, nullptr, nullptr, nullptr, f_c, gamma, v, false, 1);
        if (l + 1 < L_)
            for (int again = gamma == 0 ? 1 : gamma - 1; again > 0; again--)
                e = visit(m, l + 1, e, nullptr, nullptr, f_c, gamma == 0 ? 1 : gamma, v, false, 1);
        if (guess && l == 0 && of_u_[0]) centre(guess, e);
        p.u = u, p.guess = guess, p.e = e, p.out = l == 0 ? at(v.out, m, g.size) : other(lane, l, u);
        p.steps = measure ? &g.both : &g.up, p.f_c = measure ? f_c : nullptr, p.omega = measure ? omega : T(1);
        run_pass(m, l, p, measure);
        return p.out;
    }

    static T* other(const Lane<T>& lane, int l, const T* u) { return lane.iterates[u == lane.iterates[0][l]][l]; }

    void full_multigrid(Member m, const Finest& v, bool ready, const void* const* given,
                        const void* const* restricted) {
        Lane<T>& lane = lanes_[apart_ ? m.who : 0];
        const T* b = at(v.b, m, levels_[0].size);
        auto datum = [&](int l) -> T* { return l == 1 ? data0_ + m.b * levels_[0].coarse_size : lane.data[l]; };
        auto f_of = [&](int l) -> const T* {
            return l == 0 ? b : given ? at(given[l - 1], m, levels_[l - 1].coarse_size) : datum(l);
        };
        for (int l = given ? L_ : ready ? 1 : 0; l < L_; l++) {
            const Level<T>& g = levels_[l];
            Pass<T> p{&g, &g.none, f_of(l)};
            p.f_c = datum(l + 1), p.unweighted = l == 0 && v.unweighted;
            run_pass(m, l, p, false);
        }
        if (summed_) sum(m, f_of(L_ < 2 ? L_ : 2), levels_[L_ < 2 ? L_ - 1 : 1].coarse_size);
        T* u = visit(m, L_, nullptr, nullptr, nullptr, f_of(L_), 1, v, false, 1);
        for (int l = L_ - 1; l >= 0; l--) {
            // u becomes an interpolant; its memory is exchanged for that of the last one
            T** iterate = u == lane.iterates[0][l + 1] ? &lane.iterates[0][l + 1] : &lane.iterates[1][l + 1];
            *iterate = lane.held[l + 1], lane.held[l + 1] = u;
            const T* rest = restricted ? at(restricted[l], m, levels_[l].coarse_size) : f_of(l + 1);
            u = visit(m, l, nullptr, u, rest, f_of(l), gamma_, v, false, 1);
        }
    }

    void sum(Member m, const T* v, long n) {
        double total = 0;
        for (long i = 0; i < n; i++) total += v[i];
        sums_[2 * m.b] = total, sums_[2 * m.b + 1] = Rows<X>::absolute(v, n);
    }

    // e += the number that lets the mean of Q u + P e be zero
    void centre(const T* u, T* e) const {
        const Level<T>& g = levels_[0];
        double total = 0;
        const long n0 = g.axes[0].n_c, n1 = g.axes[1].n_c, n2 = g.axes[2].n_c;
        for (long p = 0; p < n0; p++)
            for (long j = 0; j < n1; j++) {
                const long row = (p * n1 + j) * n2;
                total += double(of_u_[0][p]) * of_u_[1][j] * Rows<X>::dot(u + row, of_u_[2], n2);
                total += double(of_e_[0][p]) * of_e_[1][j] * Rows<X>::dot(e + row, of_e_[2], n2);
            }
        const T shift = static_cast<T>(total);
        for (long i = 0; i < g.coarse_size; i++) e[i] -= shift;
    }

    Arena arena_;
    const long batch_;
    const int gamma_;
    const bool summed_;
    const int L_, crew_;
    int dims_;
    bool apart_;  // whether members are worked on several at once
    Level<T>* levels_;
    DirectSolve<X> direct_{};
    T *f_c0_, *data0_;
    double *squares_, *sums_;
    T** spaces_;
    Lane<T>* lanes_;
    const T *of_u_[3] = {}, *of_e_[3] = {};
};

}  // namespace mgnet
