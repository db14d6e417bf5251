#include "machines.h"

#include <stdexcept>

namespace mgnet {

namespace baseline {
extern const ConstantKernels constant;
extern const SetUpKernels set_up;
extern const StencilKernels stencil;
extern const StreamKernels streams;
extern const SeparableKernels separable;
}  // namespace baseline

#ifdef MGNET_X86
namespace avx2 {
extern const ConstantKernels constant;
extern const SetUpKernels set_up;
extern const StencilKernels stencil;
extern const StreamKernels streams;
extern const SeparableKernels separable;
}  // namespace avx2
namespace avx512 {
extern const ConstantKernels constant;
extern const SetUpKernels set_up;
extern const StencilKernels stencil;
extern const StreamKernels streams;
extern const SeparableKernels separable;
}  // namespace avx512
#endif

namespace {

bool always() { return true; }

#ifdef MGNET_X86
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}
#endif

#ifdef __aarch64__
constexpr const char* BASELINE = "neon";  // which every such processor has
#else
constexpr const char* BASELINE = "baseline";
#endif

const Machine MACHINES[] = {
#ifdef MGNET_X86
    {"avx512", has_avx512, &avx512::constant, &avx512::set_up, &avx512::stencil, &avx512::streams,
     &avx512::separable},
    {"avx2", has_avx2, &avx2::constant, &avx2::set_up, &avx2::stencil, &avx2::streams,
     &avx2::separable},
#endif
    {BASELINE, always, &baseline::constant, &baseline::set_up, &baseline::stencil, &baseline::streams,
     &baseline::separable},
};

}  // namespace

std::vector<std::string> machines() {
    std::vector<std::string> names;
    for (const Machine& machine : MACHINES)
        if (machine.here()) names.push_back(machine.name);
    return names;
}

const Machine& machine_called(const std::string& name) {
    for (const Machine& machine : MACHINES)
        if (name == machine.name) {
            if (!machine.here()) throw std::invalid_argument("this processor does not have the instruction set " + name);
            return machine;
        }
    throw std::invalid_argument("this build has no instruction set " + name);
}

}  // namespace mgnet
