// Arrays on a grid as they come from Python, of any strides, and without the axes along which they do not change.
#pragma once
#include <algorithm>

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

// How many members there are: 1, unless some array has an axis of them.
inline long members_of(const std::vector<Input>& arrays, std::size_t dims) {
    long members = 1;
    for (const Input& v : arrays)
        if (v.ndim() == dims + 1) members = std::max(members, static_cast<long>(v.shape(0)));
    return members;
}

// The unknowns' shares of a cell along each axis, 1 along those that a grid lacks.
inline void take_shares(const std::vector<Doubles>& shares, const std::vector<long>& shape, std::vector<double>* to) {
    for (int d = 0; d < 3; d++) to[d].assign(1, 1.0);
    for (std::size_t k = 0; k < shape.size(); k++) {
        require(static_cast<long>(shares[k].size()) == shape[k], "`shares` must have one for each unknown of an axis");
        to[place(k, shape.size())].assign(shares[k].data(), shares[k].data() + shape[k]);
    }
}

}  // namespace mgnet
