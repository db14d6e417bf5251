"""Coefficients and boundary data, from what a user may give to tensors on faces and unknowns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.axis import NEUMANN, Axis
from mgnet.pde.checks import looked_at, real
from mgnet.pde.grid import Grid

RANGE = 1e-35, 1e24  # of a / h^2: what float32 levels, which square it, can hold (measured)
Coefficient = float | Tensor | np.ndarray | Callable[..., Any] | None


@dataclass(frozen=True)
class Kind:
    """What callables are given, and what tensors are made of."""

    numpy: bool = True
    dtype: torch.dtype = torch.float64
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def tensor(self, value: Any) -> Tensor:
        return torch.as_tensor(value, dtype=self.dtype, device=self.device)

    def meshes(self, points: Sequence[np.ndarray]) -> tuple[Any, ...]:
        """The product of one-dimensional point sets: numpy float64 arrays or tensors, "ij"."""
        meshes = np.meshgrid(*points, indexing="ij")
        return tuple(meshes) if self.numpy else tuple(self.tensor(mesh) for mesh in meshes)

    def evaluate(self, name: str, g: Callable[..., Any], points: Sequence[np.ndarray]) -> Tensor:
        """g on a product of point sets, as a tensor that has the set's shape at its end."""
        value = g(*self.meshes(points))
        if not is_number(value) and not isinstance(value, (np.ndarray, Tensor)):
            raise TypeError(f"`{name}` must return a number or an array; it returned {type(value).__name__}.")
        value = self.tensor(value if is_number(value) else real(name, value))
        shape = tuple(len(p) for p in points)
        try:
            torch.broadcast_shapes(value.shape, shape)
        except RuntimeError:
            raise ValueError(
                f"`{name}` must return values of the meshes' shape {shape}; it returned {tuple(value.shape)}."
            ) from None
        return value + torch.zeros(shape, dtype=self.dtype, device=self.device)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def is_scalar(value: Any) -> bool:
    """A number, or an array of no axes."""
    return is_number(value) or (isinstance(value, (np.ndarray, Tensor)) and value.ndim == 0)


def check(name: str, value: Tensor, positive: bool, h: float | None = None) -> Tensor:
    """Refuse coefficients that are not finite, of the wrong sign, or out of the levels' range when divided by h^2."""

    def look(data: Tensor) -> None:
        if data.numel() == 0:
            raise ValueError(f"`{name}` must not be empty; its shape is {tuple(data.shape)}.")
        low, high = (float(v) for v in torch.aminmax(data))  # NaN if there is one
        if not isfinite(low) or not isfinite(high):
            raise ValueError(f"`{name}` must be finite; it has NaN or infinity. Clean the coefficient.")
        if low < 0 or (positive and low == 0):
            need = "positive" if positive else ">= 0"
            raise ValueError(f"`{name}` must be {need} everywhere; its smallest value is {low:.6g}.")
        if h is not None and not (RANGE[0] * h**2 <= low and high <= RANGE[1] * h**2):
            raise ValueError(
                f"`{name}` must leave {name} / h^2 between {RANGE[0]:g} and {RANGE[1]:g}; h is {h:.3g}, and the values "
                f"lie between {low:.3g} and {high:.3g}. Use other units."
            )

    return looked_at(value, look)


def at_unknowns(name: str, value: Any, grid: Grid, kind: Kind) -> Tensor:
    """A number, array or callable at the unknowns: (*batch, *grid) or broadcastable to it."""
    if callable(value):
        return kind.evaluate(name, value, [axis.x for axis in grid.axes])
    return _array(name, value, grid, kind)


def on_faces(name: str, value: Any, grid: Grid, d: int, kind: Kind, mask: Tensor | None = None) -> Tensor:
    """A number, array or callable on the n_d + 1 faces of axis d.

    A callable is evaluated there; an array gives a face the harmonic mean of its two neighbours,
    and an end face the nearest unknown's value. With a mask, values outside are not looked at: a
    face of the cut takes its inside neighbour's value.
    """
    if callable(value):
        points = [axis.faces if e == d else axis.x for e, axis in enumerate(grid.axes)]
        return kind.evaluate(name, value, points)
    a = _array(name, value, grid, kind)
    if a.ndim == 0:
        ones = [grid.axes[e].n + 1 if e == d else 1 for e in range(grid.ndim)]
        return a.expand(ones)
    dim, axis = d - grid.ndim, grid.axes[d]
    if mask is None:
        return _harmonic(check(name, a, positive=True), a, dim, axis)
    a = check(name, torch.where(mask, a, 1.0), positive=True)
    forward, back = (torch.where(mask, a, a.roll(step, dim)) for step in (-1, 1))
    return _harmonic(forward, back, dim, axis)


