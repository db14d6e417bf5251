// From the finest grid's operator to all levels of the black-box hierarchy, in float64.
//
// Source: Dendy, Black box multigrid, J. Comput. Phys. 48 (1982) 366-386; Trottenberg et al. 2001, section 5.1 for the
// choice of axes.
#pragma once
#include <algorithm>

#include "clusters.h"
#include "conductances.h"
#include "dense.h"
#include "galerkin.h"
#include "require.h"
#include "stencil_hierarchy.h"
#include "units.h"

namespace mgnet {

constexpr long COARSEST = 100;    // unknowns of a grid that is solved
constexpr long SHORTEST = 5;      // unknowns of the shortest periodic axis that is coarsened
constexpr long RESERVED = 1 << 21;  // bytes of all fields above which they come in one block
constexpr long THICK_BLOCK = 8;   // coarse planes of a block at least
constexpr double STRONG_AXIS = 0.3;  // an axis with at least this share of the strongest coupling is coarsened

template <class X, class T>
class Coarsening {
    using F = Fields<X>;

  public:
    static std::unique_ptr<StencilHierarchy<T>> make(const StencilProblem& problem) {
        Coarsening coarsening(problem);
        problem.halved ? coarsening.one() : coarsening.all();
        return std::move(coarsening.to_);
    }

  private:
    explicit Coarsening(const StencilProblem& problem) : problem_(problem), to_(new StencilHierarchy<T>) {
        to_->dims = problem.dims, to_->members = problem.members;
        reserve();
        std::copy(problem.first, problem.first + 3, first_);
    }

    // About what the fields of all grids take, if every axis is halved.
    void reserve() {
        const long all = problem_.members * problem_.mesh.size(), halves = 1L << problem_.dims;
        const long couplings = problem_.mesh.couplings();
        const long more = problem_.dims == 3 ? 13 + 27 : problem_.dims == 2 ? 4 + 9 : 2 + 3;  // S and W of coarse grids
        const long finest = all * ((couplings + 2) * sizeof(double) + (couplings + 1) * sizeof(T));
        const long size = finest + all * more * sizeof(T) / (halves - 1);
        if (size > RESERVED) to_->memory.reserve(size);
    }

    void all() {
        auto A = finest();
        T* S = unit(*A);
        to_->S = S;
        Halving halving;
        while (A->mesh.unknowns() > COARSEST && choose(*A, halving)) {
            auto coarse = std::make_unique<Operator>(coarser(A->mesh, halving), A->members, problem_.masked);
            to_->levels.push_back(level(*A, *coarse, halving, S));
            A = std::move(coarse);
            S = unit(*A);
        }
        to_->coarsest = A->mesh;
        solve(*A);
    }

    // A level alone, and the operator of its coarse grid.
    void one() {
        const auto A = finest();
        T* S = unit(*A);
        to_->S = S;
        Halving halving;
        for (int d = 0; d < 3; d++)
            halving.halved[d] = (*problem_.halved)[d], halving.first[d] = halving.halved[d] ? first_[d] : 0;
        const auto coarse = std::make_shared<Operator>(coarser(A->mesh, halving), A->members, problem_.masked);
        to_->levels.push_back(level(*A, *coarse, halving, S));
        to_->coarsest = coarse->mesh, to_->last = coarse, to_->alone = true;
    }

    // The finest grid's operator in padded fields, and what the residual needs of it.
    std::unique_ptr<Operator> finest() {
        const Mesh& mesh = problem_.mesh;
        const long members = problem_.members, all = members * mesh.size();
        double *couplings = take<double>(mesh.couplings() * all), *excess = take<double>(all), *s = take<double>(all);
        T* small = take<T>(all);
        auto A = std::make_unique<Operator>(mesh, members, problem_.masked, couplings, s);
        Operator& own = *A;
        F::each_row(own, problem_.threads, [&](long b, long r, long) {
            problem_.faces ? make(b, r, own.D, couplings, excess) : copy(b, r, own.D, couplings, excess);
            Units<X>::roots(own, b, r);
            const long begin = b * mesh.size() + r * mesh.stride();
            for (long j = LEFT - 2; j < LEFT + mesh.n[2] + 2; j++) small[begin + j] = static_cast<T>(s[begin + j]);
        });
        to_->finest = mesh, to_->couplings = couplings, to_->excess = excess, to_->scale = s, to_->s = small;
        return A;
    }

    template <class Number>
    Number* take(long count) {
        return to_->memory.template take<Number>(count + BEYOND);
    }

