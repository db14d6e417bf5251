"""Levels of stencils on windows in torch, on any device: of one window, and of the grids that are gathered.

``forms`` say what stencils and transfers are applied by: torch, or Triton's kernels, to which a window is a grid.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mgnet.core import cycle, full_multigrid
from mgnet.core.equations import relax
from mgnet.pde.blackbox.hierarchy import (
    READABLE,
    Forms,
    coarse_grids,
    damping,
    line_ways,
    point_steps,
    readable_levels,
)
from mgnet.pde.blackbox.interpolation import Coarsening
from mgnet.pde.blackbox.stencil import Stencil, shift
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.distributed.stencils import How, SharedHierarchy, SharedLevel, coarse_planes
from mgnet.pde.distributed.torch_system import TorchSystem
from mgnet.pde.distributed.window import Window


@dataclass(frozen=True)
class Differences:
    """u -> A u = (A 1) u + sum_o s_o (u - u_{i+o}), in which nothing of what little holds u is lost."""

    excess: Tensor
    couplings: dict[tuple[int, ...], Tensor]

    def __call__(self, u: Tensor) -> Tensor:
        out = self.excess * u
        for o, s in self.couplings.items():
            flux = s * (u - shift(u, o))
            out = out + flux - shift(flux, [-step for step in o])
        return out

    def to(self, like: Tensor) -> "Differences":
        return Differences(self.excess.to(like), {o: s.to(like) for o, s in self.couplings.items()})


@dataclass(frozen=True)
class WindowLevel:
    """One window, of unit diagonal.

    Parameters
    ----------
    A, P : in the levels' precision, applied by a device's kernels or by torch
    down, up : the Bs of either way
    coarse : the operator of the next coarser grid;   scale : D^-1/2
    differences : A in the data's units, of the finest grid
    """

    A: Any
    P: Any
    down: Sequence[Callable[[Tensor], Tensor]]
    up: Sequence[Callable[[Tensor], Tensor]]
    coarse: Stencil
    scale: Tensor
    differences: Differences | None

    def smooth(self, u: Tensor | None, f: Tensor, up: bool = False) -> Tensor:
        for B in self.up if up else self.down:
            u = relax(self.A, B, u, f)
        return torch.zeros_like(f) if u is None else u

    def restrict(self, u: Tensor | None, f: Tensor) -> Tensor:
        """R (f - A u)."""
        return self.P.R(f if u is None else f - self.A(u))


class GatheredLevels:
    """The grids that every process has, from the first gathered one on, of unit diagonal."""

    def __init__(self, levels: Sequence[Any], Ps: Sequence[Any], sizes: tuple[int, ...]):
        self._levels, self._Ps, self._sizes = levels, Ps, sizes

    def sizes(self) -> tuple[int, ...]:
        return self._sizes

    def cycle(self, u: Tensor | None, f: Tensor, gamma: int | str) -> Tensor:
        return cycle(self._levels, u, f, gamma)

    def full_multigrid(self, f: Tensor, gamma: int | str) -> Tensor:
        fs = [f]
        for P in self._Ps:
            fs.append(P.R(fs[-1]))
        return full_multigrid(self._levels, fs, lambda l, u: self._Ps[l].P(u), gamma)


class TorchStencils:
    """``Stencils`` on any device; ``SharedLevel.of`` is a ``WindowLevel``."""

    def __init__(self, forms: Forms = READABLE):
        self._forms = forms

    def level(
        self, w: Window, chosen: Sequence[Coarsening], A: Stencil, excess: Tensor | None, how: How, spectrum: float
    ) -> SharedLevel:
        first, *others = chosen
        axes = (Coarsening(w.size, False, first.first, first.halved), *others)
        forms = self._forms_of(how)
        unit, scale = forms.unit(A)
        made, small = forms.coarsen(A, scale, axes, how.masked, how.lines), scale.new_zeros((), dtype=how.precision)
        unit = unit.to(small)
        if how.lines:
            down, up = line_ways(unit, how.nu, how.lines)
        else:
            way, back = (damping(how.smoother, n, A.ndim, spectrum) for n in how.nu)
            down, up = point_steps(way), point_steps(back[::-1])
        differences = None if excess is None else Differences(excess, A.couplings)
        of = WindowLevel(
            forms.stencil(unit), forms.interpolation(made.P.to(small)), down, up, made.A, scale, differences
        )  # fmt: skip
        return SharedLevel(w, of, tuple(chosen), coarse_planes(w, first))

    def coarse(self, level: SharedLevel, here: slice) -> Stencil:
        A = level.of.coarse
        return Stencil(A.diagonal[:, here].clone(), {o: s[:, here].clone() for o, s in A.couplings.items()})

    def rest(self, whole: Stencil, lines: Sequence[Coarsening], how: How) -> GatheredLevels:
        small = whole.diagonal.new_zeros((), dtype=how.precision)
        forms, points = self._forms_of(how), (small, how.nu, how.smoother)
        grids, _ = coarse_grids(whole, lines, how.lines, forms, how.jumps, how.masked)
        if forms is READABLE or how.lines:
            levels = readable_levels(grids, *points, how.lines, above=1, signed=how.signed)
        else:
            levels = forms.levels(grids, *points, above=1)
        Ps = [forms.interpolation(grid.P.to(small)) for grid in grids[:-1] if grid.P is not None]
        return GatheredLevels(levels, Ps, tuple(grid.A.diagonal[0].numel() for grid in grids))

    def _forms_of(self, how: How) -> Forms:
        """Those of a device bound the spectrum of full tensors by no more than others'."""
        return READABLE if how.signed else self._forms

    def system(
        self, partition: Partition, shared: SharedHierarchy, batch: int, like: Tensor, gamma: int | str
    ) -> TorchSystem:
        return TorchSystem(partition, shared, like, gamma)
