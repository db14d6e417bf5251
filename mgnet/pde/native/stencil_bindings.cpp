// The binding of stencils: a grid's conductances, the set-up of a black-box hierarchy, and its cycles.
#include "binding_black_box.h"

using namespace nanobind::literals;

namespace mgnet {

void bind_stencils(nb::module_& m) {
    nb::class_<Faces>(m, "Conductances")
        .def(nb::init<const std::vector<long>&, const std::vector<bool>&, const std::vector<Doubles>&,
                      const std::vector<Input>&, const std::optional<Input>&>(),
             "shape"_a, "wraps"_a, "shares"_a, "k"_a, "c"_a.none())
        .def("survey", &Faces::surveyed, "varies"_a, "threads"_a)
        .def("magnitudes", &Faces::magnitudes, "u"_a, "b"_a, "threads"_a)
        .def("apply", &Faces::apply, "u"_a, "out"_a, "threads"_a);
    nb::class_<Hierarchy>(m, "StencilHierarchy")
        .def(nb::init<const std::string&, bool, const Faces&, const std::vector<long>&, bool, bool, std::vector<double>,
                      std::vector<double>, const std::vector<int>&, int>(),
             "machine"_a, "single"_a, "conductances"_a, "first"_a, "masked"_a, "jumps"_a, "down"_a, "up"_a, "lines"_a,
             "threads"_a)
        .def(nb::init<const std::string&, bool, const std::vector<long>&, const std::vector<bool>&,
                      const std::vector<long>&, const Doubles&, const Hierarchy::Couplings&,
                      const std::optional<Doubles>&, bool, bool, std::vector<double>, std::vector<double>,
                      const std::vector<int>&, int, bool, const std::optional<std::vector<bool>>&>(),
             "machine"_a, "single"_a, "shape"_a, "wraps"_a, "first"_a, "diagonal"_a, "couplings"_a, "excess"_a.none(),
             "masked"_a, "jumps"_a, "down"_a, "up"_a, "lines"_a, "threads"_a, "coarse"_a = false,
             "halved"_a = nb::none())
        .def("__len__", &Hierarchy::size)
        .def("sizes", &Hierarchy::sizes, "unknowns of each grid, the finest first")
        .def("level", &Hierarchy::level, "l"_a)
        .def("finest", &Hierarchy::finest)
        .def("coarsest", &Hierarchy::coarsest)
        .def("coarse", &Hierarchy::coarse)
        .def("set_inverse", &Hierarchy::set_inverse, "inverse"_a);
    nb::class_<BlackBox>(m, "BlackBox")
        .def(nb::init<const std::string&, const Hierarchy&, bool, int, long, int,
                      const std::optional<std::tuple<long, long>>&>(),
             "machine"_a, "hierarchy"_a, "single_data"_a, "gamma"_a, "batch"_a, "threads"_a, "counted"_a = nb::none())
        .def("begin", &BlackBox::begin, "x"_a.none(), "b"_a)
        .def("advance", &BlackBox::advance, "x"_a, "x_out"_a, "zero"_a, "b"_a, "floor"_a, "norms"_a, "rz"_a, "rp"_a,
             "size"_a, "tol"_a, "enough"_a, "most"_a)
        .def("full_multigrid", &BlackBox::full_multigrid, "x_out"_a, "b"_a, "measured"_a = true)
        .def("cycle", &BlackBox::cycle, "x"_a.none(), "x_out"_a, "b"_a, "measured"_a = true)
        .def("norms", &BlackBox::norms, "x"_a.none(), "b"_a)
        .def("dot", &BlackBox::dot, "v"_a, "w"_a)
        .def("turn", &BlackBox::turn, "z"_a, "p"_a, "beta"_a, "p_out"_a)
        .def("move", &BlackBox::move, "x"_a.none(), "p"_a.none(), "alpha"_a, "x_out"_a.none(), "b"_a, "scale"_a,
             "r"_a.none())
        .def("smooth", &BlackBox::smooth, "l"_a, "u"_a.none(), "f"_a, "out"_a, "up"_a = false)
        .def("down", &BlackBox::down, "l"_a, "u"_a.none(), "f"_a, "out"_a, "f_c"_a)
        .def("up", &BlackBox::up, "l"_a, "u"_a, "f"_a, "e"_a, "out"_a)
        .def("restrict", &BlackBox::restrict_, "l"_a, "f"_a, "f_c"_a, "u"_a = nb::none())
        .def("interpolate", &BlackBox::interpolate, "l"_a, "e"_a, "out"_a, "u"_a = nb::none())
        .def("solve", &BlackBox::solve, "f"_a, "u"_a);
}

}  // namespace mgnet
