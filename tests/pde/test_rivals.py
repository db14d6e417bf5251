"""The benchmark's rivals solve the problem that we solve."""

import numpy as np
import pytest

from benchmarks.poisson import OURS, RIVALS, Case
from mgnet.pde import Grid, Poisson


@pytest.mark.parametrize("shape", [(31, 31), (15, 15, 15)], ids=str)
@pytest.mark.parametrize("name", RIVALS)
def test_rivals(name, shape):
    problem = Poisson(Grid(shape))
    solve = RIVALS[name](problem, 1e-10)
    if solve is None:
        pytest.skip(f"{name} is not installed")
    f = np.random.default_rng(0).normal(size=shape)
    b = problem.rhs(f)
    for _ in range(2):
        u = solve(b)
        assert u.shape == shape
        assert np.linalg.norm(b - problem.apply(u)) <= 1.1e-10 * np.linalg.norm(b)


@pytest.mark.parametrize("name", [name for name in RIVALS if name not in ("fft", "petsc MG+CG")])
def test_rivals_take_coefficients(name):
    grid = Grid((31, 31))
    a = np.exp(np.random.default_rng(1).normal(size=grid.shape))
    problem = Poisson(grid, a)
    solve = RIVALS[name](problem, 1e-10)
    if solve is None:
        pytest.skip(f"{name} is not installed")
    b = np.random.default_rng(0).normal(size=grid.shape)
    assert np.linalg.norm(b - problem.apply(solve(b))) <= 1.1e-10 * np.linalg.norm(b)


@pytest.mark.parametrize("name", OURS)
def test_our_solvers(name):
    problem = Poisson(Grid((31, 31)))
    f = np.random.default_rng(0).normal(size=(3, 31, 31))
    u = OURS[name](problem, Case("batch", 31, batch=3))(f)
    np.testing.assert_allclose(problem.apply(u), f, atol=1e-9 * np.abs(f).max())
