"""The right-hand side of a block: f, weighted by the shares of a cell, and the boundary data next to its ends."""

from typing import Any

import torch
from torch import Tensor

from mgnet.pde.distributed.partition import Partition
from mgnet.pde.problem.axis import PERIODIC
from mgnet.pde.problem.conductances import along
from mgnet.pde.problem.data import boundary_pairs, flux_through
from mgnet.pde.problem.poisson import Poisson


def weigh(partition: Partition, v: Tensor, but: int | None = None, begin: int = 0) -> Tensor:
    """v of a block, or of its planes from ``begin`` on, times the shares along every axis (but one)."""
    axes, (rows, *others) = partition.grid.axes, partition.slices
    first = rows.start + begin
    planes = slice(first, first + v.shape[-len(axes)])
    for d, (axis, there) in enumerate(zip(axes, (planes, *others), strict=True)):
        if axis.weighs and d != but:
            v = v * along(torch.from_numpy(axis.share[there].copy()).to(v), d, len(axes))
    return v


def right_hand_side(problem: Poisson, partition: Partition, f: Tensor, boundary: Any) -> Tensor:
    """b of this process's block, (*batch, *block); boundary as for ``Poisson.rhs``, of whole ends."""
    b, ndim = weigh(partition, f), partition.grid.ndim
    for d, pair in enumerate(() if boundary is None else boundary_pairs(boundary, ndim)):
        if partition.grid.bc[d][0] == PERIODIC:
            continue
        for side, g in enumerate(pair):
            here = partition.place[d] == (0, partition.blocks[d] - 1)[side]
            if g is not None and here:
                b = _with_datum(problem, partition, b, d, side, g)
    return b


def _with_datum(problem: Poisson, partition: Partition, b: Tensor, d: int, side: int, g: Any) -> Tensor:
    flux, ndim = flux_through(problem, g, d, side).to(b), partition.grid.ndim
    for e, there in enumerate(partition.slices):
        flux = flux if e == d else flux.narrow(e - ndim, there.start, there.stop - there.start)
    flux, dim = weigh(partition, flux, but=d), d - ndim + flux.ndim
    zeros = flux.new_zeros((*flux.shape[:dim], partition.shape[d] - 1, *flux.shape[dim + 1 :]))
    return b + torch.cat([flux, zeros] if side == 0 else [zeros, flux], dim)
