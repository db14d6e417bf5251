// The binding of constant coefficients: problems as Python describes them, checked, and the passes and cycles of one.
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "machines.h"
#include "python_arrays.h"

using namespace nanobind::literals;

namespace mgnet {
namespace {

std::vector<double> doubles(const Doubles& v) { return {v.data(), v.data() + v.size()}; }

Table table(const Longs& start, const Doubles& weights, long columns, const std::optional<Doubles>& sums) {
    require(weights.ndim() == 2 && weights.shape(0) == start.shape(0),
            "`weights` of a table must be (rows, width), one row a `start`");
    Table to;
    to.rows = static_cast<long>(start.shape(0)), to.width = static_cast<long>(weights.shape(1)), to.columns = columns;
    to.start.assign(start.data(), start.data() + start.size());
    to.weights = doubles(weights);
    if (sums) to.sums = doubles(*sums);
    return to;
}

using Steplist = std::vector<std::tuple<double, int>>;
std::vector<Step> steps(const Steplist& list) {
    std::vector<Step> to;
    for (auto [omega, colour] : list) to.push_back({omega, colour});
    return to;
}

using Three = std::array<Table, 3>;
using Ranges = std::array<std::array<long, 2>, 3>;

Grid grid(int dims, const std::array<Axis, 3>& axes, const std::array<long, 3>& coarse, const Three& P, const Three& Q,
          const Three& R, const Three& mass, const Three& stiffness, const Steplist& down, const Steplist& up,
          const std::optional<Ranges>& counted) {
    Grid to;
    to.down = steps(down), to.up = steps(up);
    to.dims = dims;
    for (int d = 0; d < 3; d++) {
        if (counted) to.counted[d][0] = (*counted)[d][0], to.counted[d][1] = (*counted)[d][1];
        to.axes[d] = axes[d], to.coarse[d] = coarse[d];
        to.P[d] = P[d], to.Q[d] = Q[d], to.R[d] = R[d], to.mass[d] = mass[d], to.stiffness[d] = stiffness[d];
    }
    to.validate();
    to.find_repeats();
    return to;
}

Direct direct(const std::array<Doubles, 3>& V, const Doubles& D) {
    require(D.ndim() == 3, "`D` must have three axes");
    Direct to;
    for (int d = 0; d < 3; d++) to.n[d] = static_cast<long>(D.shape(d)), to.V[d] = doubles(V[d]);
    to.D = doubles(D);
    to.validate();
    return to;
}

// The kernels of one problem: checks every array that it is given, and lets one caller in at a time.
class Kernels {
  public:
    Kernels(const std::string& machine, bool single, std::vector<Grid> grids, const Direct& direct, double c, int gamma,
            long batch, int threads, bool sums, const std::optional<std::array<std::array<Doubles, 2>, 3>>& centring)
        : single_(single) {
        problem_.grids = std::move(grids), problem_.direct = direct, problem_.c = c, problem_.gamma = gamma;
        problem_.batch = batch, problem_.threads = threads;
        problem_.sums = sums, problem_.centres = centring.has_value();
        for (int d = 0; centring && d < 3; d++)
            problem_.centring.of_u[d] = doubles((*centring)[d][0]),
            problem_.centring.of_e[d] = doubles((*centring)[d][1]);
        problem_.validate();
        const ConstantKernels& of = *machine_called(machine).constant;
        cycles_.reset(single ? of.make32(problem_) : of.make64(problem_));
    }

    nb::object pass(int l, std::optional<Input> u, std::optional<Input> guess, std::optional<Input> e, Input f,
                    std::optional<Output> out, std::optional<Output> f_c, int way, bool norm, bool unweighted,
                    double omega, std::optional<Input> before, std::optional<Input> after) {
        level(l);
        require(way >= 0 && way <= 3, "`way` must be 0 (no steps), 1 (down), 2 (up) or 3 (both)");
        require(!u || !guess, "`u` and `guess` exclude each other");
        require(!out || way != 0, "`out` needs steps: `way` must not be 0");
        const bool apart = before && after;
        Arrays v{in(u, l, "u"),     in(guess, l + 1, "guess"), in(e, l + 1, "e"), apart ? nullptr : in(f, l, "f"),
                 to(out, l, "out"), to(f_c, l + 1, "f_c"),     nullptr,           nullptr,
                 0,                 at(l, 0),                  at(l, 0)};
        if (apart) {
            v.before = planes(*before, l, "before"), v.f = planes(f, l, "f"), v.after = planes(*after, l, "after");
            v.begin = before->shape(1), v.end -= static_cast<long>(after->shape(1)), v.planes = f.shape(1);
            require(v.begin <= v.end && v.end - v.begin <= v.planes, "`f` has too few planes between `before` and `after`");
        }
        return squares([&] { return cycles_->pass(v, l, way, norm, unweighted, omega); }, norm);
    }

    void interpolant(int l, Input f, Input u, Output out) {
        level(l);
        const void *a = in(f, l + 1, "f"), *b = in(u, l + 1, "u");
        void* c = to(out, l + 1, "out");
        alone_([&] { cycles_->interpolant(l, a, b, c); });
    }

    void direct_solve(Input f, Output u) {
        const int l = static_cast<int>(problem_.grids.size());
        const void* a = in(f, l, "f");
        void* b = to(u, l, "u");
        alone_([&] { cycles_->direct(a, b); });
    }

    nb::object cycle(std::optional<Input> u, Input b, std::optional<Output> scratch, Output out, bool measure, bool known,
                     double omega) {
        require(measure || scratch || problem_.grids[0].down.empty(), "a cycle that is not measured needs a `scratch`");
        require(!known || (measure && u), "only of a measured iterate may the residual be `known`");
        const Finest v{in(b, 0, "b"), to(scratch, 0, "scratch"), to(out, 0, "out"), measure, false};
        const void* from = in(u, 0, "u");
        return squares([&] { return cycles_->cycle(v, from, known, omega); }, measure);
    }

