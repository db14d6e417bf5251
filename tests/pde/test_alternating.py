"""Stretched grids in space whose coefficients vary: line smoothing that alternates with separation of variables.

1  Widths that change by 1000 along one, two and three axes take at most 12 cycles to 1e-8 where coefficients vary
   smoothly by up to 100, whatever the ends; lines alone take 20 to 30 with Neumann ends, even on grids as small.
2  The solution is that of an elimination of all unknowns; batches of a, c, float32, one pass and gradients work.
3  Where coefficients jump by much, the domain is cut, or widths differ little, the levels work alone.
"""

import numpy as np
import pytest
import scipy.sparse.linalg as sparse
import torch

from mgnet.pde import Grid, Poisson, Robin, Solver, solve
from mgnet.pde.outer.finishing import cycles_after
from mgnet.pde.outer.work import cycle_work
from tests.pde.stretched import graded, smooth

MIXED = ("neumann", Robin(2.0))
ALTERNATES = "separation of variables in between"


def random(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def linear(x, y, z):
    return 1 + x + 5 * y * z


def waves(x, y, z):
    return np.exp(2 * np.sin(5 * x) * np.cos(4 * y) + z)


def solved(problem, f, **keywords):
    s = Solver(problem).solve(f, **keywords)
    assert s.method.endswith(ALTERNATES)
    assert s.reached_tol
    return s


# 1


@pytest.mark.parametrize("make", [Grid.from_faces, Grid.from_nodes])
@pytest.mark.parametrize("bc", ["neumann", "dirichlet", ("neumann", "dirichlet")])
@pytest.mark.parametrize("a", [linear, waves])
def test_cycles(make, bc, a):
    for axes, widths in (
        (3, graded(21, 1e-3)),
        (2, graded(21, 1000.0)),
        (3, graded(21, 1000.0, both=True)),
        (3, graded(21, 1e-3, both=True)),
    ):
        grid = make([widths if d < axes else np.linspace(0, 1, 22) for d in range(3)], [bc] * 3)
        problem, f = Poisson(grid, a=a(*grid.coordinates())), random(grid.shape)
        assert solved(problem, f, project=True).cycles <= 12


def test_cycles_where_coefficients_jump():
    grid = Grid.from_faces([graded(24, 1e-3)] * 3, "neumann")
    blocks = (np.indices(grid.shape) // 8).sum(0) % 2
    assert solved(Poisson(grid, a=np.where(blocks, 10.0, 1.0)), random(grid.shape), project=True).cycles <= 18
    noise = np.exp(0.3 * random(grid.shape, 1))
    assert solved(Poisson(grid, a=noise), random(grid.shape), project=True).cycles <= 8


def test_steps_do_not_stand_still():
    """Where A M is not positive a step may help nothing, and the next one only beside it."""
    r = np.random.default_rng(0)
    faces = [np.append(0, np.cumsum(10.0 ** r.uniform(-1.2, 1.2, n))) for n in (12, 13, 10)]
    grid = Grid.from_faces([v / v[-1] for v in faces], "neumann")
    x, y, z = grid.coordinates()
    problem = Poisson(grid, a=np.where(x + y > z + 0.5, 3.0, 1.0), c=1e-2)
    assert solved(problem, r.normal(size=grid.shape)).cycles <= 10


def test_work():
    """Each step is two cycles and two products, also the first, from zero: there is no full pass."""
    grid = Grid.from_faces([graded(14, 1e-3)] * 3)
    solver = Solver(Poisson(grid, a=linear))
    s, once = (solver.solve(random(grid.shape), tol=tol) for tol in (1e-8, None))
    levels = solver.multigrid(solver.problem.A).levels
    one = 2 * cycle_work(levels.sizes, (2, 2), levels.gamma) + 2
    assert s.work == pytest.approx(s.cycles * one)
    assert once.work == pytest.approx((1 + cycles_after(levels)) * one)


# 2


@pytest.mark.parametrize("make", [Grid.from_faces, Grid.from_nodes])
def test_solutions(make):
    grid = make([graded(14, 100.0), graded(13, 1e-3), graded(12, 30.0, both=True)], [MIXED, "dirichlet", "periodic"])
    a = np.stack([waves(*grid.coordinates()), linear(*grid.coordinates())])
    problem, f = Poisson(grid, a=a, c=0.5), random((2, *grid.shape))
    s = solved(problem, f, tol=1e-11)
    for k in range(2):
        one = Poisson(grid, a=a[k], c=0.5)
        exact = sparse.spsolve(one.to_scipy().tocsc(), one.rhs(f[k]).ravel()).reshape(grid.shape)
        np.testing.assert_allclose(s.u[k], exact, rtol=0, atol=1e-9)
    assert abs(Solver(problem).solve(f, tol=None).u - s.u).max() < 1e-4 * abs(s.u).max()
    single = solved(problem, f.astype(np.float32), tol=1e-4)
    assert abs(single.u - s.u).max() < 1e-3 * abs(s.u).max()


def test_gradients():
    grid = Grid.from_faces([graded(13, 1e-3), graded(12, 100.0), smooth(11)], [MIXED, "neumann", "dirichlet"])
    a = torch.from_numpy(linear(*grid.coordinates())).requires_grad_()
    f, direction = torch.from_numpy(random(grid.shape)), torch.from_numpy(random(grid.shape, 1))

    def loss(a):
        s = solve(f, grid=grid, a=a, tol=1e-12)
        assert s.method.endswith(ALTERNATES)
        return (s.u**2).sum()

    loss(a).backward()
    with torch.no_grad():
        up, down = (loss(a + q * 1e-5 * direction) for q in (1, -1))
    assert float((a.grad * direction).sum()) == pytest.approx(float(up - down) / 2e-5, rel=1e-5)


# 3


def test_others_have_levels_alone():
    grid = Grid.from_faces([graded(16, 100.0), graded(15, 100.0), smooth(14)])
    x, y, z = grid.coordinates()
    for keywords in ({"a": np.where(x > 0.5, 1e3, 1.0)}, {"a": linear(x, y, z), "mask": x + y > 0.2}):
        assert ALTERNATES not in solve(random(grid.shape), grid=grid, **keywords).method
    mild = Grid.from_faces([graded(16, 3.0)] * 3)
    assert ALTERNATES not in solve(random(mild.shape), grid=mild, a=linear(*mild.coordinates())).method
