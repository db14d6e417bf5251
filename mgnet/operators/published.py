"""The published Darcy recipe: values at cell centres, the equation at vertices, splines between them.

    a at s x s cell centres  -- cubic spline -->  a at s x s vertices, the boundary among them
    5-point differences at the inner vertices; a face has the arithmetic mean of a at the two vertices beside it
    u at the vertices (0 on the boundary)  -- cubic spline -->  u at the cell centres

A spline through values that jump overshoots, beyond the last centre by more than the values themselves: next to the
boundary some faces have a negative mean, which no diffusion coefficient has. They are part of the published numbers.

Source: Li et al. 2021, arXiv:2010.08895; the data script of the published code.
"""

import numpy as np


def _lines(s: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres and vertices of s cells on [0, 1]; as many vertices as centres, as published."""
    return (np.arange(s) + 0.5) / s, np.linspace(0, 1, s)


def _spline(v: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Not-a-knot cubic splines along both grid axes of (N, s, s)."""
    from scipy.interpolate import CubicSpline

    for axis in (1, 2):
        v = CubicSpline(old, v, axis=axis)(new)
    return v


def to_vertices(a: np.ndarray) -> np.ndarray:
    """(N, s, s) at cell centres -> (N, s, s) at vertices."""
    centres, vertices = _lines(a.shape[-1])
    return _spline(a, centres, vertices)


def to_centres(u: np.ndarray) -> np.ndarray:
    """(N, s - 2, s - 2) at inner vertices, zero on the boundary -> (N, s, s) at cell centres."""
    u = np.pad(u, ((0, 0), (1, 1), (1, 1)))
    centres, vertices = _lines(u.shape[-1])
    return _spline(u, vertices, centres)


def face_means(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """a on the faces between vertices, beside inner ones: (N, s - 1, s - 2), (N, s - 2, s - 1).

    Example
    -------
    >>> [v.tolist() for v in face_means(np.arange(9.0).reshape(1, 3, 3))]
    [[[[2.5], [5.5]]], [[[3.5, 4.5]]]]
    """
    first, second = a[:, :, 1:-1], a[:, 1:-1, :]
    return (first[:, 1:] + first[:, :-1]) / 2, (second[:, :, 1:] + second[:, :, :-1]) / 2


def residual(faces: tuple[np.ndarray, np.ndarray], u: np.ndarray, f: float) -> np.ndarray:
    """f + div(a grad u) at the inner vertices, with any faces.

    Parameters
    ----------
    u : (N, s - 2, s - 2)
    """
    h = 1 / (u.shape[-1] + 1)
    total = np.full_like(u, f)
    for axis, k in zip((1, 2), faces, strict=True):
        ends = [(0, 0)] * 3
        ends[axis] = (1, 1)
        flux = k * np.diff(np.pad(u, ends), axis=axis) / h
        total += np.diff(flux, axis=axis) / h
    return total
