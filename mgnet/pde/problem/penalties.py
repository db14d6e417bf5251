"""Penalties, a c or the alpha of Robin ends that fixes unknowns: their u is taken out of b first.

With A = K + D, D what c and the ends hold by, and u_0 = b / D where D is LARGE beside all else in the diagonal, 0
elsewhere,

    A (u - u_0) = b - A u_0,

which is 0 - K u_0 in those rows. Without it b were as much larger than what happens elsewhere, and a residual small
beside b would say nothing of that.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mgnet.pde.problem.axis import Robin
from mgnet.pde.problem.plain import plain

if TYPE_CHECKING:
    from mgnet.pde.problem.poisson import Poisson

LARGE = 10.0  # times all else in the diagonal: what fixes an unknown


@dataclass(frozen=True)
class Penalties:
    """Where they are.

    Parameters
    ----------
    A, K : the operator, with and without what holds u
    held, where : (*batch, *grid) or broadcastable, D, and where it is LARGE
    """

    A: Any
    K: Any
    held: Tensor
    where: Tensor

    def lift(self, b: Tensor) -> tuple[Tensor, Tensor]:
        """(b - A u_0, u_0) for b of shape (*batch, *grid)."""
        held, K = torch.where(self.where, self.held, 1.0).to(b), self.K.like(b)
        u_0 = torch.where(self.where, b / held, 0.0)
        return torch.where(self.where, 0.0, b) - K(u_0), u_0

    def begin(self, guess: Tensor, b: Tensor, u_0: Tensor) -> Tensor:
        """A guess of u as one of u - u_0, in whose rows the equations hold, which rounding of u would not tell."""
        A, where = self.A.detached().like(b), self.where.detach()
        e, b = torch.where(where, 0.0, guess - u_0.detach()), b.detach()
        return torch.where(where, (b - A(e)) / A.diagonal, e)


def penalties(problem: "Poisson", A: Any) -> Penalties | None:
    """Those of a problem, or of its A without a graph; None: there are none, or all is one.

    The fourth order is left as it is.
    """
    ends = [end for axis in A.axes for end in (axis.low, axis.high) if axis.centering == "node"]
    robin, with_c = any(isinstance(end, Robin) for end in ends), problem.c_varies
    if not (robin or with_c) or A.base is not A:
        return None
    K = A.having_sides(_without_ends(A) if robin else A.sides, None if with_c else A.c)
    held = A.diagonal - K.diagonal if robin else A.weigh(A.c)
    where = problem.inside(held) * (1 + 1 / LARGE) > A.diagonal
    if plain(where) and not (where.any() and problem.inside(~where).any()):
        return None
    return Penalties(A, K, held, where)


def _without_ends(A: Any) -> list[tuple[Tensor, Tensor]]:
    """What couples unknowns across the faces between them alone."""
    sides = []
    for d, (axis, pair) in enumerate(zip(A.axes, A.sides, strict=True)):
        dim, none = d - A.ndim, torch.zeros_like(pair[0].narrow(d - A.ndim, 0, 1))
        low, high = (torch.cat([none, k.narrow(dim, 1, axis.n - 1), none], dim=dim) for k in pair)
        sides.append(pair if axis.periodic else (low, high))
    return sides
