"""A structured grid: the product of its axes."""

from collections.abc import Sequence
from functools import cached_property
from math import isfinite, prod
from typing import Any

import numpy as np
from torch import Tensor

from mgnet.pde.problem.axis import DIRICHLET, NEUMANN, PERIODIC, Axis, Robin
from mgnet.pde.problem.checks import meant, word

BoundaryType = str | Robin
_WORDS = (DIRICHLET, NEUMANN, PERIODIC)


class Grid:
    """Where the unknowns of a box lie.

    Unknowns of a node-centred axis of n points on [lower, upper], L = upper - lower:

    ===================  ==================  ===========  =========================
    low, high            unknowns            h            x_i
    ===================  ==================  ===========  =========================
    dirichlet, dirichlet interior nodes      L / (n + 1)  lower + (i + 1) h
    neumann, neumann     both ends included  L / (n - 1)  lower + i h
    dirichlet, neumann   Neumann end incl.   L / n        lower + (i + 1) h
    neumann, dirichlet   Neumann end incl.   L / n        lower + i h
    periodic             one end included    L / n        lower + i h
    ===================  ==================  ===========  =========================

    Robin ends count as Neumann ends. Cell-centred: h = L / n, x_i = lower + (i + 1/2) h.

    Parameters
    ----------
    shape : unknowns per axis, one to three axes
    bc : "dirichlet", "neumann", "periodic" or ``Robin(alpha)``; or a sequence with one entry per
        axis; an entry may be a (low, high) pair
    lower, upper : a number, or one per axis
    centering : "node" or "cell"

    Raises
    ------
    ValueError, TypeError : naming the argument, what it must be and what came

    Example
    -------
    >>> grid = Grid((3, 4), bc=["dirichlet", "periodic"])
    >>> grid.spacing
    (0.25, 0.25)
    >>> x, y = grid.coordinates()
    >>> x[:, 0].tolist()
    [0.25, 0.5, 0.75]
    """

    def __init__(
        self,
        shape: Sequence[int],
        bc: Any = DIRICHLET,
        lower: float | Sequence[float] = 0.0,
        upper: float | Sequence[float] = 1.0,
        centering: str = "node",
    ):
        sizes = _shape(shape)
        word("centering", centering, ("node", "cell"))
        pairs = _pairs(bc, len(sizes))
        lowers, uppers = (_per_axis(name, v, len(sizes)) for name, v in (("lower", lower), ("upper", upper)))
        for d, (lo, hi) in enumerate(zip(lowers, uppers, strict=True)):
            if not lo < hi:
                raise ValueError(f"`lower` must be below `upper` on every axis; on axis {d} they are {lo} and {hi}.")
            if not 1e-100 < (hi - lo) / sizes[d] < 1e100:
                raise ValueError(
                    f"`lower` and `upper` must lie 1e-100 to 1e100 per unknown apart, for 1 / h^2 to exist; "
                    f"on axis {d} they are {lo} and {hi}. Use other units."
                )
        self.axes = tuple(
            Axis(n, low, high, centering, lo, hi)
            for n, (low, high), lo, hi in zip(sizes, pairs, lowers, uppers, strict=True)
        )
        self.centering = centering
        for d, axis in enumerate(self.axes):
            if axis.intervals < 1:
                raise ValueError(
                    f"`shape` must have at least 2 points on a node-centred axis with both ends in the grid; "
                    f"axis {d} has {axis.n}."
                )

    @classmethod
    def of(cls, axes: Sequence[Axis]) -> "Grid":
        """The product of given axes."""
        grid = cls.__new__(cls)
        grid.axes, grid.centering = tuple(axes), axes[0].centering
        return grid

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(axis.n for axis in self.axes)

    @property
    def ndim(self) -> int:
        return len(self.axes)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def spacing(self) -> tuple[float, ...]:
        return tuple(axis.h for axis in self.axes)

    @property
    def bc(self) -> tuple[tuple[BoundaryType, BoundaryType], ...]:
        """One (low, high) pair per axis."""
        return tuple((axis.low, axis.high) for axis in self.axes)

    @cached_property
    def closed(self) -> bool:
        """Whether no end fixes the level of u: all ends Neumann or periodic."""
        return all(end in (NEUMANN, PERIODIC) or end == Robin(0) for pair in self.bc for end in pair)

    def coordinates(self) -> tuple[np.ndarray, ...]:
        """A mesh of the grid's shape per axis (float64, indexing "ij").

        Example
        -------
        >>> Grid((4,), centering="cell").coordinates()[0].tolist()
        [0.125, 0.375, 0.625, 0.875]
        """
        return tuple(np.meshgrid(*(axis.x for axis in self.axes), indexing="ij"))

    def __repr__(self) -> str:
        bc = ", ".join(str(low) if low == high else f"({low}, {high})" for low, high in self.bc)
        return f"Grid({self.shape}, bc=[{bc}], {self.centering}-centred)"


