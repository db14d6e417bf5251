// The lines along one axis of a grid, and their systems in factors.
//
// Lines lie side by side along the axis `across`, on sheets along the third axis. A line's colour is the parity of its
// number along either; where an axis of odd length closes, its last line or sheet has a colour of its own. Lines of a
// colour that a stencil of 3^d points does not couple are solved in bundles: lane k of tile t has the line
// 2 lanes t + colour + 2 k.
//
//     T = tridiag(-s_{i-1}, 1, -s_i) = L D L^T,    q = 1 / D,  l_i = s_{i-1} q_{i-1},
//     y_i = r_i + l_i y_{i-1},    e_i = q_i y_i + l_{i+1} e_{i+1}
//
// A closed line is opened at its last unknown, whose row of L is then full: -g. A pivot that is round-off of zero,
// where nothing holds the line, fixes its unknown at 0.
#pragma once
#include <limits>

#include "arena.h"
#include "line_data.h"

namespace mgnet {

// What a bundle of lines is solved with: per unknown `lanes` numbers each of l, q and, on closed lines, g.
template <class T>
struct Bundle {
    const T* factors;
    long first, count, colour;  // the lines, two apart
};

template <class X>
struct LineSet {
    using T = typename X::T;
    int axis, side, deep;  // axes of the lines, across, and of the sheets
    Mesh mesh;
    long n, across, sheets, lanes, tiles, depth, stride;
    bool closed, seam, sheet_seam, own;  // own: whether an unknown may be its own neighbour on another line
    long members, size;                  // of the coefficients, and numbers of a coupling
    LineForms<T> forms;
    const T* S;
    T* factors;

    static LineSet make(const StencilLevel<T>& level, int axis, long members, long width, Arena& arena) {
        LineSet g{};
        g.describe(level, axis, members);
        g.lanes = width, g.tiles = (g.across - g.seam + 2 * width - 1) / (2 * width);
        const long bundles = members * g.sheets * g.bundles();
        g.factors = arena.take<T>((bundles * g.n + 1) * g.depth * width);
        std::vector<double> work(3 * width);
        for (long m = 0; m < members; m++)
            for (long sheet = 0; sheet < g.sheets; sheet++) {
                for (long t = 0; t < g.tiles; t++)
                    for (long colour = 0; colour < 2; colour++) g.factor(m, sheet, g.bundle(m, sheet, t, colour), work);
                if (g.seam) g.factor(m, sheet, g.bundle(m, sheet, g.tiles, 2), work);
            }
        return g;
    }

    // colour 2: the seam
    Bundle<T> bundle(long m, long sheet, long tile, long colour) const {
        const T* at = factors + ((m * sheets + sheet) * bundles() + 2 * tile + (colour == 1)) * n * depth * lanes;
        if (colour == 2) return {at, across - 1, 1, 2};
        const long first = 2 * lanes * tile + colour, left = (across - seam - first + 1) / 2;
        return {at, first, left < 0 ? 0 : left < lanes ? left : lanes, colour};
    }

    long sheets_of(long colour) const {
        return colour == 2 ? sheet_seam : (sheets - sheet_seam + 1 - colour) / 2;
    }
    long pairs() const { return (sheets - sheet_seam + 1) / 2; }  // of sheets
    long sheet_of(long colour, long k) const { return colour == 2 ? sheets - 1 : colour + 2 * k; }

    // the row of unknown i of a line (0: its first, along the rows), of side by side line a
    long row(long sheet, long a, long i) const {
        long at[3] = {};
        at[deep] = sheet, at[side] = a, at[axis] = i;
        return at[0] * mesh.n[1] + at[1];
    }

  private:
    long bundles() const { return 2 * tiles + seam; }

    void describe(const StencilLevel<T>& level, int along_axis, long members_of_S) {
        mesh = level.fine, S = level.S, members = members_of_S, size = members * mesh.size(), stride = mesh.stride();
        axis = along_axis;
        side = axis != 2 ? 2 : mesh.n[1] > 1 ? 1 : 0, deep = 3 - axis - side;
        n = mesh.n[axis], across = mesh.n[side], sheets = mesh.n[deep];
        closed = n > 1 && mesh.wraps[axis], depth = closed ? 3 : 2;
        forms = line_forms<X>(mesh.points, axis);
        seam = odd_ring(side), sheet_seam = odd_ring(deep);
        for (int d : {side, deep}) own = own || (mesh.n[d] == 1 && mesh.wraps[d]);
    }

    bool odd_ring(int d) const { return mesh.wraps[d] && mesh.n[d] > 1 && mesh.n[d] % 2 == 1; }

    const T* coupling(long m, long sheet, long a, long i) const {
        const long column = axis == 2 ? i : a, along = ALONG[axis][mesh.points];
        return S + along * size + m * mesh.size() + row(sheet, axis == 2 ? a : 0, axis == 2 ? 0 : i) * stride +
               LEFT + column;
    }

    // L D L^T of a bundle's lines, in double
    void factor(long m, long sheet, const Bundle<T>& b, std::vector<double>& work) const {
        constexpr double nothing = 8.0 * std::numeric_limits<T>::epsilon();
        double *inverse = work.data(), *edge = inverse + lanes, *last = edge + lanes;
        for (long k = 0; k < lanes; k++) inverse[k] = edge[k] = 0, last[k] = 1;
        for (long i = 0; i < n; i++) {
            T* to = const_cast<T*>(b.factors) + i * depth * lanes;
            for (long k = 0; k < b.count; k++) {
                const long a = b.first + 2 * k;
                const bool end = closed && i == n - 1;
                const double s = i > 0 && !end ? *coupling(m, sheet, a, i - 1) : 0, l = s * inverse[k];
                double pivot = 1 - s * l;
                if (n == 1 && mesh.wraps[axis]) pivot -= 2 * static_cast<double>(*coupling(m, sheet, a, 0));
                if (end) pivot = last[k];
                inverse[k] = pivot > nothing ? 1 / pivot : 0;
                to[k] = static_cast<T>(l), to[lanes + k] = static_cast<T>(inverse[k]);
                if (!closed || end) continue;
                edge[k] = l * edge[k] + (i == 0 ? *coupling(m, sheet, a, n - 1) : 0) +
                          (i == n - 2 ? *coupling(m, sheet, a, n - 2) : 0);
                const double g = edge[k] * inverse[k];
                last[k] -= g * edge[k], to[2 * lanes + k] = static_cast<T>(g);
            }
        }
    }
};

}  // namespace mgnet
