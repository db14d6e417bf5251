"""Smoothers as sequences of damped Jacobi steps: u <- u + omega_i D^-1 (f - A u).

A polynomial smoother of degree nu is nu Jacobi steps whose omegas are the reciprocals of its roots.
All operators here are diagonally dominant, so the spectrum of D^-1 A lies in [0, 2]. Red-black and zebra
are Gauss-Seidel sweeps: exact for the unknowns (zebra: the lines) of one colour, then for the others.
"""

from math import cos, pi

SMOOTHERS = ("chebyshev", "jacobi", "red-black", "zebra")
COLOURED = ("red-black", "zebra")  # Gauss-Seidel by two colours, of unknowns or of lines


def chebyshev(nu: int) -> tuple[float, ...]:
    """The fourth-kind Chebyshev smoother of degree nu on the spectrum [0, 2].

    Its residual polynomial W_nu(1 - x) / (2 nu + 1) has the roots 1 - cos(2 pi i / (2 nu + 1)).
    It needs no lower end of the spectrum. Source: Lottes 2022, arXiv:2202.08830.

    Example
    -------
    >>> [round(omega, 4) for omega in chebyshev(2)]
    [0.5528, 1.4472]
    """
    return tuple(1 / (1 - cos(2 * pi * i / (2 * nu + 1))) for i in range(nu, 0, -1))


def jacobi(nu: int, ndim: int) -> tuple[float, ...]:
    """nu equal steps, omega = 2 d / (2 d + 1): the best constant for the high frequencies.

    They fill [1 / d, 2] in d dimensions. Source: Trottenberg et al. 2001, section 2.1.

    Example
    -------
    >>> jacobi(1, 2)
    (0.8,)
    """
    return (2 * ndim / (2 * ndim + 1),) * nu


def omegas(smoother: str, nu: int, ndim: int) -> tuple[float, ...]:
    """The damping of each Jacobi step of a polynomial smoother."""
    return chebyshev(nu) if smoother == "chebyshev" else jacobi(nu, ndim)
