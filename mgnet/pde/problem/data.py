"""b of A u = b: f, and what the data on the ends of the box, on the cut of a mask, and at fixed unknowns make of it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.problem.axis import DIRICHLET, PERIODIC, Robin
from mgnet.pde.problem.checks import batches, finite, looked_at, no_graph, real
from mgnet.pde.problem.coefficients import Kind, at_points, is_number, is_scalar
from mgnet.pde.problem.conductances import areas, at_end
from mgnet.pde.problem.faces import Faces
from mgnet.pde.problem.fourth_order import FourthOrder
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.mask import beside
from mgnet.pde.problem.posed import Posed
from mgnet.pde.problem.tensor_data import EndData


def right_hand_side(
    problem: Posed, v: Tensor, boundary: Any = None, cut: Any = None, g: Tensor | None = None, graph: bool = True
) -> Tensor:
    """b of the equations, 0 elsewhere, for f = v, data on the ends and the cut, and g at what is fixed.

    graph : whether these may ask for a gradient
    """
    v = problem.on_grid("f", v)
    b = problem.A.like(v).weigh(v)
    for name, datum in added(problem, boundary, cut, g):
        if not graph:
            no_graph(name, datum)
        batches(problem.grid.ndim, name, datum, "`f`", [b])
        b = b + datum.to(v)
    return problem.inside(b)


def added(problem: Posed, boundary: Any, cut: Any, g: Tensor | None) -> Iterator[tuple[str, Tensor]]:
    """What adds to b."""
    if boundary is not None:
        yield from (("boundary", datum) for datum in of_ends(problem, boundary))
    if cut is not None:
        yield from (("mask_boundary", datum) for datum in of_cut(problem, cut))
    if g is not None:
        yield "fixed", -problem.whole.with_c(None).like(g)(g)


def fixed_values(problem: Posed, fixed: Any, like: Tensor) -> Tensor | None:
    """(*batch, *grid) the values of what is fixed (others, if they are given), 0 elsewhere; None: nothing is."""
    if problem.fixed is None:
        if fixed is not None:
            raise ValueError("`fixed` gives values, but the problem has no fixed unknowns. Make it with `fixed`.")
        return None
    chosen = problem.fixed if fixed is None else problem.fixed.having(fixed)
    g = chosen.values(problem.grid, problem.kind).to(like)
    batches(problem.grid.ndim, "fixed", g, "the coefficients", problem.A.base.tensors)
    return g


def of_ends(problem: Posed, boundary: Any) -> Iterator[Tensor]:
    """Of each datum that is not 0 its part of b, (*batch, *grid)."""
    for d, pair in enumerate(boundary_pairs(boundary, problem.grid.ndim)):
        for side, g in enumerate(pair):
            if problem.grid.bc[d][0] != PERIODIC and g is not None and not (is_number(g) and g == 0):
                yield of_end(problem, g, d, side)


def of_end(problem: Posed, g: Any, d: int, side: int) -> Tensor:
    """The same of the data g on one end: zero but next to it."""
    grid, A = problem.grid, problem.A
    if isinstance(A, FourthOrder):
        return A.datum(on_end(g, grid, d, side, problem.kind, problem.mask), d, side)
    along = A.base.weigh(at_end(flux_through(problem, g, d, side), grid.axes, d, side), but=d)
    if problem.tensor is None:
        return along
    end = on_end(g, grid, d, side, problem.kind, problem.mask)
    end = end.expand(np.broadcast_shapes(end.shape, [1 if e == d else n for e, n in enumerate(grid.shape)]))
    return along + EndData(problem.tensor, A.base, g, end, d, side).of_b()


def check_cut(values: Any, mask: Tensor | None) -> None:
    """Refuse data on a cut that is not there."""
    if values is not None and mask is None:
        raise ValueError("`mask_boundary` gives data on the cut of a `mask`, but there is none. Pass `boundary`.")


def of_cut(problem: Posed, values: Any) -> Iterator[Tensor]:
    """Per axis what the data on the mask's cut add to b: a value where it holds u, else the outward flux a du/dn."""
    grid, mask, A = problem.grid, problem.mask, problem.whole
    check_cut(values, mask)
    assert mask is not None
    held = problem.mask_bc == DIRICHLET
    if problem.tensor is not None:
        yield _of_cut_tensor(problem, values, mask, held)
        return
    if callable(values) and held:
        values = at_points("mask_boundary", values, grid, problem.kind)
    for d, axis in enumerate(grid.axes):
        dim, (left, right) = d - grid.ndim, beside(mask, axis, d - grid.ndim)
        g = _on_cut(values, grid, d, problem.kind, left, right, held)
        batches(grid.ndim, "mask_boundary", g, "the coefficients", A.k)
        back, forth = A.sides[d] if held else (areas(grid.axes, d, g),) * 2
        below, above = torch.where(left, forth * g, 0.0), torch.where(right, back * g, 0.0)
        yield A.weigh(below.narrow(dim, 1, axis.n) + above.narrow(dim, 0, axis.n), but=d)


