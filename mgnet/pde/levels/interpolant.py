"""The restricted residual of an interpolant, without the fine grid.

Full multigrid begins on a grid with u = Q u_c and restricts its residual:

    R (b - A Q u_c) = R b - (R A Q) u_c

R b is known from the way down, and for constant coefficients R A Q is a sum of products of small
banded matrices on the coarse grid, because A is, with W the shares and K a second difference:

    A = K_0 x W_1 x W_2 + W_0 x K_1 x W_2 + W_0 x W_1 x K_2,    K_d = a_d W_d L_d  (+ c W_0 if d = 0)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from mgnet.pde.levels.transfers import Transfer, apply_tables, identity
from mgnet.pde.problem.axis import Axis, Table


@dataclass(frozen=True)
class InterpolantOperator:
    """u_c -> (R A Q) u_c on the coarse grid of a transfer.

    ``mass[d]`` = R_d W_d Q_d and ``stiffness[d]`` = R_d K_d Q_d are tables of one axis.

    Example
    -------
    >>> fine = Axis(7, "dirichlet", "dirichlet", "node", 0.0, 8.0)
    >>> A = InterpolantOperator.of(Transfer((fine,), (fine.coarsen(),)), (1.0,))
    >>> A.stiffness[0].columns, A.stiffness[0].weights.shape
    (3, (3, 3))
    """

    mass: tuple[Table, ...]
    stiffness: tuple[Table, ...]

    @staticmethod
    def of(transfer: Transfer, a: Sequence[float], c: float = 0.0) -> "InterpolantOperator":
        _, Qs, Rs = transfer.tables
        mass, stiffness = [], []
        for d, (axis, a_d, Q, R) in enumerate(zip(transfer.fine, a, Qs, Rs, strict=True)):
            Q, R = Q or identity(axis.n), R or identity(axis.n)
            W = Table(np.arange(axis.n), axis.share[:, None], axis.n)
            mass.append(R @ W @ Q)
            stiffness.append(R @ _second_difference(axis, a_d, c if d == 0 else 0.0) @ Q)
        return InterpolantOperator(tuple(mass), tuple(stiffness))

    def __call__(self, u_c: Tensor) -> Tensor:
        """(R A Q) u_c, for u_c of shape (*batch, *grid)."""
        terms = [apply_tables([*self.mass[:d], K, *self.mass[d + 1 :]], u_c) for d, K in enumerate(self.stiffness)]
        return sum(terms[1:], terms[0])


def _second_difference(axis: Axis, a: float, c: float) -> Table:
    """W (a L + c), L u = (2 u_i - u_{i-1} - u_{i+1}) / h^2 with ghost values by reflection."""
    n, k = axis.n, a / axis.h**2
    weights = np.tile([-k, 2 * k + c, -k], (n, 1)) * axis.share[:, None]
    start = np.arange(n) - 1
    if axis.periodic:
        return Table(start, weights, n)
    for side, i in ((0, 0), (1, n - 1)):
        sign, image = axis.ghost(side)
        ghost = weights[i, 2 * side] * sign
        weights[i] = [0, *weights[i, 1:]] if side == 0 else [*weights[i, :2], 0]
        start[i] -= 2 * side - 1  # inside the axis
        weights[i] = np.roll(weights[i], 2 * side - 1)
        weights[i, image - start[i]] += ghost
    return Table(start, weights, n)
