"""Problems that hold a constant by less than a diagonal in floating point shows: by a tiny c, or a Robin end's alpha.

With A = A_0 + diag(e), e = A 1 (summed without subtraction, so nothing of it is lost) and A_0 1 = 0,

    u = gamma 1 + w,    A_0 w = b - e (gamma + w),    gamma = ((1, b) - (e, w)) / (1, e):

all equations summed give the constant, a singular problem the rest. That is iterated; an error shrinks by about (1, e)
over the energy of the smoothest wave, 1e-6 or less, so that the second round shows whether it is done.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mgnet.pde.blackbox.traits import Survey
from mgnet.pde.outer.iterate import Outcome
from mgnet.pde.problem.nullspace import NullSpace
from mgnet.pde.problem.operators import Diffusion

if TYPE_CHECKING:
    from mgnet.pde.outer.multigrid import Multigrid, Stop

LOOSE = 1e-12  # energy of a constant over that of the diagonal; levels in float64 know it well above 1e-14
ROUNDS = 4
SAME = 1e-9  # relative change of the constant after which it is known


class Loose:
    """The singular problem beside an operator, and how the constant is found.

    Parameters
    ----------
    A : the operator, each of whose members holds a constant by less than LOOSE
    levels : (A_0, its null space) -> what solves it
    """

    def __init__(self, A: Diffusion, levels: Callable[[Diffusion, NullSpace], "Multigrid"]):
        self.e = A.excess
        rest = _unheld(A)
        ones = torch.ones_like(self.e[(0,) * (self.e.ndim - A.ndim)])
        shares, slope = tuple(axis.share for axis in A.axes), sum(1 / axis.h for axis in A.axes)
        floating = torch.ones(1, 1, dtype=torch.bool, device=ones.device)
        self.inner = levels(rest, NullSpace(A.weigh(ones), shares, None, floating, slope))
        self._dims = tuple(range(-A.ndim, 0))

    def run(self, A: Diffusion, b: Tensor, guess: Tensor | None, stop: "Stop") -> Outcome | None:
        """As ``Multigrid.run``; None where the rounds do not settle, as where weak layers part the domain."""
        e, E = self.e, self._sum(self.e)
        w = torch.zeros_like(b) if guess is None else guess - guess.mean(self._dims, keepdim=True)
        gamma, begun, residuals = (self._sum(b) - self._sum(e * w)) / E, guess is not None, [1.0]
        for done in range(ROUNDS):
            if not torch.isfinite(gamma.to(b)).all():
                return None  # what is not finite, or overflows, is told by who meets it without us
            data = (b - e * (gamma + w)).to(b)
            part = self.inner.run(self.inner.base, data, w if begun or done else None, stop, project=True)
            w, before = part.u, gamma
            gamma = (self._sum(b) - self._sum(e * w)) / E
            residuals = [*residuals, *part.residuals[1:]] if done else part.residuals
            stop = replace(stop, callback=None)
            if done and bool(((gamma - before).abs() <= SAME * gamma.abs() + SAME * w.abs().amax()).all()):
                return self._whole(A, b, (gamma + w).to(b), replace(part, residuals=residuals, guessed=begun), stop)
        return None

    def _whole(self, A: Diffusion, b: Tensor, u: Tensor, outcome: Outcome, stop: "Stop") -> Outcome:
        """With what rounding of u leaves of its residual."""
        if stop.tol is None:
            return replace(outcome, u=u)
        size = torch.linalg.vector_norm(b, dim=self._dims)
        left = torch.linalg.vector_norm(b - A.like(b)(u), dim=self._dims) / torch.where(size > 0, size, 1.0)
        worst = float(left.max())
        if outcome.status != "tolerance" or worst <= stop.tol:
            return replace(outcome, u=u)
        return replace(outcome, u=u, status="round-off", residuals=[*outcome.residuals[:-1], worst])

    def _sum(self, v: Tensor) -> Tensor:
        return v.double().sum(self._dims, keepdim=True)


def _unheld(A: Diffusion) -> Diffusion:
    """A_0: no reaction, no end that holds u."""

    def inner(k: Tensor, d: int) -> Tensor:
        if A.axes[d].periodic:
            return k
        k, dim, n = k.clone(), d - A.ndim, A.axes[d].n
        k.narrow(dim, 0, 1).zero_()
        k.narrow(dim, n, 1).zero_()
        return k

    return A.having([inner(k, d) for d, k in enumerate(A.k)], None)


def loosely_held(A: Diffusion, seen: Survey) -> bool:
    """Whether each member holds a constant, by less than LOOSE, and no unknown is alone, as beside a mask."""
    if not ((seen.constant > 0) & (seen.constant < LOOSE)).all():
        return False
    return bool((A.diagonal > A.having([torch.zeros_like(k) for k in A.k], A.c).excess).all())
