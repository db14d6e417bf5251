"""What an operator on several processes is like: the same answers on each, as ``blackbox.traits`` has them."""

from collections.abc import Sequence
from functools import cached_property
from itertools import combinations
from math import pi
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.blackbox.lines import ALIKE, DOMINANT, PART, REGION
from mgnet.pde.blackbox.stencil import Stencil, from_diffusion, offsets, shift
from mgnet.pde.blackbox.traits import Survey, dominance, inner, smallest, steepness, thin_of_means
from mgnet.pde.distributed.halo import exchange
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.distributed.problem import SharedPoisson
from mgnet.pde.distributed.window import Window, window

AROUND = 3  # planes that a region of an axis' dominance asks for


def block_stencil(problem: SharedPoisson, A: Any) -> Stencil:
    """The block's part of A, an operator near it, in float64."""
    near = from_diffusion(A)
    return Stencil(problem.owned(near.diagonal), {o: problem.owned(s) for o, s in near.couplings.items()})


def on_window(partition: Partition, w: Window, block: Stencil) -> Stencil:
    """A block's stencil with the neighbours' planes; none couples to what lies beyond."""

    def wide(v: Tensor) -> Tensor:
        to = v.new_zeros((len(v), w.size, *v.shape[2:]))
        to[:, w.owned] = v
        return exchange(partition, w, to)

    couplings = {o: wide(s) for o, s in block.couplings.items()}
    for o, s in couplings.items():
        if o[0] > 0:
            s[:, -1] = 0
    return Stencil(wide(block.diagonal), couplings)


