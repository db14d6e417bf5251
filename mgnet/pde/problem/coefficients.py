"""Coefficients and boundary data, from what a user may give to tensors on faces and unknowns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.native.conductances import conductance
from mgnet.pde.problem.axis import DIRICHLET, Axis, Robin
from mgnet.pde.problem.checks import HERE, REAL, Place, batches, finite, looked_at, real, unlabelled
from mgnet.pde.problem.conductances import end_coupling
from mgnet.pde.problem.forward_mode import nested
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.mask import beside
from mgnet.pde.problem.plain import numbers, ours, plain, values

RANGE = 1e-35, 1e24  # of a / h^2: what float32 levels, which square it, can hold (measured)
CPU = torch.device("cpu")
NUMPY = {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}
Coefficient = float | Tensor | np.ndarray | Callable[..., Any] | None


@dataclass(frozen=True)
class Kind:
    """What callables are given, and what tensors are made of."""

    numpy: bool = True
    dtype: torch.dtype = torch.float64
    device: torch.device = CPU

    def tensor(self, value: Any) -> Tensor:
        return torch.as_tensor(value, dtype=self.dtype, device=self.device)

    def meshes(self, points: Sequence[np.ndarray]) -> tuple[Any, ...]:
        """The product of one-dimensional point sets: numpy float64 arrays or tensors, "ij"."""
        shape, meshes = [len(p) for p in points], []
        for d, p in enumerate(points):
            meshes.append(np.empty(shape))
            meshes[-1][...] = p.reshape([-1 if e == d else 1 for e in range(len(shape))])
        return tuple(meshes) if self.numpy else tuple(self.tensor(mesh) for mesh in meshes)

    def called(self, g: Callable[..., Any], points: Sequence[np.ndarray]) -> Any:
        """What g makes of a product of point sets."""
        try:
            return g(*self.meshes(points))
        except (AttributeError, TypeError) as error:
            if self.numpy:
                error.add_note("A callable gets numpy arrays here, and tensors where f, or Poisson's `like`, is one.")
            raise

    def evaluate(self, name: str, g: Callable[..., Any], points: Sequence[np.ndarray]) -> Tensor:
        """g on a product of point sets, as a tensor that has the set's shape at its end."""
        value = self.called(g, points)
        if not is_number(value) and not isinstance(value, (np.ndarray, Tensor)):
            raise TypeError(f"`{name}` must return a number or an array; it returned {type(value).__name__}.")
        value = self.tensor(value if is_number(value) else real(name, value))
        shape = tuple(len(p) for p in points)
        try:
            np.broadcast_shapes(value.shape, shape)
        except ValueError:
            raise ValueError(
                f"`{name}` must return values of the meshes' shape {shape}; it returned {tuple(value.shape)}."
            ) from None
        return value + torch.zeros(shape, dtype=self.dtype, device=self.device)


def kind_of(like: Any) -> Kind:
    """The kind of an array: numpy float64 without one."""
    if isinstance(like, Kind):
        return like
    if like is None:
        return Kind()
    if isinstance(like, Tensor):
        return Kind(False, like.dtype if like.dtype in REAL else torch.float64, like.device)
    if not isinstance(like, (np.ndarray, np.generic)):
        raise TypeError(f"`like` must be an array or a tensor; it is {type(like).__name__}.")
    return Kind(True, torch.float32 if like.dtype == np.float32 else torch.float64)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def is_scalar(value: Any) -> bool:
    """A number, or an array of no axes."""
    return is_number(value) or (isinstance(value, (np.ndarray, Tensor)) and value.ndim == 0)


def check(
    name: str,
    value: Tensor,
    positive: bool,
    h: float | None = None,
    points: Sequence[np.ndarray] | None = None,
    place: Place = HERE,
) -> Tensor:
    """Refuse coefficients that are not finite, of the wrong sign, or out of the levels' range when divided by h^2.

    What came of a callable, at ``points`` per axis, is told by its coordinates, other values by their index.
    """

    def look(data: Tensor) -> None:
        if data.numel() == 0:
            raise ValueError(f"`{name}` must not be empty; its shape is {tuple(data.shape)}.")
        low, high = (float(v) for v in torch.aminmax(data))  # NaN if there is one
        if not isfinite(low) or not isfinite(high):
            finite(name, data, "Clean the coefficient.", points, place)
        if low < 0 or (positive and low == 0):
            need, wall = "positive" if positive else ">= 0", ""
            if low == 0 and data.ndim:
                wall = f' Where nothing flows leave unknowns out, mask={name} > 0 and mask_bc="neumann", or give Faces.'
            raise ValueError(f"`{name}` must be {need} everywhere; its smallest value is {low:.6g}.{wall}")
        if h is not None and not (RANGE[0] * h**2 <= low and high <= RANGE[1] * h**2):
            raise ValueError(
                f"`{name}` must leave {name} / h^2 between {RANGE[0]:g} and {RANGE[1]:g}; h is {h:.3g}, and the values "
                f"lie between {low:.3g} and {high:.3g}. Use other units."
            )

    return looked_at(value, look)


