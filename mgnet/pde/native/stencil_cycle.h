// Cycles, full multigrid and conjugate gradients over all grids of a black-box hierarchy, each one call.
#pragma once
#include <cmath>
#include <utility>

#include "krylov.h"
#include "lines.h"
#include "members.h"
#include "stencil_clusters.h"
#include "stencil_cycles.h"
#include "stencil_dense.h"
#include "stencil_pass.h"

namespace mgnet {

constexpr long FEW = 6'000;         // unknowns of a finest grid below which threads cost more than they bring
constexpr long FEWER = 2'000;       // the same for a coarse grid, where the helpers are at work anyway
constexpr long BROAD = 8;           // coarse planes that a block has at least
constexpr long ROWS_OF_BLOCK = 24;  // rows of a plane that a task works on in three dimensions
constexpr long APART = 1200;        // bytes between fields, so that their rows do not meet in one place of a page
constexpr double LOST = 0.03;       // of (r, z), see krylov.py

// A level as the engine sees it.
template <class T>
struct StencilGrid {
    const StencilLevel<T>* level;
    long size, size_c;        // numbers of a member's field
    long own, own_c;          // numbers from one member's coefficients to the next; 0 where they share one
    long between, between_c;  // numbers from one coupling to the next
    const T *down, *up;
    int nu_down, nu_up;
    bool small;
    long planes, rows;     // blocks
    const long* clusters;  // (members + 1,) where each member's clusters begin
    bool plain() const { return level->lines.empty() && level->clusters.inverse.empty(); }
};

template <class X>
class StencilEngine final : public StencilCycles {
    using T = typename X::T;

    // Arrays of one member of the batch at a time; those of the finest grid belong to the batch.
    struct Lane {
        T **iterates[2], **f_c, **data;
        double *values, *sums;
    };

  public:
    StencilEngine(const StencilHierarchy<T>& hierarchy, const StencilRun& run)
        : h_(hierarchy),
          run_(run),
          L_(static_cast<int>(hierarchy.levels.size())),
          crew_(run.threads < MOST_WORKERS ? run.threads : MOST_WORKERS),
          mesh_(hierarchy.finest),
          size_(mesh_.size()) {
        arena_.reserve(bytes());
        grids_ = arena_.take<StencilGrid<T>>(L_);
        for (int l = 0; l < L_; l++) {
            grids_[l] = grid(l);
            lines_.push_back(LineSmoother<X>::make(h_.levels[l], h_.members, crew_, arena_));
        }
        const long batch = run.batch, unknowns = mesh_.unknowns();
        small_ = unknowns <= FEW || crew_ == 1;
        apart_ = batch > 1 && (unknowns <= FEW || batch % crew_ == 0 || batch >= 4 * crew_);
        if (!h_.alone) inverse_ = DenseProduct<X>::make(h_.coarsest, h_.members, h_.inverse, arena_);
        for (T** field : {&r_, &p_, &q_, &finest_[0], &finest_[1]})
            *field = h_.alone ? nullptr : arena_.take<T>(batch * size_ + APART / sizeof(T));
        z_ = arena_.take<T*>(batch), sizes_ = arena_.take<double>(batch);
        for (long b = 0; b < batch; b++) sizes_[b] = 1, z_[b] = h_.alone ? nullptr : finest_[0] + b * size_;
        spaces_ = arena_.take<T*>(crew_), lanes_ = arena_.take<Lane>(crew_);
        for (int who = 0; who < crew_; who++)
            spaces_[who] = reinterpret_cast<T*>(arena_.take<double>(workspace()));
        for (int who = 0; who < (apart_ ? crew_ : 1); who++) lanes_[who] = lane();
    }

