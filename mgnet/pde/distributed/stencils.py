"""The set-up of black-box levels whose blocks lie on several processes, level by level.

A process has the stencils of a window: its block's planes, and so many of its neighbours' as the steps of a cycle
spoil. What makes one process's levels makes P and the Galerkin product of it (``Stencils``: the compiled kernels, or
torch on any device); what it makes of the block's own planes is right, and the coarse block's neighbours are asked for
theirs. What decides how, strengths and bounds of spectra, is summed up over all processes. The first grid that is
small, or whose blocks would be thinner than that, is gathered, and all below it is the set-up of one process, on each.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.blackbox.hierarchy import bound, choose_axes, damping, first_coarse
from mgnet.pde.blackbox.interpolation import Coarsening
from mgnet.pde.blackbox.lines import line_sweeps
from mgnet.pde.blackbox.stencil import Stencil
from mgnet.pde.blackbox.traits import smallest
from mgnet.pde.distributed.clusters import SharedClusters, slow_clusters
from mgnet.pde.distributed.look import on_window, strengths
from mgnet.pde.distributed.partition import HOST, Partition
from mgnet.pde.distributed.window import Window
from mgnet.pde.levels.smoothers import Smoother
from mgnet.pde.levels.system import Robust
from mgnet.pde.native.memory import give_back
from mgnet.pde.problem.axis import Axis

REACH = 3  # planes that weights, a residual and its restriction add to what steps spoil
SHEETS = 2  # planes that a sweep of lines spoils: those of one colour, then those of the other


@dataclass(frozen=True)
class How:
    """How levels smooth, the same on every process.

    Parameters
    ----------
    nu, lines : sweeps down and up, and the axes along which lines are smoothed; none: points are
    precision : of the levels
    masked, jumps : whether an unknown may be coupled to no other, and whether coefficients jump
    signed : whether the finest grid has negative couplings, a full tensor's
    """

    smoother: Smoother
    nu: tuple[int, int]
    lines: tuple[int, ...]
    precision: torch.dtype
    masked: bool
    jumps: bool
    signed: bool = False

    def steps(self, ndim: int, spectrum: float) -> tuple[list[float], list[float]]:
        """The damping of each step down and up, or 1 for each sweep of lines."""
        if self.lines:
            down, up = ([1.0] * line_sweeps(n, len(self.lines)) for n in self.nu)
            return down, up
        down, up = (damping(self.smoother, n, ndim, spectrum) for n in self.nu)
        return down, up[::-1]

    def halo(self, ndim: int) -> int:
        """The planes of a neighbour that a cycle spoils."""
        down, up = self.steps(ndim, 2.0)
        return (len(down) + len(up)) * (SHEETS * len(self.lines) if self.lines else 1) + REACH


@dataclass(frozen=True)
class SharedLevel:
    """A grid that lies on all processes.

    Parameters
    ----------
    window : of this process
    of : the window's level, alone, as those who made it have it
    axes : how the grid is coarsened
    coarse : the planes of the coarse grid that lie in the window, from the first to behind the last
    clusters : to correct, of each member; none: of no member
    """

    window: Window
    of: Any
    axes: tuple[Coarsening, ...]
    coarse: tuple[int, int]
    clusters: tuple[SharedClusters | None, ...] = ()


@dataclass(frozen=True)
class SharedHierarchy:
    """All levels.

    Parameters
    ----------
    levels : those of grids on all processes
    ends : where the blocks of each of these end, and those of the first one gathered
    rest : of the grids from the gathered one on, and D^-1/2 of that one, (members, *grid)
    sizes : unknowns of each grid
    """

    levels: list[SharedLevel]
    ends: list[tuple[int, ...]]
    rest: Any
    root: Tensor
    sizes: tuple[int, ...]


class Stencils(Protocol):
    """Who makes levels of stencils, and works with them: compiled kernels, or torch and Triton on any device."""

    def level(
        self, w: Window, chosen: Sequence[Coarsening], A: Stencil, excess: Tensor | None, how: How, spectrum: float
    ) -> SharedLevel:
        """Of a window's operator; excess : A 1 there, of the finest grid."""
        ...

    def coarse(self, level: SharedLevel, here: slice) -> Stencil:
        """Planes of the coarse operator of the window, as the block that they are."""
        ...

    def rest(self, whole: Stencil, lines: Sequence[Coarsening], how: How) -> Any:
        """The levels of one process, from the gathered grid on; ``.sizes()`` of them."""
        ...

    def system(
        self, partition: Partition, shared: SharedHierarchy, batch: int, like: Tensor, gamma: int | str
    ) -> Robust:
        """The steps of conjugate gradients around the cycles, for data of a dtype."""
        ...


