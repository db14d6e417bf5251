"""Problems that hold a constant by less than a diagonal in floating point shows: by a tiny c, or a Robin end's alpha.

With A = A_0 + diag(e), e = A 1 (summed without subtraction, so nothing of it is lost) and A_0 1 = 0,

    u = gamma 1 + w,    A_0 w = b - e (gamma + w),    gamma = ((1, b) - (e, w)) / (1, e):

all equations of a part of the domain summed give its constant, a singular problem the rest. That is iterated; an error
shrinks by about (1, e) over the energy of the smoothest wave, 1e-6 or less, so that the second round shows whether it
is done.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
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
        ones = torch.ones([axis.n for axis in A.axes], device="cpu").to(A.k[0])
        part = _parts(A) if _lone(A) else None
        shares = tuple(axis.share for axis in A.axes) if part is None else None
        count = 1 if part is None else int(part.max()) + 1
        floating = torch.ones(1, count, dtype=torch.bool, device=ones.device)
        self.null = NullSpace(A.weigh(ones), shares, part, floating, sum(1 / axis.h for axis in A.axes))
        self.inner = levels(_unheld(A, None if part is None else part >= 0), self.null)
        e = A.excess
        self.e = e if part is None else torch.where(part >= 0, e, 0.0)
        self._dims = tuple(range(-A.ndim, 0))

    def run(self, A: Diffusion, b: Tensor, guess: Tensor | None, stop: "Stop") -> Outcome | None:
        """As ``Multigrid.run``; None where the rounds do not settle, as where weak layers part the domain."""
        e, begun, residuals = self.e, guess is not None, [1.0]
        w = torch.zeros_like(b) if guess is None else self.null.to(guess).centred(guess.clone())
        gamma = self._constant(b, w)
        for done in range(ROUNDS):
            if not torch.isfinite(gamma.to(b)).all():
                return None  # what is not finite, or overflows, is told by who meets it without us
            data = (b - e * (gamma + w)).to(b)
            part = self.inner.run(self.inner.base, data, w if begun or done else None, stop, project=True)
            w, before = part.u, gamma
            gamma = self._constant(b, w)
            residuals = [*residuals, *part.residuals[1:]] if done else part.residuals
            stop = replace(stop, callback=None, relative_to="data")
            same = (gamma - before).abs() <= SAME * (gamma.abs() + w.abs().amax())
            if part.status == "not converged" or (done and bool(same.all())):
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

    def _constant(self, b: Tensor, w: Tensor) -> Tensor:
        """gamma of each part."""
        rest = b.double() - self.e * w
        energy = self.null.sums(self.e.reshape(-1, *self.e.shape[-rest.ndim + 1 :]).double())
        return self.null.spread(self.null.sums(rest) / energy)


def _unheld(A: Diffusion, within: Tensor | None) -> Diffusion:
    """A_0: no reaction, no end that holds u; c stays where unknowns are alone."""

    def inner(k: Tensor, d: int) -> Tensor:
        if A.axes[d].periodic:
            return k
        k, dim, n = k.clone(), d - A.ndim, A.axes[d].n
        k.narrow(dim, 0, 1).zero_()
        k.narrow(dim, n, 1).zero_()
        return k

    c = None if within is None or A.c is None else torch.where(within, 0.0, A.c)
    return A.having([inner(k, d) for d, k in enumerate(A.k)], c)


def _lone(A: Diffusion) -> bool:
    """Whether unknowns are coupled to no other, as beyond a mask."""
    return not bool((A.diagonal > A.having([torch.zeros_like(k) for k in A.k], A.c).excess).all())


def _parts(A: Diffusion) -> Tensor:
    """(*grid) the number of each unknown's part, -1 where it is alone."""
    from scipy.sparse.csgraph import connected_components

    shape = [axis.n for axis in A.axes]
    first = [k[(0,) * max(k.ndim - A.ndim, 0)].cpu() for k in A.k]  # every member has the same mask
    graph = replace(A, k=tuple(first), c=None).to_scipy()
    graph.setdiag(0)
    graph.eliminate_zeros()
    _, label = connected_components(graph, directed=False)
    several = np.bincount(label)[label] > 1
    _, number = np.unique(label[several], return_inverse=True)
    part = np.full(label.shape, -1)
    part[several] = number
    return torch.from_numpy(part.reshape(shape)).to(A.k[0].device)


def loosely_held(seen: Survey) -> bool:
    """Whether each member holds a constant, by less than LOOSE."""
    return bool(((seen.constant > 0) & (seen.constant < LOOSE)).all())
