"""Transfers between a grid and its coarser neighbour: products of one-dimensional tables."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.problem.axis import Axis, Table


@dataclass(frozen=True)
class Transfer:
    """P, Q and R between two grids; P^T = R up to the cell volumes.

    ``P`` linear interpolation of a correction, ``Q`` cubic interpolation of an iterate (full
    multigrid loses the order of the discretisation with less), ``R`` = (volume ratio) P^T, full
    weighting. All act on (*batch, *grid).

    Source: Trottenberg, Oosterlee & Schueller 2001, sections 2.3, 2.6.
    """

    fine: tuple[Axis, ...]
    coarse: tuple[Axis, ...]

    def __post_init__(self) -> None:
        pairs = list(zip(self.fine, self.coarse, strict=True))
        linear = [None if f == c else f.interpolation(c, order=2) for f, c in pairs]
        cubic = [None if f == c else f.interpolation(c, order=4) for f, c in pairs]
        weigh = [
            None if p is None else Table(p.transpose.start, p.transpose.weights * (f.h / c.h), f.n)
            for p, (f, c) in zip(linear, pairs, strict=True)
        ]
        object.__setattr__(self, "tables", (linear, cubic, weigh))

    tables: tuple[list[Table | None], ...] = ()

    def P(self, u_c: Tensor) -> Tensor:
        """Linear interpolation."""
        return apply_tables(self.tables[0], u_c)

    def Q(self, u_c: Tensor) -> Tensor:
        """Cubic interpolation."""
        return apply_tables(self.tables[1], u_c)

    def R(self, r: Tensor) -> Tensor:
        """Full weighting."""
        return apply_tables(self.tables[2], r)


def identity(n: int) -> Table:
    """The table of an axis that both grids share."""
    return Table(np.arange(n), np.ones((n, 1)), n)


def apply_tables(tables: Sequence[Table | None], v: Tensor) -> Tensor:
    """A product of one-dimensional tables; None leaves its axis alone."""
    for d, table in enumerate(tables):
        if table is not None:
            v = _apply_along(table, v, d - len(tables))
    return v


def _apply_along(table: Table, v: Tensor, dim: int) -> Tensor:
    index = torch.as_tensor(table.index, device=v.device)
    weights = torch.as_tensor(table.weights, dtype=v.dtype, device=v.device)
    shape = [-1] + [1] * (-1 - dim)
    return sum(  # type: ignore[return-value]
        v.index_select(dim, index[:, k]) * weights[:, k].reshape(shape) for k in range(index.shape[1])
    )
