"""What users of numpy and scipy write for a problem of the gallery that no package solves. mgnet has no part in it."""

from collections.abc import Callable

import numpy as np
from network import between, end_layers, held, network
from scipy.sparse.linalg import splu


def frankot_chellappa(slopes: list[np.ndarray], inside: np.ndarray) -> np.ndarray:
    """Heights whose differences come closest to the slopes in a periodic picture, of mean zero inside: Frankot &
    Chellappa 1988, with the symbols of differences instead of derivatives."""
    n, m = inside.shape
    p, q = (np.fft.rfft2(np.pad(slopes[d], [(0, int(d == e)) for e in (0, 1)])) for d in (0, 1))
    k, l = np.exp(2j * np.pi * np.fft.fftfreq(n))[:, None] - 1, np.exp(2j * np.pi * np.fft.rfftfreq(m)) - 1
    symbol = abs(k) ** 2 + abs(l) ** 2
    symbol[0, 0] = np.inf
    u = np.fft.irfft2((p * k.conj() + q * l.conj()) / symbol, s=(n, m))
    return np.where(inside, u - u[inside].mean(), 0)


def strip(how: Callable, x: np.ndarray, y: np.ndarray, eps: np.ndarray, edge: float) -> tuple[np.ndarray, float]:
    """u on nodes x, y, 1 on the strip x <= edge, y = 1, and 0 at the ends but x = 0; the charge on the strip.

    eps lies between nodes along y. how : solves the sparse system.
    """
    across, along = ((f[1:] + f[:-1]) / 2 for f in (np.pad(np.diff(x), 1), np.pad(eps * np.diff(y), 1)))
    A = network(along / np.diff(x)[:, None], across[:, None] * eps / np.diff(y))
    on = (x[:, None] < edge + 1e-9) & (abs(y - 1) < 1e-9)
    u = held(A, on | (x[:, None] == x[-1]) | (y == 0) | (y == y[-1]), 1.0 * on, solve=how)
    return u, (A @ u.ravel())[on.ravel()].sum()


def adjoint(
    m: np.ndarray, q: np.ndarray, wells: np.ndarray, measured: np.ndarray, noise: float, smooth: float
) -> tuple[float, np.ndarray]:
    """Half the squares of (u - measured) / noise at the wells and of the steps of m; its gradient by m = log k.

    A(k) u = q, u = 0 in the first layer; A p = (measured - u) / noise^2 at the wells; the gradient is p dA/dm u.
    """
    m, free = m.reshape(wells.shape), ~end_layers(wells.shape)[0]
    k = np.exp(m)
    lu = splu(network(*(between(k, d) for d in (0, 1)))[free.ravel()][:, free.ravel()].tocsc())
    u, p = np.zeros((2, *q.shape))
    u[:, free] = lu.solve(q[:, free].T).T
    p[:, wells] = (measured - u[:, wells]) / noise**2
    misfit = (noise**2 * (p**2).sum() + smooth * sum((np.diff(m, axis=d) ** 2).sum() for d in (0, 1))) / 2
    p[:, free] = lu.solve(p[:, free].T).T
    steps = network(*(np.ones_like(between(k, d)) for d in (0, 1))) @ m.ravel()
    return misfit, _by_log_k(k, u, p).ravel() + smooth * steps


def _by_log_k(k: np.ndarray, u: np.ndarray, p: np.ndarray) -> np.ndarray:
    """The derivative of p A u by log k, summed over the members of a batch; A's conductances are `between` nodes."""
    derivative = np.zeros(k.shape)
    for d in range(k.ndim):
        power = (np.diff(u, axis=d + 1) * np.diff(p, axis=d + 1)).sum(0) * between(k, d)
        low, high = np.delete(k, -1, d), np.delete(k, 0, d)
        after, before = ([pair if d == e else (0, 0) for e in range(k.ndim)] for pair in ((0, 1), (1, 0)))
        derivative += np.pad(power * high / (low + high), after) + np.pad(power * low / (low + high), before)
    return derivative
