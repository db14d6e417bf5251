// The one binding: problems as Python describes them, checked; arrays, checked; then the kernels.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <stdexcept>

#include "arrays.h"
#include "cycles.h"
#include "pool.h"

#include "line_sweeps.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mgnet {

extern const Machine baseline;
#ifdef MGNET_X86
extern const Machine avx2, avx512;
const Machine* const MACHINES[] = {&avx512, &avx2, &baseline};
#else
const Machine* const MACHINES[] = {&baseline};
#endif

extern const LineMachine lines_baseline;
#ifdef MGNET_X86
extern const LineMachine lines_avx2, lines_avx512;
const LineMachine* const LINE_MACHINES[] = {&lines_avx512, &lines_avx2, &lines_baseline};
#else
const LineMachine* const LINE_MACHINES[] = {&lines_baseline};
#endif

namespace {

bool runs_here(const Machine& machine) {
#ifdef MGNET_X86
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (&machine == &avx2) return v3;
    if (&machine == &avx512)
        return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
#endif
    return &machine == &baseline;
}

using Input = nb::ndarray<nb::ro>;
using Output = nb::ndarray<>;
using Doubles = nb::ndarray<const double, nb::c_contig, nb::device::cpu>;
using Written = nb::ndarray<double, nb::c_contig, nb::device::cpu>;
using Longs = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::vector<std::string> machines() {
    std::vector<std::string> names;
    for (const Machine* machine : MACHINES)
        if (runs_here(*machine)) names.push_back(machine->name);
    return names;
}

const Machine& machine_called(const std::string& name) {
    for (const Machine* machine : MACHINES)
        if (name == machine->name) {
            if (!runs_here(*machine))
                throw std::invalid_argument("this processor does not have the instruction set " + name);
            return *machine;
        }
    throw std::invalid_argument("this build has no instruction set " + name);
}

std::vector<double> doubles(const Doubles& v) { return {v.data(), v.data() + v.size()}; }

Table table(const Longs& start, const Doubles& weights, long columns, std::tuple<long, long> repeats,
            const std::optional<Doubles>& sums) {
    if (weights.ndim() != 2 || weights.shape(0) != start.shape(0))
        throw std::invalid_argument("`weights` of a table must be (rows, width), one row a `start`");
    Table to;
    to.rows = static_cast<long>(start.shape(0)), to.width = static_cast<long>(weights.shape(1)), to.columns = columns;
    to.start.assign(start.data(), start.data() + start.size());
    to.weights = doubles(weights);
    std::tie(to.lo, to.hi) = repeats;
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

Grid grid(int dims, const std::array<Axis, 3>& axes, const std::array<long, 3>& coarse, const Three& P, const Three& Q,
          const Three& R, const Three& mass, const Three& stiffness, const Steplist& down, const Steplist& up) {
    Grid to;
    to.down = steps(down), to.up = steps(up);
    to.dims = dims;
    for (int d = 0; d < 3; d++) {
        to.axes[d] = axes[d], to.coarse[d] = coarse[d];
        to.P[d] = P[d], to.Q[d] = Q[d], to.R[d] = R[d], to.mass[d] = mass[d], to.stiffness[d] = stiffness[d];
    }
    to.validate();
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

nb::object numpy_of(const double* v, std::initializer_list<std::size_t> shape) {
    std::size_t size = 1;
    for (std::size_t n : shape) size *= n;
    auto copy = std::make_unique<double[]>(size);
    for (std::size_t k = 0; k < size; k++) copy[k] = v[k];
    double* data = copy.release();
    nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<double*>(p); });
    return nb::cast(nb::ndarray<nb::numpy, double>(data, shape.size(), shape.begin(), owner));
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
        const Machine& on = machine_called(machine);
        cycles_.reset(single ? on.make32(problem_) : on.make64(problem_));
    }

