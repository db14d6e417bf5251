#include "equations.h"

#include <algorithm>
#include <cmath>

#include "parts.h"

namespace mgnet {
namespace {

// The equations of a row of unknowns after the other, for one worker.
class EquationRows {
  public:
    EquationRows(const Sides& A, double tame, const Equations& to)
        : A_(A), tame_(tame), to_(to), n_(A.mesh.n[2]), value_(n_), room_{std::vector<double>(n_ + 1), std::vector<double>(n_ + 1)} {}

    void make(long member, long r) {
        member_ = member, of_ = &to_.of[member], row_ = A_.mesh.begin(r);
        at_[0] = r / A_.mesh.n[1], at_[1] = r % A_.mesh.n[1];
        if (A_.c.v) {
            const double *c = A_.c.row(member, at_[0], at_[1], n_, room_[0].data()), w = weight(0) * weight(1);
            for (long l = 0; l < n_; l++) of_->m[row_ + l] = of_->s[CENTRE][row_ + l] = c[l] * (w * A_.share[2][l]);
        }
        for (int d = 0; d < 3; d++)
            for (int side = 0; side < 2 && A_.back[d].v; side++) through_face(d, side);
        for (int other = 0; other < 3; other++)
            for (int way = 0; way < 4 && A_.along[other].v; way++) across_corner(other, way / 2, way % 2);
        for (int o = 0; o < 27; o++)
            if (of_->s[o]) of_->close(o, r);
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
        double *D = of_->s[CENTRE] + row_, *m = of_->m + row_;
        double* const s = r < 0 ? m : of_->s[number_of(step[0], step[1], step[2])] + row_;
        for (long l = 0; l < n_; l++) D[l] += value_[l], s[l] += value_[l];
        if (r < 0 || step[2] == 0 || A_.mesh.wraps[2]) return;
        const long end = step[2] < 0 ? 0 : n_ - 1;
        m[end] += s[end], s[end] = 0;
    }

    const Sides& A_;
    const double tame_;
    const Equations& to_;
    const StreamOperator* of_ = nullptr;
    const long n_;
    long member_ = 0, at_[2] = {}, row_ = 0;
    std::vector<double> value_, room_[2];
};

// zeros for what couples A's unknowns
std::shared_ptr<Equations> room_for(const Sides& A) {
    auto to = std::make_shared<Equations>();
    auto there = [&](int o) {
        const int steps[3] = {step_of(o, 0) != 0, step_of(o, 1) != 0, step_of(o, 2) != 0};
        const int count = steps[0] + steps[1] + steps[2];
        for (int d = 0; d < 3; d++)
            if (count == 1 ? steps[d] && A.back[d].v : count == 2 && !steps[d] && A.along[d].v) return true;
        return o == CENTRE;
    };
    std::size_t arrays = 1;
    for (int o = 0; o < 27; o++) arrays += there(o);
    to->arena.reserve(A.members * arrays * A.mesh.bytes<double>());
    for (long member = 0; member < A.members; member++) {
        to->of.push_back(StreamOperator::of(A.mesh, to->arena, there));
        to->of.back().m = A.mesh.take<double>(to->arena);
    }
    return to;
}

// s_o(i) <- s_{-o}(i + o), and the row sums with them: where A is symmetric nothing is lost of those
std::shared_ptr<Equations> transposed(const Sides& A, const Equations& of, int threads) {
    const StreamMesh& mesh = A.mesh;
    const long n = mesh.n[2];
    auto to = room_for(A);
    in_parts(A.members * mesh.rows(), n, threads, [&](long begin, long end, long) {
        for (long at = begin; at < end; at++) {
            const StreamOperator &from = of.of[at / mesh.rows()], &made = to->of[at / mesh.rows()];
            const long r = at % mesh.rows(), i = mesh.begin(r);
            std::copy_n(from.s[CENTRE] + i, n, made.s[CENTRE] + i), std::copy_n(from.m + i, n, made.m + i);
            for (int o = 0; o < 27; o++) {
                if (o == CENTRE || !from.s[o]) continue;
                const long row = mesh.row(r, step_of(o, 0), step_of(o, 1));
                const double *own = from.s[o] + i, *back = row < 0 ? nullptr : from.s[26 - o] + mesh.begin(row) + step_of(o, 2);
                for (long l = 0; l < n; l++) {
                    const double s = back ? back[l] : 0.0;
                    made.s[o][i + l] = s, made.m[i + l] += own[l] - s;
                }
                made.close(o, r);
            }
        }
    });
    return to;
}

}  // namespace

std::shared_ptr<const Equations> equations_of(const Sides& A, double tame, int threads) {
    auto to = room_for(A);
    const long rows = A.mesh.rows();
    in_parts(A.members * rows, 8 * A.mesh.n[2], threads, [&](long begin, long end, long) {
        EquationRows each(A, tame, *to);
        for (long at = begin; at < end; at++) each.make(at / rows, at % rows);
    });
    return A.transposed ? transposed(A, *to, threads) : to;
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
