// Where clusters lie: z, 1 on a cluster, and A z, zero but at its edge, both in unit form and in the grid's order.
#pragma once
#include <cmath>

#include "strong_components.h"

namespace mgnet {

constexpr double NO_ENERGY = 1e-13;  // of the diagonal: less energy, or less of A z, is round-off of none

template <class X>
class ClusterVectors {
    using F = Fields<X>;
    using Label = std::int32_t;

  public:
    ClusterVectors(const Operator& A, long member, int crew) : A_(A), mesh_(A.mesh), member_(member), crew_(crew) {}

    // Those of K clusters; number: of each label's cluster, -1 in none
    void gather(const StrongComponents<X>& components, const std::vector<Label>& number, long K,
                Clusters<double>& to) const {
        indicators(components, number, K, to);
        products(K, to);
    }

  private:
    // z: unknowns are counted label by label, so that each has its place before any is put there
    void indicators(const StrongComponents<X>& components, const std::vector<Label>& number, long K,
                    Clusters<double>& to) const {
        auto each = [&](const auto& body) {
            components.each_row([&](long r) {
                const Label* label = components.labels(r);
                for (long x = 0; x < mesh_.n[2]; x++)
                    if (number[label[x]] >= 0) body(r * mesh_.stride() + LEFT + x, label[x]);
            });
        };
        std::vector<long> next(components.count());
        each([&](long, Label label) { next[label]++; });
        to.begin.assign(K + 1, 0);
        for (long label = 0; label < components.count(); label++)
            if (number[label] >= 0) to.begin[number[label] + 1] += next[label];
        for (long k = 0; k < K; k++) to.begin[k + 1] += to.begin[k];
        std::vector<long> free(to.begin);
        for (long label = 0; label < components.count(); label++) {
            if (number[label] < 0) continue;
            const long count = next[label];
            next[label] = free[number[label]], free[number[label]] += count;
        }
        to.at.resize(to.begin[K]), to.z.resize(to.begin[K]);
        each([&](long p, Label label) {
            const long m = next[label]++;
            to.at[m] = static_cast<std::int32_t>(p), to.z[m] = std::sqrt(A_.D[member_ * mesh_.size() + p]);
        });
    }

    // A z: the diagonal there less all couplings with it
    void products(long K, Clusters<double>& to) const {
        const long blocks = crew_ == 1 ? 1 : 4L * crew_, N = mesh_.size();
        std::vector<Clusters<double>> parts(blocks);
        Arena arena;
        double* sums = arena.take<double>(crew_ * N);
        std::int32_t* touched = arena.take<std::int32_t>(crew_ * N);  // by which cluster, counted from 1
        F::each_block(1, K, blocks, crew_, [&](long, long begin, long end, long t, int who) {
            for (long k = begin; k < end; k++) product(k, sums + who * N, touched + who * N, to, parts[t]);
        });
        to.begin_A.assign(1, 0);
        for (const Clusters<double>& part : parts) {
            const long before = static_cast<long>(to.at_A.size());
            for (long end : part.begin_A) to.begin_A.push_back(before + end);
            to.at_A.insert(to.at_A.end(), part.at_A.begin(), part.at_A.end());
            to.Az.insert(to.Az.end(), part.Az.begin(), part.Az.end());
        }
    }

    void product(long k, double* sums, std::int32_t* touched, const Clusters<double>& of, Clusters<double>& to) const {
        const std::size_t first = to.at_A.size();
        auto add = [&](long p, double v) {
            if (touched[p] != k + 1) {
                touched[p] = static_cast<std::int32_t>(k + 1), sums[p] = 0;
                to.at_A.push_back(static_cast<std::int32_t>(p));
            }
            sums[p] += v;
        };
        for (long m = of.begin[k]; m < of.begin[k + 1]; m++) spread(of.at[m], add);
        std::size_t kept = first;
        for (std::size_t m = first; m < to.at_A.size(); m++) {
            const long p = to.at_A[m], at = member_ * mesh_.size() + p;
            if (!(std::abs(sums[p]) > NO_ENERGY * A_.D[at])) continue;
            to.at_A[kept++] = static_cast<std::int32_t>(p), to.Az.push_back(A_.scale[at] * sums[p]);
        }
        to.at_A.resize(kept);
        to.begin_A.push_back(static_cast<long>(kept));
    }

    // add(q, A_qp) for all q
    template <class Add>
    void spread(long p, const Add& add) const {
        const long N = mesh_.size(), r = p / mesh_.stride(), x = p % mesh_.stride() - LEFT;
        add(p, A_.D[member_ * N + p]);
        for (int h = 0; h < mesh_.couplings(); h++)
            for (int sign = 1; sign >= -1; sign -= 2) {
                const int* o = OFFSETS[mesh_.points][h];
                const double* s = A_.S + (h * A_.members + member_) * N;
                const long row = mesh_.row(r, o, sign);
                const long y = mesh_.inside(x + sign * o[2], 2);
                if (row < 0 || y < 0) continue;
                const long q = row * mesh_.stride() + LEFT + y;
                add(q, sign > 0 ? -s[p] : -s[q]);
            }
    }

    const Operator& A_;
    const Mesh& mesh_;
    const long member_;
    const int crew_;
};

}  // namespace mgnet
