// The kernels of the black-box cycles for x86-64 with AVX2 and FMA.
#include "stencil_cycle.h"

namespace mgnet {
namespace {
struct Here {};
template <class T>
StencilCycles* make(const StencilHierarchy<T>& hierarchy, const StencilRun& run) {
    return new StencilEngine<Vectors<T, 32, Here>>(hierarchy, run);
}
}  // namespace

extern const StencilMachine stencil_avx2 = {"avx2", make<float>, make<double>};

}  // namespace mgnet
