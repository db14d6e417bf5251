// What the binding asks of a separation of variables, whatever the instruction set: see levels/separable.py.
#pragma once
#include <memory>

namespace mgnet {

// Lines along axis 0 in the modes of axes 1 and 2: row sums m (n0, n1, n2), couplings s (n0 - 1,) between the planes,
// and modes (n, n), a column each, of the two axes; null where f and u are in an axis' modes.
struct SeparableProblem {
    long n[3];
    const double *m, *s, *modes[2];
    int threads = 1;
};

class SeparableSolver {
  public:
    virtual ~SeparableSolver() = default;
    virtual void solve(const double* f, double* u, long batch) = 0;  // u = A^-1 f, (batch, n0, n1, n2)
};

struct SeparableKernels {
    std::unique_ptr<SeparableSolver> (*make)(const SeparableProblem&);
};

}  // namespace mgnet
