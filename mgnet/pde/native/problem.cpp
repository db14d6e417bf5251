#include "problem.h"

#include <cmath>
#include <stdexcept>
#include <string>

namespace mgnet {
namespace {

void require(bool holds, const std::string& what) {
    if (!holds) throw std::invalid_argument(what);
}

constexpr long MOST = 1L << 40;  // numbers of an array: far beyond any memory, and no product overflows
constexpr long WIDEST = 64;      // weights of a row of a table
constexpr long SHORTEST = 4;     // unknowns along an axis of a fine grid

// Row i + period begins `shift` columns beyond row i, and where rows come in pairs, both at the same column.
void require_repeats(const Table& table, long period, long shift) {
    for (long i = table.lo; i + period < table.hi; i++)
        require(table.start[i + period] == table.start[i] + shift, "a table's rows do not repeat where they should");
    require(period == 1 || table.hi - table.lo < 2 || table.start[table.lo] == table.start[table.lo + 1],
            "a table's rows do not come in pairs");
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
        require(s > -MOST && s < MOST, "a table's `start` is out of range");
        require(wraps || (s >= 0 && s + width <= columns), "a table reaches beyond its axis, which is not periodic");
        require(!wraps || (s >= -WRAPPED && s + width <= columns + WRAPPED), "a table wraps around too far");
    }
    require(0 <= lo && lo <= hi && hi <= rows, "a table's repeating range lies outside of its rows");
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
        require(axis.n < MOST / size, "the grid is too large");
        size *= axis.n;
        P[d].validate(axis.n, coarse[d], axis.wraps, false);
        Q[d].validate(axis.n, coarse[d], axis.wraps, false);
        R[d].validate(coarse[d], axis.n, axis.wraps, false);
        mass[d].validate(coarse[d], coarse[d], axis.wraps, false);
        stiffness[d].validate(coarse[d], coarse[d], axis.wraps, true);
        for (const Table* table : {&P[d], &Q[d]}) require_repeats(*table, 2, 1);
        require_repeats(R[d], 1, 2);
        for (const Table* table : {&mass[d], &stiffness[d]})
            require_repeats(*table, 1, 1);
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
    require(batch >= 1 && batch < MOST / grids[0].size(), "`batch` must be at least 1");
    require(threads >= 1 && threads <= 4096, "`threads` must be at least 1");
    require(gamma >= 0 && gamma <= 8, "`gamma` must be 0 (F-cycles) or 1 to 8");
    require(std::isfinite(c), "`c` must be finite");
    direct.validate();
    for (std::size_t l = 0; l < grids.size(); l++) {
        grids[l].validate();
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
