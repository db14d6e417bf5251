// Levels of an operator with convection, and their cycles, for one instruction set: see blackbox/unsymmetric.py, their
// readable twin. It is compiled once for each: MGNET_SET is its name, MGNET_BYTES how wide its vectors are.
#include "streams.h"

#include <deque>

#include "minimal_residuals.h"
#include "stream_hierarchy.h"
#include "stream_turns.h"

namespace mgnet {
namespace {

struct Here {};

template <class T>
class Engine : public Streams {
    using X = Vectors<T, MGNET_BYTES, Here>;
    using Doubles = Vectors<double, MGNET_BYTES, Here>;
    using Member = StreamHierarchy<X, Doubles>;
    using Space = StreamSpace<T>;

  public:
    explicit Engine(const StreamProblem& problem) : problem_(problem), meshes_{problem.mesh} {
        const std::vector<StreamOperator>& tame = problem.tame->of;
        choose_smoother();
        StreamHalving halving;
        bool levels = halve(each(tame), halving);
        const std::size_t arrays = !levels ? 1 : turn_ ? 15 : 20, bytes = arrays * problem.mesh.bytes<T>();  // about
        for (std::size_t m = 0; m < tame.size(); m++) members_.emplace_back(problem_, m, bytes);
        if (levels) each_member([&](Member& member, long, Space&) { member.add_lines(turn_); });
        alone_ = turn_ && smooth_alone();
        if (!alone_ && turn_ && BandOrder(tame[0]).work() <= problem.eliminated) {
            turn_ = levels = false;  // all unknowns are eliminated before there are many cycles
            for (Member& member : members_) member.clear();
        }
        if (!alone_ && levels) coarsen(halving);
        if (!alone_) each_member([](Member& member, long, Space&) { member.eliminate(); });
        if (problem.opposite) each_member([&](Member& member, long m, Space&) { member.follow(m); });
        if (!std::is_same_v<T, double>) problem_.A.reset(), problem_.tame.reset(), problem_.opposite.reset();  // floats are copies
    }

    std::vector<long> sizes() const override {
        std::vector<long> to;
        for (const StreamMesh& mesh : meshes_) to.push_back(mesh.unknowns());
        return to;
    }

    bool in_turn() const override { return turn_; }
    bool alone() const override { return alone_; }

    double weakest() const override {
        double least = 1;
        for (const Member& member : members_) least = std::min(least, member.weakest());
        return least;
    }

    void apply(const void* u, void* out, long batch) override {
        each_of(batch, [&](long k, Space& space) { member_of(k).A()(of(u, k), space.grids[0].u, of(out, k)); });
    }

    void cycle(const void* b, void* out, long batch) override {
        each_of(batch, [&](long k, Space& space) { cycle(k, of(b, k), of(out, k), space); });
    }

    void solve(const void* b, void* out, long batch, double* norms) override {
        const StreamMesh& mesh = problem_.mesh;
        const long n = mesh.n[2];
        each_of(batch, [&](long k, Space& space) {
            const auto& [u, f, Au] = space.grids[0];
            cycle(k, of(b, k), of(out, k), space);
            double whole = 0, left = 0;
            for (long r = 0; r < mesh.rows(); r++) {
                const auto row = member_of(k).A().row(r, u);
                for (long j = 0; j < n; j += X::W) X::put(Au + j, row.at(j), n - j);
                for (long j = 0; j < n; j++) {
                    const double b = f[mesh.begin(r) + j], r_j = b - Au[j];
                    whole += b * b, left += r_j * r_j;
                }
            }
            norms[2 * k] = std::sqrt(whole), norms[2 * k + 1] = std::sqrt(left);
        });
    }

    void begin(const void* x, const void* b, long batch, double* norms) override {
        while (static_cast<long>(steps_.size()) < batch)
            steps_.emplace_back(problem_.mesh, member_of(static_cast<long>(steps_.size())).A(), problem_.threads);
        each_of(batch, [&](long k, Space&) { steps_[k].begin(x ? of(x, k) : nullptr, of(b, k)), norms[k] = steps_[k].norm(); });
    }

    void step(const void* b, long batch, const bool* there, double* norms) override {
        each_of(batch, [&](long k, Space& space) {
            there[k] ? steps_[k].stay() : steps_[k].step(of(b, k), [&](T* f, T* u) { member_of(k).cycle(f, u, space); });
            norms[k] = steps_[k].norm();
        });
    }

    void finish(const void* b, void* x, long batch, double* norms) override {
        each_of(batch, [&](long k, Space& space) { norms[k] = steps_[k].finish(of(b, k), of(x, k), space.grids[0].u); });
    }

