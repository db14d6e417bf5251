"""Separation of variables, where numbers are the coefficients of a stretched or curvilinear grid in space:

1  The solution is that of an elimination of all unknowns, for every end, centring and order of the axes.
2  Cells whose widths change by 1000 along one, two and three axes take one cycle to 1e-8, and two to 1e-12, whatever
   the ends.
3  What hardly holds u, c or alpha of 1e-9, is not lost.
4  Batches, float32, one pass, gradients and reactions work; coefficients that vary, and walls, go to the levels.
5  The compiled solve is the readable one, on every instruction set, whichever axis the lines lie along; any number of
   threads gives equal bits; arrays that do not fit are refused.
"""

from itertools import permutations

import numpy as np
import pytest
import scipy.sparse.linalg as sparse
import torch

from mgnet.pde import Grid, Poisson, Robin, Solver, solve
from mgnet.pde.levels.separable import SeparableLevel, parts_of
from mgnet.pde.native import kernels, machine, machines
from mgnet.pde.native.separable import NativeSeparable
from tests.pde.stretched import graded, smooth

PI = np.pi
MIXED = ("neumann", Robin(2.0))
SEPARATED = "separation of variables"


def random(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def eliminated(problem, f):
    return sparse.spsolve(problem.to_scipy().tocsc(), problem.rhs(f).ravel()).reshape(f.shape)


def separated(problem, f, most=2, **keywords):
    s = Solver(problem).solve(f, **keywords)
    assert s.method == SEPARATED
    assert s.cycles <= most
    return s


# 1


@pytest.mark.parametrize("make", [Grid.from_faces, Grid.from_nodes])
@pytest.mark.parametrize("bc", list(permutations(["dirichlet", "periodic", MIXED])), ids=str)
def test_every_end(make, bc):
    grid = make([graded(15, 40.0), smooth(12), graded(13, 5.0, both=True)], list(bc))
    problem, f = Poisson(grid, a=(1.0, 30.0, 0.2), c=0.5), random(grid.shape)
    np.testing.assert_allclose(separated(problem, f, tol=1e-12).u, eliminated(problem, f), rtol=0, atol=1e-11)


@pytest.mark.parametrize("c", [None, 2.0])
def test_all_axes_periodic(c):
    grid = Grid.from_nodes([graded(15, 40.0), smooth(12), graded(13, 5.0)], "periodic")
    problem, f = Poisson(grid, c=c), random(grid.shape)
    s = separated(problem, f, tol=1e-12, project=True)
    if c is not None:
        np.testing.assert_allclose(s.u, eliminated(problem, f), rtol=0, atol=1e-10)


@pytest.mark.parametrize("inner", [0.0, 0.2])
def test_cylinders(inner):
    r, theta = graded(14, 30.0, inner, 1.0), np.linspace(0, 2 * PI, 17)
    grid = Grid.from_faces([r, theta, smooth(12)], [MIXED, "periodic", "dirichlet"], "cylindrical")
    problem, f = Poisson(grid, a=3.0, c=0.1), random(grid.shape)
    np.testing.assert_allclose(separated(problem, f, tol=1e-12).u, eliminated(problem, f), rtol=0, atol=1e-11)


# 2


@pytest.mark.parametrize("make", [Grid.from_faces, Grid.from_nodes])
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("bc", ["dirichlet", "neumann", ("dirichlet", "neumann"), ("neumann", "dirichlet"), "periodic"])
def test_one_cycle(make, axes, bc):
    for widths in (graded(21, 1000.0), graded(21, 1000.0, both=True), graded(21, 1e-3, both=True)):
        points = [widths if d < axes else np.linspace(0, 1, 22) for d in range(3)]
        grid = make(points, [bc] * 3)
        s = separated(Poisson(grid), random(grid.shape), project=True)
        assert s.reached_tol
        assert s.cycles == 1
        assert Solver(Poisson(grid)).solve(random(grid.shape), tol=1e-11, project=True).cycles <= 2


# 3


@pytest.mark.parametrize("held", [{"c": 1e-9}, {"bc": ["neumann", "neumann", ("neumann", Robin(1e-9))]},
                                  {"bc": [(Robin(1e-9), "neumann"), "neumann", "neumann"]}])  # fmt: skip
def test_what_hardly_holds(held):
    grid = Grid.from_faces([graded(18, 300.0), graded(17, 1000.0, both=True), smooth(16)], held.get("bc", "neumann"))
    problem = Poisson(grid, c=held.get("c"))
    ones = np.ones(grid.shape)
    b = problem.apply(2.0 * ones)  # of nothing but what holds it
    s = separated(problem, b / problem.rhs(ones), most=3, tol=1e-10)
    assert abs(s.u - 2.0).max() < 1e-9


# 4


def test_batches_precisions_and_passes():
    grid = Grid.from_faces([graded(16, 100.0), smooth(15), smooth(14)], ["dirichlet", "neumann", MIXED])
    f, problem = random((2, 3, *grid.shape)), Poisson(grid)
    s = separated(problem, f)
    for k in np.ndindex(2, 3):
        np.testing.assert_allclose(s.u[k], eliminated(problem, f[k]), rtol=0, atol=1e-10)
    single = separated(problem, f.astype(np.float32), tol=1e-4)
    assert single.u.dtype == np.float32
    assert abs(single.u - s.u).max() < 1e-4 * abs(s.u).max()
    np.testing.assert_allclose(Solver(problem).solve(f, tol=None).u, s.u, rtol=0, atol=1e-10)


def test_gradients():
    grid = Grid.from_faces([graded(13, 100.0), smooth(12), smooth(11)], ["dirichlet", "neumann", MIXED])
    f = torch.from_numpy(random(grid.shape)).requires_grad_()
    a, c = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.5, 0.3))

    def loss(a, c, f):
        s = solve(f, grid=grid, a=a, c=c, tol=1e-12)
        assert s.method == SEPARATED
        return (s.u**2).sum()

    direction = torch.from_numpy(random(grid.shape, 1))
    loss(a, c, f).backward()
    with torch.no_grad():
        for slope, one in (
            (a.grad, (1.0, 0.0, 0.0)),
            (c.grad, (0.0, 1.0, 0.0)),
            ((f.grad * direction).sum(), (0.0, 0.0, 1.0)),
        ):
            step = [1e-5 * v for v in one]
            up, down = (loss(a + q * step[0], c + q * step[1], f + q * step[2] * direction) for q in (1, -1))
            assert float(slope) == pytest.approx(float(up - down) / 2e-5, rel=1e-6)


