"""Boundary data on coarse grids, for one full multigrid pass.

b holds f and the boundary data together. Full weighting suits f, but moves what data at an end
contribute by half a mesh width, an O(h) error beside the corners that one pass cannot remove. So
the data's part of b is made anew on every grid, and only the rest is restricted.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from mgnet.pde.levels.grids import grids, line_axis
from mgnet.pde.levels.smoothers import Smoother
from mgnet.pde.levels.transfers import apply_tables
from mgnet.pde.problem.axis import Axis
from mgnet.pde.problem.checks import as_tensor
from mgnet.pde.problem.data import boundary_pairs
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.poisson import Poisson


def boundary_parts(problem: Poisson, boundary: Any, like: Tensor, smoother: Smoother, first: int = 0) -> list[Tensor]:
    """The boundary data's part of b on every grid, finest first.

    Parameters
    ----------
    problem : with constant coefficients
    boundary : as for ``Poisson.rhs``; arrays are interpolated along their end
    smoother : which decides the grids
    first : the first of those that are wanted
    """
    assert problem.constant is not None
    a, parts = problem.constant[0], []
    for axes in grids(problem.grid.axes, a, line=line_axis(smoother, problem.grid.axes, a))[first:]:
        coarse, data = on_grid(problem, boundary, axes)
        parts.append(coarse.rhs(like.new_zeros(coarse.grid.shape), data))
    return parts


def on_grid(problem: Poisson, boundary: Any, axes: Sequence[Axis]) -> tuple[Poisson, list[tuple[Any, ...]]]:
    """The problem and the data on a coarser grid."""
    assert problem.constant is not None
    (a, c), grid = problem.constant, Grid.of(tuple(axes))
    pairs = boundary_pairs(boundary, grid.ndim)
    data = [tuple(_on(g, problem.grid, grid, d) for g in pair) for d, pair in enumerate(pairs)]
    return Poisson(grid, a, c, like=problem.kind), data


def _on(g: Any, fine: Grid, coarse: Grid, d: int) -> Any:
    """Data on an end of axis d of the fine grid, on that of the coarse one."""
    if not isinstance(g, (np.ndarray, Tensor)) or g.ndim == 0:
        return g
    along = [e for e in range(fine.ndim) if e != d]
    tables = [
        None if fine.axes[e] == coarse.axes[e] else coarse.axes[e].interpolation(fine.axes[e], order=4) for e in along
    ]
    return apply_tables(tables, as_tensor(g))
