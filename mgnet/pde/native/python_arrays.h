// Arrays as they come from Python, looked at before a kernel sees them, and numbers on their way back.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "require.h"

namespace mgnet {

namespace nb = nanobind;
using Input = nb::ndarray<nb::ro>;
using Output = nb::ndarray<>;
using Doubles = nb::ndarray<const double, nb::c_contig, nb::device::cpu>;
using Longs = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Shape = std::vector<long>;

inline std::string text(const Shape& shape) {
    std::string to = "(";
    for (std::size_t k = 0; k < shape.size(); k++) to += (k ? ", " : "") + std::to_string(shape[k]);
    return to + (shape.size() == 1 ? ",)" : ")");
}

// A contiguous array of that precision and shape on the CPU.
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

// Callers take turns, and let Python go on meanwhile.
class Turns {
  public:
    template <class Work>
    void operator()(const Work& work) {
        nb::gil_scoped_release release;
        std::lock_guard<std::mutex> hold(lock_);
        work();
    }

  private:
    std::mutex lock_;
};

inline nb::object numpy_of(const double* v, std::initializer_list<std::size_t> shape) {
    std::size_t size = 1;
    for (std::size_t n : shape) size *= n;
    auto copy = std::make_unique<double[]>(size);
    for (std::size_t k = 0; k < size; k++) copy[k] = v[k];
    double* data = copy.release();
    nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<double*>(p); });
    return nb::cast(nb::ndarray<nb::numpy, double>(data, shape.size(), shape.begin(), owner));
}
inline nb::object numpy_of(const std::vector<double>& v) { return numpy_of(v.data(), {v.size()}); }
inline nb::object pairs_of(const std::vector<double>& v) { return numpy_of(v.data(), {v.size() / 2, 2}); }

}  // namespace mgnet
