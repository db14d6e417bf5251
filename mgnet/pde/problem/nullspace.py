"""Problems that fix u up to a constant: parts of the domain with no-flux or periodic ends, and c = 0.

A 1 = 0 on such a part. With w the unknowns' shares of a cell the solver computes, part by part,

    u = E^T A^+ E b,    E = I - w 1^T / (1^T w),    E^T = I - 1 w^T / (1^T w):

E removes from b what no u can produce, E^T picks the solution of mean zero. A box is one part; a
mask may leave several.

A mean that is round-off may be removed without asking. Of what, b does not tell: a divergence that cancels
is itself round-off of numbers that only the caller knows. So a mean m of N unknowns of root mean square s is
taken for round-off if

    m <= 100 eps mean|b|,   or   m <= 100 eps sum_d 1/h_d,   m <= 4 s / sqrt(N)   and   m <= s / 2:

of b itself, or of differences of numbers of size 1 by h, where N errors as large as b may leave it.

A mean that is far larger than the rest of b leaves its own round-off, whose mean is as large beside that rest: it is
taken out twice. What is left of b where there is no rest is 0.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.native.arrays import shift_, weighted_sums
from mgnet.pde.problem.checks import finite_data
from mgnet.pde.problem.operators import Diffusion
from mgnet.pde.problem.plain import runs_here

ROUNDOFF = 100  # times eps: how far from zero the mean of a compatible b may be
CHANCE, MOST = 4, 0.5  # standard errors, and part of the root mean square, that a mean of rounding errors may reach


@dataclass(frozen=True)
class NullSpace:
    """The constants on each part.

    Parameters
    ----------
    w : (*grid) the shares of a cell
    shares : the same per axis, w their product; None under a mask
    part : (*grid), or (batch or 1, *grid), the number of each unknown's part, -1 in none; None: all are in one
    floating : (batch or 1, parts) whether nothing fixes u there
    slope : sum_d 1/h_d, the size of a divergence of numbers of size 1
    """

    w: Tensor
    shares: tuple[np.ndarray, ...] | None
    part: Tensor | None
    floating: Tensor
    slope: float

    def compatible(self, b: Tensor, check: bool = False, exact: bool = True, unweighted: bool = False) -> Tensor:
        """E b for b of shape (batch, *grid); b itself where that is b to the last digit.

        check : refuse a b that is not of mean zero up to round-off
        exact : False: a b that is of mean zero up to round-off will do
        unweighted : b is w^-1 b, and there is no mask; ask for what is not exact
        """
        total, size = self._sums(b, unweighted)
        compatible = self.balanced(total, size, b.dtype)
        if check and not compatible:
            self._check(self.w * b if unweighted else b, total, size)
        if self.balanced(total, size / ROUNDOFF, b.dtype) if exact else compatible:
            return b
        rest = self._without(b, total, unweighted)
        again, left = self._sums(rest, unweighted)
        if self.balanced(again, left, b.dtype):
            return rest
        rest = self._without(rest, again, unweighted)
        nothing = nothing_left(self._sums(rest, unweighted)[1], size, b.dtype)
        return torch.where(self.spread(nothing.to(b.device)), 0.0, rest)

    def _without(self, b: Tensor, total: np.ndarray, unweighted: bool) -> Tensor:
        """b less its means, given its (batch, parts) sums."""
        mean = self.spread(torch.from_numpy(self._means(total)).to(b))
        return b - (mean if unweighted else self.w * mean)

    def balanced(self, total: np.ndarray, size: np.ndarray, dtype: torch.dtype) -> bool:
        """Whether (batch, parts) sums of data are zero up to their own round-off, given those of their sizes."""
        off = np.where(self._loose, np.abs(total), 0.0)
        return bool((off <= ROUNDOFF * torch.finfo(dtype).eps * size).all())

    def centred(self, u: Tensor) -> Tensor:
        """E^T u, of mean zero on each part, in place of u; u itself where that is u to the last digit."""
        if self.part is None and runs_here(u, self.w.ndim):
            total, size = self._sums(u, weigh=True)
            if (np.abs(total) <= 10 * torch.finfo(u.dtype).eps * size).all():
                return u
            return shift_(u, -self._means(total)[:, 0])
        means = self._means(self.sums(self.w * u).cpu().numpy())
        return u.sub_(self.spread(torch.from_numpy(means).to(u)))

    def _check(self, b: Tensor, total: np.ndarray, size: np.ndarray) -> None:
        """Refuse b if its mean is not round-off of anything, given the (batch, parts) sums of b and |b|."""
        mean, squares = np.abs(self._means(total)), self.sums(b.double().square()).cpu().numpy()
        limit = largest_mean(size, squares, self._weights, self.slope, b.dtype)
        if not (mean <= limit).all():  # as where there are NaN
            self._refuse(b, mean, size / self._weights, limit)

    def _refuse(self, b: Tensor, mean: np.ndarray, size: np.ndarray, limit: np.ndarray) -> None:
        finite_data(b)
        member, part = divmod(int((mean - limit).argmax()), mean.shape[1])
        raise ValueError(
            f"`f` must have mean zero{self._where(member, part)} (with the boundary data, weighted by each unknown's "
            f"share of a cell): the problem has only Neumann or periodic ends and c = 0, so it fixes u up to a "
            f"constant. The mean is {mean[member, part]:.3g}, the mean size {size[member, part]:.3g}. "
            f"Subtract the mean of f, or give a Dirichlet end or c > 0, or pass project=True to have it taken out."
        )

    def to(self, like: Tensor) -> "NullSpace":
        """In a tensor's dtype, on its device."""
        if self.w.dtype == like.dtype and self.w.device == self.floating.device == like.device:
            return self
        part = None if self.part is None else self.part.to(like.device)
        return NullSpace(self.w.to(like), self.shares, part, self.floating.to(like.device), self.slope)

    @cached_property
    def _number(self) -> Tensor:
        """(batch or 1, unknowns) of each one's part, 0 in none."""
        assert self.part is not None
        return (self.part + 1).reshape(-1, self.w.numel())

    @cached_property
    def _weights(self) -> np.ndarray:
        """(batch or 1, parts) the size of each part in cells; 1 of those that a member does not have."""
        weights = self.sums(self.w[None]).cpu().numpy()
        return np.where(weights > 0, weights, 1.0)

    @cached_property
    def _loose(self) -> np.ndarray:
        return self.floating.cpu().numpy()

    def _means(self, sums: np.ndarray) -> np.ndarray:
        """(batch, parts) sums over the size of the part, 0 where u is fixed."""
        return np.divide(sums, self._weights, out=np.zeros_like(sums), where=np.broadcast_to(self._loose, sums.shape))

    def _sums(self, v: Tensor, weigh: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """(batch, parts) the sums of v, or (on a box only) of w v, and of |v|."""
        if self.shares is not None and runs_here(v, self.w.ndim):
            total, size = weighted_sums(v, self.shares if weigh else [np.ones(len(w)) for w in self.shares])
            return total[:, None], size[:, None]
        return self.sums(self.w * v if weigh else v).cpu().numpy(), self.sums(v.abs()).cpu().numpy()

    def sums(self, v: Tensor) -> Tensor:
        """(batch, parts)."""
        flat = v.flatten(1)
        if self.part is None:
            return flat.sum(1, keepdim=True)
        sums = flat.new_zeros((max(len(flat), len(self._number)), self.floating.shape[1] + 1))
        return sums.scatter_add_(1, self._number.expand(len(sums), -1), flat.expand(len(sums), -1))[:, 1:]

    def spread(self, v: Tensor) -> Tensor:
        """(batch, parts) -> (batch, *grid), or broadcastable to it."""
        if self.part is None:
            return v.reshape(-1, *[1] * self.w.ndim)
        batch, number = max(len(v), len(self._number)), self._number
        each = torch.nn.functional.pad(v, (1, 0)).expand(batch, -1).gather(1, number.expand(batch, -1))
        return each.reshape(batch, *self.w.shape)

    def unknowns(self) -> Tensor:
        """(batch or 1, *grid) which ones lie in a part that floats."""
        return self.spread(self.floating.double()).expand(-1, *self.w.shape) > 0

    def largest(self, v: Tensor) -> Tensor:
        """(batch, *grid) 1 at the one unknown of each floating part where |v| is largest, 0 elsewhere."""
        floats = self.unknowns().expand(len(v), *self.w.shape).flatten(1)
        part = torch.zeros_like(floats) if self.part is None else self._number.expand(len(v), -1)
        each = (torch.arange(len(v), device="cpu")[:, None] * (int(part.max()) + 1) + part.cpu()).flatten().numpy()
        size = torch.where(floats, v.abs().flatten(1), -1.0).flatten().cpu().numpy()
        order = np.lexsort((-size, each))
        first = order[np.flatnonzero(np.diff(each[order], prepend=-1))]
        found = torch.zeros(floats.numel(), dtype=torch.float64, device="cpu")
        found[first] = 1.0
        return found.reshape(len(v), *self.w.shape).to(v) * floats.reshape(len(v), *self.w.shape)

    def _where(self, member: int, part: int) -> str:
        if self.part is None:
            return ""
        own = self.part.reshape(-1, *self.w.shape)
        first = tuple(int(i) for i in (own[min(member, len(own) - 1)] == part).nonzero()[0])
        return f" on each part of the mask that nothing holds (one has {first})"


def largest_mean(size: np.ndarray, squares: np.ndarray, N: np.ndarray, slope: float, dtype: torch.dtype) -> np.ndarray:
    """What a mean of rounding errors may reach, given the sums of |b| and b^2 over N cells."""
    eps, rms = ROUNDOFF * torch.finfo(dtype).eps, np.sqrt(squares / N)
    return np.maximum(eps * size / N, np.minimum(eps * slope, rms * np.minimum(CHANCE / np.sqrt(N), MOST)))


def nothing_left(left: np.ndarray, size: np.ndarray, dtype: torch.dtype) -> Tensor:
    """Whether what is left of b without its mean is that mean's round-off, given the sums of both sizes."""
    return torch.from_numpy(left <= torch.finfo(dtype).eps * size)


def constants(A: Diffusion, part: Tensor | None, floating: Tensor) -> NullSpace:
    """Of an operator's parts, in its dtype, on its device."""
    grid = [axis.n for axis in A.axes]
    shares = tuple(axis.share for axis in A.axes) if part is None else None
    w, slope = A.weigh(torch.ones(grid, device="cpu").to(A.k[0])), sum(1 / axis.h for axis in A.axes)
    return NullSpace(w, shares, part, floating, slope).to(A.k[0])


def floating(
    A: Diffusion, part: Tensor | None = None, free: Tensor | None = None, alone: Tensor | None = None
) -> NullSpace | None:
    """Those of ``free`` parts, or of the one there is, that c does not hold either; None: there are none.

    alone : (batch or 1, *grid) where c is not the problem's: see ``Poisson``
    """
    free = torch.ones(1, 1, dtype=torch.bool, device="cpu") if free is None else free
    if not free.any():
        return None
    null = constants(A, part, free)
    if A.c is not None:
        each = A.c.expand(np.broadcast_shapes(A.c.shape, (1, *null.w.shape))).flatten(0, -1 - A.ndim)
        each = each if alone is None else torch.where(alone.to(each.device), 0.0, each)
        null = replace(null, floating=null.floating & (null.sums(each) == 0))
    return null if null.floating.any() else None
