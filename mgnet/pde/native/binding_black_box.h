// What Python has of a black-box hierarchy's cycles.
#pragma once
#include "binding_hierarchy.h"

namespace mgnet {

using Numbers = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// The cycles of one hierarchy: checks every array that it is given, and lets one caller in at a time.
class BlackBox {
  public:
    BlackBox(const std::string& machine, const Hierarchy& hierarchy, bool single_data, int gamma, long batch, int threads,
             const std::optional<std::tuple<long, long>>& counted)
        : of_singles_(hierarchy.singles()), of_doubles_(hierarchy.doubles()), run_{gamma, batch, threads, single_data} {
        if (counted) run_.counted[0] = std::get<0>(*counted), run_.counted[1] = std::get<1>(*counted);
        require(0 <= run_.counted[0] && run_.counted[0] < run_.counted[1], "`counted` must be planes of the finest grid");
        require(gamma >= 0, "`gamma` must be 0 (the F-cycle) or positive");
        require(batch >= 1 && threads >= 1, "`batch` and `threads` must be positive");
        const StencilKernels& kernels = *machine_called(machine).stencil;
        visit([&](const auto& h) {
            require(h.solved || h.alone, "the coarsest grid has no inverse yet: `set_inverse`");
            one_ = h.alone;
            require(h.members == 1 || h.members == batch, "the hierarchy must have one member, or as many as the batch");
            for (const auto& level : h.levels) meshes_.push_back(level.fine);
            meshes_.push_back(h.coarsest);
        });
        cycles_.reset(of_singles_ ? kernels.make32(*of_singles_, run_) : kernels.make64(*of_doubles_, run_));
    }

    nb::object begin(std::optional<Input> x, Input b) {
        whole();
        const void *from = data(x, "x"), *datum = data(b, "b");
        return numbers([&](double* norms) { cycles_->begin(from, datum, norms); });
    }
    // Steps of conjugate gradients from x (`zero`: from zero) to x_out, back to x, and so on: at least one, at most
    // `most`, until all members' norms are down to tol size or one's, above that, is not down to `enough` of the one
    // before. Returns the norms after each step (steps, batch), and rz, rp.
    nb::object advance(Output x, Output x_out, bool zero, Input b, Numbers floor, Numbers norms, Numbers rz, Numbers rp,
                       Numbers size, double tol, double enough, long most) {
        whole();
        const double *least = members(floor, "floor"), *scale = members(size, "size");
        const void* datum = data(b, "b");
        void *from = data(x, "x"), *to = other(x_out, from);
        require(most >= 1, "`most` must be at least 1");
        std::vector<double> state[3], history;
        const double* given[3] = {members(norms, "norms"), members(rz, "rz"), members(rp, "rp")};
        for (int k = 0; k < 3; k++) state[k].assign(given[k], given[k] + run_.batch);
        long steps = 0;
        alone_([&] {
            for (bool on = true; on && steps < most; steps++) {
                const std::vector<double> before = state[0];
                cycles_->advance(zero && steps == 0 ? nullptr : from, to, datum, least, state[0].data(),
                                 state[1].data(), state[2].data());
                std::swap(from, to);
                history.insert(history.end(), state[0].begin(), state[0].end());
                on = false;
                for (long m = 0; m < run_.batch; m++) on |= !(state[0][m] == 0 || state[0][m] / scale[m] <= tol);
                for (long m = 0; on && m < run_.batch; m++)
                    on = state[0][m] == 0 || state[0][m] / scale[m] <= tol || state[0][m] <= enough * before[m];
            }
        });
        return nb::make_tuple(numpy_of(history.data(), {static_cast<std::size_t>(steps), std::size_t(run_.batch)}),
                              numpy_of(state[1]), numpy_of(state[2]));
    }
    nb::object full_multigrid(Output x_out, Input b, bool measured) {
        whole();
        const void* datum = data(b, "b");
        void* to = other(x_out, nullptr);
        return numbers([&](double* norms) { cycles_->full_multigrid(to, datum, measured, norms); });
    }
    nb::object cycle(std::optional<Input> x, Output x_out, Input b, bool measured) {
        whole();
        const void *from = data(x, "x"), *datum = data(b, "b");
        void* to = other(x_out, from);
        return numbers([&](double* norms) { cycles_->cycle(from, to, datum, measured, norms); });
    }
    nb::object norms(std::optional<Input> x, Input b) {
        const void *from = data(x, "x"), *datum = data(b, "b");
        return numbers([&](double* norms) { cycles_->norms(from, datum, norms); });
    }