@pytest.mark.parametrize("keywords", [{"a": np.ones((16, 15, 14))}, {"fixed": (lambda x, y, z: y > 0.5, 1.0)}])
def test_others_have_levels(keywords):
    grid = Grid.from_faces([graded(16, 100.0), smooth(15), smooth(14)])
    assert "cycles" in solve(random(grid.shape), grid=grid, **keywords).method


# 5


@pytest.mark.parametrize("shape", [(19, 16, 17), (4, 33, 9), (7, 3, 40), (21, 8, 8)], ids=str)
@pytest.mark.parametrize("t", range(3))
def test_compiled_solve_is_the_readable_one(shape, t):
    bc = ["periodic" if d != t else MIXED for d in range(3)]
    grid = Grid.from_faces([graded(n, 30.0) for n in shape], bc)
    parts, f = parts_of(Poisson(grid, c=0.3).A), torch.from_numpy(random((2, *shape)))
    assert parts.dim == t - 3
    theirs = SeparableLevel(parts).smooth(None, f)
    ours = NativeSeparable(parts).smooth(None, f)
    assert ours.dtype == torch.float64
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * float(theirs.abs().max()))


def kernel(parts, on=None, threads=1):
    m, s, one, two = (v.contiguous().numpy() for v in (parts.m, parts.s, *parts.V))
    return kernels.Separable(on or machine(), m, s, one, two, threads)


def parts_and_data(batch=1):
    grid = Grid.from_faces([graded(31, 30.0), smooth(23), smooth(26)], "dirichlet")  # lines along the longest axis
    return parts_of(Poisson(grid).A), random((batch, *grid.shape))


@pytest.mark.parametrize("on", machines())
def test_every_instruction_set(on):
    parts, f = parts_and_data(2)
    u = np.empty_like(f)
    kernel(parts, on).solve(f, u)
    theirs = SeparableLevel(parts).smooth(None, torch.from_numpy(f))
    np.testing.assert_allclose(u, theirs, rtol=0, atol=1e-12 * float(theirs.abs().max()))


def test_threads_give_equal_bits():
    parts, f = parts_and_data()
    assert f.size > 6_000  # else there is one thread
    one, two, three = (np.empty_like(f) for _ in range(3))
    for threads, u in enumerate((one, two, three), 1):
        kernel(parts, threads=threads).solve(f, u)
    np.testing.assert_array_equal(two, one)
    np.testing.assert_array_equal(three, one)


def test_arrays_that_do_not_fit_are_refused():
    parts, f = parts_and_data()
    m, s, one, two = (v.contiguous().numpy() for v in (parts.m, parts.s, *parts.V))
    for wrong, name in (((m[0], s, one, two), "m"), ((m, s[1:], one, two), "s"), ((m, s, two, two), "one"),
                        ((m, s, one, one), "two")):  # fmt: skip
        with pytest.raises(ValueError, match=f"`{name}` must"):
            kernels.Separable(machine(), *(v.copy() for v in wrong), 1)
    with pytest.raises(ValueError, match="`threads` must"):
        kernels.Separable(machine(), m, s, one, two, 0)
    solver = kernel(parts)
    for wrong in (f[:, :-1].copy(), f.astype(np.float32), f[0]):
        with pytest.raises(ValueError, match="`f` must be"):
            solver.solve(wrong, np.empty_like(f))
    with pytest.raises(ValueError, match="`u` must be"):
        solver.solve(f, f[:, :-1].copy())
    with pytest.raises(ValueError, match="`u` must be other memory"):
        solver.solve(f, f)
