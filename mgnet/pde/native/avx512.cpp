// The kernels for x86-64 with AVX-512 (x86-64-v4), in vectors of 32 bytes, which wait least for memory.
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

extern const Machine avx512 = {"avx512", make<float>, make<double>, coarsen<float>, coarsen<double>};

}  // namespace mgnet
