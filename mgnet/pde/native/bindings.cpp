// The module: what each file of bindings gives Python.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "machines.h"
#include "python_arrays.h"

namespace mgnet {

void bind_arrays(nb::module_& m);     // array_bindings.cpp
void bind_constant(nb::module_& m);   // constant_bindings.cpp
void bind_stencils(nb::module_& m);   // stencil_bindings.cpp
void bind_streams(nb::module_& m);    // stream_bindings.cpp
void bind_separable(nb::module_& m);  // separable_bindings.cpp
void bind_mailboxes(nb::module_& m);  // mailbox_bindings.cpp
void bind_differences(nb::module_& m);  // difference_bindings.cpp

NB_MODULE(_native, m) {
    nb::set_leak_warnings(false);  // levels that are kept for the next solver outlive the interpreter
    m.doc() = "Compiled kernels of mgnet.pde; see mgnet.pde.native.";
    m.attr("built_from") = MGNET_BUILT_FROM;
    m.def("machines", &machines, "Instruction sets that this build has and this processor can run, the fastest first.");
    bind_arrays(m), bind_constant(m), bind_stencils(m), bind_streams(m), bind_separable(m), bind_mailboxes(m);
    bind_differences(m);
}

}  // namespace mgnet
