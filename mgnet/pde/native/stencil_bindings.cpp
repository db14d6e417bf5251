// The binding of the black-box cycles: levels as Python describes them, checked; arrays, checked; then the kernels.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <mutex>
#include <stdexcept>

#include "cycles.h"
#include "stencil_cycles.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mgnet {

const Machine& machine_called(const std::string& name);  // bindings.cpp
extern const StencilMachine stencil_baseline;
#ifdef MGNET_X86
extern const StencilMachine stencil_avx2, stencil_avx512;
const StencilMachine* const STENCIL_MACHINES[] = {&stencil_avx512, &stencil_avx2, &stencil_baseline};
#else
const StencilMachine* const STENCIL_MACHINES[] = {&stencil_baseline};
#endif

namespace {

using Input = nb::ndarray<nb::ro>;
using Output = nb::ndarray<>;
using Numbers = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Places = nb::ndarray<const std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Counts = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Shape = std::vector<long>;

std::string text(const Shape& shape) {
    std::string to = "(";
    for (std::size_t k = 0; k < shape.size(); k++) to += (k ? ", " : "") + std::to_string(shape[k]);
    return to + (shape.size() == 1 ? ",)" : ")");
}

template <class Array>
void check(const Array& v, bool single, const Shape& shape, const std::string& name) {
    auto say = [&](const std::string& what) { throw std::invalid_argument("`" + name + "` must be " + what); };
    if (v.dtype() != (single ? nb::dtype<float>() : nb::dtype<double>())) say(single ? "float32" : "float64");
    if (v.device_type() != nb::device::cpu::value) say("on the CPU");
    bool same = v.ndim() == shape.size();
    for (std::size_t d = 0; same && d < shape.size(); d++) same = static_cast<long>(v.shape(d)) == shape[d];
    if (!same) say("of shape " + text(shape));
    std::int64_t step = 1;
    for (std::size_t d = shape.size(); d-- > 0; step *= shape[d])
        if (shape[d] != 1 && v.stride(d) != step) say("contiguous");
    if (reinterpret_cast<std::uintptr_t>(v.data()) % (single ? 4 : 8) != 0) say("aligned");
}

// Clusters to correct, in doubles.
struct ClusterList {
    Clusters<double> of;

    ClusterList(const Places& at, const Numbers& z, const Counts& begin, const Places& at_A, const Numbers& Az,
                const Counts& begin_A, const Numbers& inverse, const Counts& member) {
        of.at = list<std::int32_t>(at), of.at_A = list<std::int32_t>(at_A);
        of.z = list<double>(z), of.Az = list<double>(Az), of.inverse = list<double>(inverse);
        of.begin = list<long>(begin), of.begin_A = list<long>(begin_A), of.member = list<long>(member);
        const std::size_t K = of.inverse.size();
        if (of.member.size() != K || of.begin.size() != K + 1 || of.begin_A.size() != K + 1)
            throw std::invalid_argument("`member`, `begin` and `begin_A` must have one number a cluster, and one more");
        ranges(of.begin, of.at.size(), of.z.size()), ranges(of.begin_A, of.at_A.size(), of.Az.size());
    }

    template <class T>
    Clusters<T> as(long members, long size) const {
        for (const auto* places : {&of.at, &of.at_A})
            for (long at : *places)
                if (at < LEFT || at >= size) throw std::invalid_argument("clusters must lie in the field");
        long last = 0;
        for (long m : of.member) {
            if (m < last || m >= members) throw std::invalid_argument("`member` must ascend, below the members");
            last = m;
        }
        return {of.at,    of.at_A,    {of.z.begin(), of.z.end()}, {of.Az.begin(), of.Az.end()},
                of.begin, of.begin_A, of.member,                  of.inverse};
    }

