// Levels of an operator with convection, and their cycles, for one instruction set: see blackbox/unsymmetric.py, their
// readable twin. It is compiled once for each: MGNET_SET is its name, MGNET_BYTES how wide its vectors are.
#include "streams.h"

#include <deque>

#include "minimal_residuals.h"
#include "stream_elimination.h"
#include "stream_level.h"
#include "stream_normal.h"

namespace mgnet {
namespace {

struct Here {};

template <class T>
class Engine : public Streams {
    using X = Vectors<T, MGNET_BYTES, Here>;
    using Doubles = Vectors<double, MGNET_BYTES, Here>;
    using Elimination = StreamElimination<Doubles>;
    using Level = StreamLevel<X, Doubles>;

  public:
    explicit Engine(const StreamProblem& problem) : problem_(problem) {
        choose_smoother();
        StreamHalving halving;
        const bool levels = halve(each(problem.tame->of), halving);
        const long arrays = !levels ? 4 : turn_ ? 20 : 24;  // about as many as levels take
        for (std::size_t m = 0; m < problem.A->of.size(); m++)
            members_.emplace_back(problem.A->of[m], problem.tame->of[m], arrays * problem.mesh.bytes<T>(), problem.threads);
        if (levels) add(halving, turn_);
        alone_ = turn_;
        for (Member& member : members_) alone_ = alone_ && member.levels[0].smooths_alone();
        if (!alone_ && turn_ && BandOrder(problem.tame->of[0]).work() <= problem.eliminated) {
            turn_ = false, plan_.clear();  // all unknowns are eliminated before there are many cycles
            for (Member& member : members_) member.levels.clear();
        }
        if (!alone_) coarsen();
        for (Member& member : members_) member.f_0 = member.datum(0), member.u_0 = member.iterate(0);
        for (std::size_t m = 0; problem.opposite && m < members_.size(); m++)
            members_[m].further = std::make_unique<StreamNormal<X>>(members_[m].A, problem.A->of[m], problem.opposite->of[m],
                                                                    problem.omegas, problem.threads, members_[m].arena);
        one_ = members_.size() == 1;
        if (!std::is_same_v<T, double>) problem_.A.reset(), problem_.tame.reset(), problem_.opposite.reset();  // floats are copies
    }

    std::vector<long> sizes() const override {
        std::vector<long> to{problem_.mesh.unknowns()};
        for (const StreamHalving& halving : plan_)
            if (!alone_) to.push_back(halving.coarse.unknowns());
        return to;
    }

    bool in_turn() const override { return turn_; }
    bool alone() const override { return alone_; }

    double weakest() const override {
        double least = 1;
        for (const Member& member : members_)
            if (member.coarsest) least = std::min(least, member.coarsest->weakest());
        return least;
    }

    void apply(const void* u, void* out, long batch) override {
        const long size = problem_.mesh.unknowns();
        widen(batch);
        each_of(batch, [&](long k) {
            member_of(k).A(static_cast<const T*>(u) + k * size, static_cast<T*>(out) + k * size);
        });
    }

    void cycle(const void* b, void* out, long batch) override {
        const StreamMesh& mesh = problem_.mesh;
        const long n = mesh.n[2];
        widen(batch);
        each_of(batch, [&](long k) {
            Member& member = member_of(k);
            const T* from = static_cast<const T*>(b) + k * mesh.unknowns();
            T *to = static_cast<T*>(out) + k * mesh.unknowns(), *f = member.f_0, *u = member.u_0;
            for (long r = 0; r < mesh.rows(); r++) std::copy(from + r * n, from + (r + 1) * n, f + mesh.begin(r));
            cycle(member, f, u);
            for (long r = 0; r < mesh.rows(); r++) std::copy(u + mesh.begin(r), u + mesh.begin(r) + n, to + r * n);
        });
    }

    void solve(const void* b, void* out, long batch, double* norms) override {
        const long size = problem_.mesh.unknowns();
        cycle(b, out, batch);
        each_of(batch, [&](long k) {
            std::vector<T> Au(size);
            const T *from = static_cast<const T*>(b) + k * size, *to = static_cast<const T*>(out) + k * size;
            member_of(k).A(to, Au.data());
            double whole = 0, left = 0;
            for (long i = 0; i < size; i++) {
                const double f = from[i], r = f - Au[i];
                whole += f * f, left += r * r;
            }
            norms[2 * k] = std::sqrt(whole), norms[2 * k + 1] = std::sqrt(left);
        });
    }

    void begin(const void* x, const void* b, long batch, double* norms) override {
        widen(batch);
        while (static_cast<long>(steps_.size()) < batch)
            steps_.emplace_back(problem_.mesh, member_of(static_cast<long>(steps_.size())).A, problem_.threads);
        each_of(batch, [&](long k) { steps_[k].begin(x ? of(x, k) : nullptr, of(b, k)), norms[k] = steps_[k].norm(); });
    }

    void step(const void* b, long batch, const bool* there, double* norms) override {
        each_of(batch, [&](long k) {
            there[k] ? steps_[k].stay() : steps_[k].step(of(b, k), [&](T* f, T* u) { cycle(member_of(k), f, u); });
            norms[k] = steps_[k].norm();
        });
    }

    void finish(const void* b, void* x, long batch, double* norms) override {
        each_of(batch, [&](long k) { norms[k] = steps_[k].finish(of(b, k), of(x, k)); });
    }

    void before(const void* b, void* x, long batch, double* norms) override {
        each_of(batch, [&](long k) { norms[k] = steps_[k].before(of(b, k), x ? of(x, k) : nullptr); });
    }