    void begin(const void* x, const void* b, double* norms) override {
        each_member([&](Member m) { begin(m, x, b, norms); });
    }
    void precondition(double* rz) override {
        each_member([&](Member m) { rz[m.b] = precondition(m); });
    }
    void direct(const double* beta, double* energy) override {
        each_member([&](Member m) { energy[m.b] = direct(m, beta[m.b]); });
        std::swap(p_, q_);
    }
    void step(const double* alpha, const void* x, void* x_out, const void* b, double* norms, double* rp) override {
        each_member([&](Member m) {
            norms[m.b] = moved(m, x, at(p_, m), alpha[m.b] * sizes_[m.b], x_out, b, at(r_, m), &rp[m.b]);
        });
    }
    void dot(const void* v, const void* w, double* sums) override {
        each_member([&](Member m) { sums[m.b] = dotted(m, of(v, 0, m), of(w, 0, m)); });
    }
    void turn(const void* z, const void* p, const double* beta, void* p_out, double* energy) override {
        each_member([&](Member m) { energy[m.b] = turned(m, of(z, 0, m), of(p, 0, m), beta[m.b], of(p_out, 0, m)); });
    }
    void move(const void* x, const void* p, const double* alpha, void* x_out, const void* b, const double* scale, void* r,
              double* squares, double* rp) override {
        each_member([&](Member m) {
            squares[m.b] = moved(m, x, of(p, 0, m), alpha[m.b], x_out, b, scale[m.b], of(r, 0, m), &rp[m.b]);
        });
    }
    void advance(const void* x, void* x_out, const void* b, const double* floor, double* norms, double* rz,
                 double* rp) override {
        each_member([&](Member m) {
            const long k = m.b;
            if (norms[k] > floor[k])
                advance(m, x, x_out, b, norms[k], rz[k], rp[k]);
            else
                moved(m, x, nullptr, 0, x_out, b, nullptr, nullptr);
        });
        std::swap(p_, q_);
    }
    void full_multigrid(void* x_out, const void* b, bool measured, double* norms) override {
        each_member([&](Member m) {
            begin(m, nullptr, b, norms);
            T* u = full_multigrid(m);
            norms[m.b] = moved(m, nullptr, u, sizes_[m.b], x_out, measured ? b : nullptr, nullptr, nullptr);
        });
    }
    void cycle(const void* x, void* x_out, const void* b, bool measured, double* norms) override {
        each_member([&](Member m) {
            begin(m, x, b, norms);
            T* z = visit(m, 0, nullptr, nullptr, at(r_, m), run_.gamma, nullptr);
            norms[m.b] = moved(m, x, z, sizes_[m.b], x_out, measured ? b : nullptr, nullptr, nullptr);
        });
    }
    void norms(const void* x, const void* b, double* norms) override {
        each_member([&](Member m) {
            norms[m.b] = x ? moved(m, x, nullptr, 0, nullptr, b, nullptr, nullptr) : size_of(m, b);
        });
    }

    void smooth(int l, const void* u, const void* f, void* out, bool up) override {
        each_member([&](Member m) {
            const T *from = of(u, l, m), *data = of(f, l, m);
            T* to = room(m, l, from, out);
            const T* v = up ? stepped(m, l, from, nullptr, data, to, true, nullptr)
                            : smoothed(m, l, from, nullptr, data, to);
            copy(of(out, l, m), v, grids_[l].size);
        });
    }
    void down(int l, const void* u, const void* f, void* out, void* f_c) override {
        each_member([&](Member m) {
            const T *from = of(u, l, m), *data = of(f, l, m);
            const T* v = down(m, l, from, nullptr, data, room(m, l, from, out), of(f_c, l + 1, m));
            copy(of(out, l, m), v, grids_[l].size);
        });
    }
    void up(int l, const void* u, const void* f, const void* e, void* out) override {
        each_member([&](Member m) {
            const T* from = of(u, l, m);
            const T* v = up(m, l, from, of(e, l + 1, m), of(f, l, m), room(m, l, from, out), nullptr);
            copy(of(out, l, m), v, grids_[l].size);
        });
    }
    void restrict_(int l, const void* u, const void* f, void* f_c) override {
        each_member([&](Member m) { restrict_(m, l, of(u, l, m), of(f, l, m), of(f_c, l + 1, m)); });
    }
    void interpolate(int l, const void* u, const void* e, void* out) override {
        each_member([&](Member m) {
            const T* from = of(e, l + 1, m);
            pass(m, l, of(u, l, m), from, from, nullptr, 0, of(out, l, m), nullptr, nullptr);
        });
    }
    void solve(const void* f, void* u) override {
        each_member([&](Member m) { inverse_(m.b, of(f, L_, m), of(u, L_, m), space(m)); });
    }

