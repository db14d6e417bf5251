"""Cycles of varying length.

1  The product over a period is the smallest there is: 1 / T_n(2 / rho - 1) on all factors in [0, rho] (Chebyshev).
2  The lengths come in turn, again and again, and anew after a restart; every cycle is left as it is while rho is
   unknown or zero.
3  The solver's cycles gain what its lengths promise.
"""

import numpy as np
import pytest
from numpy.polynomial.chebyshev import chebval

from mgnet.pde import Grid, Solver
from mgnet.pde.levels.richardson import PERIOD, Richardson, lengths
from mgnet.pde.problem.poisson import Poisson


@pytest.mark.parametrize("rho", [0.05, 0.14, 0.5, 0.9])
def test_the_product_of_a_period_is_the_smallest(rho):
    factors = np.linspace(0, rho, 2001)
    product = np.prod([1 - omega * (1 - factors) for omega in lengths(rho)], axis=0)
    smallest = 1 / chebval(2 / rho - 1, [*[0] * PERIOD, 1])
    assert len(lengths(rho)) == PERIOD
    assert np.abs(product).max() == pytest.approx(smallest, rel=1e-9)


def test_the_lengths_take_turns():
    omegas = Richardson()
    assert [next(omegas) for _ in range(4)] == [1.0] * 4
    omegas.rho = 0.0
    assert next(omegas) == 1.0
    omegas.rho = 0.3
    assert [next(omegas) for _ in range(2 * PERIOD + 1)] == [*lengths(0.3), *lengths(0.3), lengths(0.3)[0]]
    omegas.restart()
    assert next(omegas) == lengths(0.3)[0]


def test_the_solver_gains_by_them():
    """From the second cycle on (the first is a full multigrid pass): 0.05 a cycle in place of 0.14."""
    f = np.random.default_rng(0).normal(size=(255, 255))
    s = Solver(Poisson(Grid(f.shape))).solve(f, tol=1e-11)
    factors = np.array(s.residuals[2:]) / np.array(s.residuals[1:-1])
    assert np.exp(np.log(factors).mean()) < 0.08
