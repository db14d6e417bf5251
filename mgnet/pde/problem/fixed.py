"""Unknowns whose value is given, wherever they lie: electrodes, seeds, constraints.

With A the operator of all unknowns, f those that are free and g those that are fixed,

    A_ff u_f = b_f - A_fg u_g:

the couplings of the fixed ones move to the right-hand side, and what is left is symmetric.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.problem.checks import BOOLEAN, Place, as_tensor, batches, dense, finite, looked_at, not_mapped
from mgnet.pde.problem.coefficients import Kind, at_points
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.plain import ours, values

ARRAYS = (np.ndarray, Tensor)


@dataclass(frozen=True)
class Fixed:
    """What is fixed, and to what.

    Parameters
    ----------
    pairs : (where, value) each; where (*batch, *grid), value as it was given
    """

    pairs: tuple[tuple[Tensor, Any], ...]

    @classmethod
    def of(cls, fixed: Any, grid: Grid, kind: Kind, mask: Tensor | None) -> "Fixed":
        """Of (where, value), or of a sequence of such pairs; what lies outside of a mask is not looked at."""
        if isinstance(fixed, cls):
            return fixed
        pairs = [fixed] if _is_pair(fixed) else fixed
        if not (isinstance(pairs, (tuple, list)) and pairs and all(_is_pair(pair) for pair in pairs)):
            raise TypeError(
                "`fixed` must be a pair (where, value), where a boolean array or a callable, or a sequence of such "
                f"pairs; it is {fixed!r:.60}."
            )
        return cls(tuple((_where(where, grid, kind, mask), ours(value)) for where, value in pairs))

    @property
    def where(self) -> Tensor:
        """(*batch, *grid) all that are fixed."""
        out = self.pairs[0][0]
        for where, _ in self.pairs[1:]:
            out = out | where
        return out

    def having(self, given: Any) -> "Fixed":
        """The same unknowns with other values: one, or a sequence with one per pair."""
        given = [given] if len(self.pairs) == 1 and not isinstance(given, (tuple, list)) else given
        if not isinstance(given, (tuple, list)) or len(given) != len(self.pairs):
            raise ValueError(
                f"`fixed` must give one value for each of the {len(self.pairs)} pairs that the problem has "
                f"(where they are fixed stays); it is {given!r:.60}."
            )
        return Fixed(tuple((where, value) for (where, _), value in zip(self.pairs, given, strict=True)))

    def values(self, grid: Grid, kind: Kind) -> Tensor:
        """(*batch, *grid) what is fixed, 0 elsewhere."""
        points, total, taken = [axis.x for axis in grid.axes], torch.zeros((), device=kind.device), None
        for where, value in self.pairs:
            v = at_points("fixed", value, grid, kind)
            batches(grid.ndim, "fixed", v, "where it holds", [where, total])
            v = torch.where(where, v, 0.0)
            v = looked_at(v, lambda data: finite("fixed", data, "Clean its values.", points))
            if taken is not None and (both := taken & where).any():
                _agree(v, total, both, grid.place)
            new = where if taken is None else where & ~taken
            total, taken = torch.where(new, v, total.to(v)), where if taken is None else taken | where
        return total


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, (tuple, list)) and len(pair) == 2 and (callable(pair[0]) or isinstance(pair[0], ARRAYS))


def _where(where: Any, grid: Grid, kind: Kind, mask: Tensor | None) -> Tensor:
    """(*batch, *grid) boolean."""
    given = kind.called(where, [axis.x for axis in grid.axes]) if callable(where) else where
    if not isinstance(given, ARRAYS):
        raise TypeError(f"`fixed` must say where by a boolean array; it does by {type(given).__name__}.")
    dense("fixed", given)
    not_mapped("fixed", given)
    if given.dtype not in BOOLEAN:
        raise TypeError(f"`fixed` must say where by a boolean array; its dtype is {given.dtype}. Pass where != 0, say.")
    w = as_tensor(ours(given))
    if callable(where) and w.ndim < grid.ndim:
        w = w.expand(grid.shape)
    if tuple(w.shape[-grid.ndim :]) != grid.shape:
        raise ValueError(
            f"`fixed` must say where by an array of the grid's shape {grid.shape} as its last axes; "
            f"it has {tuple(w.shape)}."
        )
    w = values(w.to(kind.device))
    if mask is not None:
        batches(grid.ndim, "fixed", w, "the `mask`", [mask])
        w = w & mask
    return w


def check_holds(holds: Sequence[bool], masked: bool) -> None:
    """Refuse pairs that fix nothing; whether each does."""
    if not all(holds):
        place = " inside the `mask`" if masked else ""
        raise ValueError(f"`fixed` must hold somewhere{place}; its array is False everywhere. Leave it out.")


def _agree(v: Tensor, before: Tensor, both: Tensor, place: Place) -> None:
    """Refuse two values for one unknown."""

    def look(pair: Tensor) -> None:
        bad = pair[0] != pair[1]
        if bad.any():
            at = tuple(int(i) for i in bad.nonzero()[0])
            raise ValueError(
                f"`fixed` must not contradict itself: at {place.first(bad)} it says {float(pair[0][at]):.6g} and "
                f"{float(pair[1][at]):.6g} ({int(bad.sum())} such unknowns). Let its arrays not overlap."
            )

    looked_at(torch.stack(torch.broadcast_tensors(*(torch.where(both, x, 0.0) for x in (before.to(v), v)))), look)
