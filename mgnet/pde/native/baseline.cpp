// The kernels for any processor of the kind that this was built for.
#include "coarsening.h"
#include "cycle.h"

namespace mgnet {
namespace {
struct Here {};
template <class T>
Cycles* make(const Problem& problem) {
    return new Engine<Vectors<T, 16, Here>>(problem);
}
template <class T>
std::unique_ptr<StencilHierarchy<T>> coarsen(const StencilProblem& problem) {
    return Coarsening<Vectors<double, 16, Here>, T>::make(problem);
}
}  // namespace

#if defined(__aarch64__)
constexpr const char* NAME = "neon";  // which every such processor has
#else
constexpr const char* NAME = "baseline";
#endif

extern const Machine baseline = {NAME, make<float>, make<double>, coarsen<float>, coarsen<double>};

}  // namespace mgnet
