"""Conductances on the CPU: of arrays, in a pass, and what they tell; ``problem`` says it in torch."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.native import kernels, threads
from mgnet.pde.problem.axis import DIRICHLET, Axis, Robin

if TYPE_CHECKING:
    from mgnet.pde.problem.operators import Diffusion

Faces = kernels.Conductances
WHOLE, HALF, THROUGH, GIVEN = range(4)  # what an end's face is to its unknown: see ``conductances.end_coupling``
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def conductance(a: np.ndarray, axis: Axis, dim: int, least: float, most: float) -> Tensor | None:
    """k (*batch, *grid with n_d + 1) of a (*batch, *grid), float32 or float64.

    None where a is not positive, or its means on the faces not between ``least`` and ``most``: look at it more closely.
    """
    if a.dtype not in FLOATS or a.size == 0 or (axis.periodic and axis.n == 1):
        return None
    a, h, d = np.ascontiguousarray(a), axis.h, a.ndim + dim
    k = np.empty([n + (e == d) for e, n in enumerate(a.shape)], a.dtype)
    low, high = _end(axis, axis.low), _end(axis, axis.high)
    good = kernels.conductances(a, k, d, axis.periodic, low, high, (h, h**2), (least, most), threads())
    return torch.from_numpy(k) if good else None


def described(A: "Diffusion") -> Faces:
    """A as the kernels take it; its tensors are not copied, and may be broadcast."""
    if any(v.ndim > A.ndim + 1 for v in A.tensors):
        A = A.flattened(np.broadcast_shapes(*(v.shape[: max(v.ndim - A.ndim, 0)] for v in A.tensors)))
    return Faces(
        [axis.n for axis in A.axes], [axis.periodic for axis in A.axes], [axis.share for axis in A.axes],
        [k.detach().numpy() for k in A.k], None if A.c is None else A.c.detach().numpy(),
    )  # fmt: skip


def magnitudes(faces: Faces, u: Tensor, b: Tensor) -> np.ndarray:
    """(batch,) || |A||u| + |b| || for u, b (batch, *grid): residuals of 2 eps times that are rounding's."""
    return np.sqrt(faces.magnitudes(u.contiguous().numpy(), b.contiguous().numpy(), threads()))


def _end(axis: Axis, end: str | Robin) -> tuple[int, float]:
    if axis.periodic:
        return WHOLE, 0.0
    if end == DIRICHLET:
        return (HALF if axis.centering == "cell" else WHOLE), 0.0
    return (THROUGH if axis.centering == "cell" else GIVEN), end.alpha if isinstance(end, Robin) else 0.0
