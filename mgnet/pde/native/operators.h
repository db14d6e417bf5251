// What the set-up of a black-box hierarchy works on: stencils in padded float64 fields, and rows near a row.
#pragma once
#include <algorithm>

#include "arena.h"
#include "pool.h"
#include "simd.h"
#include "stencil.h"

namespace mgnet {

// The offset (planes, rows, columns) of each coupling of a stencil, in the order they are stored in.
constexpr int OFFSETS[5][13][3] = {
    {{0, 0, 1}, {1, 0, 0}},
    {{0, 0, 1}, {1, 0, -1}, {1, 0, 0}, {1, 0, 1}},
    {{0, 0, 1}, {0, 1, 0}, {1, 0, 0}},
    {{0, 0, 1}, {0, 1, -1}, {0, 1, 0}, {0, 1, 1}, {1, -1, -1}, {1, -1, 0}, {1, -1, 1}, {1, 0, -1}, {1, 0, 0},
     {1, 0, 1}, {1, 1, -1}, {1, 1, 0}, {1, 1, 1}},
    {{0, 0, 1}, {0, 1, -1}, {0, 1, 0}, {0, 1, 1}, {1, -1, 0}, {1, 0, -1}, {1, 0, 0}, {1, 0, 1}, {1, 1, 0}},
};

constexpr long BEYOND = 64;     // numbers beyond a field that a vector may reach
constexpr long LONELY = 10'000; // numbers of a field below which threads cost more than they bring

// (A u)_i = d_i u_i - sum_o s_o(i) u_{i+o}; fields (members, rows, stride), S (couplings, members, rows, stride).
struct Operator {
    Mesh mesh;
    long members;
    Arena arena;
    double *D, *S;
    double* scale;             // D^-1/2, 0 where D is not positive
    double* inside = nullptr;  // 1 where an unknown is coupled to any other; if there are others
    double* zeros;             // a row of them

    // S and scale, zero before, may be somebody else's
    Operator(const Mesh& of, long count, bool masked, double* S_of = nullptr, double* scale_of = nullptr)
        : mesh(of), members(count) {
        D = field(1);
        S = S_of ? S_of : field(mesh.couplings()), scale = scale_of ? scale_of : field(1);
        if (masked) inside = field(1);
        zeros = arena.take<double>(2 * mesh.stride() + BEYOND);
    }
    int crew(int threads) const { return members * mesh.size() < LONELY ? 1 : threads; }
    // where row r of a member begins in a field, and couplings h of it
    long begin(long member, long r) const { return member * mesh.size() + r * mesh.stride() + LEFT; }
    double* couplings(int h, long member, long r) const { return S + h * members * mesh.size() + begin(member, r); }

    double* field(long count) { return arena.take<double>(count * members * mesh.size() + BEYOND); }

    // Whether there is such a coupling at all: none along an axis of one unknown that is not periodic.
    bool has(int h) const {
        for (int d = 0; d < 3; d++)
            if (OFFSETS[mesh.points][h][d] != 0 && mesh.n[d] == 1 && !mesh.wraps[d]) return false;
        return true;
    }
};

// A grid and the next coarser one. P's weights are there for two coarse planes at a time, in a window
// (2, deltas, coarse rows of a plane, coarse stride): plane I is in slot I % 2, the one after it in the other.
struct Pair {
    const Operator* fine;
    Operator* coarse;
    Halving halving;
    bool seam[3];  // whether the last and the first coarse unknown of an axis are neighbours on the fine grid

    long steps(int d) const { return halving.halved[d] ? 2 : 1; }
    long first(int d) const { return halving.halved[d] ? halving.first[d] : 0; }

    long of_delta() const { return coarse->mesh.n[1] * coarse->mesh.stride(); }  // numbers of a window
    long of_slot() const { return halving.deltas() * of_delta(); }
    long of_window() const { return 2 * of_slot() + BEYOND; }
    long in_window(long slot, long J) const { return slot * of_slot() + J * coarse->mesh.stride() + LEFT; }
};

// Numbers along rows, and blocks of rows; compiled for each instruction set.
template <class X>
struct Fields {
    using V = typename X::V;
    using M = typename X::M;
    static constexpr long W = X::W;

    // Every number, or every second one.
    template <bool Halved>
    static V every(const double* v, long K) {
        if constexpr (Halved) return X::evens(X::load(v + 2 * K), X::load(v + 2 * K + W));
        return X::load(v + K);
    }

    static V positive(V v) { return X::where(reinterpret_cast<M>(v > V{}), v, V{}); }

    // The first `count` numbers of v, in any precision.
    template <class T>
    static void put(T* to, V v, long count) {
        Wide<X>::store(to, v, count);
    }

    // body(member, begin, end, task, worker) for `blocks` blocks of `count` rows or planes, of each member
    template <class Body>
    static void each_block(long members, long count, long blocks, int crew, const Body& body) {
        run(members * blocks, crew, [&](long t, int who) {
            const long k = t % blocks;
            body(t / blocks, k * count / blocks, (k + 1) * count / blocks, t, who);
        });
    }

    template <class Body>
    static void each_member(long members, int crew, const Body& body) {
        each_block(members, 1, 1, crew, [&](long b, long, long, long, int) { body(b); });
    }

    // body(member, row, task) for all rows of all members, on several threads where that is worth it
    template <class Body>
    static void each_row(const Operator& A, int threads, const Body& body) {
        const int crew = A.crew(threads);
        each_block(A.members, A.mesh.rows(), blocks(A, threads), crew, [&](long b, long begin, long end, long t, int) {
            for (long r = begin; r < end; r++) body(b, r, t);
        });
    }
    static long blocks(const Operator& A, int threads) {
        return A.crew(threads) == 1 ? 1 : std::min(A.mesh.rows(), 4L * threads);
    }
};

// Where the rows near a coarse row begin: fine ones up to two away in their fields, coarse ones beside it in the same
// plane and the next in the window; -1: outside.
struct Near {
    long fine[5][5], coarse[2][3];

    Near(const Pair& pair, long I, long J) {
        const Mesh &f = pair.fine->mesh, &c = pair.coarse->mesh;
        const long i = pair.steps(0) * I + pair.first(0), j = pair.steps(1) * J + pair.first(1);
        for (long a = -2; a <= 2; a++)
            for (long b = -2; b <= 2; b++) {
                const long row = f.row(i + a, j + b);
                fine[a + 2][b + 2] = row < 0 ? -1 : row * f.stride() + LEFT;
            }
        for (long a = 0; a <= 1; a++)
            for (long b = -1; b <= 1; b++) {
                const long row = c.row(I + a, J + b);
                coarse[a][b + 1] = row < 0 ? -1 : pair.in_window((I + a) % 2, row % c.n[1]);
            }
    }
};

}  // namespace mgnet
