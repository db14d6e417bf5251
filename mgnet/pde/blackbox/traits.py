"""What a variable operator is like, of which it is decided how it is solved (``decision``)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, permutations
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.blackbox.lines import VARIES, dominant_axes
from mgnet.pde.blackbox.stencil import Stencil, from_diffusion
from mgnet.pde.levels.grids import thin_axis
from mgnet.pde.problem.axis import Axis
from mgnet.pde.problem.operators import Diffusion

COARSEST = 100  # unknowns that a dense inverse may have in any case
NEGATIVE = 0.05  # couplings below minus this, in unit form, are not to be overlooked


@dataclass(frozen=True)
class Survey:
    """Of an operator's conductances and c.

    Parameters
    ----------
    contrast : the largest ratio of two conductances of one axis
    variation : the largest ratio of two of k_d / k_e, for any axes d and e
    dominance : see the function, where variation is above VARIES
    constant, wave : (members,) the energy of a constant and of the smoothest wave, see ``Diffusion.hold``
    lone : whether an unknown is coupled to no other
    """

    contrast: float
    variation: float
    constant: np.ndarray
    wave: np.ndarray
    dominance: float
    lone: bool


def survey(A: Diffusion) -> Survey:
    """What decides how A is solved; its compiled twin is ``native.blackbox.surveyed``."""
    constant, wave = (v.reshape(-1).cpu().numpy() for v in A.hold())
    varies = variation(A)
    lone = not bool(from_diffusion(A).coupled.all())
    return Survey(contrast(A), varies, constant, wave, dominance(A) if varies > VARIES else 0.0, lone)


def contrast(A: Diffusion) -> float:
    """The largest ratio of two conductances of one axis."""
    return max(spread(inner(A, d)) for d in range(A.ndim))


def inner(A: Diffusion, d: int) -> Tensor:
    """The conductances between unknowns along axis d, times the cells' weights along axes that are not uniform."""
    k = A.k[d].detach().narrow(d - A.ndim, 1, A.axes[d].n - 1)
    for e, axis in enumerate(A.axes):
        if e != d and not axis.uniform:
            share = A.shares[e]
            assert share is not None
            k = k * share
    return k


def variation(A: Diffusion) -> float:
    """The largest ratio of two of k_d / k_e, for any axes d and e: 1 where an anisotropy is the same everywhere."""
    k = [inner(A, d) for d in range(A.ndim)]
    largest = 1.0
    for d, e in combinations(range(A.ndim), 2):
        if k[d].numel() and k[e].numel() and spread(k[d]) * spread(k[e]) > VARIES:  # else less, and nothing to look at
            one, other = _beside(k[d], e - A.ndim, A.axes[e].n), _beside(k[e], d - A.ndim, A.axes[d].n)
            both = (one > 0) & (other > 0)
            largest = max(largest, spread(torch.where(both, one / torch.where(both, other, 1.0), 0.0)))
    return largest


def steepness(A: Diffusion) -> float:
    """The largest ratio of the conductances of two neighbouring faces of one axis."""
    largest = 1.0
    for k in (inner(A, d) for d in range(A.ndim)):
        for e in range(-A.ndim, 0):
            if k.numel() and k.shape[e] > 1:
                one, other = k.narrow(e, 1, k.shape[e] - 1), k.narrow(e, 0, k.shape[e] - 1)
                both = (one > 0) & (other > 0)
                ratio = torch.where(both, one / torch.where(both, other, 1.0), 1.0)
                largest = max(largest, float(ratio.amax()), float(1 / ratio.amin()))
    return largest


def _beside(k: Tensor, dim: int, n: int) -> Tensor:
    """k without the last unknowns along another axis, where it varies along it."""
    return k.narrow(dim, 0, n - 1) if k.shape[dim] == n else k


def spread(k: Tensor) -> float:
    """The ratio of the largest to the smallest number, of those that are not 0 (cut faces of a mask)."""
    if not k.numel():
        return 1.0
    smallest, largest = k.aminmax()
    if smallest <= 0:
        smallest = torch.where(k > 0, k, torch.inf).amin()
    return max(1.0, float(largest / smallest))


