"""Problems that fix u up to a constant: only Neumann or periodic ends, and c = 0.

A 1 = 0 and A is symmetric, so A u = b has a solution where 1^T b = 0. With w the unknowns' shares
of a cell the solver computes

    u = E^T A^+ E b,    E = I - w 1^T / (1^T w),    E^T = I - 1 w^T / (1^T w),

a symmetric operator: E removes what no u can produce, E^T picks the solution of mean zero.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from mgnet.pde.checks import finite
from mgnet.pde.kernels.elementwise import dot, runs_here, shift_, sums

ROUNDOFF = 100  # times eps: how far from zero the mean of a compatible b may be


@dataclass(frozen=True)
class Nullspace:
    """The constants, with w, (*grid), each unknown's share of a cell; b and u are (batch, *grid)."""

    w: Tensor

    @cached_property
    def total(self) -> float:
        """1^T w"""
        return float(self.w.sum())

    def compatible(self, b: Tensor, project: bool = True) -> Tensor:
        """E b; b itself where that is b to the last digit. Not to project: refuse what is more than round-off."""
        total, size = self._sums(b)
        if not project:
            self._check(b, total, size)
        if (total.abs() <= torch.finfo(b.dtype).eps * size).all():
            return b
        return b - self.w * (total / self.total)

    def centred(self, u: Tensor) -> Tensor:
        """E^T u, of mean zero, in place of u."""
        w = self.w
        if runs_here(u, w.ndim):
            return shift_(u, -dot(u, w) / self.total, w.ndim)
        mean = (u.flatten(-w.ndim) @ w.flatten()) / self.total
        return u.sub_(mean.reshape(-1, *[1] * w.ndim))

    def _check(self, b: Tensor, total: Tensor, size: Tensor) -> None:
        if not torch.isfinite(size).all():
            finite("f", b, "Clean the right-hand side.")
        excess = (total.abs() - ROUNDOFF * torch.finfo(b.dtype).eps * size).flatten()
        if (excess > 0).any():
            worst = int(excess.argmax())
            raise ValueError(
                f"`f` must have mean zero (with the boundary data, weighted by each unknown's share of a cell): "
                f"the problem has only Neumann or periodic ends and c = 0, so it fixes u up to a constant. "
                f"The mean is {float(total.abs().flatten()[worst]) / self.total:.3g}, the mean size "
                f"{float(size.flatten()[worst]) / self.total:.3g}. "
                f"Subtract the mean of f, or give a Dirichlet end or c > 0."
            )

    def _sums(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """The sums of v and of |v| over the grid, each (batch, 1, ..., 1)."""
        if runs_here(v, self.w.ndim):
            both = sums(v, self.w.ndim)
        else:
            both = v.flatten(1).sum(1), v.flatten(1).abs().sum(1)
        total, size = (s.to(v.dtype).reshape(-1, *[1] * self.w.ndim) for s in both)
        return total, size
