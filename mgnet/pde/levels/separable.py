"""Separable operators, sums of products of one-dimensional ones, on a chain of grids: plain torch.

    A = sum_d K_d x (W_de along every other axis e)
    (K u)_i = k_i (u_i - u_{i-1}) + k_{i+1} (u_i - u_{i+1}) + m_i u_i

K and the diagonals W are a few vectors per axis: conductances k of the faces (those at the ends lead to 0, so that
every end is k and m alone), what m adds, weights of the cells. Any spacing, all ends with Robin, factors of a that vary
along an axis, and coordinates other than Cartesian are of this form; constants are it with equal numbers.

Coarse grids take every second unknown, along an axis by the one-dimensional operator and across by sums:

    P     linear between coarse unknowns where k is the same: (k_i u_{i-1} + k_{i+1} u_{i+1}) / (k_i + k_{i+1})
    K_c   P^T K P: conductances in series, 1 / k_c = 1 / k_i + 1 / k_{i+1}
    W_c   the diagonal P^T W,  m_c = P^T m

and f_c = P^T r, so that coarse problems are the fine one's, cells put together. Source: Wesseling 1992, section 5.4.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from math import exp, log, prod

import numpy as np
import torch
from torch import Tensor

from mgnet.core import ConvLevel, Level
from mgnet.pde.levels.lines import along_lines
from mgnet.pde.levels.smoothers import Smoother, omegas
from mgnet.pde.levels.transfers import apply_tables
from mgnet.pde.problem.axis import DIRICHLET, Axis, Robin, Table
from mgnet.pde.problem.operators import along, conductance

DIRECT_WORK = 300_000  # multiply-adds of a direct solve that is cheaper than another level
ISOTROPIC = 0.3  # an axis of at least this share of the strongest coupling is coarsened
VARIES = log(10.0)  # what an anisotropy may vary by where points are smoothed
CUBIC = 4


@dataclass(frozen=True)
class AxisOperator:
    """What a separable operator is along one axis of n unknowns.

    Parameters
    ----------
    k : (n + 1,) conductances of the faces; on a periodic axis the first is the last
    m : (n,) what K has on its diagonal beyond them
    w : per term d (n,) this axis' weights in it; that of its own term is not used
    x : (n,) where the unknowns lie
    period : of x; 0 where the axis is not periodic
    first : the first unknown that the next coarser grid has, 0 or 1; periodic: 0
    """

    k: Tensor
    m: Tensor
    w: tuple[Tensor, ...]
    x: np.ndarray
    period: float = 0.0
    first: int = 0

    @property
    def n(self) -> int:
        return len(self.m)

    @property
    def periodic(self) -> bool:
        return bool(self.period > 0)

    @cached_property
    def kept(self) -> np.ndarray:
        """The unknowns of the next coarser grid."""
        return np.arange(self.first, self.n, 2)

    @cached_property
    def P(self) -> Table:
        """(n, n_c) from the next coarser grid, as the operator itself would."""
        k, last = self.k.detach().cpu().double().numpy(), len(self.kept) - 1
        total = k[:-1] + k[1:]
        sides = np.stack([k[:-1], k[1:]], 1) / np.where(total > 0, total, 1.0)[:, None]
        sides[self.kept] = [1.0, 0.0]
        start: np.ndarray = (np.arange(self.n) - self.first) // 2  # the coarse unknown at i, or before it
        if last == 0:
            beside = np.stack([start == 0, start == (0 if self.periodic else -1)], 1)
            return Table(0 * start, (sides * beside).sum(1, keepdims=True), 1)
        if self.periodic:
            return Table(start, sides, last + 1)
        weights = np.zeros_like(sides)
        inside = np.clip(start, 0, last - 1)
        for side in (0, 1):
            column = start + side
            there = (column >= 0) & (column <= last)
            np.add.at(weights, (np.flatnonzero(there), (column - inside)[there]), sides[there, side])
        return Table(inside, weights, last + 1)

    @cached_property
    def Q(self) -> Table:
        """(n, n_c) cubic interpolation of an iterate, by position, with no assumption about the ends."""
        nc = len(self.kept)
        start = (np.arange(self.n) - self.first) // 2 - 1
        start = start if self.periodic and nc >= CUBIC else np.clip(start, 0, nc - min(CUBIC, nc))
        column = start[:, None] + np.arange(min(CUBIC, nc))
        x = self.x[self.kept][column % nc] + self.period * (column // nc)
        weights = np.ones_like(x)
        for a, b in combinations(range(x.shape[1]), 2):
            gap = x[:, b] - x[:, a]
            weights[:, a] *= (x[:, b] - self.x) / gap
            weights[:, b] *= (self.x - x[:, a]) / gap
        return Table(start, weights, nc)

    def coarse(self) -> "AxisOperator":
        """The same on every second unknown."""
        last, low, high = int(self.kept[-1]), self.k[:1], self.k[-1:]
        if self.first:
            low = _series(low, self.k[1:2])
        if last < self.n - 1:
            high = _series(self.k[-2:-1], high)
        i = torch.as_tensor(self.kept[1:])
        k = torch.cat([high if self.periodic else low, _series(self.k[i - 1], self.k[i]), high])
        k = 0 * k if self.periodic and len(self.kept) == 1 else k
        P = self.P
        w = tuple(_lumped(P, v) for v in self.w)
        first = int(self.first and len(self.kept) > 1)
        return AxisOperator(k, _lumped(P, self.m), w, self.x[self.kept], self.period, first)

    def apply(self, u: Tensor, dim: int) -> Tensor:
        """K u along axis ``dim`` (negative) of u."""
        shape = [-1] + [1] * (-1 - dim)
        first, last = u.narrow(dim, 0, 1), u.narrow(dim, self.n - 1, 1)
        low, high = (last, first) if self.periodic else (torch.zeros_like(first), torch.zeros_like(last))
        flux = self.k.reshape(shape) * torch.diff(torch.cat([low, u, high], dim), dim=dim)
        return self.m.reshape(shape) * u - torch.diff(flux, dim=dim)


@dataclass(frozen=True)
class Separable:
    """A: (*batch, *grid) -> (*batch, *grid), symmetric positive (semi)definite, and differentiable in its vectors.

    Example
    -------
    >>> one, half = torch.ones(4), torch.ones(3)
    >>> axis = AxisOperator(one, 0 * half, (half, half), np.arange(3.0), first=1)
    >>> Separable((axis, axis))(torch.ones(3, 3)).tolist()
    [[2.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 2.0]]
    """

    axes: tuple[AxisOperator, ...]

    @property
    def ndim(self) -> int:
        return len(self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(axis.n for axis in self.axes)

    def weights(self, d: int) -> Tensor:
        """The product of term d's weights, 1 along axis d itself."""
        one = self.axes[0].k.new_ones([1] * self.ndim)
        each = [along(axis.w[d], e, self.ndim) for e, axis in enumerate(self.axes) if e != d]
        return prod(each, start=one)

    def __call__(self, u: Tensor) -> Tensor:
        return sum((self.weights(d) * axis.apply(u, d - self.ndim) for d, axis in enumerate(self.axes)), 0 * u)

    @cached_property
    def diagonal(self) -> Tensor:
        each = [along(axis.k[:-1] + axis.k[1:] + axis.m, d, self.ndim) for d, axis in enumerate(self.axes)]
        return sum((self.weights(d) * v for d, v in enumerate(each)), self.axes[0].k.new_zeros(self.shape))

    @cached_property
    def lines(self) -> Callable[[Tensor], Tensor]:
        """r -> T^-1 r, T the part of A along axis 0, with all of its diagonal."""
        axis, across = self.axes[0], self.weights(0)
        s, ends = axis.k[1:].clone(), torch.zeros_like(axis.m)
        if not axis.periodic:
            s[-1] = 0
            ends[0], ends[-1] = ends[0] + axis.k[0], ends[-1] + axis.k[-1]
        sums = across * along(axis.m + ends, 0, self.ndim)
        for d, other in enumerate(self.axes[1:], start=1):
            sums = sums + self.weights(d) * along(other.k[:-1] + other.k[1:] + other.m, d, self.ndim)
        return along_lines(sums, across * along(s, 0, self.ndim), -self.ndim)

    @property
    def alike(self) -> bool:
        """Whether each axis has the same weights in all terms but its own, as it has in two dimensions."""
        each = [[w for d, w in enumerate(axis.w) if d != e] for e, axis in enumerate(self.axes)]
        return all(bool(torch.equal(w, ws[0])) for ws in each for w in ws)

    def coarse(self, halved: Sequence[bool]) -> "Separable":
        """On every second unknown along some axes."""
        return Separable(tuple(axis.coarse() if yes else axis for axis, yes in zip(self.axes, halved, strict=True)))

    def like(self, v: Tensor) -> "Separable":
        """In the dtype and on the device of v."""
        each = [
            AxisOperator(a.k.to(v), a.m.to(v), tuple(w.to(v) for w in a.w), a.x, a.period, a.first) for a in self.axes
        ]
        return Separable(tuple(each))

    def anisotropy(self, d: int, e: int) -> tuple[float, float]:
        """(least, most) of the logarithm of term d's coupling over term e's at an unknown, a product of vectors."""
        low = high = 0.0
        for f, axis in enumerate(self.axes):
            one, other = (_coupling(axis) if f == g else axis.w[g].detach().cpu().double().numpy() for g in (d, e))
            ratio = np.log(np.maximum(one, 1e-300)) - np.log(np.maximum(other, 1e-300))
            low, high = low + float(ratio.min()), high + float(ratio.max())
        return low, high


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


