// The kernels for x86-64 with AVX-512 (x86-64-v4), in vectors of 32 bytes, which wait least for memory.
#include "cycle.h"

namespace mgnet {
namespace {
struct Here {};
template <class T>
Cycles* make(const Problem& problem) {
    return new Engine<Vectors<T, 32, Here>>(problem);
}
}  // namespace

extern const Machine avx512 = {"avx512", make<float>, make<double>};

}  // namespace mgnet
