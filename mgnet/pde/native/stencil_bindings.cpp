// The binding of stencils: the set-up of a black-box hierarchy, and its cycles.
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "fields.h"
#include "machines.h"
#include "operators.h"
#include "pool.h"
#include "python_arrays.h"

using namespace nanobind::literals;

namespace mgnet {
namespace {

using Numbers = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// A grid of one to three axes, as the finest of a hierarchy.
Mesh mesh_of(const std::vector<long>& shape, const std::vector<bool>& wraps) {
    const std::size_t dims = shape.size();
    if (dims < 1 || dims > 3) throw std::invalid_argument("`shape` must have 1, 2 or 3 axes");
    if (wraps.size() != dims) throw std::invalid_argument("`wraps` must have one entry an axis of `shape`");
    Mesh mesh;
    mesh.points = dims == 3 ? SEVEN : FIVE;
    for (std::size_t k = 0; k < dims; k++) mesh.n[place(k, dims)] = shape[k], mesh.wraps[place(k, dims)] = wraps[k];
    return mesh;
}

// The conductances of a grid's faces, and c: arrays (members, *grid) or broadcastable to it, checked, and kept.
class Faces {
  public:
    Faces(const std::vector<long>& shape, const std::vector<bool>& wraps, const std::vector<Doubles>& shares,
          const std::vector<Input>& k, const std::optional<Input>& c)
        : kept_(k) {
        const std::size_t dims = shape.size();
        of_.mesh = mesh_of(shape, wraps);
        require(shares.size() == dims && k.size() == dims, "`shares` and `k` must have one entry an axis of `shape`");
        for (long n : shape) require(n > 0, "each axis of `shape` must have unknowns");
        if (c) kept_.push_back(*c);
        for (const Input& v : kept_)
            if (v.ndim() == dims + 1) of_.members = std::max(of_.members, static_cast<long>(v.shape(0)));
        for (auto& share : of_.share) share.assign(1, 1.0);
        for (std::size_t d = 0; d < dims; d++) {
            require(static_cast<long>(shares[d].size()) == shape[d], "`shares` must have one for each unknown of an axis");
            of_.share[place(d, dims)].assign(shares[d].data(), shares[d].data() + shape[d]);
            of_.k[place(d, dims)] = field(k[d], shape, static_cast<int>(d), "k");
        }
        if (c) of_.c = field(*c, shape, -1, "c");
    }

    const Conductances& get() const { return of_; }
    std::size_t dims() const { return kept_.size() - (of_.c.v != nullptr); }

    nb::tuple surveyed(double varies, int threads) const {
        Survey seen;
        {
            nb::gil_scoped_release release;
            seen = survey(of_, varies, threads);
        }
        return nb::make_tuple(seen.contrast, seen.variation, seen.lone, numpy_of(seen.constant), numpy_of(seen.wave));
    }

    nb::object magnitudes(const Input& u, const Input& b, int threads) const {
        const bool single = u.dtype() == nb::dtype<float>();
        const std::vector<long> shape = shape_of(u);
        check(u, single, shape, "u"), check(b, single, shape, "b");
        std::vector<double> squares(shape[0]);
        {
            nb::gil_scoped_release release;
            mgnet::magnitudes(of_, iterate(u, single), iterate(b, single), shape[0], squares.data(), threads);
        }
        return numpy_of(squares);
    }

    // out = A u
    void apply(const Input& u, const Output& out, int threads) const {
        const bool single = u.dtype() == nb::dtype<float>();
        const std::vector<long> shape = shape_of(u);
        check(u, single, shape, "u"), check(out, false, shape, "out");
        require(u.data() != out.data(), "`out` must be other memory than `u`");
        auto* to = static_cast<double*>(out.data());
        nb::gil_scoped_release release;
        mgnet::apply(of_, iterate(u, single), shape[0], to, threads);
    }

  private:
    // (members, *grid) of an iterate
    std::vector<long> shape_of(const Input& u) const {
        const long *n = of_.mesh.n, members = u.ndim() > 0 ? static_cast<long>(u.shape(0)) : 0;
        require(members > 0 && (of_.members == 1 || of_.members == members), "`u` must have as many members as `k` and `c`");
        std::vector<long> shape{members};
        for (std::size_t k = 0; k < dims(); k++) shape.push_back(n[place(k, dims())]);
        return shape;
    }
    Field iterate(const Input& v, bool single) const {
        const long* n = of_.mesh.n;
        return {v.data(), single, {n[0] * n[1] * n[2], n[1] * n[2], n[2], 1}};
    }