  private:
    long size(int l) const { return l < L_ ? grids_[l].size : h_.coarsest.size(); }
    const T* of(const void* v, int l, Member m) const {
        return v ? static_cast<const T*>(v) + m.b * size(l) : nullptr;
    }
    T* of(void* v, int l, Member m) const { return v ? static_cast<T*>(v) + m.b * size(l) : nullptr; }
    T* at(T* field, Member m) const { return field + m.b * size_; }
    Lane& lane_of(Member m) { return lanes_[apart_ ? m.who : 0]; }
    T* space(Member m) const { return spaces_[m.who]; }
    static void copy(T* to, const T* from, long n) {
        for (long i = 0; i < n && to != from; i++) to[i] = from[i];
    }

    StencilGrid<T> grid(int l) {
        const StencilLevel<T>& level = h_.levels[l];
        StencilGrid<T> g{};
        g.level = &level, g.size = level.fine.size(), g.size_c = level.coarse.size();
        g.own = h_.members > 1 ? g.size : 0, g.own_c = h_.members > 1 ? g.size_c : 0;
        g.between = h_.members * g.size, g.between_c = h_.members * g.size_c;
        g.down = level.down.data(), g.nu_down = static_cast<int>(level.down.size());
        g.up = level.up.data(), g.nu_up = static_cast<int>(level.up.size());
        g.small = level.fine.unknowns() <= (l == 0 ? FEW : FEWER) || crew_ == 1;
        const long nc0 = level.coarse.n[0];
        g.rows = blocks_of_rows(level.fine.n[1], level.coarse.n[1]);
        const long tasks = 2 * crew_, wanted = (tasks + g.rows - 1) / g.rows;
        g.planes = least(wanted, nc0 / BROAD);
        if (g.planes < 1) g.planes = 1;
        long* clusters = arena_.take<long>(h_.members + 1);
        for (long k : level.clusters.member) clusters[k + 1]++;
        for (long k = 0; k < h_.members; k++) clusters[k + 1] += clusters[k];
        g.clusters = clusters;
        return g;
    }

    static bool flat(const Mesh& mesh) { return mesh.points == FIVE || mesh.points == NINE; }
    static long blocks_of_rows(long n, long most_blocks) {
        return most(1, least(most_blocks, (n + ROWS_OF_BLOCK / 2) / ROWS_OF_BLOCK));
    }
    static long least(long a, long b) { return a < b ? a : b; }
    static long most(long a, long b) { return a > b ? a : b; }

    // of most arrays, which come in one block
    std::size_t bytes() const {
        if (h_.alone) return 0;
        long numbers = 5 * (run_.batch * size_ + 512);
        for (const StencilLevel<T>& level : h_.levels) numbers += 4 * (level.coarse.size() + 64);
        return numbers * sizeof(T);
    }

