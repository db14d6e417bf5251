"""Singular problems with convection: A 1 = 0, and pi^T A = 0 for a pi that is 1 only where v has no divergence.

pi, A^T pi = 0, is the stationary density that v carries and a spreads. With w the unknowns' shares of a cell

    u = E^T A^+ F b,    E = I - w 1^T / (1^T w),    F = I - w pi^T / (pi^T w):

F removes from b what no u can produce. For A^T, whose solutions gradients are, pi and 1 change places. pi = 1 + y,
A^T y = -A^T 1, is found by the solver itself: the right-hand side is orthogonal to 1, all that A^T asks of it.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mgnet.pde.problem.checks import finite_data
from mgnet.pde.problem.convection import Convection
from mgnet.pde.problem.nullspace import ROUNDOFF, NullSpace
from mgnet.pde.problem.of_tensors import norms

if TYPE_CHECKING:
    from mgnet.pde.outer.scheme import Scheme

EXACT, FOUND = 1e-13, 1e-10  # relative residual of y that is aimed at, and of pi that will do
ATTEMPTS = 4  # to find pi, each from the last
FREE = 1e-14  # of the diagonal: no more flows together, and pi is 1


@dataclass(frozen=True)
class Stationary:
    """What ``NullSpace`` is to a symmetric operator.

    Parameters
    ----------
    null : the constants;   pi : (batch or 1, *grid), on each part of the mean of 1; None: 1, or not known yet
    transposed : whether the operator is A^T
    """

    null: NullSpace
    pi: Tensor | None
    transposed: bool

    def to(self, like: Tensor) -> "Stationary":
        return replace(self, null=self.null.to(like), pi=None if self.pi is None else self.pi.to(like))

    def compatible(self, b: Tensor, check: bool = False, exact: bool = True, unweighted: bool = False) -> Tensor:
        """b of shape (batch, *grid) without what no u can produce.

        check : refuse a b that has more of that than round-off
        """
        if self.pi is None or self.transposed:
            return self.null.compatible(b, check and self.pi is None, exact)
        total, size, cells = (self.null.sums(self.pi * v) for v in (b, b.abs(), self.null.w))
        cells, eps = torch.where(cells != 0, cells, 1.0), torch.finfo(b.dtype).eps
        mean = torch.where(self.null.floating, total / cells, 0.0)
        limit = torch.maximum(eps**0.5 * size / cells, torch.full_like(mean, ROUNDOFF * eps * self.null.slope))
        if check and not bool((mean.abs() <= limit).all()):  # as where there are NaN
            finite_data(b)
            raise ValueError(
                f"`f` must be orthogonal to the density that `velocity` carries together (with the boundary data; of "
                f"mean zero where that has no divergence on the grid): the problem has only Neumann or periodic ends "
                f"and c = 0, so it fixes u up to a constant. The mean is {float(mean.abs().max()):.3g}, the mean size "
                f"{float((size / cells).max()):.3g}. Give a Dirichlet end or c > 0, or pass project=True to have it "
                f"taken out."
            )
        return b - self.null.w * self.null.spread(mean)

    def centred(self, u: Tensor) -> Tensor:
        """The solution of mean zero."""
        if self.pi is None or not self.transposed:
            return self.null.centred(u)
        total, cells = self.null.sums(self.null.w * u), self.null.sums(self.null.w * self.pi)
        mean = torch.where(self.null.floating & (cells != 0), total / torch.where(cells != 0, cells, 1.0), 0.0)
        return u - self.pi * self.null.spread(mean)


def stationary(A: Convection, null: NullSpace, scheme: "Scheme") -> Stationary:
    """Of a singular A or A^T.

    Raises
    ------
    ValueError : where rounding decides what pi is
    """
    from mgnet.pde.outer.multigrid import Multigrid
    from mgnet.pde.outer.stopping import Stop

    transposed = A.transposed
    A = A if transposed else A.T
    A = A.like(A.back[0].new_zeros((), dtype=torch.float64))
    null, floats = null.to(A.back[0]), null.to(A.back[0]).unknowns()
    together = torch.where(floats, A.excess.reshape(-1, *null.w.shape), 0.0)
    if bool((together.abs() <= FREE * A.diagonal).all()):
        return Stationary(null, None, transposed)
    unknowns, levels = null.sums(floats.to(together)).clamp(min=1), Multigrid(A, None, None, scheme)

    def of_size_one(v: Tensor) -> Tensor:
        size = null.sums(v.abs() * floats) / unknowns
        return torch.where(floats, v / null.spread(torch.where(null.sums(v * floats) < 0, -size, size)), 0.0)

    pi = floats.to(together)
    for _ in range(ATTEMPTS):  # 1 may be far from pi, so that 1 + y is little but rounding
        left = torch.where(floats, A(pi), 0.0)
        b = left - null.spread(null.sums(left) / unknowns) * floats
        pi = of_size_one(pi - levels.run(A, b, None, Stop(EXACT)).u)
        if (norms(A(pi)) <= FOUND * norms(A.magnitude(pi))).all():  # not where it is not finite
            return Stationary(null, pi, transposed)
    remedy = "Give a Dirichlet end or c > 0." if A.is_tame else 'Pass scheme="upwind", or refine the grid.'
    raise ValueError(
        "`velocity` carries all to places between which little is exchanged, and the problem has only Neumann or "
        f"periodic ends and c = 0: what it asks of f, rounding decides. {remedy}"
    )