    Field field(const Input& v, const std::vector<long>& shape, int axis, const std::string& name) const {
        std::vector<bool> longer(shape.size(), false);
        if (axis >= 0) longer[axis] = true;
        return field_of(v, shape, longer, of_.members, name);
    }

    Conductances of_;
    std::vector<Input> kept_;
};

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
              std::vector<double> up, const std::vector<int>& lines, int threads, bool coarse,
              const std::optional<std::vector<bool>>& halved) {
        StencilProblem problem = described(mesh_of(shape, wraps), shape.size(), first, lines);
        problem.members = diagonal.ndim() > 0 ? static_cast<long>(diagonal.shape(0)) : 0;
        problem.masked = masked, problem.jumps = jumps, problem.threads = std::min(threads, MOST_WORKERS);
        problem.down = std::move(down), problem.up = std::move(up);
        problem.mesh.points = points_of(couplings, static_cast<int>(shape.size()));
        problem.coarse = coarse;
        if (halved) {
            require(halved->size() == shape.size(), "`halved` must have one entry an axis of `shape`");
            problem.halved.emplace();
            for (std::size_t k = 0; k < shape.size(); k++) (*problem.halved)[place(k, shape.size())] = (*halved)[k];
        }
        problem.validate();
        problem.diagonal = field(diagonal, problem.members, shape, "diagonal");
        if (excess) problem.excess = field(*excess, problem.members, shape, "excess");
        take(couplings, shape, problem);
        make(machine, single, problem);
    }

    // From the conductances of the faces.
    Hierarchy(const std::string& machine, bool single, const Faces& faces, const std::vector<long>& first, bool masked,
              bool jumps, std::vector<double> down, std::vector<double> up, const std::vector<int>& lines, int threads) {
        StencilProblem problem = described(faces.get().mesh, faces.dims(), first, lines);
        problem.members = faces.get().members, problem.faces = &faces.get();
        problem.masked = masked, problem.jumps = jumps, problem.threads = std::min(threads, MOST_WORKERS);
        problem.down = std::move(down), problem.up = std::move(up);
        problem.validate();
        make(machine, single, problem);
    }

    const std::shared_ptr<StencilHierarchy<float>>& singles() const { return single_; }
    const std::shared_ptr<StencilHierarchy<double>>& doubles() const { return double_; }

    std::size_t size() const {
        return visit([](const auto& h) { return h.levels.size(); });
    }

