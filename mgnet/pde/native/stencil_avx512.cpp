// The kernels of the black-box cycles for x86-64 with AVX-512, in vectors of 32 bytes, which wait least for memory.
#include "stencil_cycle.h"

namespace mgnet {
namespace {
struct Here {};
template <class T>
StencilCycles* make(const StencilHierarchy<T>& hierarchy, const StencilRun& run) {
    return new StencilEngine<Vectors<T, 32, Here>>(hierarchy, run);
}
}  // namespace

extern const StencilMachine stencil_avx512 = {"avx512", make<float>, make<double>};

}  // namespace mgnet
