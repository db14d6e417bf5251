"""Tables (``axis.Table``) as the kernels read them: headers, starts and weights in two flat arrays."""

from collections import namedtuple
from collections.abc import Sequence

import numpy as np

from mgnet.pde.axis import Table
from mgnet.pde.kernels.emitter import REGISTER
from mgnet.pde.kernels.launch import inlined
from mgnet.pde.kernels.vectors import load_index

HEADER = 5  # integers a table: where its starts and weights lie, the weights a row, the range that repeats

WIDEST = REGISTER // 8
ROUNDOFF = 1e-14  # relative differences of weights that are meant to be equal

# a table: addresses of its starts and weights, the weights a row; rows [lo, hi) repeat; the number 1 and its bytes
Rows = namedtuple("Rows", "start weights width lo hi one size")


@inlined
def rows_of(ints, reals, at, one, size):
    """The table whose header is number ``at`` of the integers; addresses of the two arrays."""
    header = ints + 8 * at
    start, weights = ints + 8 * load_index(header, 0), reals + size * load_index(header, 1)
    return Rows(start, weights, load_index(header, 2), load_index(header, 3), load_index(header, 4), one, size)


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
        assert table.weights.shape[1] <= WIDEST, "a row's weights must fill no more than one vector, see ``rows.dot``"
        headers += [at, wat, table.weights.shape[1], *repeating(table, period, shift)]
        at, wat = at + len(table.start), wat + table.weights.size
    starts, weights = zip(*((table.start, table.weights.ravel()) for table, _, _ in tables), strict=True)
    return (
        np.concatenate([np.array([*ints, *headers]), *starts]).astype(np.int64),
        np.concatenate([np.array(reals, float), *weights]).astype(dtype),
    )


def repeating(table: Table, period: int, shift: int) -> tuple[int, int]:
    """[lo, hi), the longest range on which row i + period is row i, ``shift`` columns further.

    Its length is a multiple of the period; (0, 0) where nothing repeats. Row lo + 1 begins at row lo's first column
    where the period is 2 and the shift 1.
    """
    start, w = table.start, table.weights
    alike = np.abs(w[period:] - w[:-period]).max(1, initial=0) <= ROUNDOFF * np.abs(w).max()
    same = (start[period:] - start[:-period] == shift) & alike
    edges = np.flatnonzero(np.diff(np.concatenate([[0], same.astype(int), [0]])))
    if len(edges) == 0:
        return 0, 0
    runs = edges.reshape(-1, 2)
    lo, last = (int(i) for i in runs[np.argmax(runs[:, 1] - runs[:, 0])])
    end = last + period
    lo += period == 2 and start[lo] != start[lo + 1]
    return lo, lo + (end - lo) // period * period
