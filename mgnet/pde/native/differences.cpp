#include "differences.h"

#include "parts.h"

namespace mgnet {
namespace {

struct Here {};
using X = Vectors<double, 16, Here>;
using V = X::V;

// The rows of A u, one after the other, for one worker.
class WideRows {
  public:
    WideRows(const WideOperator& A, const Field& u)
        : A_(A), u_(u), n_(A.axes[2].n), rows_(A.axes[0].columns + A.axes[1].columns + 8), weights_(rows_.size()),
          room_((u.single || u.step[3] != 1 ? rows_.size() + 1 : 0) * n_), room_c_(n_) {}

    void operator()(long member, const long at[2], double* out) {
        const double* here = row(member, at[0], at[1], rows_.size());
        across(member, at, here, out);
        if (A_.c.v) {
            const double* c = A_.c.row(member, at[0], at[1], n_, room_c_.data());
            each<X>(out, n_, [&](auto load) { return load(out) + load(c) * load(here); });
        }
        along(here, out);
        const double w = A_.axes[0].share[at[0]] * A_.axes[1].share[at[1]], *share = A_.axes[2].share.data();
        each<X>(out, n_, [&](auto load) { return load(out) * (w * load(share)); });
    }

  private:
    const double* row(long member, long i, long j, std::size_t number) {
        return u_.row(member, i, j, n_, room_.empty() ? nullptr : room_.data() + number * n_);
    }

    // out = (L_0 + L_1) u
    void across(long member, const long at[2], const double* here, double* out) {
        std::size_t count = 0;
        double e = 0;
        for (int d = 0; d < 2; d++)
            if (A_.axes[d].n > 1)
                e += A_.axes[d].row(at[d], [&](long j, double weight) {
                    rows_[count] = d == 0 ? row(member, j, at[1], count) : row(member, at[0], j, count);
                    weights_[count++] = weight;
                });
        each<X>(out, n_, [&](auto load) {
            const V u = load(here);
            V sum = e * u;
            for (std::size_t k = 0; k < count; k++) sum += weights_[k] * (load(rows_[k]) - u);
            return sum;
        });
    }

    // out += L_2 u
    void along(const double* here, double* out) const {
        const Differences& L = A_.axes[2];
        const long low = least(most(L.rows, 2), n_), high = most(low, n_ - low);
        const double near = L.stencil[0], far = L.stencil[1];
        each<X>(out + low, high - low, [&](auto load) {
            const double* v = here + low;
            const V u = load(v);
            return load(out + low) + near * ((load(v - 1) - u) + (load(v + 1) - u)) +
                   far * ((load(v - 2) - u) + (load(v + 2) - u));
        });
        for (long i = 0; i < n_; i == low - 1 ? i = high : i++) {
            double sum = 0;
            const double e = L.row(i, [&](long j, double weight) { sum += weight * (here[j] - here[i]); });
            out[i] += sum + e * here[i];
        }
    }

    const WideOperator& A_;
    const Field& u_;
    const long n_;
    std::vector<const double*> rows_;  // that a row looks at, and with what weights
    std::vector<double> weights_, room_, room_c_;
};

}  // namespace

void apply(const WideOperator& A, const Field& u, long members, double* out, int threads) {
    const long planes = A.axes[0].n, rows = A.axes[1].n, n = A.axes[2].n;
    in_parts(members * planes * rows, 8 * n, threads, [&](long begin, long end, long) {
        WideRows of(A, u);
        for (long r = begin; r < end; r++) {
            const long at[2] = {r / rows % planes, r % rows};
            of(r / rows / planes, at, out + r * n);
        }
    });
}

}  // namespace mgnet
