"""Constant coefficients on a chain of grids, told to the kernels.

A = W L with the shares W of a cell and

    (L u)_i = (c + x_i) u_i + sum_d k_d ((u_i - u_{i-1}) + (u_i - u_{i+1})),    k_d = a_d / h_d^2

Values beyond an end are reflections, +-u or 0; what a Robin end adds is x. Steps divide by D, which is that of an inner
equation, or, where an end is Robin or unknowns are coloured, the diagonal of L.
"""

from collections.abc import Sequence

import numpy as np

from mgnet.pde.levels.direct import eigenbasis
from mgnet.pde.levels.interpolant import of_interpolants, robin
from mgnet.pde.levels.transfers import Transfer, identity
from mgnet.pde.native import four, kernels, padded
from mgnet.pde.problem.axis import DIRICHLET, PERIODIC, Axis, Table

ROUNDOFF = 1e-14  # relative differences of weights that are meant to be equal
# An axis that a grid does not have: one unknown, and what it is multiplied by.
NO_END = kernels.End(0.0, 0, 1.0, 0.0, 0.0)
NO_AXIS = kernels.Axis(1, False, 0.0, NO_END, NO_END)
ONE = kernels.Table(np.zeros(1, np.int64), np.ones((1, 1)), 1)
NO_STIFFNESS = kernels.Table(np.zeros(1, np.int64), np.zeros((1, 1)), 1, np.zeros(1))

Steps = Sequence[tuple[float, int]]  # (damping, colour) of each; colour -1: all unknowns


def grid(transfer: Transfer, a: Sequence[float], c: float, exact: bool, steps: tuple[Steps, Steps]) -> kernels.Grid:
    """A fine grid and its transfers.

    Parameters
    ----------
    exact : whether D is the diagonal of L at the ends, too
    steps : of the way down and of the way up
    """
    fine, coarse = transfer.fine, transfer.coarse
    P, Q, R = transfer.on_all_axes
    axes = [axis_of(axis, a_d, exact) for axis, a_d in zip(fine, a, strict=True)]
    mass, stiffness = of_interpolants(fine, a, c, R, Q)
    Ps, Qs, Rs, Ms = (kernel_tables(kind) for kind in (P, Q, R, mass))
    Ks = kernel_tables([K for K, _ in stiffness], [sums for _, sums in stiffness], NO_STIFFNESS)
    sizes = four([axis.n for axis in coarse])
    return kernels.Grid(len(fine), padded(axes, NO_AXIS), sizes, Ps, Qs, Rs, Ms, Ks, *steps)


def direct(axes: Sequence[Axis], a: Sequence[float], c: float) -> kernels.Direct:
    """The coarsest grid."""
    Vs, D = eigenbasis(axes, a, c)
    V = [np.ascontiguousarray(v, float) for v in padded(Vs, np.ones((1, 1)))]
    return kernels.Direct(V, np.ascontiguousarray(D.reshape(four(D.shape)), float))


def centring(transfer: Transfer) -> list[list[np.ndarray]]:
    """Per array axis the weights (of u, of e) of the mean of Q u + P e, over the shares of a cell.

    Where A 1 = 0 and the datum has mean zero, a step keeps the mean of u, weighted by the shares of a cell:
    w^T (u + omega/d w^-1 (b - A u)) = w^T u. So it is the mean of what steps will lead to.
    """
    out = []
    for P, Q, axis in zip(*transfer.tables[:2], transfer.fine, strict=True):
        w = axis.share / axis.share.sum()
        out.append([_transposed(T or identity(axis.n), w) for T in (Q, P)])
    return padded(out, [np.ones(1), np.ones(1)])


def keeps_means(transfer: Transfer) -> bool:
    """Whether P and Q take means to means, weighted by the shares of a cell: on periodic axes cut in half they do."""
    for Ts in transfer.tables[:2]:
        for T, fine, coarse in zip(Ts, transfer.fine, transfer.coarse, strict=True):
            ratio = np.ones(1) if T is None else _transposed(T, fine.share) / coarse.share
            if np.ptp(ratio) > ROUNDOFF * ratio.max():
                return False
    return True


def axis_of(axis: Axis, a: float, exact: bool) -> kernels.Axis:
    """An axis of the finest, or any, grid."""
    low, high = (end_of(axis, a, side, exact) for side in (0, 1))
    return kernels.Axis(axis.n, axis.periodic, a / axis.h**2, low, high)


def end_of(axis: Axis, a: float, side: int, exact: bool, first: int = 0) -> kernels.End:
    """(sign, index, share, x, D less that of an inner equation) of an end; ``first``: the axis' first unknown there."""
    sign, index = axis.ghost(side)
    index -= first
    end, k = (axis.low, axis.high)[side], a / axis.h**2
    if end == PERIODIC:
        return kernels.End(sign, index, 1.0, 0.0, 0.0)
    x = robin(axis, end, a)
    cell = axis.centering == "cell"
    more = k if cell and end == DIRICHLET else x - k if cell else x
    return kernels.End(sign, index, float(axis.share[-side]), x, more if exact else 0.0)


def kernel_tables(
    tables: Sequence[Table], sums: Sequence[np.ndarray | None] = (None,) * 3, none: kernels.Table = ONE
) -> list[kernels.Table]:
    """Of each axis; axes that share a table share its, and ``none`` is of those that there are not."""
    made: dict[int, kernels.Table] = {}
    for table, of_one in zip(tables, sums, strict=False):
        if id(table) not in made:
            made[id(table)] = kernel_table(table, of_one)
    return padded([made[id(table)] for table in tables], none)


def kernel_table(table: Table, sums: np.ndarray | None = None) -> kernels.Table:
    start, weights = np.ascontiguousarray(table.start, np.int64), np.ascontiguousarray(table.weights, float)
    return kernels.Table(start, weights, table.columns, sums)


def _transposed(table: Table, v: np.ndarray) -> np.ndarray:
    """table^T v."""
    out = np.zeros(table.columns)
    np.add.at(out, table.index, table.weights * v[:, None])
    return out
