"""A structured grid: the product of its axes."""

from collections.abc import Sequence
from functools import cached_property, lru_cache
from math import prod
from typing import Any, Literal

import numpy as np

from mgnet.pde.problem.axis import DIRICHLET, NEUMANN, PERIODIC, Axis, Robin
from mgnet.pde.problem.checks import HERE, word
from mgnet.pde.problem.ends import BoundaryType, Ends, pairs_of
from mgnet.pde.problem.geometry import GEOMETRIES, Geometry, Measure, angles, coordinates, measures
from mgnet.pde.problem.positions import box_of, positions_of, shape_of

ROUNDOFF = 8  # times eps, of the largest coordinate: mesh widths that differ by less are equal
FULL_TURN = 2 * np.pi * (1 + 1e-12)


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
    Other positions, and other coordinates: ``Grid.from_faces``, ``Grid.from_nodes``.

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

    place = HERE  # in a larger grid

    def __init__(
        self,
        shape: Sequence[int],
        bc: Ends = "dirichlet",
        lower: float | Sequence[float] = 0.0,
        upper: float | Sequence[float] = 1.0,
        centering: Literal["node", "cell"] = "node",
    ):
        sizes = shape_of(shape)
        word("centering", centering, ("node", "cell"))
        pairs = pairs_of(bc, len(sizes))
        lowers, uppers = box_of(lower, upper, sizes)
        self.axes = tuple(
            _axis(n, low, high, centering, lo, hi)
            for n, (low, high), lo, hi in zip(sizes, pairs, lowers, uppers, strict=True)
        )
        self.centering: str = centering
        self.geometry: str = "cartesian"
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
        grid.axes, grid.centering, grid.geometry = tuple(axes), axes[0].centering, "cartesian"
        return grid

    @classmethod
    def from_faces(cls, faces: Sequence[Any], bc: Ends = "dirichlet", geometry: Geometry = "cartesian") -> "Grid":
        """A cell-centred grid of given faces: unknowns in the middle of cells.

        Parameters
        ----------
        faces : per axis n + 1 increasing numbers
        bc : as for ``Grid``; "neumann" at r = 0 and at the poles, where faces have no area
        geometry : "cartesian", "polar" (r, theta), "axisymmetric" (r, z), "cylindrical" (r, theta, z), "spherical"
            (r | r, theta | r, theta, phi; theta from the pole) or "sphere" (lon, lat); angles in radians

        Returns
        -------
        The grid

        Raises
        ------
        ValueError, TypeError : naming the argument, what it must be and what came

        Example
        -------
        >>> grid = Grid.from_faces([[0.0, 1.0, 3.0], np.linspace(0, 1, 5)])
        >>> grid.shape, grid.coordinates()[0][:, 0].tolist()
        ((2, 4), [0.5, 2.0])
        """
        return cls._placed("faces", faces, bc, geometry, "cell")

    @classmethod
    def from_nodes(cls, nodes: Sequence[Any], bc: Ends = "dirichlet", geometry: Geometry = "cartesian") -> "Grid":
        """A node-centred grid of given nodes; cells meet halfway between them.

        Parameters
        ----------
        nodes : per axis all nodes, increasing, both ends included (periodic: the last is the first again). Unknowns lie
            at all of them, but for Dirichlet ends (and the last one of a periodic axis)
        bc, geometry : as for ``from_faces``; no node lies at r = 0 or at a pole

        Returns
        -------
        The grid

        Raises
        ------
        ValueError, TypeError : naming the argument, what it must be and what came

        Example
        -------
        >>> Grid.from_nodes([[0.0, 1.0, 3.0, 4.0]]).coordinates()[0].tolist()
        [1.0, 3.0]
        """
        return cls._placed("nodes", nodes, bc, geometry, "node")

    @classmethod
    def _placed(cls, name: str, points: Any, bc: Any, geometry: str, centering: str) -> "Grid":
        positions = positions_of(name, points)
        word("geometry", geometry, tuple(GEOMETRIES))
        names = coordinates(geometry, len(positions))
        pairs = pairs_of(bc, len(positions))
        grid = cls.__new__(cls)
        grid.centering, grid.geometry = centering, geometry
        grid.axes = tuple(
            _placed_axis(f"`{name}` of axis {d} ({label})", x, pair, measure, centering)
            for d, (label, x, pair, measure) in enumerate(
                zip(names, positions, pairs, measures(geometry, len(names)), strict=True)
            )
        )
        for d in angles(names) if geometry != "cartesian" else ():
            if positions[d][-1] - positions[d][0] > FULL_TURN:
                raise ValueError(
                    f"`{name}` of axis {d} ({names[d]}) must not go around more than once, 2 pi; "
                    f"they go from {positions[d][0]:g} to {positions[d][-1]:g}. Give angles in radians."
                )
        return grid

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        return tuple(axis.n for axis in self.axes)

    @cached_property
    def ndim(self) -> int:
        return len(self.axes)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @cached_property
    def uniform(self) -> bool:
        """Whether all mesh widths of each axis, and all areas, are the same."""
        return all(axis.uniform for axis in self.axes)

    @cached_property
    def has_numbers(self) -> bool:
        """Whether the ends are words and numbers."""
        return all(axis.has_numbers for axis in self.axes)

    @cached_property
    def regular(self) -> bool:
        """Whether faces are alike and ends are words."""
        words = all(isinstance(end, str) for pair in self.bc for end in pair)
        return words and self.uniform and self.cartesian and min(self.shape) > 1

    @property
    def cartesian(self) -> bool:
        return self.geometry == "cartesian"

    @property
    def spacing(self) -> tuple[float, ...]:
        """Per axis the mesh width, or the mean of those."""
        return tuple(axis.h for axis in self.axes)

    @property
    def bc(self) -> tuple[tuple[BoundaryType, BoundaryType], ...]:
        """One (low, high) pair per axis."""
        return tuple((axis.low, axis.high) for axis in self.axes)

    @cached_property
    def closed(self) -> bool:
        """Whether no end fixes the level of u: all ends Neumann or periodic."""
        ends = [end for axis in self.axes for end in (axis.low, axis.high)]
        return not any(end.holds if isinstance(end, Robin) else end == DIRICHLET for end in ends)

    def coordinates(self) -> tuple[np.ndarray, ...]:
        """A mesh of the grid's shape per axis (float64, indexing "ij").

        Returns
        -------
        x, y, ... : each of the grid's shape

        Example
        -------
        >>> Grid((4,), centering="cell").coordinates()[0].tolist()
        [0.125, 0.375, 0.625, 0.875]
        """
        return tuple(np.meshgrid(*(axis.x for axis in self.axes), indexing="ij"))

    def __repr__(self) -> str:
        bc = ", ".join(str(low) if low == high else f"({low}, {high})" for low, high in self.bc)
        kinds = [f"{self.centering}-centred"] + [self.geometry] * (not self.cartesian)
        kinds += ["stretched"] * any(axis.stretched for axis in self.axes)
        return f"Grid({self.shape}, bc=[{bc}], {', '.join(kinds)})"