  private:
    template <class N, class Array>
    static std::vector<N> list(const Array& v) {
        return {v.data(), v.data() + v.size()};
    }
    static void ranges(const std::vector<long>& begin, std::size_t places, std::size_t numbers) {
        bool ascend = begin.front() == 0 && begin.back() == static_cast<long>(places) && places == numbers;
        for (std::size_t k = 1; k < begin.size(); k++) ascend &= begin[k - 1] <= begin[k];
        if (!ascend) throw std::invalid_argument("where clusters begin must ascend from 0 to their numbers' count");
    }
};

using Three = std::array<long, 3>;
using Flags = std::array<bool, 3>;

Mesh mesh(const Three& n, const Flags& wraps, int points) {
    Mesh to;
    if (points < FIVE || points > TWENTY_SEVEN) throw std::invalid_argument("`points` must be 0, 1, 2 or 3");
    to.points = static_cast<Points>(points);
    for (int d = 0; d < 3; d++) {
        if (n[d] < 1 || n[d] > (1L << 31)) throw std::invalid_argument("sizes of a grid must be positive");
        to.n[d] = n[d], to.wraps[d] = wraps[d];
    }
    if ((points == FIVE || points == NINE) && n[1] != 1)
        throw std::invalid_argument("five and nine points are stencils of two dimensions: n[1] must be 1");
    return to;
}

// A level as Python gives it; the arrays stay Python's.
struct GivenLevel {
    Mesh fine, coarse;
    Halving halving;
    Input S, W;
    std::vector<double> down, up;
    std::optional<ClusterList> clusters;

    GivenLevel(const Three& n, const Three& coarse_n, const Flags& wraps, int points, int coarse_points,
               const Flags& halved, const Three& first, Input S_, Input W_, std::vector<double> down_,
               std::vector<double> up_, std::optional<ClusterList> clusters_)
        : fine(mesh(n, wraps, points)),
          coarse(mesh(coarse_n, wraps, coarse_points)),
          S(std::move(S_)),
          W(std::move(W_)),
          down(std::move(down_)),
          up(std::move(up_)),
          clusters(std::move(clusters_)) {
        for (int d = 0; d < 3; d++) {
            halving.halved[d] = halved[d], halving.first[d] = halved[d] ? first[d] : 0;
            if (first[d] < 0 || first[d] > 1 || (first[d] && wraps[d]))
                throw std::invalid_argument("`first` must be 0, or 1 on an axis that does not wrap");
            if (coarse_n[d] != (halved[d] ? (n[d] - first[d] + 1) / 2 : n[d]))
                throw std::invalid_argument("`coarse` must have the unknowns first, first + 2, ... of a halved axis");
        }
    }

    template <class T>
    StencilLevel<T> as(long members) const {
        const bool single = sizeof(T) == 4;
        check(S, single, {fine.couplings(), members, fine.rows(), fine.stride()}, "S");
        check(W, single, {halving.deltas(), members, coarse.rows(), coarse.stride()}, "W");
        StencilLevel<T> to{};
        to.fine = fine, to.coarse = coarse, to.halving = halving;
        to.S = static_cast<const T*>(S.data()), to.W = static_cast<const T*>(W.data());
        to.down = {down.begin(), down.end()}, to.up = {up.begin(), up.end()};
        if (clusters) to.clusters = clusters->as<T>(members, fine.size());
        return to;
    }
};

const StencilMachine& stencil_machine(const std::string& name) {
    for (const StencilMachine* machine : STENCIL_MACHINES)
        if (machine_called(name).name == std::string(machine->name)) return *machine;
    throw std::invalid_argument("this build has no instruction set " + name);
}

// The cycles of one hierarchy: checks every array that it is given, and lets one caller in at a time.
class BlackBox {
  public:
    BlackBox(const std::string& machine, bool single, bool single_data, std::vector<GivenLevel> levels, Input s,
             Input S, Input excess, Input inverse, int gamma, long batch, int threads)
        : levels_(std::move(levels)), kept_{s, S, excess, inverse}, single_(single) {
        if (levels_.empty()) throw std::invalid_argument("`levels` must have at least one");
        if (gamma < 0) throw std::invalid_argument("`gamma` must be 0 (the F-cycle) or positive");
        if (batch < 1 || threads < 1) throw std::invalid_argument("`batch` and `threads` must be positive");
        run_ = {gamma, batch, threads, single_data};
        const StencilMachine& on = stencil_machine(machine);
        if (single)
            cycles_.reset(on.make32(*(of_singles_ = hierarchy<float>()), run_));
        else
            cycles_.reset(on.make64(*(of_doubles_ = hierarchy<double>()), run_));
    }

