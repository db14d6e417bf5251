"""xarray in, xarray out: the box from the coordinates, and the solution with them.

The door that is decorated takes a DataArray as f beside arrays and tensors. Its last dimensions are the grid's; where
neither `grid`, `lower` nor `upper` is given, evenly spaced coordinates say where the unknowns lie, and with the ends
they make the box. Other DataArrays (a, c, guess, mask, ...) are brought to the order of f's dimensions, batches by
their names. The solver's axes rise: what lies on coordinates that do not is put in order, and back.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from mgnet.pde.problem import checks
from mgnet.pde.problem.ends import Robin
from mgnet.pde.problem.faces import Faces
from mgnet.pde.problem.grid import Grid
from mgnet.pde.solution import NotConverged, Solution

Door = TypeVar("Door", bound=Callable[..., Any])
EVEN = 1e-4  # of a step, which coordinates in float32 keep on thousands of points
LAID = ("a", "c", "velocity", "mask", "guess", "mask_boundary", "fixed")


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
    frame = Frame(f, len(checks.grid_shape(f.values, how.get("ndim"))))
    frame.check_alphas(how.get("bc"))
    how = how | {name: frame.laid(name, how[name]) for name in LAID if name in how}
    how |= {"boundary": frame.laid_ends(how.get("boundary"))}
    if frame.numbered and how.get("grid") is None and not {"lower", "upper"} & set(how):
        how |= _box(frame.rising, frame.dims, how)
    try:
        return frame.labelled(door(frame.rising.values, **(how | {"ndim": len(frame.dims)})))
    except NotConverged as error:
        raise NotConverged(frame.labelled(error.solution), error.tol, error.remedy) from None


class Frame:
    """The dimensions of f, and the order of its coordinates.

    rising : f with coordinates that rise
    dims, numbered, unlike : the grid's dimensions; those with coordinates; those whose coordinates do not rise
    new : dimensions of batches that others have and f does not, and their coordinates
    """

    def __init__(self, f: Any, ndim: int):
        self.f, self.dims, self.batch = f, f.dims[f.ndim - ndim :], f.dims[: f.ndim - ndim]
        self.numbered = [d for d in self.dims if d in f.coords]
        for d in self.numbered:
            _check(d, f[d])
        self.rising = f.sortby(self.numbered)
        self.unlike = [d for d in self.numbered if not np.array_equal(f[d], self.rising[d])]
        self.new: dict[Any, Any] = {}

    def laid(self, name: str, value: Any) -> Any:
        """What lies on the grid, also within tuples, in the order of ``rising``; plain arrays lie as f does."""
        if isinstance(value, tuple | list):
            return type(value)(self.laid(name, v) for v in value)
        if _is_labelled(value):
            return self._array(name, value, self.dims)
        if isinstance(value, Faces):
            self._refuse(name, value.values, self.dims)
        ndim = len(self.dims)
        if isinstance(value, np.ndarray | Tensor) and tuple(value.shape[-ndim:]) == self.f.shape[-ndim:]:
            for d in self.unlike:
                at: Any = (..., np.argsort(self.f[d].values), *[slice(None)] * (ndim - 1 - self.dims.index(d)))
                value = value[at]
        return value

    def laid_ends(self, boundary: Any) -> Any:
        """Data on the ends of each axis, of the dimensions of the others; a number or a callable serves all."""
        if not isinstance(boundary, tuple | list):
            return boundary
        entries = [boundary] if len(self.dims) == 1 and len(boundary) == 2 else boundary
        if len(entries) != len(self.dims):
            return boundary  # which the door refuses
        return [self._end(e, tuple(o for o in self.dims if o != d)) for e, d in zip(entries, self.dims, strict=True)]

    def _end(self, value: Any, others: tuple[Any, ...]) -> Any:
        """One axis' datum, or its pair of them."""
        if isinstance(value, tuple | list):
            return tuple(self._end(v, others) for v in value)
        if _is_labelled(value):
            return self._array("boundary", value, others)
        self._refuse("boundary", [value], others)
        return value

    def check_alphas(self, bc: Any) -> None:
        """Refuse those of which it is not known in which order they are."""
        for entry in bc if isinstance(bc, tuple | list) else [bc]:
            for end in entry if isinstance(entry, tuple | list) else [entry]:
                if isinstance(end, Robin):
                    self._refuse("alpha", [end.alpha], self.dims)

    def _refuse(self, name: str, values: Sequence[Any], dims: tuple[Any, ...]) -> None:
        """Plain arrays on ends and faces, where they would have to be put in order."""
        turned = [d for d in dims if d in self.unlike]
        if turned and any(isinstance(v, np.ndarray | Tensor) and v.ndim for v in values):
            raise ValueError(
                f"`{name}` must not be an array without coordinates where f's do not rise, as {turned[0]!r} does not. "
                f"Sort both: f.sortby({turned[0]!r})."
            )

    def _array(self, name: str, value: Any, dims: tuple[Any, ...]) -> Any:
        """(*new, *batch, *dims), or broadcastable to it, of a DataArray; along those it lacks it is the same."""
        lacks = [d for d in dims if d not in value.dims]
        if lacks and not set(value.dims) <= set(self.f.dims):
            raise ValueError(
                f"`{name}` must have f's dimensions {', '.join(map(str, dims))}, or some of them; it has {value.dims}. "
                f"Rename them."
            )
        others = [d for d in value.dims if d not in dims]
        for d in others:
            if d in self.dims:
                raise ValueError(f"`{name}` on an end of {d!r} must not have that dimension; it has {value.dims}.")
            if d not in self.batch:
                self.new.setdefault(d, value[d] if d in value.coords else None)
        for d in (d for d in (*dims, *self.batch) if d in value.dims):
            value = self._along(name, value, d)
        value = value.expand_dims({d: self.f.sizes[d] for d in lacks}) if lacks else value
        leading = [d for d in (*self.new, *self.batch) if d in others]
        value = value.transpose(*leading, *dims)
        missing = [d for d in (*self.new, *self.batch) if d not in others]
        return value.expand_dims(missing).transpose(*self.new, *self.batch, *dims).values if leading else value.values

    def _along(self, name: str, value: Any, d: Any) -> Any:
        """A DataArray in the order of ``rising`` along a dimension."""
        if d not in self.f.coords or (d in value.coords and np.array_equal(value[d].values, self.rising[d].values)):
            return value
        if d not in value.coords:
            return value.isel({d: np.argsort(self.f[d].values)}) if d in self.unlike else value
        ordered, wanted = value.sortby(d), self.rising.sortby(d)[d].values
        if not np.array_equal(ordered[d].values, wanted):
            raise ValueError(f"`{name}` must lie where f does; its coordinate {d!r} is another. Interpolate it first.")
        return ordered.sel({d: self.rising[d].values})

    def labelled(self, solution: Solution) -> Solution:
        """The solution with f's dimensions and coordinates, and those of the batches of others."""
        f, u = self.rising, solution.u
        more = u.ndim - f.ndim - len(self.new)  # of plain arrays' batches
        dims = [*(f"member_{k}" for k in range(more)), *self.new, *f.dims]
        sizes = dict(zip(dims, u.shape, strict=True))
        fitting = f.drop_vars([n for n, x in f.coords.items() if any(sizes[d] != f.sizes[d] for d in x.dims)])
        coords = {**fitting.coords, **{d: x for d, x in self.new.items() if x is not None}}
        u = type(f)(u, coords, dims, name="u")
        return replace(solution, u=u.reindex({d: self.f[d] for d in self.numbered}))


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