def at_unknowns(name: str, value: Any, grid: Grid, kind: Kind, mask: Tensor | None = None) -> Tensor:
    """A number, array or callable >= 0 at the unknowns: (*batch, *grid) or broadcastable to it.

    What lies outside of a mask is not looked at, and 0.
    """
    points = [axis.x for axis in grid.axes] if callable(value) else None
    value = ours(value) if isinstance(value, Tensor) else value  # later changes do not reach the operator
    v = _beside_mask(name, at_points(name, value, grid, kind), grid, mask)
    return check(name, _inside(v, mask, 0.0), positive=False, points=points, place=grid.place)


def at_points(name: str, value: Any, grid: Grid, kind: Kind) -> Tensor:
    """The same of any values, unchecked."""
    if callable(value):
        return kind.evaluate(name, value, [axis.x for axis in grid.axes])
    return array(name, value, grid, kind)


def on_faces(
    name: str,
    value: Any,
    grid: Grid,
    d: int,
    kind: Kind,
    mask: Tensor | None = None,
    held: bool = True,
    all_ends: bool = False,
) -> Tensor:
    """A positive number, array or callable on the n_d + 1 faces of axis d.

    A callable is evaluated there; an array gives a face the harmonic mean of its two neighbours,
    and an end face the nearest unknown's value. What lies outside of a mask is not looked at: a
    face of the cut takes its inside neighbour's value, unless a callable has a usable one there.
    Faces that no equation uses get the mean of the others.

    held : whether the cut fixes u, so that equations use its faces;   all_ends : whether they use those of all ends
    """
    axis, dim = grid.axes[d], d - grid.ndim
    if callable(value):
        points = [axis.faces if e == d else axis.x for e, axis in enumerate(grid.axes)]
        a = kind.evaluate(name, value, points)
        if mask is not None and held:
            left, right = beside(mask, axis, dim)
            below, above = beside(_inside(kind.evaluate(name, value, [e.x for e in grid.axes]), mask, 1.0), axis, dim)
            a = torch.where((left ^ right) & ~_usable(a, axis), torch.where(left, below, above), a)
        a = _filled(a, axis, _used(grid, d, kind, mask, held, all_ends))
        return check(name, a, positive=True, points=points)
    a = _beside_mask(name, array(name, value, grid, kind), grid, mask)
    a = check(name, _inside(a, mask, 1.0), positive=True, place=grid.place)
    if a.ndim == 0:
        ones = [grid.axes[e].n + 1 if e == d else 1 for e in range(grid.ndim)]
        return a.expand(ones)
    a = harmonic(a, axis, dim, mask)
    return a if mask is None else _filled(a, axis, _used(grid, d, kind, mask, held, all_ends))


def plain_array(value: Any, grid: Grid, kind: Kind, on: int | None = None) -> np.ndarray | None:
    """A number, an array of plain numbers at the unknowns, or what a callable makes of the faces of axis ``on``.

    (*batch, *grid), of one number along an axis where nothing changes; not a copy. None for all else.
    """
    shape: tuple[int, ...] = grid.shape
    dtype: Any = NUMPY[kind.dtype]
    if callable(value) and on is not None:
        value = kind.called(value, [axis.faces if d == on else axis.x for d, axis in enumerate(grid.axes)])
        shape = tuple(n + (d == on) for d, n in enumerate(shape))
    if is_number(value):
        return np.array(value, dtype, ndmin=grid.ndim)
    if isinstance(value, Tensor) and value.device.type == "cpu" and value.layout == torch.strided and plain(value):
        value = None if value.is_nested or value.is_neg() or value.dtype != kind.dtype else numbers(value)
    if type(value) is not np.ndarray or value.dtype != dtype or not value.flags.aligned:
        return None
    return value if value.shape[value.ndim - grid.ndim :] == shape else None


def plain_conductance(value: Any, grid: Grid, d: int, kind: Kind) -> Tensor | None:
    """k on the faces of axis d of a number, or of an array or a callable of plain numbers, in one pass.

    None for all else, and where something is to be said about them: ``on_faces`` and ``conductances.conductance``
    then do it, or say it.
    """
    axis = grid.axes[d]
    if kind.device.type != "cpu" or not (axis.uniform and grid.cartesian and axis.has_numbers):
        return None
    a = plain_array(value, grid, kind, d)
    if a is None:
        return None
    if a.size == 1:
        a = a.repeat(axis.n, d)
    return conductance(a, axis, d - grid.ndim, RANGE[0] * axis.h**2, RANGE[1] * axis.h**2)


