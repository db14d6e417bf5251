"""Weighted sums over a box, and iterates whose weighted mean is zero.

Weights are products of a vector per axis, w = w0 x w1 x w2. Where A 1 = 0 and the datum has mean zero, a step
keeps the mean of u, weighted by the shares of a cell: w^T (u + omega/d w^-1 (b - A u)) = w^T u. So the mean of the
iterate that steps on Q u_c + P e will lead to is (Q^T w)^T u_c + (P^T w)^T e, and a number added to e is added to it.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numba import carray, cfunc
from torch import Tensor

from mgnet.pde.axis import Table
from mgnet.pde.kernels.launch import FAST, SIGNATURE, launch, pointer, share_out
from mgnet.pde.kernels.pointwise import shift
from mgnet.pde.kernels.sums import absolute, dotted
from mgnet.pde.kernels.tables import ROUNDOFF
from mgnet.pde.kernels.vectors import load
from mgnet.pde.transfers import Transfer

SUMS, CENTRE = range(2)


@cache
def _kernel(dtype: np.dtype) -> int:
    """The address of both operations; task t is part t % parts (of the planes) of member t // parts.

    SUMS: sums[t] = (w^T v, sum of |v|). CENTRE: v -= the sum of all parts' first sums, here and in ``others``.
    Its arguments: what; addresses of v, w (w0, w1 and w2 one after the other), sums and others (tasks, 2);
    n0, n1, n2, parts, tasks.
    """

    def task(t, arguments):
        v = carray(arguments, 10)
        n0, n1, n2, parts = v[5], v[6], v[7], v[8]
        member, part = t // parts, t % parts
        row, w0 = n2 * itemsize, v[2]
        w1, begin, end = w0 + n0 * itemsize, part * n0 // parts, (part + 1) * n0 // parts
        w2, at = w1 + n1 * itemsize, v[1] + (member * n0 + begin) * n1 * row
        sums, others = carray(pointer(v[3]), (v[9], 2), np.float64), carray(pointer(v[4]), (v[9], 2), np.float64)
        total, size = 0.0, 0.0
        if v[0] == SUMS:
            for i in range(begin, end):
                for j in range(n1):
                    total += load(w0, i, one) * load(w1, j, one) * dotted(at, w2, n2, one)
                    size += absolute(at, n2, one)
                    at += row
            sums[t, 0], sums[t, 1] = total, size
        else:
            for k in range(member * parts, (member + 1) * parts):
                total += sums[k, 0] + others[k, 0]
            shift(at, (end - begin) * n1 * n2, -total, one)

    itemsize, one = np.dtype(dtype).itemsize, np.dtype(dtype).type(1)
    return cfunc(SIGNATURE, nopython=True, fastmath=FAST, cache=True)(task).address


class Box:
    """Operations on arrays (batch, n0, n1, n2) with a vector of weights per axis."""

    def __init__(self, shape: Sequence[int], weights: Sequence[np.ndarray], dtype: np.dtype):
        batch, n0, n1, n2 = shape
        parts, self._alone = share_out(batch, n0, batch * n0 * n1 * n2)
        self._weights = np.concatenate(weights).astype(dtype)
        self.sums, self._kernel = np.zeros((batch, parts, 2)), _kernel(np.dtype(dtype))
        fixed = [self._weights.ctypes.data, self.sums.ctypes.data, self.sums.ctypes.data]
        self._arguments = np.array([SUMS, 0, *fixed, n0, n1, n2, parts, batch * parts], np.int64)

    def totals(self) -> tuple[np.ndarray, np.ndarray]:
        """(batch,) w^T v and the sums of |v| of the v that SUMS were last run on."""
        total, size = self.sums.sum(axis=1).T
        return total, size

    def run(self, what: int, v: np.ndarray, others: "Box | None" = None) -> None:
        self._arguments[:2] = what, v.ctypes.data
        self._arguments[4] = (others or self).sums.ctypes.data
        launch(self._kernel, int(self._arguments[9]), self._arguments, self._alone)


def weighted_sums(v: Tensor, weights: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(batch,) w^T v and the sums of |v| for v of shape (batch, *grid), contiguous; a vector of weights per axis."""
    array = v.contiguous().numpy()
    one = np.ones(1)
    w = [weights[0], one, weights[1]] if len(weights) == 2 else [*[one] * (3 - len(weights)), *weights]
    box = Box((len(v), *(len(each) for each in w)), w, array.dtype)
    box.run(SUMS, array)
    return box.totals()


class Centring:
    """Adds to e the number that lets w^T (Q u + P e) be zero, in place.

    Parameters
    ----------
    P, Q : per array axis, from the coarse grid to the fine one
    w : per array axis the fine unknowns' shares of a cell
    shape : (batch, n0, n1, n2) of u and e
    """

    def __init__(
        self, P: Sequence[Table], Q: Sequence[Table], w: Sequence[np.ndarray], shape: Sequence[int], dtype: np.dtype
    ):
        ones = [share / share.sum() for share in w]
        self._u, self._e = (
            Box(shape, [_transposed(T, v) for T, v in zip(Ts, ones, strict=True)], dtype) for Ts in (Q, P)
        )

    def __call__(self, u: np.ndarray, e: np.ndarray) -> None:
        self._u.run(SUMS, u)
        self._e.run(SUMS, e)
        self._e.run(CENTRE, e, self._u)


def keeps_means(transfer: Transfer) -> bool:
    """Whether P and Q take means to means, weighted by the shares of a cell: on periodic axes cut in half they do."""
    for Ts in transfer.tables[:2]:
        for T, fine, coarse in zip(Ts, transfer.fine, transfer.coarse, strict=True):
            ratio = np.ones(1) if T is None else _transposed(T, fine.share) / coarse.share
            if np.ptp(ratio) > ROUNDOFF * ratio.max():
                return False
    return True


def _transposed(table: Table, v: np.ndarray) -> np.ndarray:
    """table^T v."""
    out = np.zeros(table.columns)
    np.add.at(out, table.index, table.weights * v[:, None])
    return out
