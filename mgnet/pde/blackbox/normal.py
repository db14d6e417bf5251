"""Steps on the normal equations of A itself, after a cycle of levels that have more diffusion than A.

    u <- u + omega A^T D^-1 (f - A u),     D_i = sum_j A_ij^2

Central differences at large cell Peclet numbers leave an A that no smoother of lines or points bears; A^T D^-1 A is
symmetric and positive, its spectrum in [0, |D^-1/2 A|_1 |D^-1/2 A|_inf], where fourth-kind Chebyshev steps smooth it.

Source: Kaczmarz 1937; Brandt & Livne 2011, Multigrid Techniques, section 1.1 (relaxation of what others do not bear).
"""

import torch
from torch import Tensor

from mgnet.pde.levels.smoothers import chebyshev
from mgnet.pde.problem.convection import Convection

STEPS = 8  # after each cycle: they save about half of the cycles (measured)
OMEGAS = chebyshev(STEPS)  # on a spectrum up to 2


class NormalSteps:
    """(f, u) -> u, after the steps."""

    def __init__(self, A: Convection):
        axes = tuple(range(-A.ndim, 0))
        D = A.diagonal**2 + sum(s**2 for s in A.couplings.values())
        root = torch.where(D > 0, torch.where(D > 0, D, 1.0).rsqrt(), 0.0)

        def sums(A: Convection, weights: Tensor) -> Tensor:
            """sum_j |A_ij| weights_j."""
            found = A.diagonal.abs() * weights
            for o, s in A.couplings.items():
                found = found + s.abs() * torch.roll(weights, [-step for step in o], axes)
            return found

        across, along = sums(A, torch.ones_like(root)) * root, sums(A.T, root)
        bound = across.amax(axes, keepdim=True) * along.amax(axes, keepdim=True)
        self._A, self._inverse, self._scale = A, root**2, 2 / torch.where(bound > 0, bound, 1.0)

    def __call__(self, f: Tensor, u: Tensor) -> Tensor:
        for omega in OMEGAS:
            u = u + omega * self._scale * self._A.T(self._inverse * (f - self._A(u)))
        return u
