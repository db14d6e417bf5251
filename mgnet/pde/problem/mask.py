"""Irregular domains: which unknowns have an equation, and which others hold those beside them.

Faces between one with an equation and one without are cut: they couple it to a value there (outside of a mask,
"dirichlet", and at what is fixed) or carry a given flux ("neumann"). Both are the operator of the box with other
conductances and reaction, so everything that solves on a box solves here:

    k = 0 on faces without an equation on both sides;   c <- c + k_cut / share   beside those that hold

and so it is with the corners of a full tensor (``cross``). Other rows read d u = d g, d the mean diagonal, so that A is
regular there and well scaled; g is 0 outside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.native.arrays import components
from mgnet.pde.problem.axis import DIRICHLET, NEUMANN, PERIODIC, Axis, Robin
from mgnet.pde.problem.checks import BOOLEAN, as_tensor, dense, looked_at, not_mapped
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


class Parts(NamedTuple):
    """The connected parts of a domain.

    part : (*batch, *grid) the number of each one's part, -1 without an equation
    free : (*batch, parts) whether a part meets no end, and nothing else, that holds u
    alone : (*batch, *grid) the free parts of one unknown
    """

    part: Tensor
    free: Tensor
    alone: Tensor

    def flattened(self, ndim: int, batch: Sequence[int]) -> "Parts":
        """With one batch axis, of 1 where there is none; ``batch``: of which its own are a part, or ()."""
        batch = batch or self.part.shape[: self.part.ndim - ndim]

        def flat(v: Tensor, own: int) -> Tensor:
            last = v.shape[v.ndim - own :]
            return v[None] if v.ndim == own else v.expand(*batch, *last).reshape(-1, *last)

        return Parts(flat(self.part, ndim), flat(self.free, 1), flat(self.alone, ndim))


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

    def parts(self, grid: Grid, opens: Sequence[np.ndarray] | None = None) -> Parts:
        """Its connected parts, member by member.

        Parameters
        ----------
        opens : per axis (*batch, *grid with n_d + 1) the faces that are no walls; None: all
        """
        given = [v.cpu().numpy() for v in (self.unknown, self.holding)] + list(opens or ())
        batch = np.broadcast_shapes(*(v.shape[: v.ndim - grid.ndim] for v in given))
        shape = (*batch, *grid.shape)
        inside, holding, *opens = (
            np.broadcast_to(v, (*batch, *v.shape[v.ndim - grid.ndim :])).reshape(-1, *v.shape[v.ndim - grid.ndim :])
            for v in given
        )
        label = components(inside, opens, [axis.periodic for axis in grid.axes]).ravel()
        at, first = np.flatnonzero(inside), label == np.arange(label.size)
        part = (np.cumsum(first) - 1)[label[at]]
        held = _held(holding, grid, opens)
        free, single = np.bincount(part, held.ravel()[at]) == 0, np.bincount(part) == 1
        member, number = _numbered(np.flatnonzero(first) // grid.size)
        flags = np.zeros((len(inside), int(number.max()) + 1), bool)
        flags[member, number] = free
        numbers, alone = np.full(inside.size, -1), np.zeros(inside.size, bool)
        numbers[at], alone[at] = number[part], (free & single)[part]
        return Parts(
            torch.from_numpy(numbers.reshape(shape)),
            torch.from_numpy(flags.reshape(*batch, flags.shape[-1])),
            torch.from_numpy(alone.reshape(shape)),
        )


def _between(v: np.ndarray, d: int, axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    """v (members, *grid) on both sides of the faces between unknowns along grid axis d, that axis first."""
    v = np.moveaxis(v, d + 1, 0)
    return (v, np.roll(v, -1, 0)) if axis.periodic else (v[:-1], v[1:])


def _through(opens: Sequence[np.ndarray], d: int, grid: Grid) -> np.ndarray:
    """(n_d + 1, members, *others), or broadcastable to it: which faces of axis d are no walls."""
    if not opens:
        return np.ones((grid.shape[d] + 1, *[1] * grid.ndim), bool)
    return np.moveaxis(opens[d], d + 1, 0)


def _held(holding: np.ndarray, grid: Grid, opens: Sequence[np.ndarray]) -> np.ndarray:
    """(members, *grid) whether an end, or what is beside it, holds an unknown."""
    held = np.zeros(holding.shape, bool)
    for d, axis in enumerate(grid.axes):
        through = _through(opens, d, grid)
        out, (here, there) = np.moveaxis(held, d + 1, 0), _between(holding, d, axis)
        faces = through[1 : len(here) + 1]
        out[: len(here)] |= there & faces
        out[np.arange(1, len(here) + 1) % axis.n] |= here & faces
        for end, at in ((axis.low, 0), (axis.high, -1)):
            out[at] |= through[at] & (end not in (NEUMANN, PERIODIC) and end != Robin(0))
    return held


def _numbered(member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of parts in any order the member that each is of, and its number among that member's."""
    order = np.argsort(member, kind="stable")
    number = np.empty_like(member)
    number[order] = np.arange(len(member)) - np.searchsorted(member[order], member[order])
    return member, number


def check_alone(c: Tensor | None, alone: Tensor, name: str = "mask") -> None:
    """Refuse a part of one unknown with no equation: no neighbour, nothing that holds it, no c."""
    if alone.any():
        c = torch.zeros_like(alone, dtype=torch.float64) if c is None else c
        looked_at(c, lambda c: _refuse_alone((c == 0) & alone.to(c.device), name))


def _refuse_alone(bad: Tensor, name: str) -> None:
    if bad.any():
        first = tuple(int(i) for i in bad.nonzero()[0])
        raise ValueError(
            f"`{name}` must leave no unknown without an equation: with no flux through the cut and c = 0, "
            f"{int(bad.sum())} of them have no neighbour (first {first}). Leave them out by a `mask`, or give c > 0."
        )