class SharedLook:
    """The ``Look`` of A, an operator near this process's block.

    Attributes
    ----------
    survey : as ``blackbox.survey`` makes it
    """

    def __init__(self, problem: SharedPoisson, A: Any):
        self.axes, self.partition = problem.grid.axes, problem.partition
        self._problem, self._whole, self._A = problem, A, A.diffusion

    @cached_property
    def survey(self) -> Survey:
        constant, wave = self._hold()
        dominant = float(self.partition.most(dominance(self._A)))
        return Survey(self._contrast(), self._variation(), constant, wave, dominant, self._of_unit[0])

    def _variation(self) -> float:
        A, ndim = self._A, len(self.axes)
        k, spreads = [inner(A, d) for d in range(ndim)], [1.0]
        for d, e in combinations(range(ndim), 2):
            one, other = (
                v.narrow(f - ndim, 0, A.axes[f].n - 1) if v.shape[f - ndim] == A.axes[f].n else v
                for v, f in ((k[d], e), (k[e], d))
            )
            both = (one > 0) & (other > 0)
            spreads.append(self._spread(torch.where(both, one / torch.where(both, other, 1.0), 0.0)))
        return max(spreads)

    @cached_property
    def ratio(self) -> float:
        """Of the largest conductance of all axes to the smallest."""
        return self._spread(*(inner(self._A, d) for d in range(len(self.axes))))

    @cached_property
    def steepness(self) -> float:
        return float(self.partition.most(steepness(self._A)))

    @cached_property
    def thin(self) -> tuple[int, ...]:
        return thin_of_means(self.axes, self._means)

    @property
    def corners(self) -> bool:
        return bool(self._whole.diagonal_couplings)

    @property
    def smallest(self) -> float:
        return self._of_unit[2]

    @cached_property
    def dominant(self) -> tuple[int, ...]:
        if min(np.diff(self.partition.ends)) < AROUND or len(self.axes) == 1:
            return ()  # no grid is shared by such blocks, and no line
        w = window(self.axes[0], self.partition.ends, self.partition.rank, AROUND)
        unit, ndim = self._unit(w), len(self.axes)
        along = [tuple(int(e == d) for e in range(ndim)) for d in range(ndim)]
        s = [unit.couplings[o] + shift(unit.couplings[o], [-step for step in o]) for o in along]
        regions = {
            (d, e): (s[d] > DOMINANT * s[e], s[d] < ALIKE * s[e], s[d] > ALIKE * s[e])
            for d in range(ndim)
            for e in range(ndim)
            if d != e
        }
        counts = self.partition.total(torch.stack([self._inner(of, w) for each in regions.values() for of in each]))
        parts = counts.max(1).reshape(-1, 3) / np.prod([axis.n for axis in self.axes])
        found = {d for (d, _), (most, less, _) in zip(regions, parts, strict=True) if min(most, less) > REGION}
        more = {d for (d, _), (_, _, stronger) in zip(regions, parts, strict=True) if found and stronger > PART}
        return tuple(sorted(found | more))

    @cached_property
    def strongest(self) -> int:
        return int(np.argmax(self._of_unit[1]))

    # Numbers of all processes ----------------------------------------------------------------------------------------

    @cached_property
    def _of_unit(self) -> tuple[bool, np.ndarray, float]:
        """Of the unit form: whether an unknown is coupled to no other, ``strengths``, and the smallest coupling."""
        w = self._problem.near
        unit = self._unit(w)
        lone, least = self.partition.most([float(not unit.coupled[:, w.owned].all()), -smallest(unit)])
        return bool(lone), strengths(self.partition, unit, w), -float(least)

    def _unit(self, w: Window) -> Stencil:
        return on_window(self.partition, w, block_stencil(self._problem, self._whole)).unit()[0]

    def _spread(self, *each: Tensor) -> float:
        """The ratio of the largest to the smallest number that is not 0."""
        numbers = [(float(torch.where(v > 0, v, torch.inf).amin()), float(v.amax())) for v in each if v.numel()]
        low, high = min((n for n, _ in numbers), default=np.inf), max((n for _, n in numbers), default=0.0)
        least, most = self.partition.most([-low, high])
        return max(1.0, float(-most / least)) if most > 0 else 1.0

    def _contrast(self) -> float:
        return max(self._spread(inner(self._A, d)) for d in range(len(self.axes)))

    def _hold(self) -> tuple[np.ndarray, np.ndarray]:
        """As ``Diffusion.hold``."""
        A, dims = self._A, tuple(range(-len(self.axes), 0))
        D, excess = self._every(A.diagonal), self._every(A.excess)
        c = torch.zeros_like(D[:1]) if A.c is None else self._every(A.weigh(A.c))
        D, excess, c = torch.broadcast_tensors(D, excess, c)
        sums = [torch.where(D > c, v, 0.0).sum(dims) for v in (D, excess)]
        for d, axis in enumerate(self.axes):
            sums.append((pi / axis.n) ** 2 * self._every(A.weigh(self._low(d), but=d)).sum(dims))
        total = self.partition.total(torch.stack(torch.broadcast_tensors(*sums)))
        return total[1] / total[0], total[2:].min(0) / total[0]

    def _means(self) -> Sequence[float]:
        """The mean conductance of each axis."""
        each = [self._every(self._low(d)) for d in range(len(self.axes))]
        size = np.prod([axis.n for axis in self.axes])
        return list(self.partition.total([float(k.sum()) / len(k) for k in each]) / size)

    def _low(self, d: int) -> Tensor:
        """The conductances of the lower faces of axis d."""
        return self._A.k[d].narrow(d - len(self.axes), 0, self._A.axes[d].n)

    def _every(self, v: Tensor) -> Tensor:
        """(members, *block) in float64."""
        grid = [axis.n for axis in self._A.axes]
        whole = v.expand(*v.shape[: max(v.ndim - len(grid), 0)], *grid).reshape(-1, *grid)
        return self._problem.owned(whole).double()

    def _inner(self, where: Tensor, w: Window) -> Tensor:
        """(members,) how many of the block are there with all their neighbours."""
        inside = torch.stack([shift(where, o) for o in offsets(where.ndim - 1)]).all(0)
        return inside[:, w.owned].flatten(1).sum(1).double()


def strengths(partition: Partition, unit: Stencil, w: Window) -> np.ndarray:
    """Per axis the sum of the collapsed coupling in the unit-diagonal stencil, over all processes and members."""
    sums = partition.total([float(s[:, w.owned].sum()) for s in unit.couplings.values()])
    return np.array([sum(v for o, v in zip(unit.couplings, sums, strict=True) if o[k]) for k in range(unit.ndim)])
