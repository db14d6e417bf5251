"""Cycles of varying length: a sequence of them gains more than each alone.

A symmetric cycle C multiplies the parts of an error by factors in [0, rho]. Richardson's iteration

    u <- u + omega_k (C(u) - u)

multiplies them by the product of 1 - omega_k (1 - factor). With omega_k = 1 / (1 - x_k), x_k the zeros
of the Chebyshev polynomial of degree PERIOD on [0, rho], it is the smallest such product: .05 a cycle
in place of rho = .14. All omega_k lie in [1, 1 / (1 - rho)], so every single step converges.

Source: Richardson 1910; Young 1954; Varga 2000, Matrix Iterative Analysis, section 5.1.
"""

from functools import lru_cache
from math import cos, pi

import torch

from mgnet.pde.levels.hierarchy import Hierarchy

PERIOD = 3  # cycles; 4 gain 1.5% more a cycle once a period is complete
CYCLES = 14  # after which the factor of a cycle hardly changes any more
SLACK = 1.05  # what it may still grow by; too large a rho costs less than too small a one
LARGEST = 0.9


@lru_cache(maxsize=16)  # asked for in every cycle
def lengths(rho: float) -> tuple[float, ...]:
    """omega_k of one period for factors in [0, rho].

    Example
    -------
    >>> [round(omega, 3) for omega in lengths(0.14)]
    [1.15, 1.075, 1.009]
    """
    zeros = [cos((2 * k + 1) * pi / (2 * PERIOD)) for k in range(PERIOD)]
    return tuple(1 / (1 - rho * (1 + x) / 2) for x in zeros)


class Richardson:
    """The omegas of a sequence of cycles, one after the other.

    Attributes
    ----------
    rho : the largest factor of a cycle; 0 leaves every cycle as it is; None: not known yet
    """

    def __init__(self) -> None:
        self.rho: float | None = None
        self.restart()

    def restart(self) -> None:
        self._taken = 0

    def __next__(self) -> float:
        if not self.rho:
            return 1.0
        self._taken += 1
        return lengths(self.rho)[(self._taken - 1) % PERIOD]


def contraction(levels: Hierarchy, zero: torch.Tensor, share: torch.Tensor | None) -> float:
    """The largest factor of a cycle, by the power method: how it shrinks the residual of A u = 0 in the end.

    Each iterate is scaled to a residual of 1, and what A maps to zero is taken out: else round-off of that, or of
    what is left, would be all that is measured.

    Parameters
    ----------
    zero : the right-hand side, (1, *grid)
    share : (*grid) each unknown's share of a cell where A maps constants to zero, else None
    """

    def scaled(u: torch.Tensor) -> torch.Tensor:
        u = u if share is None else u - (share * u).sum() / share.sum()
        return u / levels.norms(levels.data(u), b).item()

    begin = torch.rand(zero.shape, dtype=zero.dtype, device="cpu", generator=torch.Generator().manual_seed(0))
    b, u, size = levels.data(zero), begin.to(zero.device), 0.0
    for _ in range(CYCLES):
        u = levels.release(levels.cycle(levels.data(scaled(u)), b))
        size = levels.norms(levels.data(u), b).item()
        if size < torch.finfo(zero.dtype).eps:  # a direct solve, all but
            return 0.0
    return min(SLACK * size, LARGEST)
