// Arrays on a grid as they come from Python, of any strides, and without the axes along which they do not change.
#pragma once
#include "conductances.h"
#include "python_arrays.h"

namespace mgnet {

// The place of axis k among (planes, rows, columns).
inline int place(std::size_t k, std::size_t dims) { return dims == 3 ? static_cast<int>(k) : k + 1 == dims ? 2 : 0; }

// (members, *grid) or broadcastable to it, with one number more along the axes that are `longer`, which are there in full.
inline Field field_of(const Input& v, const std::vector<long>& shape, const std::vector<bool>& longer, long members,
                      const std::string& name) {
    Field to{v.data(), v.dtype() == nb::dtype<float>(), {}};
    require(to.single || v.dtype() == nb::dtype<double>(), "`" + name + "` must be float32 or float64");
    require(v.device_type() == nb::device::cpu::value, "`" + name + "` must be on the CPU");
    const std::size_t dims = shape.size();
    require(v.ndim() <= dims + 1, "`" + name + "` must be (members, *grid)");
    for (std::size_t back = 1; back <= v.ndim(); back++) {  // from the last axis on
        const std::size_t at = v.ndim() - back;
        const int d = static_cast<int>(dims) - static_cast<int>(back);
        const bool own = d >= 0 && longer[d];
        const long n = static_cast<long>(v.shape(at)), wanted = d < 0 ? members : shape[d] + own;
        if (n != wanted && (n != 1 || own))
            throw std::invalid_argument("`" + name + "` must broadcast to (members, *grid), with one number more along "
                                        "its own axis: " + std::to_string(wanted) + ", not " + std::to_string(n));
        if (n > 1) to.step[d < 0 ? 0 : 1 + place(d, dims)] = v.stride(at);
    }
    for (std::size_t d = 0; d < dims; d++)
        require(!longer[d] || v.ndim() + d >= dims, "`" + name + "` must have its own axis in full");
    return to;
}

}  // namespace mgnet
