"""From an operator to its levels, and the readable ones: plain torch, any device and dtype.

All levels work on the unit-diagonal form of their stencil, D^-1/2 A D^-1/2, so that smoothers are
steps u <- u + omega r, float32 meets no large numbers, and a stencil is its couplings alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import isqrt
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mgnet.core import ConvLevel, Level, cycle, full_multigrid
from mgnet.pde.blackbox.clusters import Clusters, slow_clusters
from mgnet.pde.blackbox.coarsest import CoarsestLevel, inverse
from mgnet.pde.blackbox.galerkin import galerkin, regular
from mgnet.pde.blackbox.interpolation import Coarsening, Interpolation, induced
from mgnet.pde.blackbox.lines import line_steps, line_sweeps
from mgnet.pde.blackbox.stencil import Stencil, from_diffusion
from mgnet.pde.blackbox.traits import COARSEST, NEGATIVE, smallest, strengths
from mgnet.pde.levels.grids import semicoarsened
from mgnet.pde.levels.smoothers import Smoother, omegas
from mgnet.pde.levels.unit_form import UnitForm
from mgnet.pde.problem.axis import DIRICHLET, Axis
from mgnet.pde.problem.members import each, norm_of
from mgnet.pde.problem.operators import Diffusion

SHORTEST = 5  # unknowns of the shortest periodic axis that is coarsened; others are down to one unknown
COARSE_BOUND = 1.7  # of the spectrum of coarse operators in unit form (measured 1.3 to 1.7; steps are stable up to 2.1)
VERY_NEGATIVE = 0.1  # couplings below minus this make the spectrum larger than 2 (4; at an odd ring's seam 3)
POWER_STEPS = 12


@dataclass(frozen=True)
class Grid:
    """One grid: the unit-diagonal stencil, the P to it from the next coarser grid, and the clusters to correct.

    parts : of the coarsest, whether its domain may have several parts, and no coefficients jump
    """

    A: Stencil
    P: Interpolation | None
    clusters: Clusters | None = None
    parts: bool = False


class Coarsened(NamedTuple):
    """A coarse grid's operator, its unit form and D^-1/2, and the P to the next finer grid, between the unit forms."""

    A: Stencil
    unit: Stencil
    scale: Tensor
    P: Interpolation


def coarsen(
    A: Stencil, scale: Tensor, axes: Sequence[Coarsening], masked: bool, solved: Sequence[int] = ()
) -> Coarsened:
    """The next coarser grid; scale : D^-1/2 of A."""
    P = induced(A, axes, masked, solved)
    A_c = regular(galerkin(A, P), A, axes) if masked else galerkin(A, P)
    unit_c, scale_c = A_c.unit()
    return Coarsened(A_c, unit_c, scale_c, P.scaled(1 / scale, scale_c))


def first_coarse(axis: Axis) -> int:
    """Where the coarse unknowns begin: beside a held end the second unknown, else the first."""
    return int(axis.centering == "node" and axis.low == DIRICHLET)


def choose_axes(
    strength: Sequence[float], lines: Sequence[Coarsening], solved: Sequence[int] = ()
) -> list[Coarsening] | None:
    """Which axes to halve; None: no axis is long enough. solved : those along which lines are."""
    can = [line.n >= (SHORTEST if line.periodic else 2) for line in lines]
    if not any(can):
        return None
    chosen = semicoarsened(strength, can, solved)
    return [Coarsening(line.n, line.periodic, line.first, yes) for line, yes in zip(lines, chosen, strict=True)]


def readable_levels(
    grids: Sequence[Grid],
    like: Tensor,
    nu: tuple[int, int],
    smoother: Smoother,
    solved: Sequence[int] = (),
    above: int = 0,
    signed: bool | None = None,
) -> list[Level]:
    """The levels in plain torch: equations (1)-(3) word for word.

    above : how many finer grids there are elsewhere;   signed : as of ``bound``; None: the first one's couplings say it
    """
    levels: list[Level] = []
    signed = smallest(grids[0].A) < 0 if signed is None else signed
    for l, grid in enumerate(grids[:-1], above):
        assert grid.P is not None
        A, P = grid.A.to(like), grid.P.to(like)
        if solved:
            down, up = line_ways(A, nu, solved)
        else:
            down, up = (point_steps(way) for way in step_lengths(grid.A, l, nu, smoother, signed))
        if grid.clusters is not None:
            B = grid.clusters.to(like)
            down, up = [*down, B], [B, *up]
        levels.append(ConvLevel(A, down, P.R, None, P.P, up))
    levels.append(CoarsestLevel(inverse(grids[-1].A, signed, grids[-1].parts).to(like)))  # type: ignore[arg-type]
    return levels


