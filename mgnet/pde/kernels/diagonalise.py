"""The direct solve of a coarsest grid: u = (V0 x V1 x V2) D (V0 x V1 x V2)^T f."""

from functools import cache

import numpy as np
from numba import carray, cfunc

from mgnet.pde.kernels.launch import FAST, SIGNATURE, part, pointer
from mgnet.pde.kernels.pointwise import multiply
from mgnet.pde.kernels.rows import SLACK, first_row, row_bytes
from mgnet.pde.kernels.vectors import combine, combine_many


@part
def _product(out, out_stride, rows, V, V_stride, v, v_stride, n, count, one):
    """out = V v for ``rows`` rows of V and ``count`` rows v of n numbers, all strides in bytes."""
    for i in range(0, rows - 1, 2):
        outs, weights = (out + i * out_stride, out + (i + 1) * out_stride), (V + i * V_stride, V + (i + 1) * V_stride)
        combine_many(outs, n, (), v, v_stride, weights, count, one)
    if rows % 2 == 1:
        i = rows - 1
        combine_many((out + i * out_stride,), n, (), v, v_stride, (V + i * V_stride,), count, one)


@part
def _transform(out, v, V0, V1, V2, n0, n1, n2, stride, one, size):
    """(V0 x V1 x V2) v and the other workspace; both are overwritten. V2 is given transposed."""
    plane = n1 * stride
    _product(out, stride, n0 * n1, v, stride, V2, n2 * size, n2, n2, one)
    if n1 > 1:
        for p in range(n0):
            _product(v + p * plane, stride, n1, V1, n1 * size, out + p * plane, stride, n2, n1, one)
        out, v = v, out
    if n0 > 1:
        for j in range(n1):
            _product(v + j * stride, plane, n0, V0, n0 * size, out + j * stride, plane, n2, n0, one)
        out, v = v, out
    return out, v


@cache
def kernel(dtype: np.dtype) -> int:
    """The address of the direct solve; task t is member t of the batch.

    Its arguments: addresses of f, u, V0, V1, V2, V0^T, V1^T, V2^T, D, then n0, n1, n2.
    """

    def task(t, arguments):
        a = carray(arguments, 12)
        n0, n1, n2 = a[9], a[10], a[11]
        row, stride, one = n2 * itemsize, row_bytes(n2, itemsize), carray(pointer(a[4]), (1,), dtype).dtype.type(1)
        f, u, D = a[0] + t * n0 * n1 * row, a[1] + t * n0 * n1 * row, a[8]
        workspace = np.empty(2 * n0 * n1 * stride + 4 * SLACK, np.uint8)
        v = first_row(workspace)
        for p in range(n0 * n1):
            combine(v + p * stride, n2, (f + p * row,), (one,))
        v, w = _transform(v + n0 * n1 * stride, v, a[5], a[6], a[4], n0, n1, n2, stride, one, itemsize)
        for p in range(n0 * n1):
            multiply(v + p * stride, n2, v + p * stride, D + p * row, one)
        v, w = _transform(w, v, a[2], a[3], a[7], n0, n1, n2, stride, one, itemsize)
        for p in range(n0 * n1):
            combine(u + p * row, n2, (v + p * stride,), (one,))
        workspace[0] = 0  # alive until here

    itemsize = np.dtype(dtype).itemsize
    return cfunc(SIGNATURE, nopython=True, fastmath=FAST, cache=True)(task).address
