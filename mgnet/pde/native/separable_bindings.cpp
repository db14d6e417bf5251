// The binding of separation of variables.
#include <nanobind/stl/string.h>

#include <algorithm>

#include "machines.h"
#include "pool.h"
#include "python_arrays.h"

using namespace nanobind::literals;

namespace mgnet {
namespace {

class Separable {
  public:
    Separable(const std::string& machine, const Doubles& m, const Doubles& s, const Doubles& one, const Doubles& two,
              int threads) {
        require(m.ndim() == 3 && m.size() > 0, "`m` must have three axes, and numbers");
        SeparableProblem problem{};
        for (int d = 0; d < 3; d++) problem.n[d] = n_[d] = static_cast<long>(m.shape(d));
        require(threads >= 1, "`threads` must be at least 1");
        check(s, false, {n_[0] - 1}, "s");
        if (one.is_valid()) check(one, false, {n_[1], n_[1]}, "one"), problem.modes[0] = one.data();
        if (two.is_valid()) check(two, false, {n_[2], n_[2]}, "two"), problem.modes[1] = two.data();
        problem.m = m.data(), problem.s = s.data();
        problem.threads = std::min(threads, MOST_WORKERS);
        const SeparableKernels& kernels = *machine_called(machine).separable;
        nb::gil_scoped_release release;
        solver_ = kernels.make(problem);
    }

    void solve(const Input& f, const Output& u) {
        const long batch = f.ndim() > 0 ? static_cast<long>(f.shape(0)) : 0;
        check(f, false, {batch, n_[0], n_[1], n_[2]}, "f"), check(u, false, {batch, n_[0], n_[1], n_[2]}, "u");
        require(f.data() != u.data(), "`u` must be other memory than `f`");
        const auto* from = static_cast<const double*>(f.data());
        auto* to = static_cast<double*>(u.data());
        alone_([&] { solver_->solve(from, to, batch); });
    }

  private:
    long n_[3];
    std::unique_ptr<SeparableSolver> solver_;
    Turns alone_;
};

}  // namespace

void bind_separable(nb::module_& m) {
    nb::class_<Separable>(m, "Separable")
        .def(nb::init<const std::string&, const Doubles&, const Doubles&, const Doubles&, const Doubles&, int>(),
             "machine"_a, "m"_a, "s"_a, "one"_a.none(), "two"_a.none(), "threads"_a)
        .def("solve", &Separable::solve, "f"_a, "u"_a);
}

}  // namespace mgnet
