// What a cycle writes to. Levels never change once they are made, so that threads share them, each with a space of its
// own, which serves all members.
#pragma once
#include <vector>

#include "stream_mesh.h"

namespace mgnet {

// Padded rows of one grid: the iterate, its datum, the residual; while lines are solved, r is their workspace.
template <class T>
struct StreamGrid {
    T *u, *f, *r;
};

template <class T>
struct StreamSpace {
    std::vector<StreamGrid<T>> grids;  // the finest first
    std::vector<double> room;          // of elimination

    void fit(const std::vector<StreamMesh>& meshes) {
        std::size_t bytes = 0;
        for (std::size_t l = grids.size(); l < meshes.size(); l++) bytes += 3 * meshes[l].template bytes<T>();
        if (bytes > 0) arena_.reserve(bytes);
        for (std::size_t l = grids.size(); l < meshes.size(); l++) {
            const StreamMesh& mesh = meshes[l];
            grids.push_back({mesh.take<T>(arena_), mesh.take<T>(arena_), mesh.take<T>(arena_)});
        }
    }

  private:
    Arena arena_;
};

}  // namespace mgnet