    // doubles
    long workspace() const {
        long numbers = h_.alone ? 0 : DenseProduct<X>::workspace(h_.coarsest);
        for (int l = 0; l < L_; l++) {
            const StencilGrid<T>& g = grids_[l];
            const int nu = g.nu_down > g.nu_up ? g.nu_down : g.nu_up;
            numbers = most(numbers, flat(g.level->fine)
                                        ? StencilPasses<X, NINE>::workspace(*g.level, nu, g.rows)
                                        : StencilPasses<X, TWENTY_SEVEN>::workspace(*g.level, nu, g.rows));
            numbers = most(numbers, lines_[l].workspace());
        }
        const long rows = blocks_of_rows(mesh_.n[1], mesh_.n[1]);
        return most(numbers, flat(mesh_) ? KrylovPasses<X, T, FIVE>::workspace(mesh_, rows)  // as of NINE
                                             : KrylovPasses<X, T, SEVEN>::workspace(mesh_, rows));
    }

    Lane lane() {
        Lane to{};
        for (T*** of : {&to.iterates[0], &to.iterates[1], &to.f_c, &to.data}) *of = arena_.take<T*>(L_ + 1);
        long clusters = 0;
        for (int l = 0; l < L_; l++) {
            const long n = grids_[l].size_c;
            for (T** of : {to.iterates[0], to.iterates[1], to.f_c, to.data})
                of[l + 1] = h_.alone ? nullptr : arena_.take<T>(n);
            clusters = most(clusters, static_cast<long>(grids_[l].level->clusters.inverse.size()));
        }
        to.values = arena_.take<double>(clusters), to.sums = arena_.take<double>(2 * mesh_.rows());
        return to;
    }

    template <class Body>
    void each_member(const Body& body) {
        mgnet::each_member(run_.batch, crew_, apart_, body);
    }

    // body(block, workspace) for blocks of one member's work
    template <class Body>
    void blocks(Member m, long tasks, bool alone, const Body& body) {
        struct Job {
            const Body* body;
            T** spaces;
            int who;
        } job{&body, spaces_, m.who};
        run(
            tasks, alone || m.crew == 1 ? 1 : crew_,
            [](void* job, long number, int who) {
                const Job& j = *static_cast<Job*>(job);
                (*j.body)(number, j.spaces[j.who + who]);
            },
            &job);
    }

    // a sum of the sums of rows that count, in an order of its own
    double total(const double* v) const {
        double part[8] = {};
        const long n = least(run_.counted[1], mesh_.n[0]) * mesh_.n[1];
        for (long i = run_.counted[0] * mesh_.n[1]; i < n; i++) part[i % 8] += v[i];
        return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
    }

    void pass(Member m, int l, const T* u, const T* e, const T* f, const T* steps, int nu, T* out, T* f_c,
              double* sums) {
        const StencilGrid<T>& g = grids_[l];
        const bool alone = m.crew == 1 || g.small;
        const StencilPass<T> p{g.level, g.level->S + m.b * g.own, g.level->W + m.b * g.own_c, g.between, g.between_c,
                               u,       e,   f, out, f_c, steps, nu, sums, alone ? 1 : g.planes, g.rows};
        blocks(m, p.blocks0 * p.blocks1, alone, [&](long number, T* numbers) {
            switch (g.level->fine.points) {
                case FIVE:
                    return StencilPasses<X, FIVE>::block(p, number, numbers);
                case NINE:
                    return StencilPasses<X, NINE>::block(p, number, numbers);
                case SEVEN:
                    return StencilPasses<X, SEVEN>::block(p, number, numbers);
                case NINETEEN:
                    return StencilPasses<X, NINETEEN>::block(p, number, numbers);
                default:
                    return StencilPasses<X, TWENTY_SEVEN>::block(p, number, numbers);
            }
        });
    }

    T* other(Member m, int l, const T* u) {
        T* const pair[2] = {l == 0 ? at(finest_[0], m) : lane_of(m).iterates[0][l],
                            l == 0 ? at(finest_[1], m) : lane_of(m).iterates[1][l]};
        return u == pair[0] ? pair[1] : pair[0];
    }

    // where a verb works: of a level alone in the caller's field, which then has room behind it
    T* room(Member m, int l, const T* u, void* out) { return h_.alone ? of(out, l, m) : other(m, l, u); }

