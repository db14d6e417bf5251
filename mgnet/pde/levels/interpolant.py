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

from mgnet.pde.levels.transfers import Transfer, apply_tables
from mgnet.pde.problem.axis import DIRICHLET, Axis, Robin, Table


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
        _, Q, R = transfer.on_all_axes
        mass, stiffness = of_interpolants(transfer.fine, a, c, R, Q)
        return InterpolantOperator(tuple(mass), tuple(K for K, _ in stiffness))

    def __call__(self, u_c: Tensor) -> Tensor:
        """(R A Q) u_c, for u_c of shape (*batch, *grid)."""
        terms = [apply_tables([*self.mass[:d], K, *self.mass[d + 1 :]], u_c) for d, K in enumerate(self.stiffness)]
        return sum(terms[1:], terms[0])


def of_interpolants(
    fine: Sequence[Axis], a: Sequence[float], c: float, R: Sequence[Table], Q: Sequence[Table]
) -> tuple[list[Table], list[tuple[Table, np.ndarray]]]:
    """Per axis R W Q and (R K Q, R K 1), of which R A Q is a sum of products."""
    known: dict[tuple, tuple[Table, tuple[Table, np.ndarray]]] = {}
    keys = [(id(R[d]), id(Q[d]), a_d, c if d == 0 else 0.0) for d, a_d in enumerate(a)]  # equal axes share their tables
    for d, key in enumerate(keys):
        if key not in known:
            K, sums = second_difference(fine[d], *key[2:])
            WQ = Table(Q[d].start, fine[d].share[:, None] * Q[d].weights, Q[d].columns)
            known[key] = R[d] @ WQ, (R[d] @ K @ Q[d], _times(R[d], sums))  # in this order what cancels is 0 exactly
    mass, stiffness = zip(*(known[key] for key in keys), strict=True)
    return list(mass), list(stiffness)


def second_difference(axis: Axis, a: float, c: float) -> tuple[Table, np.ndarray]:
    """W (a L + c) along an axis, and its row sums, in which nothing cancels.

    L u = (2 u_i - u_{i-1} - u_{i+1}) / h^2 with ghost values by reflection.
    """
    n, k = axis.n, a / axis.h**2
    sums = np.full(n, c)
    weights = np.tile([-k, 2 * k, -k], (n, 1))
    start = np.arange(n) - 1
    for side, i in ((0, 0), (1, n - 1)):
        if axis.periodic:
            break
        end = (axis.low, axis.high)[side]
        sums[i] += robin(axis, end, a) + (0.0 if end != DIRICHLET else 2 * k if axis.centering == "cell" else k)
        sign, image = axis.ghost(side)
        ghost, weights[i, 2 * side] = weights[i, 2 * side] * sign, 0
        start[i] -= 2 * side - 1  # inside the axis
        weights[i] = np.roll(weights[i], 2 * side - 1)
        weights[i, image - start[i]] += ghost
        weights[i, i - start[i]] += robin(axis, end, a)
    np.add.at(weights, (np.arange(n), np.arange(n) - start), c)
    share = axis.share
    return Table(start, weights * share[:, None], n), sums * share


def robin(axis: Axis, end: str | Robin, a: float) -> float:
    """What an end adds to the coefficient of its unknown, beside a Neumann end's."""
    if not isinstance(end, Robin) or end.alpha == 0:
        return 0.0
    half = 2 * a / axis.h  # conductance from a cell centre to its face, or of the node's half cell
    return (end.alpha * half / (end.alpha + half) if axis.centering == "cell" else 2 * end.alpha) / axis.h


def _times(table: Table, v: np.ndarray) -> np.ndarray:
    """table v."""
    return (table.weights * v[table.index]).sum(1)
