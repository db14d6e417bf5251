"""Where a user may place a grid: its shape, its box, or the positions of its faces or nodes, looked at."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
from torch import Tensor

from mgnet.pde.problem.checks import asks, dense

EPS = float(np.finfo(float).eps)


def shape_of(shape: Any) -> tuple[int, ...]:
    """Unknowns per axis."""
    shape = (int(shape),) if isinstance(shape, (int, np.integer)) else shape
    if not isinstance(shape, Sequence) or not all(
        isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in shape
    ):
        raise TypeError(f"`shape` must be a tuple of integers; it is {shape!r:.80}.")
    if not 1 <= len(shape) <= 3:
        raise ValueError(f"`shape` must have one to three axes; it has {len(shape)}.")
    if min(shape) < 1:
        raise ValueError(f"`shape` must be positive along each axis; it is {tuple(shape)}.")
    return tuple(int(n) for n in shape)


def box_of(lower: Any, upper: Any, shape: Sequence[int]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The ends of each axis."""
    lowers, uppers = (_per_axis(name, v, len(shape)) for name, v in (("lower", lower), ("upper", upper)))
    for d, (n, lo, hi) in enumerate(zip(shape, lowers, uppers, strict=True)):
        if not lo < hi:
            raise ValueError(f"`lower` must be below `upper` on every axis; on axis {d} they are {lo} and {hi}.")
        if not 1e-100 < (hi - lo) / n < 1e100:
            raise ValueError(
                f"`lower` and `upper` must lie 1e-100 to 1e100 per unknown apart, for 1 / h^2 to exist; "
                f"on axis {d} they are {lo} and {hi}. Use other units."
            )
        if (hi - lo) / n < 16 * EPS * max(abs(lo), abs(hi)):
            raise ValueError(
                f"`lower` and `upper` must leave room for unknowns that rounding keeps apart; on axis {d} they are "
                f"{lo} and {hi}. Count from nearer by."
            )
    return lowers, uppers


def _per_axis(name: str, value: Any, ndim: int) -> tuple[float, ...]:
    numbers = (float(value),) * ndim if type(value) in (int, float) else _numbers(name, value, ndim)
    if not all(map(isfinite, numbers)):
        raise ValueError(f"`{name}` must be finite; it is {value!r:.80}.")
    return numbers


def _numbers(name: str, value: Any, ndim: int) -> tuple[float, ...]:
    """Of what is no plain number, or of one for each axis."""
    several = isinstance(value, Sequence) or (isinstance(value, (np.ndarray, Tensor)) and value.ndim > 0)
    values = list(value) if several and not isinstance(value, str) else [value] * ndim
    if any(isinstance(v, (str, bool)) for v in values):
        raise TypeError(f"`{name}` must be a number or one per axis; it is {value!r:.80}.")
    if any(isinstance(v, Tensor) and asks(v) for v in values):
        raise TypeError(f"`{name}` asks for a gradient, and positions have none. Detach it.")
    if len(values) != ndim:
        raise ValueError(f"`{name}` must be a number or one per axis ({ndim}); it has {len(values)}.")
    try:
        return tuple(float(v) for v in values)
    except (TypeError, ValueError):
        raise TypeError(f"`{name}` must be a number or one per axis; it is {value!r:.80}.") from None


def positions_of(name: str, points: Any) -> list[np.ndarray]:
    """Per axis a vector of increasing numbers."""
    several = isinstance(points, (Sequence, np.ndarray, Tensor)) and not isinstance(points, str)
    if not several or not len(points):
        raise TypeError(f"`{name}` must be a sequence with one vector of increasing numbers per axis.")
    if len(points) > 3:
        hint = " In 1-D that is [x], not x." if np.ndim(points[0]) == 0 else ""
        raise ValueError(f"`{name}` must have one to three axes; it has {len(points)}.{hint}")
    return [_increasing(name, d, x) for d, x in enumerate(points)]


def _increasing(name: str, d: int, x: Any) -> np.ndarray:
    """One axis's vector, in float64."""
    what = f"`{name}` of axis {d}"
    if isinstance(x, Tensor) and asks(x):
        raise TypeError(f"{what} asks for a gradient, and positions have none. Detach it.")
    if isinstance(x, np.ma.MaskedArray):
        dense(name, x)
    try:
        vector = np.asarray(x.detach().cpu() if isinstance(x, Tensor) else x)
        real = vector.dtype.kind in "fiu" and vector.ndim == 1
    except ValueError:  # ragged
        real = False
    if not real:
        raise TypeError(f"{what} must be a vector of real numbers; it is {x!r:.60}.")
    vector = vector.astype(float)
    if not np.isfinite(vector).all():
        raise ValueError(f"{what} must be finite; number {np.argmin(np.isfinite(vector))} is not.")
    if len(vector) < 2:
        raise ValueError(f"{what} must hold at least two numbers; it holds {len(vector)}.")
    widths = np.diff(vector)
    if not (widths > 0).all():
        i = int(np.argmin(widths > 0))
        raise ValueError(f"{what} must increase; number {i} is {vector[i]:g} and the next one {vector[i + 1]:g}.")
    if not (widths.min() > 1e-100 and widths.max() < 1e100):
        raise ValueError(
            f"{what} must lie 1e-100 to 1e100 apart, for 1 / h^2 to exist; their distances go from "
            f"{widths.min():.3g} to {widths.max():.3g}. Use other units."
        )
    return vector
