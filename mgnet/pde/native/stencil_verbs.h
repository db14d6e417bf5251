// The verbs on every grid of a black-box hierarchy, for one member of the batch at a time, and the arrays between them.
#pragma once
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

static inline bool flat(const Mesh& mesh) { return mesh.points == FIVE || mesh.points == NINE; }
static inline long blocks_of_rows(long n, long most_blocks) {
    return most(1, least(most_blocks, (n + ROWS_OF_BLOCK / 2) / ROWS_OF_BLOCK));
}

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

// Arrays of the coarse grids, and of a member's clusters and rows of the finest one.
template <class T>
struct StencilLane {
    T **iterates[2], **f_c, **data;
    double *values, *sums;
};

template <class X>
class StencilVerbs {
    using T = typename X::T;

  public:
    const int L, crew;
    const long size0;  // numbers of a member's field on the finest grid

    // more : doubles that others want of a thread's workspace
    StencilVerbs(const StencilHierarchy<T>& hierarchy, const StencilRun& run, long more, Arena& arena)
        : L(static_cast<int>(hierarchy.levels.size())),
          crew(run.threads < MOST_WORKERS ? run.threads : MOST_WORKERS),
          size0(hierarchy.finest.size()),
          h_(hierarchy),
          batch_(run.batch) {
        arena.reserve(bytes());
        grids_ = arena.take<StencilGrid<T>>(L);
        for (int l = 0; l < L; l++) {
            grids_[l] = grid(l, arena);
            lines_.push_back(LineSmoother<X>::make(h_.levels[l], h_.members, crew, arena));
        }
        const bool few = h_.finest.unknowns() <= FEW;
        apart_ = batch_ > 1 && (few || batch_ % crew == 0 || batch_ >= 4 * crew);
        if (!h_.alone) inverse_ = DenseProduct<X>::make(h_.coarsest, h_.members, h_.inverse, arena);
        for (T*& field : finest_) field = h_.alone ? nullptr : arena.take<T>(batch_ * size0 + APART / sizeof(T));
        spaces_ = arena.take<T*>(crew), lanes_ = arena.take<StencilLane<T>>(crew);
        for (int who = 0; who < crew; who++)
            spaces_[who] = reinterpret_cast<T*>(arena.take<double>(most(more, workspace())));
        for (int who = 0; who < (apart_ ? crew : 1); who++) lanes_[who] = lane(arena);
    }

    long size(int l) const { return l < L ? grids_[l].size : h_.coarsest.size(); }
    StencilLane<T>& lane_of(Member m) { return lanes_[apart_ ? m.who : 0]; }

    template <class Body>
    void each_member(const Body& body) {
        mgnet::each_member(batch_, crew, apart_, body);
    }

    // body(block, workspace) for blocks of one member's work
    template <class Body>
    void blocks(Member m, long tasks, bool alone, const Body& body) {
        share(m, tasks, alone || m.crew == 1 ? 1 : crew, spaces_, body);
    }

    T* other(Member m, int l, const T* u) {
        T* const pair[2] = {l == 0 ? finest_[0] + m.b * size0 : lane_of(m).iterates[0][l],
                            l == 0 ? finest_[1] + m.b * size0 : lane_of(m).iterates[1][l]};
        return u == pair[0] ? pair[1] : pair[0];
    }

