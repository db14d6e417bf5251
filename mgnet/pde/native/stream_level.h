// One grid of an operator with convection: its lines, its residual, and the way to the next coarser grid and back.
#pragma once
#include "stream_set_up.h"
#include "stream_smoother.h"
#include "streams.h"

namespace mgnet {

template <class X>
inline typename X::V least(typename X::V a, typename X::V b) {
    return X::where(a < b, a, b);
}

// Whether Gauss-Seidel by rows in turn smooths: couplings that are negative, which it would add up against the flow, are
// none, or few on coarse grids; nowhere do others than those along the rows hold unknowns together from both sides; and
// no other axis is closed, where what flows meets itself.
template <class X>
bool smooths_in_turn(const StreamOperator& A, bool finest) {
    using V = typename X::V;
    constexpr double ALIKE = 4, LITTLE = 0.05, FEW = 1e-3, NEGATIVE = 0.25;
    const StreamMesh& mesh = A.mesh;
    if ((mesh.wraps[0] && mesh.n[0] > 1) || (mesh.wraps[1] && mesh.n[1] > 1)) return false;
    V negative = {}, across = {};
    for (long r = 0; r < mesh.rows(); r++) {
        const long here = mesh.begin(r);
        const double *own[6] = {}, *back[6] = {}, *all[26];
        int count = 0;
        for (int o = 0; o < 27; o++)
            if (o != CENTRE && A.s[o]) all[count++] = A.s[o] + here;
        for (int k = 0; k < 6; k++) {
            const int side = k % 2 ? 1 : -1, o = number_of(k / 2 == 0 ? side : 0, k / 2 == 1 ? side : 0, k / 2 == 2 ? side : 0);
            const long other = A.s[o] ? mesh.row(r, step_of(o, 0), step_of(o, 1)) : -1;
            if (other >= 0) own[k] = A.s[o] + here, back[k] = A.s[26 - o] + mesh.begin(other) + step_of(o, 2);
        }
        for (long j = 0; j < mesh.n[2]; j += X::W) {
            const auto those = X::below(mesh.n[2] - j);  // of the vector that belong to the row
            const V d = X::where(those, X::load(A.s[CENTRE] + here + j), V{});
            const V inverse = X::where(d > V{}, 1 / X::where(d > V{}, d, X::splat(1)), V{});
            for (int k = 0; k < count; k++) negative -= least<X>(X::load(all[k] + j), V{}) * inverse;
            V both[3] = {};
            for (int k = 0; k < 6; k++)
                if (own[k]) both[k / 2] += least<X>(X::load(own[k] + j), X::load(back[k] + j));
            V most = both[2] * ALIKE, few = d * LITTLE;
            most = X::where(most > few, most, few);
            for (int d = 0; d < 2; d++) across += X::where((both[d] > most) & those, X::splat(1), V{});
        }
    }
    return X::sum(negative) <= (finest ? 0 : NEGATIVE * mesh.unknowns()) && X::sum(across) <= FEW * mesh.unknowns();
}

// The mean share of what couples unknowns along each axis in what does along the axis where most does.
template <class X>
void add_shares(const StreamOperator& A, double to[3]) {
    using V = typename X::V;
    const StreamMesh& mesh = A.mesh;
    V sums[3] = {};
    for (long r = 0; r < mesh.rows(); r++)
        for (long j = 0; j < mesh.n[2]; j += X::W) {
            const auto those = X::below(mesh.n[2] - j);
            V along[3] = {};
            for (int o = 0; o < 27; o++) {
                if (o == CENTRE || !A.s[o]) continue;
                const V s = X::load(A.s[o] + mesh.begin(r) + j), size = X::where(s < V{}, -s, s);
                for (int d = 0; d < 3; d++)
                    if (step_of(o, d)) along[d] += size;
            }
            const V less = least<X>(-along[0], least<X>(-along[1], -along[2]));
            const V inverse = X::where((less < V{}) & those, -1 / X::where(less < V{}, less, X::splat(-1)), V{});
            for (int d = 0; d < 3; d++) sums[d] += along[d] * inverse;
        }
    for (int d = 0; d < 3; d++) to[d] = std::max(to[d], X::sum(sums[d]) / mesh.unknowns());
}

// The only axis in three dimensions along which next to nothing couples any member's unknowns, or -1: layers across it
// are problems of their own.
template <class X>
int layered(const std::vector<const StreamOperator*>& all) {
    constexpr double LAYERED = 0.05;
    const StreamMesh& mesh = all[0]->mesh;
    if (std::min({mesh.n[0], mesh.n[1], mesh.n[2]}) == 1) return -1;
    double most[3] = {};
    int apart = -1, count = 0;
    for (const StreamOperator* A : all) add_shares<X>(*A, most);
    for (int d = 0; d < 3; d++)
        if (most[d] < LAYERED) apart = d, count++;
    return count == 1 ? apart : -1;
}

template <class X, class Doubles>
class StreamLevel {
    using T = typename X::T;
    using V = typename X::V;
    static constexpr long W = X::W;
    using Transfer = StreamTransfer<Doubles>;
    using Product = StreamProduct<Doubles>;

