// The binding of wide differences.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include "differences.h"
#include "fields.h"
#include "python_arrays.h"

using namespace nanobind::literals;

namespace mgnet {
namespace {

class WideDifferences {
  public:
    // per axis, where it wraps, (the stencil's numbers), rows (2, rows, columns) beside both ends and their e (2, rows)
    WideDifferences(const Shape& shape, const std::vector<bool>& wraps,
                    const std::vector<std::pair<double, double>>& stencils, const std::vector<Doubles>& beside,
                    const std::vector<Doubles>& excess, const std::vector<Doubles>& shares, const std::optional<Input>& c)
        : shape_(shape) {
        const std::size_t dims = shape.size();
        require(dims >= 1 && dims <= 3, "`shape` must have 1, 2 or 3 axes");
        for (std::size_t size : {wraps.size(), stencils.size(), beside.size(), excess.size(), shares.size()})
            require(size == dims, "each list must have one entry an axis of `shape`");
        for (Differences& axis : of_.axes) axis.share.assign(1, 1.0);
        for (std::size_t d = 0; d < dims; d++) {
            Differences& axis = of_.axes[place(d, dims)];
            axis.n = shape[d], axis.wraps = wraps[d];
            axis.stencil[0] = stencils[d].first, axis.stencil[1] = stencils[d].second;
            require(axis.n >= 5, "each axis of `shape` must have at least 5 unknowns");
            check(shares[d], false, {axis.n}, "shares");
            axis.share.assign(shares[d].data(), shares[d].data() + axis.n);
            if (axis.wraps) continue;
            require(beside[d].ndim() == 3 && beside[d].shape(0) == 2, "`beside` must be (2, rows, columns)");
            axis.rows = static_cast<long>(beside[d].shape(1)), axis.columns = static_cast<long>(beside[d].shape(2));
            require(axis.rows >= 2 && axis.rows <= axis.n, "`beside` must have 2 rows at least, and no more than the axis");
            require(axis.columns >= axis.rows && axis.columns <= axis.n,
                    "`beside` must have as many columns as rows at least, and no more than the axis");
            check(excess[d], false, {2, axis.rows}, "excess");
            for (int end = 0; end < 2; end++) {
                const double *l = beside[d].data() + end * axis.rows * axis.columns, *e = excess[d].data() + end * axis.rows;
                axis.beside[end].assign(l, l + axis.rows * axis.columns), axis.excess[end].assign(e, e + axis.rows);
            }
        }
        if (!c) return;
        kept_ = *c, of_.members = c->ndim() == dims + 1 ? static_cast<long>(c->shape(0)) : 1;
        of_.c = field_of(kept_, shape, std::vector<bool>(dims, false), of_.members, "c");
    }

    // out = A u
    void apply(const Input& u, const Output& out, int threads) const {
        Shape shape{u.ndim() > 0 ? static_cast<long>(u.shape(0)) : 0};
        shape.insert(shape.end(), shape_.begin(), shape_.end());
        require(of_.members == 1 || of_.members == shape[0], "`u` must have as many members as `c`");
        const bool single = u.dtype() == nb::dtype<float>();
        check(u, single, shape, "u"), check(out, false, shape, "out");
        require(shape[0] == 0 || u.data() != out.data(), "`out` must be other memory than `u`");
        const long n1 = of_.axes[1].n, n2 = of_.axes[2].n;
        const Field field{u.data(), single, {of_.axes[0].n * n1 * n2, n1 * n2, n2, 1}};
        auto* to = static_cast<double*>(out.data());
        nb::gil_scoped_release release;
        mgnet::apply(of_, field, shape[0], to, threads);
    }

  private:
    Shape shape_;
    WideOperator of_;
    Input kept_;
};

}  // namespace

void bind_differences(nb::module_& m) {
    nb::class_<WideDifferences>(m, "WideDifferences")
        .def(nb::init<const Shape&, const std::vector<bool>&, const std::vector<std::pair<double, double>>&,
                      const std::vector<Doubles>&, const std::vector<Doubles>&, const std::vector<Doubles>&,
                      const std::optional<Input>&>(),
             "shape"_a, "wraps"_a, "stencils"_a, "beside"_a, "excess"_a, "shares"_a, "c"_a.none())
        .def("apply", &WideDifferences::apply, "u"_a, "out"_a, "threads"_a);
}

}  // namespace mgnet
