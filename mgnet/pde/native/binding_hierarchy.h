// What Python has of the set-up of a black-box hierarchy.
#pragma once
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "binding_faces.h"
#include "machines.h"

namespace mgnet {

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
              const std::optional<Doubles>& excess, bool masked, bool jumps, const std::vector<double>& down,
              const std::vector<double>& up, const std::vector<int>& lines, int threads, bool coarse,
              const std::optional<std::vector<bool>>& halved) {
        StencilProblem problem = described(mesh_of(shape, wraps), shape.size(), first, lines, down, up, threads);
        problem.members = diagonal.ndim() > 0 ? static_cast<long>(diagonal.shape(0)) : 0;
        problem.masked = masked, problem.jumps = jumps;
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
              bool jumps, const std::vector<double>& down, const std::vector<double>& up, const std::vector<int>& lines, int threads) {
        StencilProblem problem = described(faces.get().mesh, faces.dims(), first, lines, down, up, threads);
        problem.members = faces.get().members, problem.faces = &faces.get();
        problem.masked = masked, problem.jumps = jumps;
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
        require(l < size(), "there is no such level");
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
            require(!h.solved, "the coarsest grid has its inverse already");
            check(inverse, false, {h.members, h.coarsest.unknowns(), h.coarsest.unknowns()}, "inverse");
            for (std::size_t k = 0; k < inverse.size(); k++)
                h.inverse[k] = static_cast<std::decay_t<decltype(*h.inverse)>>(inverse.data()[k]);
            h.dense.clear(), h.solved = true;
            return 0;
        });
    }

  private:
    static StencilProblem described(const Mesh& mesh, std::size_t dims, const std::vector<long>& first,
                                    const std::vector<int>& lines, const std::vector<double>& down,
                                    const std::vector<double>& up, int threads) {
        require(first.size() == dims, "`first` must have one entry an axis of `shape`");
        StencilProblem to;
        to.dims = static_cast<int>(dims), to.mesh = mesh, to.threads = std::min(threads, MOST_WORKERS);
        to.down = down, to.up = up;
        for (std::size_t k = 0; k < dims; k++) to.first[place(k, dims)] = first[k];
        for (int axis : lines) {
            require(axis >= 0 && axis < static_cast<int>(dims),
                    "`lines` must be axes of `shape`; there is no axis " + std::to_string(axis));
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
        Shape all{members};
        all.insert(all.end(), shape.begin(), shape.end());
        check(v, false, all, name);
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
            require(found >= 0, "the offset of each of `couplings` must be a positive one of 3^d");
            require(!problem.couplings[found], "`couplings` must have one array an offset");
            problem.couplings[found] = field(array, problem.members, shape, "couplings");
        }
        for (std::size_t k = 0; k < dims; k++) {
            int o[3] = {};
            o[place(k, dims)] = 1;
            for (int h = 0; h < problem.mesh.couplings(); h++)
                require(!std::equal(o, o + 3, OFFSETS[problem.mesh.points][h]) || problem.couplings[h],
                        "`couplings` must have one array an axis");
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

}  // namespace mgnet
