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
from math import prod

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.levels.lines import along_lines
from mgnet.pde.problem.axis import DIRICHLET, Axis, Robin, Table
from mgnet.pde.problem.conductances import along, conductance

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
    robin = [any(isinstance(end, Robin) and end.holds for end in (axis.low, axis.high)) for axis in axes]
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