    nb::object pass(int l, std::optional<Input> u, std::optional<Input> guess, std::optional<Input> e, Input f,
                    std::optional<Output> out, std::optional<Output> f_c, int way, bool norm, bool raw, double omega) {
        level(l);
        if (way < 0 || way > 3) throw std::invalid_argument("`way` must be 0 (no steps), 1 (down), 2 (up) or 3 (both)");
        if (u && guess) throw std::invalid_argument("`u` and `guess` exclude each other");
        const bool written = out.has_value() && (way != 0);
        if (out && !written) throw std::invalid_argument("`out` needs steps: `way` must not be 0");
        const Arrays v{in(u, l, "u"), in(guess, l + 1, "guess"), in(e, l + 1, "e"),
                       in(f, l, "f"), to(out, l, "out"),         to(f_c, l + 1, "f_c")};
        return squares([&] { return cycles_->pass(v, l, way, norm, raw, omega); }, norm);
    }

    void interpolant(int l, Input f, Input u, Output out) {
        level(l);
        const void *a = in(f, l + 1, "f"), *b = in(u, l + 1, "u");
        void* c = to(out, l + 1, "out");
        alone([&] { cycles_->interpolant(l, a, b, c); });
    }

    void direct_solve(Input f, Output u) {
        const int l = static_cast<int>(problem_.grids.size());
        const void* a = in(f, l, "f");
        void* b = to(u, l, "u");
        alone([&] { cycles_->direct(a, b); });
    }

    nb::object cycle(std::optional<Input> u, Input b, std::optional<Output> scratch, Output out, bool watch, bool known,
                     double omega) {
        if (!watch && !scratch && !problem_.grids[0].down.empty())
            throw std::invalid_argument("a cycle that is not watched needs a `scratch`");
        if (known && !(watch && u))
            throw std::invalid_argument("only of a watched iterate may the residual be `known`");
        const Finest v{in(b, 0, "b"), to(scratch, 0, "scratch"), to(out, 0, "out"), watch, false};
        const void* from = in(u, 0, "u");
        return squares([&] { return cycles_->cycle(v, from, known, omega); }, watch);
    }

