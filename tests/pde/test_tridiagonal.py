"""Cyclic reduction is the inverse of lines, open and closed, and keeps its digits under any contrast."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, Poisson, Robin, Solver
from mgnet.pde.levels.lines import Ring, Tridiagonal, lines_of
from tests.pde.grids_and_data import CENTERINGS, ENDS, random


def dense(m, s):
    n = len(m)
    A = np.diag(m + s + np.roll(s, 1))
    for i in range(n):
        if n > 1:
            A[i, (i + 1) % n] -= s[i]
            A[(i + 1) % n, i] -= s[i]
    return A


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 17, 30])
def test_is_the_inverse(n, closed):
    m, s, r = abs(random((n,))) + 0.1, abs(random((n,), 1)), random((3, n), 2)
    if not closed or n == 1:
        s[-1] = 0
    solve = Ring if closed and n > 1 else Tridiagonal
    x = solve(torch.as_tensor(m), torch.as_tensor(s))(torch.as_tensor(r)).numpy()
    np.testing.assert_allclose(x, np.linalg.solve(dense(m, s), r.T).T, rtol=1e-12, atol=1e-13)


def test_a_singular_line_is_solved_up_to_a_constant():
    for closed, n in ((False, 9), (True, 9), (True, 8)):
        s = abs(random((n,))) + 0.1
        if not closed:
            s[-1] = 0
        r = random((n,), 1)
        r -= r.mean()
        x = (Ring if closed else Tridiagonal)(torch.zeros(n, dtype=torch.float64), torch.as_tensor(s))(
            torch.as_tensor(r)
        )
        np.testing.assert_allclose(dense(np.zeros(n), s) @ x.numpy(), r, rtol=0, atol=1e-12)


def test_every_digit_is_kept_under_a_contrast_of_1e12():
    """Against exact rational arithmetic; a solver that subtracts loses all of them here."""
    n, rng = 31, np.random.default_rng(0)
    s, m = 10.0 ** rng.integers(-6, 7, n), np.full(n, 1e-9)
    s[-1] = 0
    r = np.ones(n)
    x = Tridiagonal(torch.as_tensor(m), torch.as_tensor(s))(torch.as_tensor(r)).numpy()
    exact = thomas([Fraction(v) for v in m], [Fraction(v) for v in s], [Fraction(v) for v in r])
    np.testing.assert_allclose(x, [float(v) for v in exact], rtol=1e-13)


def thomas(m, s, r):
    n = len(m)
    d = [m[i] + s[i] + (s[i - 1] if i else 0) for i in range(n)]
    for i in range(1, n):
        factor = s[i - 1] / d[i - 1]
        d[i], r[i] = d[i] - factor * s[i - 1], r[i] + factor * r[i - 1]
    x = [r[-1] / d[-1]]
    for i in range(n - 2, -1, -1):
        x.insert(0, (r[i] + s[i] * x[0]) / d[i])
    return x


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("ends", [*ENDS, ("dirichlet", Robin(2.0))], ids=str)
@pytest.mark.parametrize("d", [0, 1])
def test_lines_of_a_grid(ends, centering, d):
    bc = [ends, ("neumann", "dirichlet")] if d == 0 else [("neumann", "dirichlet"), ends]
    A = Poisson(Grid((6, 7), bc=bc, centering=centering), np.exp(random((6, 7))), abs(random((6, 7)))).A
    M = A.to_scipy().toarray().reshape(6, 7, 6, 7)
    r = random((6, 7))
    x = lines_of(A, d)(torch.as_tensor(r)).numpy()
    for k in range(7 if d == 0 else 6):
        block, line = (M[:, k, :, k], (slice(None), k)) if d == 0 else (M[k, :, k, :], (k, slice(None)))
        np.testing.assert_allclose(block @ x[line], r[line], rtol=0, atol=1e-11 * abs(block).max())


@pytest.mark.parametrize("n", [600, 3001])
@pytest.mark.parametrize("bc", ["dirichlet", "neumann", "periodic"])
def test_a_line_with_jumps_is_solved_in_one_cycle(bc, n):
    """-(a u')' + u = f with jumps of 1e6; the second cycle, if any, meets round-off."""
    grid = Grid((n,), bc=bc)
    (x,) = grid.coordinates()
    problem = Poisson(grid, np.where(np.floor(4 * x) % 2 == 0, 1.0, 1e6), 1.0)
    s = Solver(problem).solve(random((2, n)))
    assert s.converged
    assert s.cycles <= 3
    assert s.method == "cyclic reduction"
    assert (s.status == "tolerance") == (s.residuals[-1] <= 1e-8)
