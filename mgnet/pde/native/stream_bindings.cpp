// The binding of the levels of an operator with convection.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "coefficients.h"
#include "equations.h"
#include "fields.h"
#include "machines.h"
#include "stream_steps.h"

using namespace nanobind::literals;

namespace mgnet {
namespace {

class Levels {
  public:
    using Arrays = std::vector<Input>;
    using Vector = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

    Levels(const std::string& machine, bool single, const std::vector<long>& shape, const std::vector<bool>& wraps,
           const std::vector<long>& first, const std::vector<Doubles>& shares, const Arrays& back, const Arrays& forth,
           const Arrays& along, const Arrays& across, const std::optional<Input>& c, const std::optional<Input>& held, bool transposed,
           double tame, const std::vector<double>& omegas, const std::vector<int>& lines, int down, int up, int gamma, long coarsest, double eliminated, double in_turn, long shortest,
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
        const Sides sides = sides_of(to.mesh, shape, shares, back, forth, along, across, c, transposed);
        require(down >= 0 && up >= 0 && gamma >= 0 && coarsest > 0 && threads > 0, "counts must not be negative");
        to.down = down, to.up = up, to.gamma = gamma, to.coarsest = coarsest;
        to.transposed = transposed, to.eliminated = eliminated, to.in_turn = in_turn, to.shortest = shortest, to.threads = threads;
        const StreamKernels& kernels = *machine_called(machine).streams;
        mesh_ = to.mesh, members_ = sides.members;
        Sides of_levels = sides, opposite = sides;
        opposite.transposed = !transposed;
        if (held) of_levels.c = field_of(*held, shape, std::vector<bool>(dims, false), members_, "held");
        nb::gil_scoped_release release;
        tamed_ = !is_tame(sides, tame);
        to.A = to.tame = equations_of(sides, 0, threads);
        if (tamed_ || held) to.tame = equations_of(of_levels, tamed_ ? tame : 0, threads);
        if (tamed_) to.opposite = equations_of(opposite, 0, threads), to.omegas = omegas;
        levels_ = single ? kernels.make32(to) : kernels.make64(to);
    }

    std::vector<long> sizes() const { return levels_->sizes(); }
    bool tamed() const { return tamed_; }
    bool in_turn() const { return levels_->in_turn(); }
    bool alone() const { return levels_->alone(); }
    double weakest() const { return levels_->weakest(); }

    void cycle(const Input& b, const Output& out) {
        const long batch = looked_at(b, out, "b");
        alone_([&] { levels_->cycle(b.data(), out.data(), batch); });
    }
    void apply(const Input& u, const Output& out) {
        const long batch = looked_at(u, out, "u");
        alone_([&] { levels_->apply(u.data(), out.data(), batch); });
    }

    // (batch, 2) ||b|| and ||b - A out||, out a cycle for b from zero
    nb::object solve(const Input& b, const Output& out) {
        const long batch = looked_at(b, out, "b");
        std::vector<double> norms(2 * batch);
        alone_([&] { levels_->solve(b.data(), out.data(), batch, norms.data()); });
        return pairs_of(norms);
    }

    // Minimal residuals from x, or from zero: ||b - A x||.
    nb::object begin(const std::optional<Input>& x, const Input& b) {
        const long batch = looked_at(b, x ? *x : b, "b");
        std::vector<double> norms(batch);
        alone_([&] { levels_->begin(x ? x->data() : nullptr, b.data(), batch, norms.data()); });
        return numpy_of(norms);
    }
    // Further steps, and x after the last one: at least one, at most `most`, until all members' norms are down to tol size
    // or one's, above that, is not down to `enough` of the one before. Returns the norms after each step (steps, batch):
    // those of the last x are computed anew.
    nb::object advance(const Input& b, const Output& x, const Vector& norms, const Vector& size, double tol, double enough, long most) {
        const long batch = looked_at(b, x, "b");
        require(static_cast<long>(norms.size()) == batch && static_cast<long>(size.size()) == batch && most >= 1,
                "`norms` and `size` must have one number a member, and `most` be at least 1");
        StepsAhead ahead{size.data(), tol, enough, most};
        std::vector<double> history(norms.data(), norms.data() + batch);
        alone_([&] { advanced(*levels_, b.data(), x.data(), ahead, history); });
        return numpy_of(&history[batch], {history.size() / batch - 1, static_cast<std::size_t>(batch)});
    }
    // the x before the last step
    void before(const Input& b, const Output& x) {
        const long batch = looked_at(b, x, "b");
        std::vector<double> norms(batch);
        alone_([&] { levels_->before(b.data(), x.data(), batch, norms.data()); });
    }