    nb::object full_multigrid(Input b, Output out, bool measure, bool unweighted, bool ready, std::vector<Input> data,
                     std::vector<Input> restricted) {
        const std::size_t count = problem_.grids.size();
        require(data.empty() || data.size() == count, "`data` must have one array a coarser grid, or none");
        require(data.size() == restricted.size(), "`restricted` must have as many arrays as `data`");
        require(!measure || !unweighted, "a measured pass takes no unweighted data");
        std::vector<const void*> given, rest;
        for (std::size_t k = 0; k < data.size(); k++)
            given.push_back(in(data[k], k + 1, "data")), rest.push_back(in(restricted[k], k + 1, "restricted"));
        const Finest v{in(b, 0, "b"), nullptr, to(out, 0, "out"), measure, unweighted};
        const bool some = !given.empty();
        return squares(
            [&] { return cycles_->full_multigrid(v, ready, some ? given.data() : nullptr, some ? rest.data() : nullptr); },
            measure);
    }

    nb::object norms(std::optional<Input> u, Input b) {
        const void *from = in(u, 0, "u"), *datum = in(b, 0, "b");
        return squares([&] { return cycles_->norms(from, datum); }, true);
    }

    nb::object sums() const {
        const double* s = cycles_->sums();
        return numpy_of(s, {static_cast<std::size_t>(problem_.batch), 2});
    }

  private:
    // so many planes of grid l as there are
    const void* planes(const Input& v, int l, const char* name) const {
        require(v.ndim() == 4, "planes must have four axes");
        if (v.size() > 0) check(v, single_, {problem_.batch, static_cast<long>(v.shape(1)), at(l, 1), at(l, 2)}, name);
        return v.data();
    }

    void level(int l) const {
        require(l >= 0 && l < static_cast<int>(problem_.grids.size()), "there is no such grid");
    }

    template <class Array>
    void look(const Array& v, int l, const char* name) const {
        check(v, single_, {problem_.batch, at(l, 0), at(l, 1), at(l, 2)}, name);
    }

    long at(int l, int d) const {
        return l < static_cast<int>(problem_.grids.size()) ? problem_.grids[l].axes[d].n : problem_.direct.n[d];
    }
    const void* in(const std::optional<Input>& v, int l, const char* name) const {
        return v ? in(*v, l, name) : nullptr;
    }
    void* to(const std::optional<Output>& v, int l, const char* name) const { return v ? to(*v, l, name) : nullptr; }
    const void* in(const Input& v, int l, const char* name) const { return look(v, l, name), v.data(); }
    void* to(const Output& v, int l, const char* name) const { return look(v, l, name), v.data(); }

    template <class Work>
    nb::object squares(const Work& work, bool wanted) {
        const double* result = nullptr;
        alone_([&] { result = work(); });
        return wanted ? numpy_of(result, {static_cast<std::size_t>(problem_.batch)}) : nb::none();
    }

    const bool single_;
    Problem problem_;
    std::unique_ptr<Cycles> cycles_;
    Turns alone_;
};

}  // namespace

void bind_constant(nb::module_& m) {
    nb::class_<Table>(m, "Table")
        .def(nb::new_(&table), "start"_a, "weights"_a, "columns"_a, "sums"_a.none() = nb::none());
    nb::class_<End>(m, "End").def(nb::init<double, long, double, double, double>(), "sign"_a, "index"_a, "share"_a,
                                  "extra"_a, "diagonal"_a);
    nb::class_<Axis>(m, "Axis").def(nb::init<long, bool, double, const End&, const End&>(), "n"_a, "wraps"_a, "k"_a, "lo"_a,
                                    "hi"_a);
    nb::class_<Grid>(m, "Grid").def(nb::new_(&grid), "dims"_a, "axes"_a, "coarse"_a, "P"_a, "Q"_a, "R"_a, "mass"_a,
                                    "stiffness"_a, "down"_a, "up"_a, "counted"_a.none() = nb::none());
    nb::class_<Direct>(m, "Direct").def(nb::new_(&direct), "V"_a, "D"_a);
    nb::class_<Kernels>(m, "Kernels")
        .def(nb::init<const std::string&, bool, std::vector<Grid>, const Direct&, double, int, long, int, bool,
                      const std::optional<std::array<std::array<Doubles, 2>, 3>>&>(),
             "machine"_a, "single"_a, "grids"_a, "direct"_a, "c"_a, "gamma"_a, "batch"_a, "threads"_a, "sums"_a,
             "centring"_a.none())
        .def("pass_", &Kernels::pass, "l"_a, "u"_a.none(), "guess"_a.none(), "e"_a.none(), "f"_a, "out"_a.none(),
             "f_c"_a.none(), "way"_a, "norm"_a = false, "unweighted"_a = false, "omega"_a = 1.0,
             "before"_a.none() = nb::none(), "after"_a.none() = nb::none())
        .def("interpolant", &Kernels::interpolant, "l"_a, "f"_a, "u"_a, "out"_a)
        .def("direct", &Kernels::direct_solve, "f"_a, "u"_a)
        .def("cycle", &Kernels::cycle, "u"_a.none(), "b"_a, "scratch"_a.none(), "out"_a, "measure"_a, "known"_a, "omega"_a)
        .def("full_multigrid", &Kernels::full_multigrid, "b"_a, "out"_a, "measure"_a, "unweighted"_a, "ready"_a, "data"_a,
             "restricted"_a)
        .def("norms", &Kernels::norms, "u"_a.none(), "b"_a)
        .def("sums", &Kernels::sums);
}

}  // namespace mgnet
