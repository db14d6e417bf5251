// Levels of an operator with convection, and their cycles, for one instruction set: see blackbox/unsymmetric.py, their
// readable twin. It is compiled once for each: MGNET_SET is its name, MGNET_BYTES how wide its vectors are.
#include "streams.h"

#include <deque>

#include "stream_apply.h"
#include "stream_elimination.h"
#include "stream_level.h"

namespace mgnet {
namespace {

struct Here {};

template <class T>
class Engine : public Streams {
    using X = Vectors<T, MGNET_BYTES, Here>;
    using Elimination = StreamElimination<Vectors<double, MGNET_BYTES, Here>>;
    using Level = StreamLevel<X>;

  public:
    explicit Engine(const StreamProblem& problem) : problem_(problem) {
        for (long m = 0; m < problem.members; m++) members_.emplace_back(problem, m);
    }

    std::vector<long> sizes() const override {
        std::vector<long> to;
        for (const Level& level : members_[0].levels) to.push_back(level.mesh().unknowns());
        to.push_back(members_[0].coarsest->mesh().unknowns());
        return to;
    }

    double weakest() const override {
        double least = 1;
        for (const Member& member : members_) least = std::min(least, member.coarsest->weakest());
        return least;
    }

    void apply(const void* u, void* out, long batch) override {
        const long size = problem_.mesh.unknowns();
        for (long k = 0; k < batch; k++)
            member_of(k).A(static_cast<const T*>(u) + k * size, static_cast<T*>(out) + k * size);
    }

    void cycle(const void* b, void* out, long batch) override {
        const StreamMesh& mesh = problem_.mesh;
        const long n = mesh.n[2];
        for (long k = 0; k < batch; k++) {
            Member& member = member_of(k);
            const T* from = static_cast<const T*>(b) + k * mesh.unknowns();
            T *to = static_cast<T*>(out) + k * mesh.unknowns(), *f = member.datum(0), *u = member.iterate(0);
            for (long r = 0; r < mesh.rows(); r++) std::copy(from + r * n, from + (r + 1) * n, f + mesh.begin(r));
            member.cycle(0, problem_.gamma, true);
            for (long r = 0; r < mesh.rows(); r++) std::copy(u + mesh.begin(r), u + mesh.begin(r) + n, to + r * n);
        }
    }

    void solve(const void* b, void* out, long batch, double* norms) override {
        const long size = problem_.mesh.unknowns();
        cycle(b, out, batch);
        std::vector<T> Au(size);
        for (long k = 0; k < batch; k++) {
            const T *from = static_cast<const T*>(b) + k * size, *to = static_cast<const T*>(out) + k * size;
            member_of(k).A(to, Au.data());
            double whole = 0, left = 0;
            for (long i = 0; i < size; i++) {
                const double f = from[i], r = f - Au[i];
                whole += f * f, left += r * r;
            }
            norms[2 * k] = std::sqrt(whole), norms[2 * k + 1] = std::sqrt(left);
        }
    }

  private:
    struct Member {
        StreamApply<X> A;
        std::deque<Level> levels;
        std::unique_ptr<Elimination> coarsest;
        std::vector<T> u_c, f_c;

        Member(const StreamProblem& problem, long member) : A(problem, member) {
            StreamOperator fine;
            fine.mesh = problem.mesh;
            const long size = problem.mesh.unknowns(), n = problem.mesh.n[2];
            for (int o = 0; o < 27; o++) {
                if (!problem.s[o]) continue;
                fine.s[o].assign(fine.mesh.size(), 0.0);
                const double* from = problem.s[o] + member * size;
                for (long r = 0; r < fine.mesh.rows(); r++) std::copy(from + r * n, from + (r + 1) * n, &fine.s[o][fine.mesh.begin(r)]);
            }
            fine.m.assign(fine.mesh.size(), 0.0);
            for (long r = 0; r < fine.mesh.rows(); r++)
                std::copy_n(problem.sums + member * size + r * n, n, &fine.m[fine.mesh.begin(r)]);
            StreamHalving halving;
            while (!small(problem, fine) && halve(problem, fine.mesh, halving)) {
                const StreamTransfer Q(fine, halving, true, problem.threads), P(fine, halving, false, problem.threads);
                const StreamProduct product(fine, halving, Q, P);
                levels.emplace_back(problem, fine, halving, product, Q, P);
                fine = product(problem.threads);
            }
            coarsest = std::make_unique<Elimination>(fine);
            u_c.assign(fine.mesh.size(), T(0)), f_c = u_c;
        }

        static bool small(const StreamProblem& problem, const StreamOperator& A) {
            return A.mesh.unknowns() <= problem.coarsest || BandOrder(A).work() <= problem.eliminated;
        }

        static bool halve(const StreamProblem& problem, const StreamMesh& mesh, StreamHalving& to) {
            bool any = false;
            to.coarse = mesh;
            for (int d = 0; d < 3; d++) {
                to.first[d] = problem.first[d];
                to.halved[d] = problem.axes[d] && mesh.n[d] >= (mesh.wraps[d] ? problem.shortest : 2);
                if (to.halved[d]) to.coarse.n[d] = (mesh.n[d] - to.first[d] + 1) / 2, any = true;
            }
            return any;
        }

        T* datum(std::size_t l) { return l < levels.size() ? levels[l].f() : f_c.data(); }
        T* iterate(std::size_t l) { return l < levels.size() ? levels[l].u() : u_c.data(); }

        // for the datum of grid l, from its iterate or from zero
        void cycle(std::size_t l, int gamma, bool zero) {
            if (l == levels.size()) return (*coarsest)(f_c.data(), u_c.data());
            levels[l].smooth_down(zero);
            levels[l].restrict_residual(datum(l + 1));
            cycle(l + 1, gamma, true);
            if (l + 1 < levels.size())
                for (int again = gamma == 0 ? 1 : gamma - 1; again > 0; again--) cycle(l + 1, gamma == 0 ? 1 : gamma, false);
            levels[l].correct(iterate(l + 1));
            levels[l].smooth_up();
        }
    };

    Member& member_of(long k) { return members_[members_.size() == 1 ? 0 : k]; }

    const StreamProblem problem_;
    std::deque<Member> members_;
};

template <class T>
std::unique_ptr<Streams> make(const StreamProblem& problem) {
    return std::make_unique<Engine<T>>(problem);
}

}  // namespace

namespace MGNET_SET {
extern const StreamKernels streams = {make<float>, make<double>};
}

}  // namespace mgnet
