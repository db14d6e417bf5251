// The set-up of a black-box hierarchy, for one instruction set. It is compiled once for each: MGNET_SET is
// its name, MGNET_BYTES how wide its vectors are.
#include "coarsening.h"
#include "machines.h"

namespace mgnet {
namespace {
struct Here {};
template <class T>
std::unique_ptr<StencilHierarchy<T>> make(const StencilProblem& problem) {
    return Coarsening<Vectors<double, MGNET_BYTES, Here>, T>::make(problem);
}
}  // namespace

namespace MGNET_SET {
extern const SetUpKernels set_up = {make<float>, make<double>};
}

}  // namespace mgnet
