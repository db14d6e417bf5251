"""Sums over all processes that an iteration asks for: means, changes, and whether everything is finite."""

from functools import cached_property
from math import isfinite

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.distributed.data import weigh
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.problem.nullspace import NullSpace, largest_mean, nothing_left


class Sums:
    """Of blocks (batch, *block).

    Parameters
    ----------
    floats : (batch or 1, parts) of which parts nothing holds the mean
    part : (batch or 1, *block) the number of each unknown's part, -1 in none; None: all are in one
    """

    def __init__(self, partition: Partition, floats: np.ndarray, part: Tensor | None = None):
        self.partition, self.floats, self._part = partition, floats, part
        self._axes = partition.grid.axes

    def compatible(self, b: Tensor, check: bool) -> Tensor:
        """b without its means where they have no solution; ``check``: refuse other means than rounding's."""
        if not self.floats.any():
            return b
        total, size, squares = self._totals(b, b.abs(), b.double().square())
        mean, slope = self._means(total), sum(1 / axis.h for axis in self._axes)
        if check and not (np.abs(mean) <= largest_mean(size, squares, self._cells, slope, b.dtype)).all():
            each = "" if self._part is None else " on each part that nothing holds"
            raise ValueError(
                f"`f` must have mean zero{each} (with the boundary data, weighted by each unknown's share of a cell): "
                f"the problem fixes u up to a constant. The mean is {mean.flat[np.abs(mean).argmax()]:.3g}. Subtract "
                f"the mean of the whole f, or pass project=True to have it taken out."
            )
        rest = self._without(b, mean)
        again, left = self._totals(rest, rest.abs())  # twice, as ``NullSpace`` does
        if self._parts.balanced(again, left, b.dtype):
            return rest
        rest = self._without(rest, self._means(again))
        nothing = nothing_left(self._totals(rest.abs())[0], size, b.dtype)
        return torch.where(self._parts.spread(nothing.to(b.device)), 0.0, rest)

    def _means(self, totals: np.ndarray) -> np.ndarray:
        """(batch, parts), 0 where something holds u."""
        return np.where(self.floats, totals / self._cells, 0.0)

    def _without(self, b: Tensor, mean: np.ndarray) -> Tensor:
        """b less means."""
        return b - weigh(self.partition, self._each(mean, b).expand_as(b))

    def centred(self, u: Tensor) -> Tensor:
        """u less its means, where nothing holds them."""
        if not self.floats.any():
            return u
        (total,) = self._totals(weigh(self.partition, u.double()))
        return u - self._each(self._means(total), u)

    def change(self, u: Tensor, before: Tensor | None) -> np.ndarray:
        """(batch,) ||u - before|| / ||u||, means that nothing holds apart; infinite without an iterate before."""
        if before is None:
            return np.full(len(u), np.inf)
        u, before = self.centred(u), self.centred(before)
        squares = [torch.linalg.vector_norm(v.flatten(1), dim=1, dtype=torch.float64) ** 2 for v in (u - before, u)]
        moved, size = np.sqrt(self.partition.total(torch.stack(squares)))
        with np.errstate(all="ignore"):
            return np.divide(moved, size, out=np.zeros_like(moved), where=moved != 0)

    def norms(self, v: Tensor) -> np.ndarray:
        """(batch,)."""
        return np.sqrt(self.partition.total(torch.linalg.vector_norm(v.flatten(1), dim=1, dtype=torch.float64) ** 2))

    def finite(self, u: Tensor) -> None:
        """Refuse, on every process, what is not finite on one."""
        least, most = (float(v) for v in torch.aminmax(u))  # NaN if there is one
        bad = self.partition.total([float(not (isfinite(least) and isfinite(most)))])
        if bad[0]:
            raise FloatingPointError("the solution is not finite: f or the guess has a NaN, or it overflows.")

    @cached_property
    def _parts(self) -> NullSpace:
        """Those of the block."""
        like = torch.zeros((), device="cpu") if self._part is None else self._part
        one = weigh(self.partition, like.new_ones(self.partition.shape, dtype=torch.float64))
        return NullSpace(one, None, self._part, torch.from_numpy(self.floats), 0.0)

    @cached_property
    def _cells(self) -> np.ndarray:
        """(batch or 1, parts) the size of each part; 1 of those that a member does not have."""
        (cells,) = self._totals(self._parts.w[None])
        return np.where(cells > 0, cells, 1.0)

    def _totals(self, *each: Tensor) -> np.ndarray:
        """(numbers, batch, parts) the sums of each over the grid."""
        return self.partition.total(torch.stack([self._parts.sums(v.double()) for v in each]))

    def _each(self, v: np.ndarray, like: Tensor) -> Tensor:
        """(batch, *block), or broadcastable to it, of a number per part."""
        return self._parts.spread(torch.from_numpy(v).to(like))
