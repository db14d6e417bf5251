// The fine unknowns that lie beside coarse ones, or between them, along rows of both grids.
#pragma once
#include <algorithm>

#include "stream_mesh.h"

namespace mgnet {

// from[step k], for k < W
template <class X>
inline typename X::V strided(const typename X::T* from, long step) {
    return step == 1 ? X::load(from) : X::evens(X::load(from), X::load(from + X::W));
}

class StreamBetween {
  public:
    StreamBetween(const StreamMesh& fine, const StreamHalving& halving) : fine_(fine), halving_(halving) {}

    // how far apart in a fine row those of neighbours in a coarse row are
    long step() const { return halving_.halved[2] ? 2 : 1; }
    long place(const long i[3]) const { return fine_.begin(i[0] * fine_.n[1] + i[1]) + i[2]; }
    // Open rows are alike from end to end: beyond them there are zeros.
    bool is_open(int d) const { return d == 2 && !fine_.wraps[2]; }

    // the fine unknown delta beside coarse unknown I, if that lies between coarse ones along delta; before the first
    // one of an open row there are zeros
    bool beside(const long I[3], int delta, long i[3]) const {
        for (int d = 0; d < 3; d++) {
            const int step = step_of(delta, d);
            if (step && !halving_.halved[d]) return false;
            i[d] = halving_.fine_of(I[d], d) + step;
            if (is_open(d)) continue;
            i[d] = fine_.inside(i[d], d);
            if (i[d] < 0 || (step && halving_.is_coarse(i[d], d))) return false;
        }
        return true;
    }

    // what(J, count) for unknowns of a coarse row that are alike: all of them, or those away from a closed row's seam,
    // and each of the others
    template <class What>
    void for_alike(const What& what) const {
        const long n = halving_.coarse.n[2];
        if (is_open(2)) return what(0, n);
        const long last = halving_.halved[2] ? (fine_.n[2] - 3 - halving_.first[2]) / 2 : n - 2;
        const long inner = std::max(0L, std::min(n - 2, last));
        if (inner > 0) what(1, inner);
        for (long J = 0; J < n; J++)
            if (J < 1 || J > inner) what(J, 1);
    }

  private:
    const StreamMesh fine_;
    const StreamHalving halving_;
};

}  // namespace mgnet
