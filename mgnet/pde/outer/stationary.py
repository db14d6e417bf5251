"""Singular problems with convection: A 1 = 0, and pi^T A = 0 for a pi that is 1 only where v has no divergence.

pi, A^T pi = 0, is the stationary density that v carries and a spreads. With w the unknowns' shares of a cell

    u = E^T A^+ F b,    E = I - w 1^T / (1^T w),    F = I - w pi^T / (pi^T w):

F removes from b what no u can produce. For A^T, whose solutions gradients are, pi and 1 change places.

Levels are made of A + s e e^T, e one unknown, which is not singular: where pi^T b = 0, so is u_e, and what solves with
it solves A u = b. What rounding leaves of pi^T b ends in the equation of e, over pi_e: so e is where pi is largest. pi
itself is found by the solver, (A + s e e^T)^T pi = s e.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mgnet.pde.problem.checks import finite_data
from mgnet.pde.problem.convection import Convection
from mgnet.pde.problem.nullspace import ROUNDOFF, NullSpace
from mgnet.pde.problem.of_tensors import norms

SLIGHT, ROUGH = 1e-6, 1e-3  # of the diagonal, and a relative residual, that tell where pi is large
EXACT, FOUND = 1e-13, 1e-10  # relative residual that is aimed at, and of pi that will do
ATTEMPTS, NEAR = 4, 10.0  # to find pi, each held where the last is largest: about so, then
FREE = 1e-14  # of the diagonal: no more flows together, and pi is 1


@dataclass(frozen=True)
class Stationary:
    """What ``NullSpace`` is to a symmetric operator.

    Parameters
    ----------
    null : the constants;   pi : (batch or 1, *grid), on each part of the mean of 1; None: 1, or not known yet
    transposed : whether the operator is A^T
    held : (batch or 1, *grid) the c of A + s e e^T, e on each part; None: that of A will do
    """

    null: NullSpace
    pi: Tensor | None
    transposed: bool
    held: Tensor | None = None

    def to(self, like: Tensor) -> "Stationary":
        return replace(self, null=self.null.to(like), pi=None if self.pi is None else self.pi.to(like))

    def compatible(self, b: Tensor, check: bool = False, exact: bool = True, unweighted: bool = False) -> Tensor:
        """b of shape (batch, *grid) without what no u can produce.

        check : refuse a b that has more of that than round-off
        """
        if self.pi is None or self.transposed:
            return self.null.compatible(b, check and self.pi is None, exact)
        cells, eps = self.null.sums(self.pi * self.null.w), torch.finfo(b.dtype).eps
        cells = torch.where(cells != 0, cells, 1.0)
        mean, size = self._mean(b, cells), self.null.sums(self.pi * b.abs())
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
        rest = b - self.null.w * self.null.spread(mean)  # twice, as ``NullSpace`` does
        rest = rest - self.null.w * self.null.spread(self._mean(rest, cells))
        nothing = self.null.sums(self.pi * rest.abs()) <= eps * size
        return torch.where(self.null.spread(nothing), 0.0, rest)

    def _mean(self, b: Tensor, cells: Tensor) -> Tensor:
        """(batch, parts) of b, by pi."""
        assert self.pi is not None
        return torch.where(self.null.floating, self.null.sums(self.pi * b) / cells, 0.0)

    def centred(self, u: Tensor) -> Tensor:
        """The solution of mean zero."""
        if self.pi is None or not self.transposed:
            return self.null.centred(u)
        total, cells = self.null.sums(self.null.w * u), self.null.sums(self.null.w * self.pi)
        mean = torch.where(self.null.floating & (cells != 0), total / torch.where(cells != 0, cells, 1.0), 0.0)
        return u - self.pi * self.null.spread(mean)


def stationary(A: Convection, null: NullSpace, solve: Callable[[Convection, Tensor, float], Tensor]) -> Stationary:
    """Of a singular A or A^T; solve(A, b, tol) is A^-1 b of an A that is not.

    Raises
    ------
    ValueError : where rounding decides what pi is
    """
    transposed = A.transposed
    A = A if transposed else A.T
    A = A.like(A.back[0].new_zeros((), dtype=torch.float64))
    null, floats = null.to(A.back[0]), null.to(A.back[0]).unknowns()
    together = torch.where(floats, A.excess.reshape(-1, *null.w.shape), 0.0)
    if bool((together.abs() <= FREE * A.diagonal).all()):
        return Stationary(null, None, transposed)
    unknowns, D = null.sums(floats.to(together)).clamp(min=1), torch.where(A.diagonal > 0, A.diagonal, 1.0)

    def solved(more: Tensor, tol: float) -> tuple[Tensor, Tensor]:
        """(c, v) (A + more) v = more, where ``more`` of c is all that holds v."""
        c = more if A.c is None else A.c + more
        return c, solve(A.with_c(c), A.weigh(more), tol)

    def of_size_one(v: Tensor) -> Tensor:
        size = null.sums(v.abs() * floats) / unknowns
        return torch.where(floats, v / null.spread(torch.where(null.sums(v * floats) < 0, -size, size)), 0.0)

    with suppress(FloatingPointError):
        _, v = solved(SLIGHT * D * floats, ROUGH)
        for _ in range(ATTEMPTS):
            held, v = solved(D * null.largest(v), EXACT)
            pi = of_size_one(v)
            found = (norms(A(pi)) <= FOUND * norms(A.magnitude(pi))).all()  # not where it is not finite
            if found and v.abs().amax() <= NEAR:
                return Stationary(null, pi, transposed, held)
    remedy = "Give a Dirichlet end or c > 0." if A.is_tame else 'Pass scheme="upwind", or refine the grid.'
    raise ValueError(
        "`velocity` carries all to places between which little is exchanged, and the problem has only Neumann or "
        f"periodic ends and c = 0: what it asks of f, rounding decides. {remedy}"
    )
