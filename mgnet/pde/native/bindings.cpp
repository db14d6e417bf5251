// The binding: problems as Python describes them, checked; arrays, checked; then the kernels. Stencils have a file of
// their own.
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>


#include "arrays.h"
#include "components.h"
#include "conductances.h"
#include "machines.h"
#include "python_arrays.h"

using namespace nanobind::literals;

namespace mgnet {

void bind_stencils(nb::module_& m);  // stencil_bindings.cpp
void bind_streams(nb::module_& m);  // stream_bindings.cpp
void bind_mailboxes(nb::module_& m);  // mailbox_bindings.cpp
void bind_separable(nb::module_& m);  // separable_bindings.cpp

namespace {

std::vector<double> doubles(const Doubles& v) { return {v.data(), v.data() + v.size()}; }

Table table(const Longs& start, const Doubles& weights, long columns, const std::optional<Doubles>& sums) {
    if (weights.ndim() != 2 || weights.shape(0) != start.shape(0))
        throw std::invalid_argument("`weights` of a table must be (rows, width), one row a `start`");
    Table to;
    to.rows = static_cast<long>(start.shape(0)), to.width = static_cast<long>(weights.shape(1)), to.columns = columns;
    to.start.assign(start.data(), start.data() + start.size());
    to.weights = doubles(weights);
    if (sums) to.sums = doubles(*sums);
    return to;
}

End end(double sign, long index, double share, double extra, double diagonal) {
    End to;
    to.sign = sign, to.index = index, to.share = share, to.extra = extra, to.diagonal = diagonal;
    return to;
}

Axis axis(long n, bool wraps, double k, const End& lo, const End& hi) {
    Axis to;
    to.n = n, to.wraps = wraps, to.k = k, to.lo = lo, to.hi = hi;
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
    if (D.ndim() != 3) throw std::invalid_argument("`D` must have three axes");
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
        if (way < 0 || way > 3) throw std::invalid_argument("`way` must be 0 (no steps), 1 (down), 2 (up) or 3 (both)");
        if (u && guess) throw std::invalid_argument("`u` and `guess` exclude each other");
        const bool written = out.has_value() && (way != 0);
        if (out && !written) throw std::invalid_argument("`out` needs steps: `way` must not be 0");
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
        if (!measure && !scratch && !problem_.grids[0].down.empty())
            throw std::invalid_argument("a cycle that is not measured needs a `scratch`");
        if (known && !(measure && u))
            throw std::invalid_argument("only of a measured iterate may the residual be `known`");
        const Finest v{in(b, 0, "b"), to(scratch, 0, "scratch"), to(out, 0, "out"), measure, false};
        const void* from = in(u, 0, "u");
        return squares([&] { return cycles_->cycle(v, from, known, omega); }, measure);
    }

