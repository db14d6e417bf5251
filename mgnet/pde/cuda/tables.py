"""What the kernels read about an axis, as small arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mgnet.pde.levels.interpolant import InterpolantOperator
from mgnet.pde.levels.transfers import Transfer, identity
from mgnet.pde.problem.axis import Axis, Table
from mgnet.pde.problem.conductances import conductances


def line(axis: Axis | None, a: float) -> np.ndarray:
    """(5, n) the rows of L = W^-1 T along an axis: lower and upper coupling, centre, the shares W, the rows' sums.

    An end has no coupling beyond it, unless the axis is periodic. None: an axis of one unknown.
    """
    if axis is None:
        return np.array([[0.0], [0.0], [0.0], [1.0], [0.0]])
    (k,), _ = conductances([axis], [torch.full((axis.n + 1,), a, dtype=torch.float64, device="cpu")])
    lower, upper = k.numpy()[:-1].copy(), k.numpy()[1:].copy()
    centre, excess = lower + upper, np.zeros(axis.n)
    if not axis.periodic:
        excess[0] += lower[0]
        excess[-1] += upper[-1]
        lower[0] = upper[-1] = 0.0
    return np.stack([lower / axis.share, upper / axis.share, centre / axis.share, axis.share, excess / axis.share])


def unclipped(table: Table) -> Table:
    """The same matrix, each row's window beginning with its first entry; windows may reach beyond an end.

    ``start`` then grows from row to row, so that a march through the columns meets the rows in turn.
    """
    keep = table.weights != 0
    first, last = keep.argmax(axis=1), keep.shape[1] - keep[:, ::-1].argmax(axis=1)
    width = int((last - first).max())
    at = first[:, None] + np.arange(width)
    inside = at < keep.shape[1]
    weights = np.take_along_axis(table.weights, np.minimum(at, keep.shape[1] - 1), axis=1) * inside
    return Table(table.start + first, weights, table.columns)


def parts(
    R: Table | None, n: int, coarse: int, tile: int, nu: int, residual: bool, rows: slice | None = None
) -> np.ndarray:
    """(blocks, 6) the blocks of an axis: base, lo, hi, c_lo, c_hi, end.

    A block owns the unknowns [lo, hi) and the coarse ones [c_lo, c_hi); its iterate needs nu, its
    residual nu + 1 unknowns more on either side, in all [base, end).

    Parameters
    ----------
    R : the table of full weighting; None: an axis of one unknown, in a tile of one
    coarse : coarse unknowns of a block
    tile : [base, end) fits; no bound if 0
    rows : the coarse unknowns that are restricted to; None: all

    Returns
    -------
    blocks, none if one does not fit
    """
    if R is None:
        return np.array([[0, 0, 1, 0, 1, 1]])
    first, n_c = (0, len(R.start)) if rows is None else (rows.start, rows.stop - rows.start)
    c_lo = np.arange(0, n_c, coarse)
    c_hi = np.minimum(c_lo + coarse, n_c)
    lo, hi = c_lo * n // n_c, c_hi * n // n_c
    c_lo, c_hi = first + c_lo, first + c_hi
    base, end = lo - nu, hi + nu
    if residual:
        base = np.minimum(lo, R.start[c_lo]) - nu - 1
        end = np.maximum(hi, R.start[c_hi - 1] + R.weights.shape[1]) + nu + 1
    if tile and (end - base).max() > tile:
        return np.empty((0, 6), int)
    return np.stack([base, lo, hi, c_lo, c_hi, end], axis=1)


def fitting(R: Table | None, n: int, tile: int, nu: int, residual: bool, rows: slice | None = None) -> np.ndarray:
    """``parts`` with as many coarse unknowns a block as fit into the tile."""
    most = 1 if R is None else min(tile, len(R.start))
    for coarse in range(most, 0, -1):
        found = parts(R, n, coarse, tile, nu, residual, rows)
        if len(found):
            return found
    raise AssertionError(f"a tile of {tile} holds no block: {nu} steps")


@dataclass(frozen=True)
class Described:
    """A grid, or a window of one, and its transfers, as the kernels read them; lists are of the array axes n0, n1, n2.

    Parameters
    ----------
    n, n_c : unknowns of the grid and of the next coarser one
    lines : see ``line``, c in that of n0;   P, Q, R : tables, those of R ``unclipped``
    rows : the coarse unknowns that are restricted to;   counted : the unknowns whose residual counts
    wraps : whether n0 is periodic
    mass, stiffness : of the interpolant's operator, per grid axis, see ``InterpolantOperator``
    """

    n: list[int]
    n_c: list[int]
    lines: list[np.ndarray]
    P: list[Table]
    Q: list[Table]
    R: list[Table]
    rows: list[slice]
    counted: list[slice]
    wraps: bool
    mass: Sequence[Table]
    stiffness: Sequence[Table]


def three(v: Sequence) -> list:
    """Per grid axis to per array axis (n0, n1, n2); two dimensions have no n1."""
    return [v[0], None, v[1]] if len(v) == 2 else list(v)


def described(transfer: Transfer, a: Sequence[float], c: float) -> Described:
    """A whole grid."""
    fine = three(transfer.fine)
    n, n_c = ([1 if axis is None else axis.n for axis in three(axes)] for axes in (transfer.fine, transfer.coarse))
    lines = [line(axis, a_d) for axis, a_d in zip(fine, three(a), strict=True)]
    lines[0][[2, 4]] += c
    P, Q, R = (packed(three(tables), n) for tables in transfer.tables)
    operator = InterpolantOperator.of(transfer, a, c)
    rows, counted = ([slice(0, m) for m in each] for each in (n_c, n))
    wraps = bool(fine[0].periodic)
    return Described(
        n, n_c, lines, P, Q, [unclipped(t) for t in R], rows, counted, wraps, operator.mass, operator.stiffness
    )  # fmt: skip


def packed(tables: Sequence[Table | None], ns: Sequence[int]) -> list[Table]:
    """Per array axis its table, the identity where there is none."""
    return [table or identity(n) for table, n in zip(tables, ns, strict=True)]