    // Smooth, then f_c = P^T (f - A u): one pass but where lines or clusters come between. From u, P guess, or zero.
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
        interpolate(m, l, u, e, sum);
        if (!g.level->clusters.inverse.empty()) correct(m, l, sum, f);
        return stepped(m, l, sum, nullptr, f, out, true, sums);
    }

    bool sums_come_along() const {
        if (L == 0) return false;
        const StencilGrid<T>& g = grids_[0];
        return g.level->lines.empty() && (g.nu_up > 0 || g.level->clusters.inverse.empty());
    }

    void restrict_(Member m, int l, const T* u, const T* f, T* f_c) {
        pass(m, l, u, nullptr, f, nullptr, 0, nullptr, f_c, nullptr);
    }
    // u + P e, or P e
    void interpolate(Member m, int l, const T* u, const T* e, T* out) {
        pass(m, l, u, e, e, nullptr, 0, out, nullptr, nullptr);
    }
    void solve(Member m, const T* f, T* u) { inverse_(m.b, f, u, spaces_[m.who]); }

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

    static void copy(T* to, const T* from, long n) {
        for (long i = 0; i < n && to != from; i++) to[i] = from[i];
    }

  private:
    // of most arrays, which come in one block; three of the finest grid are conjugate gradients'
    std::size_t bytes() const {
        if (h_.alone) return 0;
        long numbers = 5 * (batch_ * size0 + 512);
        for (const StencilLevel<T>& level : h_.levels) numbers += 4 * (level.coarse.size() + 64);
        return numbers * sizeof(T);
    }

    StencilGrid<T> grid(int l, Arena& arena) {
        const StencilLevel<T>& level = h_.levels[l];
        StencilGrid<T> g{};
        g.level = &level, g.size = level.fine.size(), g.size_c = level.coarse.size();
        g.own = h_.members > 1 ? g.size : 0, g.own_c = h_.members > 1 ? g.size_c : 0;
        g.between = h_.members * g.size, g.between_c = h_.members * g.size_c;
        g.down = level.down.data(), g.nu_down = static_cast<int>(level.down.size());
        g.up = level.up.data(), g.nu_up = static_cast<int>(level.up.size());
        g.small = level.fine.unknowns() <= (l == 0 ? FEW : FEWER) || crew == 1;
        g.rows = blocks_of_rows(level.fine.n[1], level.coarse.n[1]);
        const long tasks = 2 * crew, wanted = (tasks + g.rows - 1) / g.rows;
        g.planes = most(1, least(wanted, level.coarse.n[0] / BROAD));
        long* clusters = arena.take<long>(h_.members + 1);
        for (long k : level.clusters.member) clusters[k + 1]++;
        for (long k = 0; k < h_.members; k++) clusters[k + 1] += clusters[k];
        g.clusters = clusters;
        return g;
    }

    long workspace() const {
        long numbers = h_.alone ? 0 : DenseProduct<X>::workspace(h_.coarsest);
        for (int l = 0; l < L; l++) {
            const StencilGrid<T>& g = grids_[l];
            const int nu = g.nu_down > g.nu_up ? g.nu_down : g.nu_up;
            numbers = most(numbers, flat(g.level->fine)
                                        ? StencilPasses<X, NINE>::workspace(*g.level, nu, g.rows)
                                        : StencilPasses<X, TWENTY_SEVEN>::workspace(*g.level, nu, g.rows));
            numbers = most(numbers, lines_[l].workspace());
        }
        return numbers;
    }

    StencilLane<T> lane(Arena& arena) {
        StencilLane<T> to{};
        for (T*** of : {&to.iterates[0], &to.iterates[1], &to.f_c, &to.data}) *of = arena.take<T*>(L + 1);
        long clusters = 0;
        for (int l = 0; l < L; l++) {
            const long n = grids_[l].size_c;
            for (T** of : {to.iterates[0], to.iterates[1], to.f_c, to.data})
                of[l + 1] = h_.alone ? nullptr : arena.take<T>(n);
            clusters = most(clusters, static_cast<long>(grids_[l].level->clusters.inverse.size()));
        }
        to.values = arena.take<double>(clusters), to.sums = arena.take<double>(2 * h_.finest.rows());
        return to;
    }

    void pass(Member m, int l, const T* u, const T* e, const T* f, const T* steps, int nu, T* out, T* f_c,
              double* sums) {
        const StencilGrid<T>& g = grids_[l];
        const bool alone = m.crew == 1 || g.small;
        const StencilPass<T> p{g.level, g.level->S + m.b * g.own, g.level->W + m.b * g.own_c, g.between, g.between_c,
                               u,       e,   f, out, f_c, steps, nu, sums, alone ? 1 : g.planes, g.rows};
        blocks(m, p.blocks0 * p.blocks1, alone, [&](long number, T* numbers) {
            with_points(g.level->fine.points, [&](auto P) {
                StencilPasses<X, decltype(P)::value>::block(p, number, numbers);
            });
        });
    }

    // u += B (f - A u)
    void correct(Member m, int l, T* u, const T* f) {
        const StencilGrid<T>& g = grids_[l];
        const Clusters<T>& B = g.level->clusters;
        const long k = h_.members > 1 ? m.b : 0, from = g.clusters[k], count = g.clusters[k + 1] - from;
        if (count == 0) return;
        const bool alone = m.crew == 1 || B.begin[from + count] - B.begin[from] < FEW;
        const long tasks = alone ? 1 : least(4 * crew, count);
        double* values = lane_of(m).values;
        blocks(m, tasks, alone, [&](long t, T*) {
            ClusterCorrections<X>::sum(B, from + t * count / tasks, from + (t + 1) * count / tasks, u, f, values);
        });
        blocks(m, tasks, alone, [&](long t, T*) {
            ClusterCorrections<X>::add(B, from + t * count / tasks, from + (t + 1) * count / tasks, values,
                                       g.level->fine, u);
        });
    }

    const StencilHierarchy<T>& h_;
    const long batch_;
    std::vector<LineSmoother<X>> lines_;
    bool apart_;  // whether members are worked on several at once
    StencilGrid<T>* grids_;
    DenseProduct<X> inverse_;
    T* finest_[2];
    T** spaces_;
    StencilLane<T>* lanes_;
};

}  // namespace mgnet
