// Connected components of strong couplings: of those that are STRONG_COUPLING of what each of the two unknowns has at most.
//
// Blocks of rows are looked at by themselves, then the couplings between blocks. A component has one `label` in each
// block that it reaches; `root` is the first of these. Labels follow the grid's order.
#pragma once
#include <algorithm>
#include <vector>

#include "operators.h"

namespace mgnet {

constexpr double STRONG_COUPLING = 0.25;
constexpr long BLOCK = 1 << 14;  // unknowns of a block, about: whatever the number of threads

template <class X>
class StrongComponents {
    using F = Fields<X>;
    using V = typename X::V;
    using M = typename X::M;
    using Label = std::int32_t;

  public:
    StrongComponents(const Operator& A, long member, int crew)
        : A_(A), mesh_(A.mesh), member_(member), crew_(crew),
          blocks_(std::max(1L, std::min(A.mesh.rows(), A.mesh.size() / BLOCK))) {
        const long N = mesh_.size() + BEYOND;
        largest_ = arena_.take<double>(N), strong_ = arena_.take<std::int16_t>(N), label_ = arena_.take<Label>(N);
        each_row([&](long r) { largest(r); });
        each_row([&](long r) { strong(r); });
        connect();
        join();
    }

    long count() const { return static_cast<long>(root_.size()); }  // of labels
    Label root(Label label) const { return root_[label]; }
    const Label* labels(long r) const { return label_ + place(r, 0); }  // of a row, with its ghosts

    // body(row) for all rows; a label occurs in one block, and so for one thread at a time
    template <class Body>
    void each_row(const Body& body) const {
        F::each_block(1, mesh_.rows(), blocks_, crew_, [&](long, long begin, long end, long, int) {
            for (long r = begin; r < end; r++) body(r);
        });
    }

  private:
    long place(long r, long x) const { return r * mesh_.stride() + LEFT + x; }
    // the row at the offset of coupling h from row r, or at minus it; -1 outside
    long near(long r, int h, int sign) const { return mesh_.row(r, OFFSETS[mesh_.points][h], sign); }
    const double* couplings(int h, long r) const { return A_.couplings(h, member_, r); }
    const double* scale(long r) const { return A_.scale + A_.begin(member_, r); }

    // The largest coupling of each unknown of a row, in unit form.
    void largest(long r) {
        double* out = largest_ + place(r, 0);
        const double* own = scale(r);
        for (int h = 0; h < mesh_.couplings(); h++)
            for (int sign = 1; sign >= -1; sign -= 2) {
                const long row = near(r, h, sign), step = sign * OFFSETS[mesh_.points][h][2];
                if (row < 0) continue;
                const double *other = scale(row) + step, *s = sign > 0 ? couplings(h, r) : couplings(h, row) + step;
                for (long x = 0; x < mesh_.n[2]; x += X::W) {
                    const V v = X::load(s + x) * X::load(own + x) * X::load(other + x), most = X::load(out + x);
                    F::put(out + x, X::where(reinterpret_cast<M>(v > most), v, most), mesh_.n[2] - x);
                }
            }
        mesh_.close(out);
    }

    // Bit h of an unknown: whether coupling h is strong.
    void strong(long r) {
        const double *own = scale(r), *most = largest_ + place(r, 0);
        std::int16_t* out = strong_ + place(r, 0);
        for (int h = 0; h < mesh_.couplings(); h++) {
            const long row = near(r, h, 1), step = OFFSETS[mesh_.points][h][2];
            if (row < 0) continue;
            const double *s = couplings(h, r), *other = scale(row) + step, *theirs = largest_ + place(row, step);
            for (long x = 0; x < mesh_.n[2]; x += X::W) {
                const V v = X::load(s + x) * X::load(own + x) * X::load(other + x);
                const V a = X::load(most + x), b = X::load(theirs + x);
                const M is = reinterpret_cast<M>(v > STRONG_COUPLING * X::where(reinterpret_cast<M>(a > b), a, b));
                for (long k = 0; k < X::W && x + k < mesh_.n[2]; k++)
                    out[x + k] = static_cast<std::int16_t>(out[x + k] | (is[k] & 1) << h);
            }
        }
    }