    nb::object dot(Input v, Input w) {
        const void *a = field(v, 0, "v"), *d = field(w, 0, "w");
        return numbers([&](double* sums) { cycles_->dot(a, d, sums); });
    }
    nb::object turn(Input z, Input p, Numbers beta, Output p_out) {
        const void *a = field(z, 0, "z"), *d = field(p, 0, "p");
        const double* each = members(beta, "beta");
        void* to = field(p_out, 0, "p_out");
        require(to != d, "`p_out` must be other memory than `p`");
        return numbers([&](double* energy) { cycles_->turn(a, d, each, to, energy); });
    }
    nb::object move(std::optional<Input> x, std::optional<Input> p, Numbers alpha, std::optional<Output> x_out, Input b,
                    Numbers scale, std::optional<Output> r) {
        const double *each = members(alpha, "alpha"), *factors = members(scale, "scale");
        const void *from = data(x, "x"), *along = field(p, 0, "p"), *datum = data(b, "b");
        void *to = x_out ? other(*x_out, from) : nullptr, *rest = r ? field(*r, 0, "r") : nullptr;
        std::vector<double> rp(run_.batch);
        nb::object squares = numbers([&](double* squares) {
            cycles_->move(from, along, each, to, datum, factors, rest, squares, rp.data());
        });
        return nb::make_tuple(squares, numpy_of(rp));
    }

    void smooth(int l, std::optional<Input> u, Input f, Output out, bool up) {
        const void *a = field(u, l, "u"), *d = field(f, l, "f");
        void* to = field(out, l, "out");
        alone_([&] { cycles_->smooth(known(l), a, d, to, up); });
    }
    void down(int l, std::optional<Input> u, Input f, Output out, Output f_c) {
        const void *a = field(u, l, "u"), *d = field(f, l, "f");
        void *to = field(out, l, "out"), *to_c = field(f_c, l + 1, "f_c");
        alone_([&] { cycles_->down(known(l), a, d, to, to_c); });
    }
    void up(int l, Input u, Input f, Input e, Output out) {
        const void *a = field(u, l, "u"), *d = field(f, l, "f"), *c = field(e, l + 1, "e");
        void* to = field(out, l, "out");
        alone_([&] { cycles_->up(known(l), a, d, c, to); });
    }
    void restrict_(int l, Input f, Output f_c, std::optional<Input> u) {
        const void *d = field(f, l, "f"), *a = field(u, l, "u");
        void* to = field(f_c, l + 1, "f_c");
        alone_([&] { cycles_->restrict_(known(l), a, d, to); });
    }
    void interpolate(int l, Input e, Output out, std::optional<Input> u) {
        const void *c = field(e, l + 1, "e"), *a = field(u, l, "u");
        void* to = field(out, l, "out");
        alone_([&] { cycles_->interpolate(known(l), a, c, to); });
    }
    void solve(Input f, Output u) {
        whole();
        const int l = static_cast<int>(meshes_.size()) - 1;
        const void* d = field(f, l, "f");
        void* to = field(u, l, "u");
        alone_([&] { cycles_->solve(d, to); });
    }

  private:
    template <class Do>
    void visit(const Do& what) const {
        of_singles_ ? what(*of_singles_) : what(*of_doubles_);
    }

    void whole() const { require(!one_, "a level alone has no cycles"); }

    int known(int l) const {
        require(l >= 0 && l < static_cast<int>(meshes_.size()) - 1, "there is no such level");
        return l;
    }

    template <class Array>
    auto data(const Array& v, const char* name) const -> decltype(v.data()) {
        const Mesh& mesh = meshes_[0];
        check(v, run_.single, {run_.batch, mesh.n[0], mesh.n[1], mesh.n[2]}, name);
        return v.data();
    }
    const void* data(const std::optional<Input>& v, const char* name) const { return v ? data(*v, name) : nullptr; }

    void* other(const Output& x_out, const void* x) const {
        void* to = data(x_out, "x_out");
        require(to != x, "`x_out` must be other memory than `x`");
        return to;
    }

    template <class Array>
    auto field(const Array& v, int l, const char* name) const -> decltype(v.data()) {
        require(l >= 0 && l < static_cast<int>(meshes_.size()), "there is no such level");
        const Mesh& mesh = meshes_[l];
        check(v, of_singles_ != nullptr, {run_.batch, mesh.rows(), mesh.stride()}, name);
        return v.data();
    }
    const void* field(const std::optional<Input>& v, int l, const char* name) const {
        return v ? field(*v, l, name) : nullptr;
    }

    const double* members(const Numbers& v, const char* name) const {
        require(static_cast<long>(v.size()) == run_.batch, "`" + std::string(name) + "` must have one number a member");
        return v.data();
    }

    template <class Work>
    nb::object numbers(const Work& work) {
        std::vector<double> each(run_.batch);
        alone_([&] { work(each.data()); });
        return numpy_of(each);
    }

    std::shared_ptr<const StencilHierarchy<float>> of_singles_;
    std::shared_ptr<const StencilHierarchy<double>> of_doubles_;
    std::vector<Mesh> meshes_;
    StencilRun run_;
    bool one_ = false;  // whether the hierarchy is a level alone
    std::unique_ptr<StencilCycles> cycles_;
    Turns alone_;
};

}  // namespace mgnet
