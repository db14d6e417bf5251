// Line smoothing by itself, as tests and measurements see it: plain arrays in double, whatever the kernels compute in.
#pragma once
#include <algorithm>

#include "lines.h"

namespace mgnet {

// A unit-diagonal stencil, its couplings (couplings, members, n0, n1, n2), and the axes of the lines.
struct LineProblem {
    Mesh mesh;
    long members = 1, batch = 1;
    std::vector<double> S;
    std::vector<int> lines;
    int threads = 1;
};

class LineSweeps {
  public:
    virtual ~LineSweeps() = default;
    // u and f: (batch, n0, n1, n2); `zero`: the first sweep begins with u = 0 and does not read it
    virtual void run(bool reverse, bool zero, int sweeps, const double* f, double* u) = 0;
};

struct LineMachine {
    const char* name;
    LineSweeps* (*make32)(const LineProblem&);
    LineSweeps* (*make64)(const LineProblem&);
};

template <class X>
class LineEngine final : public LineSweeps {
    using T = typename X::T;

  public:
    explicit LineEngine(const LineProblem& problem) : p_(problem) {
        const Mesh& mesh = p_.mesh;
        const long fields = mesh.couplings() * p_.members;
        T* S = arena_.take<T>(fields * mesh.size());
        for (long k = 0; k < fields; k++) pad(S + k * mesh.size(), p_.S.data() + k * mesh.unknowns());
        StencilLevel<T> level;
        level.fine = mesh, level.S = S, level.lines = p_.lines;
        smoother_ = LineSmoother<X>::make(level, p_.members, p_.threads, arena_);
        u_ = arena_.take<T>(p_.batch * mesh.size()), f_ = arena_.take<T>(p_.batch * mesh.size());
        for (int who = 0; who < p_.threads; who++) spaces_.push_back(arena_.take<T>(smoother_.workspace()));
    }

    void run(bool reverse, bool zero, int sweeps, const double* f, double* u) override {
        const long size = p_.mesh.size(), plain = p_.mesh.unknowns();
        for (long b = 0; b < p_.batch; b++) {
            T *to = u_ + b * size, *datum = f_ + b * size;
            pad(datum, f + b * plain);
            if (zero)
                std::fill(to, to + size, std::numeric_limits<T>::quiet_NaN());
            else
                pad(to, u + b * plain);
            for (int k = 0; k < sweeps; k++)
                smoother_.sweep(reverse, to, datum, b, zero && k == 0, {spaces_.data(), 0, p_.threads});
            unpad(u + b * plain, to);
        }
    }

  private:
    void pad(T* to, const double* from) const {
        const Mesh& mesh = p_.mesh;
        const long n = mesh.n[2], stride = mesh.stride();
        for (long row = 0; row < mesh.rows(); row++) {
            T* at = to + row * stride + LEFT;
            for (long j = 0; j < n; j++) at[j] = static_cast<T>(from[row * n + j]);
            for (long j : {-2L, -1L, n, n + 1}) at[j] = mesh.wraps[2] ? at[(j + 2 * n) % n] : T(0);
        }
    }
    void unpad(double* to, const T* from) const {
        const long n = p_.mesh.n[2];
        for (long row = 0; row < p_.mesh.rows(); row++)
            for (long j = 0; j < n; j++) to[row * n + j] = from[row * p_.mesh.stride() + LEFT + j];
    }

    const LineProblem p_;
    Arena arena_;
    LineSmoother<X> smoother_;
    T *u_, *f_;
    std::vector<T*> spaces_;
};

}  // namespace mgnet