def _of_cut_tensor(problem: Posed, values: Any, mask: Tensor, held: bool) -> Tensor:
    """The same beside a full tensor, whose corners couple to the unknowns outside, too: - A g of those."""
    if not held or isinstance(values, Faces):
        raise ValueError(
            "`mask_boundary` beside a full tensor gives the value of u at the unknowns outside of the mask: "
            'mask_bc="dirichlet", and a number, an array or a callable. No other data are known there.'
        )
    grid = problem.grid
    g, near = at_points("mask_boundary", values, grid, problem.kind), mask
    batches(grid.ndim, "mask_boundary", g, "the `mask`", [mask])
    for d, axis in enumerate(grid.axes):
        faces = torch.bitwise_or(*beside(near, axis, d - grid.ndim))
        near = faces.narrow(d - grid.ndim, 0, axis.n) | faces.narrow(d - grid.ndim, 1, axis.n)
    g = looked_at(
        torch.where(near & ~mask, g, 0.0),
        lambda data: finite("mask_boundary", data, "Clean the data on the cut.", place=grid.place),
    )
    return -problem.whole.with_c(None).like(g)(g)


def _on_cut(values: Any, grid: Grid, d: int, kind: Kind, left: Tensor, right: Tensor, held: bool) -> Tensor:
    """(*batch, *grid with n_d + 1) the data on the faces of axis d that are cut, 0 on others.

    A value is taken where it acts, at the unknown outside; a flux at the face's centre, or of the unknown inside.
    """
    points, cut = [axis.x for axis in grid.axes], left ^ right
    if isinstance(values, Faces):
        g = values.per_axis(grid, "mask_boundary")[d].values("mask_boundary", grid, d, kind)
        batches(grid.ndim, "mask_boundary", g, "the `mask`", [cut])
    elif callable(values):
        points[d] = grid.axes[d].faces
        g = kind.evaluate("mask_boundary", values, points)
    else:
        g = at_points("mask_boundary", values, grid, kind)
        batches(grid.ndim, "mask_boundary", g, "the `mask`", [cut])
        if g.ndim:
            below, above = beside(g, grid.axes[d], d - grid.ndim)
            g = torch.where(left ^ held, below, above)
    g = torch.where(cut, g, 0.0)
    return looked_at(
        g,
        lambda data: finite(
            "mask_boundary", data, f"That is on a face of axis {d}. Clean the data on the cut.", place=grid.place
        ),
    )


def flux_through(problem: Posed, g: Any, d: int, side: int) -> Tensor:
    """What the data g on an end add to the equations next to it, (*batch, *grid with 1 along d), of a whole cell."""
    weight, datum = _weight(problem, d, side), on_end(g, problem.grid, d, side, problem.kind, problem.mask)
    batches(problem.grid.ndim, "boundary", datum, "the coefficients", [weight])
    flux = weight * datum
    shape = np.broadcast_shapes(flux.shape, tuple(1 if e == d else m for e, m in enumerate(problem.grid.shape)))
    return flux.expand(shape)


def _weight(problem: Posed, d: int, side: int) -> Tensor:
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
        f"it is {boundary!r:.80}."
    )


def alphas_of(grid: Grid, d: int, kind: Kind, mask: Tensor | None) -> list[Tensor | None]:
    """What is no number of those of Robin ends, at the low and the high end of axis d, checked."""
    return [
        looked_at(on_end(end.alpha, grid, d, side, kind, mask, "alpha"), _not_negative)
        if isinstance(end, Robin) and end.varies
        else None
        for side, end in enumerate(grid.bc[d])
    ]


def _not_negative(alpha: Tensor) -> None:
    if (alpha < 0).any():
        raise ValueError(f"`alpha` of Robin must be >= 0 everywhere; its smallest value is {float(alpha.min()):.6g}.")


def on_end(
    value: Any, grid: Grid, d: int, side: int, kind: Kind, mask: Tensor | None = None, name: str = "boundary"
) -> Tensor:
    """Data on one end of axis d: (*batch, *grid with 1 along d) or broadcastable to it.

    An array has the shape of the end, the grid's without axis d (a batch may precede it). What
    lies outside of a mask is not looked at, and 0.
    """
    end, dim = np.array([(grid.axes[d].lower, grid.axes[d].upper)[side]]), d - grid.ndim
    points = [end if e == d else axis.x for e, axis in enumerate(grid.axes)]
    g = kind.evaluate(name, value, points) if callable(value) else _array_on_end(value, grid, d, kind, name)
    if mask is not None:
        g = torch.where(mask.narrow(dim, (0, grid.axes[d].n - 1)[side], 1), g, 0.0)
    remedy = f"That is on axis {d} at the {('low', 'high')[side]} end. Clean it."
    if callable(value):
        return looked_at(g, lambda data: finite(name, data, remedy, points))
    place = grid.place.beside(d)
    return looked_at(
        g, lambda data: finite(name, data.squeeze(dim) if data.ndim >= grid.ndim else data, remedy, place=place)
    )


def _array_on_end(value: Any, grid: Grid, d: int, kind: Kind, name: str) -> Tensor:
    """A number, or an array of the end's shape with 1 along d."""
    if is_number(value):
        return kind.tensor(value)
    if is_scalar(value):
        return kind.tensor(real(name, value))
    if not isinstance(value, (Tensor, np.ndarray)):
        raise TypeError(
            f"`{name}` of axis {d} must be None, a number, an array or a callable; it is {type(value).__name__}."
        )
    shape = grid.shape[:d] + grid.shape[d + 1 :]
    if grid.ndim > 1 and tuple(value.shape[-(grid.ndim - 1) :]) != shape:
        raise ValueError(f"`{name}` of axis {d} must have the shape {shape} of that end; it has {tuple(value.shape)}.")
    return kind.tensor(real(name, value)).unsqueeze(d - grid.ndim)
