"""Poisson-type systems -div(a grad u) + c u = f on structured grids, by multigrid."""

from mgnet.pde.axis import Robin
from mgnet.pde.grid import Grid
from mgnet.pde.problem import Poisson
