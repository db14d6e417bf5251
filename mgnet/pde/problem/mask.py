"""Irregular domains: a boolean array says which unknowns are inside.

Faces between an inside and an outside unknown are cut: they couple the inside one to a zero value
("dirichlet") or carry no flux ("neumann"). Both are the operator of the box with other conductances
and reaction, so everything that solves on a box solves here:

    k = 0 on faces that are not inside on both sides;   c <- c + k_cut / share   ("dirichlet")

Rows outside read d u = 0, d the mean diagonal, so that A is regular there and well scaled.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.problem.axis import DIRICHLET, NEUMANN, PERIODIC, Axis, Robin
from mgnet.pde.problem.checks import as_tensor, looked_at
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.operators import Diffusion


def inside(mask: Any, grid: Grid) -> Tensor:
    """The mask as a tensor, checked."""
    if not isinstance(mask, (np.ndarray, Tensor)):
        raise TypeError(f"`mask` must be a boolean array, True inside; it is {type(mask).__name__}.")
    tensor = as_tensor(mask.copy() if isinstance(mask, np.ndarray) else mask)  # which may be reversed or read-only
    if tensor.dtype != torch.bool:
        raise TypeError(f"`mask` must be boolean, True inside; its dtype is {tensor.dtype}. Pass mask != 0, say.")
    if tuple(tensor.shape) != grid.shape:
        raise ValueError(f"`mask` must have the grid's shape {grid.shape}; it has {tuple(tensor.shape)}.")
    if not tensor.any():
        raise ValueError("`mask` must be True somewhere; it is False everywhere.")
    return tensor


def beside(v: Tensor, axis: Axis, dim: int) -> tuple[Tensor, Tensor]:
    """The values on both sides of each of the n + 1 faces along ``dim``; an end has that of its unknown on both."""
    n = axis.n
    first, last = v.narrow(dim, 0, 1), v.narrow(dim, n - 1, 1)
    around = torch.cat([last, v, first] if axis.periodic else [first, v, last], dim=dim)
    return around.narrow(dim, 0, n + 1), around.narrow(dim, 1, n + 1)


def cut(A: Diffusion, mask: Tensor, mask_bc: str) -> Diffusion:
    """The operator of the masked domain."""
    outer = A.diagonal.detach().mean()
    zero = torch.zeros_like(mask, dtype=A.k[0].dtype)
    c, ks = zero if A.c is None else A.c, []
    for d, (k, axis) in enumerate(zip(A.k, A.axes, strict=True)):
        dim, n = d - A.ndim, axis.n
        left, right = beside(mask, axis, dim)
        ks.append(k * (left & right))
        if mask_bc == DIRICHLET:
            held = k * (left ^ right)
            both = held.narrow(dim, 0, n) + held.narrow(dim, 1, n)
            share = A.shares[d]
            c = c + (both if share is None else both / share)
    return A.having(ks, torch.where(mask, c, outer))


def parts(mask: Tensor, grid: Grid, mask_bc: str, opens: Sequence[np.ndarray] | None = None) -> tuple[Tensor, Tensor]:
    """The connected parts of the domain.

    Parameters
    ----------
    opens : per axis (*grid with n_d + 1) the faces that are no walls; None: all

    Returns
    -------
    part : (*grid) the number of each inside unknown's part, -1 outside
    free : (parts,) whether a part meets no end, and no cut, that fixes u
    """
    import scipy.sparse as sparse
    from scipy.sparse.csgraph import connected_components

    inside = mask.cpu().numpy()
    index, held, pairs = np.arange(inside.size).reshape(inside.shape), np.zeros(inside.shape, bool), []
    for d, axis in enumerate(grid.axes):
        here, there = (np.moveaxis(v, d, 0) for v in (inside, np.roll(inside, -1, d)))
        i, j = (np.moveaxis(v, d, 0) for v in (index, np.roll(index, -1, d)))
        stop = axis.n if axis.periodic else axis.n - 1
        through = np.ones(axis.n + 1, bool).reshape(-1, *[1] * (grid.ndim - 1))
        through = through if opens is None else np.moveaxis(opens[d], d, 0)
        both = here[:stop] & there[:stop] & through[1 : stop + 1]
        pairs.append((i[:stop][both], j[:stop][both]))
        fixed = np.moveaxis(held, d, 0)
        if mask_bc == DIRICHLET:
            cut = (here[:stop] ^ there[:stop]) & through[1 : stop + 1]
            fixed[:stop] |= cut
            np.moveaxis(held, d, 0)[np.arange(1, stop + 1) % axis.n] |= cut
        for end, at in ((axis.low, 0), (axis.high, -1)):
            fixed[at] |= through[at] & (end not in (NEUMANN, PERIODIC) and end != Robin(0))
    rows, columns = (np.concatenate(v) for v in zip(*pairs, strict=True))
    graph = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(inside.size,) * 2)
    _, label = connected_components(graph, directed=False)
    used, part = np.unique(np.where(inside.ravel(), label, -1), return_inverse=True)
    part -= int(used[0] == -1)
    free = np.bincount(part[inside.ravel()], held[inside]) == 0
    return torch.from_numpy(part.reshape(inside.shape)), torch.from_numpy(free)


def check_alone(A: Diffusion, mask: Tensor, part: Tensor, free: Tensor, name: str = "mask") -> None:
    """Refuse a part of one unknown with no equation: no neighbour, no fixed value, no c."""
    sizes = torch.bincount(part[part >= 0].flatten())
    alone = torch.isin(part, torch.nonzero((sizes == 1) & free).flatten()).to(mask.device)
    if alone.any():
        c = torch.zeros_like(mask, dtype=A.k[0].dtype)
        looked_at(c if A.c is None else A.c + c, lambda c: _refuse_alone((c == 0) & alone, name))


def _refuse_alone(bad: Tensor, name: str) -> None:
    if bad.any():
        first = tuple(int(i) for i in bad.nonzero()[0])
        raise ValueError(
            f"`{name}` must leave no unknown without an equation: with no flux through the cut and c = 0, "
            f"{int(bad.sum())} of them have no neighbour (first {first}). Take them out of the `mask`, or give c > 0."
        )
