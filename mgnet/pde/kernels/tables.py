"""Tables (``axis.Table``) as the kernels read them: headers, starts and weights in two flat arrays."""

from collections import namedtuple
from collections.abc import Sequence

import numpy as np
from numba import njit

from mgnet.pde.axis import Table
from mgnet.pde.kernels.launch import FAST

HEADER = 5  # integers a table: where its starts and weights lie, the weights a row, the range that repeats

ROUNDOFF = 1e-14  # relative differences of weights that are meant to be equal

# a table: addresses of its starts and weights, the weights a row; rows [lo, hi) repeat; the number 1 and its bytes
Rows = namedtuple("Rows", "start weights width lo hi one size")


@njit(fastmath=FAST, nogil=True)
def rows_of(ints, reals, at, one):
    """The table whose header is at ints[at]."""
    start, weights = ints.ctypes.data + 8 * ints[at], reals.ctypes.data + reals.itemsize * ints[at + 1]
    return Rows(start, weights, ints[at + 2], ints[at + 3], ints[at + 4], one, reals.itemsize)


def pack(
    ints: Sequence[int], reals: Sequence[float], tables: Sequence[tuple[Table, int, int]], dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """Integers, then the headers of the tables, then their starts; reals, then their weights.

    Parameters
    ----------
    tables : (table, period, shift), see ``repeating``
    """
    at, wat = len(ints) + HEADER * len(tables), len(reals)
    headers: list[int] = []
    for table, period, shift in tables:
        headers += [at, wat, table.weights.shape[1], *repeating(table, period, shift)]
        at, wat = at + len(table.start), wat + table.weights.size
    starts, weights = zip(*((table.start, table.weights.ravel()) for table, _, _ in tables), strict=True)
    return (
        np.concatenate([np.array([*ints, *headers]), *starts]).astype(np.int64),
        np.concatenate([np.array(reals, float), *weights]).astype(dtype),
    )


def repeating(table: Table, period: int, shift: int) -> tuple[int, int]:
    """[lo, hi), the longest range on which row i + period is row i, ``shift`` columns further.

    Its length is a multiple of the period; (0, 0) where nothing repeats.
    """
    start, w = table.start, table.weights
    alike = np.abs(w[period:] - w[:-period]).max(1, initial=0) <= ROUNDOFF * np.abs(w).max()
    same = (start[period:] - start[:-period] == shift) & alike
    edges = np.flatnonzero(np.diff(np.concatenate([[0], same.astype(int), [0]])))
    if len(edges) == 0:
        return 0, 0
    runs = edges.reshape(-1, 2)
    lo, last = (int(i) for i in runs[np.argmax(runs[:, 1] - runs[:, 0])])
    return lo, lo + (last - lo + period) // period * period
