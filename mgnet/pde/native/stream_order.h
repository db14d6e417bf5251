// The order in which sweeps take the rows of a grid in turn: planes (in 2-D rows) from both ends to the middle or back,
// the rows of a plane up or down. Planes of a pair are no neighbours, but for the last pair of an even number, which
// count as the middle.
#pragma once
#include "stream_mesh.h"

namespace mgnet {

struct StreamOrder {
    long planes, inner, pairs;
    bool inwards, up;

    StreamOrder(const StreamMesh& mesh, bool inwards, bool up)
        : planes(mesh.n[0] > 1 ? mesh.n[0] : mesh.n[1]), inner(mesh.n[0] > 1 ? mesh.n[1] : 1),
          pairs(planes % 2 == 0 ? planes / 2 - 1 : planes / 2), inwards(inwards), up(up) {}

    long row(long plane, long k) const { return plane * inner + (up ? k : inner - 1 - k); }
    // of the k-th pair, at the first or the last end
    long plane(long k, long side) const {
        const long pair = inwards ? k : pairs - 1 - k;
        return side == 0 ? pair : planes - 1 - pair;
    }
    // whether one of two neighbours comes before the other
    bool before(long r, long other) const {
        const long a = r / inner, b = other / inner;
        return a == b ? (up ? r < other : r > other) : rank(a) < rank(b);
    }

  private:
    long rank(long plane) const {
        if (plane >= pairs && plane < planes - pairs) return plane;  // the middle: after `pairs` others, or before them
        const long depth = plane < pairs ? plane : planes - 1 - plane;
        return inwards ? depth : planes - depth;
    }
};

}  // namespace mgnet
