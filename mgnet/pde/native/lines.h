// Line smoothing on one grid: u along the lines of one colour, all others fixed, colour after colour.
//
// A sweep along an axis takes the sheets of one colour after the other, and on each sheet the lines of one colour after
// the other; backwards in reverse, so that a cycle is symmetric. The colours of a sheet go through memory together:
// tile by tile the lines of the first, and behind them those of the second, whose neighbours are then all solved.
// Blocks of tiles are tasks; the second colour's tile beside another block waits until all are done.
//
// Fields must allow a pair of vectors to be read from where they end, as those from an Arena do.
#pragma once
#include "line_solves.h"
#include "pool.h"

namespace mgnet {

constexpr long TILE_BYTES = 1 << 22;  // of y in a tile of columns, at most, if it is wider than a pair of vectors

// Who works: threads who, who + 1, ..., who + size - 1, in a workspace each.
template <class T>
struct Crew {
    T* const* spaces;
    int who, size;
};

template <class X>
class LineSmoother {
    using T = typename X::T;
    static constexpr long W = X::W;

  public:
    LineSmoother() = default;

    // members : of the coefficients;   crew : as many threads may work on a member;   the axes are level.lines
    static LineSmoother make(const StencilLevel<T>& level, long members, long crew, Arena& arena) {
        LineSmoother to;
        for (int axis : level.lines)
            to.sets_[to.count_++] = LineSet<X>::make(level, axis, members, width(level.fine, axis, crew), arena);
        to.mesh_ = level.fine;
        to.nothing_ = arena.take<T>(to.mesh_.stride() + 4 * W) + LEFT;
        return to;
    }

    bool any() const { return count_ > 0; }

    long workspace() const {
        long most = 0;
        for (int k = 0; k < count_; k++) {
            const long numbers = LineSolves<X>::workspace(sets_[k]);
            most = numbers > most ? numbers : most;
        }
        return most;
    }

    // One sweep along each axis, of one member's fields. The ghosts of u are right before and after; with `zero` u is
    // written only.
    void sweep(bool reverse, T* u, const T* f, long member, bool zero, Crew<T> crew) const {
        for (int k = 0; k < count_; k++) {
            const LineSet<X>& g = sets_[reverse ? count_ - 1 - k : k];
            Job job{&g, u, f, g.members > 1 ? member : 0, nothing_, crew, 0, 0, 0, reverse, false};
            if (zero && k == 0) job.bare = begin(g, u);
            axis(job);
        }
    }

  private:
    // Lines of a bundle. Whole rows, unless y would leave the caches or threads be without work: fewer pages.
    static long width(const Mesh& mesh, int axis, long crew) {
        if (axis == 2) return W;
        const long sheets = mesh.n[1 - axis], parts = sheets / 2 >= crew ? 1 : crew;
        const long wanted = (mesh.n[2] + 2 * W * parts - 1) / (2 * W * parts);
        const long most = TILE_BYTES / (W * mesh.n[axis] * static_cast<long>(sizeof(T)));
        const long pairs = wanted < most ? wanted : most;
        return (pairs > 1 ? pairs : 1) * W;
    }

    enum Phase { WHOLE, BLOCKS, EDGES, SEAM };

    struct Job {
        const LineSet<X>* g;
        T* u;
        const T* f;
        long member;
        const T* nothing;
        Crew<T> crew;
        long sheets, blocks, phase;
        bool reverse, bare;
        long colour = 0;
    };

    // What is read of u before it is written becomes zero; returns whether the first colour reads nothing.
    bool begin(const LineSet<X>& g, T* u) const {
        const long stride = mesh_.stride();
        const bool bare = g.sheets == 1 && !g.seam && !g.own;
        for (long row = 0; row < mesh_.rows() && !(bare && g.axis == 2); row++) {
            T* at = u + row * stride + LEFT;
            if (bare)
                at[-2] = at[-1] = at[mesh_.n[2]] = at[mesh_.n[2] + 1] = 0;
            else
                for (long j = -2; j < mesh_.n[2] + 2; j++) at[j] = 0;
        }
        return bare;
    }

    static void axis(Job job) {
        for (long k = 0; k < 3; k++) {
            job.colour = job.reverse ? 2 - k : k, job.sheets = job.g->sheets_of(job.colour);
            if (job.sheets == 0) continue;
            const long wanted = (job.crew.size + job.sheets - 1) / job.sheets;
            job.blocks = wanted < job.g->tiles ? wanted : job.g->tiles;
            if (job.blocks <= 1) {
                job.blocks = 1, share(job, WHOLE);
                continue;
            }
            if (job.reverse && job.g->seam) share(job, SEAM);
            share(job, BLOCKS), share(job, EDGES);
            if (!job.reverse && job.g->seam) share(job, SEAM);
        }
    }

    static void share(Job job, Phase phase) {
        job.phase = phase;
        const long tasks = phase == SEAM ? job.sheets : job.sheets * job.blocks;
        if (job.crew.size == 1) {
            for (long t = 0; t < tasks; t++) task(&job, t, 0);
            return;
        }
        run(tasks, job.crew.size, task, &job);
    }

    static void task(void* of, long number, int who) {
        const Job& job = *static_cast<const Job*>(of);
        const LineSet<X>& g = *job.g;
        const LineSolves<X> lines{g, job.u, job.f, job.member, job.nothing, job.crew.spaces[job.crew.who + who]};
        const long per = job.phase == SEAM ? 1 : job.blocks;
        const long sheet = g.sheet_of(job.colour, number / per), k = number % per;
        switch (g.side_couplings) {
            case 1:
                return block<2>(job, lines, sheet, k);
            case 2:
                return block<4>(job, lines, sheet, k);
            case 3:
                return block<6>(job, lines, sheet, k);
            case 8:
                return block<16>(job, lines, sheet, k);
            default:
                return block<24>(job, lines, sheet, k);
        }
    }

    template <int N>
    static void block(const Job& job, const LineSolves<X>& lines, long sheet, long k) {
        const LineSet<X>& g = *job.g;
        const long t0 = k * g.tiles / job.blocks, t1 = (k + 1) * g.tiles / job.blocks;
        const bool whole = job.phase == WHOLE, back = job.reverse;
        auto colour = [&](long tile, long which) {
            const Bundle<T> b = g.bundle(job.member, sheet, tile, which);
            if (job.bare && which == back)
                lines.template solve<0>(sheet, b);
            else
                lines.template solve<N>(sheet, b);
        };
        if (g.seam && (job.phase == SEAM || (whole && back))) colour(g.tiles, 2);
        if (job.phase == BLOCKS || whole)
            for (long t = t0; t < t1; t++) {
                colour(t, back);
                if (t > t0) colour(back ? t : t - 1, !back);
            }
        if (job.phase == EDGES || whole) colour(back ? t0 : t1 - 1, !back);
        if (g.seam && whole && !back) colour(g.tiles, 2);
    }

    LineSet<X> sets_[3];
    int count_ = 0;
    Mesh mesh_;
    const T* nothing_ = nullptr;
};

}  // namespace mgnet
