// Stencils of several stages on one row after another, in one loop: steps, and the residual that follows them.
//
// Rows p, p - 1, ... take a step each, and the row after them has its residual: each takes what the one before it
// leaves as `after`, from a register. `Fold`: the first stage is a stencil on f itself, two steps from zero at once.
#pragma once
#include "rows.h"

namespace mgnet {

// How a stencil's weights are related: not at all, the same on either side of an unknown (no end of the grid is
// near, but along the row), or all the same.
enum Kind { GENERAL, MIRRORED, EVEN };

// The weights of a stencil, for one kind of row. At the ends of the row: `own`, what multiplies all but `own`, and
// how often f counts.
//
// step      out = own u + side (l + r) + before b + after a + left ... + right ... + f f
// residual  out = f f - own u - side ((u - l) + (u - r)) - before ((u - sign b) + ...) - ...
// fold      out = own F + side (l + r) + ...,    F = f, at the ends times `f_end`
template <class T>
struct Weights {
    T own, side, before, after, left, right, f;
    T sign_before, sign_after, sign_left, sign_right;
    T own_end[2], scale_end[2], f_end[2];
    Kind kind;
};

// A stencil on a row: where its values lie, and where they go.
template <class T>
struct Row {
    const Weights<T>* w;
    const T *here, *before, *after, *left, *right, *f;
    T* out;
    bool slack;  // whether `out` is a row of a workspace
    int parity;  // with colours: i + parity even is worked on
};

// What becomes of the last step's row: omega out + (1 - omega) begun if omega is not 1, and a copy if one is wanted.
template <class T>
struct Keep {
    const T* begun;
    T* copy;
    T omega;
    const T *ahead, *ahead2;  // rows that will be needed soon
};

// What lies along the rows: their length, the ends' reflections, and where f's memory ends.
template <class T>
struct Line {
    long n;
    bool wraps;
    T sign[2];
    long index[2];
    const T *f_limit, *u_limit;
};

template <class T>
static inline void fill_ghosts(T* row, const Line<T>& line) {
    row[-1] = line.sign[0] * row[line.index[0]];
    row[line.n] = line.sign[1] * row[line.index[1]];
}

template <class X, int Dims, int Steps, bool Rest, bool Fold, bool Coloured, Kind kind>
class Wave {
    using T = typename X::T;
    using V = typename X::V;
    using M = typename X::M;
    static constexpr long W = X::W;
    static constexpr int K = Steps + Rest;
    static constexpr bool Carries = Dims == 3;  // loads across a cache line cost twice; in 3-D there are many of others
    static constexpr long NEAR = Fold ? W + 1 : W;  // numbers that an inner vector needs, the row's last not among them

    // The weights of a stencil in registers: nothing that is stored can change them.
    struct Splat {
        V own, side, before, after, left, right, f;
    };

    // A vector's place in its row: where it begins, how many numbers are left, and lanes of the row's first and last.
    template <bool Edge>
    struct Place {
        long i, left;
        M first = {}, last = {};
        Place(long at, long n) : i(at), left(n - at) {
            if constexpr (Edge) first = X::lane(-i), last = X::lane(left - 1);
        }
        // inner everywhere but at the row's first and last number
        V ends(V inner, const T* end) const { return Edge ? Rows<X>::ends(inner, end, first, last) : inner; }
        V load(const T* row, const T* limit) const {
            return Edge ? X::load_some(row + i, left, limit) : X::load(row + i);
        }
        void store(T* row, V v) const { Edge ? X::store_some(row + i, v, left) : X::store(row + i, v); }
    };

    // u and its neighbours: in the row, one row before and after, and in 3-D to the left and right.
    struct Around {
        V u, l, r, b, a, m, p;
    };

    const Line<T>& line;
    const Keep<T> keep;
    const bool keeps;
    Row<T> rows[K];
    Splat splats[K];
    M colours[K] = {};
    V before_[K], here_[K];
    V ghost_lo = {}, ghost_hi = {}, squares = {};

  public:
    // All of the wave; the residual's sum of squares.
    __attribute__((noinline)) static double run(const Row<T>* given, const Line<T>& line, const Keep<T>& keep) {
        Wave wave(given, line, keep);
        const long n = line.n;
        long i = W;
        wave.template vector<true>(0);
        for (; i + NEAR < n; i += W) wave.template vector<false>(i);
        for (; i < n; i += W) wave.template vector<true>(i);
        for (int k = 0; k < K; k++)
            if (wave.rows[k].slack && !(Rest && k == Steps)) fill_ghosts(wave.rows[k].out, line);
        return X::sum(wave.squares);
    }

