"""Laws of the levels of mgnet.pde, for every boundary kind, centring and dimension, readable and fused.

1  Fixed point: cycle(u, A u) == u.
2  Dot test: <R r, e> = s <r, P e> with s the ratio of the cell volumes.
3  The symmetric cycle is a symmetric operator, for each smoother; A is symmetric and positive.
4  Interpolation reproduces polynomials: P lines, Q cubics.
5  The direct level inverts A (up to the null space).
"""

import numpy as np
import pytest
import torch

from mgnet.core import cycle
from mgnet.pde import Grid, Poisson, Robin, Solver
from mgnet.pde.levels.constant import operator
from mgnet.pde.levels.direct import DirectLevel
from mgnet.pde.levels.transfers import Transfer
from tests.pde.grids_and_data import CENTERINGS, ENDS, SMOOTHERS, axis_bcs, levels_of, random

SHAPES = {1: (41,), 2: (22, 17), 3: (9, 12, 10)}
every = [
    pytest.mark.parametrize("centering", CENTERINGS),
    pytest.mark.parametrize("ends", ENDS, ids=str),
    pytest.mark.parametrize("ndim", [1, 2, 3]),
]


def over_all(test):
    for mark in every:
        test = mark(test)
    return test


def close(ours, theirs, tolerance=1e-12):
    scale = abs(np.asarray(theirs)).max()
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=0, atol=tolerance * scale)


@over_all
@pytest.mark.parametrize("gamma", [1, 2, "F"])
def test_a_solution_is_a_fixed_point_of_readable_levels(ndim, ends, centering, gamma):
    grid = Grid(SHAPES[ndim], bc=axis_bcs(ndim, ends), centering=centering)
    levels, _, chain = levels_of(grid, (1.0,) * ndim, direct_work=60)
    assert len(chain) > 1
    u = torch.as_tensor(random((2, *grid.shape)))
    close(cycle(levels, u, levels[0].A(u), gamma), u, 1e-12)


@over_all
@pytest.mark.parametrize("smoother", SMOOTHERS)
def test_a_solution_is_a_fixed_point_of_the_solver(ndim, ends, centering, smoother):
    """Large enough that the solver takes fused levels."""
    shape = {1: (700,), 2: (70, 63), 3: (20, 21, 22)}[ndim]
    problem = Poisson(Grid(shape, bc=axis_bcs(ndim, ends), centering=centering), c=30.0)
    u = random((2, *shape))
    close(Solver(problem, smoother=smoother).cycle(u, problem.apply(u)), u, 1e-10)


@over_all
def test_restriction_is_the_transpose_of_interpolation(ndim, ends, centering):
    grid = Grid(SHAPES[ndim], bc=axis_bcs(ndim, ends), centering=centering)
    _, transfers, chain = levels_of(grid, (1.0,) * ndim, direct_work=60)
    for transfer, fine, coarse in zip(transfers, chain[:-1], chain[1:], strict=True):
        r = torch.as_tensor(random([axis.n for axis in fine], 1))
        e = torch.as_tensor(random([axis.n for axis in coarse], 2))
        ratio = np.prod([f.h / c.h for f, c in zip(fine, coarse, strict=True)])
        close((transfer.R(r) * e).sum(), ratio * (r * transfer.P(e)).sum(), 1e-12)


@over_all
@pytest.mark.parametrize("smoother", SMOOTHERS)
def test_the_preconditioner_is_symmetric(ndim, ends, centering, smoother):
    shape = {1: (1001,), 2: (60, 55), 3: (20, 18, 19)}[ndim]
    grid = Grid(shape, bc=axis_bcs(ndim, ends), centering=centering)
    M = Solver(Poisson(grid), smoother=smoother).aspreconditioner()
    v, w = random(grid.size, 1), random(grid.size, 2)
    Mv, Mw = M @ v, M @ w
    assert abs(w @ Mv - v @ Mw) <= 1e-12 * np.linalg.norm(v) * np.linalg.norm(Mw)
    assert v @ Mv > 0


def test_a_cycle_that_is_not_mirrored_is_not_symmetric():
    """Red-black sweeps in the same order up and down: the solver's plain cycle."""
    solver = Solver(Poisson(Grid((60, 55))), smoother="red-black")
    v, w = random((60, 55), 1), random((60, 55), 2)
    Mv, Mw = solver.cycle(None, v), solver.cycle(None, w)
    assert abs((w * Mv).sum() - (v * Mw).sum()) > 1e-6 * abs((v * Mw).sum())


@over_all
def test_A_is_symmetric_and_positive(ndim, ends, centering):
    problem = Poisson(Grid(SHAPES[ndim], bc=axis_bcs(ndim, ends), centering=centering))
    A = problem.to_scipy()
    assert abs(A - A.T).max() == 0
    assert np.linalg.eigvalsh(A.toarray()).min() > (-1e-9 if problem.singular else 0.0) * abs(A).max()


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize(("n", "ends"), [(n, ends) for n in (5, 12, 33, 50) for ends in ENDS if ends != "periodic"])
def test_Q_reproduces_cubics_and_P_lines_inside(n, ends, centering):
    (fine,) = Grid((n,), bc=[ends], centering=centering).axes
    coarse = fine.coarsen()
    if fine.intervals < 4 or coarse.n < 4:
        pytest.skip("too few coarse unknowns for a cubic")
    transfer = Transfer((fine,), (coarse,))
    x, X = torch.as_tensor(fine.x), torch.as_tensor(coarse.x)
    close(transfer.Q(1 + X - 3 * X**2 + 2 * X**3), 1 + x - 3 * x**2 + 2 * x**3)
    inside = (fine.x >= coarse.x[0]) & (fine.x <= coarse.x[-1])
    close(transfer.P(2 + 3 * X)[inside], (2 + 3 * x)[inside])


@over_all
def test_the_direct_level_inverts_A(ndim, ends, centering):
    grid = Grid({1: (13,), 2: (6, 7), 3: (4, 5, 3)}[ndim], bc=axis_bcs(ndim, ends), centering=centering)
    a = (1.0, 0.1, 3.0)[:ndim]
    like = torch.zeros((), dtype=torch.float64)
    A, solve = operator(grid.axes, a, 0.2, like), DirectLevel(grid.axes, a, 0.2, like)
    f = torch.as_tensor(random((2, *grid.shape)))
    close(A(solve.smooth(None, f)), f, 1e-11)


def test_robin_lies_between_neumann_and_dirichlet():
    """alpha = 0 is Neumann's matrix; alpha -> infinity is, cell-centred, Dirichlet's."""
    for centering in CENTERINGS:
        robin, neumann, dirichlet = (
            Poisson(Grid((6, 5), bc=[(end, "dirichlet"), "dirichlet"], centering=centering)).to_scipy().toarray()
            for end in (Robin(0.0), "neumann", "dirichlet")
        )
        np.testing.assert_allclose(robin, neumann, rtol=1e-13)
        if centering == "cell":
            stiff = Poisson(Grid((6, 5), bc=[(Robin(1e12), "dirichlet"), "dirichlet"], centering="cell"))
            np.testing.assert_allclose(stiff.to_scipy().toarray(), dirichlet, rtol=1e-9)