  private:
    struct Member {
        Arena arena;
        std::deque<Arena> passing;  // what levels of floats do not keep of operators
        StreamOperator fine;        // of the coarsest grid that there is
        StreamApply<X> A;
        std::deque<Level> levels;
        std::shared_ptr<const Elimination> coarsest;
        std::vector<double> room;                  // of elimination
        std::unique_ptr<StreamNormal<X>> further;  // steps after a cycle, if any
        T *u_c = nullptr, *f_c = nullptr;  // of the coarsest grid
        T *u_0 = nullptr, *f_0 = nullptr;  // of the finest one

        Member(const StreamOperator& A, const StreamOperator& tame, std::size_t bytes, int threads)
            : fine(tame), A(A, threads, held(bytes)) {}

        // the same with workspaces of its own
        explicit Member(const Member& of) : fine(of.fine), A(of.A, arena), coarsest(of.coarsest) {
            for (const Level& level : of.levels) levels.emplace_back(level, arena);
            if (coarsest) take_coarsest();
            if (of.further) further = std::make_unique<StreamNormal<X>>(*of.further, A, arena);
            f_0 = datum(0), u_0 = iterate(0);
        }

        Arena& held(std::size_t bytes) {
            arena.reserve(bytes);
            return arena;
        }

        void add(const StreamProblem& problem, const StreamHalving& halving, bool in_turn) {
            levels.emplace_back(problem, fine, halving, in_turn, arena);
        }

        void coarsen() {
            if (!std::is_same_v<T, double>) passing.emplace_back();
            fine = levels.back().coarser(fine, arena, passing.empty() ? arena : passing.back());
            if (passing.size() > 1) passing.pop_front();
        }

        void end() {
            coarsest = std::make_shared<Elimination>(fine);
            take_coarsest();
            passing.clear();
        }
        void take_coarsest() {
            u_c = fine.mesh.template take<T>(arena), f_c = fine.mesh.template take<T>(arena);
        }

        // f and u of the finest grid are there
        void at(T* f, T* u) {
            if (!levels.empty()) return levels[0].at(f, u);
            f_c = f, u_c = u;
        }

        T* datum(std::size_t l) { return l < levels.size() ? levels[l].f() : f_c; }
        T* iterate(std::size_t l) { return l < levels.size() ? levels[l].u() : u_c; }

        // for the datum of grid l, from its iterate or from zero
        void cycle(std::size_t l, int gamma, bool zero) {
            if (l == levels.size()) return (*coarsest)(f_c, u_c, room);
            levels[l].smooth_down(zero, true);
            levels[l].restrict_residual(datum(l + 1));
            cycle(l + 1, gamma, true);
            if (l + 1 < levels.size())
                for (int again = gamma == 0 ? 1 : gamma - 1; again > 0; again--) cycle(l + 1, gamma == 0 ? 1 : gamma, false);
            levels[l].correct(iterate(l + 1));
            levels[l].smooth_up();
        }
    };

    // Whether a batch keeps all threads busy with a right-hand side each, which wait for each other less than at rows.
    bool apart(long batch) const { return problem_.threads > 1 && batch >= problem_.threads; }

    // Workspaces for as many threads as work on right-hand sides of one operator at the same time.
    void widen(long batch) {
        while (one_ && apart(batch) && static_cast<long>(members_.size()) < problem_.threads)
            members_.emplace_back(members_[0]), steps_.clear();
    }

    // work(k) for each of the batch, several at once where that pays
    template <class Work>
    void each_of(long batch, const Work& work) {
        const long lanes = !apart(batch) ? 1 : one_ ? static_cast<long>(members_.size()) : batch;
        share_out(lanes, problem_.threads, [&](long lane) {
            for (long k = lane; k < batch; k += lanes) work(k);
        });
    }
    template <class Work>
    void each_member(const Work& work) {
        each_of(static_cast<long>(members_.size()), [&](long k) { work(members_[k]); });
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

    void add(const StreamHalving& halving, bool in_turn) {
        plan_.push_back(halving);
        each_member([&](Member& member) { member.add(problem_, halving, in_turn); });
    }

    void coarsen() {
        StreamHalving halving;
        for (bool more = !plan_.empty(); more;) {
            Operators all;
            bool here = turn_;
            each_member([](Member& member) { member.coarsen(); });
            for (Member& member : members_) all.push_back(&member.fine);
            more = halve(all, halving);
            for (const StreamOperator* A : all) here = here && more && smooths_in_turn<Doubles>(*A, false);
            if (more) add(halving, here);
        }
        each_member([](Member& member) { member.end(); });
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

    // u from zero for the datum f, padded rows of the finest grid
    void cycle(Member& member, T* f, T* u) {
        member.at(f, u);
        alone_ ? member.levels[0].smooth() : member.cycle(0, problem_.gamma, true);
        if (member.further) (*member.further)(f, u);
    }

    const T* of(const void* v, long k) const { return static_cast<const T*>(v) + k * problem_.mesh.unknowns(); }
    T* of(void* v, long k) const { return static_cast<T*>(v) + k * problem_.mesh.unknowns(); }

    Member& member_of(long k) { return members_[k % static_cast<long>(members_.size())]; }

    StreamProblem problem_;
    std::vector<StreamHalving> plan_;
    bool turn_ = false, alone_ = false;
    bool one_ = false;  // operator for all right-hand sides; then members are its workspaces
    std::deque<Member> members_;
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
