"""Random functions on the unit box, each known between the points of any grid: what operators are asked about.

A Gaussian field is a sum of cosines with independent coefficients; the same sample can be seen on a coarse and on a
fine grid. Each sample has a generator of its own, a function of (seed, index): the first ten of a thousand are the
ten that are asked for alone.

Source: Li et al. 2021, arXiv:2010.08895, appendix A.3.2.
"""

from collections.abc import Sequence

import numpy as np

FACTORS = 6  # of the multiscale coefficient


def generator(*where: int) -> np.random.Generator:
    """Random numbers that belong to a position, as (seed, index)."""
    return np.random.default_rng(where)


def wave_numbers(modes: int, ndim: int) -> np.ndarray:
    """|k|^2 of the cosines k = 0..modes-1 along each axis, (modes,) * ndim."""
    return np.sum(np.meshgrid(*[np.arange(modes, dtype=float) ** 2] * ndim, indexing="ij"), axis=0)


def shells(modes: int, ndim: int) -> np.ndarray:
    """Flat positions in (modes,) * ndim by their largest wave number: more modes add to the end.

    Example
    -------
    >>> shells(2, 2).tolist()
    [0, 1, 2, 3]
    """
    largest = np.indices((modes,) * ndim).max(0)
    return np.argsort(largest, axis=None, kind="stable")


def gaussian(
    seed: int, indices: Sequence[int], modes: int, alpha: float, tau: float, ndim: int = 2, normalise: bool = False
) -> np.ndarray:
    """Coefficients of cos(k_1 pi x_1) cos(k_2 pi x_2) ... of N(0, tau^(2 alpha - 2) (-Laplace + tau^2)^-alpha).

    They are 2^(ndim / 2) tau^(alpha - 1) (pi^2 |k|^2 + tau^2)^(-alpha / 2) xi_k, xi_k of N(0, 1), less a factor of
    sqrt(2) for each k_d = 0; that of k = 0 is zero: every sample has mean zero. (The published script multiplies by
    another 2^(ndim / 2).)

    Parameters
    ----------
    normalise : scaled so that the mean square of a sample is 1 in expectation

    Returns
    -------
    (len(indices), *(modes,) * ndim)
    """
    deviation = tau ** (alpha - 1) * (np.pi**2 * wave_numbers(modes, ndim) + tau**2) ** (-alpha / 2)
    deviation.flat[0] = 0
    if normalise:
        deviation /= np.sqrt((deviation**2).sum())  # the scaled cosines are orthonormal on the box
    order = shells(modes, ndim)
    xi = np.empty((len(indices), modes**ndim))
    for row, index in zip(xi, indices, strict=True):
        row[order] = generator(seed, index).standard_normal(modes**ndim)
    return deviation * xi.reshape(-1, *(modes,) * ndim)


def on_cells(coefficients: np.ndarray, n: int, workers: int = 1) -> np.ndarray:
    """Sums of the orthonormal cosines at the centres of n cells along each axis.

    Parameters
    ----------
    coefficients : (N, *(modes,) * ndim)   of sqrt(2) cos(k pi x) along each axis, 1 where k = 0

    Returns
    -------
    (N, *(n,) * ndim)

    Example
    -------
    >>> on_cells(np.array([[0.0, 1.0]]), 2).round(3).tolist()
    [[1.0, -1.0]]
    """
    from scipy.fft import idctn

    axes = tuple(range(1, coefficients.ndim))
    for d in axes:
        coefficients = _carried(coefficients, n, d)
    return idctn(coefficients, type=2, norm="ortho", axes=axes, workers=workers) * n ** (len(axes) / 2)


def _carried(c: np.ndarray, n: int, d: int) -> np.ndarray:
    """The coefficients that n cells carry along axis d: cos(k pi x) looks there as +-cos((2 n - k) pi x)."""
    modes = c.shape[d]
    if modes <= n:
        return np.pad(c, [(0, n - modes if e == d else 0) for e in range(c.ndim)])
    c = np.moveaxis(c, d, 0)
    out = np.zeros((n, *c.shape[1:]))
    for k in range(modes):
        turns, rest = divmod(k, 2 * n)
        sign = -1 if turns % 2 else 1
        if rest < n:
            out[rest] += sign * c[k] * (2**0.5 if rest == 0 and k else 1)
        elif rest > n:
            out[2 * n - rest] -= sign * c[k]
    return np.moveaxis(out, 0, d)


def multiscale(seed: int, indices: Sequence[int], n: int) -> np.ndarray:
    """prod_k (1 + cos(a_k pi (x + y)) / 2) (1 + sin(a_k pi (y - 3 x)) / 2), k = 1..6, a_k in [2^(k-1), 1.5 2^(k-1)].

    Returns
    -------
    (len(indices), n, n) at the centres of n x n cells
    """
    centres = (np.arange(n) + 0.5) / n
    x, y = np.meshgrid(centres, centres, indexing="ij")
    low = 2.0 ** np.arange(FACTORS)
    samples = np.ones((len(indices), n, n))
    for sample, index in zip(samples, indices, strict=True):
        for a in generator(seed, index).uniform(low, 1.5 * low):
            sample *= (1 + np.cos(a * np.pi * (x + y)) / 2) * (1 + np.sin(a * np.pi * (y - 3 * x)) / 2)
    return samples


def averaged(v: np.ndarray, factor: int, ndim: int) -> np.ndarray:
    """Means over blocks of factor points along each of the last ndim axes.

    Example
    -------
    >>> averaged(np.array([[1.0, 3.0, 5.0, 7.0]]), 2, 1).tolist()
    [[2.0, 6.0]]
    """
    for d in range(v.ndim - ndim, v.ndim):
        v = v.reshape(*v.shape[:d], v.shape[d] // factor, factor, *v.shape[d + 1 :]).mean(d + 1)
    return v