    nb::object start(Input b, Output out, bool watch, bool raw, bool ready, std::vector<Input> data,
                     std::vector<Input> restricted) {
        const std::size_t count = problem_.grids.size();
        if (!data.empty() && data.size() != count)
            throw std::invalid_argument("`data` must have one array a coarser grid, or none");
        if (data.size() != restricted.size())
            throw std::invalid_argument("`restricted` must have as many arrays as `data`");
        if (watch && raw) throw std::invalid_argument("a watched start takes no raw data");
        std::vector<const void*> given, rest;
        for (std::size_t k = 0; k < data.size(); k++)
            given.push_back(in(data[k], k + 1, "data")), rest.push_back(in(restricted[k], k + 1, "restricted"));
        const Finest v{in(b, 0, "b"), nullptr, to(out, 0, "out"), watch, raw};
        const bool some = !given.empty();
        return squares(
            [&] { return cycles_->start(v, ready, some ? given.data() : nullptr, some ? rest.data() : nullptr); },
            watch);
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
    void level(int l) const {
        if (l < 0 || l >= static_cast<int>(problem_.grids.size())) throw std::invalid_argument("there is no such grid");
    }

    template <class Array>
    void check(const Array& v, int l, const char* name) const {
        auto say = [&](const std::string& what) {
            throw std::invalid_argument("`" + std::string(name) + "` must be " + what);
        };
        const long n[3] = {at(l, 0), at(l, 1), at(l, 2)};
        if (v.dtype() != (single_ ? nb::dtype<float>() : nb::dtype<double>())) say(single_ ? "float32" : "float64");
        if (v.device_type() != nb::device::cpu::value) say("on the CPU");
        if (v.ndim() != 4 || static_cast<long>(v.shape(0)) != problem_.batch || static_cast<long>(v.shape(1)) != n[0] ||
            static_cast<long>(v.shape(2)) != n[1] || static_cast<long>(v.shape(3)) != n[2])
            say("of shape (" + std::to_string(problem_.batch) + ", " + std::to_string(n[0]) + ", " +
                std::to_string(n[1]) + ", " + std::to_string(n[2]) + ")");
        std::int64_t step = 1;
        for (int d = 3; d >= 0; d--) {
            if (v.shape(d) != 1 && v.stride(d) != step) say("contiguous");
            step *= static_cast<std::int64_t>(v.shape(d));
        }
        if (reinterpret_cast<std::uintptr_t>(v.data()) % (single_ ? 4 : 8) != 0) say("aligned");
    }

    long at(int l, int d) const {
        return l < static_cast<int>(problem_.grids.size()) ? problem_.grids[l].axes[d].n : problem_.direct.n[d];
    }
    const void* in(const std::optional<Input>& v, int l, const char* name) const {
        return v ? in(*v, l, name) : nullptr;
    }
    void* to(const std::optional<Output>& v, int l, const char* name) const { return v ? to(*v, l, name) : nullptr; }
    const void* in(const Input& v, int l, const char* name) const { return check(v, l, name), v.data(); }
    void* to(const Output& v, int l, const char* name) const { return check(v, l, name), v.data(); }

    template <class Work>
    void alone(const Work& work) {
        nb::gil_scoped_release release;
        std::lock_guard<std::mutex> hold(lock_);
        work();
    }

    template <class Work>
    nb::object squares(const Work& work, bool wanted) {
        const double* result = nullptr;
        alone([&] { result = work(); });
        return wanted ? numpy_of(result, {static_cast<std::size_t>(problem_.batch)}) : nb::none();
    }

    const bool single_;
    Problem problem_;
    std::unique_ptr<Cycles> cycles_;
    std::mutex lock_;
};

// Whole arrays; see arrays.h. Their dtypes choose among overloads, nothing is converted.
template <class T>
using Numbers = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
template <class T>
using Written = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

void require(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
}

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
void bind_arrays(nb::module_& m) {
    m.def("product", &product_of<T>, "v"_a.noconvert(), "w"_a.noconvert(), "out"_a.noconvert(), "threads"_a);
    m.def("shift", &shift_by<T>, "v"_a.noconvert(), "by"_a, "threads"_a);
    m.def("weighted_sums", &weighted_sums_of<T>, "v"_a.noconvert(), "weights"_a, "threads"_a);
    m.def("difference_products", &difference_products_of<T>, "v"_a.noconvert(), "u"_a.noconvert(),
          "out"_a.noconvert(), "axis"_a, "wraps"_a, "threads"_a);
}

// The set-up of a black-box hierarchy: checks the finest grid's arrays, and shows what was made, read-only.
class Hierarchy {
    template <class Do>
    auto visit(const Do& what) const {
        return single_ ? what(*single_) : what(*double_);
    }
    template <class Do>
    auto visit(const Do& what) {
        return single_ ? what(*single_) : what(*double_);
    }

  public:
    using Couplings = std::vector<std::tuple<std::vector<int>, Doubles>>;

    Hierarchy(const std::string& machine, bool single, const std::vector<long>& shape, const std::vector<bool>& wraps,
              const std::vector<long>& first, const Doubles& diagonal, const Couplings& couplings,
              const std::optional<Doubles>& excess, bool masked, bool jumps, std::vector<double> down,
              std::vector<double> up, const std::vector<int>& lines, int threads) {
        const std::size_t dims = shape.size();
        if (dims < 1 || dims > 3) throw std::invalid_argument("`shape` must have 1, 2 or 3 axes");
        if (wraps.size() != dims || first.size() != dims)
            throw std::invalid_argument("`wraps` and `first` must have one entry an axis of `shape`");
        StencilProblem problem;
        problem.dims = static_cast<int>(dims), problem.mesh.points = dims == 3 ? SEVEN : FIVE;
        for (std::size_t k = 0; k < dims; k++) {
            const int d = place(k, dims);
            problem.mesh.n[d] = shape[k], problem.mesh.wraps[d] = wraps[k], problem.first[d] = first[k];
        }
        problem.members = diagonal.ndim() > 0 ? static_cast<long>(diagonal.shape(0)) : 0;
        problem.masked = masked, problem.jumps = jumps, problem.threads = std::min(threads, MOST_WORKERS);
        problem.down = std::move(down), problem.up = std::move(up);
        for (int axis : lines) {
            if (axis < 0 || axis >= static_cast<int>(dims))
                throw std::invalid_argument("`lines` must be axes of `shape`; there is no axis " +
                                            std::to_string(axis));
            problem.lines.push_back(place(axis, dims));
        }
        problem.validate();
        problem.diagonal = field(diagonal, problem.members, shape, "diagonal");
        if (excess) problem.excess = field(*excess, problem.members, shape, "excess");
        one_an_axis(couplings, shape, problem);
        const Machine& on = machine_called(machine);
        nb::gil_scoped_release release;
        single ? void(single_ = on.coarsen32(problem)) : void(double_ = on.coarsen64(problem));
    }

