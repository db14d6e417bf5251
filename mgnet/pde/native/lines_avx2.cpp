// Line smoothing, compiled as avx2.cpp is.
#include "line_sweeps.h"
#include "simd.h"

namespace mgnet {
namespace {
struct Here {};
template <class T>
LineSweeps* make(const LineProblem& problem) {
    return new LineEngine<Vectors<T, 32, Here>>(problem);
}
}  // namespace

extern const LineMachine lines_avx2 = {"avx2", make<float>, make<double>};

}  // namespace mgnet
