// Connected components of the unknowns of a grid.
#pragma once
#include <cstdint>

namespace mgnet {

// label (members, n0, n1, n2) = the first unknown of each component of the unknowns `inside`, -1 elsewhere.
// Neighbours are connected if the face between them is open; opens[d] (members, n with n_d + 1), or 0: all are.
void components(const bool* inside, const bool* const opens[3], const bool wraps[3], long members, const long n[3],
                std::int64_t* label);

}  // namespace mgnet