  public:
    // in_turn : whether rows are smoothed in turn, or lines along all axes by colours
    StreamLevel(const StreamProblem& problem, const StreamOperator& A, const StreamHalving& halving, bool in_turn, Arena& arena)
        : mesh_(A.mesh), halving_(halving), down_(problem.down), up_(problem.up), threads_(problem.threads), in_turn_(in_turn), transposed_(problem.transposed),
          u_(mesh_.take<T>(arena)), f_(mesh_.take<T>(arena)), r_(mesh_.take<T>(arena)),
          D_(numbers_of<T>(A.s[CENTRE], mesh_, threads_, arena)), couplings_(couplings_of<T>(A, threads_, arena)),
          smoother_(mesh_, couplings_, threads_, arena) {
        for (int d = 0; d < 3; d++)
            if (in_turn ? d == 2 : problem.smoothed[d]) lines_.push_back(StreamLines<T>::of(A, d, threads_, arena));
    }
    StreamLevel(const StreamLevel& of, Arena& arena)
        : mesh_(of.mesh_), halving_(of.halving_), down_(of.down_), up_(of.up_), threads_(of.threads_), in_turn_(of.in_turn_), transposed_(of.transposed_),
          u_(mesh_.take<T>(arena)), f_(mesh_.take<T>(arena)), r_(mesh_.take<T>(arena)), D_(of.D_), couplings_(of.couplings_),
          lines_(of.lines_), weights_(of.weights_), smoother_(of.smoother_, arena) {}
    StreamLevel(StreamLevel&&) = delete;

    // A_c, and what takes residuals to its grid and corrections back
    StreamOperator coarser(const StreamOperator& A, Arena& arena, Arena& of_product) {
        Arena passing;
        passing.reserve(2 * Transfer::arrays(halving_) * mesh_.bytes<double>());
        const Transfer Q(A, halving_, transposed_ ? 0.5 : 0.0, threads_, passing);
        const Transfer P(A, halving_, transposed_ ? 1.0 : 0.5, threads_, passing);
        const Product product(A, halving_, Q, P, transposed_);
        for (int delta = 0; delta < 27; delta++) {
            bool possible = true;
            for (int d = 0; d < 3; d++) possible &= !step_of(delta, d) || halving_.halved[d];
            if (!possible) continue;
            const StreamMesh& coarse = halving_.coarse;
            const Weights w{delta, coarse.take<T>(arena), coarse.take<T>(arena)};
            share_out(coarse.rows(), threads_, [&](long R) {
                product.weights(Q, R, delta, w.q + coarse.begin(R)), product.weights(P, R, delta, w.p + coarse.begin(R));
                coarse.close(w.p + coarse.begin(R));
            });
            weights_.push_back(w);
        }
        return product(threads_, of_product);
    }

    const StreamMesh& mesh() const { return mesh_; }
    T* u() { return u_; }
    T* f() { return f_; }
    void at(T* f, T* u) { f_ = f, u_ = u; }