def line_ways(A: Stencil, nu: tuple[int, int], solved: Sequence[int]) -> tuple[list[Any], list[Any]]:
    """The Bs of the way down and of the way up that smooth lines."""
    steps = [B for d in solved for B in line_steps(A, d)]
    down, up = (steps * line_sweeps(n, len(solved)) for n in nu)
    return down, up[::-1]


def point_steps(omegas: Sequence[float]) -> list[Callable[[Tensor], Tensor]]:
    """r -> omega r for each."""
    return [_step(omega) for omega in omegas]


def step_lengths(
    A: Stencil, l: int, nu: tuple[int, int], smoother: Smoother, signed: bool = False
) -> tuple[list[float], list[float]]:
    """The damping of each step down and up, on grid l whose unit form is A; see ``bound``."""
    spectrum = bound(smallest(A), partial(_same, A), signed) if l or signed else 2.0
    down, up = (damping(smoother, n, A.ndim, spectrum) for n in nu)
    return down, up[::-1]


def readable_cycle(levels: Sequence[Level], gamma: int | str) -> Callable[[Tensor], Tensor]:
    """r -> one cycle from zero."""
    return lambda r: cycle(levels, None, r, gamma)


class Forms(NamedTuple):
    """How stencils and transfers are applied, levels made and a cycle run from zero: in torch, or in kernels.

    unit, coarsen : the set-up
    entries : that the coarsest grid's dense inverses may have together, beyond COARSEST unknowns each
    """

    stencil: Callable[[Stencil], Any]
    interpolation: Callable[[Interpolation], Any]
    levels: Callable[..., list[Level]]
    cycle: Callable[[Sequence[Level], int | str], Callable[[Tensor], Tensor]]
    unit: Callable[[Stencil], tuple[Stencil, Tensor]] = Stencil.unit
    coarsen: Callable[..., Coarsened] = coarsen
    entries: int = 0


READABLE = Forms(lambda A: A, lambda P: P, readable_levels, readable_cycle)


def coarse_operators(
    A: Stencil, axes: Sequence[Axis], solved: Sequence[int] = (), forms: Forms = READABLE, jumps: bool = False
) -> tuple[list[Grid], Tensor]:
    """(the grids, finest first; D^-1/2 of the finest), in A's dtype and device.

    Parameters
    ----------
    solved : the axes along which lines are smoothed
    jumps : whether there may be clusters to correct
    """
    lines = [Coarsening(axis.n, axis.periodic, first_coarse(axis)) for axis in axes]
    return coarse_grids(A, lines, solved, forms, jumps, not bool(A.coupled.all()))


