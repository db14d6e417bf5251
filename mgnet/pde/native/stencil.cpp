// Cycles of a black-box hierarchy, for one instruction set. It is compiled once for each: MGNET_SET is
// its name, MGNET_BYTES how wide its vectors are.
#include "stencil_cycle.h"
#include "machines.h"

namespace mgnet {
namespace {
struct Here {};
template <class T>
StencilCycles* make(const StencilHierarchy<T>& hierarchy, const StencilRun& run) {
    return new StencilEngine<Vectors<T, MGNET_BYTES, Here>>(hierarchy, run);
}
}  // namespace

namespace MGNET_SET {
extern const StencilKernels stencil = {make<float>, make<double>};
}

}  // namespace mgnet
