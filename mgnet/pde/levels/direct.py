"""The coarsest grid: a level whose smoother is A^-1.

Constant coefficients make A a sum of one-dimensional operators, which their eigenvectors
diagonalise together (fast diagonalisation, Lynch, Rice & Thomas 1964). It is exact for every
boundary kind and any size; a singular A gets its pseudo-inverse.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.levels.transfers import once_each
from mgnet.pde.problem.axis import Axis
from mgnet.pde.problem.conductances import conductances
from mgnet.pde.problem.precision import wide_enough

LONG = 40  # unknowns from which on a matrix is taken for the three diagonals that it has
NULL = 1e-25  # of the largest eigenvalue: below it is round-off of 0


def _line(axis: Axis, k: np.ndarray) -> np.ndarray:
    """The one-dimensional A as a dense matrix."""
    low, high = k[:-1], k[1:]
    M = np.diag(low + high)
    for i in range(axis.n):
        if i > 0 or axis.periodic:
            j = (i - 1) % axis.n
            M[i, j] -= low[i]
            M[j, i] -= low[i]
    return M


def _energies(axis: Axis, k: np.ndarray, V: np.ndarray) -> np.ndarray:
    """v^T A v for the columns v of V, a sum of squares: exact to the last digits where v is almost constant."""
    ghosts = np.pad(V, ((1, 1), (0, 0)), mode="wrap" if axis.periodic else "constant")
    energies = k[:, None] * np.diff(ghosts, axis=0) ** 2
    return energies[int(axis.periodic) :].sum(0)


def eigenvectors(axis: Axis, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """V of an axis whose faces' conductances are k, and the energies of its columns."""
    scale = 1 / np.sqrt(axis.share)
    if axis.n < LONG or axis.periodic:
        _, Q = np.linalg.eigh(scale[:, None] * _line(axis, k) * scale)
    else:
        from scipy.linalg import eigh_tridiagonal  # takes a while to import

        _, Q = eigh_tridiagonal((k[:-1] + k[1:]) * scale**2, -k[1:-1] * scale[:-1] * scale[1:], lapack_driver="stevd")
    V = scale[:, None] * Q
    return V, _energies(axis, k, V)


def _of_number(axis: Axis, a: float) -> tuple[np.ndarray, np.ndarray]:
    """The same for a number a."""
    (k,), _ = conductances([axis], [torch.full((axis.n + 1,), a, dtype=torch.float64, device="cpu")])
    return eigenvectors(axis, k.numpy())


def eigenbasis(axes: Sequence[Axis], a: Sequence[float], c: float) -> tuple[list[np.ndarray], np.ndarray]:
    """(V per axis, D) with A^-1 = (V0 x V1 x ...) D (V0 x V1 x ...)^T.

    V = W^-1/2 Q for the eigenvectors Q of W^-1/2 T W^-1/2, W the shares of a cell; D holds the
    reciprocals of the summed eigenvalues, 0 for the null space.
    """
    Vs, eigenvalues = [], np.array(c, dtype=float)
    for V, energies in once_each(_of_number, zip(axes, a, strict=True)):
        Vs.append(V)
        eigenvalues = np.add.outer(eigenvalues, energies)
    null = eigenvalues <= NULL * eigenvalues.max()
    D = np.zeros_like(eigenvalues)
    D[~null] = 1 / eigenvalues[~null]
    return Vs, D


class DirectLevel:
    """u = A^-1 f for constant coefficients.

    Parameters
    ----------
    axes : the grid
    a, c : the coefficient per axis, and the reaction
    like : a tensor whose dtype and device are used
    """

    def __init__(self, axes: Sequence[Axis], a: Sequence[float], c: float, like: Tensor):
        Vs, D = eigenbasis(axes, a, c)
        self.D = torch.from_numpy(D).to(like.device, wide_enough(like))
        self.Vs = [torch.from_numpy(V).to(self.D) for V in Vs]

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        return self._transform(self.D * self._transform(f.to(self.D), transpose=True)).to(f)

    def _transform(self, v: Tensor, transpose: bool = False) -> Tensor:
        for d, V in enumerate(self.Vs):
            dim = d - len(self.Vs)
            v = torch.tensordot(v, V if transpose else V.T, dims=([dim], [0])).movedim(-1, dim)
        return v
