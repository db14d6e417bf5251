"""Conductances on the CPU: of numbers and arrays, in a pass, and what they tell; ``problem`` says it in torch."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.native import kernels, threads
from mgnet.pde.problem.axis import DIRICHLET, Axis, Robin

Faces = kernels.Conductances
WHOLE, HALF, THROUGH, GIVEN = range(4)  # what an end's face is to its unknown: see ``conductances.end_coupling``
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def conductance(a: np.ndarray, axis: Axis, dim: int, least: float, most: float) -> Tensor | None:
    """k (*batch, *grid with n_d + 1) of a (*batch, *grid), or on the faces already, float32 or float64.

    None where a is not positive, or its means on the faces not between ``least`` and ``most``: look at it more closely.
    """
    if a.dtype not in FLOATS or a.size == 0 or (axis.periodic and axis.n == 1):
        return None
    a, h, d = np.ascontiguousarray(a), axis.h, a.ndim + dim
    k = np.empty((*a.shape[:d], axis.n + 1, *a.shape[d + 1 :]), a.dtype)
    low, high = _end(axis, axis.low), _end(axis, axis.high)
    good = kernels.conductances(a, k, d, axis.periodic, low, high, (h, h**2), (least, most), threads())
    return torch.from_numpy(k) if good else None


def flows(k: np.ndarray, v: np.ndarray, axis: Axis, d: int, upwind: bool) -> tuple[Tensor, Tensor] | None:
    """back and forth of axis d, see ``problem.convection``, of k on its faces and v there or at the unknowns.

    Both have the grid's axes, of one number where they do not change along one, and v batch axes before them, if any.
    None where v is not finite.
    """
    batch, shape = v.shape[: v.ndim - k.ndim], list(map(max, k.shape, v.shape[v.ndim - k.ndim :]))
    shape[d] = axis.n + 1
    back, forth = np.empty((*batch, *shape), k.dtype), np.empty((*batch, *shape), k.dtype)
    near = (0.0, 1.0) if axis.centering == "cell" else (0.5, 0.5)
    through = (float(axis.low == DIRICHLET), float(axis.high == DIRICHLET))
    good = all(
        kernels.flows(k, v[m], back[m], forth[m], d, axis.periodic, axis.h, upwind, near, through, threads())
        for m in product(*map(range, batch))
    )
    return (torch.from_numpy(back), torch.from_numpy(forth)) if good else None


def corners(a: Sequence[np.ndarray], axes: Sequence[Axis]) -> tuple[Tensor, ...] | None:
    """s on the corners of each pair of axes, see ``problem.tensor``, of a tensor's entries at the unknowns.

    a : the entries on and above the diagonal, row by row; as v of ``flows``. None where they are not positive definite.
    """
    shape, n = tuple(axis.n for axis in axes), len(axes)
    s = [
        np.empty([m + (f in (d, e)) for f, m in enumerate(shape)], a[0].dtype)
        for d in range(n)
        for e in range(d + 1, n)
    ]
    through = 2.0 if axes[0].centering == "cell" else 1.0
    held = [(through * (axis.low == DIRICHLET), through * (axis.high == DIRICHLET)) for axis in axes]
    wraps, h = [axis.periodic for axis in axes], [axis.h for axis in axes]
    good = kernels.corners(a, s, shape, wraps, h, held, threads())
    return tuple(map(torch.from_numpy, s)) if good else None


def magnitudes(faces: Faces, u: Tensor, b: Tensor) -> np.ndarray:
    """(batch,) || |A||u| + |b| || for u, b (batch, *grid): residuals of 2 eps times that are rounding's."""
    return np.sqrt(faces.magnitudes(u.contiguous().numpy(), b.contiguous().numpy(), threads()))


def _end(axis: Axis, end: str | Robin) -> tuple[int, float]:
    if axis.periodic:
        return WHOLE, 0.0
    if end == DIRICHLET:
        return (HALF if axis.centering == "cell" else WHOLE), 0.0
    return (THROUGH if axis.centering == "cell" else GIVEN), end.alpha if isinstance(end, Robin) else 0.0
