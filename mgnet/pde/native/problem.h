// What the kernels are told about a problem: grids, ends, tables, steps. Numbers in double; nothing here is fast.
#pragma once
#include <vector>

namespace mgnet {

constexpr long ALL = 1L << 62;
constexpr long WIDEST = 64;   // weights of a row of a table, at most
constexpr long WRAPPED = 16;  // numbers on either side of a periodic axis that a table may reach

// A row-sparse matrix: row i holds weights[i * width + k] at columns start[i] + k (wrapped on a periodic axis).
// On [lo, hi), which find_repeats finds, row i + period is row i, `shift` columns further.
struct Table {
    long rows = 1, columns = 1, width = 1, lo = 0, hi = 0;
    std::vector<long> start{0};
    std::vector<double> weights{1.0};
    std::vector<double> sums;  // of each row: exact, where the weights' sum would be round-off

    void validate(long rows, long columns, bool wraps, bool with_sums) const;
    void find_repeats(long period, long shift);

  private:
    bool same(long i, long j, double weight, double sum) const;
};

// One end of an axis: the value beyond it is sign * u[index]; where the axis is periodic, u[index] itself.
struct End {
    double sign = 0;
    long index = 0;
    double share = 1;
    double extra = 0;     // what the end adds to c there (Robin)
    double diagonal = 0;  // what D has there beyond that of an inner equation
};

struct Axis {
    long n = 1;
    bool wraps = false;
    double k = 0;  // a / h^2
    End lo, hi;
    void validate() const;

    double share(long i) const { return (i == 0 ? lo.share : 1.0) * (i == n - 1 ? hi.share : 1.0); }
    double extra(long i) const { return (i == 0 ? lo.extra : 0.0) + (i == n - 1 ? hi.extra : 0.0); }
    double diagonal(long i) const { return (i == 0 ? lo.diagonal : 0.0) + (i == n - 1 ? hi.diagonal : 0.0); }
    // of the unknown before i (side 0) or after it (1), which at an end is another one's image
    double sign(long i, int side) const {
        return side == 0 ? (i == 0 ? lo.sign : 1.0) : i == n - 1 ? hi.sign : 1.0;
    }
    double share_beside(long i, int side) const {
        return share(side == 0 ? (i == 0 ? lo.index : i - 1) : i == n - 1 ? hi.index : i + 1);
    }
};

struct Step {
    double omega;
    int colour;  // -1: all unknowns
};

// A grid, its steps, and its transfers to the next coarser one; three array axes, of which the grid has the last
// `dims`.
struct Grid {
    int dims = 3;
    Axis axes[3];
    long coarse[3] = {1, 1, 1};
    Table P[3], Q[3], R[3], mass[3], stiffness[3];
    std::vector<Step> down, up;
    // what a norm counts, from and to, along each axis: a part of a larger grid leaves its halo out
    long counted[3][2] = {{0, ALL}, {0, ALL}, {0, ALL}};
    void validate() const;
    void find_repeats();
    long size() const { return axes[0].n * axes[1].n * axes[2].n; }
    long coarse_size() const { return coarse[0] * coarse[1] * coarse[2]; }
    double sum_k() const { return axes[0].k + axes[1].k + axes[2].k; }
};

// A^-1 = (V0 x V1 x V2) D (V0 x V1 x V2)^T
struct Direct {
    long n[3] = {1, 1, 1};
    std::vector<double> V[3], D;
    void validate() const;
};

// Weights of the coarse grid that let the mean of Q u + P e be zero: per axis.
struct Centring {
    std::vector<double> of_u[3], of_e[3];
};

struct Problem {
    std::vector<Grid> grids;
    Direct direct;
    double c = 0;
    int gamma = 1;  // cycle index; 0: the F-cycle
    long batch = 1;
    int threads = 1;
    bool centres = false, sums = false;
    Centring centring;
    void validate() const;
};

}  // namespace mgnet
