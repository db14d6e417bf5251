// The instruction sets that this build has. Whether the processor has one, is asked here: nothing that is compiled for
// it may run before. Each set's objects are made from the same sources, see CMakeLists.txt.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "cycles.h"
#include "separable_solver.h"
#include "stencil_cycles.h"
#include "streams.h"

namespace mgnet {

struct ConstantKernels {
    Cycles* (*make32)(const Problem&);
    Cycles* (*make64)(const Problem&);
};

struct SetUpKernels {
    std::unique_ptr<StencilHierarchy<float>> (*make32)(const StencilProblem&);
    std::unique_ptr<StencilHierarchy<double>> (*make64)(const StencilProblem&);
};

// The hierarchy has to outlive its cycles, and to have an inverse.
struct StencilKernels {
    StencilCycles* (*make32)(const StencilHierarchy<float>&, const StencilRun&);
    StencilCycles* (*make64)(const StencilHierarchy<double>&, const StencilRun&);
};

struct Machine {
    const char* name;
    bool (*here)();
    const ConstantKernels* constant;
    const SetUpKernels* set_up;
    const StencilKernels* stencil;
    const StreamKernels* streams;
    const SeparableKernels* separable;
};

std::vector<std::string> machines();  // those that run here, the fastest first
const Machine& machine_called(const std::string& name);

}  // namespace mgnet