    void before(const void* b, void* x, long batch, double* norms) override {
        each_of(batch, [&](long k, Space& space) { norms[k] = steps_[k].before(of(b, k), x ? of(x, k) : nullptr, space.grids[0].u); });
    }

  private:
    // work(k, space) for each of the batch: several at once, or one after the other with all threads on each. Threads
    // with one each wait for each other less than at rows.
    template <class Work>
    void each_of(long batch, const Work& work) {
        const int threads = std::min(problem_.threads, MOST_WORKERS), crew = batch >= threads ? threads : 1;
        while (static_cast<int>(spaces_.size()) < crew) spaces_.emplace_back();
        for (Space& space : spaces_) space.fit(meshes_);
        run(batch, crew, [&](long k, int who) { work(k, spaces_[who]); });
    }
    template <class Work>
    void each_member(const Work& work) {
        each_of(static_cast<long>(members_.size()), [&](long m, Space& space) { work(members_[m], m, space); });
    }

    // one from zero, of (n0, n1, n2)
    void cycle(long k, const T* b, T* out, Space& space) {
        const StreamMesh& mesh = problem_.mesh;
        const long n = mesh.n[2];
        const auto& [u, f, r] = space.grids[0];
        for (long row = 0; row < mesh.rows(); row++) std::copy_n(b + row * n, n, f + mesh.begin(row));
        member_of(k).cycle(f, u, space);
        for (long row = 0; row < mesh.rows(); row++) std::copy_n(u + mesh.begin(row), n, out + row * n);
    }

    using Operators = std::vector<const StreamOperator*>;

    static Operators each(const std::vector<StreamOperator>& of) {
        Operators to;
        for (const StreamOperator& A : of) to.push_back(&A);
        return to;
    }

    // Whether rows are smoothed in turn. They take two sweeps up, in and out: what a correction leaves at inflows is
    // carried on to the other end then.
    void choose_smoother() {
        const std::vector<StreamOperator>& all = problem_.tame->of;
        constexpr double SOLVES = 5;  // as many cycles as are saved where elimination solves
        const bool worth = all[0].mesh.unknowns() > problem_.coarsest && BandOrder(all[0]).work() > SOLVES * problem_.in_turn;
        turn_ = worth && problem_.up >= 2;
        for (const StreamOperator& A : all) turn_ = turn_ && smooths_in_turn<Doubles>(A, true);
    }

    bool smooth_alone() {
        std::vector<char> alone(members_.size());
        each_member([&](Member& member, long m, Space& space) { alone[m] = member.smooths_alone(space); });
        return std::all_of(alone.begin(), alone.end(), [](char one) { return one; });
    }

    void coarsen(StreamHalving halving) {
        for (bool more = true; more;) {
            Operators all;
            bool here = turn_;
            each_member([&](Member& member, long, Space&) { member.coarsen(halving); });
            meshes_.push_back(halving.coarse);
            for (Member& member : members_) all.push_back(&member.coarsest());
            more = halve(all, halving);
            for (const StreamOperator* A : all) here = here && more && smooths_in_turn<Doubles>(*A, false);
            if (more) each_member([&](Member& member, long, Space&) { member.add_lines(here); });
        }
    }

    // Which axes of the members' grid are halved; whether any is.
    bool halve(const Operators& all, StreamHalving& to) const {
        const StreamMesh& mesh = all[0]->mesh;
        if (mesh.unknowns() <= problem_.coarsest) return false;
        if (BandOrder(*all[0]).work() <= (turn_ ? problem_.in_turn : problem_.eliminated)) return false;
        const int apart = layered<Doubles>(all);
        bool any = false, others = false;
        for (int d = 0; d < 3; d++) {
            to.first[d] = problem_.first[d];
            to.halved[d] = problem_.axes[d] && mesh.n[d] >= (mesh.wraps[d] ? problem_.shortest : 2);
            any |= to.halved[d], others |= to.halved[d] && d != apart;
        }
        if (others && apart >= 0) to.halved[apart] = false;
        to.coarse = mesh;
        for (int d = 0; d < 3; d++)
            if (to.halved[d]) to.coarse.n[d] = (mesh.n[d] - to.first[d] + 1) / 2;
        return any;
    }

    const T* of(const void* v, long k) const { return static_cast<const T*>(v) + k * problem_.mesh.unknowns(); }
    T* of(void* v, long k) const { return static_cast<T*>(v) + k * problem_.mesh.unknowns(); }

    Member& member_of(long k) { return members_[k % static_cast<long>(members_.size())]; }

    StreamProblem problem_;
    std::vector<StreamMesh> meshes_;  // of each grid
    bool turn_ = false, alone_ = false;
    std::deque<Member> members_;
    std::deque<Space> spaces_;  // of each thread
    std::deque<MinimalResiduals<X>> steps_;  // of each right-hand side
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