    std::vector<long> sizes() const {
        return visit([](const auto& h) {
            std::vector<long> unknowns;
            for (const auto& level : h.levels) unknowns.push_back(level.fine.unknowns());
            unknowns.push_back(h.coarsest.unknowns());
            return unknowns;
        });
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

    // The operator of the coarse grid of a level alone: its diagonal and couplings by offset, once.
    nb::tuple coarse() {
        return visit([&](auto& h) {
            require(h.last != nullptr, "there is no coarse operator, or it has been taken");
            const std::shared_ptr<Operator> A = std::move(h.last);
            nb::list couplings;
            for (int k = 0; k < A->mesh.couplings(); k++) {
                nb::list offset;
                for (int d = 0; d < 3; d++)
                    if (grid_axis(d, h.dims)) offset.append(OFFSETS[A->mesh.points][k][d]);
                const double* s = A->S + k * A->members * A->mesh.size();
                couplings.append(nb::make_tuple(nb::tuple(offset), unpadded(*A, s, h.dims)));
            }
            return nb::make_tuple(unpadded(*A, A->D, h.dims), couplings);
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
    static StencilProblem described(const Mesh& mesh, std::size_t dims, const std::vector<long>& first,
                                    const std::vector<int>& lines) {
        if (first.size() != dims) throw std::invalid_argument("`first` must have one entry an axis of `shape`");
        StencilProblem to;
        to.dims = static_cast<int>(dims), to.mesh = mesh;
        for (std::size_t k = 0; k < dims; k++) to.first[place(k, dims)] = first[k];
        for (int axis : lines) {
            if (axis < 0 || axis >= static_cast<int>(dims))
                throw std::invalid_argument("`lines` must be axes of `shape`; there is no axis " +
                                            std::to_string(axis));
            to.lines.push_back(place(axis, dims));
        }
        return to;
    }

    void make(const std::string& machine, bool single, const StencilProblem& problem) {
        const SetUpKernels& kernels = *machine_called(machine).set_up;
        nb::gil_scoped_release release;
        single ? void(single_ = kernels.make32(problem)) : void(double_ = kernels.make64(problem));
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

    // A grid couples to nearest neighbours, or some along diagonals.
    static Points points_of(const Couplings& couplings, int dims) {
        long most = 1;  // axes of a step
        for (const auto& [offset, s] : couplings)
            most = std::max(most, static_cast<long>(offset.size() - std::count(offset.begin(), offset.end(), 0)));
        return dims < 3 ? (most == 1 ? FIVE : NINE) : most == 1 ? SEVEN : most == 2 ? NINETEEN : TWENTY_SEVEN;
    }

    static void take(const Couplings& couplings, const std::vector<long>& shape, StencilProblem& problem) {
        const std::size_t dims = shape.size();
        for (const auto& [offset, array] : couplings) {
            int o[3] = {}, found = -1;
            for (std::size_t k = 0; k < dims && offset.size() == dims; k++) o[place(k, dims)] = offset[k];
            for (int h = 0; h < problem.mesh.couplings(); h++)
                if (std::equal(o, o + 3, OFFSETS[problem.mesh.points][h])) found = h;
            if (found < 0) throw std::invalid_argument("the offset of each of `couplings` must be a positive one of 3^d");
            if (problem.couplings[found]) throw std::invalid_argument("`couplings` must have one array an offset");
            problem.couplings[found] = field(array, problem.members, shape, "couplings");
        }
        for (std::size_t k = 0; k < dims; k++) {
            int o[3] = {};
            o[place(k, dims)] = 1;
            for (int h = 0; h < problem.mesh.couplings(); h++)
                if (std::equal(o, o + 3, OFFSETS[problem.mesh.points][h]) && !problem.couplings[h])
                    throw std::invalid_argument("`couplings` must have one array an axis");
        }
    }

    template <class H>
    static std::array<std::size_t, 3> square(const H& h) {
        const auto N = static_cast<std::size_t>(h.coarsest.unknowns());
        return {static_cast<std::size_t>(h.members), N, N};
    }

    // whether (planes, rows, columns)[d] is an axis of a grid of so many
    static bool grid_axis(int d, int dims) { return dims == 3 || d == 2 || (dims == 2 && d == 0); }

    // (members, *grid) of a padded field
    static nb::object unpadded(const Operator& A, const double* v, int dims) {
        const Mesh& mesh = A.mesh;
        std::vector<std::size_t> shape{static_cast<std::size_t>(A.members)};
        for (int d = 0; d < 3; d++)
            if (grid_axis(d, dims)) shape.push_back(static_cast<std::size_t>(mesh.n[d]));
        auto rows = std::make_unique<double[]>(A.members * mesh.unknowns());
        for (long r = 0; r < A.members * mesh.rows(); r++)
            std::copy_n(v + r * mesh.stride() + LEFT, mesh.n[2], rows.get() + r * mesh.n[2]);
        double* data = rows.release();
        nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<double*>(p); });
        return nb::cast(nb::ndarray<nb::numpy, double>(data, shape.size(), shape.data(), owner));
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

    std::shared_ptr<StencilHierarchy<float>> single_;
    std::shared_ptr<StencilHierarchy<double>> double_;
};

// The cycles of one hierarchy: checks every array that it is given, and lets one caller in at a time.
class BlackBox {
  public:
    BlackBox(const std::string& machine, const Hierarchy& hierarchy, bool single_data, int gamma, long batch, int threads,
             const std::optional<std::tuple<long, long>>& counted)
        : of_singles_(hierarchy.singles()), of_doubles_(hierarchy.doubles()), run_{gamma, batch, threads, single_data} {
        if (counted) run_.counted[0] = std::get<0>(*counted), run_.counted[1] = std::get<1>(*counted);
        require(0 <= run_.counted[0] && run_.counted[0] < run_.counted[1], "`counted` must be planes of the finest grid");
        require(gamma >= 0, "`gamma` must be 0 (the F-cycle) or positive");
        require(batch >= 1 && threads >= 1, "`batch` and `threads` must be positive");
        const StencilKernels& kernels = *machine_called(machine).stencil;
        visit([&](const auto& h) {
            require(h.solved || h.alone, "the coarsest grid has no inverse yet: `set_inverse`");
            one_ = h.alone;
            require(h.members == 1 || h.members == batch, "the hierarchy must have one member, or as many as the batch");
            for (const auto& level : h.levels) meshes_.push_back(level.fine);
            meshes_.push_back(h.coarsest);
        });
        cycles_.reset(of_singles_ ? kernels.make32(*of_singles_, run_) : kernels.make64(*of_doubles_, run_));
    }

    nb::object begin(std::optional<Input> x, Input b) {
        whole();
        const void *from = data(x, "x"), *datum = data(b, "b");
        return numbers([&](double* norms) { cycles_->begin(from, datum, norms); });
    }
    nb::object precondition() {
        whole();
        return numbers([&](double* rz) { cycles_->precondition(rz); });
    }
    nb::object direct(Numbers beta) {
        whole();
        const double* each = members(beta, "beta");
        return numbers([&](double* energy) { cycles_->direct(each, energy); });
    }
    nb::object step(Numbers alpha, std::optional<Input> x, Output x_out, Input b) {
        whole();
        const double* each = members(alpha, "alpha");
        const void *from = data(x, "x"), *datum = data(b, "b");
        void* to = other(x_out, from);
        std::vector<double> rp(run_.batch);
        nb::object norms =
            numbers([&](double* norms) { cycles_->step(each, from, to, datum, norms, rp.data()); });
        return nb::make_tuple(norms, numpy_of(rp));
    }
    // Steps of conjugate gradients from x (`zero`: from zero) to x_out, back to x, and so on: at least one, at most
    // `most`, until all members' norms are down to tol size or one's, above that, is not down to `enough` of the one
    // before. Returns the norms after each step (steps, batch), and rz, rp.
    nb::object advance(Output x, Output x_out, bool zero, Input b, Numbers floor, Numbers norms, Numbers rz, Numbers rp,
                       Numbers size, double tol, double enough, long most) {
        whole();
        const double *least = members(floor, "floor"), *scale = members(size, "size");
        const void* datum = data(b, "b");
        void *from = data(x, "x"), *to = other(x_out, from);
        require(most >= 1, "`most` must be at least 1");
        std::vector<double> state[3], history;
        const double* given[3] = {members(norms, "norms"), members(rz, "rz"), members(rp, "rp")};
        for (int k = 0; k < 3; k++) state[k].assign(given[k], given[k] + run_.batch);
        long steps = 0;
        alone_([&] {
            for (bool on = true; on && steps < most; steps++) {
                const std::vector<double> before = state[0];
                cycles_->advance(zero && steps == 0 ? nullptr : from, to, datum, least, state[0].data(),
                                 state[1].data(), state[2].data());
                std::swap(from, to);
                history.insert(history.end(), state[0].begin(), state[0].end());
                on = false;
                for (long m = 0; m < run_.batch; m++) on |= !(state[0][m] == 0 || state[0][m] / scale[m] <= tol);
                for (long m = 0; on && m < run_.batch; m++)
                    on = state[0][m] == 0 || state[0][m] / scale[m] <= tol || state[0][m] <= enough * before[m];
            }
        });
        return nb::make_tuple(numpy_of(history.data(), {static_cast<std::size_t>(steps), std::size_t(run_.batch)}),
                              numpy_of(state[1]), numpy_of(state[2]));
    }
    nb::object full_multigrid(Output x_out, Input b, bool measured) {
        whole();
        const void* datum = data(b, "b");
        void* to = other(x_out, nullptr);
        return numbers([&](double* norms) { cycles_->full_multigrid(to, datum, measured, norms); });
    }
    nb::object cycle(std::optional<Input> x, Output x_out, Input b, bool measured) {
        whole();
        const void *from = data(x, "x"), *datum = data(b, "b");
        void* to = other(x_out, from);
        return numbers([&](double* norms) { cycles_->cycle(from, to, datum, measured, norms); });
    }
    nb::object norms(std::optional<Input> x, Input b) {
        const void *from = data(x, "x"), *datum = data(b, "b");
        return numbers([&](double* norms) { cycles_->norms(from, datum, norms); });
    }

    nb::object dot(Input v, Input w) {
        const void *a = field(v, 0, "v"), *d = field(w, 0, "w");
        return numbers([&](double* sums) { cycles_->dot(a, d, sums); });
    }
    nb::object turn(Input z, Input p, Numbers beta, Output p_out) {
        const void *a = field(z, 0, "z"), *d = field(p, 0, "p");
        const double* each = members(beta, "beta");
        void* to = field(p_out, 0, "p_out");
        require(to != d, "`p_out` must be other memory than `p`");
        return numbers([&](double* energy) { cycles_->turn(a, d, each, to, energy); });
    }
    nb::object move(std::optional<Input> x, std::optional<Input> p, Numbers alpha, std::optional<Output> x_out, Input b,
                    Numbers scale, std::optional<Output> r) {
        const double *each = members(alpha, "alpha"), *factors = members(scale, "scale");
        const void *from = data(x, "x"), *along = field(p, 0, "p"), *datum = data(b, "b");
        void *to = x_out ? other(*x_out, from) : nullptr, *rest = r ? field(*r, 0, "r") : nullptr;
        std::vector<double> rp(run_.batch);
        nb::object squares = numbers([&](double* squares) {
            cycles_->move(from, along, each, to, datum, factors, rest, squares, rp.data());
        });
        return nb::make_tuple(squares, numpy_of(rp));
    }

    void smooth(int l, std::optional<Input> u, Input f, Output out, bool up) {
        const void *a = field(u, l, "u"), *d = field(f, l, "f");
        void* to = field(out, l, "out");
        alone_([&] { cycles_->smooth(known(l), a, d, to, up); });
    }
    void down(int l, std::optional<Input> u, Input f, Output out, Output f_c) {
        const void *a = field(u, l, "u"), *d = field(f, l, "f");
        void *to = field(out, l, "out"), *to_c = field(f_c, l + 1, "f_c");
        alone_([&] { cycles_->down(known(l), a, d, to, to_c); });
    }
    void up(int l, Input u, Input f, Input e, Output out) {
        const void *a = field(u, l, "u"), *d = field(f, l, "f"), *c = field(e, l + 1, "e");
        void* to = field(out, l, "out");
        alone_([&] { cycles_->up(known(l), a, d, c, to); });
    }
    void restrict_(int l, Input f, Output f_c, std::optional<Input> u) {
        const void *d = field(f, l, "f"), *a = field(u, l, "u");
        void* to = field(f_c, l + 1, "f_c");
        alone_([&] { cycles_->restrict_(known(l), a, d, to); });
    }
    void interpolate(int l, Input e, Output out, std::optional<Input> u) {
        const void *c = field(e, l + 1, "e"), *a = field(u, l, "u");
        void* to = field(out, l, "out");
        alone_([&] { cycles_->interpolate(known(l), a, c, to); });
    }
    void solve(Input f, Output u) {
        whole();
        const int l = static_cast<int>(meshes_.size()) - 1;
        const void* d = field(f, l, "f");
        void* to = field(u, l, "u");
        alone_([&] { cycles_->solve(d, to); });
    }

  private:
    template <class Do>
    void visit(const Do& what) const {
        of_singles_ ? what(*of_singles_) : what(*of_doubles_);
    }

    void whole() const { require(!one_, "a level alone has no cycles"); }

    int known(int l) const {
        if (l < 0 || l >= static_cast<int>(meshes_.size()) - 1) throw std::invalid_argument("there is no such level");
        return l;
    }

    template <class Array>
    auto data(const Array& v, const char* name) const -> decltype(v.data()) {
        const Mesh& mesh = meshes_[0];
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
        const int count = static_cast<int>(meshes_.size()) - 1;
        if (l < 0 || l > count) throw std::invalid_argument("there is no such level");
        const Mesh& mesh = meshes_[l];
        check(v, of_singles_ != nullptr, {run_.batch, mesh.rows(), mesh.stride()}, name);
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
    nb::object numbers(const Work& work) {
        std::vector<double> each(run_.batch);
        alone_([&] { work(each.data()); });
        return numpy_of(each);
    }

    std::shared_ptr<const StencilHierarchy<float>> of_singles_;
    std::shared_ptr<const StencilHierarchy<double>> of_doubles_;
    std::vector<Mesh> meshes_;
    StencilRun run_;
    bool one_ = false;  // whether the hierarchy is a level alone
    std::unique_ptr<StencilCycles> cycles_;
    Turns alone_;
};

}  // namespace

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
        .def("precondition", &BlackBox::precondition)
        .def("direct", &BlackBox::direct, "beta"_a)
        .def("step", &BlackBox::step, "alpha"_a, "x"_a.none(), "x_out"_a, "b"_a)
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
