"""Minimal residuals where compiled levels take the steps: one call for as many as there is nothing to decide between.

The iteration is that of ``krylov``'s ``Preconditioned`` with ``MinimalResiduals(A)``, its readable twin.
"""

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.levels.system import HALVED
from mgnet.pde.native.streams import NativeStreams
from mgnet.pde.outer.iteration import Several
from mgnet.pde.problem.members import norm_of


class Steps:
    """The iteration; its iterates are arrays of the kernels.

    Parameters
    ----------
    levels : whose cycle from zero is the preconditioner, and whose A is solved for
    """

    squares, hold = True, None
    BEFORE = "the iterate before the last step"  # which is made when it is asked for

    def __init__(self, levels: NativeStreams):
        self.levels = levels
        self._x: np.ndarray | None = None  # the last one
        self._b, self._norms = np.empty(0), np.empty(0)

    def data(self, b: Tensor) -> np.ndarray:
        return self.levels.numbers(b)

    def tensor(self, u: Any) -> Tensor:
        return self.levels.tensor_of(self.levels.before(self._b) if u is self.BEFORE else u)

    release = tensor

    def norms(self, u: np.ndarray | None, b: np.ndarray) -> Tensor:
        r = self.tensor(b)
        r = r if u is None else r - self.levels.apply(self.tensor(u))
        return norm_of(r)

    def full_multigrid(self, b: np.ndarray) -> np.ndarray:
        """The first step, from zero."""
        return self._some(None, b, 1)

    def further(self, u: np.ndarray, b: np.ndarray, steps: int) -> np.ndarray:
        """So many steps in a call, unless nothing is left before."""
        return self._some(u, b, steps) if steps else u

    def error(self, size: Tensor, energy: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(self._norms) ** 2, size**2

    def several(
        self, u: np.ndarray | None, b: np.ndarray, norms: np.ndarray, size: np.ndarray, tol: float, most: int
    ) -> Several:
        self._go_on(u, b)
        x, history = self._advance(size, tol, HALVED, most)
        return None if u is None and len(history) == 1 else self.BEFORE, x, history

    def _some(self, u: np.ndarray | None, b: np.ndarray, steps: int) -> np.ndarray:
        self._go_on(u, b)
        return self._advance(self._norms, 0.0, inf, steps)[0]

    def _go_on(self, u: np.ndarray | None, b: np.ndarray) -> None:
        """From u, which may be the last iterate."""
        if u is None or u is not self._x:
            self._b, self._norms = b, self.levels.begin(u, b)

    def _advance(self, size: np.ndarray, tol: float, enough: float, most: int) -> tuple[np.ndarray, np.ndarray]:
        self._x, norms = self.levels.advance(self._b, self._norms, size, tol, enough, most)
        self._norms = norms[-1]
        return self._x, norms