    // zero : from zero;   left : whether the residual is asked for next
    void smooth_down(bool zero, bool left) {
        if (zero) std::fill(u_, u_ + mesh_.size(), T(0));
        for (int sweep = 0; sweep < down_; sweep++) {
            if (in_turn_) {
                T* const to = left && sweep == down_ - 1 ? r_ : nullptr;
                smoother_.sweep(lines_[0], {mesh_, sweep % 2 == 1, sweep % 2 == 0}, f_, u_, to);
                continue;
            }
            for (const auto& lines : lines_)
                for (int k = 0; k < 27; k++) solve(lines, k);
        }
    }
    void smooth_up() {
        for (int sweep = 0; sweep < up_; sweep++) {
            if (in_turn_) {
                smoother_.sweep(lines_[0], {mesh_, sweep % 2 == 0, sweep % 2 == 0}, f_, u_, nullptr);
                continue;
            }
            for (auto lines = lines_.rbegin(); lines != lines_.rend(); ++lines)
                for (int k = 26; k >= 0; k--) solve(*lines, k);
        }
    }

    void smooth() { smooth_down(true, false), smooth_up(); }

    // Whether sweeps down and up leave little of residuals: of noise, and of what they leave of it.
    bool smooths_alone() {
        constexpr double ALONE = 0.25;
        constexpr int TIMES = 3;
        std::uint32_t noise = 1;
        for (long r = 0; r < mesh_.rows(); r++)
            for (long j = 0; j < mesh_.n[2]; j++) {
                noise = noise * 1664525u + 1013904223u;
                f_[mesh_.begin(r) + j] = static_cast<T>(noise / 4294967296.0 - 0.5);
            }
        for (int k = 0; k < TIMES; k++) {
            smooth();
            if (!(residual() <= ALONE)) return false;
            for (long r = 0; r < mesh_.rows(); r++) std::copy_n(r_ + mesh_.begin(r), mesh_.n[2], f_ + mesh_.begin(r));
        }
        return true;
    }

    // r = f - A u; returns ||r|| / ||f||
    double residual() {
        std::vector<double> squares(2 * mesh_.rows());  // of each row's residuals, and of its data
        share_out(mesh_.rows(), threads_, [&](long r) { residual<true>(r, &squares[2 * r]); });
        double left = 0, whole = 0;
        for (long r = 0; r < mesh_.rows(); r++) left += squares[2 * r], whole += squares[2 * r + 1];
        return whole > 0 ? std::sqrt(left / whole) : 0.0;
    }

    // f_c = Q^T (f - A u), after ``smooth_down``
    void restrict_residual(T* f_c) {
        const bool there = in_turn_ && down_ > 0;  // from the last sweep
        if (!there || mesh_.wraps[2])
            share_out(mesh_.rows(), threads_, [&](long r) { there ? mesh_.close(r_ + mesh_.begin(r)) : residual<false>(r, nullptr); });
        const StreamMesh& coarse = halving_.coarse;
        const long step = halving_.halved[2] ? 2 : 1;
        share_out(coarse.rows(), threads_, [&](long R) {
            const T *q[27], *from[27];
            int count = 0;
            for (const Weights& w : weights_) {
                const long r = beside(R, w.delta);
                if (r < 0) continue;
                q[count] = w.q + coarse.begin(R);
                from[count++] = r_ + mesh_.begin(r) + halving_.fine_of(0, 2) + step_of(w.delta, 2);
            }
            for (long J = 0; J < coarse.n[2]; J += W) {
                V sum = {};
                for (int k = 0; k < count; k++) sum += X::load(q[k] + J) * strided<X>(from[k] + J * step, step);
                X::put(f_c + coarse.begin(R) + J, sum, coarse.n[2] - J);
            }
        });
    }

    // u += P u_c
    void correct(const T* u_c) {
        share_out(mesh_.rows(), threads_, [&](long r) {
            T* const to = u_ + mesh_.begin(r);
            Part parts[3];  // of the unknowns before coarse ones along the row, at them, and behind
            for (const Weights& w : weights_) {
                const long R = coarse_row(r, w.delta);
                if (R < 0) continue;
                Part& part = parts[step_of(w.delta, 2) + 1];
                part.p[part.count] = w.p + halving_.coarse.begin(R), part.u[part.count++] = u_c + halving_.coarse.begin(R);
            }
            halving_.halved[2] ? spread(parts, to) : add(parts[1], to);
            mesh_.close(to);
        });
    }

