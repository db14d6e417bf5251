#include "stencil_hierarchy.h"

#include <cmath>

#include "require.h"

namespace mgnet {
namespace {

constexpr std::size_t LONGEST_WAY = 64;  // steps
constexpr int MOST_THREADS = 1 << 16;

void require_omegas(const std::vector<double>& omegas, const std::string& name) {
    require(omegas.size() <= LONGEST_WAY, "`" + name + "` may have 64 steps at most");
    for (double omega : omegas) require(std::isfinite(omega), "`" + name + "` must be finite");
}

}  // namespace

void StencilProblem::validate() const {
    require(dims >= 1 && dims <= 3, "a grid has 1, 2 or 3 dimensions");
    require(members >= 1, "there must be at least one member");
    long size = members;
    for (int d = 0; d < 3; d++) {
        require(mesh.n[d] >= 1, "each axis of `shape` must have unknowns");
        require(mesh.n[d] < MOST_NUMBERS && size < MOST_NUMBERS / mesh.n[d], "`shape` is too large");
        size *= mesh.n[d];
        require(first[d] == 0 || (first[d] == 1 && !mesh.wraps[d]),
                "`first` must be 0 or 1 for each axis, and 0 for a periodic one");
    }
    require(size < MOST_NUMBERS / mesh.stride(), "`shape` is too large");
    require(!jumps || mesh.size() < 1L << 31, "clusters are found on grids of up to 2^31 numbers only");
    require_omegas(down, "down"), require_omegas(up, "up");
    require(!halved || (*halved)[0] || (*halved)[1] || (*halved)[2], "`halved` must have an axis");
    for (int d = 0; d < 3 && halved; d++)
        require(!(*halved)[d] || mesh.n[d] > first[d], "`halved` axes must be long enough");
    require(!halved || !jumps, "`jumps` are of all grids, not of a single one");
    for (std::size_t k = 0; k < lines.size(); k++)
        for (std::size_t m = 0; m < k; m++) require(lines[k] != lines[m], "`lines` must name an axis once");
    require(threads >= 1 && threads <= MOST_THREADS, "`threads` must be at least 1");
}

}  // namespace mgnet
