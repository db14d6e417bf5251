"""Connected parts of a domain, which a mask, fixed unknowns and walls leave: each may float by itself."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.native.arrays import components
from mgnet.pde.problem.axis import DIRICHLET, NEUMANN, PERIODIC, Axis, Robin
from mgnet.pde.problem.checks import HERE, Place, looked_at
from mgnet.pde.problem.faces import open_faces
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.mask import Domain


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


def parts_of(domain: Domain | None, A: Any, grid: Grid, walls: bool) -> Parts | None:
    """What a domain falls into; None: the box, in one part.

    Parameters
    ----------
    A : the operator of the box;   walls : whether its conductances may be 0 between unknowns
    """
    with torch._C._DisableFuncTorch():  # under whose transforms no tensor shows its numbers
        opens = open_faces(A.k, grid) if walls or not grid.has_numbers else None
        if domain is None and opens is None:
            return None
        return connected(domain or Domain.of(grid, A.k[0].device, None, DIRICHLET, None), grid, opens)


def grounded(A: Any, alone: Tensor, d: Tensor) -> Any:
    """A with d u in the equation 0 = f of each unknown that is a part by itself; like other such parts it floats."""
    return A.with_c(torch.where(alone.to(d.device), torch.where(d > 0, d, 1.0), 0.0 if A.c is None else A.c))


def connected(domain: Domain, grid: Grid, opens: Sequence[np.ndarray] | None = None) -> Parts:
    """The connected parts of a domain, member by member.

    Parameters
    ----------
    opens : per axis (*batch, *grid with n_d + 1) the faces that are no walls; None: all
    """
    given = [v.cpu().numpy() for v in (domain.unknown, domain.holding)] + list(opens or ())
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


def check_alone(c: Tensor | None, alone: Tensor, name: str = "mask", place: Place = HERE) -> None:
    """Refuse a part of one unknown with no equation: no neighbour, nothing that holds it, no c."""
    if alone.any():
        c = torch.zeros_like(alone, dtype=torch.float64) if c is None else c
        looked_at(c, lambda c: _refuse_alone((c == 0) & alone.to(c.device), name, place))


def _refuse_alone(bad: Tensor, name: str, place: Place) -> None:
    if bad.any():
        first = place.first(bad)
        raise ValueError(
            f"`{name}` must leave no unknown without an equation: with no flux through the cut and c = 0, "
            f"{int(bad.sum())} of them have no neighbour (first {first}). Leave them out by a `mask`, or give c > 0."
        )
