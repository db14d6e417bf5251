"""Problems that fix u up to a constant: parts of the domain with no-flux or periodic ends, and c = 0.

A 1 = 0 on such a part. With w the unknowns' shares of a cell the solver computes, part by part,

    u = E^T A^+ E b,    E = I - w 1^T / (1^T w),    E^T = I - 1 w^T / (1^T w):

E removes from b what no u can produce, E^T picks the solution of mean zero. A box is one part; a
mask may leave several.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.checks import finite
from mgnet.pde.kernels.elementwise import runs_here, shift_, sums
from mgnet.pde.kernels.means import weighted_sums

ROUNDOFF = 100  # times eps: how far from zero the mean of a compatible b may be


@dataclass(frozen=True)
class NullSpace:
    """The constants on each part.

    Parameters
    ----------
    w : (*grid) the shares of a cell
    shares : the same per axis, w their product; None under a mask
    part : (*grid) the number of each unknown's part, -1 in none; None: all are in one
    loose : (batch or 1, parts) whether nothing fixes u there
    """

    w: Tensor
    shares: tuple[np.ndarray, ...] | None
    part: Tensor | None
    loose: Tensor

    def compatible(self, b: Tensor, check: bool = False, exact: bool = True, raw: bool = False) -> Tensor:
        """E b for b of shape (batch, *grid); b itself where that is b to the last digit.

        check : refuse a b that is not of mean zero up to round-off
        exact : False: a b that is of mean zero up to round-off will do
        raw : b is w^-1 b, and there is no mask; ask for what is not exact
        """
        total, size = self._weighted(b) if raw else self._sums(b)
        off, roundoff = torch.where(self.loose, total, 0.0).abs(), torch.finfo(b.dtype).eps * size
        compatible = bool((off <= ROUNDOFF * roundoff).all())
        if check and not compatible:
            self._refuse(b, total, size)
        if bool((off <= roundoff).all()) if exact else compatible:
            return b
        return b - self.w * self._spread(torch.where(self.loose, total / self._weights, 0.0))

    def centred(self, u: Tensor) -> Tensor:
        """E^T u, of mean zero on each part, in place of u; u itself where that is u to the last digit."""
        if self.part is None and runs_here(u, self.w.ndim):
            total, size = self._weighted(u)
            if (total.abs() <= 10 * torch.finfo(u.dtype).eps * size).all():
                return u
            mean = torch.where(self.loose, total / self._weights, 0.0)
            return shift_(u, -mean.expand(len(u), 1)[:, 0].contiguous(), self.w.ndim)
        return u.sub_(self._spread(self._means(self.w * u)))

    def _refuse(self, b: Tensor, total: Tensor, size: Tensor) -> None:
        """Say where the sums of b are not zero up to round-off, given those of |b|."""
        finite("f", b, "Clean the right-hand side.")
        mean, size = torch.where(self.loose, total.abs() / self._weights, 0.0), size / self._weights
        member, part = divmod(int((mean - ROUNDOFF * torch.finfo(b.dtype).eps * size).argmax()), mean.shape[1])
        raise ValueError(
            f"`f` must have mean zero{self._where(part)} (with the boundary data, weighted by each unknown's share "
            f"of a cell): the problem has only Neumann or periodic ends and c = 0, so it fixes u up to a constant. "
            f"The mean is {float(mean[member, part]):.3g}, the mean size {float(size[member, part]):.3g}. "
            f"Subtract the mean of f, or give a Dirichlet end or c > 0."
        )

    def to(self, like: Tensor) -> "NullSpace":
        """In a tensor's dtype, on its device."""
        if self.w.dtype == like.dtype and self.w.device == self.loose.device == like.device:
            return self
        part = None if self.part is None else self.part.to(like.device)
        return NullSpace(self.w.to(like), self.shares, part, self.loose.to(like.device))

    @cached_property
    def _weights(self) -> Tensor:
        """(1, parts) the size of each part in cells."""
        return self.sums(self.w[None])

    def _means(self, v: Tensor) -> Tensor:
        """(batch, parts) sums of v over the size of the part, 0 where u is fixed."""
        mean = self.sums(v) / self._weights
        return torch.where(self.loose, mean, 0.0)

    def _sums(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, parts) the sums of v and of |v|."""
        if self.part is None and runs_here(v, self.w.ndim):
            total, size = sums(v, self.w.ndim)
            return total.to(v.dtype)[:, None], size.to(v.dtype)[:, None]
        return self.sums(v), self.sums(v.abs())

    def _weighted(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, 1) the sums of w v, and of |v|, on a box."""
        assert self.shares is not None
        total, size = (torch.from_numpy(s).to(v.dtype)[:, None] for s in weighted_sums(v, self.shares))
        return total, size

    def sums(self, v: Tensor) -> Tensor:
        """(batch, parts)."""
        flat = v.flatten(1)
        if self.part is None:
            return flat.sum(1, keepdim=True)
        sums = flat.new_zeros((len(flat), self.loose.shape[1] + 1))
        return sums.index_add_(1, self.part.flatten() + 1, flat)[:, 1:]

    def _spread(self, v: Tensor) -> Tensor:
        """(batch, parts) -> (batch, *grid), or broadcastable to it."""
        if self.part is None:
            return v.reshape(-1, *[1] * self.w.ndim)
        return torch.nn.functional.pad(v, (1, 0))[:, self.part + 1]

    def _where(self, part: int) -> str:
        if self.part is None:
            return ""
        first = tuple(int(i) for i in (self.part == part).nonzero()[0])
        return f" on each part of the mask that nothing holds (one has {first})"
