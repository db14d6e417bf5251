// Clusters of strongly coupled unknowns that smoothers leave alone and the next coarser grid does not know.
//
// Two unknowns are coupled strongly if by STRONG of what each is at most; a cluster is a connected component. It is
// corrected if (z, A z) < SLOW (z, z), z being constant on it, and if it has no coarse unknown or
// (P e, A P e) > LOCKED (z, A z), e being constant on those it has. In physical unknowns z is 1 on a cluster, so that
// (z, z) and (z, A z) are sums of the diagonal and couplings.
#pragma once
#include <algorithm>
#include <cmath>

#include "operators.h"

namespace mgnet {

constexpr double STRONG_COUPLING = 0.25, SLOW = 0.1, LOCKED = 3;
constexpr double NO_ENERGY = 1e-13;  // of the diagonal: less energy, or less of A z, is round-off of none
constexpr double CLUSTER_DAMPING = 0.85;  // clusters side by side correct the same difference

template <class X>
class SlowClusters {
    using F = Fields<X>;
    using Labels = std::vector<std::int32_t>;

  public:
    // The clusters of one member.
    static Clusters<double> find(const Pair& pair, long member) {
        Clusters<double> to;
        const Operator& fine = *pair.fine;
        const Mesh& mesh = fine.mesh;
        const long N = mesh.size();
        const Labels root = components(fine, member), coarse_root = on_coarse(pair, root);
        std::vector<double> size(N), energy(N), seen(N), coarse_energy(N);
        energies(fine, member, root, size, energy), energies(*pair.coarse, member, coarse_root, seen, coarse_energy);
        long K = 0;
        Labels number(N, -1);
        for (long q = 0; q < N; q++) {
            const bool slow = energy[q] < SLOW * size[q] && energy[q] > NO_ENERGY * size[q];
            if (!slow || !(seen[q] == 0 || coarse_energy[q] > LOCKED * energy[q])) continue;
            number[q] = static_cast<std::int32_t>(K++);
            to.inverse.push_back(CLUSTER_DAMPING / energy[q]), to.member.push_back(member);
        }
        if (K > 0) gather(fine, member, root, number, K, to);
        return to;
    }

  private:
    // body(h, p, q, s): unknown p is coupled to q by s_h
    template <class Body>
    static void each_pair(const Operator& A, long member, const Body& body) {
        const Mesh& mesh = A.mesh;
        for (int h = 0; h < mesh.couplings(); h++) {
            const int* o = OFFSETS[mesh.points][h];
            const double* s = A.S + (h * A.members + member) * mesh.size();
            for (long r = 0; r < mesh.rows(); r++) {
                const long row = F::row(mesh, r / mesh.n[1] + o[0], r % mesh.n[1] + o[1]);
                if (row < 0) continue;
                for (long x = 0; x < mesh.n[2]; x++) {
                    const long y = F::wrapped(x + o[2], mesh.n[2], mesh.wraps[2]), p = place(mesh, r, x);
                    if (y >= 0) body(p, place(mesh, row, y), s[p]);
                }
            }
        }
    }
    static long place(const Mesh& mesh, long r, long x) { return r * mesh.stride() + LEFT + x; }

    static long find_root(Labels& root, long i) {
        while (root[i] != i) root[i] = root[root[i]], i = root[i];
        return i;
    }

    // The smallest number of each unknown's connected component of strong couplings.
    static Labels components(const Operator& A, long member) {
        const long N = A.mesh.size();
        const double* scale = A.scale + member * N;
        std::vector<double> largest(N);
        each_pair(A, member, [&](long p, long q, double s) {
            s *= scale[p] * scale[q];
            largest[p] = std::max(largest[p], s), largest[q] = std::max(largest[q], s);
        });
        Labels root(N);
        for (long p = 0; p < N; p++) root[p] = static_cast<std::int32_t>(p);
        each_pair(A, member, [&](long p, long q, double s) {
            if (s * scale[p] * scale[q] <= STRONG_COUPLING * std::max(largest[p], largest[q])) return;
            const long a = find_root(root, p), b = find_root(root, q);
            root[std::max(a, b)] = static_cast<std::int32_t>(std::min(a, b));
        });
        for (long p = 0; p < N; p++) root[p] = root[root[p]];
        return root;
    }