def array_betas(a: Tensor | np.ndarray, axis: Axis, dim: int) -> tuple[Tensor, Tensor]:
    """The weights of the data on the ends of axis d of the same array."""
    a, n = torch.as_tensor(a, device="cpu"), axis.n
    low, high = (a.narrow(dim, at, 1).clone() for at in (0, n - 1))
    return end_coupling(axis, 0, low)[1], end_coupling(axis, 1, high)[1]


def _beside_mask(name: str, v: Tensor, grid: Grid, mask: Tensor | None) -> Tensor:
    """v, whose batch axes go with the mask's."""
    batches(grid.ndim, name, v, "the `mask`", () if mask is None else [mask])
    return v


def _inside(v: Tensor, mask: Tensor | None, outside: float) -> Tensor:
    """v with another value outside of the mask; a number stays one."""
    return v if mask is None or v.ndim == 0 else torch.where(mask, v, outside)


def _used(grid: Grid, d: int, kind: Kind, mask: Tensor | None, held: bool, all_ends: bool) -> Tensor:
    """(*grid with n_d + 1) the faces of axis d whose a some equation has in it."""
    axis, dim = grid.axes[d], d - grid.ndim
    inside = torch.ones(grid.shape, dtype=torch.bool, device=kind.device) if mask is None else mask
    left, right = beside(values(inside), axis, dim)
    used = left | right if held else left & right
    if axis.periodic:
        return used & (axis.n > 1)
    for end, at in ((axis.low, 0), (axis.high, axis.n)):
        through = isinstance(end, Robin) and end.holds and axis.centering == "cell"
        if not (all_ends or end == DIRICHLET or through):
            used.narrow(dim, at, 1).fill_(False)
    return used


def _usable(a: Tensor, axis: Axis) -> Tensor:
    """Where a is finite and positive, and a / h^2 in the levels' range."""
    return (a >= RANGE[0] * axis.h**2) & (a <= RANGE[1] * axis.h**2) & (a > 0)


def _filled(a: Tensor, axis: Axis, used: Tensor) -> Tensor:
    """a with the mean of the usable ones on the faces that are not used: they enter nothing, but should be harmless."""
    good = used & _usable(values(a), axis)
    count, total = good.sum(), torch.where(good, values(a), 0.0).sum()
    return torch.where(used, a, torch.where(count > 0, total / count, axis.h**2))


def harmonic(a: Tensor, axis: Axis, dim: int, mask: Tensor | None = None) -> Tensor:
    """Of the values on both sides of each face; one outside of the mask is as the other."""
    left, right = beside(a, axis, dim)
    if mask is not None:
        first, second = beside(mask, axis, dim)
        left, right = torch.where(first, left, right), torch.where(second, right, left)
    return _HarmonicMean.apply(left, right)


class _HarmonicMean(torch.autograd.Function):
    """m = 2 l r / (l + r), whose derivatives are (m / l)^2 / 2 and (m / r)^2 / 2: a graph of one node."""

    @staticmethod
    def forward(left: Tensor, right: Tensor) -> Tensor:
        return left * (2 * right / (left + right))  # no product of two values, which might overflow

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        ctx.save_for_backward(*inputs, output)
        ctx.save_for_forward(*inputs, output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        left, right, mean = ctx.saved_tensors
        half = gradients[0] / 2
        return tuple(half * (mean / side) ** 2 for side in (left, right))

    @staticmethod
    @nested
    def jvp(ctx: Any, saved: Any, *tangents: Tensor) -> Tensor:
        left, right, mean = saved
        return ((mean / left) ** 2 * tangents[0] + (mean / right) ** 2 * tangents[1]) / 2

    @staticmethod
    def vmap(info: Any, in_dims: Any, *sides: Tensor) -> Any:
        return _HarmonicMean.apply(*(v.movedim(dim, 0) for v, dim in zip(sides, in_dims, strict=True))), 0


def array(name: str, value: Any, grid: Grid, kind: Kind) -> Tensor:
    """A number, or an array at the unknowns, as a tensor."""
    if not (is_number(value) or isinstance(value, (Tensor, np.ndarray))):
        came = f"{type(value).__name__}.{unlabelled(value)}"
        raise TypeError(f"`{name}` must be a number, an array or a callable; it is {came}")
    if is_number(value):
        return kind.tensor(value)
    array = real(name, value)
    array = array.clone() if isinstance(value, np.ndarray) else array  # ours: later changes do not reach the operator
    if array.ndim and tuple(array.shape[-grid.ndim :]) != grid.shape:
        raise ValueError(
            f"`{name}` must have the grid's shape {grid.shape} as its last axes; it has {tuple(array.shape)}."
        )
    return kind.tensor(array)


def in_words(v: Any) -> str:
    """A coefficient, for a repr."""
    if isinstance(v, tuple):
        return f"({', '.join(map(in_words, v))})"
    if is_number(v):
        return f"{float(v):g}"
    if isinstance(v, (np.ndarray, Tensor)):
        return f"array {tuple(v.shape)}"
    return getattr(v, "__name__", type(v).__name__)
