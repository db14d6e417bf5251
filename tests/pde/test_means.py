"""Singular problems: sums with the shares of a cell, and full passes that return an iterate of mean zero."""

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, Poisson, Solver
from mgnet.pde.native.arrays import weighted_sums

LOOSE = [("neumann", "node"), ("neumann", "cell"), ("periodic", "node"), ("periodic", "cell")]
MIXED = (("neumann", "periodic", "neumann"), "node")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["f64", "f32"])
@pytest.mark.parametrize("shape", [(3, 40), (2, 200, 150), (9, 31, 42), (2, 20, 31, 42)], ids=str)
def test_weighted_sums(shape, dtype):
    """One member's part on one thread, several parts, and many members."""
    v = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    weights = [np.random.default_rng(d).random(n) for d, n in enumerate(shape[1:])]
    total, size = weighted_sums(v, weights)
    expected = v.double().numpy()
    for w in reversed(weights):
        expected = expected @ w
    np.testing.assert_allclose(total, expected, atol=1e-10 if dtype == torch.float64 else 1e-3)
    np.testing.assert_allclose(size, np.abs(v.double().numpy()).reshape(len(v), -1).sum(1), rtol=1e-5)


@pytest.mark.parametrize("smoother", ["chebyshev", "red-black"])
@pytest.mark.parametrize(("bc", "centering"), [*LOOSE, MIXED], ids=str)
@pytest.mark.parametrize("shape", [(257, 64), (130, 97), (33, 32, 65)], ids=str)
def test_a_full_pass_returns_mean_zero(shape, bc, centering, smoother):
    """Whether it is moved there on the grid below or afterwards; and raw data give what weighted ones do."""
    bc = bc if isinstance(bc, str) else bc[: len(shape)]
    problem = Poisson(Grid(shape, bc=bc, centering=centering))
    solver, w = Solver(problem, smoother=smoother), problem.rhs(np.ones(shape))
    f = np.random.default_rng(0).normal(size=(2, *shape))
    f -= ((w * f).reshape(2, -1).sum(1) / w.sum()).reshape(-1, *[1] * len(shape))
    u = solver.solve(f, tol=None).u
    assert np.abs((w * u).reshape(2, -1).sum(1)).max() < 1e-14 * np.abs(u).sum()
    tensor = Solver(problem, smoother=smoother).solve(torch.as_tensor(f), tol=None).u.numpy()
    np.testing.assert_allclose(u, tensor, atol=1e-13 * np.abs(u).max())


@pytest.mark.parametrize("tol", [None, 1e-4])
@pytest.mark.parametrize(("bc", "centering"), [*LOOSE, MIXED], ids=str)
def test_single_precision(bc, centering, tol):
    """Mean zero, and close to what double precision gives."""
    shape = (257, 192)
    problem = Poisson(Grid(shape, bc=bc if isinstance(bc, str) else bc[:2], centering=centering))
    w = problem.rhs(np.ones(shape))
    f = np.random.default_rng(0).normal(size=shape)
    f = (f - (w * f).sum() / w.sum()).astype(np.float32)
    u, exact = Solver(problem).solve(f, tol=tol).u, Solver(problem).solve(f - (w * f).sum() / w.sum(), tol=1e-9).u
    assert u.dtype == np.float32
    assert abs((w * u).sum()) < 10 * np.finfo(np.float32).eps * np.abs(u).sum()  # as ``NullSpace.centred`` leaves it
    assert np.abs(u - exact).max() < 0.05 * np.abs(exact).max()


def test_raw_data_of_problems_that_have_one_solution():
    """A node-centred Neumann end beside a Dirichlet one: cells are shared, and nothing is loose."""
    solver = Solver(Poisson(Grid((129, 65), bc=[("dirichlet", "neumann"), "neumann"]), c=2.0))
    f = np.random.default_rng(0).normal(size=(129, 65))
    u, exact = solver.solve(f, tol=None).u, solver.solve(f, tol=1e-12).u
    tensor = solver.solve(torch.as_tensor(f), tol=None).u.numpy()
    np.testing.assert_allclose(u, tensor, atol=1e-13 * np.abs(u).max())
    assert np.abs(u - exact).max() < 0.02 * np.abs(exact).max()
