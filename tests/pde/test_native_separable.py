"""Separable operators: laws of the readable levels, and the compiled levels against them.

- constants written as vectors are ``Poisson``'s operator, for every end, Robin and both centrings, and so are stretched
  and curvilinear grids;
- coarse operators along an axis are P^T K P, symmetric; R is P^T;
- every verb of the compiled levels, of points and of lines, is the readable one's: 2-D and 3-D, odd and even sizes,
  axes that close, both precisions, any numbers of steps;
- cycles and full passes are single calls, the same on 1, 2 and 3 threads to the last bit, members as if alone;
- spacings that vary by 14 to 1000 on one or two axes: seven cycles to 1e-8;
- a request is served by the compiled levels where they can, else by the readable ones;
- wrong vectors are refused.
"""

from dataclasses import replace
from itertools import pairwise
from math import prod

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, Poisson, Robin
from mgnet.pde.levels.constant import ReadableHierarchy
from mgnet.pde.levels.separable import AxisOperator, Separable, separable_operator
from mgnet.pde.levels.separable_levels import Chain, readable_levels, separable_grids
from mgnet.pde.native import four, kernels
from mgnet.pde.native.hierarchy import NativeHierarchy
from mgnet.pde.native.separable import fits, separable_hierarchy
from mgnet.pde.outer.backends import PerAxis, compiled, plain_torch, serve
from tests.pde.grids_and_data import CENTERINGS

BATCH = 2
ENDS = [("dirichlet", "neumann"), "periodic", (Robin(3.0), "dirichlet")]


def constant(shape, bc, centering, a, c):
    return separable_operator(Grid(shape, bc=bc, centering=centering).axes, a, c)


def vectors(n, seed, periodic, terms, alike):
    """Random vectors of an axis."""
    random = np.random.default_rng(seed)
    k, m = np.exp(0.4 * random.normal(size=n + 1)), 0.01 * random.random(n)
    k[0] = k[-1] if periodic else k[0]
    w = [np.exp(0.3 * random.normal(size=n)) for _ in range(terms)]
    x = np.cumsum(0.5 + random.random(n))
    w = [torch.from_numpy(w[0] if alike else v) for v in w]
    period = x[-1] - x[0] + 1 if periodic else 0.0
    return AxisOperator(torch.from_numpy(k), torch.from_numpy(m), tuple(w), x, period, 0 if periodic else seed % 2)


def any_operator(shape, periodic, alike=False):
    """With random vectors; in 3-D other weights in each term, but along the last axis."""
    last, terms = len(shape) - 1, len(shape)
    each = [vectors(n, d + n, periodic[d], terms, alike or d == last) for d, n in enumerate(shape)]
    return Separable(tuple(each))


def of_lines(A):
    """The grids that halve all axes but the first, down to one line."""
    operators, halved = [A], []
    while prod(operators[-1].shape[1:]) > 1:
        halved.append((False, *(n > 1 for n in operators[-1].shape[1:])))
        operators.append(operators[-1].coarse(halved[-1]))
    return Chain(tuple(operators), tuple(halved), True)


def of_points(A):
    """Two grids."""
    halved = (True,) * A.ndim
    return Chain((A, A.coarse(halved)), (halved,), False)


def stretched(n, ratio, terms=2):
    """Cells between Dirichlet ends, wide in the middle: ratio of the widest to the narrowest."""
    h = ratio ** (1 - abs(2 * np.linspace(0, 1, n) - 1))
    h /= h.sum()
    x = np.cumsum(h) - h / 2
    k = 1 / np.concatenate([[x[0]], np.diff(x), [1 - x[-1]]])
    k, h = torch.from_numpy(k), torch.from_numpy(h)
    return AxisOperator(k, 0 * h, (h,) * terms, x)


def relative(ours, theirs):
    theirs = theirs.numpy().reshape(ours.shape)
    return abs(ours - theirs).max() / (abs(theirs).max() or 1.0)


def data(shape, seed, dtype=torch.float64):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(BATCH, *shape))).to(dtype)


def arrays(v):
    return v.numpy().reshape(len(v), *four(v.shape[1:])).copy()


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("ends", ENDS, ids=str)
@pytest.mark.parametrize("shape", [(13, 10), (7, 6, 9)], ids=str)
def test_constants_are_separable(shape, ends, centering):
    bc, a, u = [ends, "neumann", "dirichlet"][: len(shape)], (1.0, 0.7, 1.3)[: len(shape)], data(shape, 0)
    A, theirs = constant(shape, bc, centering, a, 0.3), Poisson(Grid(shape, bc=bc, centering=centering), a, 0.3)
    assert relative(A(u).numpy(), theirs.apply(u)) < 1e-14
    assert relative(A.diagonal.numpy(), theirs.A.base.diagonal) < 1e-14