class Look(Protocol):
    """What an operator is asked before its levels are made; ``Whole`` answers for one that is in one place.

    Attributes
    ----------
    survey, steepness, thin : see the class and the functions of about these names
    corners : whether unknowns are coupled along diagonals;   smallest : the smallest coupling, in unit form
    dominant : the axes that ``dominant_axes`` finds;   strongest : the one coupled most strongly
    """

    @property
    def axes(self) -> tuple[Axis, ...]: ...

    @property
    def survey(self) -> Survey: ...

    @property
    def steepness(self) -> float: ...

    @property
    def corners(self) -> bool: ...

    @property
    def smallest(self) -> float: ...

    @property
    def thin(self) -> tuple[int, ...]: ...

    @property
    def dominant(self) -> tuple[int, ...]: ...

    @property
    def strongest(self) -> int: ...


class Whole:
    """A look at an operator of which a survey is made."""

    def __init__(self, A: Diffusion, survey: Survey):
        self.A, self.survey, self.axes = A, survey, A.axes

    @property
    def steepness(self) -> float:
        return steepness(self.A)

    @property
    def corners(self) -> bool:
        return bool(self.A.diagonal_couplings)

    @property
    def smallest(self) -> float:
        return smallest(self._unit)

    @property
    def thin(self) -> tuple[int, ...]:
        return thin_lines(self.A)

    @property
    def dominant(self) -> tuple[int, ...]:
        return dominant_axes(self._unit)

    @property
    def strongest(self) -> int:
        strength = strengths(self._unit)
        return strength.index(max(strength))

    @cached_property
    def _unit(self) -> Stencil:
        return from_diffusion(self.A).unit()[0]


def smallest(A: Stencil) -> float:
    """The smallest coupling."""
    return float(torch.stack([s.min() for s in A.couplings.values()]).min())


def dominance(A: Diffusion) -> float:
    """The largest ratio of two axes' conductances that some unknown and all its neighbours reach, ends alike.

    Where it is less than DOMINANT, ``dominant_axes`` finds none.
    """
    s = [_around(A, d) for d in range(A.ndim) if A.axes[d].n > 1]
    largest = 0.0
    for one, other in permutations(s, 2):
        ratio = np.where(one > 0, np.inf, 0.0) * np.ones_like(other)
        np.divide(one, other, out=ratio, where=other > 0)
        for axis in range(-A.ndim, 0):
            if ratio.shape[axis] > 1:
                ratio = np.minimum(ratio, np.minimum(np.roll(ratio, 1, axis), np.roll(ratio, -1, axis)))
        largest = max(largest, float(ratio.max()))
    return largest


def _around(A: Diffusion, d: int) -> np.ndarray:
    """The conductances of the two faces of each unknown along axis d, of its cell."""
    k = A.k[d].detach()
    for e, share in enumerate(A.shares):
        k = k if share is None or e == d else k * share
    faces = np.moveaxis(k.cpu().double().numpy(), d - A.ndim, 0)
    return np.moveaxis(faces[1:] + faces[:-1], 0, d - A.ndim)


def thin_lines(A: Diffusion) -> tuple[int, ...]:
    """The axis of strong coupling that is too short to be coarsened, if there is one."""
    return thin_of_means(A.axes, lambda: [float(k.mean()) for k in A.k])


def thin_of_means(axes: Sequence[Axis], means: Callable[[], Sequence[float]]) -> tuple[int, ...]:
    """The same, by the mean conductance of each axis."""
    periodic = any(axis.periodic for axis in axes)  # others are coarsened to the last unknown
    if not periodic:
        return ()
    even = tuple(replace(axis, points=None, measure=None) for axis in axes)
    a = tuple(mean * axis.h**2 for mean, axis in zip(means(), even, strict=True))
    thin = thin_axis(even, a, 20 * COARSEST)  # N (n_0 + n_1 + ...), of about the same grid
    return (thin,) if thin is not None and axes[thin].periodic else ()


def strengths(unit: Stencil) -> list[float]:
    """Per axis the mean of the collapsed coupling in the unit-diagonal stencil."""
    means = torch.stack([s.mean() for s in unit.couplings.values()]).tolist()
    return [sum(mean for o, mean in zip(unit.couplings, means, strict=True) if o[k]) for k in range(unit.ndim)]
