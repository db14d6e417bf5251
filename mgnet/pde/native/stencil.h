// Stencils that vary from unknown to unknown, in padded fields, and the grids of a hierarchy made of them.
//
// A field is (members, n0 n1 rows, stride): a row of n2 unknowns has them at [LEFT, LEFT + n2) and two ghosts on either
// side, which hold the wrapped values where the axis is periodic and 0 elsewhere. Two dimensions have n1 = 1, one has
// n0 = n1 = 1. A coupling s_o is minus the entry of A towards the unknown at offset o; the one towards -o is stored
// at the other end. Couplings across an end are 0, so no loop asks where it is.
#pragma once
#include <cstdint>
#include <type_traits>
#include <vector>

namespace mgnet {

constexpr long LEFT = 16;  // numbers before the first unknown of a row: a cache line at least
constexpr long RIGHT = 3;  // numbers after the last one at least

// Numbers from one row to the next: whole cache lines, and no power of two.
inline long padded(long n) {
    const long stride = LEFT + (n + RIGHT + 15) / 16 * 16;
    return stride % 512 == 0 ? stride + 16 : stride;
}

enum Points { FIVE, NINE, SEVEN, TWENTY_SEVEN, NINETEEN };  // of a stencil; its couplings below, in the order they are stored in

constexpr int COUPLINGS[] = {2, 4, 3, 13, 9};

// body(P) for the points P, known to the compiler
template <class Body>
auto with_points(Points points, const Body& body) {
    if (points == FIVE) return body(std::integral_constant<Points, FIVE>());
    if (points == NINE) return body(std::integral_constant<Points, NINE>());
    if (points == SEVEN) return body(std::integral_constant<Points, SEVEN>());
    if (points == NINETEEN) return body(std::integral_constant<Points, NINETEEN>());
    return body(std::integral_constant<Points, TWENTY_SEVEN>());
}

struct Mesh {
    long n[3] = {1, 1, 1};
    bool wraps[3] = {};
    Points points = FIVE;

    long rows() const { return n[0] * n[1]; }
    long stride() const { return padded(n[2]); }
    long size() const { return rows() * stride(); }  // numbers of a field
    long unknowns() const { return rows() * n[2]; }
    int couplings() const { return COUPLINGS[points]; }

    // wrapped, or -1 beyond an end
    long inside(long i, int d) const {
        if (0 <= i && i < n[d]) return i;
        return wraps[d] ? (i % n[d] + n[d]) % n[d] : -1;
    }
    // the number of row (i, j), and of the row at an offset from row r; -1 outside
    long row(long i, long j) const {
        const long a = inside(i, 0), b = inside(j, 1);
        return a < 0 || b < 0 ? -1 : a * n[1] + b;
    }
    long row(long r, const int* o, int sign = 1) const { return row(r / n[1] + sign * o[0], r % n[1] + sign * o[1]); }

    // the ghosts of a row; v is its first unknown
    template <class T>
    void close(T* v) const {
        const long m = n[2];
        const bool wrap = wraps[2];
        v[-1] = wrap ? v[m - 1] : T(0), v[m] = wrap ? v[0] : T(0);
        v[-2] = wrap ? v[m > 1 ? m - 2 : 0] : T(0), v[m + 1] = wrap ? v[m > 1 ? 1 : 0] : T(0);
    }
};

// How a grid is coarsened: unknown first + 2 I (or I, where an axis is not halved) of an axis lies on the coarse grid.
struct Halving {
    bool halved[3] = {};
    long first[3] = {};
    int deltas() const { return (halved[0] ? 3 : 1) * (halved[1] ? 3 : 1) * (halved[2] ? 3 : 1); }
};

// Clusters to correct: u += z (z, f - A u) / (z, A z) for each; where z and A z are not zero, cluster by cluster.
template <class T>
struct Clusters {
    std::vector<std::int32_t> at, at_A;     // numbers of a member's field
    std::vector<T> z, Az;
    std::vector<long> begin, begin_A;       // (clusters + 1,) where each one's numbers begin
    std::vector<long> member;               // (clusters,)
    std::vector<double> inverse;            // (clusters,) DAMPING / (z, A z)
};

// One grid of a hierarchy, of unit diagonal, and P from the next coarser one.
template <class T>
struct StencilLevel {
    Mesh fine, coarse;
    Halving halving;
    const T* S;  // (couplings, members, rows, stride)
    const T* W;  // (deltas, members, coarse rows, coarse stride), delta = (-1 | 0 | 1) an axis that is halved, last fastest
    std::vector<T> down, up;  // omegas of the steps
    std::vector<int> lines;   // axes along which lines are smoothed, in this order on the way down, if any are
    Clusters<T> clusters;
};

}  // namespace mgnet
