// The binding of mailboxes: memory that processes share, and arrays of bytes.
#include <nanobind/stl/function.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <type_traits>

#include "mailbox.h"
#include "python_arrays.h"

using namespace nanobind::literals;

namespace mgnet {
namespace {

// Bytes as they lie, never a copy that was converted.
template <class Array>
auto bytes(const Array& v) {
    const bool line = v.ndim() == 1 && v.device_type() == nb::device::cpu::value;
    require(line && v.dtype() == nb::dtype<std::uint8_t>() && (v.size() < 2 || v.stride(0) == 1),
            "messages must be contiguous uint8 arrays of one axis on the CPU");
    using Char = std::conditional_t<std::is_same_v<Array, Input>, const char, char>;
    return static_cast<Char*>(v.data());
}

class Boxes {
  public:
    Boxes(const Output& memory, int rank, int count)
        : memory_(memory), rank_(rank), count_(count), boxes_(bytes(memory), rank, count) {
        require(count > 0 && rank >= 0 && rank < count, "`rank` must be of one of `count` processes");
        require(memory.size() >= Mailboxes::size(count), "`memory` is too small for so many processes");
        const bool aligned = reinterpret_cast<std::uintptr_t>(memory.data()) % Mailboxes::LINE == 0;
        require(aligned, "`memory` must begin at a multiple of 64 bytes");
    }

    void exchange(const std::vector<std::tuple<int, int, Input>>& out, const std::vector<std::tuple<int, int, Output>>& in,
                  double patience, const nb::callable& waiting) const {
        std::vector<Message> messages;
        for (const auto& [to, whom, v] : out)
            messages.push_back({rank_, to, kind(whom), bytes(v), nullptr, v.size()});
        for (const auto& [from, whom, v] : in) {
            require(from >= 0 && from < count_ && from != rank_, "`from` must be another process");
            messages.push_back({from, rank_, kind(whom), nullptr, bytes(v), v.size()});
        }
        nb::gil_scoped_release release;
        boxes_.exchange(messages, patience, [&](int whom) {
            nb::gil_scoped_acquire acquire;
            waiting(whom);
        });
    }

  private:
    static Whom kind(int whom) {
        require(whom >= 0 && whom < KINDS, "`whom` must be 2 d (before, along axis d), 2 d + 1 (after) or 6 (everyone)");
        return static_cast<Whom>(whom);
    }

    Output memory_;
    const int rank_, count_;
    Mailboxes boxes_;
};

}  // namespace

void bind_mailboxes(nb::module_& m) {
    m.def("mailbox_bytes", &Mailboxes::size, "count"_a);
    nb::class_<Boxes>(m, "Mailboxes")
        .def(nb::init<const Output&, int, int>(), "memory"_a, "rank"_a, "count"_a)
        .def("exchange", &Boxes::exchange, "out"_a, "into"_a, "patience"_a, "waiting"_a);
}

}  // namespace mgnet