    nb::object begin(std::optional<Input> x, Input b) {
        const void *from = data(x, "x"), *datum = data(b, "b");
        return numbers([&](double* norms) { cycles_->begin(from, datum, norms); });
    }
    nb::object precondition() {
        return numbers([&](double* rz) { cycles_->precondition(rz); });
    }
    nb::object direct(Numbers beta) {
        const double* each = members(beta, "beta");
        return numbers([&](double* energy) { cycles_->direct(each, energy); });
    }
    nb::object step(Numbers alpha, std::optional<Input> x, Output x_out, Input b) {
        const double* each = members(alpha, "alpha");
        const void *from = data(x, "x"), *datum = data(b, "b");
        void* to = other(x_out, from);
        std::vector<double> rp(run_.batch);
        nb::object norms =
            numbers([&](double* norms) { cycles_->step(each, from, to, datum, norms, rp.data()); });
        return nb::make_tuple(norms, copied(rp));
    }
    nb::object advance(std::optional<Input> x, Output x_out, Input b, Numbers floor, Numbers norms, Numbers rz,
                       Numbers rp) {
        const double* least = members(floor, "floor");
        const void *from = data(x, "x"), *datum = data(b, "b");
        void* to = other(x_out, from);
        std::vector<double> state[3];
        const double* given[3] = {members(norms, "norms"), members(rz, "rz"), members(rp, "rp")};
        for (int k = 0; k < 3; k++) state[k].assign(given[k], given[k] + run_.batch);
        alone([&] { cycles_->advance(from, to, datum, least, state[0].data(), state[1].data(), state[2].data()); });
        return nb::make_tuple(copied(state[0]), copied(state[1]), copied(state[2]));
    }
    nb::object start(Output x_out, Input b) {
        const void* datum = data(b, "b");
        void* to = other(x_out, nullptr);
        return numbers([&](double* norms) { cycles_->start(to, datum, norms); });
    }
    nb::object cycle(std::optional<Input> x, Output x_out, Input b) {
        const void *from = data(x, "x"), *datum = data(b, "b");
        void* to = other(x_out, from);
        return numbers([&](double* norms) { cycles_->cycle(from, to, datum, norms); });
    }
    nb::object norms(std::optional<Input> x, Input b) {
        const void *from = data(x, "x"), *datum = data(b, "b");
        return numbers([&](double* norms) { cycles_->norms(from, datum, norms); });
    }

    void smooth(int l, std::optional<Input> u, Input f, Output out) {
        const void *a = field(u, l, "u"), *d = field(f, l, "f");
        void* to = field(out, l, "out");
        alone([&] { cycles_->smooth(known(l), a, d, to); });
    }
    void down(int l, std::optional<Input> u, Input f, Output out, Output f_c) {
        const void *a = field(u, l, "u"), *d = field(f, l, "f");
        void *to = field(out, l, "out"), *to_c = field(f_c, l + 1, "f_c");
        alone([&] { cycles_->down(known(l), a, d, to, to_c); });
    }
    void up(int l, Input u, Input f, Input e, Output out) {
        const void *a = field(u, l, "u"), *d = field(f, l, "f"), *c = field(e, l + 1, "e");
        void* to = field(out, l, "out");
        alone([&] { cycles_->up(known(l), a, d, c, to); });
    }
    void restrict_(int l, Input f, Output f_c) {
        const void* d = field(f, l, "f");
        void* to = field(f_c, l + 1, "f_c");
        alone([&] { cycles_->restrict_(known(l), d, to); });
    }
    void interpolate(int l, Input u_c, Output out) {
        const void* c = field(u_c, l + 1, "u_c");
        void* to = field(out, l, "out");
        alone([&] { cycles_->interpolate(known(l), c, to); });
    }
    void solve(Input f, Output u) {
        const int l = static_cast<int>(levels_.size());
        const void* d = field(f, l, "f");
        void* to = field(u, l, "u");
        alone([&] { cycles_->solve(d, to); });
    }

