"""The restricted residual of an interpolant on the coarse grid, see ``mgnet.pde.interpolant``.

One axis after the other, so that each sum is made once:

    a = K0 u,  b = M0 u;    r = M1 a + K1 b,  q = M1 b;    out = f - M2 r - K2 q
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numba import carray, cfunc

from mgnet.pde.axis import Table
from mgnet.pde.interpolant import InterpolantOperator
from mgnet.pde.kernels.launch import FAST, SIGNATURE, inlined, launch, part, pointer
from mgnet.pde.kernels.rows import (
    SLACK,
    Line,
    add_tables,
    first_row,
    five_weights_of,
    gather,
    row_bytes,
    three_weights_of,
    wrap_ghosts,
)
from mgnet.pde.kernels.tables import HEADER, pack, rows_of
from mgnet.pde.kernels.vectors import combine, combine_both, load_index
from mgnet.pde.transfers import identity


@part
def _along_planes(a, b, n2, u, plane, K, M, I, n0, single):
    """a = row I of K times the rows of u, one a plane; b the same of M."""
    if _usual(K, M, I, n0):
        u, zero = u + load_index(M.start, I) * plane, K.one - K.one
        rows = (u, u + plane, u + 2 * plane, u + 3 * plane, u + 4 * plane)
        k0, k1, k2 = three_weights_of(K, I)
        combine_both((a, b), n2, rows, ((zero, k0, k1, k2, zero), five_weights_of(M, I)))
    else:
        _gather(a, n2, np.bool_(False), u, plane, K, I, n0, single)
        _gather(b, n2, np.bool_(False), u, plane, M, I, n0, single)


@part
def _along_rows(r, q, n2, a, b, stride, K, M, J, n1, single):
    """r = row J of M times the rows of a, plus row J of K times those of b; q = row J of M times those of b."""
    if _usual(K, M, J, n1):
        at = load_index(M.start, J) * stride
        a, b, (k0, k1, k2), (m0, m1, m2, m3, m4) = a + at, b + at, three_weights_of(K, J), five_weights_of(M, J)
        b1, b2, b3, b4 = b + stride, b + 2 * stride, b + 3 * stride, b + 4 * stride
        rows = (a, a + stride, a + 2 * stride, a + 3 * stride, a + 4 * stride, b1, b2, b3)
        combine(r, n2, rows, (m0, m1, m2, m3, m4, k0, k1, k2))
        combine(q, n2, (b, b1, b2, b3, b4), (m0, m1, m2, m3, m4))
    else:
        _gather(r, n2, np.bool_(False), a, stride, M, J, n1, single)
        _gather(r, n2, np.bool_(True), b, stride, K, J, n1, single)
        _gather(q, n2, np.bool_(False), b, stride, M, J, n1, single)


@inlined
def _usual(K, M, i, n):
    """Whether M has five weights, none of them beyond an end, and K three about the same place."""
    first = load_index(M.start, i)
    return M.width == 5 and K.width == 3 and 0 <= first <= n - 5 and load_index(K.start, i) == first + 1


@inlined
def _gather(out, n2, begun, rows, stride, table, i, n, single):
    """out (+)= row i of a table times rows of which there are n."""
    none = np.int64(0)
    gather(out, n2, begun, rows, stride, stride, table, i, none, n, single, none, none, np.int64(1))


@cache
def kernel(dtype: np.dtype) -> int:
    """The address of the kernel; task t is block t of (batch, planes).

    Its arguments: addresses of f, u, out, ints, reals; n0, n1, n2, ints, reals, blocks.
    """

    def task(t, arguments):
        v = carray(arguments, 11)
        n0, n1, n2, blocks = v[5], v[6], v[7], v[10]
        member, block = t // blocks * n0 * n1 * n2 * itemsize, t % blocks
        f, u, out = v[0] + member, v[1] + member, v[2] + member
        ints, reals = carray(pointer(v[3]), (v[8],), np.int64), carray(pointer(v[4]), (v[9],), dtype)
        one, size, at, data = reals[0], reals.itemsize, v[3], v[4]
        K0, M0 = rows_of(at, data, 2, one, size), rows_of(at, data, 2 + HEADER, one, size)
        M1, K1 = rows_of(at, data, 2 + 2 * HEADER, one, size), rows_of(at, data, 2 + 3 * HEADER, one, size)
        M2, K2 = rows_of(at, data, 2 + 4 * HEADER, one, size), rows_of(at, data, 2 + 5 * HEADER, one, size)
        single = rows_of(at, data, 2 + 6 * HEADER, one, size)
        wraps, flat, row = ints[0] != 0, ints[1] == 0, n2 * size
        plane, line = n1 * row, Line(n2, wraps, one, 0, one, one, 0, one, one, size)
        stride = row_bytes(n2, size)
        workspace = np.zeros((2 * n1 + 2) * stride + 4 * SLACK, np.uint8)
        a = first_row(workspace)
        b = a + n1 * stride
        r, q = (a, b) if flat else (b + n1 * stride, b + (n1 + 1) * stride)
        for I in range(block * n0 // blocks, (block + 1) * n0 // blocks):
            for j in range(n1):
                _along_planes(a + j * stride, b + j * stride, n2, u + j * row, plane, K0, M0, I, n0, single)
            for J in range(n1):
                place = I * plane + J * row
                if not flat:
                    _along_rows(r, q, n2, a, b, stride, K1, M1, J, n1, single)
                wrap_ghosts(r, n2, line)
                wrap_ghosts(q, n2, line)
                add_tables(out + place, n2, f + place, r, M2, q, K2)
        workspace[0] = 0  # alive until here

    itemsize = np.dtype(dtype).itemsize
    return cfunc(SIGNATURE, nopython=True, fastmath=FAST, cache=True)(task).address


class FusedInterpolantResidual:
    """(R b, u_c) -> R (b - A Q u_c), arrays of shape (batch, n0, n1, n2) on the coarse grid.

    Parameters
    ----------
    operator : R A Q, of three array axes; those that the grid has not have mass 1 and stiffness 0
    wraps : whether the last axis is periodic
    blocks, alone : how the planes are shared out
    """

    def __init__(
        self,
        operator: InterpolantOperator,
        wraps: bool,
        shape: Sequence[int],
        dtype: np.dtype,
        blocks: int,
        alone: bool,
    ):
        (M0, M1, M2), (K0, K1, K2) = operator.mass, operator.stiffness
        minus = [Table(table.start, -table.weights, table.columns) for table in (M2, K2)]
        tables = [(table, 1, 1) for table in (K0, M0, M1, K1, *minus, identity(1))]
        self._ints, self._reals = pack([int(wraps), int(K1.weights.any())], [1.0], tables, dtype)
        self._tasks, self._alone, self._kernel = shape[0] * blocks, alone, kernel(np.dtype(dtype))
        fixed = [self._ints.ctypes.data, self._reals.ctypes.data, *shape[1:], len(self._ints), len(self._reals)]
        self._arguments = np.array([0, 0, 0, *fixed, blocks], np.int64)

    def __call__(self, f: np.ndarray, u: np.ndarray, out: np.ndarray) -> None:
        self._arguments[:3] = f.ctypes.data, u.ctypes.data, out.ctypes.data
        launch(self._kernel, self._tasks, self._arguments, self._alone)
