// The product with an operator of wide differences along the axes, as problem/fourth_order.py has it:
//
//     (A u)_i = w_i (c_i u_i + sum_d (L_d u)_i),     (L u)_i = sum_j l_ij (u_j - u_i) + e_i u_i
//
// Inside, row i of L is a symmetric stencil that reaches two unknowns to either side, and e_i is 0; the rows beside an end
// are given. u is constant where it is constant: no large numbers are subtracted.
#pragma once
#include <vector>

#include "conductances.h"

namespace mgnet {

// L along one axis of n > 1 unknowns, and their shares of a cell.
struct Differences {
    long n = 1;
    bool wraps = false;
    double stencil[2] = {};          // at a distance of one, and of two
    long rows = 0, columns = 0;      // beside an end, from there inwards
    std::vector<double> beside[2];   // (rows, columns), of the low end and of the high one
    std::vector<double> excess[2];   // (rows,) e
    std::vector<double> share;

    // take(j, l_ij) for all j that row i looks at; e_i
    template <class Take>
    double row(long i, const Take& take) const {
        const bool low = i < rows;
        if (!low && i < n - rows) {
            for (long step : {-2L, -1L, 1L, 2L}) take((i + step + n) % n, stencil[step % 2 == 0]);
            return 0;
        }
        const long at = low ? i : n - 1 - i;
        const double* l = beside[!low].data() + at * columns;
        for (long j = 0; j < columns; j++)
            if (j != at) take(low ? j : n - 1 - j, l[j]);
        return excess[!low][at];
    }
};

struct WideOperator {
    Differences axes[3];
    long members = 1;
    Field c;  // perhaps none
};

// out (members, n0, n1, n2) = A u
void apply(const WideOperator& A, const Field& u, long members, double* out, int threads);

}  // namespace mgnet