    // A row of the finest grid's operator from the conductances of its faces, or from the arrays that were given.
    void make(long member, long r, double* D, double* couplings, double* excess) const {
        const Mesh& mesh = problem_.mesh;
        const long begin = member * mesh.size() + r * mesh.stride() + LEFT, all = problem_.members * mesh.size();
        OperatorRow to{D + begin, excess + begin, nullptr, {}};
        for (int h = 0; h < mesh.couplings(); h++)
            for (int d = 0; d < 3; d++)
                if (OFFSETS[mesh.points][h][d] != 0) to.s[d] = couplings + h * all + begin;
        OperatorRows<X>(*problem_.faces).make(member, r / mesh.n[1], r % mesh.n[1], to);
        for (double* v : {to.diagonal, to.excess, to.s[0], to.s[1], to.s[2]})
            if (v) mesh.close(v);
    }
    void copy(long member, long r, double* D, double* couplings, double* excess) const {
        const long all = problem_.members * problem_.mesh.size();
        pad(problem_.diagonal, member, r, D);
        for (int h = 0; h < problem_.mesh.couplings(); h++) pad(problem_.couplings[h], member, r, couplings + h * all);
        pad(problem_.excess, member, r, excess);
    }

    void pad(const double* from, long member, long r, double* to) const {
        const Mesh& mesh = problem_.mesh;
        if (!from) return;
        double* v = to + member * mesh.size() + r * mesh.stride() + LEFT;
        std::copy_n(from + (member * mesh.rows() + r) * mesh.n[2], mesh.n[2], v);
        mesh.close(v);
    }

    // The couplings in unit form; what they told of strengths and signs is kept.
    T* unit(const Operator& A) {
        const Mesh& mesh = A.mesh;
        T* S = take<T>(mesh.couplings() * A.members * mesh.size());
        std::vector<Told> told(A.members * F::blocks(A, problem_.threads));
        F::each_row(A, problem_.threads, [&](long b, long r, long t) { Units<X>::couplings(A, S, b, r, told[t]); });
        told_ = Told();
        for (const Told& t : told) {
            for (int h = 0; h < mesh.couplings(); h++) told_.sums[h] += t.sums[h];
            told_.smallest = std::min(told_.smallest, t.smallest);
        }
        return S;
    }

    bool solved(int d) const {
        return std::find(problem_.lines.begin(), problem_.lines.end(), d) != problem_.lines.end();
    }

    // Halve the axes that are coupled about as strongly as the strongest, and those along which lines are smoothed;
    // false if none is long enough.
    bool choose(const Operator& A, Halving& to) const {
        double strength[3] = {}, strongest = 0;
        bool can[3], any = false, others = false;
        for (int d = 0; d < 3; d++) {
            can[d] = A.mesh.n[d] >= (A.mesh.wraps[d] ? SHORTEST : 2);
            for (int h = 0; h < A.mesh.couplings(); h++)
                if (OFFSETS[A.mesh.points][h][d] != 0) strength[d] += told_.sums[h];
            any |= can[d];
            if (!can[d] || solved(d)) continue;
            strongest = others ? std::max(strongest, strength[d]) : strength[d], others = true;
        }
        if (!any) return false;
        any = false;
        for (int d = 0; d < 3; d++) {
            to.halved[d] = can[d] && (solved(d) || strength[d] >= std::min(STRONG_AXIS * strongest, strongest));
            to.first[d] = to.halved[d] ? first_[d] : 0;
            any |= to.halved[d];
        }
        require(any, "`diagonal` and `couplings` must be finite, and the diagonal positive");
        return true;
    }

    Mesh coarser(const Mesh& fine, const Halving& halving) const {
        Mesh to = fine;
        to.points = problem_.dims == 1 ? FIVE : problem_.dims == 2 ? NINE : TWENTY_SEVEN;
        for (int d = 0; d < 3; d++)
            if (halving.halved[d]) to.n[d] = (fine.n[d] - halving.first[d] + 1) / 2;
        return to;
    }

    StencilLevel<T> level(const Operator& fine, Operator& coarse, const Halving& halving, const T* S) {
        StencilLevel<T> to{fine.mesh, coarse.mesh, halving, S, nullptr, {}, {}, problem_.lines, {}};
        const bool finest = to_->levels.empty() && !problem_.coarse;
        if (finest) tensor_ = told_.smallest < 0;
        const bool plain = (finest && !tensor_) || !problem_.lines.empty() || problem_.halved;
        const double spectrum = plain ? 2.0 : Units<X>::bound(fine, told_.smallest, tensor_, problem_.threads);
        for (double omega : problem_.down) to.down.push_back(static_cast<T>(omega * 2 / spectrum));
        for (double omega : problem_.up) to.up.push_back(static_cast<T>(omega * 2 / spectrum));
        Pair pair{&fine, &coarse, halving, {}};
        for (int d = 0; d < 3; d++) pair.seam[d] = halving.halved[d] && fine.mesh.wraps[d] && fine.mesh.n[d] % 2 == 1;
        T* W = take<T>(halving.deltas() * fine.members * coarse.mesh.size());
        to.W = W;
        coarsen(pair, W);
        if (problem_.jumps) to.clusters = clusters(pair);
        return to;
    }