RADII, ANGLES = np.linspace(0, 1, 33) ** 1.3, np.linspace(0, 2 * np.pi, 49)
GRIDS = [
    Grid.from_faces([RADII, ANGLES], bc=[("neumann", "dirichlet"), "periodic"], geometry="polar"),
    Grid.from_faces([RADII, RADII[:30]], bc=[("neumann", Robin(2.0)), "dirichlet"], geometry="axisymmetric"),
    Grid.from_faces([ANGLES, np.linspace(-1.5, 1.5, 41)], bc=["periodic", "dirichlet"], geometry="sphere"),
    Grid.from_nodes([np.linspace(0, 1, 60) ** 2, np.linspace(0, 1, 41)], bc=["dirichlet", "neumann"]),
    Grid.from_faces([0.1 + RADII, np.linspace(0, np.pi, 19), ANGLES[::4]], bc=["dirichlet", "neumann", "periodic"],
                    geometry="spherical"),
]  # fmt: skip


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("c", [0.0, 0.4])
def test_stretched_and_curvilinear_grids_are_separable(grid, c):
    A, u = separable_operator(grid.axes, (1.0, 2.0, 0.5)[: grid.ndim], c), data(grid.shape, 0)
    assert relative(A(u).numpy(), Poisson(grid, (1.0, 2.0, 0.5)[: grid.ndim], c).apply(u)) < 1e-13


@pytest.mark.parametrize("grid", GRIDS[:4], ids=str)
def test_cycles_on_stretched_and_curvilinear_grids(grid):
    A = separable_operator(grid.axes, (1.0, 1.0), 0.1)
    levels = separable_hierarchy(separable_grids(A), torch.float64, 1, "chebyshev", (2, 2), 1)
    f = arrays(data(A.shape, 0)[:1])
    u = levels.full_multigrid(f)
    for _ in range(6):
        u = levels.cycle(u, f)
    assert levels.measured().item() < 1e-8 * levels.norms(None, f).item()


def test_robin_ends_of_a_turning_axis_are_no_products():
    grid = Grid.from_faces([1 + RADII, ANGLES / 7], bc=["dirichlet", (Robin(1.0), "neumann")], geometry="polar")
    assert separable_operator(grid.axes, (1.0, 1.0), 0.0) is None


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("n", [12, 13])
@pytest.mark.parametrize("seed", [0, 1])
def test_coarse_operators_are_galerkin_along_an_axis(n, periodic, seed):
    axis = vectors(n, seed, periodic, 2, True)
    coarse = axis.coarse()
    P = np.zeros((n, coarse.n))
    np.add.at(P, (np.arange(n)[:, None], axis.P.index), axis.P.weights)
    one, one_c = torch.eye(n, dtype=torch.float64), torch.eye(coarse.n, dtype=torch.float64)
    without = AxisOperator(axis.k, 0 * axis.m, axis.w, axis.x, axis.period)  # of m what is lumped
    K, K_c = without.apply(one, -1).numpy(), coarse.apply(one_c, -1).numpy() - np.diag(coarse.m.numpy())
    assert abs(P.T @ K @ P - K_c).max() < 1e-13
    assert abs(P.T @ axis.m.numpy() - coarse.m.numpy()).max() < 1e-15
    assert abs(P.T @ axis.w[0].numpy() - coarse.w[0].numpy()).max() < 1e-14


def test_operators_are_symmetric_and_differentiable():
    A, u, v = any_operator((6, 5, 7), (True, False, False)), data((6, 5, 7), 0)[0], data((6, 5, 7), 1)[0]
    assert abs((v * A(u)).sum() - (u * A(v)).sum()) < 1e-12
    axes = [AxisOperator(a.k.clone().requires_grad_(), a.m, a.w, a.x, a.period, a.first) for a in A.axes]
    (Separable(tuple(axes))(u) * u).sum().backward()
    assert all(axis.k.grad is not None and bool((axis.k.grad > 0).all()) for axis in axes)


@pytest.mark.parametrize("ndim", [2, 3])
def test_gradient_through_a_readable_cycle(ndim):
    A = any_operator((9, 10, 8)[:ndim], (False,) * ndim)
    levels, transfers = readable_levels(of_points(A), "chebyshev", (1, 1))
    f = data(A.shape, 0).requires_grad_()
    ReadableHierarchy(levels, transfers, A, 1).cycle(None, f).sum().backward()
    assert bool(torch.isfinite(f.grad).all())


