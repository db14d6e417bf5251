"""Transfers between a grid and its coarser neighbour: products of one-dimensional tables."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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
        tables = once_each(_tables, zip(self.fine, self.coarse, strict=True))
        object.__setattr__(self, "tables", tuple(list(kind) for kind in zip(*tables, strict=True)))

    tables: tuple[list[Table | None], ...] = ()

    @property
    def on_all_axes(self) -> Iterator[list[Table]]:
        """The tables of P, of Q and of R, with the identity on axes that both grids share."""
        return ([t or identity(axis.n) for t, axis in zip(kind, self.fine, strict=True)] for kind in self.tables)

    def P(self, u_c: Tensor) -> Tensor:
        """Linear interpolation."""
        return apply_tables(self.tables[0], u_c)

    def Q(self, u_c: Tensor) -> Tensor:
        """Cubic interpolation."""
        return apply_tables(self.tables[1], u_c)

    def R(self, r: Tensor) -> Tensor:
        """Full weighting."""
        return apply_tables(self.tables[2], r)


def once_each(make: Callable[..., Any], of: Iterable[tuple]) -> list[Any]:
    """make(*each), once for those that are equal: the axes of a square have the same tables."""
    known: list[tuple[tuple, Any]] = []
    for each in of:
        known.append((each, next((made for other, made in known if other == each), None) or make(*each)))
    return [made for _, made in known]


def _tables(f: Axis, c: Axis) -> tuple[Table | None, Table | None, Table | None]:
    """P, Q and R along an axis."""
    if f == c:
        return None, None, None
    P = f.interpolation(c, order=2)
    return P, f.interpolation(c, order=4), Table(P.transpose.start, P.transpose.weights * (f.h / c.h), f.n)


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
