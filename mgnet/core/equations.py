"""The three equations of multigrid, for any arrays and any operators.

On each grid live a feature u and a datum f, tied by A(u) = f. ``None`` stands for the zero
feature: A(0) = 0 is then never computed.

Source: Brandt 1977 (FAS); He & Xu 2019, arXiv:1901.10415 (MgNet).
"""

from collections.abc import Callable
from typing import Any

Array = Any
Operator = Callable[[Array], Array]


def residual(A: Operator, u: Array | None, f: Array) -> Array:
    """r = f - A(u)."""
    return f if u is None else f - A(u)


def relax(A: Operator, B: Operator, u: Array | None, f: Array) -> Array:
    """One smoothing step.

    u <- u + B(f - A(u))                                            (1)

    Parameters
    ----------
    A, B : feature -> data, data -> feature
    u, f : (N, c_u, *grid) or None for zero, (N, c_f, *grid); not modified

    Returns
    -------
    u : (N, c_u, *grid)

    Example
    -------
    >>> relax(lambda u: 2 * u, lambda r: r / 4, 1.0, 6.0)
    2.0
    """
    e = B(residual(A, u, f))
    return e if u is None else u + e


def two_step(omega: float, u: Array, before: Array | None) -> Array:
    """u <- omega u + (1 - omega) u^{i-2}, the semi-iterative form of (1); None stands for zero.

    The residual follows the same recursion when A is linear.

    Source: Golub & Varga 1961; He & Xu 2019, section 3 (multi-step iteration).

    Example
    -------
    >>> two_step(0.5, 3.0, 1.0)
    2.0
    """
    if omega == 1:
        return u
    return omega * u if before is None else omega * u + (1 - omega) * before


def transfer(
    A: Operator, A_c: Operator | None, R: Operator, Pi: Operator | None, u: Array | None, f: Array
) -> tuple[Array | None, Array]:
    """Pose the coarse problem A_c(u_c) = f_c for a fine iterate.

    u_c = Pi(u),   f_c = R(f - A(u)) + A_c(u_c)                     (2)

    Pi = None is Pi = 0, the correction scheme. Pi learned: MgNet's restriction.

    Parameters
    ----------
    u, f : (N, c_u, *grid) or None for zero, (N, c_f, *grid); in the units of A(u); not modified
    A, A_c : feature -> data, on the fine and on the coarse grid; A_c None where Pi is None
    R, Pi : data -> coarse data, feature -> coarse feature

    Returns
    -------
    u_c, f_c : (N, c_u, *coarse grid) or None for zero, (N, c_f, *coarse grid)

    Example
    -------
    >>> A = A_c = R = Pi = lambda v: 3 * v
    >>> transfer(A, A_c, R, Pi, 1.0, 5.0)
    (3.0, 15.0)
    """
    r_c = R(residual(A, u, f))
    if Pi is None or u is None:
        return None, r_c
    assert A_c is not None, "Pi needs the coarse operator"
    u_c = Pi(u)
    return u_c, r_c + A_c(u_c)


def correct(P: Operator, u: Array | None, before: Array | None, after: Array) -> Array:
    """Bring the change of the coarse iterate back to the fine grid.

    u <- u + P(u_c_after - u_c_before)                              (3)

    Parameters
    ----------
    u : (N, c_u, *grid) or None for zero
    before, after : (N, c_u, *coarse grid)   `before` None: the coarse iterate began at zero
    P : coarse feature -> feature

    Returns
    -------
    u : (N, c_u, *grid)

    Example
    -------
    >>> correct(lambda e: 2 * e, 1.0, 3.0, 4.0)
    3.0
    """
    e = P(after if before is None else after - before)
    return e if u is None else u + e
