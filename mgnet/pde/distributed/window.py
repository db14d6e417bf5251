"""A block's part of one grid: the planes that it owns, and those of its neighbours that its kernels read."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mgnet.pde.problem.axis import Axis, Table


@dataclass(frozen=True)
class Window:
    """Planes [begin, end) of n, of which [low, high) are owned; beyond a periodic axis' ends they are numbered on.

    even : whether it begins with an even plane, one more of the neighbour's if need be; the axis is even if periodic
    """

    n: int
    periodic: bool
    low: int
    high: int
    halo: int
    even: bool = False

    @cached_property
    def begin(self) -> int:
        begin = self.low - self._before(self.low)
        return begin if self.periodic else max(begin, 0)

    def _before(self, low: int) -> int:
        """Planes that a block from ``low`` on wants of the one before."""
        return self.halo + (self.even and (low - self.halo) % 2)

    @cached_property
    def end(self) -> int:
        return self.high + self.halo if self.periodic else min(self.high + self.halo, self.n)

    @cached_property
    def size(self) -> int:
        return self.end - self.begin

    @cached_property
    def before(self) -> int:
        """Planes of the neighbour before."""
        return self.low - self.begin

    @cached_property
    def after(self) -> int:
        return self.end - self.high

    @cached_property
    def given(self) -> tuple[int, int]:
        """Planes of the block that the process before wants, and the one after."""
        return self.halo, self._before(self.high)

    @cached_property
    def owned(self) -> slice:
        """Of the window."""
        return slice(self.before, self.before + self.high - self.low)

    @cached_property
    def planes(self) -> np.ndarray:
        """The window's planes in the whole grid."""
        return np.arange(self.begin, self.end) % self.n

    @cached_property
    def whole(self) -> bool:
        """Whether the axis is not cut, and has no halo."""
        return self.halo == 0


def window(axis: Axis, ends: Sequence[int], rank: int, halo: int, even: bool = False) -> Window:
    """Of the block of a process."""
    return Window(axis.n, axis.periodic, ends[rank], ends[rank + 1], halo, even)


def windows(axes: Sequence[Axis], cuts: Sequence[Sequence[int]], place: Sequence[int], halo: int) -> tuple[Window, ...]:
    """Of a block, along each axis; one that is not cut is whole."""
    return tuple(
        window(axis, ends, k, halo) if len(ends) > 2 else Window(axis.n, False, 0, axis.n, 0)
        for axis, ends, k in zip(axes, cuts, place, strict=True)
    )


def coarse_ends(R: Table, ends: Sequence[int]) -> tuple[int, ...]:
    """Where the blocks end on the next coarser grid: an unknown goes with the one at the middle of its row of R."""
    middle = R.start + R.weights.shape[1] // 2
    return (0, *(int(v) for v in np.searchsorted(middle, ends[1:-1])), len(middle))


def cut(table: Table, rows: Window, columns: Window) -> Table:
    """A table from window to window; what lies outside of the columns is left out, which rows within reach do not need.

    Rows of a table need as many columns as it is wide, so windows are no narrower than that.
    """
    at = np.arange(rows.begin, rows.end)
    turn = at // table.weights.shape[0] * table.columns
    start, weights = table.start[at % rows.n] + turn - columns.begin, table.weights[at % rows.n]
    width = weights.shape[1]
    inside = np.clip(start, 0, columns.size - width)
    moved = np.zeros_like(weights)
    column = start[:, None] + np.arange(width) - inside[:, None]
    row, k = np.nonzero((column >= 0) & (column < width))
    moved[row, column[row, k]] = weights[row, k]
    return Table(inside, moved, columns.size)
