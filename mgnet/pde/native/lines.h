// Line smoothing on one grid: u along the lines of one colour, all others fixed, colour after colour.
//
// A sweep along an axis takes the sheets of one colour after the other, and on each sheet the lines of one colour after
// the other; backwards in reverse, so that a cycle is symmetric. Colours go through memory together: sheet by sheet
// those of the first, and behind them those of the second, whose neighbours are then all solved; so do, tile by tile,
// the lines of a sheet. Blocks of sheets are tasks, or blocks of tiles where sheets are few; what has the second colour
// beside another block waits until all are done.
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
            Job job{&g, u, f, g.members > 1 ? member : 0, nothing_, crew, reverse};
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
        bool reverse, bare, of_sheets;
        long blocks, sheets, colour;  // of tiles, on so many sheets of a colour; or blocks of sheets
        Phase phase;
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
        const LineSet<X>& g = *job.g;
        job.of_sheets = g.sheets > 1 && g.pairs() >= job.crew.size;
        if (job.of_sheets) {
            job.blocks = job.crew.size == 1 ? 1 : least(2 * job.crew.size, g.pairs());
            return in_phases(job, g.sheet_seam);
        }
        for (long k = 0; k < 3; k++) {
            job.colour = job.reverse ? 2 - k : k, job.sheets = g.sheets_of(job.colour);
            if (job.sheets == 0) continue;
            const long wanted = (job.crew.size + job.sheets - 1) / job.sheets;
            job.blocks = most(1, least(wanted, g.tiles));
            in_phases(job, g.seam);
        }
    }

    static void in_phases(const Job& job, bool seam) {
        if (job.blocks == 1) return share(job, WHOLE);
        if (job.reverse && seam) share(job, SEAM);
        share(job, BLOCKS), share(job, EDGES);
        if (!job.reverse && seam) share(job, SEAM);
    }

    static void share(Job job, Phase phase) {
        job.phase = phase;
        const long tasks = (job.of_sheets ? 1 : job.sheets) * (phase == SEAM ? 1 : job.blocks);
        run(tasks, job.crew.size, [&](long number, int who) { task(job, number, who); });
    }

    static void task(const Job& job, long number, int who) {
        const LineSet<X>& g = *job.g;
        const T* S = g.S + job.member * g.mesh.size();
        const LineFields<T> fields{g.mesh, S, job.u, job.f, job.nothing, g.size};
        const LineSolves<X> lines{g, job.u, fields, job.crew.spaces[job.crew.who + who]};
        if (job.of_sheets)
            return colours(job, g.pairs(), job.phase, number, job.blocks, g.sheet_seam, [&](long t, long colour, bool) {
                const long sheet = g.sheet_of(colour, t);
                if (colour == 2 || sheet < g.sheets - g.sheet_seam) tiles(job, lines, sheet, WHOLE, 0, 1);
            });
        const long per = job.phase == SEAM ? 1 : job.blocks;
        tiles(job, lines, g.sheet_of(job.colour, number / per), job.phase, number % per, job.blocks);
    }

    static void tiles(const Job& job, const LineSolves<X>& lines, long sheet, Phase phase, long k, long blocks) {
        const LineSet<X>& g = *job.g;
        colours(job, g.tiles, phase, k, blocks, g.seam, [&](long t, long colour, bool left) {
            const long tile = colour == 2 ? g.tiles : t;
            const T* begun = left && !g.own ? lines.left(tile) : nullptr;
            const bool lone = job.bare && colour == job.reverse;
            lines.solve(sheet, g.bundle(job.member, sheet, tile, colour), lone, begun, lines.left(tile));
        });
    }

    // each(pair, colour, whether the pair's other colour came just before, or before one more) for the k-th of so many
    // blocks of pairs; 2 is the colour of the seam.
    template <class Each>
    static void colours(const Job& job, long pairs, Phase phase, long k, long blocks, bool seam, const Each& each) {
        const long t0 = k * pairs / blocks, t1 = (k + 1) * pairs / blocks;
        const bool whole = phase == WHOLE, back = job.reverse;
        if (seam && (phase == SEAM || (whole && back))) each(0, 2, false);
        if (phase == BLOCKS || whole)
            for (long t = t0; t < t1; t++) {
                each(t, back, false);
                if (t > t0) each(back ? t : t - 1, !back, true);
            }
        if (phase == EDGES || whole) each(back ? t0 : t1 - 1, !back, whole && (!back || t1 - t0 <= 2));
        if (seam && whole && !back) each(0, 2, false);
    }

    LineSet<X> sets_[3];
    int count_ = 0;
    Mesh mesh_;
    const T* nothing_ = nullptr;
};

}  // namespace mgnet
