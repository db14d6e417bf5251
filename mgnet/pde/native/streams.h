// All that the binding asks of the levels of an operator with convection, whatever the numbers and the instruction set.
#pragma once
#include <memory>
#include <vector>

#include "stream_mesh.h"

namespace mgnet {

struct StreamProblem {
    StreamMesh mesh;
    long first[3] = {};        // coarse unknowns of the axes
    bool axes[3] = {};         // which axes the grid has
    bool smoothed[3] = {};     // along which lines are solved
    std::shared_ptr<const Equations> A, tame;  // the operator, and what levels are made of; often one
    std::shared_ptr<const Equations> opposite; // A^T, if steps on normal equations follow cycles,
    std::vector<double> omegas;                // and their damping
    bool transposed = false;   // whether that is the transpose of an operator with convection
    int down = 1, up = 1;      // sweeps
    int gamma = 1;             // cycle index; 0: the F-cycle
    long coarsest = 100;       // unknowns that need no coarser grid,
    double eliminated = 0;     // or multiplications that eliminating them may take,
    double in_turn = 0;        // and where rows are smoothed in turn
    long shortest = 5;         // of a periodic axis that is halved
    int threads = 1;
};

class Streams {
  public:
    virtual ~Streams() = default;
    virtual std::vector<long> sizes() const = 0;            // unknowns of each grid, the finest first
    virtual bool in_turn() const = 0;                       // whether the finest one's rows are smoothed in turn
    virtual bool alone() const = 0;                         // and no coarser grid is needed
    virtual double weakest() const = 0;                     // pivot of the coarsest one over its diagonal
    virtual void cycle(const void* b, void* out, long batch) = 0;  // (batch, n0, n1, n2): one cycle from zero
    // and (batch, 2) ||b|| and ||b - A out||
    virtual void solve(const void* b, void* out, long batch, double* norms) = 0;
    virtual void apply(const void* u, void* out, long batch) = 0;  // A u
    // Minimal residuals, (batch) norms of what is left each: from x (null: zero); a step of each right-hand side that is
    // not there; x, whose residual is computed anew; and the x before the last step (null: its residual alone).
    virtual void begin(const void* x, const void* b, long batch, double* norms) = 0;
    virtual void step(const void* b, long batch, const bool* there, double* norms) = 0;
    virtual void finish(const void* b, void* x, long batch, double* norms) = 0;
    virtual void before(const void* b, void* x, long batch, double* norms) = 0;
};

struct StreamKernels {
    std::unique_ptr<Streams> (*make32)(const StreamProblem&);
    std::unique_ptr<Streams> (*make64)(const StreamProblem&);
};

}  // namespace mgnet