class Pair:
    """The readable and the compiled levels of one chain."""

    def __init__(self, chain, dtype, nu):
        self.readable = readable_levels(chain.like(torch.zeros((), dtype=dtype)), "chebyshev", nu)
        self.compiled = separable_hierarchy(chain, dtype, BATCH, "chebyshev", nu, 1)
        self.nu, shapes = nu, [chain.shapes[0], chain.shapes[0], chain.shapes[1]]
        self.u, self.f, self.e = (data(shape, k, dtype) for k, shape in enumerate(shapes))

    def run(self, u=None, guess=None, e=None, way=0, out=True, f_c=False, norm=False, omega=1.0):
        """(iterate, restricted residual, squares) of a pass on the finest grid."""
        v = [None if w is None else arrays(w) for w in (u, guess, e)]
        out, f_c = (np.full_like(arrays(w), np.nan) if yes else None for yes, w in ((out, self.f), (f_c, self.e)))
        squares = self.compiled._kernels.pass_(0, *v, arrays(self.f), out, f_c, way, norm, False, omega)
        return out, f_c, squares

    def errors(self):
        (level, *_), (transfer, *_) = self.readable
        u, f, e = self.u, self.f, self.e
        for v in (None, u):
            smooth, _, F_c = level.down(v, f, None)
            out, f_c, _ = self.run(v, way=int(self.nu[0] > 0), out=self.nu[0] > 0, f_c=True)
            yield relative(f_c, F_c)
            yield 0.0 if out is None else relative(out, smooth)
            yield relative(self.run(v, e=e, way=2)[0], level.up(v, f, None, e))
        q = transfer.Q(e)
        yield relative(self.run(guess=e, out=False, f_c=True)[1], transfer.R(f - level.A(q)))
        yield relative(self.run(guess=e, e=e, way=2)[0], level.up(q, f, None, e))
        yield relative(self.run(u, out=False, norm=True)[2], ((f - level.A(u)) ** 2).flatten(1).sum(1))
        out, f_c, squares = self.run(u, e=e, way=3, f_c=True, norm=True, omega=1.3)
        w = 1.3 * level.smooth(level.up(u, f, None, e), f) - 0.3 * u
        r = f - level.A(w)
        yield from (relative(out, w), relative(f_c, transfer.R(r)), relative(squares, (r**2).flatten(1).sum(1)))


@pytest.mark.parametrize("nu", [(2, 2), (0, 2), (3, 1)], ids=str)
@pytest.mark.parametrize("periodic", [(False, True, False), (True, False, True)], ids=str)
@pytest.mark.parametrize("shape", [(22, 35), (33, 16), (9, 12, 14), (12, 9, 33)], ids=str)
@pytest.mark.parametrize("kind", [of_points, of_lines])
def test_verbs(kind, shape, periodic, nu):
    A = any_operator(shape, periodic)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
        assert max(Pair(kind(A), dtype, nu).errors()) < tolerance


@pytest.mark.parametrize("kind", [of_points, of_lines])
@pytest.mark.parametrize("shape", [(33, 40), (8, 9, 10)], ids=str)
def test_whole_cycles(shape, kind):
    A = any_operator(shape, (False, True, True), alike=True)
    pair = Pair(kind(A), torch.float64, (2, 2))
    readable = ReadableHierarchy(*pair.readable, A, 1)
    u, ours = pair.u, arrays(pair.u)
    for _ in range(2):
        u, ours = readable.cycle(u, pair.f), pair.compiled.cycle(ours, arrays(pair.f), measure=False)
        assert relative(ours, u) < 1e-11
    ours = pair.compiled.full_multigrid(arrays(pair.f))
    assert (pair.compiled.measured() < 0.3 * pair.compiled.norms(None, arrays(pair.f))).all()
    alone = separable_hierarchy(kind(A), torch.float64, 1, "chebyshev", (2, 2), 1)
    assert (alone.full_multigrid(arrays(pair.f[1:])) == ours[1:]).all()


@pytest.mark.parametrize("kind", [of_points, of_lines])
@pytest.mark.parametrize("shape", [(160, 131), (24, 30, 33)], ids=str)
def test_threads_give_equal_bits(shape, kind):
    A, results, before = any_operator(shape, (False,) * 3, alike=True), [], torch.get_num_threads()
    f = arrays(data(shape, 0)[:1])
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        try:
            levels = separable_hierarchy(kind(A), torch.float64, 1, "chebyshev", (2, 2), 1)
        finally:
            torch.set_num_threads(before)
        results.append(levels.cycle(levels.full_multigrid(f), f).copy())
    assert all((a == b).all() for a, b in pairwise(results))


