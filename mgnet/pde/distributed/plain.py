"""Passes over windows in plain torch: any device; the twin of the kernels'."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mgnet.pde.distributed.nearby import part_of
from mgnet.pde.distributed.passes import NONE, WAYS, WORK, Windowed, Windows, owned
from mgnet.pde.levels.constant import diagonal, operator, two_colours
from mgnet.pde.problem.axis import Table


class PlainPasses:
    """``Passes`` on tensors (batch, *window)."""

    apart = False

    def __init__(self, asked: Windows):
        self._asked = asked
        self._grids = [PlainWindow(grid, asked) for grid in asked.grids]

    def empty(self, l: int, kind: int = WORK) -> Tensor:
        return self._asked.like.new_zeros(self._asked.shape(l))

    def tensor(self, l: int, v: Tensor) -> Tensor:
        return v

    def go(
        self, l: int, f: Tensor, u: Tensor | None = None, guess: Tensor | None = None, e: Tensor | None = None,
        out: Tensor | None = None, f_c: Tensor | None = None, way: int = NONE, norm: bool = False, omega: float = 1.0,
    ) -> Tensor | None:  # fmt: skip
        g = self._grids[l]
        v = u if guess is None else g.Q(guess)
        if e is not None:
            v = g.P(e) if v is None else v + g.P(e)
        for step in (step for name in WAYS[way] for step in g.steps[name]):
            v = step(f) if v is None else v + step(f - g.A(v))
        if omega != 1:
            assert u is not None
            assert v is not None
            v = u + omega * (v - u)
        if out is not None:
            assert v is not None
            out.copy_(v)
        if f_c is None and not norm:
            return None
        r = f if v is None else f - g.A(v)
        if f_c is not None:
            f_c.copy_(g.R(r))
        return torch.linalg.vector_norm(r[g.owned].flatten(1), dim=1, dtype=torch.float64) ** 2 if norm else None

    def interpolant(self, l: int, f: Tensor, f_c: Tensor, guess: Tensor, out: Tensor) -> None:
        g = self._grids[l]
        torch.sub(f_c, g.R(g.A(g.Q(guess))), out=out)


class PlainWindow:
    """A, the steps of both ways, P, Q and R on one window; a value is held beyond its planes."""

    def __init__(self, of: Windowed, asked: Windows):
        axes = [axis if w.whole else part_of(axis, w) for axis, w in zip(of.transfer.fine, of.fine, strict=True)]
        like = asked.like.new_zeros(())
        self.A, self.owned = operator(axes, asked.a, asked.c, like), owned(of.fine)
        D = self.A.diagonal if asked.own else diagonal(self.A, asked.a, asked.c)
        colours = (*two_colours(axes, like), 1.0)  # the last for a colour of -1
        ways = zip(("down", "up"), (of.down, of.up), strict=True)
        self.steps = {name: [_step(omega * colours[colour] / D) for omega, colour in way] for name, way in ways}
        self.P, self.Q, self.R = (Product(tables, like) for tables in of.tables())


class Product:
    """A product of one-dimensional tables that lie on a device: v -> (T0 x T1 x ...) v; None leaves its axis alone."""

    def __init__(self, tables: Sequence[Table | None], like: Tensor):
        self._tables = [
            None if t is None else (torch.from_numpy(t.index).to(like.device), torch.from_numpy(t.weights).to(like))
            for t in tables
        ]

    def __call__(self, v: Tensor) -> Tensor:
        for d, table in enumerate(self._tables, -len(self._tables)):
            if table is not None:
                index, weights = table
                each = weights.reshape(*weights.shape, *[1] * (-1 - d))
                v = sum(v.index_select(d, index[:, k]) * each[:, k] for k in range(index.shape[1]))  # type: ignore[assignment]
        return v


def _step(scale: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda r: scale * r
