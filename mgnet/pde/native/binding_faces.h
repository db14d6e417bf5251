// What Python has of a grid's conductances: arrays on faces, checked, and what is asked of them.
#pragma once
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "fields.h"
#include "operators.h"
#include "pool.h"
#include "python_arrays.h"

namespace mgnet {

// A grid of one to three axes, as the finest of a hierarchy.
inline Mesh mesh_of(const std::vector<long>& shape, const std::vector<bool>& wraps) {
    const std::size_t dims = shape.size();
    require(dims >= 1 && dims <= 3, "`shape` must have 1, 2 or 3 axes");
    require(wraps.size() == dims, "`wraps` must have one entry an axis of `shape`");
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
        of_.members = members_of(kept_, dims);
        take_shares(shares, shape, of_.share);
        for (std::size_t d = 0; d < dims; d++) of_.k[place(d, dims)] = field(k[d], shape, static_cast<int>(d), "k");
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
        return nb::make_tuple(seen.contrast, seen.variation, seen.dominance, seen.lone, numpy_of(seen.constant),
                              numpy_of(seen.wave));
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

}  // namespace mgnet
