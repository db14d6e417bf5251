// Separation of variables, for one instruction set. It is compiled once for each: MGNET_SET is
// its name, MGNET_BYTES how wide its vectors are.
#include "separable.h"

#include "machines.h"

namespace mgnet {
namespace {
struct Here {};
std::unique_ptr<SeparableSolver> make(const SeparableProblem& problem) {
    return std::make_unique<SeparableEngine<Vectors<double, MGNET_BYTES, Here>>>(problem);
}
}  // namespace

namespace MGNET_SET {
extern const SeparableKernels separable = {make};
}

}  // namespace mgnet
