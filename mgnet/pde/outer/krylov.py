"""Krylov methods preconditioned by one multigrid cycle M from zero, beyond the stationary iteration.

Conjugate gradients, for a symmetric A and M:

    z = M r,   p <- z + beta p,   x <- x + alpha p,   r = b - A x
    beta = (r, z) / (r, z)_before,   alpha = (r, p) / (p, A p),   (r, p) = (r, z) + beta (r, p_before)

The residual is computed anew from x in each step, so it is the true one, and z, p and the products
with p may be of lower precision than x. Each member of a batch has its own alpha and beta.

r is orthogonal to the p before, until rounding costs that; where (r, p) and (r, z) differ by more than LOST, the
next p is z alone. As alpha minimises the energy (x, A x) / 2 - (b, x) along p all the same, x does not run away:
without both, a residual of 1e-5 may grow to 1e3 where coefficients jump by 1e6.

Minimal residuals, for any A and M (GMRES, but for rounding; it begins anew when there are MANY directions. Remembering
fewer, it stands still where (r, A M r) = 0):

    p = M r,   p <- p - sum_i (A p, A p_i) p_i,   |A p| = 1,   x <- x + (r, A p) p,   r = b - A x

Where r hardly falls, M r is hardly another direction than the one before; GMRES' own, p = M A p_before, always is.

Chebyshev's iteration, for any A whose preconditioned spectrum is known to lie about [lo, hi]: no inner
products, so it cannot break down; theta, delta are the interval's centre and half its length:

    p <- rho_k rho_{k-1} p + 2 rho_k / delta M r,   rho_k = 1 / (2 theta / delta - rho_{k-1}),   x <- x + p

Source: Hestenes & Stiefel 1952; Powell 1977 (to begin anew where orthogonality is lost); Tatebe 1993
(multigrid as the preconditioner); Eisenstat, Elman & Schultz 1983 (truncated conjugate residuals); Jiranek &
Rozloznik 2010, Numer. Algorithms 53, 93 (either direction, by how r falls); Saad 2003, algorithm 12.1.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.levels.hierarchy import Hierarchy, OnTensors
from mgnet.pde.levels.system import System
from mgnet.pde.outer.iteration import Several, one_by_one
from mgnet.pde.problem.checks import as_tensor
from mgnet.pde.problem.members import each, norm_of

FINISHING_STEPS = 2  # steps after a full multigrid pass that is to end at the discretisation error
RESIDUAL = 1e-2  # part of a residual that counts as an error, beside b; where steps work it is below 1e-2 b (measured)
MANY = 40  # directions that minimal residuals remember before they begin anew
SLOW = 0.9  # of a residual: where a step leaves more, the next direction is that of the last A p


class ConjugateGradients:
    """One step after the other, from the last one's iterate; of what they know of it, ``iterate`` makes use.

    Parameters
    ----------
    system : what it works on
    tol : relative residual at which a member of the batch is left alone; None: none is
    """

    name, applications, finishing, squares = "conjugate gradients", 2, FINISHING_STEPS, True

    def __init__(self, system: System, tol: float | None):
        self.system, self._tol = system, 0.0 if tol is None else tol
        self.data, self.tensor, self.norms = system.data, system.tensor, system.norms
        self._x: Any = None

    def release(self, u: Any) -> Tensor:
        return self.system.tensor(u).clone() if u is not self._x else self.system.tensor(u)

    def full_multigrid(self, b: Any) -> Any:
        """The pass costs as much as two steps, and gains less than they do unless f is smooth."""
        self._begin(self.system.full_multigrid(b, measure=False), b)
        return self.further(self._x, b, FINISHING_STEPS)

    def further(self, u: Any, b: Any, steps: int) -> Any:
        self._go_on(u, b)
        for _ in range(steps):
            self.system.advance()
            self._x = self.system.x
        return self._x

    def error(self, size: Tensor, energy: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        """Of the one that the last step began with (r, M r) ~ (e, A e) is known, beside (b, u) ~ (u, A u).

        And of what M knows nothing of, a residual as large as b: the RESIDUAL part of it counts.
        """
        rz, norms = (as_tensor(v) for v in (self.system.state.rz, self.system.state.norms))
        seen = rz.abs() * size**2  # rz is that of b / ||b||
        return torch.cat([seen, (RESIDUAL * norms) ** 2]), torch.cat([energy(), size**2])

    def several(self, u: Any, b: Any, norms: np.ndarray, size: np.ndarray, tol: float, most: int) -> Several:
        self._go_on(u, b)
        before, history = self.system.several(size, tol, most)
        self._x = self.system.x
        return before, self._x, history

    def hold(self, floor: np.ndarray) -> None:
        """Leave members alone from now on whose ||b - A x|| is no more than floor, (batch,)."""
        state = self.system.state
        given = torch.from_numpy(floor).to(state.floor) if isinstance(state.floor, Tensor) else floor
        self.system.state = state._replace(floor=given)

    def _go_on(self, u: Any, b: Any) -> None:
        """From u, which may be the last iterate."""
        if u is None:
            self._begin(None, b)
        elif u is not self._x:
            self._begin(self.system.data(self.system.tensor(u).clone()), b)

    def _begin(self, x: Any, b: Any) -> None:
        self.system.begin(x, b, self._tol)
        self._x = x


class Step(Protocol):
    """How an iteration goes on from the preconditioned residual."""

    def restart(self) -> None: ...

    def datum(self, r: Tensor) -> Tensor:
        """What M is applied to, where r is left."""
        ...

    def __call__(self, z: Tensor, r: Tensor) -> Tensor:
        """The step that is added to x, for z = M r."""
        ...


class Preconditioned(OnTensors):
    """The iteration x <- x + step(M r, r), a hierarchy by itself; iterates are tensors (batch, *grid).

    Parameters
    ----------
    A : any operator on them
    levels : whose cycle is M
    step : MinimalResiduals or Chebyshev
    from_zero : whether the first iterate is a step from zero; else a full multigrid pass
    """

    squares, hold = True, None

    def __init__(self, A: Callable[[Tensor], Tensor], levels: Hierarchy, step: Step, from_zero: bool = False):
        self.A, self.levels, self.step, self._from_zero = A, levels, step, from_zero
        self._x: Tensor | None = None
        self._r = torch.zeros(0, device="cpu")

    def norms(self, u: Tensor | None, b: Tensor) -> Tensor:
        return norm_of(b if u is None else b - self.A(u))

    def measured(self) -> Tensor:
        return norm_of(self._r)

    def full_multigrid(self, b: Tensor, measure: bool = True) -> Tensor:
        if self._from_zero:
            return self.cycle(None, b, measure)
        return self._begin(self.levels.release(self.levels.full_multigrid(self.levels.data(b), measure=False)), b)

    def cycle(self, u: Tensor | None, b: Tensor, measure: bool = True) -> Tensor:
        if u is None or u is not self._x:
            u = self._begin(torch.zeros_like(b) if u is None else u, b)
        r = self.step.datum(self._r)
        z = self.levels.release(self.levels.cycle(None, self.levels.data(r), measure=False))
        self._x = u + self.step(z, self._r)
        self._r = b - self.A(self._x)
        return self._x

    def further(self, u: Tensor, b: Tensor, steps: int) -> Tensor:
        for _ in range(steps):
            u = self.cycle(u, b)
        return u

    def error(self, size: Tensor, energy: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        return self.measured() ** 2, size**2

    def several(
        self, u: Tensor | None, b: Tensor, norms: np.ndarray, size: np.ndarray, tol: float, most: int
    ) -> Several:
        return one_by_one(self, u, b, norms, size, tol, most)

    def _begin(self, x: Tensor, b: Tensor) -> Tensor:
        self._x, self._r = x, b - self.A(x)
        self.step.restart()
        return x


class MinimalResiduals:
    """Steps along the preconditioned residual and the directions before it, as long as lowers ||r|| most."""

    name, applications, finishing = "minimal residuals", 2, 0

    def __init__(self, A: Callable[[Tensor], Tensor]):
        self.A = A

    def restart(self) -> None:
        self._kept: list[tuple[Tensor, Tensor]] = []
        self._size: Tensor | None = None  # of r, as it was

    def datum(self, r: Tensor) -> Tensor:
        if len(self._kept) == MANY:
            self.restart()
        size, before = _dot(r, r).sqrt(), self._size
        self._size = size
        return r if before is None else torch.where(size > SLOW * before, self._kept[-1][1], r)

    def __call__(self, z: Tensor, r: Tensor) -> Tensor:
        p, Ap = z, self.A(z)
        whole = _dot(Ap, Ap)
        for q, Aq in self._kept:
            beta = _dot(Ap, Aq)
            p, Ap = torch.addcmul(p, beta, q, value=-1), torch.addcmul(Ap, beta, Aq, value=-1)
        size = _dot(Ap, Ap)
        if self._kept and bool((size <= torch.finfo(z.dtype).eps * whole).any()):  # no more than rounding: begin anew
            self.restart()
            return self(z, r)
        size = size.sqrt()
        size = torch.where(size > 0, size, 1.0)
        p, Ap = p / size, Ap / size
        step = _dot(r, Ap) * p
        for q, Aq in self._kept:  # what rounding leaves r of them
            step = torch.addcmul(step, _dot(r, Aq), q)
        self._kept = [*self._kept, (p, Ap)]
        return step


class Chebyshev:
    """Steps whose residual polynomial is the smallest on an interval."""

    name, applications, finishing = "Chebyshev iteration", 1, 0

    def __init__(self, spectrum: tuple[float, float]):
        lo, hi = spectrum
        self._theta, self._delta = (hi + lo) / 2, (hi - lo) / 2

    def datum(self, r: Tensor) -> Tensor:
        return r

    def restart(self) -> None:
        self._p: Tensor | None = None
        self._rho = self._delta / self._theta

    def __call__(self, z: Tensor, r: Tensor) -> Tensor:
        if self._p is None:
            self._p = z / self._theta
        else:
            rho = 1 / (2 * self._theta / self._delta - self._rho)
            self._p.mul_(rho * self._rho).add_(z, alpha=2 * rho / self._delta)
            self._rho = rho
        return self._p


def _dot(v: Tensor, w: Tensor) -> Tensor:
    """(batch, 1, ...) the inner product of each member."""
    return each(torch.linalg.vecdot(v.flatten(1), w.flatten(1)), v)
