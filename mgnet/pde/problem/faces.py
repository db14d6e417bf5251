"""What is given on the faces between unknowns: coefficients, with walls where they are zero, and data."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.problem.axis import DIRICHLET, Robin
from mgnet.pde.problem.checks import looked_at, real
from mgnet.pde.problem.coefficients import RANGE, Kind, is_number
from mgnet.pde.problem.grid import Grid


class Faces:
    """An ``a`` that is known on faces: transmissibilities, permeabilities of joints, walls.

    Parameters
    ----------
    values : per axis d a number or an array (*batch, *grid with n_d + 1 along d), >= 0: of the face below the first
        unknown, of those between unknowns, and of the one above the last. 0 is a wall, through which nothing flows:
        parts of the grid that walls cut off are solved like the parts of a mask. At Neumann ends nothing flows in any
        case; the first and the last face of a periodic axis are one

    Raises
    ------
    ValueError, TypeError : once it is used with a grid: another shape, a negative number

    Example
    -------
    >>> from mgnet.pde import solve
    >>> a = np.ones(6)
    >>> a[3] = 0.0  # a wall between the third and the fourth
    >>> solve(np.ones(5), a=Faces(a), upper=6.0).u.round(6).tolist()
    [3.0, 5.0, 6.0, 3.0, 2.0]
    """

    def __init__(self, *values: Any):
        self.values = values

    def per_axis(self, grid: Grid, name: str = "a") -> tuple["OnFaces", ...]:
        """One entry per axis."""
        if len(self.values) != grid.ndim:
            raise ValueError(f"`{name}` = Faces must have one array per axis ({grid.ndim}); it has {len(self.values)}.")
        return tuple(OnFaces(value) for value in self.values)


class OnFaces:
    """The values of one axis."""

    def __init__(self, value: Any):
        self.value = value

    def values(self, name: str, grid: Grid, d: int, kind: Kind) -> Tensor:
        """(*batch, *grid with n_d + 1) or broadcastable to it, of any sign."""
        shape = tuple(axis.n + (e == d) for e, axis in enumerate(grid.axes))
        if not (is_number(self.value) or isinstance(self.value, (np.ndarray, Tensor))):
            raise TypeError(
                f"`{name}` = Faces must hold numbers or arrays; on axis {d} it holds a {type(self.value).__name__}."
            )
        v = kind.tensor(self.value if is_number(self.value) else real(name, self.value)).clone()
        if v.ndim == 0:
            return v.expand([n if e == d else 1 for e, n in enumerate(shape)])
        if tuple(v.shape[-grid.ndim :]) != shape:
            raise ValueError(
                f"`{name}` = Faces must have the shape {shape} on axis {d}, one more than unknowns along it; "
                f"it has {tuple(v.shape)}."
            )
        return v

    def tensor(self, grid: Grid, d: int, kind: Kind) -> Tensor:
        """The same as an ``a``, checked."""
        axis, v = grid.axes[d], self.values("a", grid, d, kind)

        def look(data: Tensor) -> None:
            low, high = RANGE[0] * axis.h**2, RANGE[1] * axis.h**2
            good = (data == 0) | ((data >= low) & (data <= high))
            if not good.all():
                value, at = float(data[~good][0]), grid.place.first(~good)
                raise ValueError(
                    f"`a` = Faces must be 0 or between {low:.3g} and {high:.3g} (a / h^2 between {RANGE[0]:g} and "
                    f"{RANGE[1]:g}); on axis {d} it is {value:.6g} at {at}. Make what is less 0, a wall, or "
                    f"raise it."
                )
            dim = d - grid.ndim
            if axis.periodic and not torch.equal(data.narrow(dim, 0, 1), data.narrow(dim, axis.n, 1)):
                raise ValueError(
                    f"`a` = Faces must be the same on the first and the last face of axis {d}: they are one."
                )

        return looked_at(v, look)


def _numbers(v: Tensor) -> tuple[Tensor, int]:
    """v as plain numbers, with the batches of torch.func.vmap in front, and how many those are."""
    functorch, mapped = torch._C._functorch, 0
    while functorch.is_functorch_wrapped_tensor(v):
        dim = functorch.maybe_get_bdim(v) if functorch.is_batchedtensor(v) else None
        v, mapped = functorch.get_unwrapped(v), mapped + (dim is not None)
        v = v if dim is None else v.movedim(dim, 0)
    return v.detach(), mapped


def open_faces(k: Sequence[Tensor], grid: Grid) -> list[np.ndarray] | None:
    """Per axis (*batch, *grid with n_d + 1) whether something flows through a face; None where all inner ones, and ends
    that hold u, are open.

    Raises
    ------
    ValueError : if that differs between members that torch.func.vmap maps over
    """
    walls, out = False, []
    for d, (v, axis) in enumerate(zip(k, grid.axes, strict=True)):
        there, dim, wraps = _positive(v), d - grid.ndim, axis.periodic and axis.n > 1
        shape = [n + (e == d) for e, n in enumerate(grid.shape)]
        there = there.expand(*there.shape[: there.ndim - grid.ndim], *shape)
        inner = there.narrow(dim, 0 if wraps else 1, axis.n if wraps else axis.n - 1)
        ends = [there.narrow(dim, at, 1) for end, at in ((axis.low, 0), (axis.high, axis.n)) if _may_hold(end)]
        walls |= not all(bool(v.all()) for v in (inner, *ends))
        out.append(there.numpy())
    return out if walls else None


def _positive(v: Tensor) -> Tensor:
    """Where v is positive, which is the same in all members that torch.func.vmap maps over."""
    numbers, mapped = _numbers(v)
    there = (numbers > 0).cpu()
    if not mapped:
        return there
    members = there.flatten(0, mapped - 1)
    if not (members == members[0]).all():
        raise ValueError(
            "`a` = Faces must have the same walls, and alpha of Robin the same zeros, in all members that "
            "torch.func.vmap maps over. Give them batch axes instead."
        )
    return members[0]


def _may_hold(end: str | Robin) -> bool:
    """Whether only its numbers tell if an end holds u."""
    return end == DIRICHLET or (isinstance(end, Robin) and end.varies)