    static Labels on_coarse(const Pair& pair, const Labels& root) {
        const Mesh &fine = pair.fine->mesh, &coarse = pair.coarse->mesh;
        Labels to(coarse.size());
        for (long r = 0; r < coarse.rows(); r++)
            for (long K = 0; K < coarse.n[2]; K++) {
                const long i = pair.steps(0) * (r / coarse.n[1]) + pair.first(0);
                const long j = pair.steps(1) * (r % coarse.n[1]) + pair.first(1);
                const long x = pair.steps(2) * K + pair.first(2);
                to[place(coarse, r, K)] = root[place(fine, i * fine.n[1] + j, x)];
            }
        return to;
    }

    // size += (z, z), energy += (z, A z) of the clusters
    static void energies(const Operator& A, long member, const Labels& label, std::vector<double>& size,
                         std::vector<double>& energy) {
        const Mesh& mesh = A.mesh;
        for (long r = 0; r < mesh.rows(); r++)
            for (long x = 0; x < mesh.n[2]; x++) {
                const long p = place(mesh, r, x);
                const double d = A.D[member * mesh.size() + p];
                size[label[p]] += d, energy[label[p]] += d;
            }
        each_pair(A, member, [&](long p, long q, double s) {
            if (label[p] == label[q]) energy[label[p]] -= 2 * s;
        });
    }

    // z, and A z, of the clusters that have a number, in its order
    static void gather(const Operator& A, long member, const Labels& root, const Labels& number, long K,
                       Clusters<double>& to) {
        const Mesh& mesh = A.mesh;
        to.begin.assign(K + 1, 0), to.begin_A.assign(1, 0);
        auto each = [&](const auto& body) {
            for (long r = 0; r < mesh.rows(); r++)
                for (long x = 0; x < mesh.n[2]; x++) {
                    const long p = place(mesh, r, x), k = number[root[p]];
                    if (k >= 0) body(p, k);
                }
        };
        each([&](long, long k) { to.begin[k + 1]++; });
        for (long k = 0; k < K; k++) to.begin[k + 1] += to.begin[k];
        std::vector<long> next(to.begin);
        to.at.resize(to.begin[K]), to.z.resize(to.begin[K]);
        each([&](long p, long k) {
            to.at[next[k]] = static_cast<std::int32_t>(p), to.z[next[k]++] = std::sqrt(A.D[member * mesh.size() + p]);
        });
        products(A, member, K, to);
    }

    // A z of K clusters: the diagonal there less all couplings with it
    static void products(const Operator& A, long member, long K, Clusters<double>& to) {
        const Mesh& mesh = A.mesh;
        const long N = mesh.size();
        std::vector<double> sums(N);
        std::vector<std::int32_t> touched_by(N, -1);
        std::vector<long> places;
        for (long k = 0; k < K; k++) {
            places.clear();
            auto add = [&](long p, double v) {
                if (touched_by[p] != k) touched_by[p] = static_cast<std::int32_t>(k), sums[p] = 0, places.push_back(p);
                sums[p] += v;
            };
            for (long m = to.begin[k]; m < to.begin[k + 1]; m++) spread(A, member, to.at[m], add);
            for (long p : places) {
                if (!(std::abs(sums[p]) > NO_ENERGY * A.D[member * N + p])) continue;
                to.at_A.push_back(static_cast<std::int32_t>(p));
                to.Az.push_back(A.scale[member * N + p] * sums[p]);
            }
            to.begin_A.push_back(static_cast<long>(to.at_A.size()));
        }
    }

    // add(q, A_qp) for all q
    template <class Add>
    static void spread(const Operator& A, long member, long p, const Add& add) {
        const Mesh& mesh = A.mesh;
        const long N = mesh.size(), r = p / mesh.stride(), x = p % mesh.stride() - LEFT;
        add(p, A.D[member * N + p]);
        for (int h = 0; h < mesh.couplings(); h++)
            for (int sign = 1; sign >= -1; sign -= 2) {
                const int* o = OFFSETS[mesh.points][h];
                const double* s = A.S + (h * A.members + member) * N;
                const long row = F::row(mesh, r / mesh.n[1] + sign * o[0], r % mesh.n[1] + sign * o[1]);
                const long y = F::wrapped(x + sign * o[2], mesh.n[2], mesh.wraps[2]);
                if (row < 0 || y < 0) continue;
                const long q = place(mesh, row, y);
                add(q, sign > 0 ? -s[p] : -s[q]);
            }
    }
};

}  // namespace mgnet
