"""MG = CNN: stencil convolutions, readable levels and compiled kernels are one solver.

Level by level through core.descend, and whole cycles, to 1e-14; in 1-, 2- and 3-D, with anisotropy and reaction.
"""

import numpy as np
import pytest
import torch

from mgnet.core import cycle, descend
from mgnet.pde import Grid, Poisson, conv_levels
from mgnet.pde.levels.constant import readable_levels
from mgnet.pde.native.hierarchy import constant_hierarchy
from tests.pde.grids_and_data import random

SIZES = {1: (63,), 2: (31, 31), 3: (15, 15, 15)}


def chain_of(grid, depth):
    """Axes halved together, as strides do."""
    chain = [grid.axes]
    for _ in range(depth - 1):
        chain.append(tuple(axis.coarsen() for axis in chain[-1]))
    return chain


def assert_same(ours, theirs, tolerance=1e-14):
    theirs = theirs.numpy().reshape(np.asarray(ours).shape)
    assert abs(np.asarray(ours) - theirs).max() <= tolerance * abs(theirs).max()


@pytest.mark.parametrize("smoother", ["chebyshev", "jacobi"])
@pytest.mark.parametrize(("a", "c"), [((1.0, 1.0, 1.0), 0.0), ((1.0, 0.5, 2.0), 3.0)], ids=["laplace", "general"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_left_legs_are_equal_grid_by_grid(ndim, a, c, smoother):
    shape, a = SIZES[ndim], a[:ndim]
    grid = Grid(shape)
    convolutions = conv_levels(Poisson(grid, a, c), nu=(2, 2), smoother=smoother)
    chain = chain_of(grid, len(convolutions))
    readable, _ = readable_levels(chain, a, c, torch.zeros((), dtype=torch.float64), smoother)
    compiled = constant_hierarchy(chain[:-1], a, c, torch.float64, 2, smoother, (2, 2), 1, False)
    f = torch.as_tensor(random((2, *shape)))
    legs = descend(convolutions, None, f[:, None])
    twins = descend(readable, None, f)
    for l in range(len(legs) - 1):  # the coarsest grid is smoothed there, solved here
        assert_same(legs[l].u[:, 0], twins[l].u)
        assert_same(legs[l + 1].f[:, 0], twins[l + 1].f)
    for ours, theirs in zip(compiled.descend(compiled.data(f))[:-1], twins, strict=False):
        assert_same(ours.u, theirs.u)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_cycles_are_equal_with_one_coarsest_grid(ndim):
    shape, a = SIZES[ndim], (1.0,) * ndim
    grid = Grid(shape)
    convolutions = conv_levels(Poisson(grid), coarsest=7)
    chain = chain_of(grid, len(convolutions))
    readable, _ = readable_levels(chain, a, 0.0, torch.zeros((), dtype=torch.float64))
    readable[-1] = _Smoothed(convolutions[-1])
    u, f = (torch.as_tensor(random((2, *shape), k)) for k in (1, 2))
    for gamma in (1, 2, "F"):
        assert_same(cycle(convolutions, u[:, None], f[:, None], gamma)[:, 0], cycle(readable, u, f, gamma), 1e-13)


class _Smoothed:
    """The coarsest convolution level, on (N, *grid)."""

    def __init__(self, level):
        self.level = level

    def smooth(self, u, f):
        return self.level.smooth(None if u is None else u[:, None], f[:, None])[:, 0]


@pytest.mark.parametrize(
    "problem",
    [
        Poisson(Grid((30, 30))),
        Poisson(Grid((31, 15))),
        Poisson(Grid((31, 31), bc="neumann")),
        Poisson(Grid((31, 31), centering="cell")),
        Poisson(Grid((31, 31)), a=np.ones((31, 31))),
    ],
    ids=["size", "shape", "ends", "centering", "coefficient"],
)
def test_what_strides_cannot_do_is_refused(problem):
    with pytest.raises(ValueError, match="`problem` must have constant coefficients and node-centred Dirichlet axes"):
        conv_levels(problem)
