"""The restricted residual of an interpolant on the coarse grid, see ``mgnet.pde.interpolant``.

Along the last axis with one pair of tables, along the first two with sums of products:

    out = f - M2 (K0 x M1 + M0 x K1) u - K2 (M0 x M1) u
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numba import carray, cfunc

from mgnet.pde.axis import Table
from mgnet.pde.interpolant import InterpolantOperator
from mgnet.pde.kernels.launch import FAST, SIGNATURE, launch, part, pointer
from mgnet.pde.kernels.rows import (
    SLACK,
    Line,
    add_row,
    add_tables,
    first_row,
    five_weights_of,
    gather,
    row_bytes,
    three_weights_of,
    wrap_ghosts,
)
from mgnet.pde.kernels.tables import HEADER, pack, rows_of
from mgnet.pde.kernels.vectors import combine_both, load_index


@part
def _gather_both(r, q, n2, u, plane, K, M, I, n0, single):
    """r = row I of K times the rows of u, q the same of M."""
    first, zero = load_index(M.start, I), K.one - K.one
    inside = 0 <= first and first + M.width <= n0
    if inside and M.width == 5 and K.width == 3 and load_index(K.start, I) == first + 1:
        u0 = u + first * plane
        rows = (u0, u0 + plane, u0 + 2 * plane, u0 + 3 * plane, u0 + 4 * plane)
        k0, k1, k2 = three_weights_of(K, I)
        combine_both((r, q), n2, rows, ((zero, k0, k1, k2, zero), five_weights_of(M, I)))
    else:
        _gather_flat(r, n2, u, plane, K, I, n0, single)
        _gather_flat(q, n2, u, plane, M, I, n0, single)


@part
def _gather_flat(out, n2, u, plane, table, I, n0, single):
    """out = row I of a table times the rows of u."""
    first = load_index(table.start, I)
    if 0 <= first and first + table.width <= n0:
        add_row(out, n2, np.int64(0), u + first * plane, plane, table, I)
    else:
        none, one = np.int64(0), np.int64(1)
        gather(out, n2, np.bool_(False), u, plane, plane, table, I, none, n0, single, none, none, one)


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
        one, size, at, data, none = reals[0], reals.itemsize, v[3], v[4], np.int64(0)
        K0, M0 = rows_of(at, data, 2, one, size), rows_of(at, data, 2 + HEADER, one, size)
        M1, K1 = rows_of(at, data, 2 + 2 * HEADER, one, size), rows_of(at, data, 2 + 3 * HEADER, one, size)
        M2, K2 = rows_of(at, data, 2 + 4 * HEADER, one, size), rows_of(at, data, 2 + 5 * HEADER, one, size)
        wraps, row = ints[0] != 0, n2 * size
        plane, line = n1 * row, Line(n2, wraps, one, 0, one, one, 0, one, one, size)
        stride = row_bytes(n2, size)
        workspace = np.zeros(2 * stride + 4 * SLACK, np.uint8)
        r = first_row(workspace)
        q = r + stride
        for I in range(block * n0 // blocks, (block + 1) * n0 // blocks):
            for J in range(n1):
                place = I * plane + J * row
                if ints[1] == 0:  # two dimensions: M1 = 1
                    _gather_both(r, q, n2, u, plane, K0, M0, I, n0, M1)
                else:
                    gather(r, n2, np.bool_(False), u, plane, row, K0, I, none, n0, M1, J, none, n1)
                    gather(r, n2, np.bool_(True), u, plane, row, M0, I, none, n0, K1, J, none, n1)
                    gather(q, n2, np.bool_(False), u, plane, row, M0, I, none, n0, M1, J, none, n1)
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
        tables = [(table, 1, 1) for table in (K0, M0, M1, K1, *minus)]
        self._ints, self._reals = pack([int(wraps), int(K1.weights.any())], [1.0], tables, dtype)
        self._tasks, self._alone, self._kernel = shape[0] * blocks, alone, kernel(np.dtype(dtype))
        fixed = [self._ints.ctypes.data, self._reals.ctypes.data, *shape[1:], len(self._ints), len(self._reals)]
        self._arguments = np.array([0, 0, 0, *fixed, blocks], np.int64)

    def __call__(self, f: np.ndarray, u: np.ndarray, out: np.ndarray) -> None:
        self._arguments[:3] = f.ctypes.data, u.ctypes.data, out.ctypes.data
        launch(self._kernel, self._tasks, self._arguments, self._alone)
