"""The coarsest grid: a level whose smoother is the dense (pseudo-)inverse of its stencil."""

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.blackbox.stencil import Stencil
from mgnet.pde.problem.precision import wide_enough

NULL = 3e-14  # of the largest eigenvalue: an eigenvalue below is round-off of zero
NULL_SIGNED = 1e-12  # the same where couplings of both signs cancel
NULL_PARTS = 1e-11  # the same of the parts of a mask, where no coefficients jump (measured 2e-12)
FIRM = 1e-6  # of the largest pivot: no smaller one, and A is regular


def inverse(A: Stencil, signed: bool = False, parts: bool = False) -> Tensor:
    """(batch, N, N) A^-1, or the pseudo-inverse where A is singular."""
    return dense_inverse(A.dense(), signed, parts)


def dense_inverse(M: Tensor, signed: bool = False, parts: bool = False) -> Tensor:
    """(batch, N, N) M^-1, or the pseudo-inverse where M, symmetric and not negative, is singular.

    signed : whether the finest grid couples some unknowns negatively
    parts : whether its domain may have several parts, and no coefficients jump
    """
    L, failed = torch.linalg.cholesky_ex(M)  # a third of the eigenvectors' time for 31^2 unknowns
    pivots = L.diagonal(dim1=1, dim2=2) ** 2
    if not failed.any() and (pivots.amin(1) > FIRM * pivots.amax(1)).all():
        return torch.cholesky_inverse(L)
    lam, Q = np.linalg.eigh(M.cpu().numpy())  # small: torch's threads would cost more than they bring
    kept = lam > (NULL_SIGNED if signed else NULL_PARTS if parts else NULL) * lam[:, -1:]
    out = (Q * np.where(kept, 1 / np.where(kept, lam, 1.0), 0.0)[:, None]) @ Q.swapaxes(1, 2)
    return torch.from_numpy(out).to(M)


class CoarsestLevel:
    """u = A^-1 f for the (batch or 1, N, N) inverse of a stencil."""

    def __init__(self, A_inverse: Tensor):
        self.A_inverse = A_inverse.to(wide_enough(A_inverse))

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        v = f.flatten(1).to(self.A_inverse)
        one = len(self.A_inverse) == 1
        u = v @ self.A_inverse[0].T if one else (self.A_inverse @ v[..., None])[..., 0]
        return u.reshape(f.shape).to(f)