    // The coarse operator and P's weights W, in blocks of coarse planes; each makes the first weights of the next anew.
    void coarsen(const Pair& pair, T* W) const {
        const Operator &fine = *pair.fine, &coarse = *pair.coarse;
        if (fine.inside)
            F::each_row(fine, problem_.threads, [&](long b, long r, long) { Units<X>::inside(fine, b, r); });
        // where lines along several axes in space stand for planes, a line alone knows too little
        const bool solved = !fine.inside && (problem_.dims == 2 || problem_.lines.size() == 1);
        const LineWeights<X> lines(pair, solved ? problem_.lines : std::vector<int>(), problem_.threads);
        const InducedWeights<X> weights(pair, lines);
        const GalerkinProduct<X> product(pair);
        Arena arena;
        const int crew = fine.crew(problem_.threads);
        double* windows = arena.take<double>(crew * pair.of_window());
        const long planes = coarse.mesh.n[0], rows = coarse.mesh.n[1];
        const long blocks = crew == 1 ? 1 : std::min({planes, 4L * crew, std::max<long>(crew, planes / THICK_BLOCK)});
        F::each_block(fine.members, planes, blocks, crew, [&](long b, long begin, long end, long, int who) {
            double* window = windows + who * pair.of_window();
            for (long J = 0; J < rows; J++) weights.row(b, begin, J, window, begin % 2);
            for (long I = begin; I < end; I++) {
                const long next = coarse.mesh.inside(I + 1, 0);
                for (long J = 0; J < rows && next >= 0; J++) weights.row(b, next, J, window, (I + 1) % 2);
                for (long J = 0; J < rows; J++) {
                    product.row(b, I, J, window);
                    Units<X>::roots(coarse, b, I * rows + J);
                    Units<X>::weights(pair, window + pair.in_window(I % 2, J), W, b, I * rows + J);
                }
            }
        });
    }

    Clusters<T> clusters(const Pair& pair) const {
        std::vector<Clusters<double>> found(pair.fine->members);
        const int crew = pair.fine->members > 1 ? 1 : pair.fine->crew(problem_.threads);
        F::each_member(pair.fine->members, problem_.threads,
                       [&](long member) { found[member] = SlowClusters<X>::find(pair, member, crew); });
        Clusters<T> to;
        for (const Clusters<double>& of : found) append(to, of);
        return to;
    }

    static void append(Clusters<T>& to, const Clusters<double>& of) {
        if (of.inverse.empty()) return;
        const long before = static_cast<long>(to.at.size()), before_A = static_cast<long>(to.at_A.size());
        if (to.begin.empty()) to.begin.push_back(0), to.begin_A.push_back(0);
        for (std::size_t k = 1; k < of.begin.size(); k++) {
            to.begin.push_back(before + of.begin[k]), to.begin_A.push_back(before_A + of.begin_A[k]);
        }
        to.at.insert(to.at.end(), of.at.begin(), of.at.end());
        to.at_A.insert(to.at_A.end(), of.at_A.begin(), of.at_A.end());
        for (double z : of.z) to.z.push_back(static_cast<T>(z));
        for (double z : of.Az) to.Az.push_back(static_cast<T>(z));
        to.member.insert(to.member.end(), of.member.begin(), of.member.end());
        to.inverse.insert(to.inverse.end(), of.inverse.begin(), of.inverse.end());
    }

    void solve(const Operator& A) {
        const long N = A.mesh.unknowns();
        std::vector<double> M(A.members * N * N), inverse(A.members * N * N);
        std::vector<char> fine(A.members);
        F::each_member(A.members, problem_.threads, [&](long b) {
            DenseInverse<X>::assemble(A, b, M.data() + b * N * N);
            fine[b] = DenseInverse<X>::invert(M.data() + b * N * N, inverse.data() + b * N * N, N);
        });
        to_->inverse = take<T>(A.members * N * N);
        to_->solved = std::all_of(fine.begin(), fine.end(), [](char yes) { return yes != 0; });
        if (!to_->solved) to_->dense = std::move(M);
        for (std::size_t k = 0; to_->solved && k < inverse.size(); k++) to_->inverse[k] = static_cast<T>(inverse[k]);
    }

    const StencilProblem& problem_;
    std::unique_ptr<StencilHierarchy<T>> to_;
    long first_[3];
    Told told_;
    bool tensor_ = false;  // whether the finest grid's operator has negative couplings
};

}  // namespace mgnet
