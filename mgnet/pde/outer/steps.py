"""Minimal residuals where compiled levels take the steps: one call for as many as there is nothing to decide between.

The iteration is that of ``krylov``'s ``Preconditioned`` with ``MinimalResiduals(A, None)``, its readable twin.
"""

from math import inf
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.levels.system import HALVED
from mgnet.pde.native.streams import NativeStreams


class Steps:
    """The iteration as a hierarchy whose cycle is one step; ``iterate`` drives it. Iterates are arrays of the kernels.

    Parameters
    ----------
    levels : whose cycle from zero is the preconditioner, and whose A is solved for
    """

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
        return torch.linalg.vector_norm(r.flatten(1), dim=1)

    def measured(self) -> Tensor:
        return torch.from_numpy(self._norms)

    def full_multigrid(self, b: np.ndarray, measure: bool = True) -> np.ndarray:
        """The first step, from zero."""
        return self.cycle(None, b)

    def cycle(self, u: np.ndarray | None, b: np.ndarray, measure: bool = True) -> np.ndarray:
        self._go_on(u, b)
        return self._advance(self._norms, 0.0, inf, 1)[0]

    def further(self, u: np.ndarray, b: np.ndarray, steps: int) -> np.ndarray:
        """So many steps from u in a call, unless nothing is left before."""
        self._go_on(u, b)
        return self._advance(self._norms, 0.0, inf, steps)[0] if steps else u

    def several(
        self, u: np.ndarray | None, b: np.ndarray, size: np.ndarray, tol: float, most: int
    ) -> tuple[Any, Any, np.ndarray]:
        """Up to ``most`` steps between which there is nothing to decide, towards ||b - A x|| <= tol size.

        Returns
        -------
        the iterate before the last one (None for zero), the last one, (steps, batch) ||b - A x|| after each step
        """
        self._go_on(u, b)
        x, norms = self._advance(size, tol, HALVED, most)
        return None if u is None and len(norms) == 1 else self.BEFORE, x, norms

    def _go_on(self, u: np.ndarray | None, b: np.ndarray) -> None:
        """From u, which may be the last iterate."""
        if u is None or u is not self._x:
            self._b, self._norms = b, self.levels.begin(u, b)

    def _advance(self, size: np.ndarray, tol: float, enough: float, most: int) -> tuple[np.ndarray, np.ndarray]:
        self._x, norms = self.levels.advance(self._b, self._norms, size, tol, enough, most)
        self._norms = norms[-1]
        return self._x, norms