  private:
    template <class Array>
    long looked_at(const Input& v, const Array& out, const char* name) const {
        const long batch = v.ndim() > 0 ? static_cast<long>(v.shape(0)) : 0;
        require(members_ == 1 || batch == members_, "there must be as many members as of the couplings");
        const Shape shape{batch, mesh_.n[0], mesh_.n[1], mesh_.n[2]};
        check(v, single_, shape, name), check(out, single_, shape, "out");
        return batch;
    }

    static Sides sides_of(const StreamMesh& mesh, const std::vector<long>& shape, const std::vector<Doubles>& shares,
                          const Arrays& back, const Arrays& forth, const Arrays& along, const Arrays& across,
                          const std::optional<Input>& c, bool transposed) {
        const std::size_t dims = shape.size();
        require(shares.size() == dims && back.size() == dims && forth.size() == dims,
                "`shares`, `back` and `forth` must have one entry an axis of `shape`");
        for (const Arrays* each : {&along, &across})
            require(each->size() == along.size() && (along.empty() || along.size() == dims * (dims - 1) / 2),
                    "`along` and `across` must have one entry a pair of axes");
        Sides to;
        to.mesh = mesh, to.transposed = transposed;
        for (const Arrays* each : {&back, &forth, &along, &across})
            to.members = std::max(to.members, members_of(*each, dims));
        if (c) to.members = std::max(to.members, members_of({*c}, dims));
        take_shares(shares, shape, to.share);
        for (std::size_t k = 0, pair = 0; k < dims; k++) {
            const int d = place(k, dims);
            std::vector<bool> longer(dims, false);
            longer[k] = true;
            to.back[d] = field_of(back[k], shape, longer, to.members, "back");
            to.forth[d] = field_of(forth[k], shape, longer, to.members, "forth");
            for (std::size_t other = k + 1; other < dims && !along.empty(); other++, pair++) {
                std::vector<bool> both = longer;
                both[other] = true;
                const int third = 3 - d - place(other, dims);
                to.along[third] = field_of(along[pair], shape, both, to.members, "along");
                to.across[third] = field_of(across[pair], shape, both, to.members, "across");
            }
        }
        if (c) to.c = field_of(*c, shape, std::vector<bool>(dims, false), to.members, "c");
        return to;
    }

