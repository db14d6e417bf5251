// Line smoothing, compiled as avx512.cpp is.
#include "line_sweeps.h"
#include "simd.h"

namespace mgnet {
namespace {
struct Here {};
template <class T>
LineSweeps* make(const LineProblem& problem) {
    return new LineEngine<Vectors<T, 64, Here>>(problem);
}
}  // namespace

extern const LineMachine lines_avx512 = {"avx512", make<float>, make<double>};

}  // namespace mgnet
