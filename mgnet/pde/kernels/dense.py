"""u = M f on padded fields, for the dense inverse of the coarsest grid's operator."""

from functools import cache

import numpy as np
from numba import carray, cfunc

from mgnet.pde.kernels.launch import FAST, SIGNATURE, pointer
from mgnet.pde.kernels.stencil_rows import LEFT, fill
from mgnet.pde.kernels.sums import dotted


@cache
def kernel(dtype: np.dtype) -> int:
    """The address of the product; task t is member t.

    Its arguments: addresses of M, f, u; the number of Ms (one, or one a member), rows, unknowns of a row, the
    stride of rows, whether a row wraps.
    """
    one = np.dtype(dtype).type(1)
    itemsize = one.itemsize

    def task(t, arguments):
        v = carray(arguments, 8)
        rows, n, stride = v[4], v[5], v[6]
        size, member = rows * n, t if v[3] > 1 else 0
        M = v[0] + member * size * size * itemsize
        f = carray(pointer(v[1] + t * rows * stride * itemsize), (rows * stride,), dtype)
        u = carray(pointer(v[2] + t * rows * stride * itemsize), (rows * stride,), dtype)
        flat = np.empty(size, dtype)
        for q in range(rows):
            for j in range(n):
                flat[q * n + j] = f[q * stride + LEFT + j]
        for q in range(rows):
            row = u[q * stride :]
            for j in range(n):
                row[LEFT + j] = dotted(M + (q * n + j) * size * itemsize, flat.ctypes.data, size, one)
            fill(row, n, v[7] != 0)
        flat[0] = 0  # alive until here

    return cfunc(SIGNATURE, nopython=True, fastmath=FAST, cache=True)(task).address