def _series(a: Tensor, b: Tensor) -> Tensor:
    """Conductances in series."""
    total = a + b
    return a * b / torch.where(total > 0, total, 1.0)


def _lumped(P: Table, v: Tensor) -> Tensor:
    """P^T v."""
    R = P.transpose
    index, weights = torch.as_tensor(R.index, device=v.device), torch.as_tensor(R.weights).to(v)
    return (v[index] * weights).sum(1)


def _coupling(axis: AxisOperator) -> np.ndarray:
    """The mean conductance of each unknown's faces."""
    k = axis.k.detach().cpu().double().numpy()
    if axis.periodic or axis.n == 1:
        return (k[:-1] + k[1:]) / 2
    inner = np.concatenate([k[1:2], k[1:-1], k[-2:-1]])  # an end's says nothing of smoothing
    return (inner[:-1] + inner[1:]) / 2


def separable_operator(axes: Sequence[Axis], a: Sequence[float], c: float) -> Separable | None:
    """A with constant a per axis and c on any grid, stretched or curvilinear.

    The reaction belongs to the term of an axis that no other lengthens: there the weights are the shares of a cell.
    None where Robin ends depend on the length of an axis that others lengthen: those are no products.
    """
    turned: list[tuple[int, ...]] = [axis.measure.lengthens if axis.measure else () for axis in axes]
    lengthened = {d for each in turned for d in each}
    robin = [any(isinstance(end, Robin) and end.alpha > 0 for end in (axis.low, axis.high)) for axis in axes]
    if any(robin[d] for d in lengthened):
        return None
    free = next(d for d in range(len(axes)) if d not in lengthened)
    each = []
    for e, axis in enumerate(axes):
        alone = replace(axis, measure=replace(axis.measure, lengthens=())) if axis.measure else axis
        k, _ = conductance([alone], torch.full((axis.n + 1,), a[e], dtype=torch.float64, device="cpu"), 0)
        share = torch.from_numpy(axis.share)
        w = tuple(share * torch.from_numpy(axis.turn_weight) if d in turned[e] else share for d in range(len(axes)))
        period = axis.upper - axis.lower if axis.periodic else 0.0
        first = int(axis.centering == "node" and axis.low == DIRICHLET)
        each.append(AxisOperator(k, (c if e == free else 0.0) * share, w, axis.x, period, first))
    return Separable(tuple(each))