def coarse_block_ends(axis: Coarsening, ends: Sequence[int]) -> tuple[int, ...]:
    """Where the blocks end on the next coarser grid: coarse unknowns stay with the process that has them."""
    return tuple(int(v) for v in np.searchsorted(axis.index, ends))


def coarse_planes(w: Window, axis: Coarsening) -> tuple[int, int]:
    """The planes of the coarse grid that lie in a window, from the first to behind the last."""
    first = axis.first if axis.halved else 0
    begin, end = (-(-(at - first) // 2) if axis.halved else at for at in (w.begin, w.end))
    return begin, end


def shareable(axes: Sequence[Coarsening], ends: Sequence[int], halo: int, least: int) -> bool:
    """Whether a grid is worth to lie on all processes, and can."""
    size = np.prod([axis.n for axis in axes])
    seam = axes[0].periodic and axes[0].n % 2 == 1  # windows cannot be numbered on across it
    return len(axes) > 1 and len(ends) > 2 and bool(min(np.diff(ends)) > halo and size > least and not seam)


def set_up(
    partition: Partition, axes: Sequence[Axis], block: Stencil, excess: Tensor, how: How, by: Stencils
) -> SharedHierarchy | None:
    """The levels of an operator whose block this is, and A 1 there; None where no grid is worth to be shared."""
    halo, rank = how.halo(len(axes)), partition.rank
    lines = [Coarsening(axis.n, axis.periodic, first_coarse(axis)) for axis in axes]
    ends, sizes = [partition.ends], [int(np.prod([axis.n for axis in axes]))]
    levels: list[SharedLevel] = []
    give_back()  # what the look has left free: small blocks stay with the process, between what is still in use
    least = partition.least(excess.device)
    while shareable(lines, ends[-1], halo, least):
        w = Window(lines[0].n, lines[0].periodic, ends[-1][rank], ends[-1][rank + 1], halo, True)
        stencil = on_window(partition, w, block)
        del block  # at most one copy of a grid's operator beside the kernels' own
        unit = stencil.unit()[0]
        chosen = choose_axes(strengths(partition, unit, w).tolist(), lines, how.lines)
        assert chosen is not None
        plain = how.lines or not (levels or how.signed)
        spectrum = 2.0 if plain else _bound(partition, unit, how.signed)
        del unit
        rows = on_window(partition, w, Stencil(excess, {})).diagonal if not levels else None
        level = by.level(w, chosen, stencil, rows, how, spectrum)
        ends.append(coarse_block_ends(chosen[0], ends[-1]) if chosen[0].halved else ends[-1])
        begin = ends[-1][rank] - level.coarse[0]
        here = slice(begin, begin + ends[-1][rank + 1] - ends[-1][rank])
        block = by.coarse(level, here)
        found = _clusters(partition, level, _on_host(stencil), _on_host(block), here) if how.jumps else ()
        del stencil, rows
        give_back()
        levels.append(replace(level, clusters=found))
        lines = [Coarsening(line.coarse, line.periodic, line.first) for line in chosen]
        sizes.append(int(np.prod([line.n for line in lines])))
    if not levels:
        return None
    whole = Stencil(
        partition.gathered(block.diagonal, 1, ends[-1]),
        {o: partition.gathered(s, 1, ends[-1]) for o, s in block.couplings.items()},
    )
    rest = by.rest(whole, lines, how)
    return SharedHierarchy(levels, ends, rest, whole.diagonal.rsqrt(), (*sizes[:-1], *rest.sizes()))


def _bound(partition: Partition, unit: Stencil, signed: bool) -> float:
    """Of the spectrum of an operator: the largest one of its windows, whose eigenvalues are no larger than its own."""
    return float(partition.most(bound(smallest(unit), lambda: unit, signed)))


def _clusters(
    partition: Partition, level: SharedLevel, A: Stencil, A_c: Stencil, here: slice
) -> tuple[SharedClusters | None, ...]:
    """Of each member; none if no member has any."""
    found = [
        slow_clusters(partition, level.window, _member(A, m), _member(A_c, m), here, level.axes)
        for m in range(len(A.diagonal))
    ]
    return tuple(found) if any(B is not None for B in found) else ()


def _on_host(A: Stencil) -> Stencil:
    return A if A.diagonal.device == HOST else A.to(A.diagonal.new_zeros((), device=HOST))


def _member(A: Stencil, m: int) -> Stencil:
    return Stencil(A.diagonal[m : m + 1], {o: s[m : m + 1] for o, s in A.couplings.items()})