def used(a: Tensor, grid: Grid, d: int, mask: Tensor | None, held: bool) -> Tensor:
    """a on the faces of axis d that an equation uses, their mean on the others.

    No equation uses a Neumann end, nor a face that has no inside unknown or, unless the cut is
    ``held``, an outside one.
    """
    axis, dim = grid.axes[d], d - grid.ndim
    mask = torch.ones(grid.shape, dtype=torch.bool, device=a.device) if mask is None else mask
    first, last = mask.narrow(dim, 0, 1), mask.narrow(dim, axis.n - 1, 1)
    around = torch.cat([last, mask, first] if axis.periodic else [first, mask, last], dim=dim)
    left, right = around.narrow(dim, 0, axis.n + 1), around.narrow(dim, 1, axis.n + 1)
    use = left | right if held else left & right
    for end, at in ((axis.low, 0), (axis.high, axis.n)):
        if end == NEUMANN:
            use.narrow(dim, at, 1).fill_(False)
    if use.all() or not use.any():
        return a if use.all() else torch.ones_like(a)
    seen = torch.where(use, a, 0.0).detach()
    return torch.where(use, a, seen.mean() * (use.numel() / use.sum()))


def _harmonic(forward: Tensor, back: Tensor, dim: int, axis: Axis) -> Tensor:
    """Of the values seen from the left and from the right of each face, which are one without a mask."""
    n = axis.n
    inner = _HarmonicMean.apply(forward.narrow(dim, 0, n - 1), back.narrow(dim, 1, n - 1))
    first, last = back.narrow(dim, 0, 1), forward.narrow(dim, n - 1, 1)
    if axis.periodic:
        first = last = _HarmonicMean.apply(first, last)
    return torch.cat([first, inner, last], dim=dim)


class _HarmonicMean(torch.autograd.Function):
    """m = 2 l r / (l + r), whose derivatives are (m / l)^2 / 2 and (m / r)^2 / 2: a graph of one node."""

    generate_vmap_rule = True

    @staticmethod
    def forward(left: Tensor, right: Tensor) -> Tensor:
        return left * (2 * right / (left + right))  # no product of two values, which might overflow

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(*inputs, output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        left, right, mean = ctx.saved_tensors
        half = gradients[0] / 2
        return tuple(half * (mean / side) ** 2 for side in (left, right))


def _array(name: str, value: Any, grid: Grid, kind: Kind) -> Tensor:
    if not (is_number(value) or isinstance(value, (Tensor, np.ndarray))):
        raise TypeError(f"`{name}` must be a number, an array or a callable; it is {type(value).__name__}.")
    if is_number(value):
        return kind.tensor(value)
    array = real(name, value)
    array = array.clone() if isinstance(value, np.ndarray) else array  # ours: later changes do not reach the operator
    if array.ndim and tuple(array.shape[-grid.ndim :]) != grid.shape:
        raise ValueError(
            f"`{name}` must have the grid's shape {grid.shape} as its last axes; it has {tuple(array.shape)}."
        )
    return kind.tensor(array)


def boundary_pairs(boundary: Any, ndim: int) -> list[tuple[Any, Any]]:
    """One (low, high) pair of data per axis."""

    def one(entry: Any) -> bool:
        return entry is None or is_scalar(entry) or callable(entry)

    if one(boundary):
        return [(boundary, boundary)] * ndim
    if isinstance(boundary, (list, tuple)) and len(boundary) == ndim:
        pairs = [(entry, entry) if one(entry) else entry for entry in boundary]
        if all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
            return [(pair[0], pair[1]) for pair in pairs]
    raise TypeError(
        f"`boundary` must be None, a number, a callable, or one (low, high) pair of those per axis ({ndim}); "
        f"it is {boundary!r}."
    )


def on_end(value: Any, grid: Grid, d: int, side: int, kind: Kind) -> Tensor:
    """Boundary data on one end of axis d: (*batch, *grid with 1 along d) or broadcastable to it.

    An array has the shape of the end, the grid's without axis d (a batch may precede it).
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

    def look(data: Tensor) -> None:
        if not torch.isfinite(data).all():
            raise ValueError(f"`boundary` must be finite; on axis {d} it has NaN or infinity.")

    return looked_at(g, look)
