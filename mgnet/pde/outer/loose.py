"""Parts of the domain whose constant is held by less than a diagonal in floating point shows: by a tiny c or Robin end.

With A = A_0 + diag(e), e = A 1 (summed without subtraction, so nothing of it is lost) and A_0 1 = 0,

    u = gamma 1 + w,    A_0 w = b - e (gamma + w),    gamma = ((1, b) - (e, w)) / (1, e):

all equations of a part of the domain summed give its constant, a singular problem the rest. That is iterated; an error
shrinks by about (1, e) over the energy of the smoothest wave, 1e-6 or less, so that the second round shows whether it
is done.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mgnet.pde.blackbox.traits import Survey
from mgnet.pde.outer.iterate import Outcome
from mgnet.pde.problem.nullspace import NullSpace, constants
from mgnet.pde.problem.operators import Diffusion

if TYPE_CHECKING:
    from mgnet.pde.outer.multigrid import Multigrid, Stop

LOOSE = 1e-12  # energy of a constant over that of the diagonal; levels in float64 know it well above 1e-14
ROUNDS = 4
SAME = 1e-9  # relative change of the constant after which it is known


class Loose:
    """The problem in which loosely held parts are not held, and how their constants are found.

    Parameters
    ----------
    A : the operator
    part : (*grid) the number of each unknown's part, -1 in none; None: all are in one
    loose : (batch or 1, parts) which to set free; floating : those that nothing holds
    levels : (A_0, its null space) -> what solves it
    """

    def __init__(
        self,
        A: Diffusion,
        part: Tensor | None,
        loose: Tensor,
        floating: Tensor | None,
        levels: Callable[[Diffusion, NullSpace], "Multigrid"],
    ):
        self.null = constants(A, part, loose if floating is None else loose | floating)
        within = constants(A, part, loose).unknowns()
        self.e = torch.where(within, A.excess, 0.0)
        self._energy = torch.where(loose, self.null.sums(self.e.double()), torch.inf)  # else gamma is 0
        self._dims = tuple(range(-A.ndim, 0))
        self.inner = levels(_unheld(A, within[0] if len(within) == 1 else within), self.null)

    def run(self, A: Diffusion, b: Tensor, guess: Tensor | None, stop: "Stop") -> Outcome | None:
        """As ``Multigrid.run``; None where the rounds do not settle, as where weak layers part the domain."""
        begun, residuals = guess is not None, [1.0]
        w = torch.zeros_like(b) if guess is None else self.null.to(guess).centred(guess.clone())
        gamma = self._constant(b, w)
        for done in range(ROUNDS):
            if not torch.isfinite(gamma.to(b)).all():
                return None  # what is not finite, or overflows, is told by who meets it without us
            u = gamma + w
            rest = self.inner.run(
                self.inner.base, (b - self.e * u).to(b), w if begun or done else None, stop, project=True
            )
            w = rest.u
            gamma = self._constant(b, w)
            residuals = [*residuals, *rest.residuals[1:]] if done else rest.residuals
            stop = replace(stop, callback=None, relative_to="data")
            if rest.status == "not converged" or (done and self._settled(gamma + w, u, b)):
                return self._whole(A, b, (gamma + w).to(b), replace(rest, residuals=residuals, guessed=begun), stop)
        return None

    def _settled(self, u: Tensor, before: Tensor, b: Tensor) -> bool:
        """Whether a round changed neither a constant nor the data of the singular problem."""
        moved = self.e * (u - before)
        constant = (self.null.sums(moved) / self._energy).abs() <= SAME * u.abs().amax(self._dims)[:, None]
        data = torch.linalg.vector_norm(moved, dim=self._dims) <= SAME * torch.linalg.vector_norm(b, dim=self._dims)
        return bool(constant.all() and data.all())

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

    def _constant(self, b: Tensor, w: Tensor) -> Tensor:
        """gamma of each part."""
        return self.null.spread(self.null.sums(b.double() - self.e * w) / self._energy)


def _unheld(A: Diffusion, within: Tensor) -> Diffusion:
    """A_0: where it is said, without c and ends."""

    def without_ends(k: Tensor, d: int) -> Tensor:
        if A.axes[d].periodic:
            return k
        dim, n = d - A.ndim, A.axes[d].n
        inside = torch.zeros_like(within).narrow(dim, 0, n - 1)
        ends = torch.cat([within.narrow(dim, 0, 1), inside, within.narrow(dim, n - 1, 1)], dim)
        return torch.where(ends, 0.0, k)

    c = None if within.all() or A.c is None else torch.where(within, 0.0, A.c)
    return A.having([without_ends(k, d) for d, k in enumerate(A.k)], c)


def loose_parts(A: Diffusion, part: Tensor | None, seen: Survey) -> Tensor | None:
    """(batch or 1, parts) whether a part holds its constant by less than LOOSE; None: none does."""
    if part is None or int(part.max()) == 0:
        held = torch.from_numpy(seen.constant).to(A.k[0].device)[:, None]
    else:
        every = constants(A, part, torch.ones(1, int(part.max()) + 1, dtype=torch.bool, device=part.device))
        grid = [axis.n for axis in A.axes]
        energy, size = (
            every.sums(v.expand(*v.shape[: -A.ndim], *grid).reshape(-1, *grid)) for v in (A.excess, A.diagonal)
        )
        held = energy / size
    loose = (held > 0) & (held < LOOSE)
    return loose if loose.any() else None
