"""Coordinates: how lengths, areas and volumes change along the axes of polar, cylindrical and spherical grids.

In orthogonal coordinates whose lengths are products of functions of one coordinate each, -div(a grad u) is, times the
volume of a cell,

    -sum_d  d/dx_d [ a rho_d(x_d) prod_{e != d} rho_e / H_e^2  du/dx_d ],      H_e only where axis e lengthens axis d:

rho_e is what axis e contributes to a volume, and H_e(x_e) the length of axis d per unit of x_d. Areas, volumes and
lengths are therefore vectors on the axes, and the operator a sum of products of one-dimensional ones.

========================  ===============  ============================================
axis                      rho              H, lengthens
========================  ===============  ============================================
r of polar, cylindrical   r                r: theta
r of axisymmetric         r                (the angle, of which nothing depends)
r of spherical            r^2              r: theta, phi
theta of spherical        sin theta        sin theta: phi
lat of sphere             cos lat          cos lat: lon
any other                 1                1
========================  ===============  ============================================
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import pi
from typing import Literal

import numpy as np

Vector = np.ndarray


@dataclass(frozen=True)
class Measure:
    """Of one axis.

    Parameters
    ----------
    density : x -> rho
    volume : (low, high) -> the integral of rho, in which nothing cancels
    length : x -> H
    lowest, highest : where the axis ends; there rho is 0
    lengthens : the axes of the grid whose lengths are proportional to H
    """

    density: Callable[[Vector], Vector]
    volume: Callable[[Vector, Vector], Vector]
    length: Callable[[Vector], Vector]
    lowest: float
    highest: float = np.inf
    lengthens: tuple[int, ...] = ()


def _r(r: Vector) -> Vector:
    return r


def _r2(r: Vector) -> Vector:
    return r**2


def _cylinder(low: Vector, high: Vector) -> Vector:
    return (high - low) * (high + low) / 2


def _ball(low: Vector, high: Vector) -> Vector:
    return (high - low) * (low**2 + low * high + high**2) / 3


def _sine(theta: Vector) -> Vector:
    return np.where((theta <= 0) | (theta >= pi), 0.0, np.sin(theta))


def _cap(low: Vector, high: Vector) -> Vector:
    return 2 * np.sin((high + low) / 2) * np.sin((high - low) / 2)


def _cosine(lat: Vector) -> Vector:
    return _sine(lat + pi / 2)


def _zone(low: Vector, high: Vector) -> Vector:
    return 2 * np.cos((high + low) / 2) * np.sin((high - low) / 2)


RADIUS = Measure(_r, _cylinder, _r, 0.0)
BALL = Measure(_r2, _ball, _r, 0.0)
COLATITUDE = Measure(_sine, _cap, _sine, 0.0, pi)
LATITUDE = Measure(_cosine, _zone, _cosine, -pi / 2, pi / 2)

Geometry = Literal["cartesian", "polar", "axisymmetric", "cylindrical", "spherical", "sphere"]
GEOMETRIES: dict[str, tuple[tuple[str, ...], ...]] = {  # the coordinates of each number of axes
    "cartesian": (("x",), ("x", "y"), ("x", "y", "z")),
    "polar": (("r", "theta"),),
    "axisymmetric": (("r", "z"),),
    "cylindrical": (("r", "theta", "z"),),
    "spherical": (("r",), ("r", "theta"), ("r", "theta", "phi")),
    "sphere": (("lon", "lat"),),
}


def coordinates(geometry: str, ndim: int) -> tuple[str, ...]:
    """The names of the axes.

    Raises
    ------
    ValueError : if the geometry has another number of them
    """
    found = next((names for names in GEOMETRIES[geometry] if len(names) == ndim), None)
    if found is None:
        need = " or ".join(f"({', '.join(names)})" for names in GEOMETRIES[geometry])
        raise ValueError(f"`geometry` {geometry!r} has the axes {need}; there are {ndim}. Give the points of each.")
    return found


def measures(geometry: str, ndim: int) -> tuple[Measure | None, ...]:
    """Per axis, None where lengths are what they are."""
    if geometry in ("polar", "cylindrical"):
        first: Measure | None = replace(RADIUS, lengthens=(1,))
    elif geometry == "axisymmetric":
        first = RADIUS
    elif geometry == "spherical":
        second = () if ndim < 2 else (replace(COLATITUDE, lengthens=(2,) if ndim > 2 else ()),)
        return (replace(BALL, lengthens=tuple(range(1, ndim))), *second, *(None,) * (ndim - 2))
    elif geometry == "sphere":
        return None, replace(LATITUDE, lengthens=(0,))
    else:
        first = None
    return first, *(None,) * (ndim - 1)


def angles(names: Sequence[str]) -> list[int]:
    """The axes that go around, by no more than 2 pi."""
    return [d for d, name in enumerate(names) if name in ("phi", "lon") or (name == "theta" and "phi" not in names)]
