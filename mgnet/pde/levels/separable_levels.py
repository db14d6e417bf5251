"""The grids of a separable operator and their levels: which axes to halve, transfers, smoothing steps; plain torch."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import exp, log, prod

import torch
from torch import Tensor

from mgnet.core import ConvLevel, Level
from mgnet.pde.levels.separable import CUBIC, Separable
from mgnet.pde.levels.smoothers import Smoother, omegas
from mgnet.pde.levels.transfers import apply_tables
from mgnet.pde.problem.axis import Table

DIRECT_WORK = 300_000  # multiply-adds of a direct solve that is cheaper than another level
ISOTROPIC = 0.3  # an axis of at least this share of the strongest coupling is coarsened
VARIES = log(10.0)  # what an anisotropy may vary by where points are smoothed


@dataclass(frozen=True)
class SeparableTransfer:
    """P, Q and R = P^T between a grid and the one that has every second unknown along some axes."""

    fine: Separable
    halved: tuple[bool, ...]

    @cached_property
    def tables(self) -> tuple[list[Table | None], list[Table | None], list[Table | None]]:
        """Of P, Q and R, per axis; None: the axis stays as it is."""
        axes = [axis if yes else None for axis, yes in zip(self.fine.axes, self.halved, strict=True)]
        P = [None if axis is None else axis.P for axis in axes]
        return P, [None if a is None else a.Q for a in axes], [None if T is None else T.transpose for T in P]

    def P(self, u_c: Tensor) -> Tensor:
        """Interpolation of a correction."""
        return apply_tables(self.tables[0], u_c)

    def Q(self, u_c: Tensor) -> Tensor:
        """Interpolation of an iterate."""
        return apply_tables(self.tables[1], u_c)

    def R(self, r: Tensor) -> Tensor:
        """P^T r."""
        return apply_tables(self.tables[2], r)


@dataclass(frozen=True)
class Chain:
    """The grids of a separable operator, finest first.

    Parameters
    ----------
    operators : of every grid
    halved : per grid but the last, which axes the next one halves
    lines : whether lines along axis 0 are smoothed, not points; the coarsest grid is then one line
    """

    operators: tuple[Separable, ...]
    halved: tuple[tuple[bool, ...], ...]
    lines: bool

    @property
    def transfers(self) -> list[SeparableTransfer]:
        return [SeparableTransfer(A, halved) for A, halved in zip(self.operators, self.halved, strict=False)]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [A.shape for A in self.operators]

    def like(self, v: Tensor) -> "Chain":
        """In the dtype and on the device of v."""
        return Chain(tuple(A.like(v) for A in self.operators), self.halved, self.lines)


def separable_grids(A: Separable, direct_work: int = DIRECT_WORK) -> Chain | None:
    """The grids that suit A: of points where an anisotropy is about the same everywhere, else of lines, else none.

    Points smooth what the next grid does not know where all axes that are halved are coupled about alike; others wait
    (semicoarsening). Lines along axis 0, with the other axes halved, do so whatever the anisotropy between them.
    """
    chain = _chain(A, False, direct_work)
    if chain is not None:
        return chain
    return _chain(A, True, direct_work)


def _chain(A: Separable, lines: bool, direct_work: int) -> Chain | None:
    if any(high - low > VARIES for low, high in (A.anisotropy(d, e) for d, e in _pairs(A, lines))):
        return None
    if not lines and not A.alike:
        return None  # the coarsest grid has no eigenvectors per axis
    operators, halved = [A], []
    while prod(A.shape[1:]) > 1 if lines else prod(A.shape) * sum(A.shape) > direct_work:
        which = halvings(A, lines)
        if not any(which):
            return None
        halved.append(which)
        A = A.coarse(which)
        operators.append(A)
    return Chain(tuple(operators), tuple(halved), lines)


def _pairs(A: Separable, lines: bool) -> list[tuple[int, int]]:
    """Pairs of axes along which points are smoothed."""
    return list(combinations(range(int(lines), A.ndim), 2))


def halvings(A: Separable, lines: bool) -> tuple[bool, ...]:
    """Which axes to halve: those coupled about as strongly as the strongest; none, where that is too short."""
    least = [2 if lines else 2 * CUBIC if axis.periodic else CUBIC for axis in A.axes]
    first = int(lines)
    strength = {d: sum(A.anisotropy(d, first)) / 2 for d in range(first, A.ndim) if A.axes[d].n > 1}
    strongest = max(strength.values(), default=0.0)
    near = {d for d, s in strength.items() if exp(s - strongest) >= ISOTROPIC}
    if not lines and any(A.axes[d].n < least[d] for d in near):
        return (False,) * A.ndim
    return tuple(d in near and A.axes[d].n >= least[d] for d in range(A.ndim))


class DenseLevel:
    """The coarsest grid: u = A^-1 f, the pseudo-inverse where A is singular."""

    def __init__(self, A: Separable):
        n = prod(A.shape)
        one = torch.eye(n, dtype=A.axes[0].k.dtype, device="cpu").to(A.axes[0].k.device)
        matrix = A(one.reshape(n, *A.shape)).reshape(n, n)
        self.inverse = torch.linalg.pinv((matrix + matrix.T) / 2, rtol=n * torch.finfo(one.dtype).eps, hermitian=True)

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        return (f.reshape(len(f), -1) @ self.inverse).reshape(f.shape)


class LineLevel:
    """The coarsest grid where lines are smoothed: one of them."""

    def __init__(self, A: Separable):
        self._solve = A.lines

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        return self._solve(f)


def readable_levels(
    chain: Chain, smoother: Smoother, nu: tuple[int, int]
) -> tuple[list[Level], list[SeparableTransfer]]:
    """The levels, equations (1)-(3) word for word; steps are damped by A's own diagonal, or by its lines."""
    levels: list[Level] = []
    for A, transfer in zip(chain.operators, chain.transfers, strict=False):
        down, up = ([_step(omega, A, chain.lines) for omega in way] for way in dampings(chain, smoother, nu))
        levels.append(ConvLevel(A, down, transfer.R, None, transfer.P, up))
    last = chain.operators[-1]
    levels.append(LineLevel(last) if chain.lines else DenseLevel(last))  # type: ignore[arg-type]
    return levels, chain.transfers


def dampings(chain: Chain, smoother: Smoother, nu: tuple[int, int]) -> tuple[list[float], list[float]]:
    """Of the steps of the way down and of the way up, which are in reverse order."""
    down, up = (list(omegas(smoother, n, chain.operators[0].ndim - chain.lines)) for n in nu)
    return down, up[::-1]


def _step(omega: float, A: Separable, lines: bool) -> Callable[[Tensor], Tensor]:
    if lines:
        return lambda r: omega * A.lines(r)
    return lambda r: omega / A.diagonal * r
