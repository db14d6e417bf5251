"""Penalties, a c or the alpha of Robin ends that fixes unknowns: their u is taken out of b first.

With A = K + D, D what c and the ends hold by, and u_0 = b / D where D is LARGE beside all else in the diagonal, 0
elsewhere,

    A (u - u_0) = b - A u_0,

which is 0 - K u_0 in those rows. Without it b were as much larger than what happens elsewhere, and a residual small
beside b would say nothing of that.
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from mgnet.pde.problem.axis import Robin
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.plain import plain

LARGE = 10.0  # times all else in the diagonal: what fixes an unknown


class Problem(Protocol):
    grid: Grid
    A: Any

    @property
    def c_varies(self) -> bool: ...

    def inside(self, v: Tensor) -> Tensor: ...


class Rows(Protocol):
    """The equations of a process, whose operator knows those beside them, too."""

    def owned(self, v: Tensor) -> Tensor:
        """Of what lies where the operator does, this process's."""
        ...

    def widened(self, v: Tensor) -> Tensor:
        """What is this process's, where the operator is."""
        ...

    def anywhere(self, here: Tensor) -> Tensor:
        """What holds on some process."""
        ...


class All:
    """``Rows`` of one process."""

    def owned(self, v: Tensor) -> Tensor:
        return v

    def widened(self, v: Tensor) -> Tensor:
        return v

    def anywhere(self, here: Tensor) -> Tensor:
        return here


@dataclass(frozen=True)
class Penalties:
    """Where they are.

    Parameters
    ----------
    rows : those of this process
    A, K : the operator, with and without what holds u
    held, where : (*batch, *grid) or broadcastable, D, and where it is LARGE
    """

    rows: Rows
    A: Any
    K: Any
    held: Tensor
    where: Tensor

    def lift(self, b: Tensor) -> tuple[Tensor, Tensor]:
        """(b - A u_0, u_0) for b of shape (*batch, *grid)."""
        u_0 = torch.where(self.where, b / torch.where(self.where, self.held, 1.0).to(b), 0.0)
        return torch.where(self.where, 0.0, b) - self._times(self.K, u_0), u_0

    def begin(self, guess: Tensor, b: Tensor, u_0: Tensor) -> Tensor:
        """A guess of u as one of u - u_0, in whose rows the equations hold, which rounding of u would not tell."""
        A, where = self.A.detached().like(b), self.where.detach()
        e, b = torch.where(where, 0.0, guess - u_0.detach()), b.detach()
        return torch.where(where, (b - self._times(A, e)) / self.rows.owned(A.diagonal), e)

    def _times(self, A: Any, u: Tensor) -> Tensor:
        """A u in this process's equations."""
        return self.rows.owned(A.like(u)(self.rows.widened(u)))


class Lift:
    """What is taken out of a problem's b; where its A is plain numbers it is found once."""

    def __init__(self, problem: Problem, rows: Rows | None = None):
        self._problem, self._rows = problem, All() if rows is None else rows
        self._found: Penalties | Literal[False] | None = None  # False: there are none

    def __call__(
        self, b: Tensor, guess: Tensor | None, boundary: Any, graph: bool
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """b and the guess without the u of penalties, and that; None: there are none.

        graph : whether u is to hang on A
        """
        problem, found = self._problem, self._found
        if boundary is None and not problem.c_varies:
            return b, guess, None
        if graph and not all(plain(v) for v in problem.A.tensors):
            found = penalties(problem, self._rows, problem.A)
        elif found is None:
            found = self._found = penalties(problem, self._rows, problem.A.detached()) or False
        if not found:
            return b, guess, None
        b, u_0 = found.lift(b)
        return b, None if guess is None else found.begin(problem.inside(guess), b, u_0), u_0


def penalties(problem: Problem, rows: Rows, A: Any) -> Penalties | None:
    """Those of a problem, or of its A without a graph; None: there are none, or all is one.

    The fourth order is left as it is.
    """
    ends = [end for axis in problem.grid.axes for end in (axis.low, axis.high) if axis.centering == "node"]
    robin, with_c = any(isinstance(end, Robin) for end in ends), problem.c_varies
    if not (robin or with_c) or A.base is not A:
        return None
    K = A.having_sides(_without_ends(A) if robin else A.sides, None if with_c else A.c)
    held, diagonal = (rows.owned(v) for v in (A.diagonal - K.diagonal if robin else A.weigh(A.c), A.diagonal))
    where = problem.inside(held) * (1 + 1 / LARGE) > diagonal
    if plain(where) and not rows.anywhere(torch.stack([where.any(), problem.inside(~where).any()])).all():
        return None
    return Penalties(rows, A, K, held, where)


def _without_ends(A: Any) -> list[tuple[Tensor, Tensor]]:
    """What couples unknowns across the faces between them alone."""
    sides = []
    for d, (axis, pair) in enumerate(zip(A.axes, A.sides, strict=True)):
        dim, none = d - A.ndim, torch.zeros_like(pair[0].narrow(d - A.ndim, 0, 1))
        low, high = (torch.cat([none, k.narrow(dim, 1, axis.n - 1), none], dim=dim) for k in pair)
        sides.append(pair if axis.periodic else (low, high))
    return sides