def coarse_grids(
    A: Stencil, lines: Sequence[Coarsening], solved: Sequence[int], forms: Forms, jumps: bool, masked: bool
) -> tuple[list[Grid], Tensor]:
    """The same of a grid whose axes may be coarsened so; masked : whether an unknown may be coupled to no other."""
    coarsest, lines = max(COARSEST, isqrt(forms.entries // len(A.diagonal))), list(lines)
    masked = not bool(A.coupled.all()) if masked is None else masked
    unit, finest = forms.unit(A)
    scale, grids = finest, []
    while A.diagonal[0].numel() > coarsest and (chosen := choose_axes(strengths(unit), lines, solved)) is not None:
        A_c, unit_c, scale_c, P = forms.coarsen(A, scale, chosen, masked, solved)
        grids.append(Grid(unit, P, slow_clusters(unit, scale, unit_c, scale_c, chosen) if jumps else None))
        A, unit, scale = A_c, unit_c, scale_c
        lines = [Coarsening(line.coarse, line.periodic, line.first) for line in chosen]
    return [*grids, Grid(unit, None, parts=masked and not jumps)], finest


def bound(smallest: float, unit: Callable[[], Stencil], signed: bool = False) -> float:
    """An upper end of the spectrum of an operator in unit form.

    Nine points that all couple positively have one below COARSE_BOUND. Rough coefficients make some
    couplings negative; 2 then serves until they are large, and the power method finds it.

    Parameters
    ----------
    smallest : the smallest coupling
    unit : makes the operator
    signed : whether the finest grid's has negative couplings, a full tensor's: coarse ones then go up to 2.5
    """
    if smallest >= -NEGATIVE and not signed:
        return COARSE_BOUND
    if smallest >= -VERY_NEGATIVE and not signed:
        return 2.0
    A = unit()
    v = scattered(A.diagonal[0].numel()).reshape(1, *A.shape).to(A.diagonal).expand(A.diagonal.shape)
    for _ in range(POWER_STEPS):
        v = A(v / each(norm_of(v), v))
    return max(2.0, 1.1 * float(norm_of(A(v / each(norm_of(v), v))).amax()))


def scattered(count: int) -> Tensor:
    """(count,) numbers without order in [-1/2, 1/2), always the same ones."""
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(6364136223846793005)
        z = (z ^ (z >> np.uint64(32))) * np.uint64(1442695040888963407)
    return torch.from_numpy((z >> np.uint64(11)).astype(float) * 2.0**-53 - 0.5)


def damping(smoother: Smoother, nu: int, ndim: int, spectrum: float) -> list[float]:
    """The damping of each step for a spectrum [0, spectrum] of the unit form."""
    return [omega * 2 / spectrum for omega in omegas(smoother, nu, ndim)]


def _same(A: Stencil) -> Stencil:
    return A


def _step(omega: float):  # type: ignore[no-untyped-def]
    return lambda r: omega * r


class ReadableBlackBox(UnitForm):
    """The hierarchy of any operator, as a ``Hierarchy`` and as the ``System`` of conjugate gradients.

    Parameters
    ----------
    A : the operator; batch axes of its coefficients are flattened
    like : a tensor of the data's dtype and device
    nu, gamma : smoothing steps down and up, and the cycle index
    precision : dtype of the levels and of the directions; the iterate and b - A x have the data's
    solved : the axes along which lines are smoothed; none: points are
    jumps : whether coefficients jump, so that clusters may need corrections

    Attributes
    ----------
    forms : torch, or the kernels of a device
    """

    forms = READABLE

    def __init__(
        self,
        A: Diffusion,
        like: Tensor,
        nu: tuple[int, int] = (2, 2),
        gamma: int | str = 1,
        smoother: Smoother = "chebyshev",
        precision: torch.dtype = torch.float32,
        solved: Sequence[int] = (),
        jumps: bool = False,
    ):
        self._gamma, forms = gamma, self.forms
        stencil = from_diffusion(A)
        grids, scale = coarse_operators(stencil, A.axes, solved, forms, jumps)
        small = self.small = like.new_zeros((), dtype=precision)
        self.sizes = tuple(grid.A.diagonal[0].numel() for grid in grids)
        self.A, self.unit, self.scale = self._operator(A, like), forms.stencil(grids[0].A.to(small)), scale.to(like)
        self.levels = (
            readable_levels(grids, small, nu, smoother, solved) if solved else forms.levels(grids, small, nu, smoother)
        )
        self._cycle = forms.cycle(self.levels, gamma)
        self._P = [forms.interpolation(grid.P.to(small)) for grid in grids[:-1] if grid.P is not None]

    def _operator(self, A: Diffusion, like: Tensor) -> Any:
        """x -> A x in the data's precision."""
        return A.detached().like(like)

    def data(self, b: Tensor) -> Tensor:
        return b.contiguous()

    def tensor(self, u: Tensor) -> Tensor:
        return u

    release = tensor

    def full_multigrid(self, b: Tensor, measure: bool = True) -> Tensor:
        self.begin(None, b)
        fs = [self.r]
        for P in self._P:
            fs.append(P.R(fs[-1]))
        u = full_multigrid(self.levels, fs, lambda l, u: self._P[l].P(u), self._gamma)
        return self._moved(None, u, b)

    def correction(self, r: Tensor) -> Tensor:
        return self._cycle(r)