  private:
    struct Weights {
        int delta;
        T *q, *p;
    };
    struct Part {
        const T *p[9], *u[9];
        int count = 0;
        V at(long J) const {
            V sum = {};
            for (int k = 0; k < count; k++) sum += X::load(p[k] + J) * X::load(u[k] + J);
            return sum;
        }
        T one(long J) const {
            T sum = 0;
            for (int k = 0; k < count; k++) sum += p[k][J] * u[k][J];
            return sum;
        }
    };

    void add(const Part& part, T* to) const {
        for (long j = 0; j < mesh_.n[2]; j += W) X::put(to + j, X::load(to + j) + part.at(j), mesh_.n[2] - j);
    }

    // a coarse unknown's and that between it and the next one
    void spread(const Part parts[3], T* to) const {
        const long n = mesh_.n[2], first = halving_.first[2];
        if (first == 1) to[0] += parts[0].one(0) + parts[2].one(-1);
        for (long J = 0; J < halving_.coarse.n[2]; J += W) {
            const V at = parts[1].at(J), behind = parts[2].at(J) + parts[0].at(J + 1);
            T* const here = to + first + 2 * J;
            const V low = X::load(here) + X::merge_low(at, behind), high = X::load(here + W) + X::merge_high(at, behind);
            const long left = n - first - 2 * J;
            X::put(here, low, left);
            if (left > W) X::put(here + W, high, left - W);
        }
    }

    void solve(const StreamLines<T>& lines, int k) {
        int colour[3] = {k / 9, k / 3 % 3, k % 3};
        for (int d = 0; d < 3; d++)
            if (d == lines.axis ? colour[d] > 0 : colour[d] >= std::min<long>(mesh_.colours(d), mesh_.n[d])) return;
        smoother_.solve(lines, colour, f_, u_);
    }

    template <bool Measured>
    void residual(long r, double* squares) {
        const long n = mesh_.n[2], at = mesh_.begin(r);
        const T *s[26], *v[26];
        int count = 0;
        for (const auto& c : couplings_) {
            const long other = mesh_.row(r, c.step[0], c.step[1]);
            if (other >= 0) s[count] = c.s + at, v[count++] = u_ + mesh_.begin(other) + c.step[2];
        }
        V left = {}, whole = {};
        for (long j = 0; j < n; j += W) {
            const V f = X::load(f_ + at + j);
            V sum = f - X::load(D_ + at + j) * X::load(u_ + at + j);
            for (int k = 0; k < count; k++) sum += X::load(s[k] + j) * X::load(v[k] + j);
            X::store(r_ + at + j, sum);
            if constexpr (Measured) sum = X::first(sum, n - j), left += sum * sum, whole += f * f;
        }
        if constexpr (Measured) squares[0] = X::sum(left), squares[1] = X::sum(whole);
        mesh_.close(r_ + at);
    }

    // the fine row delta beside a coarse one, or -1
    long beside(long R, int delta) const {
        const long a = mesh_.inside(halving_.fine_of(R / halving_.coarse.n[1], 0) + step_of(delta, 0), 0);
        const long b = mesh_.inside(halving_.fine_of(R % halving_.coarse.n[1], 1) + step_of(delta, 1), 1);
        return a < 0 || b < 0 ? -1 : a * mesh_.n[1] + b;
    }

    // the coarse row that fine row r is delta beside, or -1
    long coarse_row(long r, int delta) const {
        long I[2];
        for (int d = 0; d < 2; d++) {
            const long i = d == 0 ? r / mesh_.n[1] : r % mesh_.n[1], c = mesh_.inside(i - step_of(delta, d), d);
            if (c < 0 || !halving_.is_coarse(c, d) || (step_of(delta, d) && halving_.is_coarse(i, d))) return -1;
            I[d] = halving_.coarse_of(c, d);
        }
        return I[0] * halving_.coarse.n[1] + I[1];
    }

    const StreamMesh mesh_;
    const StreamHalving halving_;
    const int down_, up_, threads_;
    const bool in_turn_, transposed_;
    T *u_, *f_, *const r_, *const D_;
    const std::vector<StreamCoupling<T>> couplings_;
    std::vector<StreamLines<T>> lines_;
    std::vector<Weights> weights_;
    StreamSmoother<X> smoother_;
};

}  // namespace mgnet
