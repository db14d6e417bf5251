"""Operator-induced interpolation: the stencil, collapsed onto the lines between coarse unknowns.

Between two coarse unknowns of an axis lies one fine unknown. Where it lies so along the axes of a
set D, its equation is summed over the other axes (the error is taken to be constant there) and then
solved for it; neighbours that are not coarse themselves are interpolated along fewer axes:

    w_sigma(i) = sum_{o in sigma} s_o w_{sigma - o}(i + o) / (m + sum_o s_o),      sigma in {-1, 1}^D

sigma points to the coarse unknown; in the numerator o runs over the ways to go a part of it, in the
denominator over all that leave i along D. m is the row sum: weights fall where u is held (Dirichlet
ends, c > 0) and add to 1 elsewhere. In both sums an o counts only where it leads on to a coarse
unknown, which beside a mask it may not: with weights for unknowns outside, A_c would not be singular
where A is, and a disc without flux would take 15 in place of 9 iterations at 250^2. Rough coefficients
make some couplings s_o of coarse operators negative; those count as 0 (and so does a negative m), so
that weights lie in [0, 1]: with them as they are, white noise exp(2 N(0, 1)) takes 22 instead of 13
iterations at 255^2.
Source: Dendy 1982, section 3; the treatment of masks and signs is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

import torch
from torch import Tensor

from mgnet.pde.blackbox.stencil import Offset, Stencil, shift


@dataclass(frozen=True)
class Coarsening:
    """Which unknowns of an axis are coarse: first, first + 2, ...; every one if not ``halved``."""

    n: int
    periodic: bool
    first: int = 0
    halved: bool = True

    @property
    def coarse(self) -> int:
        return len(self.index)

    @cached_property
    def index(self) -> list[int]:
        """The fine index of each coarse unknown."""
        return list(range(self.first, self.n, 2)) if self.halved else list(range(self.n))

    @property
    def seam(self) -> bool:
        """Whether the last and the first coarse unknown are neighbours on the fine grid."""
        return self.halved and self.periodic and self.n % 2 == 1

    def steps(self, o: int) -> list[tuple[int, list[int]]]:
        """(fine steps from a coarse unknown to its neighbour o, the coarse unknowns for which it is so)."""
        everywhere = list(range(self.coarse))
        if not self.seam or o == 0:
            return [(2 * o if self.halved else o, everywhere)]
        at = self.coarse - 1 if o > 0 else 0
        return [(2 * o, [I for I in everywhere if at != I]), (o, [at])]

    def reaches(self, delta: int) -> list[bool]:
        """Whether the fine unknown ``delta`` beside each coarse one lies between coarse unknowns."""
        coarse, wraps = set(self.index), self.periodic
        return [delta == 0 or ((wraps or 0 <= i + delta < self.n) and (i + delta) % self.n not in coarse)
                for i in self.index]  # fmt: skip


def on_coarse(v: Tensor, axes: Sequence[Coarsening], delta: Sequence[int]) -> Tensor:
    """v at the fine unknowns ``delta`` beside the coarse ones."""
    for k, (axis, step) in enumerate(zip(axes, delta, strict=True)):
        if axis.halved:
            index = torch.tensor(axis.index, device=v.device)
            v = v.index_select(k - len(axes), (index + step) % axis.n)
    return v


@dataclass(frozen=True)
class Interpolation:
    """P: coarse -> fine and R = P^T, both (batch, *grid).

    Parameters
    ----------
    axes : which unknowns are coarse
    weights : per delta in {-1, 0, 1}^d of the halved axes W_delta(I), the weight of coarse unknown I in the
        fine one ``delta`` beside it, (batch or 1, *coarse grid); 0 where there is none
    """

    axes: tuple[Coarsening, ...]
    weights: dict[Offset, Tensor]

    def P(self, u_c: Tensor) -> Tensor:
        """u = sum_delta W_delta u_c, added at the fine unknowns delta beside."""
        out = u_c.new_zeros((*u_c.shape[: -len(self.axes)], *(axis.n for axis in self.axes)))
        flat = out.flatten(-len(self.axes))
        for delta, W in self.weights.items():
            flat.index_add_(-1, self._targets[delta].to(u_c.device), (W * u_c).flatten(-len(self.axes)))
        return out

    def R(self, r: Tensor) -> Tensor:
        """r_c = sum_delta W_delta r at the fine unknowns delta beside."""
        return sum(W * on_coarse(r, self.axes, delta) for delta, W in self.weights.items())  # type: ignore[return-value]

    @cached_property
    def _targets(self) -> dict[Offset, Tensor]:
        shape = [axis.n for axis in self.axes]
        index = torch.arange(prod(shape)).reshape(shape)
        return {delta: on_coarse(index, self.axes, delta).flatten() for delta in self.weights}

    def scaled(self, left: Tensor, right: Tensor) -> "Interpolation":
        """diag(left) P diag(right)."""
        weights = {delta: on_coarse(left, self.axes, delta) * W * right for delta, W in self.weights.items()}
        return Interpolation(self.axes, weights)

    def to(self, like: Tensor) -> "Interpolation":
        return Interpolation(self.axes, {delta: W.to(like) for delta, W in self.weights.items()})


def induced(A: Stencil, axes: Sequence[Coarsening], masked: bool = False) -> Interpolation:
    """The interpolation that A induces; masked: some unknowns are coupled to nothing."""
    halved = [axis.halved for axis in axes]
    towards = _towards(A, halved, reaching(A, halved) if masked else None)
    weights = {}
    for delta in product(*((-1, 0, 1) if axis.halved else (0,) for axis in axes)):
        W = on_coarse(towards[tuple(-step for step in delta)], axes, delta)
        for k, axis in enumerate(axes):
            reaches = torch.tensor(axis.reaches(delta[k]), dtype=W.dtype, device=W.device)
            W = W * reaches.reshape([-1 if e == k else 1 for e in range(len(axes))])
        weights[delta] = W
    return Interpolation(tuple(axes), weights)


def subsets(halved: Sequence[bool]) -> list[Offset]:
    """The proper subsets D of the halved axes, as 0 and 1 per axis, smaller ones first."""
    every = product(*((0, 1) if h else (0,) for h in halved))
    return sorted((D for D in every if sum(D) < sum(halved)), key=sum)


def reaching(A: Stencil, halved: Sequence[bool]) -> dict[Offset, Tensor]:
    """Per D, 1 where an unknown that lies between coarse ones along D has a way to one of them, else 0."""
    positive = {o: s > 0 for o, s in A.both.items()}
    none = torch.zeros_like(A.diagonal, dtype=torch.bool)
    found: dict[Offset, Tensor] = {}
    for D in subsets(halved):
        found[D] = none
        for o, s in positive.items():
            part, left = parted(o, D)
            if any(part):
                found[D] = found[D] | (s & shift(found[left], part))
            elif not any(D):
                found[D] = found[D] | s
    return {D: way.to(A.diagonal) for D, way in found.items()}


def parted(o: Sequence[int], D: Sequence[int]) -> tuple[Offset, Offset]:
    """(the part of o along the axes of D, the axes of D along which o does not go)."""
    part = tuple(step if d else 0 for step, d in zip(o, D, strict=True))
    return part, tuple(int(d != 0 and not step) for d, step in zip(D, part, strict=True))


def _towards(A: Stencil, halved: Sequence[bool], reach: dict[Offset, Tensor] | None) -> dict[Offset, Tensor]:
    """w_sigma at every unknown, as if it lay between coarse ones along the axes where sigma is not 0."""
    positive = {o: s.clamp(min=0) for o, s in A.both.items()}
    row_sum = (A.diagonal - sum(A.both.values(), torch.zeros_like(A.diagonal))).clamp(min=0)
    towards = {(0,) * A.ndim: torch.ones_like(A.diagonal)}
    sigmas = product(*((-1, 0, 1) if h else (0,) for h in halved))
    for sigma in sorted(sigmas, key=lambda s: sum(map(abs, s))):
        if not any(sigma):
            continue
        total, denominator = torch.zeros_like(row_sum), row_sum
        for o, s in positive.items():
            part, left = parted(o, sigma)
            if any(part):
                s = s if reach is None else s * shift(reach[left], part)
                denominator = denominator + s
                if all(p in (0, step) for p, step in zip(part, sigma, strict=True)):
                    rest = tuple(step - p for p, step in zip(part, sigma, strict=True))
                    total = total + s * shift(towards[rest], part)
        towards[sigma] = torch.where(denominator > 0, total / denominator, 0.0)
    return towards
