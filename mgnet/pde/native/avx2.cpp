// The kernels for x86-64 with AVX2 and FMA (x86-64-v3).
#include "cycle.h"

namespace mgnet {
namespace {
struct Here {};
template <class T>
Cycles* make(const Problem& problem) {
    return new Engine<Vectors<T, 32, Here>>(problem);
}
}  // namespace

extern const Machine avx2 = {"avx2", make<float>, make<double>};

}  // namespace mgnet