    void restrict_(Member m, int l, const T* u, const T* f, T* f_c) {
        pass(m, l, u, nullptr, f, nullptr, 0, nullptr, f_c, nullptr);
    }

    // u, or P guess, or zero, after the steps of a way, by points or lines: in `out`, or u itself after none
    const T* stepped(Member m, int l, const T* u, const T* guess, const T* f, T* out, bool up, double* sums) {
        const StencilGrid<T>& g = grids_[l];
        const bool lines = !g.level->lines.empty();
        const int nu = up ? g.nu_up : g.nu_down;
        if (u && !guess && nu == 0) return u;
        if (!lines) {
            pass(m, l, u, guess, f, up ? g.up : g.down, nu, out, nullptr, sums);
            return out;
        }
        const bool zero = !u && !guess;
        if (guess || nu == 0) pass(m, l, u, guess, f, nullptr, 0, out, nullptr, nullptr);
        if (!guess && u) copy(out, u, g.size);
        for (int sweep = 0; sweep < nu; sweep++)
            lines_[l].sweep(up, out, f, m.b, zero && sweep == 0, {spaces_, m.who, g.small ? 1 : m.crew});
        return out;
    }

    const T* smoothed(Member m, int l, const T* u, const T* guess, const T* f, T* out) {
        const T* v = stepped(m, l, u, guess, f, out, false, nullptr);
        if (grids_[l].level->clusters.inverse.empty()) return v;
        copy(out, v, grids_[l].size);
        correct(m, l, out, f);
        return out;
    }

    // u += B (f - A u)
    void correct(Member m, int l, T* u, const T* f) {
        const StencilGrid<T>& g = grids_[l];
        const Clusters<T>& B = g.level->clusters;
        const long k = h_.members > 1 ? m.b : 0, from = g.clusters[k], count = g.clusters[k + 1] - from;
        if (count == 0) return;
        const bool alone = m.crew == 1 || B.begin[from + count] - B.begin[from] < FEW;
        const long tasks = alone ? 1 : least(4 * crew_, count);
        double* values = lane_of(m).values;
        blocks(m, tasks, alone, [&](long t, T*) {
            ClusterCorrections<X>::sum(B, from + t * count / tasks, from + (t + 1) * count / tasks, u, f, values);
        });
        blocks(m, tasks, alone, [&](long t, T*) {
            ClusterCorrections<X>::add(B, from + t * count / tasks, from + (t + 1) * count / tasks, values,
                                       g.level->fine, u);
        });
    }

    // Smooth, then f_c = P^T (f - A u): one pass but where lines or clusters come between.
    const T* down(Member m, int l, const T* u, const T* guess, const T* f, T* out, T* f_c) {
        const StencilGrid<T>& g = grids_[l];
        if (g.plain() && (guess || !u || g.nu_down > 0)) {
            pass(m, l, u, guess, f, g.down, g.nu_down, out, f_c, nullptr);
            return out;
        }
        if (!g.plain()) u = smoothed(m, l, u, guess, f, out);
        pass(m, l, u, nullptr, f, nullptr, 0, nullptr, f_c, nullptr);
        return u;
    }

    // u + P e, then smooth; sums: of (f, u), where steps of points come last
    const T* up(Member m, int l, const T* u, const T* e, const T* f, T* out, double* sums) {
        const StencilGrid<T>& g = grids_[l];
        if (g.plain()) {
            pass(m, l, u, e, f, g.up, g.nu_up, out, nullptr, sums);
            return out;
        }
        T* sum = g.level->lines.empty() && g.nu_up > 0 ? other(m, l, out) : out;  // maybe u's memory
        pass(m, l, u, e, f, nullptr, 0, sum, nullptr, nullptr);
        if (!g.level->clusters.inverse.empty()) correct(m, l, sum, f);
        return stepped(m, l, sum, nullptr, f, out, true, sums);
    }