def _shape(shape: Any) -> tuple[int, ...]:
    shape = (int(shape),) if isinstance(shape, (int, np.integer)) else shape
    if not isinstance(shape, Sequence) or not all(
        isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in shape
    ):
        raise TypeError(f"`shape` must be a tuple of integers; it is {shape!r}.")
    if not 1 <= len(shape) <= 3:
        raise ValueError(f"`shape` must have one to three axes; it has {len(shape)}.")
    if min(shape) < 1:
        raise ValueError(f"`shape` must be positive along each axis; it is {tuple(shape)}.")
    return tuple(int(n) for n in shape)


def _pairs(bc: Any, ndim: int) -> list[tuple[BoundaryType, BoundaryType]]:
    bc = bc.tolist() if isinstance(bc, np.ndarray) else bc
    entries = [bc] * ndim if isinstance(bc, (str, Robin)) else bc
    if not isinstance(entries, (list, tuple)):
        raise TypeError(f"`bc` must be a word, Robin(alpha) or a sequence with one entry per axis; it is {bc!r}.")
    if len(entries) != ndim:
        hint = ' In 1-D a mixed axis is [("dirichlet", "neumann")].' if ndim == 1 else ""
        raise ValueError(
            f"`bc` must have one entry per axis ({ndim}), each a word or a (low, high) pair; "
            f"it has {len(entries)}: {bc!r}.{hint}"
        )
    return [_pair(entry, d) for d, entry in enumerate(entries)]


def _pair(entry: Any, d: int) -> tuple[BoundaryType, BoundaryType]:
    entry = entry.tolist() if isinstance(entry, np.ndarray) else entry
    pair = (entry, entry) if isinstance(entry, (str, Robin)) else entry
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        raise TypeError(f"`bc` of axis {d} must be a word, Robin(alpha) or a (low, high) pair; it is {entry!r}.")
    for end in pair:
        if not isinstance(end, (Robin, str)):
            raise TypeError(
                f"`bc` of axis {d} must be a word, Robin(alpha) or a (low, high) pair of these; "
                f"it has a {type(end).__name__}."
            )
        if end not in _WORDS and not isinstance(end, Robin):
            raise ValueError(
                f'`bc` must be "dirichlet", "neumann", "periodic" or Robin(alpha); axis {d} has {end!r}.'
                f"{meant(end, _WORDS)}"
            )
    if (pair[0] == PERIODIC) != (pair[1] == PERIODIC):
        raise ValueError(f"`bc` of axis {d} must be periodic at both ends or at neither; it is {tuple(pair)!r}.")
    return pair[0], pair[1]


def _per_axis(name: str, value: Any, ndim: int) -> tuple[float, ...]:
    several = isinstance(value, Sequence) or (isinstance(value, (np.ndarray, Tensor)) and value.ndim > 0)
    values = list(value) if several and not isinstance(value, str) else [value] * ndim
    if any(isinstance(v, (str, bool)) for v in values):
        raise TypeError(f"`{name}` must be a number or one per axis; it is {value!r}.")
    if len(values) != ndim:
        raise ValueError(f"`{name}` must be a number or one per axis ({ndim}); it has {len(values)}.")
    try:
        numbers = tuple(float(v) for v in values)
    except (TypeError, ValueError):
        raise TypeError(f"`{name}` must be a number or one per axis; it is {value!r}.") from None
    if not all(map(isfinite, numbers)):
        raise ValueError(f"`{name}` must be finite; it is {value!r}.")
    return numbers
