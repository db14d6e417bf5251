// Constant coefficients, for one instruction set. It is compiled once for each: MGNET_SET is
// its name, MGNET_BYTES how wide its vectors are.
#include "cycle.h"
#include "machines.h"

namespace mgnet {
namespace {
struct Here {};
template <class T>
Cycles* make(const Problem& problem) {
    return new Engine<Vectors<T, MGNET_BYTES, Here>>(problem);
}
}  // namespace

namespace MGNET_SET {
extern const ConstantKernels constant = {make<float>, make<double>};
}

}  // namespace mgnet