    bool sums_come_along() const {
        if (L_ == 0) return false;
        const StencilGrid<T>& g = grids_[0];
        return g.level->lines.empty() && (g.nu_up > 0 || g.level->clusters.inverse.empty());
    }

    // One cycle on grid l from u, or from P guess, or from zero.
    T* visit(Member m, int l, const T* u, const T* guess, const T* f, int gamma, double* sums) {
        if (l == L_) {
            T* solution = other(m, l, nullptr);
            inverse_(m.b, f, solution, space(m));
            return solution;
        }
        T* f_c = lane_of(m).f_c[l + 1];
        u = down(m, l, u, guess, f, other(m, l, u), f_c);
        T* e = visit(m, l + 1, nullptr, nullptr, f_c, gamma, nullptr);
        if (l + 1 < L_)
            for (int again = gamma == 0 ? 1 : gamma - 1; again > 0; again--)
                e = visit(m, l + 1, e, nullptr, f_c, gamma == 0 ? 1 : gamma, nullptr);
        return const_cast<T*>(up(m, l, u, e, f, other(m, l, u), sums));
    }

    // from the residual in r_
    T* full_multigrid(Member m) {
        Lane& lane = lane_of(m);
        const T* f = at(r_, m);
        for (int l = 0; l < L_; l++) restrict_(m, l, nullptr, f, lane.data[l + 1]), f = lane.data[l + 1];
        T* u = visit(m, L_, nullptr, nullptr, f, run_.gamma, nullptr);
        for (int l = L_ - 1; l >= 0; l--)
            u = visit(m, l, nullptr, u, l == 0 ? at(r_, m) : lane.data[l], run_.gamma, nullptr);
        return u;
    }

    using Block = void (*)(const KrylovPass<T>&, long, double*);
    // the pass `what` (0: direct, 1: step, 2: size of b) for this precision of data and these points
    Block krylov(int what) const {
        return run_.single ? of_data<float>(what) : of_data<double>(what);
    }
    template <class Data>
    Block of_data(int what) const {
        switch (mesh_.points) {
            case FIVE:
                return choice<Data, FIVE>(what);
            case NINE:
                return choice<Data, NINE>(what);
            case SEVEN:
                return choice<Data, SEVEN>(what);
            case NINETEEN:
                return choice<Data, NINETEEN>(what);
            default:
                return choice<Data, TWENTY_SEVEN>(what);
        }
    }
    template <class Data, Points P>
    static Block choice(int what) {
        using K = KrylovPasses<X, Data, P>;
        return what == 0 ? &K::direct : what == 1 ? &K::step : &K::size;
    }

    KrylovPass<T> krylov_pass(Member m) {
        const long own = h_.members > 1 ? m.b * size_ : 0;
        KrylovPass<T> p{};
        p.mesh = &mesh_, p.between = h_.members * size_, p.S = h_.S + own, p.s = h_.s + own;
        p.S_wide = h_.couplings + own, p.excess = h_.excess + own, p.sums = lane_of(m).sums;
        p.blocks0 = m.crew == 1 || small_ ? 1 : least(2 * crew_, mesh_.n[0]);
        p.blocks1 = blocks_of_rows(mesh_.n[1], mesh_.n[1]);
        return p;
    }

    void run_krylov(Member m, int what, KrylovPass<T>& p) {
        if (what == 2) p.blocks1 = 1;
        const Block block = krylov(what);
        blocks(m, p.blocks0 * p.blocks1, small_,
               [&](long number, T* space) { block(p, number, reinterpret_cast<double*>(space)); });
    }

    const void* data(const void* v, Member m) const {
        return v ? static_cast<const char*>(v) + m.b * mesh_.unknowns() * (run_.single ? 4 : 8) : nullptr;
    }