    std::size_t size() const {
        return visit([](const auto& h) { return h.levels.size(); });
    }

    nb::dict level(std::size_t l) const {
        if (l >= size()) throw std::invalid_argument("there is no such level");
        return visit([&](const auto& h) {
            const auto& g = h.levels[l];
            nb::dict to;
            describe(to, g.fine), to["coarse"] = unknowns(g.coarse);
            to["halved"] = nb::make_tuple(g.halving.halved[0], g.halving.halved[1], g.halving.halved[2]);
            to["first"] = nb::make_tuple(g.halving.first[0], g.halving.first[1], g.halving.first[2]);
            to["S"] = fields(g.S, g.fine.couplings(), h.members, g.fine);
            to["W"] = fields(g.W, g.halving.deltas(), h.members, g.coarse);
            to["down"] = g.down, to["up"] = g.up, to["lines"] = g.lines;
            to["clusters"] = clusters(g.clusters);
            return to;
        });
    }

    nb::dict finest() const {
        return visit([&](const auto& h) {
            nb::dict to;
            describe(to, h.finest);
            to["S"] = fields(h.S, h.finest.couplings(), h.members, h.finest);
            to["s"] = fields(h.s, 1, h.members, h.finest);
            to["scale"] = fields(h.scale, 1, h.members, h.finest);
            to["couplings"] = fields(h.couplings, h.finest.couplings(), h.members, h.finest);
            to["excess"] = fields(h.excess, 1, h.members, h.finest);
            return to;
        });
    }

    nb::dict coarsest() const {
        return visit([&](const auto& h) {
            nb::dict to;
            describe(to, h.coarsest);
            const std::array<std::size_t, 3> shape = square(h);
            to["inverse"] = h.solved ? shown(h.inverse, shape) : nb::none();
            to["dense"] = h.solved ? nb::none() : shown(h.dense.data(), shape);
            return to;
        });
    }

    void set_inverse(const Doubles& inverse) {
        visit([&](auto& h) {
            const std::array<std::size_t, 3> shape = square(h);
            if (h.solved) throw std::invalid_argument("the coarsest grid has its inverse already");
            if (inverse.ndim() != 3 || inverse.shape(0) != shape[0] || inverse.shape(1) != shape[1] ||
                inverse.shape(2) != shape[2])
                throw std::invalid_argument("`inverse` must be of the shape of the coarsest grid's `dense`");
            for (std::size_t k = 0; k < inverse.size(); k++)
                h.inverse[k] = static_cast<std::decay_t<decltype(*h.inverse)>>(inverse.data()[k]);
            h.dense.clear(), h.solved = true;
            return 0;
        });
    }

  private:
    // The place of axis k among (planes, rows, columns).
    static int place(std::size_t k, std::size_t dims) {
        return dims == 3 ? static_cast<int>(k) : k + 1 == dims ? 2 : 0;
    }

    static const double* field(const Doubles& v, long members, const std::vector<long>& shape, const char* name) {
        bool same = v.ndim() == shape.size() + 1 && static_cast<long>(v.shape(0)) == members;
        std::string wanted = "(" + std::to_string(members);
        for (std::size_t k = 0; k < shape.size(); k++) {
            same = same && static_cast<long>(v.shape(k + 1)) == shape[k];
            wanted += ", " + std::to_string(shape[k]);
        }
        if (!same) throw std::invalid_argument("`" + std::string(name) + "` must be of shape " + wanted + ")");
        return v.data();
    }

