// The kernels of the black-box cycles for any processor of the kind that this was built for.
#include "stencil_cycle.h"

namespace mgnet {
namespace {
struct Here {};
template <class T>
StencilCycles* make(const StencilHierarchy<T>& hierarchy, const StencilRun& run) {
    return new StencilEngine<Vectors<T, 16, Here>>(hierarchy, run);
}
}  // namespace

#if defined(__aarch64__)
constexpr const char* NAME = "neon";  // which every such processor has
#else
constexpr const char* NAME = "baseline";
#endif

extern const StencilMachine stencil_baseline = {NAME, make<float>, make<double>};

}  // namespace mgnet
