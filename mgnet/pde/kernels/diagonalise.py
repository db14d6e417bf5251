"""The direct solve of a coarsest grid: u = (V0 x V1 x V2) D (V0 x V1 x V2)^T f."""

import numpy as np
from numba import njit

from mgnet.pde.kernels.rows import FAST


@njit(fastmath=FAST, nogil=True, cache=True)
def _transform(v, out, V0, V1, V2):
    """out = (V0 x V1 x V2) v for v of shape (n0, n1, n2); v is overwritten."""
    n0, n1, n2 = v.shape
    T = V2.T.copy()
    for p in range(n0):
        for j in range(n1):
            row = out[p, j]
            row[:] = 0
            for k in range(n2):
                w, line = v[p, j, k], T[k]
                for i in range(n2):
                    row[i] += w * line[i]
    if n1 > 1:
        v[:] = out
        out[:] = 0
        for p in range(n0):
            for j in range(n1):
                row = out[p, j]
                for k in range(n1):
                    w, line = V1[j, k], v[p, k]
                    for i in range(n2):
                        row[i] += w * line[i]
    if n0 > 1:
        v[:] = out
        out[:] = 0
        for p in range(n0):
            for k in range(n0):
                w = V0[p, k]
                for j in range(n1):
                    row, line = out[p, j], v[k, j]
                    for i in range(n2):
                        row[i] += w * line[i]


@njit(fastmath=FAST, nogil=True, cache=True)
def diagonalise(f, u, V0, V1, V2, D):
    """u = A^-1 f for f, u of shape (batch, n0, n1, n2); D holds the reciprocal eigenvalues."""
    T0, T1, T2 = V0.T.copy(), V1.T.copy(), V2.T.copy()
    v, w = np.empty(D.shape, f.dtype), np.empty(D.shape, f.dtype)
    for b in range(f.shape[0]):
        v[:] = f[b]
        _transform(v, w, T0, T1, T2)
        w *= D
        _transform(w, u[b], V0, V1, V2)
