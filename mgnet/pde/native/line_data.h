// The right-hand sides of lines, r = f + (what couples them to other lines) u, a row of the grid at a time.
//
// Lines across the rows are solved by colours, every second number of a row. What they are coupled to on other sheets
// does not change between the colours of a sheet: the first one's rows leave it, with f, for the second one.
#pragma once
#include "stencil_neighbours.h"

namespace mgnet {

// Of an axis (0, 1, 2) and the FIVE, NINE, SEVEN, TWENTY_SEVEN, NINETEEN points of a stencil: the number of the
// coupling along it, and that of the opposite rows which it leads to.
constexpr int ALONG[][5] = {{1, 2, 2, 8, 6}, {-1, -1, 1, 2, 2}, {0, 0, 0, 0, 0}};
constexpr int OPPOSITE[][5] = {{0, 0, 1, 2, 1}, {-1, -1, 0, 0, 0}, {-1, -1, -1, -1, -1}};

// One member's fields; `nothing` is a row of zeros, from its first number on.
template <class T>
struct LineFields {
    Mesh mesh;
    const T *S, *u, *f, *nothing;
    long between;  // numbers from one coupling to the next
};

// Numbers from, from + 1, ... of row (p, j), some pairs of vectors.
struct LineRow {
    long p, j, from, pairs;
};

// A row's part of r: of a whole line; of every second number, the first colour's, and what others need; of the others.
template <class T>
struct LineForms {
    void (*whole)(const LineFields<T>&, long p, long j, T* r);
    void (*first[2])(const LineFields<T>&, const LineRow&, T* mine, T* others);  // odd numbers are the others, or mine
    void (*second[2])(const LineFields<T>&, const LineRow&, T* mine, const T* begun);
};

template <class X, Points P, int Axis>
class LineData {
    using T = typename X::T;
    using V = typename X::V;
    using C = Couplings<X>;
    static constexpr long W = X::W;
    static constexpr int N = OPPOSITE[Axis][P];

  public:
    static LineForms<T> forms() {
        if constexpr (Axis == 2)
            return {whole, {}, {}};
        else
            return {nullptr, {first<false>, first<true>}, {second<false>, second<true>}};
    }

  private:
    static inline __attribute__((always_inline)) StencilRow<T> at(const LineFields<T>& g, long p, long j) {
        const Neighbours<X, P> grid(g.mesh, g.S, g.between, g.nothing);
        const Plane<T> planes[] = {grid.memory(g.u, p - 1), grid.memory(g.u, p), grid.memory(g.u, p + 1)};
        StencilRow<T> r = grid(planes, p, j);
        r.f = g.f + grid.row(p, j);
        return r;
    }

    static void whole(const LineFields<T>& g, long p, long j, T* to) {
        const StencilRow<T> r = at(g, p, j);
        for (long i = 0; i < g.mesh.n[2]; i += 2 * W) {
            V v[2] = {X::load(r.f + i), X::load(r.f + i + W)};
            C::template across<P, N>(r, i, v);
            X::store(to + i, v[0]), X::store(to + i + W, v[1]);
        }
    }

    template <bool Odd>
    static void first(const LineFields<T>& g, const LineRow& row, T* mine, T* others) {
        const StencilRow<T> r = at(g, row.p, row.j);
        for (long k = 0, i = row.from; k < row.pairs * W; k += W, i += 2 * W) {
            V v[2] = {X::load(r.f + i), X::load(r.f + i + W)}, w[2];
            C::template across<P, N>(r, i, v), sheet(r, i, w);
            X::store(mine + k, pick<Odd>(v[0] + w[0], v[1] + w[1]));
            X::store(others + k, pick<!Odd>(v[0], v[1]));
        }
    }

    template <bool Odd>
    static void second(const LineFields<T>& g, const LineRow& row, T* mine, const T* begun) {
        const StencilRow<T> r = at(g, row.p, row.j);
        for (long k = 0, i = row.from; k < row.pairs * W; k += W, i += 2 * W) {
            V w[2];
            sheet(r, i, w);
            X::store(mine + k, X::load(begun + k) + pick<Odd>(w[0], w[1]));
        }
    }

    // what is coupled to on the same sheet
    static inline __attribute__((always_inline)) void sheet(const StencilRow<T>& r, long i, V (&w)[2]) {
        C::along(r, i, w);
        if constexpr (N < DIAGONALS[P]) C::template beside<true, false>(r.opposite[N], r.between, i, w);
    }

    template <bool Odd>
    static V pick(V low, V high) {
        return Odd ? X::odds(low, high) : X::evens(low, high);
    }
};

// r = f, where all other lines are zero and are not read.
template <class X>
class LoneLines {
    using T = typename X::T;
    static constexpr long W = X::W;

  public:
    static LineForms<T> forms() { return {whole, {first<false>, first<true>}, {}}; }

  private:
    static const T* at(const LineFields<T>& g, long p, long j) {
        return g.f + (p * g.mesh.n[1] + j) * g.mesh.stride() + LEFT;
    }

    static void whole(const LineFields<T>& g, long p, long j, T* to) {
        const T* f = at(g, p, j);
        for (long i = 0; i < g.mesh.n[2]; i += W) X::store(to + i, X::load(f + i));
    }

    template <bool Odd>
    static void first(const LineFields<T>& g, const LineRow& row, T* mine, T* others) {
        const T* f = at(g, row.p, row.j) + row.from;
        for (long k = 0; k < row.pairs * W; k += W) {
            const auto low = X::load(f + 2 * k), high = X::load(f + 2 * k + W);
            const auto even = X::evens(low, high), odd = X::odds(low, high);
            X::store(mine + k, Odd ? odd : even), X::store(others + k, Odd ? even : odd);
        }
    }
};

template <class X, Points P>
LineForms<typename X::T> line_forms(int axis) {
    if (axis == 2) return LineData<X, P, 2>::forms();
    if constexpr (P != FIVE && P != NINE)
        if (axis == 1) return LineData<X, P, 1>::forms();
    return LineData<X, P, 0>::forms();
}

template <class X>
LineForms<typename X::T> line_forms(Points points, int axis) {
    return with_points(points, [axis](auto P) { return line_forms<X, decltype(P)::value>(axis); });
}

}  // namespace mgnet
