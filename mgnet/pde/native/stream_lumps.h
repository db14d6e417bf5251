// Equations that lose negative couplings, as blackbox/galerkin.py's ``lumped`` does it: where a diagonal is little beside
// the others' and those outweigh it, they are left out; row sums stay. Of a transpose, columns are.
#pragma once
#include <algorithm>

#include "stream_mesh.h"

namespace mgnet {

// what couples number j of row r to the unknown o beside it, or that one to it; null where there is none
inline double* coupling(const StreamOperator& A, bool transposed, long r, long j, int o) {
    if (!transposed) return A.s[o] ? A.s[o] + A.mesh.begin(r) + j : nullptr;
    const long other = A.mesh.row(r, step_of(o, 0), step_of(o, 1)), at = A.mesh.inside(j + step_of(o, 2), 2);
    return other < 0 || at < 0 || !A.s[26 - o] ? nullptr : A.s[26 - o] + A.mesh.begin(other) + at;
}

inline void lump(const StreamOperator& A, bool transposed, long r, long j) {
    double *those[26], negative = 0;
    int count = 0;
    for (int o = 0; o < 27; o++) {
        double* const s = o == CENTRE ? nullptr : coupling(A, transposed, r, j, o);
        if (s) those[count++] = s, negative += std::min(*s, 0.0);
    }
    double& d = A.s[CENTRE][A.mesh.begin(r) + j];
    if (d > -negative) return;
    d -= negative;
    for (int k = 0; k < count; k++) *those[k] = std::max(*those[k], 0.0);
}

inline void lump(const StreamOperator& A, bool transposed, int threads) {
    constexpr double LITTLE = 0.05;
    const StreamMesh& mesh = A.mesh;
    const double* const d = A.s[CENTRE];
    double mean = 0;
    for (long r = 0; r < mesh.rows(); r++)
        for (long j = 0; j < mesh.n[2]; j++) mean += d[mesh.begin(r) + j];
    mean /= mesh.unknowns();
    share_out(mesh.rows(), threads, [&](long r) {
        for (long j = 0; j < mesh.n[2]; j++)
            if (d[mesh.begin(r) + j] <= LITTLE * mean) lump(A, transposed, r, j);
    });
    share_out(mesh.rows(), threads, [&](long r) {
        for (int o = 0; o < 27; o++)
            if (A.s[o]) A.close(o, r);
    });
}

}  // namespace mgnet
