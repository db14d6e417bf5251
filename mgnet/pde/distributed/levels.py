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
from mgnet.pde.distributed.slabs import Slabs, slabs
from mgnet.pde.distributed.window import Window, coarse_ends, cut, windows
from mgnet.pde.levels.constant import lowest
from mgnet.pde.levels.hierarchy import Nested
from mgnet.pde.levels.richardson import Richardson
from mgnet.pde.levels.smoothers import Smoother, steps
from mgnet.pde.levels.transfers import Transfer, identity
from mgnet.pde.native import four, kernels, machine, padded, threads
from mgnet.pde.native.describe import NO_END, axis_of, end_of, kernel_table, of_interpolants
from mgnet.pde.native.memory import Pool
from mgnet.pde.problem.axis import Axis, Robin, Table

REACH = 4  # planes that a residual, its restriction and an interpolation add to what steps spoil
NONE, DOWN, UP, BOTH = range(4)  # ways of a pass
ITERATES = "one", "other"


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


def parts(chain: Sequence[tuple[Axis, ...]], partition: Partition, halo: int) -> Parts:
    """Of grids that are worth it, and whose blocks are thick enough, as the finest one's must be; two are left."""
    cuts = [partition.cuts]
    for fine, coarse in zip(chain[:-2], chain[1:-1], strict=True):
        if partition.count == 1 or len(fine) == 1 or prod(axis.n for axis in fine) <= partition.channel.least:
            break
        if thin(cuts[-1], halo):
            if len(cuts) == 1:
                raise ValueError(too_thin(partition, halo))
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
    """Levels as ``Nested`` has them; iterates and data are windows of the finest grid, (batch, n0, n1, n2).

    Parameters
    ----------
    chain, a, c : the whole grids, a per axis, c
    whole, once : the levels of the grids from the first gathered one on; for the V-cycles of an F-cycle
    """

    centres = False

    def __init__(
        self,
        partition: Partition,
        chain: Sequence[tuple[Axis, ...]],
        a: Sequence[float],
        c: float,
        dtype: torch.dtype,
        batch: int,
        smoother: Smoother,
        nu: tuple[int, int],
        gamma: int | str,
        whole: Nested,
        once: Nested,
        parts: Parts,
    ):
        self.partition, self.whole, self.once, self.parts, self.gamma = partition, whole, once, parts, gamma
        self._dtype, self._batch = np.dtype(np.float32 if dtype == torch.float32 else np.float64), batch
        self._down = nu[0] > 0
        transfers = [Transfer(f, g) for f, g in zip(chain[: parts.shared], chain[1:], strict=False)]
        ways = [steps(smoother, nu, len(chain[0]), False, lowest(t.fine, a, c)) for t in transfers]
        exact = any(isinstance(end, Robin) for axis in chain[0] for end in (axis.low, axis.high))
        pairs = zip(parts.windows[:-1], parts.windows[1:], strict=True)
        grids = [
            _grid(t, a, c, exact, way, fine, coarse)
            for t, way, (fine, coarse) in zip(transfers, ways, pairs, strict=True)
        ]
        shapes = [four([w.size for w in each]) for each in parts.windows]
        self._shapes = [(batch, *shape) for shape in shapes]
        self._owned = [(slice(None), *(w.owned for w in each)) for each in parts.windows]
        unused = kernels.Direct([np.zeros((n, n)) for n in shapes[-1]], np.zeros(shapes[-1]))
        single = self._dtype == np.float32
        self._kernels = kernels.Kernels(
            machine(), single, grids, unused, c, 1, batch, threads(), False, None
        )  # of which single passes are run
        self._held: dict[tuple[str, int], np.ndarray] = {}
        self._data, self._iterates = (Pool(self._shapes[0], self._dtype) for _ in range(2))
        self._squares = np.zeros(batch)
        self._last: np.ndarray | None = None  # the measured iterate whose restricted residual is known
        self._ready: np.ndarray | Slabs | None = None  # data that are restricted
        self.richardson = Richardson()

    # What the outer loop asks ----------------------------------------------------------------------------------------

    def data(self, b: Tensor) -> np.ndarray | Slabs:
        self._ready, (first, *others) = None, self.parts.windows[0]
        if all(w.whole for w in others):
            block = b.contiguous().numpy()
            return slabs(self.partition, first, block.reshape(self._batch, -1, *self._shapes[0][2:]))
        return self._window(0, b, self._data.empty())

    def tensor(self, u: np.ndarray | Slabs) -> Tensor:
        if isinstance(u, Slabs):
            return torch.from_numpy(u.block).reshape(self._batch, *self.partition.shape)
        return self._of_axes(0, u)[self._owned[0]]

    def release(self, u: np.ndarray) -> Tensor:
        self.richardson.restart()
        self._last = None
        self._held = {key: held for key, held in self._held.items() if held is not u}
        return self.tensor(u).contiguous()

    def norms(self, u: np.ndarray | Slabs | None, b: np.ndarray | Slabs) -> Tensor:
        if u is None:
            self._ready = b
            return self._root(self._pass(0, None, None, None, b, None, self._at("restricted", 1), NONE, True))
        v = self._exchanged(0, self._filled(u))
        return self._root(self._pass(0, v, None, None, b, None, self._at("rest", 1), NONE, True))

    def measured(self) -> Tensor:
        return torch.from_numpy(self._squares)

    def full_multigrid(
        self, b: np.ndarray | Slabs, measure: bool = True, parts: Sequence[Tensor] = (), unweighted: bool = False
    ) -> np.ndarray:
        data: list[Any]
        data, restricted, shared = [b], [], self.parts.shared
        known = [self._window(l, part, self._at("part", l)) for l, part in enumerate(parts[: shared + 1])]
        for l in range(shared):
            done = l == 0 and b is self._ready
            restricted.append(self._at("restricted", 1) if done else self._restricted("restricted", l, data[l]))
            f_c = restricted[-1]
            if known:
                f_c = self._restricted("data", l, self._filled(data[l]) - known[l])
                f_c += known[l + 1]
            data.append(self._exchanged(l + 1, f_c) if l + 1 < shared else f_c)
        rest = self._gathered(data[-1])
        u = self._of_whole(self.whole.full_multigrid(rest, False, parts=parts[shared + 1 :]))
        for l in range(self.parts.shared - 1, -1, -1):
            guess = self._kept("guess", l + 1, u)  # whose memory corrections would take
            self._kernels.interpolant(l, restricted[l], guess, self._at("rest", l + 1))
            e = self._corrections(l, self.gamma)
            u = self._climb(l, None, guess, e, data[l], measure and l == 0, 1.0)
            u = self._exchanged(l, u) if l else u
        return u

    def cycle(self, u: np.ndarray | Slabs | None, b: np.ndarray | Slabs, measure: bool = True) -> np.ndarray:
        omega = next(self.richardson) if measure and u is not None else 1.0
        v = None if u is None else self._exchanged(0, self._filled(u))
        if measure and (v is None or v is not self._last):
            self._pass(0, v, None, None, b, None, self._at("rest", 1), NONE)
        elif not measure:
            v = self._descend(0, v, b)
        return self._climb(0, v, None, self._corrections(0, self.gamma), b, measure, omega)

    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError("means are taken out of the data before")

    # One grid --------------------------------------------------------------------------------------------------------

    def _visit(self, l: int, u: np.ndarray | None, f: np.ndarray, gamma: int | str) -> np.ndarray:
        """One cycle on a coarse grid; the halo of the result is right."""
        u = self._descend(l, u, f)
        return self._exchanged(l, self._climb(l, u, None, self._corrections(l, gamma), f, False, 1.0))

    def _descend(self, l: int, u: np.ndarray | None, f: np.ndarray | Slabs) -> np.ndarray | None:
        """Steps, and the restricted residual to ``rest``."""
        out = self._other(l, u) if self._down else None
        self._pass(l, u, None, None, f, out, self._at("rest", l + 1), DOWN if self._down else NONE)
        return u if out is None else out

    def _corrections(self, l: int, gamma: int | str) -> np.ndarray:
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

    def _climb(
        self,
        l: int,
        u: np.ndarray | None,
        guess: np.ndarray | None,
        e: np.ndarray,
        f: np.ndarray | Slabs,
        measure: bool,
        omega: float,
    ) -> np.ndarray:
        """Correction and steps; measured, the next cycle's steps down as well."""
        out = self._other(l, u)
        if not measure:
            self._pass(l, u, guess, e, f, out, None, UP)
            self._last = None if l == 0 else self._last
            return out
        squares = self._pass(l, u, guess, e, f, out, self._at("rest", 1), BOTH, True, omega)
        self._squares, self._last = np.sqrt(self.partition.total(squares)), out
        return out

    def _restricted(self, name: str, l: int, f: np.ndarray | Slabs) -> np.ndarray:
        f_c = self._at(name, l + 1)
        self._pass(l, None, None, None, f, None, f_c, NONE)
        return f_c

    def _pass(
        self,
        l: int,
        u: np.ndarray | None,
        guess: np.ndarray | None,
        e: np.ndarray | None,
        f: np.ndarray | Slabs,
        out: np.ndarray | None,
        f_c: np.ndarray | None,
        way: int,
        norm: bool = False,
        omega: float = 1.0,
    ) -> Any:
        before, block, after = f if isinstance(f, Slabs) else (None, f, None)
        return self._kernels.pass_(l, u, guess, e, block, out, f_c, way, norm, False, omega, before, after)

    # Memory, and what goes from process to process --------------------------------------------------------------------

    def _at(self, name: str, l: int) -> np.ndarray:
        """A workspace."""
        if (name, l) not in self._held:
            handed_out = l == 0 and name in ITERATES
            self._held[name, l] = self._iterates.empty() if handed_out else np.zeros(self._shapes[l], self._dtype)
        return self._held[name, l]

    def _filled(self, v: np.ndarray | Slabs) -> np.ndarray:
        """v as one array."""
        return v.put(self._data.empty()) if isinstance(v, Slabs) else v

    def _kept(self, name: str, l: int, v: np.ndarray) -> np.ndarray:
        """v under another name, whose memory takes v's place."""
        (old,) = (key for key, held in self._held.items() if held is v)
        self._held[old], self._held[name, l] = self._at(name, l), v
        return v

    def _other(self, l: int, u: np.ndarray | None) -> np.ndarray:
        first, second = ITERATES
        return self._at(second if u is self._at(first, l) else first, l)

    def _exchanged(self, l: int, v: np.ndarray) -> np.ndarray:
        """v, its halo filled by the neighbours."""
        exchange_all(self.partition, self.parts.windows[l], self._of_axes(l, v))
        return v

    def _window(self, l: int, block: Tensor, v: np.ndarray) -> np.ndarray:
        """A block (batch or 1, *block) of grid l in a window v of it."""
        self._of_axes(l, v)[self._owned[l]] = block
        return self._exchanged(l, v) if l < self.parts.shared else v

    def _gathered(self, v: np.ndarray) -> Any:
        """The whole grid's data, in the format of ``whole``."""
        block = self._of_axes(self.parts.shared, v)[self._owned[-1]]
        whole = self.partition.joined(block, 1, self.parts.cuts[-1])
        return whole.numpy().reshape(self._batch, *four(whole.shape[1:]))

    def _of_whole(self, u: Any) -> np.ndarray:
        """This process's window of an iterate of ``whole``."""
        each = self.parts.windows[-1]
        v = self._at("e", self.parts.shared)
        whole = u.reshape(self._batch, *(w.n for w in each))
        for axis, w in enumerate(each):
            whole = whole if w.whole else whole.take(w.planes, 1 + axis)
        v[...] = whole.reshape(v.shape)
        return v

    def _of_axes(self, l: int, v: np.ndarray) -> Tensor:
        """An array of grid l's window with an axis for each of the grid's."""
        return torch.from_numpy(v.reshape(self._batch, *(w.size for w in self.parts.windows[l])))

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


