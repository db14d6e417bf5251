"""Problems that fix u up to a constant: only Neumann or periodic ends, and c = 0.

A 1 = 0 and A is symmetric, so A u = b has a solution where 1^T b = 0. With w the unknowns' shares
of a cell the solver computes

    u = E^T A^+ E b,    E = I - w 1^T / (1^T w),    E^T = I - 1 w^T / (1^T w),

a symmetric operator: E removes what no u can produce, E^T picks the solution of mean zero.
"""

import torch
from torch import Tensor

ROUNDOFF = 100  # times eps: how far from zero the mean of a compatible b may be


def compatible(b: Tensor, w: Tensor) -> Tensor:
    """E b; b of shape (batch, *grid), w of shape (*grid). b itself where that is b to the last digit."""
    mean = _sum(b, w) / w.sum()
    if (mean.abs() * w.sum() <= torch.finfo(b.dtype).eps * _size(b, w)).all():
        return b
    return b - w * mean


def centred(u: Tensor, w: Tensor) -> Tensor:
    """E^T u, of mean zero, in place of u."""
    mean = (u.flatten(-w.ndim) @ w.flatten()) / w.sum()
    return u.sub_(mean.reshape(*u.shape[: -w.ndim], *[1] * w.ndim))


def _sum(v: Tensor, w: Tensor) -> Tensor:
    return v.sum(tuple(range(-w.ndim, 0)), keepdim=True)


def _size(v: Tensor, w: Tensor) -> Tensor:
    return torch.linalg.vector_norm(v, 1, tuple(range(-w.ndim, 0)), keepdim=True)


def check_compatible(b: Tensor, w: Tensor) -> None:
    """Refuse right-hand sides that are not of mean zero up to round-off."""
    mean, size = _sum(b, w).abs(), _size(b, w)
    excess = (mean - ROUNDOFF * torch.finfo(b.dtype).eps * size).flatten()
    if (excess > 0).any():
        worst = int(excess.argmax())
        raise ValueError(
            f"`f` must have mean zero (with the boundary data, weighted by each unknown's share of a cell): "
            f"the problem has only Neumann or periodic ends and c = 0, so it fixes u up to a constant. "
            f"The mean is {float(mean.flatten()[worst] / w.sum()):.3g}, the mean size "
            f"{float(size.flatten()[worst] / w.sum()):.3g}. Subtract the mean of f, or give a Dirichlet end or c > 0."
        )
