"""Sums over all processes that an iteration asks for: means, changes, and whether everything is finite."""

from math import isfinite

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.distributed.data import weigh
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.problem.nullspace import largest_mean


class Sums:
    """Of blocks (batch, *block).

    Parameters
    ----------
    floats : (batch or 1,) of which members nothing holds the mean
    """

    def __init__(self, partition: Partition, floats: np.ndarray):
        self.partition, self.floats = partition, floats
        self._axes = partition.grid.axes

    def compatible(self, b: Tensor, check: bool) -> Tensor:
        """b without its mean where that has no solution; ``check``: refuse another mean than rounding's."""
        if not self.floats.any():
            return b
        one = torch.ones((len(b), *self.partition.shape), dtype=torch.float64)
        total, size, squares, cells = self._totals(b, b.abs(), b.double().square(), weigh(self.partition, one))
        mean, slope = np.where(self.floats, total / cells, 0.0), sum(1 / axis.h for axis in self._axes)
        if check and not (np.abs(mean) <= largest_mean(size, squares, cells, slope, b.dtype)).all():
            raise ValueError(
                f"`f` must have mean zero (with the boundary data, weighted by each unknown's share of a cell): the "
                f"problem fixes u up to a constant. The mean is {mean[np.abs(mean).argmax()]:.3g}. Subtract the mean "
                f"of the whole f, or pass project=True to have it taken out."
            )
        return b - weigh(self.partition, self._each(mean, b).expand_as(b))

    def centred(self, u: Tensor) -> Tensor:
        """u less its mean, where nothing holds it."""
        if not self.floats.any():
            return u
        weighed = weigh(self.partition, u.double())
        total, cells = self._totals(weighed, weigh(self.partition, torch.ones_like(weighed)))
        return u - self._each(np.where(self.floats, total / cells, 0.0), u)

    def change(self, u: Tensor, before: Tensor | None) -> np.ndarray:
        """(batch,) ||u - before|| / ||u||; infinite without an iterate before."""
        if before is None:
            return np.full(len(u), np.inf)
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

    def _totals(self, *each: Tensor) -> np.ndarray:
        """(numbers, batch) the sums of each over the grid."""
        local = [v.double().flatten(1).sum(1).numpy() for v in each]
        return self.partition.total(np.stack(local))

    def _each(self, v: np.ndarray, like: Tensor) -> Tensor:
        """(batch, 1, ...) a number per member."""
        return torch.from_numpy(v).to(like).reshape(-1, *[1] * len(self._axes))
