// The kernels for x86-64 with AVX2 and FMA (x86-64-v3).
#include "coarsening.h"
#include "cycle.h"

namespace mgnet {
namespace {
struct Here {};
template <class T>
Cycles* make(const Problem& problem) {
    return new Engine<Vectors<T, 32, Here>>(problem);
}
template <class T>
std::unique_ptr<StencilHierarchy<T>> coarsen(const StencilProblem& problem) {
    return Coarsening<Vectors<double, 32, Here>, T>::make(problem);
}
}  // namespace

extern const Machine avx2 = {"avx2", make<float>, make<double>, coarsen<float>, coarsen<double>};

}  // namespace mgnet