  private:
    inline __attribute__((always_inline)) Wave(const Row<T>* given, const Line<T>& along, const Keep<T>& kept)
        : line(along), keep(kept), keeps(kept.omega != 1 || kept.copy) {
        for (int k = 0; k < K; k++) {
            const Weights<T>& w = *given[k].w;
            rows[k] = given[k];
            splats[k] = {X::splat(w.own), X::splat(w.side), X::splat(w.before), X::splat(w.after),
                         X::splat(w.left), X::splat(w.right), X::splat(w.f)};
            if constexpr (Coloured)
                for (int j = 0; j < W; j++) colours[k][j] = (j + rows[k].parity) % 2 == 0 ? -1 : 0;
            if constexpr (Carries)
                if (!folds(k)) before_[k] = X::load(rows[k].here - W), here_[k] = X::load(rows[k].here);
        }
        if constexpr (Fold) ghost_lo = ghost(0), ghost_hi = ghost(1);
    }

    static constexpr bool folds(int k) { return Fold && k == 0; }

    // What lies beyond an end of f, with the weight that f has there.
    V ghost(int end) const {
        const Row<T>& s = rows[0];
        const long i = line.index[end];
        const T weight = i == 0 ? s.w->f_end[0] : i == line.n - 1 ? s.w->f_end[1] : T(1);
        return X::splat(line.sign[end] * (s.here[i] * weight));
    }

    // W numbers of every stage.
    template <bool Edge>
    inline __attribute__((always_inline)) void vector(long i) {
        const Place<Edge> at(i, line.n);
        if constexpr (!Edge) __builtin_prefetch(keep.ahead + i), __builtin_prefetch(keep.ahead2 + i);
        V fresh = {};
        if constexpr (Dims >= 2 && !Fold) fresh = X::load(rows[0].after + i);
#pragma GCC unroll 4
        for (int k = 0; k < K; k++) {
            V v = folds(k) ? folded(at) : k < Steps ? step(k, at, fresh) : residual(k, at, fresh);
            if (k == Steps - 1 && keeps) v = kept(v, at);
            if constexpr (Edge) v = X::first(v, at.left);
            if (!Edge || rows[k].slack)
                X::store(rows[k].out + i, v);
            else
                X::store_some(rows[k].out + i, v, at.left);
            if (Rest && k == Steps) squares += v * v;
            fresh = v;
        }
    }

    template <bool Edge>
    inline __attribute__((always_inline)) V step(int k, const Place<Edge>& at, V fresh) {
        const Weights<T>& of = *rows[k].w;
        const Around x = around(k, at.i, fresh);
        const V others = at.ends(X::splat(1), of.scale_end) * sum(splats[k], x);
        const V v = others + (at.ends(splats[k].own, of.own_end) * x.u + datum(k, at));
        return Coloured ? X::where(colours[k], v, x.u) : v;
    }

    // In differences, so that the diagonal is never summed: what is almost constant keeps its small residual.
    template <bool Edge>
    inline __attribute__((always_inline)) V residual(int k, const Place<Edge>& at, V fresh) {
        const Weights<T>& of = *rows[k].w;
        Around x = around(k, at.i, fresh);
        if constexpr (kind == GENERAL)
            x.b *= of.sign_before, x.a *= of.sign_after, x.m *= of.sign_left, x.p *= of.sign_right;
        const Around d = {x.u, x.u - x.l, x.u - x.r, x.u - x.b, x.u - x.a, x.u - x.m, x.u - x.p};
        const V fluxes = at.ends(X::splat(1), of.scale_end) * sum<kind == GENERAL ? MIRRORED : kind>(splats[k], d);
        return datum(k, at) - at.ends(splats[k].own, of.own_end) * x.u - fluxes;
    }

    // The first stage as a stencil on f itself: two steps from zero.
    template <bool Edge>
    inline __attribute__((always_inline)) V folded(const Place<Edge>& at) {
        const Row<T>& s = rows[0];
        const V scale = at.ends(X::splat(1), s.w->f_end);
        const auto get = [&](const T* f) __attribute__((always_inline)) { return scale * at.load(f, line.f_limit); };
        Around x{get(s.here)};
        if constexpr (Edge) {
            x.u = X::where(X::below(at.left), x.u, ghost_hi);
            V next = at.left <= W ? ghost_hi : X::load_some(s.here + at.i + W, at.left - W, line.f_limit);
            if (at.left == W + 1) next[0] *= s.w->f_end[1];
            x.l = at.i == 0 ? X::before(ghost_lo, x.u) : X::load_some(s.here + at.i - 1, at.left + 1, line.f_limit);
            x.r = X::after(x.u, next);
        } else {
            x.l = X::load(s.here + at.i - 1), x.r = X::load(s.here + at.i + 1);
        }
        if constexpr (Dims >= 2) x.b = get(s.before), x.a = get(s.after);
        if constexpr (Dims == 3) x.m = get(s.left), x.p = get(s.right);
        return sum(splats[0], x) + splats[0].own * x.u;
    }

