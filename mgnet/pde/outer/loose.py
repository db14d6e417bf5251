"""Bodies whose constants are held by less than a diagonal in floating point shows: see ``problem.bodies``.

On bodies u = y + w, y constant on each and w small beside it; elsewhere u = y. With A = A_0 + E, where A_0 couples the
unknowns of each body and E is all the rest (so that A_0 leaves nothing of y, and E u needs no more of w than u shows),

    A_0 w = b - E u  on the bodies, singular,        A y = b - A w  with bodies no stiffer than floating point allows.

That is iterated; an error shrinks by what holds a body over the energy of its smoothest wave, so that the second round
shows whether it is done. Where the bodies are all there is, the second equation is one number for each,

    gamma = (1, b - E w) / (1, E 1).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from mgnet.pde.blackbox.traits import Survey
from mgnet.pde.outer.iterate import Outcome
from mgnet.pde.outer.stopping import Stop
from mgnet.pde.problem.bodies import bodies
from mgnet.pde.problem.fourth_order import FourthOrder
from mgnet.pde.problem.nullspace import NullSpace, constants
from mgnet.pde.problem.operators import Diffusion, Operator

ROUNDS = 6
SAME = 1e-10  # relative change that is to come when u is known
TOLERANCE = 1e-6  # of y in each
STIFF = 1e9  # for y: what couples a body, over what holds it per unknown
CONTRAST = 1e10  # ratio of conductances from which there may be bodies


class Solves(Protocol):
    """What solves with an operator, ``base``."""

    base: Any

    def run(self, A: Operator, b: Tensor, guess: Tensor | None, stop: Stop, project: bool = False) -> Outcome: ...

    def work(self, A: Operator, outcome: Outcome) -> float: ...


Make = Callable[[Diffusion, NullSpace | None], Solves]


class Loose:
    """The two problems, and the rounds between them.

    Parameters
    ----------
    A : the operator
    body : (members, *grid) the number of each unknown's body, -1 in none
    null : what A maps to zero, if anything
    inside : (*grid) what is not masked; None: all
    levels : what solves with an operator and its null space
    """

    def __init__(self, A: Diffusion, body: Tensor, null: NullSpace | None, inside: Tensor | None, levels: Make):
        A = A.like(A.k[0].new_zeros((), dtype=torch.float64))
        grid, self._dims = body.shape[-A.ndim :], tuple(range(-A.ndim, 0))
        held = [_within(body, d, A) for d in range(A.ndim)]
        self.within, self.bodies = body >= 0, constants(A, body, _numbers(body))
        self.E = A.diffusion.having([torch.where(h, 0.0, k) for h, k in zip(held, A.k, strict=True)], A.c)
        bonds = [torch.where(h, k, 0.0) for h, k in zip(held, A.k, strict=True)]
        self.A_0 = A.having(bonds, None)
        alone = torch.where(self.within, 0.0, A.diagonal.max())  # elsewhere an equation of its own, with data 0
        self.inner = levels(A.having(bonds, alone), self.bodies)
        energy = self.bodies.sums(self.E.diagonal.expand(len(body), *grid).contiguous())
        self._energy, self._size = energy, self.bodies.sums(self.within.double())
        self.stiff: Solves | None = None
        if not _everything(self.within, inside) or any(_inner(k, d, A).any() for d, k in enumerate(self.E.k)):
            most = self.bodies.spread(STIFF * energy / self._size.clamp(min=1))
            self.stiff = levels(A.having([_limited(A, d, h, most) for d, h in enumerate(held)], A.c), null)

    def run(self, A: Operator, b: Tensor, guess: Tensor | None, stop: Stop) -> Outcome | None:
        """As ``Multigrid.run``; None where the rounds do not settle, or A is of order 4 and more than c holds."""
        A_0: Operator = self.inner.base
        sums: FourthOrder | None = None
        if isinstance(A, FourthOrder):
            if A.transposed or not self._by_c:
                return None
            A_0, sums = replace(A, base=self.inner.base), replace(A, base=self.A_0)
        begun, exact = guess is not None, replace(stop, tol=SAME if stop.tol is None else stop.tol)
        data = b.double()
        y = torch.zeros_like(data) if guess is None else self._constants(guess.double())
        w = torch.zeros_like(data) if guess is None else torch.where(self.within, guess.double() - y, 0.0)
        residuals, before, change = [1.0], y, torch.ones(2, dtype=torch.float64, device="cpu")
        y = self._held(data, y, w, exact, residuals, sums)
        for done in range(ROUNDS):
            if not torch.isfinite(y.to(b)).all():
                return None  # what is not finite, or overflows, is told by who meets it without us
            r = torch.where(self.within, data - self.E(y + w), 0.0)
            rest = self.inner.run(A_0, r, w if begun or done else None, exact, project=True)
            w, exact = rest.u, replace(exact, callback=None, relative_to="data")
            residuals += rest.residuals[1:]
            if rest.status == "not converged":
                return Outcome((y + w).to(b), residuals, rest.status, begun)
            last, change = change, self._change(y - before, y + w, data) if done else change
            if done and bool((change * (change / last).clamp(max=1.0) <= SAME).all()):
                return self._whole(A, b, (y + w).to(b), residuals, begun, stop)
            before, y = y, self._held(data, y, w, exact, residuals, sums)
        return None

    def _held(
        self, b: Tensor, y: Tensor, w: Tensor, stop: Stop, residuals: list[float], A_0: FourthOrder | None
    ) -> Tensor:
        """y, given w; A_0 where the sums of A_0 w on bodies are not 0."""
        if self.stiff is None:
            left = b - self.E(w) if A_0 is None else b - self.E(w) - A_0(w)
            return self.bodies.spread(self.bodies.sums(left) / torch.where(self._energy > 0, self._energy, 1.0))
        E_u = self.E(y + w)
        means = (self.bodies.sums(b) - self.bodies.sums(E_u)) / self._size.clamp(min=1)  # of A_0 w they are 0
        r = torch.where(self.within, self.bodies.spread(means), b - E_u)
        stop = replace(stop, tol=TOLERANCE, relative_to="data", callback=None)
        rest = self.stiff.run(self.stiff.base, r, None, stop, project=True)
        residuals += rest.residuals[1:]
        return y + self._constants(rest.u)

    @property
    def _by_c(self) -> bool:
        """Whether c alone holds the bodies, which are all there is."""
        return self.stiff is None and not any(k.any() for k in self.E.k)

    def _constants(self, u: Tensor) -> Tensor:
        """u, with its means on bodies."""
        return torch.where(self.within, self.bodies.spread(self.bodies.sums(u) / self._size.clamp(min=1)), u)

    def _change(self, moved: Tensor, u: Tensor, b: Tensor) -> Tensor:
        """(2,) what a round changed: of u, and of the data of the singular problem."""
        data = torch.where(self.within, self.E(moved), 0.0)
        of_data = (torch.linalg.vector_norm(v, dim=self._dims) for v in (data, b))
        of_u = (v.abs().amax(self._dims) for v in (moved, u))
        return torch.stack([_ratio(*of_u).amax(), _ratio(*of_data).amax()]).cpu()

    def _whole(self, A: Operator, b: Tensor, u: Tensor, residuals: list[float], begun: bool, stop: Stop) -> Outcome:
        """With what rounding of u leaves of its residual."""
        if stop.tol is None:
            return Outcome(u, [], "full multigrid", begun)
        sizes = (torch.linalg.vector_norm(v, dim=self._dims) for v in (b - A.like(b)(u), b))
        worst = float(_ratio(*sizes).max())
        met = worst <= stop.tol
        return Outcome(u, residuals if met else [*residuals[:-1], worst], "tolerance" if met else "round-off", begun)


@dataclass(frozen=True)
class Held:
    """What is hardly held: what solves for it, and whether something else is, of which rounding decides what u is."""

    loose: Loose | None = None
    lost: bool = False


def hardly_held(A: Diffusion, null: NullSpace | None, part: Tensor | None, limit: float, levels: Make) -> Held:
    """Of A by less than ``limit`` of the diagonal; the rest as ``Loose`` and ``may_be_loose`` take it."""
    found = bodies(A.diffusion, limit)
    if found.number is None:
        return Held(lost=found.lost)
    loose = Loose(A, found.number, null, None if part is None else part >= 0, levels)
    if A.diagonal_couplings and loose.stiff is not None:  # what leaves a body along diagonals is not known
        return Held(lost=found.lost)
    return Held(loose, found.lost)


def may_be_loose(A: Diffusion, part: Tensor | None, seen: Survey, limit: float) -> bool:
    """Whether it is worth while to look for bodies.

    part : (batch or 1, *grid) the number of each unknown's part of the domain, -1 in none; None: all are in one
    limit : of what holds a body, over its diagonal
    """
    if max(seen.contrast, seen.variation) >= CONTRAST:
        return True
    if part is None or int(part.max()) == 0:
        held = seen.constant
    else:
        every = constants(A, part, torch.ones(1, int(part.max()) + 1, dtype=torch.bool, device=part.device))
        grid = [axis.n for axis in A.axes]
        energy, size = (
            every.sums(v.expand(*v.shape[: -A.ndim], *grid).reshape(-1, *grid)) for v in (A.excess, A.diagonal)
        )
        held = (energy / size).cpu().numpy()
    return bool(((held > 0) & (held < limit)).any())


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return part / torch.where(whole > 0, whole, 1.0)


def _numbers(body: Tensor) -> Tensor:
    """(members, bodies) which numbers a member has."""
    count = torch.arange(int(body.max()) + 1, device=body.device)
    return count <= body.flatten(1).amax(1, keepdim=True)


def _sides(v: Tensor, d: int, ndim: int) -> tuple[Tensor, Tensor]:
    """v of the unknowns below and above each face of axis d, wrapped."""
    n, dim = v.shape[d - ndim], d - ndim
    face = torch.arange(n + 1, device=v.device)
    return v.index_select(dim, (face - 1) % n), v.index_select(dim, face % n)


def _within(body: Tensor, d: int, A: Diffusion) -> Tensor:
    """Which faces of axis d lie between unknowns of one body."""
    below, above = _sides(body, d, A.ndim)
    held = (below == above) & (below >= 0)
    if not A.axes[d].periodic:
        for at in (0, A.axes[d].n):
            held.narrow(d - A.ndim, at, 1).fill_(False)
    return held


def _inner(k: Tensor, d: int, A: Diffusion) -> Tensor:
    """The conductances between unknowns."""
    return k if A.axes[d].periodic else k.narrow(d - A.ndim, 1, A.axes[d].n - 1)


def _limited(A: Diffusion, d: int, held: Tensor, most: Tensor) -> Tensor:
    """k of axis d, within a body no larger than ``most``, (members, *grid), there."""
    k = torch.where(held, A.weigh(A.k[d], but=d), 1.0)
    return torch.where(held, A.k[d] * (_sides(most, d, A.ndim)[0] / k).clamp(max=1.0), A.k[d])


def _everything(within: Tensor, inside: Tensor | None) -> bool:
    return bool((within if inside is None else within | ~inside.to(within.device)).all())
