// From one grid's operator to the next one's, as blackbox/unsymmetric.py does it: P of the symmetric part, Q of A^T,
// A_c = Q^T A P.
#pragma once
#include <algorithm>

#include "stream_mesh.h"

namespace mgnet {

// w_sigma at every unknown, as if it lay between coarse ones along the axes where sigma is not 0.
using StreamWeights = std::vector<double>[27];

class StreamTransfer {
  public:
    // transposed : of A^T; else of its symmetric part
    StreamTransfer(const StreamOperator& A, const StreamHalving& halving, bool transposed, int threads)
        : A_(A), mesh_(A.mesh), halving_(halving), threads_(threads) {
        positive(transposed);
        ones_.assign(mesh_.stride(), 1.0);
        for (int size = 1; size <= 3; size++)
            for (int sigma = 0; sigma < 27; sigma++) {
                int counted = 0;
                bool possible = true;
                for (int d = 0; d < 3; d++) counted += step_of(sigma, d) != 0, possible &= !step_of(sigma, d) || halving.halved[d];
                if (counted == size && possible) towards(sigma);
            }
        for (auto& c : c_) c.clear();
    }

    // of an unknown towards sigma
    double operator()(int sigma, long at) const { return sigma == CENTRE ? 1.0 : to_[sigma].empty() ? 0.0 : to_[sigma][at]; }
    // of the unknowns of a row from there on; nullptr: none
    const double* from(int sigma, long at) const {
        return sigma == CENTRE ? ones_.data() : to_[sigma].empty() ? nullptr : &to_[sigma][at];
    }

  private:
    // the couplings that count, and the row sum
    void positive(bool transposed) {
        const long n = mesh_.n[2];
        m_.assign(mesh_.size(), 0.0);
        for (int o = 0; o < 27; o++)
            if (o != CENTRE && (!A_.s[o].empty() || !A_.s[26 - o].empty())) c_[o].assign(mesh_.size(), 0.0);
        share_out(mesh_.rows(), threads_, [&](long r) {
            const long here = mesh_.begin(r);
            for (long j = 0; j < n; j++) m_[here + j] = A_.s[CENTRE][here + j];
            for (int o = 0; o < 27; o++) {
                if (c_[o].empty()) continue;
                const long other = mesh_.row(r, step_of(o, 0), step_of(o, 1));
                const std::vector<double>&own = A_.s[o], &back = A_.s[26 - o];
                for (long j = 0; j < n; j++) {
                    const long k = mesh_.inside(j + step_of(o, 2), 2);
                    const double forth = own.empty() ? 0.0 : own[here + j];
                    const double from = back.empty() || other < 0 || k < 0 ? 0.0 : back[mesh_.begin(other) + k];
                    const double s = transposed ? from : (forth + from) / 2;
                    m_[here + j] -= s;
                    c_[o][here + j] = std::max(s, 0.0);
                }
            }
            for (long j = 0; j < n; j++) m_[here + j] = std::max(m_[here + j], 0.0);
        });
    }

    void towards(int sigma) {
        to_[sigma].assign(mesh_.size(), 0.0);
        int ways[27], part[27], rest[27], count = 0;
        for (int o = 0; o < 27; o++) {
            if (c_[o].empty()) continue;
            int p[3], q[3];
            bool any = false, along = true;
            for (int d = 0; d < 3; d++) {
                p[d] = step_of(sigma, d) ? step_of(o, d) : 0, q[d] = step_of(sigma, d) - p[d];
                any |= p[d] != 0, along &= p[d] == 0 || p[d] == step_of(sigma, d);
            }
            if (!any) continue;
            part[count] = number_of(p[0], p[1], p[2]), rest[count] = along ? number_of(q[0], q[1], q[2]) : -1;
            ways[count++] = o;
        }
        share_out(mesh_.rows(), threads_, [&](long r) {
            const long here = mesh_.begin(r);
            const double *s_of[27], *to_of[27];  // rows; none to add
            int across[27];
            for (int k = 0; k < count; k++) {
                const long row = rest[k] < 0 ? -1 : mesh_.row(r, step_of(part[k], 0), step_of(part[k], 1));
                s_of[k] = &c_[ways[k]][here], across[k] = step_of(part[k], 2);
                to_of[k] = row < 0 ? nullptr : rest[k] == CENTRE ? ones_.data() + SIDE : &to_[rest[k]][mesh_.begin(row)];
            }
            for (long j = 0; j < mesh_.n[2]; j++) {
                double total = 0, sum = m_[here + j];
                for (int k = 0; k < count; k++) {
                    const double s = s_of[k][j];
                    sum += s;
                    if (to_of[k] && s != 0) total += s * to_of[k][mesh_.inside(j + across[k], 2)];
                }
                to_[sigma][here + j] = sum > 0 ? total / sum : 0.0;
            }
        });
    }

