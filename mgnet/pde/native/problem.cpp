#include "problem.h"

#include <algorithm>
#include <cmath>

#include "require.h"

namespace mgnet {
namespace {

constexpr long SHORTEST = 4;     // unknowns along an axis of a fine grid

constexpr double ROUNDOFF = 1e-14;  // relative differences of weights that are meant to be equal

double largest(const std::vector<double>& v) {
    double most = 0;
    for (double x : v) most = std::max(most, std::abs(x));
    return most;
}

}  // namespace

void Table::validate(long n, long m, bool wraps, bool with_sums) const {
    require(rows == n && columns == m, "a table has other rows or columns than its axes have unknowns");
    require(width >= 1 && width <= WIDEST, "a table's rows must have 1 to 64 weights");
    require(static_cast<long>(start.size()) == rows, "a table must have one `start` a row");
    require(static_cast<long>(weights.size()) == rows * width, "a table's `weights` must be (rows, width)");
    require(sums.empty() ? !with_sums : static_cast<long>(sums.size()) == rows, "a table must have one sum a row");
    for (std::size_t i = 1; i < start.size(); i++)
        require(start[i - 1] <= start[i], "a table's `start` must not decrease");
    for (long s : start) {
        require(s > -MOST_NUMBERS && s < MOST_NUMBERS, "a table's `start` is out of range");
        require(wraps || (s >= 0 && s + width <= columns), "a table reaches beyond its axis, which is not periodic");
        require(!wraps || (s >= -WRAPPED && s + width <= columns + WRAPPED), "a table wraps around too far");
    }
}

// Whether rows i and j have the same weights, and sums; `weight` and `sum` are the largest.
bool Table::same(long i, long j, double weight, double sum) const {
    for (long k = 0; k < width; k++)
        if (!(std::abs(weights[i * width + k] - weights[j * width + k]) <= ROUNDOFF * weight)) return false;
    return sums.empty() || std::abs(sums[i] - sums[j]) <= ROUNDOFF * sum;
}

// The longest range, of a multiple of `period` rows; where rows come in pairs, both begin at the same column.
void Table::find_repeats(long period, long shift) {
    const double weight = largest(weights), sum = largest(sums);
    lo = hi = 0;
    for (long begun = 0, i = 0; i + period <= rows; i++) {
        const long next = i + period;
        if (next < rows && start[next] - start[i] == shift && same(i, next, weight, sum)) continue;
        const long from = begun + (period == 2 && start[begun] != start[begun + 1]);
        const long to = from + (next - from) / period * period;
        if (i > begun && to - from > hi - lo) lo = from, hi = to;
        begun = i + 1;
    }
}

void Axis::validate() const {
    require(n >= 1, "an axis must have unknowns");
    for (const End* end : {&lo, &hi}) {
        require(end->index >= 0 && end->index < n, "an end's reflected unknown lies outside of its axis");
        require(end->share > 0 && std::isfinite(end->share), "a share of a cell must be positive");
    }
}

void Grid::validate() const {
    require(dims >= 1 && dims <= 3, "a grid has 1, 2 or 3 dimensions");
    for (const auto* way : {&down, &up}) {
        require(way->size() <= 64, "there may be 64 steps a way");
        for (const Step& step : *way)
            require(step.colour >= -1 && step.colour <= 1, "a step's colour must be 0 or 1, or -1 for all");
    }
    long size = 1;
    for (int d = 0; d < 3; d++) {
        const Axis& axis = axes[d];
        const bool missing = dims == 3 ? false : dims == 2 ? d == 1 : d < 2;
        axis.validate();
        require(missing ? axis.n == 1 && coarse[d] == 1 : axis.n >= SHORTEST,
                "an axis of a fine grid must have 4 unknowns");
        require(coarse[d] >= 1 && coarse[d] <= axis.n, "a coarse axis must have 1 to as many unknowns as the fine one");
        require(axis.n < MOST_NUMBERS / size, "the grid is too large");
        size *= axis.n;
        P[d].validate(axis.n, coarse[d], axis.wraps, false);
        Q[d].validate(axis.n, coarse[d], axis.wraps, false);
        R[d].validate(coarse[d], axis.n, axis.wraps, false);
        mass[d].validate(coarse[d], coarse[d], axis.wraps, false);
        stiffness[d].validate(coarse[d], coarse[d], axis.wraps, true);
    }
}

void Grid::find_repeats() {
    for (int d = 0; d < 3; d++) {
        P[d].find_repeats(2, 1), Q[d].find_repeats(2, 1), R[d].find_repeats(1, 2);
        mass[d].find_repeats(1, 1), stiffness[d].find_repeats(1, 1);
    }
}

void Direct::validate() const {
    long size = 1;
    for (int d = 0; d < 3; d++) {
        require(n[d] >= 1 && n[d] < 100000, "the coarsest grid must have unknowns, and few of them");
        require(static_cast<long>(V[d].size()) == n[d] * n[d], "V must be square, one a grid axis");
        size *= n[d];
    }
    require(static_cast<long>(D.size()) == size, "D must have the coarsest grid's shape");
}

void Problem::validate() const {
    require(!grids.empty(), "there must be a grid to coarsen");
    require(batch >= 1 && batch < MOST_NUMBERS / grids[0].size(), "`batch` must be at least 1");
    require(threads >= 1 && threads <= 4096, "`threads` must be at least 1");
    require(gamma >= 0 && gamma <= 8, "`gamma` must be 0 (F-cycles) or 1 to 8");
    require(std::isfinite(c), "`c` must be finite");
    for (std::size_t l = 0; l < grids.size(); l++) {
        require(grids[l].dims == grids[0].dims, "all grids must have the same dimensions");
        for (int d = 0; d < 3; d++) {
            const long n = l + 1 < grids.size() ? grids[l + 1].axes[d].n : direct.n[d];
            require(grids[l].coarse[d] == n, "each grid's coarse sizes must be those of the next grid");
        }
    }
    if (centres)
        for (int d = 0; d < 3; d++)
            for (const auto* weights : {&centring.of_u[d], &centring.of_e[d]})
                require(static_cast<long>(weights->size()) == grids[0].coarse[d],
                        "centring needs a weight a coarse unknown");
}

}  // namespace mgnet