    static void one_an_axis(const Couplings& couplings, const std::vector<long>& shape, StencilProblem& problem) {
        const std::size_t dims = shape.size();
        for (const auto& [offset, array] : couplings) {
            std::size_t axis = dims, ones = 0;
            for (std::size_t k = 0; k < offset.size(); k++)
                if (offset[k] == 1) axis = k, ones++;
            const bool unit = offset.size() == dims && ones == 1 &&
                              std::count(offset.begin(), offset.end(), 0) == static_cast<long>(dims) - 1;
            if (!unit) throw std::invalid_argument("the offset of each of `couplings` must be one step along an axis");
            const double*& to = problem.couplings[dims - 1 - axis];
            if (to) throw std::invalid_argument("`couplings` must have one array an axis");
            to = field(array, problem.members, shape, "couplings");
        }
        if (couplings.size() != dims) throw std::invalid_argument("`couplings` must have one array an axis");
    }

    template <class H>
    static std::array<std::size_t, 3> square(const H& h) {
        const auto N = static_cast<std::size_t>(h.coarsest.unknowns());
        return {static_cast<std::size_t>(h.members), N, N};
    }

    static nb::tuple unknowns(const Mesh& mesh) { return nb::make_tuple(mesh.n[0], mesh.n[1], mesh.n[2]); }
    static void describe(nb::dict& to, const Mesh& mesh) {
        to["n"] = unknowns(mesh), to["wraps"] = nb::make_tuple(mesh.wraps[0], mesh.wraps[1], mesh.wraps[2]);
        to["points"] = static_cast<int>(mesh.points);
    }

    template <class T, std::size_t N>
    nb::object shown(const T* v, const std::array<std::size_t, N>& shape) const {
        return nb::cast(nb::ndarray<nb::numpy, const T>(v, N, shape.data(), nb::find(this)));
    }
    template <class T>
    nb::object fields(const T* v, long count, long members, const Mesh& mesh) const {
        return shown(v, std::array<std::size_t, 4>{std::size_t(count), std::size_t(members), std::size_t(mesh.rows()),
                                                   std::size_t(mesh.stride())});
    }

    template <class T>
    nb::object clusters(const Clusters<T>& B) const {
        if (B.inverse.empty()) return nb::none();
        auto all = [&](const auto& v) { return shown(v.data(), std::array<std::size_t, 1>{v.size()}); };
        nb::dict to;
        to["at"] = all(B.at), to["z"] = all(B.z), to["begin"] = all(B.begin);
        to["at_A"] = all(B.at_A), to["Az"] = all(B.Az), to["begin_A"] = all(B.begin_A);
        to["member"] = all(B.member), to["inverse"] = all(B.inverse);
        return to;
    }

    std::unique_ptr<StencilHierarchy<float>> single_;
    std::unique_ptr<StencilHierarchy<double>> double_;

// Line smoothing of one stencil by itself.
class Lines {
  public:
    Lines(const std::string& machine, bool single, std::array<bool, 3> wraps, const Doubles& S, std::vector<int> lines,
          long batch, int threads) {
        if (S.ndim() != 5) throw std::invalid_argument("`S` must be (couplings, members, n0, n1, n2)");
        for (int d = 0; d < 3; d++)
            problem_.mesh.n[d] = static_cast<long>(S.shape(d + 2)), problem_.mesh.wraps[d] = wraps[d];
        problem_.mesh.points = points(static_cast<long>(S.shape(0)));
        problem_.members = static_cast<long>(S.shape(1)), problem_.batch = batch, problem_.S = doubles(S);
        if (problem_.members != 1 && problem_.members != batch)
            throw std::invalid_argument("`S` must have one member, or as many as the batch");
        if (threads < 1 || threads > MOST_WORKERS) throw std::invalid_argument("there are no so many `threads`");
        for (int axis : lines)
            if (axis < 0 || axis > 2) throw std::invalid_argument("an axis of `lines` must be 0, 1 or 2");
        problem_.lines = std::move(lines), problem_.threads = threads;
        const Machine& on = machine_called(machine);
        for (int k = 0; k < static_cast<int>(std::size(MACHINES)); k++)
            if (MACHINES[k] == &on)
                sweeps_.reset(single ? LINE_MACHINES[k]->make32(problem_) : LINE_MACHINES[k]->make64(problem_));
    }