def _grid(
    transfer: Transfer,
    a: Sequence[float],
    c: float,
    exact: bool,
    steps: Any,
    fine: Sequence[Window],
    coarse: Sequence[Window],
) -> kernels.Grid:
    """A window of a fine grid, and its transfers to and from one of the next coarser."""
    P, Q, R = ([t or identity(axis.n) for t, axis in zip(kind, transfer.fine, strict=True)] for kind in transfer.tables)
    mass, stiffness = of_interpolants(transfer.fine, a, c, R, Q)
    for d, (w, w_c) in enumerate(zip(fine, coarse, strict=True)):
        if not w.whole:
            P[d], Q[d], R[d] = cut(P[d], w, w_c), cut(Q[d], w, w_c), cut(R[d], w_c, w)
            K, along = stiffness[d]
            mass[d], stiffness[d] = cut(mass[d], w_c, w_c), (cut(K, w_c, w_c), along[w_c.planes])
    axes = [_axis(axis, a_d, exact, w) for axis, a_d, w in zip(transfer.fine, a, fine, strict=True)]
    none = kernels.Axis(1, False, 0.0, NO_END, NO_END)
    one, sizes = identity(1), [w.size for w in coarse]
    Ps, Qs = ([kernel_table(t) for t in padded(kind, one)] for kind in (P, Q))
    Rs = [kernel_table(t) for t in padded(R, one)]
    zero = Table(one.start, 0 * one.weights, 1), np.zeros(1)
    Ms = [kernel_table(t) for t in padded(mass, one)]
    Ks = [kernel_table(T, np.ascontiguousarray(of_one)) for T, of_one in padded(stiffness, zero)]
    counted = padded([(w.owned.start, w.owned.stop) for w in fine], (0, 1))
    return kernels.Grid(len(axes), padded(axes, none), four(sizes), Ps, Qs, Rs, Ms, Ks, steps[0], steps[1], counted)


def _axis(axis: Axis, a: float, exact: bool, w: Window) -> kernels.Axis:
    """A window of an axis."""
    if w.whole:
        return axis_of(axis, a, exact)
    low = end_of(axis, a, 0, exact) if w.begin == 0 and not w.periodic else NO_END
    high = end_of(axis, a, 1, exact, w.begin) if w.end == w.n and not w.periodic else NO_END
    return kernels.Axis(w.size, False, a / axis.h**2, low, high)
