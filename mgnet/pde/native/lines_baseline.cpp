// Line smoothing, compiled as baseline.cpp is.
#include "line_sweeps.h"
#include "simd.h"

namespace mgnet {
namespace {
struct Here {};
template <class T>
LineSweeps* make(const LineProblem& problem) {
    return new LineEngine<Vectors<T, 16, Here>>(problem);
}
}  // namespace

extern const LineMachine lines_baseline = {"baseline", make<float>, make<double>};

}  // namespace mgnet