  private:
    template <class T>
    std::unique_ptr<StencilHierarchy<T>> hierarchy() {
        const Input &s = kept_[0], &S = kept_[1], &excess = kept_[2], &inverse = kept_[3];
        auto made = std::make_unique<StencilHierarchy<T>>();
        StencilHierarchy<T>& to = *made;
        const Mesh &mesh = levels_[0].fine, &last = levels_.back().coarse;
        to.members = s.ndim() == 3 ? static_cast<long>(s.shape(0)) : 0;
        if (to.members != 1 && to.members != run_.batch)
            throw std::invalid_argument("`s` must have one member, or as many as the batch");
        check(s, single_, {to.members, mesh.rows(), mesh.stride()}, "s");
        check(S, false, {mesh.couplings(), to.members, mesh.rows(), mesh.stride()}, "S");
        check(excess, false, {to.members, mesh.rows(), mesh.stride()}, "excess");
        check(inverse, single_, {to.members, last.unknowns(), last.unknowns()}, "inverse");
        if (mesh.points != FIVE && mesh.points != SEVEN)
            throw std::invalid_argument("the finest grid must have five or seven points");
        for (std::size_t l = 0; l < levels_.size(); l++) {
            for (int d = 0; l > 0 && d < 3; d++)
                if (levels_[l].fine.n[d] != levels_[l - 1].coarse.n[d])
                    throw std::invalid_argument("a level must be on the coarse grid of the one before");
            to.levels.push_back(levels_[l].as<T>(to.members));
        }
        to.finest = mesh, to.coarsest = last, to.S = to.levels[0].S;
        to.s = static_cast<const T*>(s.data()), to.couplings = static_cast<const double*>(S.data());
        to.excess = static_cast<const double*>(excess.data());
        // nobody writes to what is solved
        to.inverse = const_cast<T*>(static_cast<const T*>(inverse.data())), to.solved = true;
        return made;
    }

    int known(int l) const {
        if (l < 0 || l >= static_cast<int>(levels_.size())) throw std::invalid_argument("there is no such level");
        return l;
    }

    template <class Array>
    auto data(const Array& v, const char* name) const -> decltype(v.data()) {
        const Mesh& mesh = levels_[0].fine;
        check(v, run_.single, {run_.batch, mesh.n[0], mesh.n[1], mesh.n[2]}, name);
        return v.data();
    }
    const void* data(const std::optional<Input>& v, const char* name) const { return v ? data(*v, name) : nullptr; }

    void* other(const Output& x_out, const void* x) const {
        void* to = data(x_out, "x_out");
        if (to == x) throw std::invalid_argument("`x_out` must be other memory than `x`");
        return to;
    }

    template <class Array>
    auto field(const Array& v, int l, const char* name) const -> decltype(v.data()) {
        const int count = static_cast<int>(levels_.size());
        if (l < 0 || l > count) throw std::invalid_argument("there is no such level");
        const Mesh& mesh = l < count ? levels_[l].fine : levels_.back().coarse;
        check(v, single_, {run_.batch, mesh.rows(), mesh.stride()}, name);
        return v.data();
    }
    const void* field(const std::optional<Input>& v, int l, const char* name) const {
        return v ? field(*v, l, name) : nullptr;
    }

    const double* members(const Numbers& v, const char* name) const {
        if (static_cast<long>(v.size()) != run_.batch)
            throw std::invalid_argument("`" + std::string(name) + "` must have one number a member");
        return v.data();
    }

