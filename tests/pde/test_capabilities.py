"""Every row of the table of what works is true: its problem is solved, by arrays, tensors, order 4 and gradients."""

import numpy as np
import pytest
import torch

from mgnet.pde import Solver, capabilities
from mgnet.pde.capabilities import describe, rows
from tests.pde.grids_and_data import random


def test_the_table_is_whole_and_in_the_guide():
    table = capabilities()
    assert all(word in table for word in ("robin", "cell", "jumps of 1e6", "fused kernels", "2, 4"))
    for row in rows():
        assert f"| {row.ndim} | {row.coefficients} |" in table


@pytest.mark.parametrize("row", list(rows()), ids=str)
def test_row(row):
    problem = row.problem()
    _, _, orders = describe(row)
    f = random((2, *problem.grid.shape))
    s = Solver(problem).solve(f, tol=1e-8)
    assert s.converged
    r = problem.rhs(f) - problem.apply(s.u)
    assert np.linalg.norm(r) <= 2e-8 * np.linalg.norm(f) or s.status == "round-off"
    assert s.cycles <= 25
    assert Solver(problem).solve(f, tol=None).converged
    assert (orders == "2, 4") == (row.coefficients in ("numbers", "one per axis"))
    if orders == "2, 4":
        assert Solver(row.problem(order=4)).solve(f, tol=1e-8).converged
    g, w = torch.as_tensor(f).requires_grad_(), torch.as_tensor(problem.rhs(np.ones(f.shape)))
    u = Solver(problem).solve(g, tol=1e-8).u
    (gradient,) = torch.autograd.grad((w * u * g.detach()).sum(), g)  # w A^-1 w f
    np.testing.assert_allclose(gradient.numpy(), w.numpy() * s.u, rtol=0, atol=1e-5 * abs(s.u).max())
