"""The compiled kernels of a single grid, with the verbs of a level, for the tests that compare levels."""

from typing import NamedTuple

import numpy as np

from mgnet.pde.native import four, kernels, machine
from mgnet.pde.native.describe import direct, grid
from mgnet.pde.problem.axis import Robin

NONE, DOWN, UP = 0, 1, 2


class Interpolant(NamedTuple):
    """An iterate Q u_c, and R f beside it."""

    coarse: np.ndarray
    restricted: np.ndarray


class NativeLevel:
    """One grid, and a direct solve on the next coarser one; arrays are (batch, n0, n1, n2)."""

    def __init__(self, transfer, a, c, steps, dtype, batch, on=None, threads=1):
        self.shape = (batch, *four([axis.n for axis in transfer.fine]))
        self.coarse_shape = (batch, *four([axis.n for axis in transfer.coarse]))
        self.dtype = np.dtype(dtype)
        ends = [end for axis in transfer.fine for end in (axis.low, axis.high)]
        exact = any(colour >= 0 for way in steps for _, colour in way) or any(isinstance(end, Robin) for end in ends)
        self.steps = [len(way) for way in steps]
        self.kernels = kernels.Kernels(
            on or machine(), self.dtype == np.float32, [grid(transfer, a, c, exact, steps)],
            direct(transfer.coarse, a, c), c, 1, batch, threads, False, None,
        )  # fmt: skip

    def smooth(self, u, f):
        if self.steps[0] == 0:
            return np.zeros_like(f) if u is None else u
        return self._pass(u, f, DOWN)

    def down(self, u, f, coarse):
        f_c = np.empty(self.coarse_shape, self.dtype)
        if isinstance(u, Interpolant):
            self.kernels.interpolant(0, u.restricted, u.coarse, f_c)
            return u, None, f_c
        if self.steps[0] == 0:
            self.kernels.pass_(0, u, None, None, f, None, f_c, NONE)
            return u, None, f_c
        return self._pass(u, f, DOWN, f_c=f_c), None, f_c

    def up(self, u, f, before, after):
        return self._pass(u, f, UP, e=after)

    def restrict(self, f, out):
        self.kernels.pass_(0, None, None, None, f, None, out, NONE)
        return out

    def residuals(self, u, f, restricted=None):
        return self.kernels.pass_(0, u, None, None, f, None, restricted, NONE, True)

    def _pass(self, u, f, way, e=None, f_c=None):
        out = np.full(self.shape, np.nan, self.dtype)
        u, guess = (None, u.coarse) if isinstance(u, Interpolant) else (u, None)
        self.kernels.pass_(0, u, guess, e, f, out, f_c, way)
        return out
