// All that the bindings ask of the kernels, whatever the numbers and the instruction set.
#pragma once
#include "problem.h"

namespace mgnet {

// Arrays (batch, n0, n1, n2) of one grid and its coarser neighbour; 0 where there is none.
struct Arrays {
    const void *u, *guess, *e, *f;
    void *out, *f_c;
    const void *before, *after;  // planes [0, begin) and [end, n0) of f, where these lie apart
    long begin, end, planes;     // how many planes of f a member has
};

// Arrays of the finest grid: data, a workspace and the iterate that comes out.
struct Finest {
    const void* b;
    void *scratch, *out;
    bool measure, unweighted;
};

// Results are (batch,) squared norms of residuals, until the next call.
class Cycles {
  public:
    virtual ~Cycles() = default;

    // One pass on grid l, see pass.h; way 0: no steps, 1: those of the way down, 2: up, 3: up and then down.
    virtual const double* pass(const Arrays& arrays, int l, int way, bool norm, bool unweighted, double omega) = 0;
    virtual void interpolant(int l, const void* f, const void* u, void* out) = 0;
    virtual void direct(const void* f, void* u) = 0;
    // One cycle; `known`: the restricted residual of u is there, u being the last measured iterate.
    virtual const double* cycle(const Finest& v, const void* u, bool known, double omega) = 0;
    // Full multigrid; `ready`: b is what `norms` of zero saw last. Data of the coarser grids, and the finer ones'
    // restricted, may be given.
    virtual const double* full_multigrid(const Finest& v, bool ready, const void* const* data,
                                const void* const* restricted) = 0;
    virtual const double* norms(const void* u, const void* b) = 0;
    // (batch, 2) sums of the data on a grid below, and of their sizes, from the last `start`
    virtual const double* sums() const = 0;
};

}  // namespace mgnet