    const bool single_;
    StreamMesh mesh_;
    long members_ = 1;
    bool tamed_ = false;
    std::unique_ptr<Streams> levels_;
    Turns alone_;
};

// (n0, n1, n2) of a grid's array, axes that it lacks of one number.
template <class T>
Spread<T> spread_of(const nb::ndarray<const T>& v, const std::vector<long>& shape, const std::string& name) {
    Spread<T> to;
    to.v = v.data();
    require(v.ndim() == shape.size() && v.device_type() == nb::device::cpu::value, "`" + name + "` must have the grid's axes");
    for (std::size_t k = 0; k < shape.size(); k++) {
        const long n = static_cast<long>(v.shape(k));
        require(n == 1 || n == shape[k], "`" + name + "` must broadcast to the grid");
        if (n > 1) to.step[place(k, shape.size())] = v.stride(k);
    }
    return to;
}

template <class T>
using Given = nb::ndarray<const T>;
template <class T>
using Made = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

template <class T>
bool flows_of(const Given<T>& k, const Given<T>& v, Made<T> back, Made<T> forth, int axis, bool wraps, double h, bool upwind,
              std::pair<double, double> near, std::pair<double, double> through, int threads) {
    const std::size_t dims = back.ndim();
    require(dims >= 1 && dims <= 3 && forth.ndim() == dims && axis >= 0 && axis < static_cast<int>(dims),
            "`back` and `forth` must have the grid's axes, and `axis` be one");
    Flow flow{{1, 1, 1}, place(axis, dims), wraps, upwind, false, h, {near.first, near.second}, {through.first, through.second}};
    std::vector<long> faces, of_v;
    for (std::size_t d = 0; d < dims; d++) {
        faces.push_back(static_cast<long>(back.shape(d))), flow.faces[place(d, dims)] = faces.back();
        require(static_cast<long>(forth.shape(d)) == faces.back(), "`forth` must have the shape of `back`");
    }
    require(faces[axis] > 1 && v.ndim() == dims, "there must be faces along `axis`");
    of_v = faces;
    flow.at_unknowns = static_cast<long>(v.shape(axis)) == faces[axis] - 1 && v.shape(axis) > 1;
    of_v[axis] -= flow.at_unknowns;
    const Spread<T> of_k = spread_of(k, faces, "k"), on = spread_of(v, of_v, "v");
    nb::gil_scoped_release release;
    return flows(of_k, on, flow, back.data(), forth.data(), threads);
}

template <class T>
bool corners_of(const std::vector<Given<T>>& a, const std::vector<Made<T>>& s, const std::vector<long>& shape,
                const std::vector<bool>& wraps, const std::vector<double>& h, const std::vector<std::pair<double, double>>& held,
                int threads) {
    const std::size_t dims = shape.size();
    require((dims == 2 || dims == 3) && wraps.size() == dims && h.size() == dims && held.size() == dims &&
                a.size() == dims * (dims + 1) / 2 && s.size() == dims * (dims - 1) / 2,
            "there must be two or three axes, and as much of each");
    Corners of{static_cast<int>(dims), {1, 1, 1}, {}, {}, {}};
    std::vector<Spread<T>> entries;
    for (const auto& v : a) {
        Spread<T> as = spread_of(v, shape, "a"), to{as.v, {}};
        for (std::size_t d = 0; d < dims; d++) to.step[d] = as.step[place(d, dims)];
        entries.push_back(to);
    }
    for (std::size_t d = 0; d < dims; d++)
        of.n[d] = shape[d], of.wraps[d] = wraps[d], of.h[d] = h[d], of.held[d][0] = held[d].first, of.held[d][1] = held[d].second;
    std::vector<T*> to;
    for (std::size_t d = 0, pair = 0; d < dims; d++)
        for (std::size_t e = d + 1; e < dims; e++, pair++) {
            require(s[pair].ndim() == dims, "`s` must have the grid's axes");
            for (std::size_t k = 0; k < dims; k++)
                require(static_cast<long>(s[pair].shape(k)) == shape[k] + (k == d || k == e), "`s` must be on the corners");
            to.push_back(s[pair].data());
        }
    nb::gil_scoped_release release;
    return corners(entries, of, to, threads);
}

template <class T>
void bind_coefficients(nb::module_& m) {
    m.def("flows", &flows_of<T>, "k"_a.noconvert(), "v"_a.noconvert(), "back"_a.noconvert(), "forth"_a.noconvert(), "axis"_a,
          "wraps"_a, "h"_a, "upwind"_a, "near"_a, "through"_a, "threads"_a);
    m.def("corners", &corners_of<T>, "a"_a.noconvert(), "s"_a.noconvert(), "shape"_a, "wraps"_a, "h"_a, "held"_a,
          "threads"_a);
}

}  // namespace

void bind_streams(nb::module_& m) {
    bind_coefficients<float>(m), bind_coefficients<double>(m);
    nb::class_<Levels>(m, "Streams")
        .def(nb::init<const std::string&, bool, const std::vector<long>&, const std::vector<bool>&, const std::vector<long>&,
                      const std::vector<Doubles>&, const Levels::Arrays&, const Levels::Arrays&, const Levels::Arrays&,
                      const Levels::Arrays&, const std::optional<Input>&, const std::optional<Input>&, bool, double, const std::vector<double>&,
                      const std::vector<int>&, int, int, int, long, double, double, long, int>(),
             "machine"_a, "single"_a, "shape"_a, "wraps"_a, "first"_a, "shares"_a, "back"_a, "forth"_a, "along"_a, "across"_a,
             "c"_a.none(), "held"_a.none(), "transposed"_a, "tame"_a, "omegas"_a, "lines"_a, "down"_a, "up"_a, "gamma"_a, "coarsest"_a, "eliminated"_a, "in_turn"_a,
             "shortest"_a, "threads"_a)
        .def("sizes", &Levels::sizes, "unknowns of each grid, the finest first")
        .def("tamed", &Levels::tamed, "whether levels have more diffusion than the operator")
        .def("in_turn", &Levels::in_turn, "whether the finest grid's rows are smoothed in turn")
        .def("alone", &Levels::alone, "whether it does without coarser ones, then")
        .def("weakest", &Levels::weakest, "the smallest pivot of the coarsest grid over its diagonal, but for zeros")
        .def("solve", &Levels::solve, "b"_a, "out"_a)
        .def("cycle", &Levels::cycle, "b"_a, "out"_a)
        .def("apply", &Levels::apply, "u"_a, "out"_a)
        .def("begin", &Levels::begin, "x"_a.none(), "b"_a)
        .def("advance", &Levels::advance, "b"_a, "x"_a, "norms"_a, "size"_a, "tol"_a, "enough"_a, "most"_a)
        .def("before", &Levels::before, "b"_a, "x"_a);
}

}  // namespace mgnet