    void sweep(bool reverse, bool zero, int sweeps, const Doubles& f, const Written& u) {
        const std::size_t size = problem_.batch * problem_.mesh.unknowns();
        if (f.size() != size || u.size() != size)
            throw std::invalid_argument("`f` and `u` must have a number for each unknown of the batch");
        nb::gil_scoped_release release;
        sweeps_->run(reverse, zero, sweeps, f.data(), u.data());
    }

  private:
    static Points points(long couplings) {
        for (int k = 0; k < 4; k++)
            if (COUPLINGS[k] == couplings) return static_cast<Points>(k);
        throw std::invalid_argument("`S` must have the couplings of five, nine, seven or twenty-seven points");
    }

    LineProblem problem_;
    std::unique_ptr<LineSweeps> sweeps_;
};

}  // namespace

NB_MODULE(_native, m) {
    nb::set_leak_warnings(false);  // levels that are kept for the next solver outlive the interpreter
    m.doc() = "Compiled kernels of mgnet.pde; see mgnet.pde.native.";
    m.attr("built_from") = MGNET_BUILT_FROM;
    m.def("machines", &machines, "Instruction sets that this build has and this processor can run, the fastest first.");
    bind_arrays<float>(m), bind_arrays<double>(m);
    nb::class_<Table>(m, "Table")
        .def(
            "__init__",
            [](Table* self, const Longs& start, const Doubles& weights, long columns, std::tuple<long, long> repeats,
               std::optional<Doubles> sums) { new (self) Table(table(start, weights, columns, repeats, sums)); },
            "start"_a, "weights"_a, "columns"_a, "repeats"_a, "sums"_a.none() = nb::none());
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
           const Steplist& up) { new (self) Grid(grid(dims, axes, coarse, P, Q, R, mass, stiffness, down, up)); },
        "dims"_a, "axes"_a, "coarse"_a, "P"_a, "Q"_a, "R"_a, "mass"_a, "stiffness"_a, "down"_a, "up"_a);
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
             "f_c"_a.none(), "way"_a, "norm"_a = false, "raw"_a = false, "omega"_a = 1.0)
        .def("interpolant", &Kernels::interpolant, "l"_a, "f"_a, "u"_a, "out"_a)
        .def("direct", &Kernels::direct_solve, "f"_a, "u"_a)
        .def("cycle", &Kernels::cycle, "u"_a.none(), "b"_a, "scratch"_a.none(), "out"_a, "watch"_a, "known"_a,
             "omega"_a)
        .def("start", &Kernels::start, "b"_a, "out"_a, "watch"_a, "raw"_a, "ready"_a, "data"_a, "restricted"_a)
        .def("norms", &Kernels::norms, "u"_a.none(), "b"_a)
        .def("sums", &Kernels::sums);
    nb::class_<Hierarchy>(m, "StencilHierarchy")
        .def(nb::init<const std::string&, bool, const std::vector<long>&, const std::vector<bool>&,
                      const std::vector<long>&, const Doubles&, const Hierarchy::Couplings&,
                      const std::optional<Doubles>&, bool, bool, std::vector<double>, std::vector<double>,
                      const std::vector<int>&, int>(),
             "machine"_a, "single"_a, "shape"_a, "wraps"_a, "first"_a, "diagonal"_a, "couplings"_a, "excess"_a.none(),
             "masked"_a, "jumps"_a, "down"_a, "up"_a, "lines"_a, "threads"_a)
        .def("__len__", &Hierarchy::size)
        .def("level", &Hierarchy::level, "l"_a)
        .def("finest", &Hierarchy::finest)
        .def("coarsest", &Hierarchy::coarsest)
        .def("set_inverse", &Hierarchy::set_inverse, "inverse"_a);

    nb::class_<Lines>(m, "Lines")
        .def(nb::init<const std::string&, bool, std::array<bool, 3>, const Doubles&, std::vector<int>, long, int>(),
             "machine"_a, "single"_a, "wraps"_a, "S"_a, "lines"_a, "batch"_a, "threads"_a)
        .def("sweep", &Lines::sweep, "reverse"_a, "zero"_a, "sweeps"_a, "f"_a, "u"_a);
}

}  // namespace mgnet