    const StreamOperator& A_;
    const StreamMesh mesh_;
    const StreamHalving& halving_;
    const int threads_;
    std::vector<double> m_, ones_;
    StreamWeights c_, to_;
};

// A_c = Q^T A P, and the weights of coarse unknowns in the fine ones delta beside them: W_delta = towards(-delta).
class StreamProduct {
  public:
    StreamProduct(const StreamOperator& A, const StreamHalving& halving, const StreamTransfer& Q, const StreamTransfer& P)
        : A_(A), halving_(halving), Q_(Q), P_(P) {}

    StreamOperator operator()(int threads) const {
        StreamOperator to;
        to.mesh = halving_.coarse;
        for (int O = 0; O < 27; O++) {
            bool there = true;
            for (int d = 0; d < 3; d++) there &= step_of(O, d) == 0 || to.mesh.n[d] > 1;
            if (there) to.s[O].assign(to.mesh.size(), 0.0);
        }
        const long n = to.mesh.n[2], inner = regular();
        share_out(to.mesh.rows(), threads, [&](long R) {
            std::vector<double> part(std::max(inner, 1L));
            if (inner > 0) numbers(R, 1, inner, part.data(), to);
            for (long J = 0; J < n; J++)
                if (J < 1 || J > inner) numbers(R, J, 1, part.data(), to);
        });
        return to;
    }

    // the weight of coarse unknown I in the fine one delta beside it, of Q or P
    double weight(const StreamTransfer& of, const long I[3], int delta) const {
        long i[3];
        return beside(I, delta, i) ? of(26 - delta, place(i)) : 0.0;
    }

  private:
    long place(const long i[3]) const { return A_.mesh.begin(i[0] * A_.mesh.n[1] + i[1]) + i[2]; }

    // the fine unknown delta beside coarse unknown I, if that lies between coarse ones along delta
    bool beside(const long I[3], int delta, long i[3]) const {
        for (int d = 0; d < 3; d++) {
            const int step = step_of(delta, d);
            if (step && !halving_.halved[d]) return false;
            i[d] = A_.mesh.inside(halving_.fine_of(I[d], d) + step, d);
            if (i[d] < 0 || (step && halving_.is_coarse(i[d], d))) return false;
        }
        return true;
    }

    // how many numbers of a row, from the second on, are alike: no end is near, and no seam
    long regular() const {
        const long n = halving_.coarse.n[2], last = halving_.halved[2] ? (A_.mesh.n[2] - 3 - halving_.first[2]) / 2 : n - 2;
        return std::max(0L, std::min(n - 2, last));
    }

    // rows of A_c: `count` of row R from J on, which are alike
    void numbers(long R, long J, long count, double* part, StreamOperator& to) const {
        const long I[3] = {R / to.mesh.n[1], R % to.mesh.n[1], J}, step = halving_.halved[2] ? 2 : 1;
        for (int delta = 0; delta < 27; delta++) {
            long i[3];
            if (!beside(I, delta, i)) continue;
            const double* q = Q_.from(26 - delta, place(i));
            for (int o = 0; o < 27 && q; o++) {
                if (A_.s[o].empty()) continue;
                const double* s = &A_.s[o][place(i)];
                for (long k = 0; k < count; k++) part[k] = q[k * step] * s[k * step];
                spread(I, i, o, part, count, to);
            }
        }
    }

    // what the rows of P at i + o make of entries
    void spread(const long I[3], const long i[3], int o, const double* part, long count, StreamOperator& to) const {
        long j[3];
        bool between[3];
        for (int d = 0; d < 3; d++) {
            j[d] = A_.mesh.inside(i[d] + step_of(o, d), d);
            if (j[d] < 0) return;
            between[d] = !halving_.is_coarse(j[d], d);
        }
        const long at = place(j), step = halving_.halved[2] ? 2 : 1;
        for (int sides = 0; sides < 8; sides++) {
            int sigma[3], O[3];
            bool there = true;
            for (int d = 0; d < 3 && there; d++) {
                const int side = sides >> d & 1;
                sigma[d] = between[d] ? 2 * side - 1 : 0;
                const long t = A_.mesh.inside(j[d] + sigma[d], d);
                there = t >= 0 && (between[d] || !side);
                if (!there) break;
                const long n = halving_.coarse.n[d], far = halving_.coarse_of(t, d) - I[d];
                O[d] = !halving_.halved[d] ? step_of(o, d) : static_cast<int>(far > 1 ? far - n : far < -1 ? far + n : far);
            }
            const double* p = there ? P_.from(number_of(sigma[0], sigma[1], sigma[2]), at) : nullptr;
            std::vector<double>* const row = p ? &to.s[number_of(O[0], O[1], O[2])] : nullptr;
            if (!row || row->empty()) continue;
            double* const sum = row->data() + to.mesh.begin(I[0] * to.mesh.n[1] + I[1]) + I[2];
            const double sign = (o == CENTRE) == (row == &to.s[CENTRE]) ? 1.0 : -1.0;  // couplings are minus entries
            for (long k = 0; k < count; k++) sum[k] += sign * part[k] * p[k * step];
        }
    }

    const StreamOperator& A_;
    const StreamHalving& halving_;
    const StreamTransfer &Q_, &P_;
};

}  // namespace mgnet