    nb::object full_multigrid(Input b, Output out, bool measure, bool unweighted, bool ready, std::vector<Input> data,
                     std::vector<Input> restricted) {
        const std::size_t count = problem_.grids.size();
        if (!data.empty() && data.size() != count)
            throw std::invalid_argument("`data` must have one array a coarser grid, or none");
        if (data.size() != restricted.size())
            throw std::invalid_argument("`restricted` must have as many arrays as `data`");
        if (measure && unweighted) throw std::invalid_argument("a measured pass takes no unweighted data");
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
        if (l < 0 || l >= static_cast<int>(problem_.grids.size())) throw std::invalid_argument("there is no such grid");
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

// Whole arrays; see arrays.h. Their dtypes choose among overloads, nothing is converted.
template <class T>
using Numbers = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
template <class T>
using Written = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

template <class T>
void product_of(Numbers<T> v, Numbers<T> w, Written<T> out, int threads) {
    require(v.size() == out.size(), "`out` must have as many numbers as `v`");
    require(w.size() > 0 && v.size() % w.size() == 0, "`v` must have a multiple of the numbers of `w`");
    const long n = static_cast<long>(w.size()), batch = static_cast<long>(v.size()) / n;
    nb::gil_scoped_release release;
    product(v.data(), w.data(), out.data(), batch, n, threads);
}

template <class T>
void shift_by(Written<T> v, Doubles by, int threads) {
    require(by.size() > 0 && v.size() % by.size() == 0, "`v` must have a multiple of the numbers of `by`");
    const long batch = static_cast<long>(by.size()), n = static_cast<long>(v.size()) / batch;
    nb::gil_scoped_release release;
    if (n > 0) shift(v.data(), by.data(), batch, n, threads);
}

template <class T>
nb::object weighted_sums_of(Numbers<T> v, std::array<Numbers<T>, 3> w, int threads) {
    long n[3], size = 1;
    const T* weights[3];
    for (int d = 0; d < 3; d++) n[d] = static_cast<long>(w[d].size()), size *= n[d], weights[d] = w[d].data();
    require(size > 0 && v.size() % size == 0, "`v` must be (batch, n0, n1, n2), with n weights per axis");
    const long batch = static_cast<long>(v.size()) / size;
    std::vector<double> sums(2 * batch);
    {
        nb::gil_scoped_release release;
        weighted_sums(v.data(), weights, n, batch, sums.data(), threads);
    }
    return numpy_of(sums.data(), {static_cast<std::size_t>(batch), 2});
}

template <class T>
void difference_products_of(Numbers<T> v, Numbers<T> u, Written<T> out, int axis, bool wraps, int threads) {
    const int dims = static_cast<int>(v.ndim());
    require(axis >= 0 && axis < dims && u.ndim() == v.ndim() && out.ndim() == v.ndim(), "`axis` must be one of `v`'s");
    long pre = 1, post = 1;
    for (int d = 0; d < dims; d++) {
        require(u.shape(d) == v.shape(d), "`u` must have the shape of `v`");
        require(out.shape(d) == v.shape(d) + (d == axis), "`out` must have one number more along `axis`");
        require(v.shape(d) > 0, "`v` must not be empty");
        (d < axis ? pre : post) *= d == axis ? 1 : static_cast<long>(v.shape(d));
    }
    nb::gil_scoped_release release;
    difference_products(v.data(), u.data(), out.data(), pre, static_cast<long>(v.shape(axis)), post, wraps, threads);
}

template <class T>
nb::object changes_of(Numbers<T> u, Numbers<T> v, long batch, int threads) {
    require(u.size() == v.size(), "`v` must have as many numbers as `u`");
    require(batch > 0 && u.size() % batch == 0, "`batch` must divide the numbers of `u`");
    std::vector<double> squares(2 * batch);
    {
        nb::gil_scoped_release release;
        changes(u.data(), v.data(), batch, static_cast<long>(u.size()) / batch, squares.data(), threads);
    }
    return numpy_of(squares.data(), {static_cast<std::size_t>(batch), 2});
}

// Conductances on the faces of an axis, of an array at the unknowns, or on the faces; ends: (how, alpha) each.
template <class T>
bool conductances_of(Numbers<T> a, Written<T> k, int axis, bool wraps, std::tuple<int, double> low,
                     std::tuple<int, double> high, std::tuple<double, double> h, std::tuple<double, double> range,
                     int threads) {
    const int dims = static_cast<int>(a.ndim());
    require(axis >= 0 && axis < dims && k.ndim() == a.ndim(), "`axis` must be one of `a`'s, and `k` have as many");
    const bool on_faces = a.shape(axis) == k.shape(axis);
    long pre = 1, post = 1;
    for (int d = 0; d < dims; d++) {
        require(a.shape(d) > 0 && (d != axis || k.shape(d) > 1), "`a` must not be empty");
        require(k.shape(d) == a.shape(d) + (d == axis && !on_faces), "`k` must have one number more along `axis`, or as many");
        if (d != axis) (d < axis ? pre : post) *= static_cast<long>(a.shape(d));
    }
    auto face = [](const std::tuple<int, double>& end) {
        require(std::get<0>(end) >= WHOLE && std::get<0>(end) <= GIVEN, "an end must be one of four kinds");
        return EndFace{static_cast<EndKind>(std::get<0>(end)), std::get<1>(end)};
    };
    const FaceRule rule{wraps, {face(low), face(high)}, std::get<0>(h), std::get<1>(h), std::get<0>(range),
                        std::get<1>(range)};
    nb::gil_scoped_release release;
    return conductances(a.data(), on_faces, k.data(), pre, static_cast<long>(k.shape(axis)) - 1, post, rule, threads);
}

using Flags = nb::ndarray<const bool, nb::ndim<4>, nb::c_contig, nb::device::cpu>;

void components_of(Flags inside, std::array<std::optional<Flags>, 3> opens, std::array<bool, 3> wraps,
                   nb::ndarray<std::int64_t, nb::ndim<4>, nb::c_contig, nb::device::cpu> label) {
    const bool* through[3] = {};
    long n[3];
    for (int e = 0; e < 4; e++) {
        require(label.shape(e) == inside.shape(e) && inside.shape(e) > 0, "`label` must have the shape of `inside`");
        if (e > 0) n[e - 1] = static_cast<long>(inside.shape(e));
        for (int d = 0; d < 3; d++)
            require(!opens[d] || opens[d]->shape(e) == inside.shape(e) + (e == d + 1),
                    "`opens` must have the shape of `inside`, and one face more along its axis");
    }
    for (int d = 0; d < 3; d++) through[d] = opens[d] ? opens[d]->data() : nullptr;
    nb::gil_scoped_release release;
    components(inside.data(), through, wraps.data(), static_cast<long>(inside.shape(0)), n, label.data());
}

template <class T>
void bind_arrays(nb::module_& m) {
    m.def("product", &product_of<T>, "v"_a.noconvert(), "w"_a.noconvert(), "out"_a.noconvert(), "threads"_a);
    m.def("shift", &shift_by<T>, "v"_a.noconvert(), "by"_a, "threads"_a);
    m.def("weighted_sums", &weighted_sums_of<T>, "v"_a.noconvert(), "weights"_a, "threads"_a);
    m.def("changes", &changes_of<T>, "u"_a.noconvert(), "v"_a.noconvert(), "batch"_a, "threads"_a);
    m.def("difference_products", &difference_products_of<T>, "v"_a.noconvert(), "u"_a.noconvert(),
          "out"_a.noconvert(), "axis"_a, "wraps"_a, "threads"_a);
    m.def("conductances", &conductances_of<T>, "a"_a.noconvert(), "k"_a.noconvert(), "axis"_a, "wraps"_a, "low"_a,
          "high"_a, "h"_a, "range"_a, "threads"_a);
}

}  // namespace

NB_MODULE(_native, m) {
    nb::set_leak_warnings(false);  // levels that are kept for the next solver outlive the interpreter
    m.doc() = "Compiled kernels of mgnet.pde; see mgnet.pde.native.";
    m.attr("built_from") = MGNET_BUILT_FROM;
    m.def("machines", &machines, "Instruction sets that this build has and this processor can run, the fastest first.");
    bind_arrays<float>(m), bind_arrays<double>(m);
    m.def("components", &components_of, "inside"_a.noconvert(), "opens"_a.noconvert(), "wraps"_a,
          "label"_a.noconvert());
    bind_stencils(m), bind_streams(m), bind_separable(m);
    bind_mailboxes(m);
    nb::class_<Table>(m, "Table")
        .def(
            "__init__",
            [](Table* self, const Longs& start, const Doubles& weights, long columns, std::optional<Doubles> sums) {
                new (self) Table(table(start, weights, columns, sums));
            },
            "start"_a, "weights"_a, "columns"_a, "sums"_a.none() = nb::none());
    nb::class_<End>(m, "End").def(
        "__init__",
        [](End* self, double sign, long index, double share, double extra, double diagonal) {
            new (self) End(end(sign, index, share, extra, diagonal));
        },
        "sign"_a, "index"_a, "share"_a, "extra"_a, "diagonal"_a);
    nb::class_<Axis>(m, "Axis").def(
        "__init__",
        [](Axis* self, long n, bool wraps, double k, const End& lo, const End& hi) {
            new (self) Axis(axis(n, wraps, k, lo, hi));
        },
        "n"_a, "wraps"_a, "k"_a, "lo"_a, "hi"_a);
    nb::class_<Grid>(m, "Grid").def(
        "__init__",
        [](Grid* self, int dims, const std::array<Axis, 3>& axes, const std::array<long, 3>& coarse, const Three& P,
           const Three& Q, const Three& R, const Three& mass, const Three& stiffness, const Steplist& down,
           const Steplist& up, const std::optional<Ranges>& counted) {
            new (self) Grid(grid(dims, axes, coarse, P, Q, R, mass, stiffness, down, up, counted));
        },
        "dims"_a, "axes"_a, "coarse"_a, "P"_a, "Q"_a, "R"_a, "mass"_a, "stiffness"_a, "down"_a, "up"_a,
        "counted"_a.none() = nb::none());
    nb::class_<Direct>(m, "Direct")
        .def(
            "__init__",
            [](Direct* self, const std::array<Doubles, 3>& V, const Doubles& D) { new (self) Direct(direct(V, D)); },
            "V"_a, "D"_a);
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