def _axis(n: int, low: str | Robin, high: str | Robin, *how: Any) -> Axis:
    """An axis; between ends that are words the one of before, with what is known of it."""
    return _kept(n, low, high, *how) if isinstance(low, str) and isinstance(high, str) else Axis(n, low, high, *how)


@lru_cache(maxsize=128)
def _kept(*how: Any) -> Axis:
    return Axis(*how)


def _placed_axis(
    what: str, x: np.ndarray, pair: tuple[BoundaryType, BoundaryType], measure: Measure | None, centering: str
) -> Axis:
    """The axis of given faces or nodes; a uniform one where they lie at equal distances."""
    low, high = pair
    n = len(x) - 1 if centering == "cell" or low == PERIODIC else len(x) - (low == DIRICHLET) - (high == DIRICHLET)
    if n < 1 or len(x) - 1 < 1:
        raise ValueError(f"{what} must leave an unknown beside the Dirichlet ends; there are {len(x)}.")
    if measure is not None:
        _check_measure(what, x, pair, measure, centering)
    equal = np.ptp(np.diff(x)) <= ROUNDOFF * np.finfo(float).eps * np.abs(x).max()
    points = None if equal and measure is None else tuple(x.tolist())
    return Axis(n, low, high, centering, float(x[0]), float(x[-1]), points, measure)


def _check_measure(
    what: str, x: np.ndarray, pair: tuple[BoundaryType, BoundaryType], measure: Measure, centering: str
) -> None:
    """Refuse what lies beyond r = 0 or a pole, or on it with another end than a natural one."""
    slack = 1e-12
    if x[0] < measure.lowest - slack or x[-1] > measure.highest + slack:
        raise ValueError(
            f"{what} must lie between {measure.lowest:.6g} and {measure.highest:.6g}; "
            f"they go from {x[0]:.6g} to {x[-1]:.6g}."
        )
    if pair[0] == PERIODIC:
        raise ValueError(f"`bc` must not be periodic there, but {what} are given such an end.")
    for end, at, where in ((pair[0], x[0], measure.lowest), (pair[1], x[-1], measure.highest)):
        if abs(at - where) > slack:
            continue
        if centering == "node":
            raise ValueError(f"{what} must not hold {where:.6g}, where cells have no volume. Use Grid.from_faces.")
        if end != NEUMANN:
            raise ValueError(
                f'`bc` must be "neumann" at {where:.6g}, where faces have no area; {what} end in {end!r}. '
                'Give that axis a pair of ends, as ("neumann", "dirichlet").'
            )
