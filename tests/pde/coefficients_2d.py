"""The coefficients that robust solvers are judged by."""

import numpy as np


def checkerboard(n: int, contrast: float, blocks: int = 8) -> np.ndarray:
    """1 and ``contrast`` on blocks x blocks squares."""
    i = np.arange(n) * blocks // n
    return np.where((i[:, None] + i) % 2 == 0, 1.0, contrast)


def white_noise(n: int) -> np.ndarray:
    """exp(2 N(0, 1)) at each unknown."""
    return np.exp(2 * np.random.default_rng(0).standard_normal((n, n)))


def thin_inclusion(n: int) -> np.ndarray:
    """A line that conducts 1e6 times better, and one 1e6 times worse."""
    a = np.ones((n, n))
    a[n // 2, n // 8 : 7 * n // 8] = 1e6
    a[n // 4 : 3 * n // 4, n // 3] = 1e-6
    return a


def smooth(x, y):
    return 1 + 0.5 * np.sin(3 * x) * np.cos(2 * y) + x


def anisotropic(eps: float):
    """(a_x, a_y), a_y smaller by eps."""
    return (lambda x, y: 1 + x * y, lambda x, y: eps * (1 + 0.5 * np.cos(5 * x)))
