"""What the data on the ends of the box make of b."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.problem.axis import DIRICHLET, PERIODIC
from mgnet.pde.problem.checks import finite, looked_at, real
from mgnet.pde.problem.coefficients import Kind, is_number, is_scalar
from mgnet.pde.problem.fourth_order import FourthOrder
from mgnet.pde.problem.grid import Grid

if TYPE_CHECKING:
    from mgnet.pde.problem.poisson import Poisson


def of_ends(problem: "Poisson", boundary: Any) -> Iterator[Tensor]:
    """Of each datum that is not 0 its part of b, (*batch, *grid)."""
    for d, pair in enumerate(boundary_pairs(boundary, problem.grid.ndim)):
        for side, g in enumerate(pair):
            if problem.grid.bc[d][0] != PERIODIC and g is not None and not (is_number(g) and g == 0):
                yield of_end(problem, g, d, side)


def of_end(problem: "Poisson", g: Any, d: int, side: int) -> Tensor:
    """The same of the data g on one end: zero but next to it."""
    n, dim, A = problem.grid.axes[d].n, d - problem.grid.ndim, problem.A
    g = on_end(g, problem.grid, d, side, problem.kind, problem.mask)
    if isinstance(A, FourthOrder):
        return A.datum(g, d, side)
    flux = _weight(problem, d, side) * g
    shape = np.broadcast_shapes(flux.shape, tuple(1 if e == d else m for e, m in enumerate(problem.grid.shape)))
    flux = flux.expand(shape)
    zeros = flux.new_zeros((*shape[:dim], n - 1, *shape[len(shape) + dim + 1 :]))
    return A.base.weigh(torch.cat([flux, zeros] if side == 0 else [zeros, flux], dim=dim), but=d)


def _weight(problem: "Poisson", d: int, side: int) -> Tensor:
    """Of the datum on an end."""
    axis, betas = problem.grid.axes[d], problem.betas[d]
    if betas is not None:
        return betas[side]
    k = problem.A.base.k[d].narrow(d - problem.grid.ndim, side * axis.n, 1)
    return k if (axis.low, axis.high)[side] == DIRICHLET else torch.full_like(k, 1 / axis.h)


def boundary_pairs(boundary: Any, ndim: int) -> list[tuple[Any, Any]]:
    """One (low, high) pair of data per axis."""

    def one(entry: Any) -> bool:
        return entry is None or is_scalar(entry) or callable(entry)

    if one(boundary):
        return [(boundary, boundary)] * ndim
    if isinstance(boundary, (list, tuple)) and ndim == 1 and len(boundary) == 2:
        boundary = [boundary]
    if isinstance(boundary, (list, tuple)) and len(boundary) == ndim:
        pairs = [(entry, entry) if one(entry) else entry for entry in boundary]
        if all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
            return [(pair[0], pair[1]) for pair in pairs]
    raise TypeError(
        f"`boundary` must be None, a number, a callable, or one (low, high) pair of those per axis ({ndim}); "
        f"it is {boundary!r}."
    )


def on_end(value: Any, grid: Grid, d: int, side: int, kind: Kind, mask: Tensor | None = None) -> Tensor:
    """Boundary data on one end of axis d: (*batch, *grid with 1 along d) or broadcastable to it.

    An array has the shape of the end, the grid's without axis d (a batch may precede it). What
    lies outside of a mask is not looked at, and 0.
    """
    end = np.array([(grid.axes[d].lower, grid.axes[d].upper)[side]])
    points = [end if e == d else axis.x for e, axis in enumerate(grid.axes)]
    if callable(value):
        g = kind.evaluate("boundary", value, points)
    elif is_number(value):
        g = kind.tensor(value)
    elif is_scalar(value):
        g = kind.tensor(real("boundary", value))
    elif isinstance(value, (Tensor, np.ndarray)):
        shape = grid.shape[:d] + grid.shape[d + 1 :]
        if grid.ndim > 1 and tuple(value.shape[-(grid.ndim - 1) :]) != shape:
            raise ValueError(
                f"`boundary` of axis {d} must have the shape {shape} of that end; it has {tuple(value.shape)}."
            )
        g = kind.tensor(real("boundary", value)).unsqueeze(d - grid.ndim)
    else:
        raise TypeError(
            f"`boundary` of axis {d} must be None, a number, an array or a callable; it is {type(value).__name__}."
        )

    if mask is not None:
        g = torch.where(mask.narrow(d - grid.ndim, (0, grid.axes[d].n - 1)[side], 1), g, 0.0)
    place = f"That is on axis {d} at the {('low', 'high')[side]} end. Clean the boundary data."

    def look(data: Tensor) -> None:
        if callable(value):
            finite("boundary", data, place, points)
        else:
            finite("boundary", data.squeeze(d - grid.ndim) if data.ndim else data, place)

    return looked_at(g, look)
