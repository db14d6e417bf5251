"""Elimination of a whole grid: one solve, and its residual, with no iteration around it."""

from collections.abc import Sequence
from math import prod
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.levels.grids import constants
from mgnet.pde.native.streams import NativeStreams
from mgnet.pde.outer.iterate import Outcome
from mgnet.pde.outer.stopping import Stop
from mgnet.pde.problem.axis import Axis
from mgnet.pde.problem.plain import plain

LITTLE_WORK = 1.2e6  # multiplications of eliminating a grid, so few that no levels are quicker: 32^2, 10^3
SQUARABLE = {torch.float32: (1e-8, 1e15), torch.float64: (1e-100, 1e150)}  # norms whose squares, times tol^2, exist


class Direct(Protocol):
    def solve(self, b: Tensor) -> tuple[Tensor, np.ndarray]:
        """(u, (batch, 2) ||b|| and ||b - A u||) for b of shape (batch, *grid)."""
        ...


def at_once(direct: Direct, b: Tensor, stop: Stop) -> Outcome | None:
    """The outcome of one solve; None where there is more to do, or to say."""
    u, norms = direct.solve(b)
    (low, high), each = SQUARABLE[b.dtype], norms.tolist()
    if not all(low <= size <= high for size, _ in each):
        return None
    worst = max(left / size for size, left in each)
    if not worst <= (1.0 if stop.tol is None else stop.tol):
        return None
    return Outcome(u, [], "full multigrid") if stop.tol is None else Outcome(u, [1.0, worst], "tolerance")


def direct_of(problem: Any) -> Direct | None:
    """What eliminates all of a small grid of plain numbers on the CPU: no batch, no parts, no gradients."""
    grid, A = problem.grid, problem.A
    one = A.base is A and problem.parts is None and not grid.closed and constants(problem) is None
    if not one or grid.ndim == 1 or problem.kind.device.type != "cpu" or elimination_work(grid.axes) > LITTLE_WORK:
        return None
    if not all(plain(v) and v.ndim <= grid.ndim for v in A.tensors):
        return None
    direct = NativeStreams(A, A.tensors[0])
    return direct if direct.solves else None


def elimination_work(axes: Sequence[Axis]) -> float:
    """Multiplications of eliminating all unknowns of a grid, of N, each from a band of those that follow.

    Example
    -------
    >>> from mgnet.pde import Grid
    >>> elimination_work(Grid((15, 20)).axes)
    67500.0
    """
    N, longest = prod(axis.n for axis in axes), max(axes, key=lambda axis: axis.n)
    band = N / longest.n * (2 if longest.periodic else 1)
    return N * band**2
