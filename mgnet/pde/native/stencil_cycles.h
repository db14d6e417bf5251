// All that the bindings ask of the cycles of a black-box hierarchy, whatever the numbers and the instruction set.
#pragma once
#include "stencil_hierarchy.h"

namespace mgnet {

struct StencilRun {
    int gamma = 1;  // cycle index; 0: the F-cycle
    long batch = 1;
    int threads = 1;
    bool single = false;  // whether x and b are in float32
    long counted[2] = {0, 1L << 40};  // planes of the finest grid that sums are over
};

// x and b are (batch, n0, n1, n2) in the data's precision, numbers of members (batch,) doubles. x is 0 for zero, and
// x_out other memory. Residuals are of what is kept in x_out.
class StencilCycles {
  public:
    virtual ~StencilCycles() = default;

    // r = s (b - A x) / ||b||, p = 0;  ||b - A x||
    virtual void begin(const void* x, const void* b, double* norms) = 0;
    // One iteration of conjugate gradients (krylov.py) from x to x_out, which leaves members alone whose norm is at the
    // floor: ||b - A x_out||, (r, M r) and (r, p).
    virtual void advance(const void* x, void* x_out, const void* b, const double* floor, double* norms, double* rz,
                         double* rp) = 0;
    // Full multigrid, and x_out = x + M (b - A x); norms are 0 unless `measured`.
    virtual void full_multigrid(void* x_out, const void* b, bool measured, double* norms) = 0;
    virtual void cycle(const void* x, void* x_out, const void* b, bool measured, double* norms) = 0;
    virtual void norms(const void* x, const void* b, double* norms) = 0;

    // The verbs on grid l, on padded fields (batch, rows, stride). An iterate that is 0 is zero. Whole vectors are read
    // behind the fields' ends, and of a level alone written, too.
    virtual void smooth(int l, const void* u, const void* f, void* out, bool up) = 0;  // on the way up without clusters
    virtual void down(int l, const void* u, const void* f, void* out, void* f_c) = 0;
    virtual void up(int l, const void* u, const void* f, const void* e, void* out) = 0;
    virtual void restrict_(int l, const void* u, const void* f, void* f_c) = 0;       // f_c = P^T (f - A u)
    virtual void interpolate(int l, const void* u, const void* e, void* out) = 0;     // out = u + P e
    virtual void solve(const void* f, void* u) = 0;  // on the coarsest grid

    // The same of conjugate gradients on fields of the finest grid that are the caller's: (v, w);  p_out = z + beta p
    // and its energy;  x_out = x + alpha s p, r = scale s (b - A x_out), ||b - A x_out||^2 and (r, p).
    virtual void dot(const void* v, const void* w, double* sums) = 0;
    virtual void turn(const void* z, const void* p, const double* beta, void* p_out, double* energy) = 0;
    virtual void move(const void* x, const void* p, const double* alpha, void* x_out, const void* b, const double* scale,
                      void* r, double* squares, double* rp) = 0;
};

}  // namespace mgnet