    // Label what is connected within a block, from 0 on.
    void connect() {
        counts_.assign(blocks_ + 1, 0), block_.resize(mesh_.rows());
        F::each_block(1, mesh_.rows(), blocks_, crew_, [&](long, long begin, long end, long t, int) {
            for (long p = place(begin, 0); p < place(end, 0); p++) label_[p] = static_cast<Label>(p);  // its parent
            auto inside = [&](long row) { return begin <= row && row < end; };
            for (long r = begin; r < end; r++) each_strong(r, inside, [&](long p, long q) { unite(label_, p, q); });
            Label count = 0;
            for (long r = begin; r < end; r++)
                for (long p = place(r, 0); p < place(r, mesh_.n[2]); p++)
                    label_[p] = label_[p] == p ? count++ : label_[label_[p]];  // those before are labels already
            counts_[t + 1] = count;
            for (long r = begin; r < end; r++) block_[r] = t;
        });
        for (long t = 0; t < blocks_; t++) counts_[t + 1] += counts_[t];
    }

    // Join what is coupled strongly from block to block, and let each component keep one label of a block.
    void join() {
        root_.resize(counts_[blocks_]);
        for (long k = 0; k < count(); k++) root_[k] = static_cast<Label>(k);
        for (long r = 0; r < mesh_.rows() && blocks_ > 1; r++)
            each_strong(
                r, [&](long row) { return block_[row] != block_[r]; },
                [&](long p, long q) {
                    unite(root_.data(), label_[p] + counts_[block_[r]], label_[q] + counts_[block_[q / mesh_.stride()]]);
                });
        std::vector<Label> kept(count()), last(count(), -1);  // last: of a root's labels
        for (long t = 0, k = 0; t < blocks_; t++)
            for (; k < counts_[t + 1]; k++) {
                root_[k] = root_[root_[k]];
                Label& of = last[root_[k]];
                if (of < counts_[t]) of = static_cast<Label>(k);
                kept[k] = of;
            }
        each_row([&](long r) {
            Label* row = label_ + place(r, 0);
            for (long x = 0; x < mesh_.n[2]; x++) row[x] = kept[row[x] + counts_[block_[r]]];
            mesh_.close(row);
        });
    }

    // body(p, q) for what is coupled strongly, p in row r, q in a row that is asked for
    template <class Asked, class Body>
    void each_strong(long r, const Asked& asked, const Body& body) const {
        const std::int16_t* strong = strong_ + place(r, 0);
        for (int h = 0; h < mesh_.couplings(); h++) {
            const long row = near(r, h, 1), step = OFFSETS[mesh_.points][h][2];
            if (row < 0 || !asked(row)) continue;
            for (long x = 0; x < mesh_.n[2]; x++)
                if (strong[x] >> h & 1) body(place(r, x), place(row, mesh_.inside(x + step, 2)));
        }
    }

    // Hang the larger root below the smaller one.
    template <class Tree>
    static void unite(Tree* parent, long a, long b) {
        if (parent[a] == parent[b]) return;
        a = find(parent, a), b = find(parent, b);
        parent[std::max(a, b)] = static_cast<Tree>(std::min(a, b));
    }
    template <class Tree>
    static long find(Tree* parent, long i) {
        while (parent[i] != i) parent[i] = parent[parent[i]], i = parent[i];
        return i;
    }

    const Operator& A_;
    const Mesh mesh_;
    const long member_;
    const int crew_;
    const long blocks_;
    Arena arena_;
    double* largest_;
    std::int16_t* strong_;
    Label* label_;
    std::vector<Label> root_;
    std::vector<long> block_, counts_;  // of each row; labels before each block
};

}  // namespace mgnet
