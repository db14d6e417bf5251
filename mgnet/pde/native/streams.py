"""Levels of any operator on a grid in compiled kernels, those that convection needs: set-up, cycles, products as calls.

Small grids of symmetric operators are eliminated by them, too.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.blackbox.hierarchy import SHORTEST, first_coarse
from mgnet.pde.blackbox.normal import OMEGAS
from mgnet.pde.blackbox.traits import COARSEST
from mgnet.pde.blackbox.turns import smoothed_by
from mgnet.pde.levels.preconditioner import Preconditioner
from mgnet.pde.native import four, kernels, machine, threads
from mgnet.pde.problem.convection import TAME

HELD = 1e-10  # of a pivot over its diagonal
LEAST, EACH, MOST = 1e7, 1.1e3, 1e9  # multiplications that eliminating the coarsest grid may take; each unknown's share
TURN_LEAST, TURN_EACH = 5e5, 200.0  # where rows are smoothed in turn, whose cycles take no longer


class NativeStreams(Preconditioner):
    """The compiled hierarchy; parameters as of ``ReadableStreams``, its twin.

    Where rows smoothed in turn leave little of a residual, there are no coarser grids.
    What coarse grids leave of recirculating flows adds up from grid to grid, so the coarsest one is as fine as
    elimination allows.

    A : a Convection, a Diffusion or a CrossDiffusion
    eliminated : multiplications that eliminating the coarsest grid may take; None: as many as pay
    held : the c that levels are made with; None: A's
    """

    def __init__(
        self,
        A: Any,
        like: Tensor,
        nu: tuple[int, int] = (2, 2),
        gamma: int | str = 1,
        eliminated: float | None = None,
        held: Tensor | None = None,
    ):
        axes = A.axes
        self._shape = tuple(axis.n for axis in axes)
        self._four = (-1, *four(self._shape))
        A = A.with_one_batch_axis()
        unknowns, sides = prod(self._shape), [(back.numpy(), forth.numpy()) for back, forth in A.sides]
        self._levels = kernels.Streams(
            machine(),
            like.dtype == torch.float32,
            self._shape,
            [axis.periodic for axis in axes],
            [first_coarse(axis) for axis in axes],
            [axis.share for axis in axes],
            [back for back, _ in sides],
            [forth for _, forth in sides],
            [s.numpy() for s, _ in A.corners],
            [t.numpy() for _, t in A.corners],
            None if A.c is None else A.c.numpy(),
            None if held is None else held.numpy(),
            A.transposed,
            TAME / A.ndim,
            OMEGAS,
            [d for d, n in enumerate(self._shape) if n > 1],
            *nu,
            0 if gamma == "F" else int(gamma),
            COARSEST,
            min(max(LEAST, EACH * unknowns), MOST) if eliminated is None else eliminated,
            min(max(TURN_LEAST, TURN_EACH * unknowns), MOST) if eliminated is None else eliminated,
            SHORTEST,
            threads(),
        )
        self.sizes: Sequence[int] = tuple(self._levels.sizes())
        self.smoother = smoothed_by(self._levels.in_turn(), self._levels.alone(), len(self.sizes))
        # whether a cycle does: what is held by less than that, data that sum to nearly nothing decide
        self.solves = not self.smoother and not self._levels.tamed() and self._levels.weakest() > HELD

    def solve(self, b: Tensor) -> tuple[Tensor, np.ndarray]:
        """(u, (batch, 2) ||b|| and ||b - A u||) of a cycle for A u = b from zero."""
        return self._call(self._levels.solve, b)

    def numbers(self, v: Tensor) -> np.ndarray:
        """v, (batch, *grid), as the kernels take it."""
        return v.contiguous().numpy().reshape(self._four)

    def tensor_of(self, v: np.ndarray) -> Tensor:
        """What they leave, (batch, *grid)."""
        return torch.from_numpy(v).reshape(-1, *self._shape)

    def begin(self, x: np.ndarray | None, b: np.ndarray) -> np.ndarray:
        """(batch,) ||b - A x||, from which steps of minimal residuals go on; x None: zero."""
        return self._levels.begin(x, b)

    def advance(
        self, b: np.ndarray, norms: np.ndarray, size: np.ndarray, tol: float, enough: float, most: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Up to ``most`` steps, from ``norms``; no more once every member's is down to tol size, or one's, above that,
        is not down to ``enough`` of the one before.

        Returns
        -------
        x, (steps, batch) ||b - A x|| after each step
        """
        x = np.empty_like(b)
        return x, self._levels.advance(b, x, norms, size, tol, enough, most)

    def before(self, b: np.ndarray) -> np.ndarray:
        """The x before the last step."""
        x = np.empty_like(b)
        self._levels.before(b, x)
        return x

    def apply(self, u: Tensor) -> Tensor:
        """A u, of u's precision."""
        return self._call(self._levels.apply, u)[0]

    def precondition(self, r: Tensor) -> Tensor:
        return self._call(self._levels.cycle, r)[0]

    def _call(self, kernel: Callable[[np.ndarray, np.ndarray], Any], v: Tensor) -> tuple[Tensor, Any]:
        """What it makes of v, and what it returns."""
        numbers = self.numbers(v)
        out = np.empty_like(numbers)
        returned = kernel(numbers, out)
        return torch.from_numpy(out).reshape(v.shape), returned