    inline __attribute__((always_inline)) Around around(int k, long i, V fresh) {
        const Row<T>& s = rows[k];
        Around x{};
        if constexpr (Carries) {
            const V next = X::load(s.here + i + W);
            x.u = here_[k], x.l = X::before(before_[k], x.u), x.r = X::after(x.u, next);
            before_[k] = x.u, here_[k] = next;
        } else {
            x.u = X::load(s.here + i), x.l = X::load(s.here + i - 1), x.r = X::load(s.here + i + 1);
        }
        if constexpr (Dims >= 2) x.b = X::load(s.before + i), x.a = fresh;
        if constexpr (Dims == 3) x.m = X::load(s.left + i), x.p = X::load(s.right + i);
        return x;
    }

    template <bool Edge>
    inline __attribute__((always_inline)) V datum(int k, const Place<Edge>& at) const {
        return at.ends(splats[k].f, rows[k].w->f_end) * at.load(rows[k].f, line.f_limit);
    }

    // The sum of u's neighbours times their weights, u excepted.
    template <Kind of = kind>
    static inline __attribute__((always_inline)) V sum(const Splat& w, const Around& x) {
        if constexpr (Dims == 1) return w.side * (x.l + x.r);
        if constexpr (of == EVEN) {
            const V beside = x.l + x.r, behind = x.b + x.a;
            return w.side * (Dims == 2 ? beside + behind : (beside + (x.m + x.p)) + behind);
        }
        V v = w.side * (x.l + x.r);
        v += of == MIRRORED ? w.before * (x.b + x.a) : w.before * x.b + w.after * x.a;
        if constexpr (Dims == 3) v += of == MIRRORED ? w.left * (x.m + x.p) : w.left * x.m + w.right * x.p;
        return v;
    }

    // omega v + (1 - omega) begun, and its copy.
    template <bool Edge>
    inline __attribute__((always_inline)) V kept(V v, const Place<Edge>& at) const {
        if (keep.omega != 1) v = keep.omega * v + (1 - keep.omega) * at.load(keep.begun, line.u_limit);
        if (keep.copy) at.store(keep.copy, v);
        return v;
    }
};

// Stages that follow each other, of one row each: steps, the first of which may be a fold, and the residual.
template <class T>
struct Stages {
    int steps = 0;
    bool rest = false, folded = false, coloured = false;
    Kind kind = EVEN;  // the least that the weights of all are
    Row<T> rows[4];
};

template <class X, int Dims>
struct Waves {
    using T = typename X::T;

    // All of them in one loop; the residual's sum of squares.
    static double run(const Stages<T>& all, const Line<T>& line, const Keep<T>& keep) {
        if constexpr (Dims > 1) {
            if (all.kind == GENERAL) return of<GENERAL>(all, line, keep);
            if (all.kind == MIRRORED) return of<MIRRORED>(all, line, keep);
        }
        return of<EVEN>(all, line, keep);
    }

  private:
    // Beside an end of the grid, where weights are general, and with colours stages come one at a time.
    template <Kind kind>
    static double of(const Stages<T>& all, const Line<T>& line, const Keep<T>& keep) {
        const Row<T>* rows = all.rows;
        if constexpr (kind != GENERAL) {
            if (all.folded && all.rest) return Wave<X, Dims, 1, true, true, false, kind>::run(rows, line, keep);
            if (all.steps == 1 && all.rest) return Wave<X, Dims, 1, true, false, false, kind>::run(rows, line, keep);
            if (all.steps == 2 && all.rest) return Wave<X, Dims, 2, true, false, false, kind>::run(rows, line, keep);
            if (all.steps == 2) return Wave<X, Dims, 2, false, false, false, kind>::run(rows, line, keep);
            if (all.steps == 3) return Wave<X, Dims, 3, false, false, false, kind>::run(rows, line, keep);
        }
        if (all.rest) return Wave<X, Dims, 0, true, false, false, kind>::run(rows, line, keep);
        if (all.coloured) return Wave<X, Dims, 1, false, false, true, kind>::run(rows, line, keep);
        if (all.folded) return Wave<X, Dims, 1, false, true, false, kind>::run(rows, line, keep);
        return Wave<X, Dims, 1, false, false, false, kind>::run(rows, line, keep);
    }
};

}  // namespace mgnet
