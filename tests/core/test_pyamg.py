"""Oracle: one V-, W- or F-cycle equals that of pyamg.MultilevelSolver given our A, P, R and Jacobi."""

import numpy as np
import pytest
import torch
from pyamg.multilevel import MultilevelSolver
from pyamg.relaxation.smoothing import change_smoothers
from scipy.sparse import csr_matrix

from mgnet.core import ConvLevel, cycle
from tests.core.hierarchies import poisson, random_field


def matrix(operator, n: int, ndim: int) -> csr_matrix:
    """The matrix of an operator on fields of n unknowns along each axis."""
    unit = torch.eye(n**ndim, dtype=torch.float64).reshape(-1, 1, *(n,) * ndim)
    return csr_matrix(operator(unit).reshape(n**ndim, -1).T.numpy())


def pyamg_solver(levels: list[ConvLevel], n: int, ndim: int, sweeps: int) -> MultilevelSolver:
    theirs = []
    for level in levels:
        theirs.append(MultilevelSolver.Level())
        theirs[-1].A = matrix(level.A, n, ndim)
        if level.R is not None:
            theirs[-1].R, theirs[-1].P = matrix(level.R, n, ndim), matrix(level.P, n // 2, ndim)
        n = n // 2
    solver = MultilevelSolver(theirs, coarse_solver="splu")
    jacobi = ("jacobi", {"omega": 0.8, "withrho": False, "iterations": sweeps})
    change_smoothers(solver, jacobi, jacobi)
    return solver


@pytest.mark.parametrize(("gamma", "name"), [(1, "V"), (2, "W"), ("F", "F")])
@pytest.mark.parametrize(("n", "ndim"), [(127, 1), (31, 2), (7, 3)])
def test_iterate_equals_pyamgs(n, ndim, gamma, name):
    levels = poisson(n, ndim, omegas=(0.8, 0.8))
    u, f = random_field(ndim, 1, n, batch=1), random_field(ndim, 1, n, batch=1)
    theirs = pyamg_solver(levels, n, ndim, sweeps=2).solve(
        f.numpy().ravel(), x0=u.numpy().ravel(), cycle=name, maxiter=1, tol=1e-30
    )
    ours = cycle(levels, u, f, gamma).numpy().ravel()
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12 * np.abs(theirs).max())
