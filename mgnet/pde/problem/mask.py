"""Irregular domains: which unknowns have an equation, and which others hold those beside them.

Faces between one with an equation and one without are cut: they couple it to a value there (outside of a mask,
"dirichlet", and at what is fixed) or carry a given flux ("neumann"). Both are the operator of the box with other
conductances and reaction, so everything that solves on a box solves here:

    k = 0 on faces without an equation on both sides;   c <- c + k_cut / share   beside those that hold

and so it is with the corners of a full tensor (``cross``). Other rows read d u = d g, d the mean diagonal, so that A is
regular there and well scaled; g is 0 outside.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.problem.axis import DIRICHLET, Axis
from mgnet.pde.problem.checks import BOOLEAN, as_tensor, dense, not_mapped
from mgnet.pde.problem.grid import Grid


def inside(mask: Any, grid: Grid) -> Tensor:
    """The mask as a tensor (*batch, *grid), checked."""
    if not isinstance(mask, (np.ndarray, Tensor)):
        raise TypeError(f"`mask` must be a boolean array, True inside; it is {type(mask).__name__}.")
    dense("mask", mask)
    not_mapped("mask", mask)
    if mask.dtype not in BOOLEAN:
        raise TypeError(f"`mask` must be boolean, True inside; its dtype is {mask.dtype}. Pass mask != 0, say.")
    tensor = as_tensor(mask.copy() if isinstance(mask, np.ndarray) else mask)  # ours: later changes do not reach it
    if tuple(tensor.shape[-grid.ndim :]) != grid.shape:
        raise ValueError(
            f"`mask` must have the grid's shape {grid.shape} as its last axes; it has {tuple(tensor.shape)}."
        )
    return tensor


def somewhere(v: Tensor, ndim: int) -> Tensor:
    """(*batch) whether v (*batch, *grid) is True at an unknown."""
    return v.flatten(-ndim).any(-1)


def check_filled(filled: Tensor) -> None:
    """Refuse a mask without unknowns; (*batch) whether there are some."""
    if not filled.all():
        member = f" in member {tuple(int(i) for i in (~filled).nonzero()[0])} of the batch" if filled.ndim else ""
        raise ValueError(f"`mask` must be True somewhere; it is False everywhere{member}.")


def check_left(left: Tensor) -> None:
    """Refuse fixed values that leave nothing to solve for; (*batch) whether they leave something."""
    if not left.all():
        raise ValueError("`fixed` must leave some unknown to solve for; all of them are fixed.")


def beside(v: Tensor, axis: Axis, dim: int) -> tuple[Tensor, Tensor]:
    """The values on both sides of each of the n + 1 faces along ``dim``; an end has that of its unknown on both."""
    n = axis.n
    first, last = v.narrow(dim, 0, 1), v.narrow(dim, n - 1, 1)
    around = torch.cat([last, v, first] if axis.periodic else [first, v, last], dim=dim)
    return around.narrow(dim, 0, n + 1), around.narrow(dim, 1, n + 1)


@dataclass(frozen=True)
class Domain:
    """Where the equations are.

    Parameters
    ----------
    unknown : (*batch, *grid) has an equation
    holding : (*batch, *grid) has none, and holds what is beside it
    """

    unknown: Tensor
    holding: Tensor

    @classmethod
    def of(cls, grid: Grid, device: torch.device, mask: Tensor | None, mask_bc: str, fixed: Tensor | None) -> "Domain":
        """What a mask and fixed unknowns leave of a grid."""
        every = torch.ones(grid.shape, dtype=torch.bool, device=device)
        inside, fixed = every if mask is None else mask, ~every if fixed is None else fixed
        return cls(inside & ~fixed, fixed | ~inside if mask_bc == DIRICHLET else fixed)

    def cut(self, A: Any, outer: Tensor) -> Any:
        """The operator, with these equations alone; outer : d of others."""
        zero = torch.zeros_like(self.unknown, dtype=A.k[0].dtype)
        c, sides = zero if A.c is None else A.c, []
        for d, ((back, forth), axis) in enumerate(zip(A.sides, A.axes, strict=True)):
            dim, n = d - A.ndim, axis.n
            left, right = beside(self.unknown, axis, dim)
            inner = back * (left & right)
            sides.append((inner, inner if back is forth else forth * (left & right)))
            if self.holding.any():
                below, above = beside(self.holding, axis, dim)
                both = (back * (below & right)).narrow(dim, 0, n) + (forth * (left & above)).narrow(dim, 1, n)
                share = A.weights.shares[d]
                c = c + (both if share is None else both / share)
        if A.corners:
            A, more = A.cut(self.unknown, self.holding)
            c = c + more
        return A.having_sides(sides, torch.where(self.unknown, c, outer))