@pytest.mark.parametrize("ratios", [(14, 1), (1, 14), (14, 14), (100, 100), (1000, 1), (1000, 1000)], ids=str)
def test_cycles_on_stretched_grids(ratios):
    A = Separable((stretched(96, ratios[0]), stretched(85, ratios[1])))
    chain = separable_grids(A)
    assert chain.lines
    assert fits(chain, torch.device("cpu"))
    levels = separable_hierarchy(chain, torch.float64, 1, "chebyshev", (2, 2), 1)
    f = arrays(data(A.shape, 0)[:1])
    u, norms = levels.full_multigrid(f), [levels.norms(None, f).item(), levels.measured().item()]
    while norms[-1] > 1e-8 * norms[0] and len(norms) < 20:
        u = levels.cycle(u, f)
        norms.append(levels.measured().item())
    assert len(norms) - 1 <= 7
    true = torch.from_numpy(f[0, :, 0]) - A(torch.from_numpy(u[0, :, 0]))
    assert abs(true.norm().item() - norms[-1]) < 1e-10 * norms[0]


def test_grids_that_suit_an_operator():
    assert not separable_grids(constant((64, 64), "dirichlet", "node", (1.0, 1.0), 0.0)).lines
    assert separable_grids(constant((64, 64), "dirichlet", "node", (1.0, 1e-3), 0.0)).halved[0] == (True, False)
    beside = Separable((stretched(32, 1, 3), stretched(32, 100, 3), stretched(32, 100, 3)))
    assert separable_grids(beside) is None  # neither points nor lines along the first axis
    first = Separable((stretched(32, 100, 3), stretched(32, 1, 3), stretched(32, 1, 3)))
    assert separable_grids(first).lines


@pytest.mark.parametrize("ratio", [1, 100])
def test_back_ends(ratio):
    A, f = Separable((stretched(64, ratio), stretched(70, 1))), data((64, 70), 0)
    request = PerAxis(f, "chebyshev", (2, 2), 1, separable_grids(A))
    ours, plain = serve(request), serve(request, [plain_torch])
    assert isinstance(ours, NativeHierarchy)
    assert isinstance(plain, ReadableHierarchy)
    u = ours.cycle(None, ours.data(f), measure=False)
    assert relative(u, plain.cycle(None, f)) < 1e-11
    assert compiled(replace(request, smoother="zebra")) is None


def test_a_singular_problem():
    A = constant((60, 50), "neumann", "cell", (1.0, 1.0), 0.0)
    f = data(A.shape, 0)
    f -= f.mean((1, 2), keepdim=True)
    for chain in (separable_grids(A), of_lines(A)):
        levels = separable_hierarchy(chain, torch.float64, BATCH, "chebyshev", (2, 2), 1)
        u = levels.full_multigrid(arrays(f))
        for _ in range(8):
            u = levels.cycle(u, arrays(f))
        assert (levels.measured() < 1e-7 * levels.norms(None, arrays(f))).all()


@pytest.mark.parametrize(
    ("k", "m", "w", "words"),
    [
        (np.ones(8), np.zeros(8), np.ones(8), "n \\+ 1 conductances"),
        (np.ones(9), np.zeros(7), np.ones(8), "n numbers"),
        (np.ones(9), np.zeros(8), np.zeros(8), "positive"),
        (-np.ones(9), np.zeros(8), np.ones(8), ">= 0"),
        (np.full(9, np.nan), np.zeros(8), np.ones(8), "finite"),
    ],
)
def test_wrong_vectors_are_refused(k, m, w, words):
    one = kernels.Table(np.arange(8), np.ones((8, 1)), 8, (0, 0))
    single = kernels.Table(np.zeros(1, np.int64), np.ones((1, 1)), 1, (0, 0))
    none = kernels.Factor(np.zeros(2), np.zeros(1), [np.ones(1)] * 3)
    factors, tables = [kernels.Factor(k, m, [w] * 3), none, kernels.Factor(k, m, [w] * 3)], [one, single, one]
    with pytest.raises(ValueError, match=words):
        kernels.separable_grid(
            2, [(8, False), (1, False), (8, False)], factors, [8, 1, 8], tables, tables, tables, [], []
        )