    template <class Work>
    void alone(const Work& work) {
        nb::gil_scoped_release release;
        std::lock_guard<std::mutex> hold(lock_);
        work();
    }

    template <class Work>
    nb::object numbers(const Work& work) {
        std::vector<double> each(run_.batch);
        alone([&] { work(each.data()); });
        return copied(each);
    }

    static nb::object copied(const std::vector<double>& v) {
        auto copy = std::make_unique<double[]>(v.size());
        for (std::size_t k = 0; k < v.size(); k++) copy[k] = v[k];
        double* data = copy.release();
        nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<double*>(p); });
        return nb::cast(nb::ndarray<nb::numpy, double>(data, {v.size()}, owner));
    }

    std::vector<GivenLevel> levels_;
    std::array<Input, 4> kept_;
    const bool single_;
    StencilRun run_;
    std::unique_ptr<StencilHierarchy<float>> of_singles_;
    std::unique_ptr<StencilHierarchy<double>> of_doubles_;
    std::unique_ptr<StencilCycles> cycles_;
    std::mutex lock_;
};

}  // namespace

void bind_black_box(nb::module_& m) {
    nb::class_<ClusterList>(m, "ClusterList")
        .def(nb::init<const Places&, const Numbers&, const Counts&, const Places&, const Numbers&, const Counts&,
                      const Numbers&, const Counts&>(),
             "at"_a, "z"_a, "begin"_a, "at_A"_a, "Az"_a, "begin_A"_a, "inverse"_a, "member"_a);
    nb::class_<GivenLevel>(m, "StencilLevel")
        .def(nb::init<const Three&, const Three&, const Flags&, int, int, const Flags&, const Three&, Input, Input,
                      std::vector<double>, std::vector<double>, std::optional<ClusterList>>(),
             "n"_a, "coarse"_a, "wraps"_a, "points"_a, "coarse_points"_a, "halved"_a, "first"_a, "S"_a, "W"_a, "down"_a,
             "up"_a, "clusters"_a.none());
    nb::class_<BlackBox>(m, "BlackBox")
        .def(nb::init<const std::string&, bool, bool, std::vector<GivenLevel>, Input, Input, Input, Input, int, long,
                      int>(),
             "machine"_a, "single"_a, "single_data"_a, "levels"_a, "s"_a, "S"_a, "excess"_a, "inverse"_a, "gamma"_a,
             "batch"_a, "threads"_a)
        .def("begin", &BlackBox::begin, "x"_a.none(), "b"_a)
        .def("precondition", &BlackBox::precondition)
        .def("direct", &BlackBox::direct, "beta"_a)
        .def("step", &BlackBox::step, "alpha"_a, "x"_a.none(), "x_out"_a, "b"_a)
        .def("advance", &BlackBox::advance, "x"_a.none(), "x_out"_a, "b"_a, "floor"_a, "norms"_a, "rz"_a, "rp"_a)
        .def("start", &BlackBox::start, "x_out"_a, "b"_a)
        .def("cycle", &BlackBox::cycle, "x"_a.none(), "x_out"_a, "b"_a)
        .def("norms", &BlackBox::norms, "x"_a.none(), "b"_a)
        .def("smooth", &BlackBox::smooth, "l"_a, "u"_a.none(), "f"_a, "out"_a)
        .def("down", &BlackBox::down, "l"_a, "u"_a.none(), "f"_a, "out"_a, "f_c"_a)
        .def("up", &BlackBox::up, "l"_a, "u"_a, "f"_a, "e"_a, "out"_a)
        .def("restrict", &BlackBox::restrict_, "l"_a, "f"_a, "f_c"_a)
        .def("interpolate", &BlackBox::interpolate, "l"_a, "u_c"_a, "out"_a)
        .def("solve", &BlackBox::solve, "f"_a, "u"_a);
}

}  // namespace mgnet
