// Grids of an operator with convection, and its stencils: each unknown's own couplings to all 26 around it.
//
// (A u)_i = d_i u_i - sum_o s_o(i) u_{i+o}. Arrays are (rows, stride): a row's numbers begin after SIDE others, of which
// the last, as the first after the row, is the ghost that a periodic axis repeats; elsewhere it is 0.
#pragma once
#include <vector>

#include "arena.h"
#include "pool.h"

namespace mgnet {

constexpr long SIDE = 8;
constexpr int CENTRE = 13;  // the number of offset 0; that of -o is 26 - number

constexpr int number_of(int o0, int o1, int o2) { return (o0 + 1) * 9 + (o1 + 1) * 3 + o2 + 1; }
constexpr int step_of(int number, int d) { return (d == 0 ? number / 9 : d == 1 ? number / 3 % 3 : number % 3) - 1; }

struct StreamMesh {
    long n[3] = {1, 1, 1};
    bool wraps[3] = {};

    long rows() const { return n[0] * n[1]; }
    long stride() const { return SIDE + (n[2] + SIDE - 1) / SIDE * SIDE + SIDE; }
    long size() const { return rows() * stride(); }
    long unknowns() const { return n[0] * n[1] * n[2]; }
    long begin(long r) const { return r * stride() + SIDE; }

    // at most, of an array
    template <class T>
    std::size_t bytes() const {
        return (size() + 8 * SIDE) * sizeof(T);
    }
    // zeros for a grid, and behind it what vectors may read
    template <class T>
    T* take(Arena& arena) const {
        return arena.take<T>(size() + 2 * SIDE);
    }
    // the ghosts of a row of which the numbers are there
    template <class T>
    void close(T* row) const {
        row[-1] = wraps[2] ? row[n[2] - 1] : T(0), row[n[2]] = wraps[2] ? row[0] : T(0);
    }

    // wrapped, or -1 beyond an end
    long inside(long i, int d) const {
        if (i >= 0 && i < n[d]) return i;
        return wraps[d] ? (i + n[d]) % n[d] : -1;
    }
    long row(long r, int o0, int o1) const {
        const long a = inside(r / n[1] + o0, 0), b = inside(r % n[1] + o1, 1);
        return a < 0 || b < 0 ? -1 : a * n[1] + b;
    }
    // lines of 2 colours, or 3 where an axis of odd length closes
    int colours(int d) const { return wraps[d] && n[d] > 1 && n[d] % 2 == 1 ? 3 : 2; }
    int colour(long i, int d) const { return colours(d) == 3 && i == n[d] - 1 ? 2 : static_cast<int>(i % 2); }
};

// Which unknowns of a grid are coarse: first, first + 2, ... along the axes that are halved.
struct StreamHalving {
    bool halved[3] = {};
    long first[3] = {};
    StreamMesh coarse;

    bool is_coarse(long i, int d) const { return !halved[d] || (i >= first[d] && (i - first[d]) % 2 == 0); }
    long coarse_of(long i, int d) const { return halved[d] ? (i - first[d]) / 2 : i; }
    long fine_of(long I, int d) const { return halved[d] ? first[d] + 2 * I : I; }
};

// One member's: s[CENTRE] is the diagonal; null where there is none. Of closed rows the ghosts are there, too.
struct StreamOperator {
    StreamMesh mesh;
    double* s[27] = {};
    double* m = nullptr;  // row sums, where they are better known than as differences

    // arrays of zeros for what is there
    template <class There>
    static StreamOperator of(const StreamMesh& mesh, Arena& arena, const There& there) {
        StreamOperator to;
        to.mesh = mesh;
        for (int o = 0; o < 27; o++)
            if (there(o)) to.s[o] = mesh.take<double>(arena);
        return to;
    }
    void close(int o, long r) const { mesh.close(s[o] + mesh.begin(r)); }
};

// What each member's equations are made of.
struct Equations {
    Arena arena;
    std::vector<StreamOperator> of;  // with m = A 1, of which no digit is lost
};

// work(task) on the pool's threads
template <class Work>
void share_out(long tasks, int threads, const Work& work) {
    run(tasks, threads, [&](long number, int) { work(number); });
}

}  // namespace mgnet
