"""Levels of constant coefficients whose blocks lie on several processes: the whole grid's kernels, on windows.

A window has more planes than its block along each axis that is cut: as many as the steps of a pass spoil, beginning
where more of the neighbour's would be needed. So the kernels of one process work on it unchanged, and each pass needs
one exchange of those planes. The first coarse grid whose blocks would be thinner, or that is small, is gathered, and
every process solves all below it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.distributed.halo import exchange_all
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.distributed.passes import BOTH, DATUM, DOWN, ITERATE, NONE, UP, WORK, Passes, owned
from mgnet.pde.distributed.slabs import Slabs, slabs
from mgnet.pde.distributed.window import Window, coarse_ends, windows
from mgnet.pde.levels.hierarchy import Nested
from mgnet.pde.levels.richardson import Richardson
from mgnet.pde.levels.transfers import Transfer
from mgnet.pde.problem.axis import Axis

REACH = 4  # planes that a residual, its restriction and an interpolation add to what steps spoil
ITERATES = "one", "other"
ODD = (
    '`smoother` "red-black" needs an even number of unknowns along a periodic axis that is cut, or colours meet there. '
    "Make it even, cut another axis, or use another smoother."
)


@dataclass(frozen=True)
class Parts:
    """How the grids of a chain are shared out.

    Parameters
    ----------
    windows : of this process, per grid that is shared, and on the first one that is gathered; along each axis
    cuts : where the blocks of each begin and end, along each axis
    """

    windows: list[tuple[Window, ...]]
    cuts: list[tuple[tuple[int, ...], ...]]

    @property
    def shared(self) -> int:
        """How many grids lie on all processes together; 0: the problem is small."""
        return len(self.windows) - 1


def parts(
    chain: Sequence[tuple[Axis, ...]], partition: Partition, halo: int, least: int, coloured: bool = False
) -> Parts:
    """Of grids that are worth it, and whose blocks are thick enough, as the finest one's must be; two are left.

    least : unknowns of a grid that is worth sharing
    coloured : whether unknowns are smoothed by two colours, which a window numbers on beyond a periodic axis' ends
    """
    cuts = [partition.cuts]
    for fine, coarse in zip(chain[:-2], chain[1:-1], strict=True):
        if partition.count == 1 or len(fine) == 1 or prod(axis.n for axis in fine) <= least:
            break
        odd = coloured and any(
            axis.periodic and axis.n % 2 and len(ends) > 2 for axis, ends in zip(fine, cuts[-1], strict=True)
        )
        fault = ODD if odd else too_thin(partition, halo) if thin(cuts[-1], halo) else ""
        if fault and len(cuts) == 1:
            raise ValueError(fault)
        if fault:
            break
        Rs = Transfer(fine, coarse).tables[2]
        cuts.append(tuple(e if R is None else coarse_ends(R, e) for R, e in zip(Rs, cuts[-1], strict=True)))
    place = partition.place
    return Parts([windows(axes, each, place, halo) for axes, each in zip(chain, cuts, strict=False)], cuts)


def thin(cuts: Sequence[Sequence[int]], halo: int) -> bool:
    """Whether a block has fewer planes than its neighbours need."""
    return any(len(ends) > 2 and min(np.diff(ends)) < halo for ends in cuts)


def too_thin(partition: Partition, halo: int) -> str:
    """What to do about it."""
    shape = partition.grid.shape
    most = [max(n // halo, 1) for n in shape]
    return (
        f"`partition` must have blocks of at least {halo} unknowns along an axis that is cut, as many as a cycle needs "
        f"of a neighbour; some of {partition.blocks} blocks of a grid of {shape} have fewer. This grid takes {most[0]} "
        f"processes along its first axis at most, and {prod(most)} as blocks={tuple(most)}."
    )


class SharedLevels:
    """Levels as ``Nested`` has them; iterates and data are windows of the finest grid, in the format of the passes.

    Parameters
    ----------
    passes : what works on this process's windows
    batch : number of right-hand sides;   down : whether cycles smooth on their way down
    gamma : the cycle index
    whole, once : the levels of the grids from the first gathered one on; for the V-cycles of an F-cycle
    """

    centres = False

    def __init__(
        self,
        partition: Partition,
        passes: Passes,
        batch: int,
        down: bool,
        gamma: int | str,
        whole: Nested,
        once: Nested,
        parts: Parts,
    ):
        self.partition, self.whole, self.once, self.parts, self.gamma = partition, whole, once, parts, gamma
        self._passes, self._batch, self._down = passes, batch, down
        self._owned = [owned(each) for each in parts.windows]
        self._held: dict[tuple[str, int], Any] = {}
        self._squares = np.zeros(batch)
        self._last: Any = None  # the measured iterate whose restricted residual is known
        self._ready: Any = None  # data that are restricted
        self.richardson = Richardson()

    # What the outer loop asks ----------------------------------------------------------------------------------------

    def data(self, b: Tensor) -> Any:
        self._ready, (first, *others) = None, self.parts.windows[0]
        if self._passes.apart and all(w.whole for w in others):
            return slabs(self.partition, first, b)
        return self._window(0, b, self._passes.empty(0, DATUM))

    def tensor(self, u: Any) -> Tensor:
        if isinstance(u, Slabs):
            return torch.from_numpy(u.block).reshape(self._batch, *self.partition.shape)
        return self._passes.tensor(0, u)[self._owned[0]]

    def release(self, u: Any) -> Tensor:
        self.richardson.restart()
        self._last = None
        self._held = {key: held for key, held in self._held.items() if held is not u}
        return self.tensor(u).contiguous()

    def norms(self, u: Any, b: Any) -> Tensor:
        if u is None:
            self._ready = b
            return self._root(self._passes.go(0, b, f_c=self._at("restricted", 1), norm=True))
        v = self._exchanged(0, self._filled(u))
        return self._root(self._passes.go(0, b, v, f_c=self._at("rest", 1), norm=True))

    def measured(self) -> Tensor:
        return torch.from_numpy(self._squares)

    def full_multigrid(
        self, b: Any, measure: bool = True, parts: Sequence[Tensor] = (), unweighted: bool = False
    ) -> Any:
        data: list[Any]
        data, restricted, shared = [b], [], self.parts.shared
        known = [self._window(l, part, self._at("part", l)) for l, part in enumerate(parts[: shared + 1])]
        for l in range(shared):
            done = l == 0 and b is self._ready
            restricted.append(self._at("restricted", 1) if done else self._restricted("restricted", l, data[l]))
            f_c = restricted[-1]
            if known:
                f_c = self._restricted("data", l, self._rest_of(l, data[l], known[l]))
                self._passes.tensor(l + 1, f_c).add_(self._passes.tensor(l + 1, known[l + 1]))
            data.append(self._exchanged(l + 1, f_c) if l + 1 < shared else f_c)
        rest = self._gathered(data[-1])
        u = self._of_whole(self.whole.full_multigrid(rest, False, parts=parts[shared + 1 :]))
        for l in range(self.parts.shared - 1, -1, -1):
            guess = self._kept("guess", l + 1, u)  # whose memory corrections would take
            self._passes.interpolant(l, data[l], restricted[l], guess, self._at("rest", l + 1))
            e = self._corrections(l, self.gamma)
            u = self._climb(l, None, guess, e, data[l], measure and l == 0, 1.0)
            u = self._exchanged(l, u) if l else u
        return u

    def cycle(self, u: Any, b: Any, measure: bool = True) -> Any:
        omega = next(self.richardson) if measure and u is not None else 1.0
        v = None if u is None else self._exchanged(0, self._filled(u))
        if measure and (v is None or v is not self._last):
            self._passes.go(0, b, v, f_c=self._at("rest", 1))
        elif not measure:
            v = self._descend(0, v, b)
        return self._climb(0, v, None, self._corrections(0, self.gamma), b, measure, omega)

    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError("means are taken out of the data before")

    # One grid --------------------------------------------------------------------------------------------------------

    def _visit(self, l: int, u: Any, f: Any, gamma: int | str) -> Any:
        """One cycle on a coarse grid; the halo of the result is right."""
        u = self._descend(l, u, f)
        return self._exchanged(l, self._climb(l, u, None, self._corrections(l, gamma), f, False, 1.0))

    def _descend(self, l: int, u: Any, f: Any) -> Any:
        """Steps, and the restricted residual to ``rest``."""
        out = self._other(l, u) if self._down else None
        self._passes.go(l, f, u, out=out, f_c=self._at("rest", l + 1), way=DOWN if self._down else NONE)
        return u if out is None else out

    def _corrections(self, l: int, gamma: int | str) -> Any:
        """What the next coarser grid makes of ``rest``."""
        rest = self._at("rest", l + 1)
        if l + 1 == self.parts.shared:
            f, first = self._gathered(rest), self.once if gamma == 1 else self.whole
            e = first.cycle(None, f, measure=False)
            for index in again(gamma):
                e = (self.once if index == 1 else self.whole).cycle(e, f, measure=False)
            return self._of_whole(e)
        f_c = self._exchanged(l + 1, rest)
        e = self._visit(l + 1, None, f_c, gamma)
        for index in again(gamma):
            e = self._visit(l + 1, e, f_c, index)
        return e

    def _climb(self, l: int, u: Any, guess: Any, e: Any, f: Any, measure: bool, omega: float) -> Any:
        """Correction and steps; measured, the next cycle's steps down as well."""
        out = self._other(l, u)
        if not measure:
            self._passes.go(l, f, u, guess, e, out, way=UP)
            self._last = None if l == 0 else self._last
            return out
        squares = self._passes.go(l, f, u, guess, e, out, self._at("rest", 1), BOTH, True, omega)
        self._squares, self._last = np.sqrt(self.partition.total(squares)), out
        return out

    def _restricted(self, name: str, l: int, f: Any) -> Any:
        f_c = self._at(name, l + 1)
        self._passes.go(l, f, f_c=f_c)
        return f_c

    # Memory, and what goes from process to process --------------------------------------------------------------------

    def _at(self, name: str, l: int) -> Any:
        """A workspace."""
        if (name, l) not in self._held:
            handed_out = l == 0 and name in ITERATES
            self._held[name, l] = self._passes.empty(l, ITERATE if handed_out else WORK)
        return self._held[name, l]

    def _filled(self, v: Any) -> Any:
        """v as one array."""
        return v.put(self._passes.empty(0, DATUM)) if isinstance(v, Slabs) else v

    def _rest_of(self, l: int, f: Any, known: Any) -> Any:
        """f - known."""
        rest, of = self._at("unknown", l), self._passes.tensor
        torch.sub(of(l, self._filled(f)), of(l, known), out=of(l, rest))
        return rest

    def _kept(self, name: str, l: int, v: Any) -> Any:
        """v under another name, whose memory takes v's place."""
        (old,) = (key for key, held in self._held.items() if held is v)
        self._held[old], self._held[name, l] = self._at(name, l), v
        return v

    def _other(self, l: int, u: Any) -> Any:
        first, second = ITERATES
        return self._at(second if u is self._at(first, l) else first, l)

    def _exchanged(self, l: int, v: Any) -> Any:
        """v, its halo filled by the neighbours."""
        exchange_all(self.partition, self.parts.windows[l], self._passes.tensor(l, v))
        return v

    def _window(self, l: int, block: Tensor, v: Any) -> Any:
        """A block (batch or 1, *block) of grid l in a window v of it."""
        self._passes.tensor(l, v)[self._owned[l]] = block
        return self._exchanged(l, v) if l < self.parts.shared else v

    def _gathered(self, v: Any) -> Any:
        """The whole grid's data, in the format of ``whole``."""
        block = self._passes.tensor(self.parts.shared, v)[self._owned[-1]]
        return self.whole.data(self.partition.joined(block, 1, self.parts.cuts[-1]))

    def _of_whole(self, u: Any) -> Any:
        """This process's window of an iterate of ``whole``."""
        whole, v = self.whole.tensor(u), self._at("e", self.parts.shared)
        for axis, w in enumerate(self.parts.windows[-1]):
            whole = whole if w.whole else whole.index_select(1 + axis, torch.from_numpy(w.planes).to(whole.device))
        self._passes.tensor(self.parts.shared, v).copy_(whole)
        return v

    def _root(self, squares: Any) -> Tensor:
        return torch.from_numpy(np.sqrt(self.partition.total(squares)))


class EveryonesLevels:
    """The levels of a problem too small to be shared, which every process solves: as ``SharedLevels``."""

    centres = False

    def __init__(self, partition: Partition, whole: Nested):
        self.partition, self.whole, self.richardson = partition, whole, whole.richardson
        self.full_multigrid, self.cycle = whole.full_multigrid, whole.cycle
        self.norms, self.measured, self.sums = whole.norms, whole.measured, whole.sums

    def data(self, b: Tensor) -> Any:
        return self.whole.data(self.partition.joined(b, 1, self.partition.cuts))

    def tensor(self, u: Any) -> Tensor:
        return self._own(self.whole.tensor(u))

    def release(self, u: Any) -> Tensor:
        return self._own(self.whole.release(u)).clone()

    def _own(self, u: Tensor) -> Tensor:
        return u[(slice(None), *self.partition.slices)]


def again(gamma: int | str) -> list[int | str]:
    """The cycles after the first one, by their own index."""
    return [1] if gamma == "F" else [gamma] * (int(gamma) - 1)
