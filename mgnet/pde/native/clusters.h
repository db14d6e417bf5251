// Clusters of strongly coupled unknowns that smoothers leave alone and the next coarser grid does not know.
//
// Two unknowns are coupled strongly if by STRONG of what each is at most; a cluster is a connected component. It is
// corrected if (z, A z) < SLOW (z, z), z being constant on it, and if it has no coarse unknown or
// (P e, A P e) > LOCKED (z, A z), e being constant on those it has. In physical unknowns z is 1 on a cluster, so that
// (z, z) and (z, A z) are sums of the diagonal and couplings.
#pragma once
#include <algorithm>

#include "cluster_vectors.h"
#include "strong_components.h"

namespace mgnet {

constexpr double SLOW = 0.1, LOCKED = 3;
constexpr double CLUSTER_DAMPING = 0.85;  // clusters side by side correct the same difference

template <class X>
class SlowClusters {
    using F = Fields<X>;
    using Label = std::int32_t;

  public:
    // The clusters of one member.
    static Clusters<double> find(const Pair& pair, long member, int crew) {
        Clusters<double> to;
        const Operator& fine = *pair.fine;
        const StrongComponents<X> components(fine, member, crew);
        const std::vector<Sums> on_fine = whole(components, [&](Sums* sums) {
            components.each_row([&](long r) {
                const Label* label = components.labels(r);
                energies(fine, member, r, components, label, [&](long row) { return components.labels(row); }, sums);
            });
        });
        std::vector<char> slow(components.count());
        for (long k = 0; k < components.count(); k++)
            slow[k] = on_fine[k].energy < SLOW * on_fine[k].size && on_fine[k].energy > NO_ENERGY * on_fine[k].size;
        if (std::none_of(slow.begin(), slow.end(), [](char is) { return is; })) return to;
        const std::vector<Sums> on_coarse = coarse_energies(pair, member, components);
        Label K = 0;
        std::vector<Label> number(components.count(), -1);
        for (long k = 0; k < components.count(); k++) {
            const double energy = on_fine[k].energy;
            if (!slow[k] || !(on_coarse[k].size == 0 || on_coarse[k].energy > LOCKED * energy)) continue;
            number[k] = K++;
            to.inverse.push_back(CLUSTER_DAMPING / energy), to.member.push_back(member);
        }
        for (long k = 0; k < components.count(); k++) number[k] = number[components.root(k)];
        if (K > 0) ClusterVectors<X>(fine, member, crew).gather(components, number, K, to);
        return to;
    }

  private:
    struct Sums {
        double size = 0, energy = 0;  // (z, z), (z, A z)
    };

    // The sums of each component, at its root: those of its parts in each block, which `add` makes, together.
    template <class Add>
    static std::vector<Sums> whole(const StrongComponents<X>& components, const Add& add) {
        std::vector<Sums> sums(components.count());
        add(sums.data());
        for (long k = 0; k < components.count(); k++) {
            const long root = components.root(k);
            if (root == k) continue;
            sums[root].size += sums[k].size, sums[root].energy += sums[k].energy;
            sums[k] = Sums();
        }
        return sums;
    }

    // Adds a row's share; label: its unknowns', of_row(row): those of another row.
    template <class Labels>
    static void energies(const Operator& A, long member, long r, const StrongComponents<X>& components,
                         const Label* label, const Labels& of_row, Sums* sums) {
        const Mesh& mesh = A.mesh;
        const long n = mesh.n[2];
        const double* D = A.D + A.begin(member, r);
        each_run(label, n, [&](long x, long end, Sums& of) {
            double total = 0;
            for (; x < end; x++) total += D[x];
            of.size += total, of.energy += total;
        }, sums);
        for (int h = 0; h < mesh.couplings(); h++) {
            const int* o = OFFSETS[mesh.points][h];
            const long row = mesh.row(r, o);
            if (row < 0) continue;
            const Label* other = of_row(row) + o[2];
            const double* s = A.couplings(h, member, r);  // 0 across an end
            each_run(label, n, [&](long x, long end, Sums& of) {
                const Label own = label[x], root = components.root(own);
                double total = 0;
                for (; x < end; x++) total += other[x] == own || components.root(other[x]) == root ? s[x] : 0;
                of.energy -= 2 * total;
            }, sums);
        }
    }

    // body(begin, end, sums) for the stretches of a row that have one label
    template <class Body>
    static void each_run(const Label* label, long n, const Body& body, Sums* sums) {
        for (long x = 0, end; x < n; x = end) {
            for (end = x + 1; end < n && label[end] == label[x];) end++;
            body(x, end, sums[label[x]]);
        }
    }

    // The sums of what a component has of coarse unknowns, on the coarse grid.
    static std::vector<Sums> coarse_energies(const Pair& pair, long member, const StrongComponents<X>& components) {
        const Mesh &fine = pair.fine->mesh, &coarse = pair.coarse->mesh;
        Arena arena;
        Label* labels = arena.take<Label>(coarse.size() + BEYOND);
        auto of_row = [&](long row) { return labels + row * coarse.stride() + LEFT; };
        // the coarse row that lies on a fine one, -1: none
        auto on_row = [&](long r) {
            const long i = r / fine.n[1] - pair.first(0), j = r % fine.n[1] - pair.first(1);
            const bool on = i >= 0 && j >= 0 && i % pair.steps(0) == 0 && j % pair.steps(1) == 0;
            return on ? i / pair.steps(0) * coarse.n[1] + j / pair.steps(1) : -1;
        };
        components.each_row([&](long r) {
            const long row = on_row(r);
            if (row < 0) return;
            const Label* from = components.labels(r) + pair.first(2);
            for (long x = 0; x < coarse.n[2]; x++) of_row(row)[x] = from[pair.steps(2) * x];
            coarse.close(of_row(row));
        });
        return whole(components, [&](Sums* sums) {
            components.each_row([&](long r) {
                const long row = on_row(r);
                if (row >= 0) energies(*pair.coarse, member, row, components, of_row(row), of_row, sums);
            });
        });
    }
};

}  // namespace mgnet
