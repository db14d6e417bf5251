// What the set-up of a black-box hierarchy is given, and what it makes: all that cycles on it need.
#pragma once
#include <array>
#include <memory>
#include <optional>

#include "arena.h"
#include "stencil.h"

namespace mgnet {

struct Conductances;
struct Operator;

// The finest grid's operator, in arrays (members, n0, n1, n2), and how it is to be smoothed.
struct StencilProblem {
    int dims = 2;
    Mesh mesh;  // the finest grid; two dimensions are (n0, 1, n2), one is (1, 1, n2)
    long first[3] = {};  // coarse unknown of each axis
    long members = 1;
    const double* diagonal = nullptr;
    const double* couplings[13] = {};  // in the order of `OFFSETS`; none: 0
    const double* excess = nullptr;    // A 1; none: 0
    const Conductances* faces = nullptr;  // what all three are made of, in place of them
    bool masked = false;               // whether some unknown is coupled to nothing
    bool jumps = false;                // whether clusters are to be corrected
    bool coarse = false;               // whether it is a Galerkin product, whose spectrum is not that of a finest grid
    // Axes to halve, of a single level whose coarse grid is somebody else's; then `down` and `up` are as they are taken.
    std::optional<std::array<bool, 3>> halved;
    std::vector<double> down, up;      // omegas for a spectrum [0, 2], in the order of the steps
    std::vector<int> lines;            // axes (0 planes, 1 rows, 2 columns) along which lines are smoothed
    int threads = 1;

    void validate() const;
};

// The grids that are smoothed, and the coarsest one, which is solved. `levels[l].coarse` is `levels[l + 1].fine`, the
// last one's the coarsest grid; there is none where the finest grid is the coarsest. Everything is of unit diagonal
// but what is said to be physical; it lives in `memory`. Fields are padded as in stencil.h, ghosts filled.
template <class T>
struct StencilHierarchy {
    int dims;
    Mesh finest, coarsest;
    long members;
    std::vector<StencilLevel<T>> levels;  // with point smoothing `down` and `up` are omegas; with lines one a sweep

    const T *S, *s;             // the finest grid's couplings (also levels[0].S), and its D^-1/2
    const double* scale;        // D^-1/2 again
    const double* couplings;    // physical, (couplings, members, rows, stride)
    const double* excess;       // physical, A 1 (members, rows, stride)

    // (members, N, N) of the coarsest grid's N unknowns, without padding. If its operator is singular, or nearly so,
    // there is no `inverse` yet; the pseudo-inverse of `dense` is to be put there.
    T* inverse = nullptr;
    bool solved = false;        // whether `inverse` is there
    std::vector<double> dense;  // (members, N, N) if not

    bool alone = false;              // whether there is but one level, and the coarse grid is somebody else's,
    std::shared_ptr<Operator> last;  // whose operator this is, until it is taken

    Arena memory;
};

}  // namespace mgnet
