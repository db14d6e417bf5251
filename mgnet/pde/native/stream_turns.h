// What couplings say of a grid: whether its rows are smoothed in turn, and whether layers across an axis are problems of
// their own; see blackbox/turns.py.
#pragma once
#include <algorithm>
#include <vector>

#include "simd.h"
#include "stream_mesh.h"

namespace mgnet {

template <class X>
inline typename X::V least(typename X::V a, typename X::V b) {
    return X::where(a < b, a, b);
}

// Whether Gauss-Seidel by rows in turn smooths: couplings that are negative, which it would add up against the flow, are
// none, or few on coarse grids; nowhere do others than those along the rows hold unknowns together from both sides; and
// no other axis is closed, where what flows meets itself.
template <class X>
bool smooths_in_turn(const StreamOperator& A, bool finest) {
    using V = typename X::V;
    constexpr double ALIKE = 4, LITTLE = 0.05, FEW = 1e-3, NEGATIVE = 0.25;
    const StreamMesh& mesh = A.mesh;
    if ((mesh.wraps[0] && mesh.n[0] > 1) || (mesh.wraps[1] && mesh.n[1] > 1)) return false;
    V negative = {}, across = {};
    for (long r = 0; r < mesh.rows(); r++) {
        const long here = mesh.begin(r);
        const double *own[6] = {}, *back[6] = {}, *all[26];
        int count = 0;
        for (int o = 0; o < 27; o++)
            if (o != CENTRE && A.s[o]) all[count++] = A.s[o] + here;
        for (int k = 0; k < 6; k++) {
            const int side = k % 2 ? 1 : -1, o = number_of(k / 2 == 0 ? side : 0, k / 2 == 1 ? side : 0, k / 2 == 2 ? side : 0);
            const long other = A.s[o] ? mesh.row(r, step_of(o, 0), step_of(o, 1)) : -1;
            if (other >= 0) own[k] = A.s[o] + here, back[k] = A.s[26 - o] + mesh.begin(other) + step_of(o, 2);
        }
        for (long j = 0; j < mesh.n[2]; j += X::W) {
            const auto those = X::below(mesh.n[2] - j);  // of the vector that belong to the row
            const V d = X::where(those, X::load(A.s[CENTRE] + here + j), V{});
            const V inverse = X::where(d > V{}, 1 / X::where(d > V{}, d, X::splat(1)), V{});
            for (int k = 0; k < count; k++) negative -= least<X>(X::load(all[k] + j), V{}) * inverse;
            V both[3] = {};
            for (int k = 0; k < 6; k++)
                if (own[k]) both[k / 2] += least<X>(X::load(own[k] + j), X::load(back[k] + j));
            V most = both[2] * ALIKE, few = d * LITTLE;
            most = X::where(most > few, most, few);
            for (int d = 0; d < 2; d++) across += X::where((both[d] > most) & those, X::splat(1), V{});
        }
    }
    return X::sum(negative) <= (finest ? 0 : NEGATIVE * mesh.unknowns()) && X::sum(across) <= FEW * mesh.unknowns();
}

// The mean share of what couples unknowns along each axis in what does along the axis where most does.
template <class X>
void add_shares(const StreamOperator& A, double to[3]) {
    using V = typename X::V;
    const StreamMesh& mesh = A.mesh;
    V sums[3] = {};
    for (long r = 0; r < mesh.rows(); r++)
        for (long j = 0; j < mesh.n[2]; j += X::W) {
            const auto those = X::below(mesh.n[2] - j);
            V along[3] = {};
            for (int o = 0; o < 27; o++) {
                if (o == CENTRE || !A.s[o]) continue;
                const V s = X::load(A.s[o] + mesh.begin(r) + j), size = X::where(s < V{}, -s, s);
                for (int d = 0; d < 3; d++)
                    if (step_of(o, d)) along[d] += size;
            }
            const V less = least<X>(-along[0], least<X>(-along[1], -along[2]));
            const V inverse = X::where((less < V{}) & those, -1 / X::where(less < V{}, less, X::splat(-1)), V{});
            for (int d = 0; d < 3; d++) sums[d] += along[d] * inverse;
        }
    for (int d = 0; d < 3; d++) to[d] = std::max(to[d], X::sum(sums[d]) / mesh.unknowns());
}

// The only axis in three dimensions along which next to nothing couples any member's unknowns, or -1: layers across it
// are problems of their own.
template <class X>
int layered(const std::vector<const StreamOperator*>& all) {
    constexpr double LAYERED = 0.05;
    const StreamMesh& mesh = all[0]->mesh;
    if (std::min({mesh.n[0], mesh.n[1], mesh.n[2]}) == 1) return -1;
    double most[3] = {};
    int apart = -1, count = 0;
    for (const StreamOperator* A : all) add_shares<X>(*A, most);
    for (int d = 0; d < 3; d++)
        if (most[d] < LAYERED) apart = d, count++;
    return count == 1 ? apart : -1;
}

}  // namespace mgnet
