// The binding of the levels of an operator with convection.
#include <nanobind/stl/array.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "machines.h"
#include "python_arrays.h"

using namespace nanobind::literals;

namespace mgnet {
namespace {

// The place of axis k among (planes, rows, columns).
int place(std::size_t k, std::size_t dims) { return dims == 3 ? static_cast<int>(k) : k + 1 == dims ? 2 : 0; }

class Levels {
  public:
    using Couplings = std::vector<std::pair<std::vector<int>, Doubles>>;

    Levels(const std::string& machine, bool single, const std::vector<long>& shape, const std::vector<bool>& wraps,
           const std::vector<long>& first, const Doubles& diagonal, const Couplings& couplings, const Doubles& excess,
           const Couplings& own, const std::vector<int>& lines, int down, int up, int gamma, long coarsest, double eliminated, long shortest,
           int threads)
        : single_(single) {
        const std::size_t dims = shape.size();
        require(dims >= 1 && dims <= 3, "`shape` must have 1, 2 or 3 axes");
        require(wraps.size() == dims && first.size() == dims, "`wraps` and `first` must have one entry an axis of `shape`");
        StreamProblem to;
        for (std::size_t k = 0; k < dims; k++) {
            const int d = place(k, dims);
            require(shape[k] > 0 && (first[k] == 0 || first[k] == 1), "axes must have unknowns, and `first` be 0 or 1");
            to.mesh.n[d] = shape[k], to.mesh.wraps[d] = wraps[k], to.first[d] = first[k], to.axes[d] = true;
        }
        for (int axis : lines) {
            require(axis >= 0 && axis < static_cast<int>(dims), "`lines` must be axes of `shape`");
            to.smoothed[place(axis, dims)] = true;
        }
        require(diagonal.ndim() == dims + 1, "`diagonal` must be (members, *shape)");
        to.members = static_cast<long>(diagonal.shape(0));
        to.s[CENTRE] = field(diagonal, shape, to.members);
        to.excess = field(excess, shape, to.members);
        for (const auto& [offset, s] : couplings) to.s[number(offset, dims)] = field(s, shape, to.members);
        for (const auto& [offset, a] : own) to.a[number(offset, dims)] = field(a, shape, to.members);
        require(down >= 0 && up >= 0 && gamma >= 0 && coarsest > 0 && threads > 0, "counts must not be negative");
        to.down = down, to.up = up, to.gamma = gamma, to.coarsest = coarsest;
        to.eliminated = eliminated, to.shortest = shortest, to.threads = threads;
        const StreamKernels& kernels = *machine_called(machine).streams;
        mesh_ = to.mesh, members_ = to.members;
        nb::gil_scoped_release release;
        levels_ = single ? kernels.make32(to) : kernels.make64(to);
    }

    std::vector<long> sizes() const { return levels_->sizes(); }

    void cycle(const Input& b, const Output& out) {
        const long batch = looked_at(b, out, "b");
        alone_([&] { levels_->cycle(b.data(), out.data(), batch); });
    }
    void apply(const Input& u, const Output& out) {
        const long batch = looked_at(u, out, "u");
        alone_([&] { levels_->apply(u.data(), out.data(), batch); });
    }

  private:
    long looked_at(const Input& v, const Output& out, const char* name) const {
        const long batch = v.ndim() > 0 ? static_cast<long>(v.shape(0)) : 0;
        require(members_ == 1 || batch == members_, "there must be as many members as of the couplings");
        const Shape shape{batch, mesh_.n[0], mesh_.n[1], mesh_.n[2]};
        check(v, single_, shape, name), check(out, single_, shape, "out");
        return batch;
    }

    static int number(const std::vector<int>& offset, std::size_t dims) {
        require(offset.size() == dims, "offsets must have one step an axis of `shape`");
        int step[3] = {};
        for (std::size_t k = 0; k < dims; k++) {
            require(offset[k] >= -1 && offset[k] <= 1, "steps must be -1, 0 or 1");
            step[place(k, dims)] = offset[k];
        }
        return number_of(step[0], step[1], step[2]);
    }

    static const double* field(const Doubles& v, const std::vector<long>& shape, long members) {
        bool same = v.ndim() == shape.size() + 1 && static_cast<long>(v.shape(0)) == members;
        for (std::size_t k = 0; same && k < shape.size(); k++) same = static_cast<long>(v.shape(k + 1)) == shape[k];
        require(same, "couplings must be (members, *shape)");
        return v.data();
    }

    const bool single_;
    StreamMesh mesh_;
    long members_ = 1;
    std::unique_ptr<Streams> levels_;
    Turns alone_;
};

}  // namespace

void bind_streams(nb::module_& m) {
    nb::class_<Levels>(m, "Streams")
        .def(nb::init<const std::string&, bool, const std::vector<long>&, const std::vector<bool>&, const std::vector<long>&,
                      const Doubles&, const Levels::Couplings&, const Doubles&, const Levels::Couplings&,
                      const std::vector<int>&, int, int, int, long, double, long, int>(),
             "machine"_a, "single"_a, "shape"_a, "wraps"_a, "first"_a, "diagonal"_a, "couplings"_a, "excess"_a, "own"_a,
             "lines"_a, "down"_a, "up"_a, "gamma"_a, "coarsest"_a, "eliminated"_a,
             "shortest"_a, "threads"_a)
        .def("sizes", &Levels::sizes, "unknowns of each grid, the finest first")
        .def("cycle", &Levels::cycle, "b"_a, "out"_a)
        .def("apply", &Levels::apply, "u"_a, "out"_a);
}

}  // namespace mgnet
