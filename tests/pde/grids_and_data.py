"""The product of boundary kinds, centrings and dimensions that the tests of mgnet.pde run over."""

from functools import reduce
from itertools import product

import numpy as np
import torch

from mgnet.pde import Grid, Robin
from mgnet.pde.levels.constant import readable_levels
from mgnet.pde.levels.grids import grids

ENDS = [*product(["dirichlet", "neumann"], repeat=2), "periodic"]
CENTERINGS = ["node", "cell"]
SMOOTHERS = ["chebyshev", "jacobi", "red-black"]


def axis_bcs(ndim, first):
    """One axis as asked, the others Dirichlet and then Neumann."""
    return [first, "dirichlet", "neumann"][:ndim]


def random(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def levels_of(grid, a, c=0.0, smoother="chebyshev", nu=(2, 2), dtype=torch.float64, symmetric=False, direct_work=200):
    """Readable levels with a small coarsest grid, and their transfers."""
    chain = grids(grid.axes, a, direct_work)
    return (*readable_levels(chain, a, c, torch.zeros((), dtype=dtype), smoother, nu, symmetric), chain)


class Manufactured:
    """u = w(x) w(y) w(z), every derivative by hand; -div(a grad u) + c u = f with constant a per axis, c.

    w = cos(k x + 0.4) + 0.5, on a periodic axis of period L: sin(2 pi x / L + 0.3) + 0.5.
    """

    def __init__(self, grid, a=None, c=0.0, k=1.3):
        self.grid, self.a, self.c, self.k = grid, a or (1.0,) * grid.ndim, c, k

    def w(self, d, t, derivative=0):
        axis = self.grid.axes[d]
        k, phase = (2 * np.pi / (axis.upper - axis.lower), 0.3 - np.pi / 2) if axis.periodic else (self.k, 0.4)
        shift = derivative * np.pi / 2
        return k**derivative * np.cos(k * t + phase + shift) + (0.5 if derivative == 0 else 0.0)

    def u(self, *x, d=None, derivative=0):
        """u, or its derivative along axis d."""
        return reduce(np.multiply, [self.w(e, t, derivative if e == d else 0) for e, t in enumerate(x)])

    def f(self, *x):
        second = sum(a * self.u(*x, d=d, derivative=2) for d, a in enumerate(self.a))
        return -second + self.c * self.u(*x)

    def boundary(self):
        """One (low, high) pair of callables per axis."""
        return [tuple(self._end(d, side) for side in (0, 1)) for d in range(self.grid.ndim)]

    def _end(self, d, side):
        end = self.grid.bc[d][side]
        if end in ("dirichlet", "periodic"):
            return self.u
        alpha = end.alpha if isinstance(end, Robin) else 0.0
        sign = 1 if side else -1
        return lambda *x: alpha * self.u(*x) + sign * self.a[d] * self.u(*x, d=d, derivative=1)

    def exact(self):
        return self.u(*self.grid.coordinates())

    def datum(self):
        return self.f(*self.grid.coordinates())


def reaction_for(grid):
    """c that makes the problem regular."""
    return 0.7 if grid.closed else 0.0


def grid_of(shape, bc, centering, lower=0.0, upper=1.0):
    return Grid(shape, bc=bc, centering=centering, lower=lower, upper=upper)


def shape_of(intervals, bc, centering):
    """The shape with the same number of mesh widths along every axis."""
    shape = (intervals,) * len(bc)
    return tuple(2 * intervals - axis.intervals for axis in Grid(shape, bc=bc, centering=centering).axes)


def order(sizes, errors):
    """The exponent p of error = C size^-p, fitted."""
    return -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
