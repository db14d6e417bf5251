"""The levels in Triton as a hierarchy that the outer loops can drive."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.core import cycle, full_multigrid
from mgnet.pde.cuda.level import CudaDirectLevel, CudaLevel, Interpolant, inner
from mgnet.pde.cuda.recording import Recording
from mgnet.pde.cuda.tables import described
from mgnet.pde.levels.constant import lowest
from mgnet.pde.levels.richardson import Richardson
from mgnet.pde.levels.smoothers import Smoother, steps
from mgnet.pde.levels.transfers import Transfer
from mgnet.pde.problem.axis import Axis
from mgnet.pde.problem.precision import held_by_little


class Tail:
    """The grids below the finest one, a level that solves nearly: one cycle from zero, as one CUDA graph.

    Parameters
    ----------
    levels : finest first, the last one direct
    f : (batch, *grid) the array that always holds the datum of ``smooth``
    """

    def __init__(self, levels: Sequence[Any], f: Tensor, gamma: int | str):
        self.levels, self._f, self._gamma = levels, f, gamma
        self._fine = fine = list(levels[:-1])
        self.data = [torch.empty_like(f), *(f.new_empty(level.coarse_shape) for level in fine)]  # of full multigrid
        self._restricted = self.data[1:]
        self._cycle, self._descend = Recording(self._cycled, f.device), Recording(self._descended, f.device)
        self._start = Recording(self._started, f.device)

    def smooth(self, u: object, f: Tensor) -> Tensor:
        assert f is self._f
        return self._cycle()

    def full_multigrid(self, parts: Sequence[Tensor] = ()) -> Tensor:
        """Full multigrid for ``data[0]``; the result holds until the next one.

        Parameters
        ----------
        parts : the boundary data's part of the datum on every grid
        """
        if parts:
            self._restricted = [torch.empty_like(v) for v in self.data[1:]]
            self._descended(parts)
            return self._started()
        self._restricted = self.data[1:]
        self._descend()
        return self._start()

    def _cycled(self) -> Tensor:
        u = cycle(self.levels, None, self._f, self._gamma)
        if self._fine:
            for _ in range(1 if self._gamma == "F" else int(self._gamma) - 1):
                u = cycle(self.levels, u, self._f, 1 if self._gamma == "F" else self._gamma)
        return u

    def _descended(self, parts: Sequence[Tensor] = ()) -> Tensor:
        """The data of all grids."""
        for l, level in enumerate(self._fine):
            level.restrict(self.data[l], self._restricted[l])
            if parts:
                level.restrict(self.data[l] - parts[l], self.data[l + 1])
                self.data[l + 1] += parts[l + 1]
        return self.data[-1]

    def _started(self) -> Tensor:
        u = full_multigrid(self.levels, self.data, self._interpolate, self._gamma)
        if self._fine:
            self._fine[0].exchange()
        return u

    def _interpolate(self, l: int, u: Tensor) -> Interpolant:
        """u stays where it is while its level's workspaces serve the corrections of finer grids."""
        if l + 1 < len(self._fine):
            self._fine[l + 1].exchange()
        self._fine[l].exchange()
        return Interpolant(u, self._restricted[l])


class CudaHierarchy:
    """Constant coefficients on a CUDA device; iterates and data are tensors (batch, *grid).

    Parameters
    ----------
    chain, a, c : the grids and the coefficients
    like : a tensor of the data's dtype and device
    batch : number of right-hand sides
    """

    centres = False

    def __init__(self, chain: Sequence[Sequence[Axis]], a: Sequence[float], c: float, like: Tensor, batch: int,
                 smoother: Smoother, nu: tuple[int, int], gamma: int | str, symmetric: bool):  # fmt: skip
        transfers = [Transfer(tuple(f), tuple(g)) for f, g in zip(chain[:-1], chain[1:], strict=True)]
        ways = [steps(smoother, nu, len(chain[0]), symmetric, lowest(t.fine, a, c)) for t in transfers]
        little = held_by_little(chain[0], a, c, like.dtype)
        self._finest, *coarse = [
            CudaLevel(
                described(t, a, c), None if smoother == "red-black" else inner(t.fine, a, c), way, like, batch, little
            )
            for t, way in zip(transfers, ways, strict=True)
        ]
        direct = CudaDirectLevel(chain[-1], a, c, like)
        self._tail = Tail([*coarse, direct], self._finest.f_c, gamma)
        self._levels: list[Any] = [self._finest, self._tail]
        self.richardson = Richardson()

    def data(self, b: Tensor) -> Tensor:
        return b.contiguous()

    def tensor(self, u: Tensor) -> Tensor:
        return u

    def release(self, u: Tensor) -> Tensor:
        self.richardson.restart()
        return self._finest.release(u)

    def full_multigrid(
        self, b: Tensor, measure: bool = True, parts: Sequence[Tensor] = (), unweighted: bool = False
    ) -> Tensor:
        assert not unweighted
        self._finest.measure, self._finest.omega = measure, 1.0
        datum = restricted = self._tail.data[0]
        if parts:
            restricted = self._finest.restrict(b, torch.empty_like(datum))
            self._finest.restrict((b - parts[0]).contiguous(), datum)
            datum += parts[1]
        else:
            self._finest.restrict(b, datum)
        guess = Interpolant(self._tail.full_multigrid(parts[1:]), restricted)
        return cycle(self._levels, guess, b)

    def cycle(self, u: Tensor | None, b: Tensor, measure: bool = True) -> Tensor:
        self._finest.measure = measure
        self._finest.omega = next(self.richardson) if measure and u is not None else 1.0
        return cycle(self._levels, u, b)

    def norms(self, u: Tensor | None, b: Tensor) -> Tensor:
        return self._finest.residuals(u, b).sqrt()

    def measured(self) -> Tensor:
        """(batch,) ||b - A u|| of the iterate that a measured ``full_multigrid`` or ``cycle`` returned last."""
        return self._finest.squares().sqrt()

    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError("these levels do not centre their iterates")
