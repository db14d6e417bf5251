#include "equations.h"

#include <atomic>
#include <cmath>

#include "parts.h"

namespace mgnet {
namespace {

// The equations of a row of unknowns after the other, for one worker.
class EquationRows {
  public:
    EquationRows(const Sides& A, double tame, Equations& to)
        : A_(A), tame_(tame), to_(to), n_(A.mesh.n[2]), value_(n_), room_{std::vector<double>(n_ + 1), std::vector<double>(n_ + 1)} {}

    void make(long member, long r) {
        member_ = member, at_[0] = r / A_.mesh.n[1], at_[1] = r % A_.mesh.n[1];
        row_ = (member * A_.mesh.rows() + r) * n_;
        if (A_.c.v) {
            const double *c = A_.c.row(member, at_[0], at_[1], n_, room_[0].data()), w = weight(0) * weight(1);
            for (long l = 0; l < n_; l++) to_.excess[row_ + l] = to_.s[CENTRE][row_ + l] = c[l] * (w * A_.share[2][l]);
        }
        for (int d = 0; d < 3; d++)
            for (int side = 0; side < 2 && A_.back[d].v; side++) through_face(d, side);
        for (int other = 0; other < 3; other++)
            for (int way = 0; way < 4 && A_.along[other].v; way++) across_corner(other, way / 2, way % 2);
    }

  private:
    double weight(int d) const { return A_.share[d][at_[d]]; }

    void through_face(int d, int side) {
        const long i = at_[0] + (d == 0 && side), j = at_[1] + (d == 1 && side), count = n_ + (d == 2);
        const double* back = A_.back[d].row(member_, i, j, count, room_[0].data());
        const double* forth = A_.forth[d].row(member_, i, j, count, room_[1].data());
        const double w = (d == 0 ? 1.0 : weight(0)) * (d == 1 ? 1.0 : weight(1));
        if (d == 2) back += side, forth += side;
        for (long l = 0; l < n_; l++) {
            const double own = side == 0 ? back[l] : forth[l];
            value_[l] = (tame_ > 0 ? own + more(back[l], forth[l]) : own) * (d == 2 ? w : w * A_.share[2][l]);
        }
        int step[3] = {};
        step[d] = 2 * side - 1;
        couple(step);
    }

    double more(double back, double forth) const {
        return std::fmax(std::abs(back - forth) / tame_ - (back + forth), 0.0) / 2;
    }

    // above or below along the first and the second of the axes
    void across_corner(int other, bool first, bool second) {
        const int d = other == 0 ? 1 : 0, e = other == 2 ? 1 : 2;
        const long i = at_[0] + (d == 0 && first), j = at_[1] + (d == 1 ? first : e == 1 && second);
        const double* s = (first == second ? A_.along : A_.across)[other].row(member_, i, j, n_ + (e == 2), room_[0].data());
        const double w = other == 2 ? 1.0 : weight(other), sign = first == second ? 1.0 : -1.0;
        if (e == 2) s += second;
        for (long l = 0; l < n_; l++) value_[l] = sign * s[l] * (other == 2 ? A_.share[2][l] : w);
        int step[3] = {};
        step[d] = first ? 1 : -1, step[e] = second ? 1 : -1;
        couple(step);
    }

    // add what couples the row to the unknowns a step away, or beyond an end
    void couple(const int step[3]) {
        const long *n = A_.mesh.n, r = A_.mesh.row(at_[0] * n[1] + at_[1], step[0], step[1]);
        double *D = &to_.s[CENTRE][row_], *m = &to_.excess[row_];
        double* const s = r < 0 ? m : &to_.s[number_of(step[0], step[1], step[2])][row_];
        for (long l = 0; l < n_; l++) D[l] += value_[l], s[l] += value_[l];
        if (r < 0 || step[2] == 0 || A_.mesh.wraps[2]) return;
        const long end = step[2] < 0 ? 0 : n_ - 1;
        m[end] += s[end], s[end] = 0;
    }

    const Sides& A_;
    const double tame_;
    Equations& to_;
    const long n_;
    long member_ = 0, at_[2] = {}, row_ = 0;
    std::vector<double> value_, room_[2];
};

// s_o(i) <- s_{-o}(i + o), and the row sums with them: where A is symmetric nothing is lost of those
void transpose(const Sides& A, Equations& of, int threads) {
    const StreamMesh& mesh = A.mesh;
    const long n = mesh.n[2];
    Equations to;
    for (int o = 0; o < 27; o++) to.s[o].assign(of.s[o].size(), 0.0);
    to.s[CENTRE] = of.s[CENTRE], to.excess = of.excess;
    in_parts(A.members * mesh.rows(), n, threads, [&](long begin, long end, long) {
        for (long at = begin; at < end; at++) {
            const long member = at / mesh.rows(), r = at % mesh.rows();
            for (int o = 0; o < 27; o++) {
                if (o == CENTRE || of.s[o].empty()) continue;
                const long row = mesh.row(r, step_of(o, 0), step_of(o, 1));
                for (long l = 0; l < n; l++) {
                    const long k = mesh.inside(l + step_of(o, 2), 2), i = at * n + l;
                    to.s[o][i] = row < 0 || k < 0 ? 0.0 : of.s[26 - o][(member * mesh.rows() + row) * n + k];
                    to.excess[i] += of.s[o][i] - to.s[o][i];
                }
            }
        }
    });
    of = std::move(to);
}

}  // namespace

Equations equations_of(const Sides& A, double tame, int threads) {
    Equations to;
    const long size = A.members * A.mesh.unknowns();
    to.s[CENTRE].assign(size, 0.0), to.excess.assign(size, 0.0);
    for (int o = 0; o < 27; o++) {
        int steps[3] = {step_of(o, 0) != 0, step_of(o, 1) != 0, step_of(o, 2) != 0};
        const int count = steps[0] + steps[1] + steps[2];
        bool there = false;
        for (int d = 0; d < 3; d++)
            there |= count == 1 ? steps[d] && A.back[d].v : count == 2 && !steps[d] && A.along[d].v;
        if (there) to.s[o].assign(size, 0.0);
    }
    const long rows = A.mesh.rows();
    in_parts(A.members * rows, 8 * A.mesh.n[2], threads, [&](long begin, long end, long) {
        EquationRows each(A, tame, to);
        for (long at = begin; at < end; at++) each.make(at / rows, at % rows);
    });
    if (A.transposed) transpose(A, to, threads);
    return to;
}

bool is_tame(const Sides& A, double tame) {
    std::vector<double> room[2];
    for (int d = 0; d < 3; d++) {
        if (!A.back[d].v || A.back[d].v == A.forth[d].v) continue;
        const long count = A.mesh.n[2] + (d == 2), planes = A.mesh.n[0] + (d == 0), lines = A.mesh.n[1] + (d == 1);
        for (auto& v : room) v.resize(count);
        for (long at = 0; at < A.members * planes * lines; at++) {
            const long member = at / (planes * lines), i = at / lines % planes, j = at % lines;
            const double* back = A.back[d].row(member, i, j, count, room[0].data());
            const double* forth = A.forth[d].row(member, i, j, count, room[1].data());
            for (long l = 0; l < count; l++)
                if (!(std::abs(back[l] - forth[l]) <= tame * (back[l] + forth[l]))) return false;
        }
    }
    return true;
}

}  // namespace mgnet
