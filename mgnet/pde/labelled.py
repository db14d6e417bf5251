"""xarray in, xarray out: the box from the coordinates, and the solution with them.

The door that is decorated takes a DataArray as f beside arrays and tensors. Its last dimensions are the grid's; where
neither `grid`, `lower` nor `upper` is given, evenly spaced coordinates say where the unknowns lie, and with the ends
they make the box. Other DataArrays (a, c, guess, mask, ...) are brought to the order of f's dimensions.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from mgnet.pde.problem import checks
from mgnet.pde.problem.grid import Grid

Door = TypeVar("Door", bound=Callable[..., Any])
EVEN = 1e-4  # of a step, which coordinates in float32 keep on thousands of points
LAID = ("a", "c", "mask", "guess", "boundary", "mask_boundary", "fixed")


def labelled(door: Door) -> Door:
    """A door of (f, **how) -> Solution that takes a DataArray, too."""

    @wraps(door)
    def wider(f: Any, **how: Any) -> Any:
        return _solve(door, f, how) if _is_labelled(f) else door(f, **how)

    return wider  # type: ignore[return-value]


def _is_labelled(value: Any) -> bool:
    """A DataArray; nobody has one who has not imported xarray."""
    xarray = sys.modules.get("xarray")
    return xarray is not None and isinstance(value, xarray.DataArray)


def _solve(door: Callable[..., Any], f: Any, how: dict[str, Any]) -> Any:
    dims = f.dims[f.ndim - len(checks.grid_shape(f.values, how.get("ndim"))) :]
    numbered = [d for d in dims if d in f.coords]
    for d in numbered:
        _check(d, f[d])
    rising = f.sortby(numbered)
    how = {name: _laid(name, value, rising, dims) if name in LAID else value for name, value in how.items()}
    if numbered and how.get("grid") is None and not {"lower", "upper"} & set(how):
        how |= _box(rising, dims, how)
    solution = door(rising.values, **(how | {"ndim": len(dims)}))
    extra = [f"member_{k}" for k in range(solution.u.ndim - f.ndim)]  # of coefficients' batches
    new = f.isel(dict.fromkeys(f.dims[: f.ndim - len(dims)], 0), drop=True) if extra else rising
    u = type(f)(solution.u, new.coords, [*extra, *rising.dims], name="u")
    return replace(solution, u=u.reindex({d: f[d] for d in numbered}))


def _check(name: Any, x: Any) -> None:
    """That a coordinate is of different numbers."""
    if x.dtype.kind not in "iuf" or x.ndim != 1 or len(np.unique(x.values)) != x.size:
        raise ValueError(
            f"`f`'s coordinate {name!r} must be numbers that differ; it is {x.dtype} of shape {x.shape}. Take "
            f"f.drop_vars({name!r}), and say `lower` and `upper`."
        )


def _box(f: Any, dims: tuple[Any, ...], how: dict[str, Any]) -> dict[str, list[float]]:
    """lower and upper, such that the unknowns of these ends lie at the coordinates; 0 and 1 where there are none."""
    shape = f.shape[f.ndim - len(dims) :]
    unit = Grid(shape, bc=how.get("bc", "dirichlet"), centering=how.get("centering", "node"))
    lower, upper = [], []
    for d, axis in zip(dims, unit.axes, strict=True):
        x, t = f[d].values.astype(float) if d in f.coords else axis.x, axis.x
        if len(x) < 2:
            raise ValueError(f"`f`'s coordinate {d!r} is one number, which makes no box. Give `lower` and `upper`.")
        length = (x[-1] - x[0]) / (t[-1] - t[0])
        lower.append(x[0] - length * t[0])
        upper.append(lower[-1] + length)
        if np.abs(lower[-1] + length * t - x).max() > EVEN * np.diff(x).mean():
            raise ValueError(
                f"`f`'s coordinate {d!r} must be evenly spaced; its steps are from {np.diff(x).min():g} to "
                f"{np.diff(x).max():g}. Give `grid`, made by Grid.from_nodes or Grid.from_faces."
            )
    return {"lower": lower, "upper": upper}


def _laid(name: str, value: Any, f: Any, dims: tuple[Any, ...]) -> Any:
    """A DataArray, also within tuples, as an array in the order of f's dimensions and coordinates."""
    if isinstance(value, tuple | list):
        return type(value)(_laid(name, v, f, dims) for v in value)
    if not _is_labelled(value):
        return value
    others = [d for d in value.dims if d not in dims]
    if set(value.dims) & set(dims) != set(dims):
        raise ValueError(f"`{name}` must have f's dimensions {', '.join(map(str, dims))}; it has {value.dims}.")
    numbered = [d for d in dims if d in f.coords and d in value.coords]
    ordered = value.transpose(*others, *dims).sortby(numbered)
    for d in numbered:
        if not np.array_equal(ordered[d].values, f[d].values):
            raise ValueError(f"`{name}` must lie where f does; its coordinate {d!r} is another. Interpolate it first.")
    return ordered.values
