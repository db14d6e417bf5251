// A u in the data's precision: differences of u times couplings, and what c and the ends hold u by.
#pragma once
#include "stream_smoother.h"
#include "streams.h"

namespace mgnet {

template <class X>
class StreamApply {
    using T = typename X::T;
    using V = typename X::V;
    static constexpr long W = X::W;

  public:
    StreamApply(const StreamOperator& A, int threads, Arena& arena)
        : mesh_(A.mesh), threads_(threads), m_(numbers_of<T>(A.m, mesh_, threads, arena)),
          couplings_(couplings_of<T>(A, threads, arena)) {}

    // A u at the numbers of one row of padded rows, whose ghosts are there
    struct Row {
        const T *s[26], *beside[26], *here, *m;
        int count = 0;
        V at(long j) const {
            const V v = X::load(here + j);
            V sum = X::load(m + j) * v;
            for (int k = 0; k < count; k++) sum += X::load(s[k] + j) * (v - X::load(beside[k] + j));
            return sum;
        }
    };
    Row row(long r, const T* u) const {
        const long begin = mesh_.begin(r);
        Row to;
        to.here = u + begin, to.m = m_ + begin;
        for (const auto& c : couplings_) {
            const long other = mesh_.row(r, c.step[0], c.step[1]);
            if (other < 0) continue;
            to.s[to.count] = c.s + begin, to.beside[to.count++] = u + mesh_.begin(other) + c.step[2];
        }
        return to;
    }

    // u, (n0, n1, n2), in padded rows
    void pad(const T* u, T* to) const {
        const long n = mesh_.n[2];
        share_out(mesh_.rows(), threads_, [&](long r) {
            std::copy_n(u + r * n, n, to + mesh_.begin(r)), mesh_.close(to + mesh_.begin(r));
        });
    }

    // u, out (n0, n1, n2); room : padded rows
    void operator()(const T* u, T* room, T* out) const {
        const long n = mesh_.n[2];
        pad(u, room);
        share_out(mesh_.rows(), threads_, [&](long r) {
            const Row each = row(r, room);
            for (long j = 0; j < n; j += W) X::put(out + r * n + j, each.at(j), n - j);
        });
    }

  private:
    const StreamMesh mesh_;
    const int threads_;
    T* const m_;
    const std::vector<StreamCoupling<T>> couplings_;
};

}  // namespace mgnet