    double size_of(Member m, const void* b) {
        KrylovPass<T> p = krylov_pass(m);
        p.b = data(b, m);
        run_krylov(m, 2, p);
        return std::sqrt(total(p.sums));
    }

    // x_out = x + alpha s p, its residual to r if that is not 0; ||b - A x_out||, and (r, p), unless b is 0
    double moved(Member m, const void* x, const T* p, double alpha, void* x_out, const void* b, T* r, double* rp) {
        return std::sqrt(moved(m, x, p, alpha, x_out, b, 1 / sizes_[m.b], r, rp));
    }
    double moved(Member m, const void* x, const T* p, double alpha, void* x_out, const void* b, double scale, T* r,
                 double* rp) {
        KrylovPass<T> pass = krylov_pass(m);
        pass.x = data(x, m), pass.b = data(b, m), pass.x_out = const_cast<void*>(data(x_out, m));
        pass.p = p, pass.r = r, pass.factor = alpha, pass.scale = scale;
        run_krylov(m, 1, pass);
        if (!b) return 0;
        if (rp) *rp = total(pass.sums + mesh_.rows());
        return total(pass.sums);
    }

    void begin(Member m, const void* x, const void* b, double* norms) {
        const double size = size_of(m, b);
        sizes_[m.b] = size > 0 ? size : 1;
        T* p = at(p_, m);
        for (long i = 0; i < size_; i++) p[i] = 0;
        norms[m.b] = moved(m, x, nullptr, 0, nullptr, b, at(r_, m), nullptr);
    }

    double precondition(Member m) {
        const bool along = sums_come_along();
        double* sums = lane_of(m).sums;
        z_[m.b] = visit(m, 0, nullptr, nullptr, at(r_, m), run_.gamma, along ? sums : nullptr);
        return along ? total(sums) : dotted(m, at(r_, m), z_[m.b]);
    }

    double dotted(Member m, const T* v, const T* w) {
        double* sums = lane_of(m).sums;
        for (long i = 0; i < mesh_.rows(); i++) {
            const long row = i * mesh_.stride() + LEFT;
            sums[i] = StencilRows<X>::dot(v + row, w + row, mesh_.n[2]);
        }
        return total(sums);
    }

    double direct(Member m, double beta) { return turned(m, z_[m.b], at(p_, m), beta, at(q_, m)); }

    // p_out = z + beta p;  (p, A p)
    double turned(Member m, const T* z, const T* p, double beta, T* p_out) {
        KrylovPass<T> pass = krylov_pass(m);
        pass.z = z, pass.p = p, pass.p_out = p_out, pass.factor = beta;
        run_krylov(m, 0, pass);
        return total(pass.sums);
    }

    // rz and rp: those of the step before
    void advance(Member m, const void* x, void* x_out, const void* b, double& norm, double& rz, double& rp) {
        const double before = rz;
        rz = precondition(m);
        const double beta = quotient(rz, before), left = beta * rp;
        const double alpha = quotient(rz + left, direct(m, beta));
        norm = moved(m, x, at(q_, m), alpha * sizes_[m.b], x_out, b, at(r_, m), &rp);
        if (std::abs(left) > LOST * rz) rz = 0;
    }

    // a / b, 0 where b is not positive (NaN stays)
    static double quotient(double a, double b) { return b <= 0 ? 0 : a / b; }

    Arena arena_;
    const StencilHierarchy<T>& h_;
    const StencilRun run_;
    const int L_, crew_;
    const Mesh& mesh_;
    const long size_;  // numbers of a member's field on the finest grid
    bool small_;
    std::vector<LineSmoother<X>> lines_;
    bool apart_;  // whether members are worked on several at once
    StencilGrid<T>* grids_;
    DenseProduct<X> inverse_;
    T *r_, *p_, *q_, *finest_[2], **z_;
    T** spaces_;
    double* sizes_;
    Lane* lanes_;
};

}  // namespace mgnet
