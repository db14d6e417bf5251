"""Smoothers as sequences of damped Jacobi steps: u <- u + omega_i D^-1 (f - A u).

A polynomial smoother of degree nu is nu Jacobi steps whose omegas are the reciprocals of its roots.
All operators here are diagonally dominant, so the spectrum of D^-1 A lies in [0, 2]; a reaction c, a part
``low`` = c / d of the diagonal, draws it together to [low, 2 - low]. Red-black and zebra are Gauss-Seidel
sweeps: exact for the unknowns (zebra: the lines) of one colour, then for the others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import cos, isfinite, pi
from typing import Literal

SMOOTHERS = ("chebyshev", "jacobi", "red-black", "zebra")
COLOURED = ("red-black", "zebra")  # Gauss-Seidel by two colours, of unknowns or of lines


@dataclass(frozen=True)
class Polynomial:
    """A smoother of your own: damped Jacobi steps whose omegas you choose.

    The way up takes them in reverse order, so that cycles are symmetric.

    Parameters
    ----------
    name : for the solution's ``method``
    omegas : (nu, ndim, low) -> the damping of each step of nu sweeps in ndim dimensions, on a spectrum of D^-1 A in
        [low, 2 - low], where low = c / d is the reaction's part of the diagonal

    Raises
    ------
    ValueError, TypeError : once a Solver takes it: other than nu positive numbers

    Example
    -------
    >>> from mgnet.pde import Grid, Poisson, Solver
    >>> import numpy as np
    >>> two = Polynomial("two steps", lambda nu, ndim, low: (1.4, 0.6) * nu)
    >>> solver = Solver(Poisson(Grid((63, 63))), smoother=two, nu=(1, 1))
    >>> solution = solver.solve(np.ones((63, 63)))
    >>> solution.cycles <= 10, "two steps" in solution.method
    (True, True)
    """

    name: str
    omegas: Callable[[int, int, float], Sequence[float]]

    def __str__(self) -> str:
        return self.name

    def __call__(self, nu: int, ndim: int, low: float) -> tuple[float, ...]:
        """The omegas, looked at."""
        found = tuple(float(omega) for omega in self.omegas(nu, ndim, low))
        if not all(isfinite(omega) and omega > 0 for omega in found) or (nu > 0) != bool(found):
            raise ValueError(
                f"`omegas` of the smoother {self.name!r} must return positive numbers, one or more a sweep, none "
                f"for none; for {nu} sweeps it returned {found}."
            )
        return found


Smoother = Literal["chebyshev", "jacobi", "red-black", "zebra"] | Polynomial  # a word of SMOOTHERS, or one's own


@lru_cache(maxsize=64)
def chebyshev(nu: int, low: float = 0.0) -> tuple[float, ...]:
    """The fourth-kind Chebyshev smoother of degree nu on the spectrum [low, 2 - low].

    Its residual polynomial, a multiple of W_nu(t) with x = low + (1 - low)(1 - t), has the roots
    t = cos(2 pi i / (2 nu + 1)). Source: Lottes 2022, arXiv:2202.08830 (low = 0).

    Example
    -------
    >>> [round(omega, 4) for omega in chebyshev(2)]
    [0.5528, 1.4472]
    """
    return tuple(1 / (low + (1 - low) * (1 - cos(2 * pi * i / (2 * nu + 1)))) for i in range(nu, 0, -1))


def jacobi(nu: int, ndim: int, low: float = 0.0) -> tuple[float, ...]:
    """nu equal steps, omega = 2 d / (2 d + 1) where low = 0: the best constant for the high frequencies.

    They fill [low + (1 - low) / d, 2 - low] in d dimensions. Source: Trottenberg et al. 2001, section 2.1.

    Example
    -------
    >>> jacobi(1, 2)
    (0.8,)
    """
    return (2 / (2 + (1 - low) / ndim),) * nu


def omegas(smoother: Smoother, nu: int, ndim: int, low: float = 0.0) -> tuple[float, ...]:
    """The damping of each Jacobi step of a polynomial smoother."""
    if isinstance(smoother, Polynomial):
        return smoother(nu, ndim, low)
    return chebyshev(nu, low) if smoother == "chebyshev" else jacobi(nu, ndim, low)


def damped(low: float) -> float:
    """What a V(2,2)-cycle's Chebyshev steps alone leave of any error: the square of their polynomial's maximum.

    At x = low W_2(t) = 4 t^2 + 2 t - 1 is 5, at x = 0, where the polynomial is 1, t is 1 / (1 - low).

    Example
    -------
    >>> damped(0.0), damped(0.9) < 1e-3
    (1.0, True)
    """
    if low >= 1:
        return 0.0
    t = 1 / (1 - low)
    return (5 / (4 * t**2 + 2 * t - 1)) ** 2


def steps(smoother: Smoother, nu: tuple[int, int], ndim: int, symmetric: bool, low: float) -> tuple[list, list]:
    """(damping, colour) of each step of the way down and of the way up; colour -1: all unknowns.

    Parameters
    ----------
    symmetric : whether the way up takes the colours in reverse order
    low : the lower end of the spectrum, see ``chebyshev``

    Example
    -------
    >>> steps("red-black", (1, 1), 2, symmetric=True, low=0.0)
    ([(1.0, 0), (1.0, 1)], [(1.0, 1), (1.0, 0)])
    """
    if smoother == "red-black":
        down, up = ([(1.0, colour) for _ in range(n) for colour in (0, 1)] for n in nu)
        return down, up[::-1] if symmetric else up
    down, up = ([(omega, -1) for omega in omegas(smoother, n, ndim, low)] for n in nu)
    return down, up[::-1]
