"""Poisson-type systems -div(a grad u) + c u = f on structured grids, by multigrid."""

from mgnet.pde import fork as fork
from mgnet.pde.axis import Robin
from mgnet.pde.capabilities import capabilities
from mgnet.pde.convolution import conv_levels
from mgnet.pde.grid import Grid
from mgnet.pde.nonlinear import solve_nonlinear
from mgnet.pde.problem import Poisson
from mgnet.pde.solution import NotConverged, Solution
from mgnet.pde.solver import Solver, solve

__all__ = [
    "Grid",
    "NotConverged",
    "Poisson",
    "Robin",
    "Solution",
    "Solver",
    "capabilities",
    "conv_levels",
    "solve",
    "solve_nonlinear",
]
