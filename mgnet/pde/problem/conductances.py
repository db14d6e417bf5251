"""From a on the faces to the conductances of the finite-volume operator, at every kind of end; see ``operators``."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.problem.axis import DIRICHLET, Axis, Robin


def along(v: Tensor, d: int, ndim: int) -> Tensor:
    """A vector as an array that varies along grid axis d alone."""
    return v.reshape([-1 if e == d else 1 for e in range(ndim)])


def at_end(v: Tensor, axes: Sequence[Axis], d: int, side: int) -> Tensor:
    """v, 1 along grid axis d, in the row of unknowns at an end, and 0 elsewhere."""
    dim = d - len(axes)
    zeros = v.new_zeros((*v.shape[:dim], axes[d].n - 1, *v.shape[v.ndim + dim + 1 :]))
    return torch.cat([v, zeros] if side == 0 else [zeros, v], dim)


@dataclass(frozen=True)
class Metric:
    """What the axes that lengthen an axis, in curvilinear coordinates, make of its conductances.

    Parameters
    ----------
    weight, length : the products of their ``turn_weight`` and ``turn_length``, broadcastable to the grid
    """

    weight: Tensor
    length: Tensor


def metric(axes: Sequence[Axis], d: int, like: Tensor) -> Metric | None:
    """Of axis d; None where nothing lengthens it."""
    turning = [e for e, axis in enumerate(axes) if axis.measure is not None and d in axis.measure.lengthens]
    if not turning:
        return None

    def product_of(vectors: Sequence[np.ndarray]) -> Tensor:
        one = like.new_ones((1,) * len(axes))
        each = (along(torch.from_numpy(v).to(like), e, len(axes)) for e, v in zip(turning, vectors, strict=True))
        return prod(each, start=one)

    return Metric(
        product_of([axes[e].turn_weight for e in turning]), product_of([axes[e].turn_length for e in turning])
    )


def end_coupling(
    axis: Axis, side: int, a: Tensor, around: Metric | None = None, alpha: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """(k, beta) of an end face: its coupling to a zero ghost value, and the weight of its datum.

    The boundary equation is k u_0 = ... + beta g. Dirichlet: the ghost value g lies h away (node)
    or h/2 (cell). Neumann: a du/dn = g enters as g / h. Robin, cell-centred: the face value is
    eliminated from alpha u + a du/dn = g. All times the face's area.

    alpha : of a Robin end whose own is no number
    """
    end, h, through = (axis.low, axis.high)[side], axis.h, float(axis.distances[-side])
    cell, area = axis.centering == "cell", None if axis.areas is None else float(axis.areas[-side])

    def sized(v: Tensor, turned: bool = True) -> Tensor:
        v = v if area is None else area * v
        return v if around is None else v * around.weight * (around.length if turned else 1.0)

    if end == DIRICHLET:
        k = sized(a / through / h if cell else a / (through * h), turned=False)
        return k, k
    given = end.alpha if isinstance(end, Robin) else 0.0
    if alpha is None and cell and given == 0:
        return sized(torch.zeros_like(a)), sized(torch.full_like(a, 1 / h))
    if alpha is None and not cell:
        return sized(torch.full_like(a, given / h)), sized(torch.full_like(a, 1 / h))
    alpha = torch.full_like(a, given) if alpha is None else alpha * torch.ones_like(a)
    if cell:
        half = a / through if around is None else a / (through * around.length)  # conductance from centre to face
        both = alpha + half
        free = both == 0  # a wall where nothing is held either: what is given flows in
        both = torch.where(free, 1.0, both)
        return sized(alpha * half / both / h), sized(torch.where(free, 1.0, half / both) / h)
    return sized(alpha / h), sized(torch.full_like(alpha, 1 / h))


def areas(axes: Sequence[Axis], d: int, like: Tensor) -> Tensor:
    """Of the faces of axis d, over h: what a flux through one adds to the equation of its unknown."""
    axis, around = axes[d], metric(axes, d, like)
    each = torch.from_numpy(np.ones(axis.n + 1) if axis.areas is None else axis.areas) / axis.h
    out = along(each.to(like), d, len(axes))
    return out if around is None else out * around.weight * around.length


def half_cell(axes: Sequence[Axis], d: int, side: int, a: Tensor) -> Tensor:
    """The conductance from an end face of axis d to its cell's centre, for a there; in units of ``conductance``."""
    axis, around = axes[d], metric(axes, d, a)
    half = a / (axis.h * float(axis.distances[-side])) * (1.0 if axis.areas is None else float(axis.areas[-side]))
    return half if around is None else half * around.weight


def conductances(axes: Sequence[Axis], a: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], list[tuple[Tensor, Tensor]]]:
    """Face conductances k and the data weights (beta_low, beta_high) per axis, from a on the faces.

    Parameters
    ----------
    a : per axis the coefficient on its n + 1 faces, (*batch, *grid with n_d + 1) or broadcastable
        with at least the face axis in full
    """
    each = [conductance(axes, a_d, d) for d, a_d in enumerate(a)]
    return tuple(k for k, _ in each), [betas for _, betas in each]


def conductance(
    axes: Sequence[Axis], a: Tensor, d: int, alphas: Sequence[Tensor | None] = (None, None)
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The same of axis d.

    alphas : of the low and the high end, where those are Robin ends whose own are no numbers
    """
    axis, dim, around = axes[d], d - len(axes), metric(axes, d, a)
    n = axis.n
    if axis.periodic and n == 1:
        zero = torch.zeros_like(a)
        return zero, (zero.narrow(dim, 0, 1), zero.narrow(dim, 0, 1))
    inner = a / axis.h**2 if axis.uniform else a * _geometric(axis, a, dim)
    inner = inner if around is None else inner * around.weight
    if axis.periodic:
        beta = torch.zeros_like(a.narrow(dim, 0, 1))
        return inner, (beta, beta)
    low, beta_low = end_coupling(axis, 0, a.narrow(dim, 0, 1), around, alphas[0])
    high, beta_high = end_coupling(axis, 1, a.narrow(dim, n, 1), around, alphas[1])
    return _joined([low, inner.narrow(dim, 1, n - 1), high], dim), (beta_low, beta_high)


def _joined(pieces: Sequence[Tensor], dim: int) -> Tensor:
    """Side by side along an axis; along the others they are broadcast."""
    ones = torch.broadcast_tensors(*(v.narrow(dim, 0, 1) if v.shape[dim] else v.sum(dim, True) for v in pieces))
    shape = ones[0].shape
    axis = len(shape) + dim
    return torch.cat([v.expand([*shape[:axis], v.shape[dim], *shape[axis + 1 :]]) for v in pieces], dim=dim)


def _geometric(axis: Axis, like: Tensor, dim: int) -> Tensor:
    """areas / (distances h) of the faces between unknowns; 0 where a node has no distance to its own end."""
    gaps = axis.distances * axis.h
    areas = np.ones(axis.n + 1) if axis.areas is None else axis.areas
    factors = np.divide(areas, gaps, out=np.zeros_like(gaps), where=gaps > 0)
    return torch.from_numpy(factors).to(like).reshape([-1] + [1] * (-1 - dim))
