// The binding of whole arrays; see arrays.h, conductances.h and components.h.
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "components.h"
#include "conductances.h"
#include "python_arrays.h"

using namespace nanobind::literals;

namespace mgnet {
namespace {

// Their dtypes choose among overloads, nothing is converted.
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
    WholeArrays<T>::product(v.data(), w.data(), out.data(), batch, n, threads);
}

template <class T>
void shift_by(Written<T> v, Doubles by, int threads) {
    require(by.size() > 0 && v.size() % by.size() == 0, "`v` must have a multiple of the numbers of `by`");
    const long batch = static_cast<long>(by.size()), n = static_cast<long>(v.size()) / batch;
    nb::gil_scoped_release release;
    if (n > 0) WholeArrays<T>::shift(v.data(), by.data(), batch, n, threads);
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
        WholeArrays<T>::weighted_sums(v.data(), weights, n, batch, sums.data(), threads);
    }
    return pairs_of(sums);
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
    WholeArrays<T>::difference_products(v.data(), u.data(), out.data(), pre, static_cast<long>(v.shape(axis)), post, wraps, threads);
}

template <class T>
nb::object changes_of(Numbers<T> u, Numbers<T> v, long batch, int threads) {
    require(u.size() == v.size(), "`v` must have as many numbers as `u`");
    require(batch > 0 && u.size() % batch == 0, "`batch` must divide the numbers of `u`");
    std::vector<double> squares(2 * batch);
    {
        nb::gil_scoped_release release;
        WholeArrays<T>::changes(u.data(), v.data(), batch, static_cast<long>(u.size()) / batch, squares.data(), threads);
    }
    return pairs_of(squares);
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
void bind_numbers(nb::module_& m) {
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

void bind_arrays(nb::module_& m) {
    bind_numbers<float>(m), bind_numbers<double>(m);
    m.def("components", &components_of, "inside"_a.noconvert(), "opens"_a.noconvert(), "wraps"_a,
          "label"_a.noconvert());
}

}  // namespace mgnet
