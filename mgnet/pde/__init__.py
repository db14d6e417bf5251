"""Poisson-type systems -div(a grad u) + v . grad u + c u = f on structured grids, by multigrid."""

from mgnet.pde.capabilities import capabilities
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.distributed.problem import SharedPoisson
from mgnet.pde.levels.convolution import conv_levels
from mgnet.pde.levels.smoothers import Polynomial
from mgnet.pde.linear import solve
from mgnet.pde.nonlinear import solve_nonlinear
from mgnet.pde.outer import fork as fork
from mgnet.pde.problem.axis import Robin
from mgnet.pde.problem.faces import Faces
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.poisson import Poisson
from mgnet.pde.solution import NotConverged, RoundOffWarning, Solution
from mgnet.pde.solver import Solver

__all__ = [
    "Faces",
    "Grid",
    "NotConverged",
    "Partition",
    "Poisson",
    "Polynomial",
    "Robin",
    "RoundOffWarning",
    "SharedPoisson",
    "Solution",
    "Solver",
    "capabilities",
    "conv_levels",
    "solve",
    "solve_nonlinear",
]


def __dir__() -> list[str]:
    return sorted(__all__)
