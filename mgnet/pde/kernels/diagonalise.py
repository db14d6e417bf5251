"""The direct solve of a coarsest grid: u = (V0 x V1 x V2) D (V0 x V1 x V2)^T f."""

from functools import cache

import numpy as np
from numba import carray, cfunc, njit

from mgnet.pde.kernels.launch import FAST, SIGNATURE, pointer, workspace


@njit(fastmath=FAST, nogil=True)
def _apply(out, v, V0, V1, V2, n2):
    """(V0 x V1 x V2) v and the other workspace; both are overwritten. V2 is given transposed."""
    n0, n1 = V0.shape[0], V1.shape[0]
    _last(out, v, V2, n0, n1, n2)
    if n1 > 1:
        for p in range(n0):
            _combine(v[p], V1, out[p], n2)
        out, v = v, out
    if n0 > 1:
        for j in range(n1):
            _combine(v[:, j], V0, out[:, j], n2)
        out, v = v, out
    return out, v


@njit(fastmath=FAST, nogil=True)
def _combine(out, V, v, n):
    """out = V v, rows of length n combined."""
    for p in range(V.shape[0]):
        row = out[p]
        for i in range(n):
            row[i] = 0
        for k in range(V.shape[1]):
            _add(row, V[p, k], v[k], n)


@njit(fastmath=FAST, nogil=True)
def _last(out, v, V2, n0, n1, n2):
    """out = V2 v along the last axis, from the transposed V2."""
    for p in range(n0):
        for j in range(n1):
            row, old = out[p, j], v[p, j]
            for i in range(n2):
                row[i] = 0
            for k in range(n2):
                _add(row, old[k], V2[k], n2)


@njit(fastmath=FAST, nogil=True)
def _add(out, w, v, n):
    for i in range(n):
        out[i] += w * v[i]


@cache
def kernel(dtype: np.dtype) -> int:
    """The address of the direct solve; task t is member t of the batch.

    Its arguments: addresses of f, u, V0, V1, V2, V0^T, V1^T, V2^T, D, then n0, n1, n2.
    """

    def task(t, arguments):
        a = carray(arguments, 12)
        n0, n1, n2 = a[9], a[10], a[11]
        size = t * n0 * n1 * n2 * itemsize
        f = carray(pointer(a[0] + size), (n0, n1, n2), dtype)
        u = carray(pointer(a[1] + size), (n0, n1, n2), dtype)
        V0, T0 = carray(pointer(a[2]), (n0, n0), dtype), carray(pointer(a[5]), (n0, n0), dtype)
        V1, T1 = carray(pointer(a[3]), (n1, n1), dtype), carray(pointer(a[6]), (n1, n1), dtype)
        V2, T2 = carray(pointer(a[4]), (n2, n2), dtype), carray(pointer(a[7]), (n2, n2), dtype)
        D = carray(pointer(a[8]), (n0, n1, n2), dtype)
        owner, v = workspace(n0, n1, n2, f)
        keeper, w = workspace(n0, n1, n2, f)
        for p in range(n0):
            for j in range(n1):
                for i in range(n2):
                    v[p, j, i] = f[p, j, i]
        out, other = _apply(w, v, T0, T1, V2, n2)
        for p in range(n0):
            for j in range(n1):
                for i in range(n2):
                    out[p, j, i] *= D[p, j, i]
        out, other = _apply(other, out, V0, V1, T2, n2)
        for p in range(n0):
            for j in range(n1):
                for i in range(n2):
                    u[p, j, i] = out[p, j, i]
        owner[0] = keeper[0] = 0  # alive until here

    itemsize = np.dtype(dtype).itemsize
    return cfunc(SIGNATURE, nopython=True, fastmath=FAST, cache=True)(task).address
