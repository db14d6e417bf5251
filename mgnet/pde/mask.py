"""Irregular domains: a boolean array says which unknowns are inside.

Faces between an inside and an outside unknown are cut: they couple the inside one to a zero value
("dirichlet") or carry no flux ("neumann"). Both are the operator of the box with other conductances
and reaction, so everything that solves on a box solves here:

    k = 0 on faces that are not inside on both sides;   c <- c + k_cut / share   ("dirichlet")

Rows outside read d u = 0, d the mean diagonal, so that A is regular there and well scaled.
"""

from typing import Any

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from mgnet.pde.axis import DIRICHLET, NEUMANN
from mgnet.pde.grid import Grid
from mgnet.pde.operators import Diffusion

NOTHING = 1e-13  # of a component's diagonal: row sums below are round-off of zero


def inside(mask: Any, grid: Grid, mask_bc: str) -> Tensor:
    """The mask as a tensor, checked."""
    if mask_bc not in (DIRICHLET, NEUMANN):
        raise ValueError(f'`mask_bc` must be "dirichlet" or "neumann"; it is {mask_bc!r}.')
    if not isinstance(mask, (np.ndarray, Tensor)):
        raise TypeError(f"`mask` must be a boolean array, True inside; it is {type(mask).__name__}.")
    tensor = torch.as_tensor(mask)
    if tensor.dtype != torch.bool:
        raise TypeError(f"`mask` must be boolean, True inside; its dtype is {tensor.dtype}. Pass mask != 0, say.")
    if tuple(tensor.shape) != grid.shape:
        raise ValueError(f"`mask` must have the grid's shape {grid.shape}; it has {tuple(tensor.shape)}.")
    if not tensor.any():
        raise ValueError("`mask` must be True somewhere; it is False everywhere.")
    return tensor


def cut(A: Diffusion, mask: Tensor, mask_bc: str) -> Diffusion:
    """The operator of the masked domain."""
    outer = A.diagonal.detach().mean()
    zero = torch.zeros_like(mask, dtype=A.k[0].dtype)
    c, ks = zero if A.c is None else A.c, []
    for d, (k, axis) in enumerate(zip(A.k, A.axes, strict=True)):
        dim, n = d - A.ndim, axis.n
        first, last = mask.narrow(dim, 0, 1), mask.narrow(dim, n - 1, 1)
        low, high = (last, first) if axis.periodic else (first, last)
        around = torch.cat([low, mask, high], dim=dim)
        left, right = around.narrow(dim, 0, n + 1), around.narrow(dim, 1, n + 1)
        ks.append(k * (left & right))
        if mask_bc == DIRICHLET:
            held = k * (left ^ right)
            both = held.narrow(dim, 0, n) + held.narrow(dim, 1, n)
            share = A.shares[d]
            c = c + (both if share is None else both / share)
    return A.having(ks, torch.where(mask, c, outer))


def check_held(A: Diffusion, mask: Tensor) -> None:
    """Refuse parts of the domain on which u is fixed up to a constant only."""
    matrix = A.detached().to_scipy()
    _, label = connected_components(matrix, directed=False)
    at = mask.cpu().numpy().ravel()
    sums = np.bincount(label, at * (matrix @ at.astype(float)))
    sizes = np.bincount(label, matrix.diagonal())
    loose = np.unique(label[at & (sums <= NOTHING * sizes)[label]])
    if len(loose):
        where = np.unravel_index(np.flatnonzero(label == loose[0])[0], mask.shape)
        raise ValueError(
            f"`mask` must leave no part of the domain without a fixed value: with no flux through the cut, "
            f"{len(loose)} of its connected parts (one holds {tuple(int(i) for i in where)}) touch no Dirichlet or "
            f'Robin end, and c = 0 there. Give c > 0, mask_bc="dirichlet", or take that part out of the mask.'
        )
