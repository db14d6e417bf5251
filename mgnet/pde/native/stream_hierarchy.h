// One member's operator and its levels. They do not change once they are made: threads share them.
#pragma once
#include <deque>
#include <optional>

#include "stream_elimination.h"
#include "stream_galerkin.h"
#include "stream_level.h"
#include "stream_normal.h"
#include "stream_transfers.h"

namespace mgnet {

template <class X, class Doubles>
class StreamHierarchy {
    using T = typename X::T;
    using Grid = StreamGrid<T>;
    using Space = StreamSpace<T>;
    using Weights = StreamWeights<Doubles>;
    using Elimination = StreamElimination<Doubles>;

  public:
    // of member m of the problem, which takes about so many bytes without elimination
    StreamHierarchy(const StreamProblem& problem, std::size_t m, std::size_t bytes)
        : problem_(problem), coarsest_(problem.tame->of[m]), A_(problem.A->of[m], problem.threads, held(bytes)) {}

    // What it is made by, grid after grid: lines on the coarsest one that there is so far, a coarser one, and at the end
    // elimination; steps with A itself, if levels are of another operator.
    void add_lines(bool in_turn) { levels_.emplace_back(problem_, coarsest_, in_turn, arena_); }
    void coarsen(const StreamHalving& halving) {
        const int threads = problem_.threads;
        const bool transposed = problem_.transposed;
        Arena passing;
        passing.reserve(2 * Weights::arrays(halving) * coarsest_.mesh.bytes<double>());
        const Weights Q(coarsest_, halving, transposed ? 0.5 : 0.0, threads, passing);
        const Weights P(coarsest_, halving, transposed ? 1.0 : 0.5, threads, passing);
        transfers_.emplace_back(coarsest_.mesh, halving, Q, P, threads, arena_);
        if (!std::is_same_v<T, double>) passing_.emplace_back();
        Arena& to = passing_.empty() ? arena_ : passing_.back();
        coarsest_ = StreamGalerkin<Doubles>(coarsest_, halving, Q, P, transposed)(threads, to);
        if (passing_.size() > 1) passing_.pop_front();
    }
    void eliminate() {
        elimination_.emplace(coarsest_);
        passing_.clear();
    }
    void follow(std::size_t m) {
        further_.emplace(A_, problem_.A->of[m], problem_.opposite->of[m], problem_.omegas, problem_.threads, arena_);
    }
    void clear() { levels_.clear(); }

    const StreamApply<X>& A() const { return A_; }
    const StreamOperator& coarsest() const { return coarsest_; }
    bool smooths_alone(const Space& space) const { return levels_[0].smooths_alone(space.grids[0]); }
    double weakest() const { return elimination_ ? elimination_->weakest() : 1.0; }

    // u from zero for the datum f, padded rows of the finest grid
    void cycle(T* f, T* u, Space& space) const {
        const Grid finest{u, f, space.grids[0].r};
        elimination_ ? cycle(0, finest, problem_.gamma, true, space) : levels_[0].smooth(finest);
        if (further_) (*further_)(f, u, finest.r);
    }

  private:
    Arena& held(std::size_t bytes) {
        arena_.reserve(bytes);
        return arena_;
    }

    // on grid l and the coarser ones, from its iterate or from zero
    void cycle(std::size_t l, const Grid& at, int gamma, bool zero, Space& space) const {
        if (l == transfers_.size()) return (*elimination_)(at.f, at.u, space.room);
        const Grid& coarse = space.grids[l + 1];
        levels_[l].smooth_down(at, zero);
        transfers_[l].restrict(at.r, coarse.f);
        cycle(l + 1, coarse, gamma, true, space);
        if (l + 1 < transfers_.size())
            for (int again = gamma == 0 ? 1 : gamma - 1; again > 0; again--) cycle(l + 1, coarse, gamma == 0 ? 1 : gamma, false, space);
        transfers_[l].correct(coarse.u, at.u);
        levels_[l].smooth_up(at);
    }

    const StreamProblem& problem_;
    Arena arena_;
    std::deque<Arena> passing_;  // of operators, of which levels of floats keep copies
    StreamOperator coarsest_;    // so far
    const StreamApply<X> A_;
    std::deque<StreamLevel<X>> levels_;
    std::deque<StreamTransfers<X, Doubles>> transfers_;
    std::optional<Elimination> elimination_;   // none where the finest grid does without coarser ones
    std::optional<StreamNormal<X>> further_;
};

}  // namespace mgnet
