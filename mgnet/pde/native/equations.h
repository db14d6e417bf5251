// The equations of a grid's unknowns, of what couples them: through faces, from either side, and across corners.
//
//     (A u)_i = sum_d cross_d [back_{i-1/2} (u_i - u_{i-1}) + forth_{i+1/2} (u_i - u_{i+1})] + corners + m u_i
//
// as problem/convection.py and problem/cross.py have it; without convection, back and forth are one.
#pragma once
#include <memory>

#include "conductances.h"
#include "stream_mesh.h"

namespace mgnet {

struct Sides {
    StreamMesh mesh;
    long members = 1;
    Field back[3], forth[3];       // no axes but the grid's
    Field along[3], across[3];     // both diagonals of the corners of the two axes other than this one; perhaps none
    Field c;                       // perhaps none
    std::vector<double> share[3];  // of a cell, per axis
    bool transposed = false;
};

// tame : |back - forth| / (back + forth) where there is to be no more; 0: as they are. See Convection.tame
std::shared_ptr<const Equations> equations_of(const Sides& A, double tame, int threads);
bool is_tame(const Sides& A, double tame);

}  // namespace mgnet
