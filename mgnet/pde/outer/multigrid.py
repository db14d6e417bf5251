"""The solver behind the doors: plain tensors in, an iterate and its history out."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.cuda.memory import on_device
from mgnet.pde.levels.hierarchy import Hierarchy, Nested
from mgnet.pde.outer.adrift import ADRIFT, ENOUGH, VOID, is_adrift
from mgnet.pde.outer.at_once import at_once
from mgnet.pde.outer.choice import CPU, Levels
from mgnet.pde.outer.finishing import cycles_after, unfinished
from mgnet.pde.outer.iterate import Outcome, iterate, per_member, relative
from mgnet.pde.outer.krylov import Chebyshev, ConjugateGradients, MinimalResiduals, Preconditioned
from mgnet.pde.outer.loose import Held, hardly_held, may_be_loose
from mgnet.pde.outer.scale import extreme, narrowed, rescaled
from mgnet.pde.outer.scheme import Scheme
from mgnet.pde.outer.stationary import Stationary, stationary
from mgnet.pde.outer.steps import Steps
from mgnet.pde.outer.stopping import DONE, UNDONE, Stop, far, from_pass, gone_on
from mgnet.pde.outer.turns import Turn, in_turn
from mgnet.pde.outer.work import solve_work
from mgnet.pde.problem.bodies import LOOSE, LOOSE_OF_ORDER_4
from mgnet.pde.problem.checks import finite_data
from mgnet.pde.problem.convection import Convection
from mgnet.pde.problem.nullspace import NullSpace
from mgnet.pde.problem.of_tensors import norms
from mgnet.pde.problem.operators import Diffusion, Operator
from mgnet.pde.problem.precision import unaffected

TINY = 1e-20  # conductances below it: what they are multiplied with and divided by is beyond float32 (1e-30 and 1e30)
HARDLY_HELD = (
    "Part of the domain is held by less than float64 shows beside its own couplings (a tiny `a` around it, `c` or "
    "Robin alpha, and no jump in between), so rounding decides what u is there. Hold it by more, or mask it out."
)
NOT_TAME = (
    "Where |v| h / a is large, central differences leave a matrix that is nearly singular. Pass "
    'scheme="upwind", or refine the grid.'
)


class Multigrid:
    """The levels for one operator, set up at the first use of a batch size; calls take turns.

    Parameters
    ----------
    base : the second-order operator that the levels are made of; plain tensors, without a graph
    constant : (a per axis, c) where the coefficients are constant, else None
    null : what base maps to zero, if anything
    part : (batch or 1, *grid) the number of each unknown's part of the domain, -1 in none; None: all are in one
    """

    def __init__(
        self,
        base: Any,
        constant: tuple[tuple[float, ...], float] | None,
        null: NullSpace | None,
        scheme: Scheme,
        part: Tensor | None = None,
    ):
        self.base, self.null, self.part, self.levels = base, null, part, Levels(base, constant, scheme)
        self._methods: dict[tuple[bool, ...], str] = {}
        self._held: dict[float, Held] = {}
        self.turn = Turn(partial(Multigrid, base, constant, null, scheme, part))
        self._tried = False  # whether levels in float64, or of more elimination, were

    def method(self, A: Operator) -> str:
        """The iteration for A in words."""
        kind = A.base is not A, len(self.levels.sizes) == 1, self.levels.solve
        if kind not in self._methods:
            outer = self._outer(A)
            self._methods[kind] = self.levels.words("" if outer is None else outer.name, higher=A.base is not A)
        return self._methods[kind]

    @unaffected
    @in_turn
    def run(
        self,
        A: Operator,
        b: Tensor,
        guess: Tensor | None,
        stop: Stop,
        project: bool = False,
        parts: Sequence[Tensor] = (),
        unweighted: bool = False,
    ) -> Outcome:
        """Solve A u = b for b of shape (batch, *grid).

        Parameters
        ----------
        A : the operator whose ``base`` the levels are made of, or its transpose
        project : whether to take what a singular A can solve of b, instead of refusing the rest
        parts : the boundary data's part of b on every grid, (batch or 1, *grid), for one full pass
        unweighted : b is not weighted by the shares of a cell; only where ``takes_unweighted``, for one full pass
        """
        doubled = b.dtype == torch.float32 and (not self.base.symmetric or self._on_a_line or self._is_tiny)
        narrow = b if doubled else None
        if narrow is not None:
            b, guess = b.double(), None if guess is None else guess.double()
            A = A.like(b)
        if guess is None:
            outcome = self._run(A, b, None, stop, project, parts, unweighted)
        else:
            outcome = self._from(A, b, guess, stop, project)
        if narrow is None:
            return outcome
        solved = b if self._kernel is None else self._kernel.to(b).compatible(b)
        return narrowed(A, solved, narrow.dtype, outcome, stop.tol, stop.of_guess)

    @property
    def _on_a_line(self) -> bool:
        """Whether a line of varying coefficients is solved, which costs little in any precision."""
        return self.base.ndim == 1 and self.levels.is_direct and not self.levels.scheme.transform

    @cached_property
    def _is_tiny(self) -> bool:
        """Whether A is so small that products with what it solves for leave float32's range."""
        return all(float(k.detach().max()) < TINY for k in self.base.k)

    def _from(self, A: Operator, b: Tensor, guess: Tensor, stop: Stop, project: bool) -> Outcome:
        """``run`` from a guess."""
        if not isfinite(float(guess.sum())):
            finite_data(None, guess)
        null = None if self._kernel is None else self._kernel.to(b)
        guess = guess if null is None else null.centred(guess.clone())  # a constant would take the digits of the rest
        if stop.tol is not None:
            return self._run(A, b, guess, stop, project)
        b = b if null is None else null.compatible(b, check=not project)
        rest = b - A.like(b)(guess)
        used = per_member(norms(rest) <= norms(b), b)
        outcome = self._run(A, torch.where(used, rest, b), None, stop, project=True)  # as right as without a guess
        return replace(outcome, u=outcome.u + torch.where(used, guess, 0.0), guessed=True)

    def _run(
        self,
        A: Operator,
        b: Tensor,
        guess: Tensor | None,
        stop: Stop,
        project: bool,
        parts: Sequence[Tensor] = (),
        unweighted: bool = False,
    ) -> Outcome:
        """``run`` from a guess of mean zero, or from none; the latter alone for one full pass."""
        if guess is None and stop.callback is None and A.base is A and not unweighted:
            outcome = self._at_once(b, stop, project)
            if outcome is not None:
                return outcome
        hardly = self._hardly(A)
        if hardly.loose is not None:
            data = b if self.null is None else self.null.to(b).compatible(b, check=not project)
            outcome = hardly.loose.run(A, data, guess, stop)
            if outcome is not None:
                return outcome
        null = None if self._kernel is None else self._kernel.to(b)
        with on_device(b, self.base.ndim, self.levels.constant is not None):
            nested = self.levels.nested(b)
            whole = stop.tol is None and not parts and self.finishing == 0
            centred = null is not None and whole and nested is not None and nested.centres
            counted = nested if centred and not project else None  # sums b on the coarse grid, where data are fewer
            if null is not None and counted is None:
                b = null.compatible(b, check=not project, exact=stop.tol is not None, unweighted=unweighted)
            hierarchy = self._accelerated(A.like(b), b, null, stop)
            if stop.tol is None:
                outcome = self._pass(hierarchy, nested, b, parts, unweighted)
                if outcome.status == UNDONE:
                    outcome = from_pass(stop, partial(self._cycled, A, b, outcome.u, null))
            else:
                outcome = self._cycled(A, b, guess, null, stop, hierarchy)
            if isinstance(null, NullSpace) and counted is not None and not null.balanced(*counted.sums(), b.dtype):
                rest = null.compatible(b, check=True, exact=False, unweighted=unweighted)
                outcome = outcome if rest is b else self._pass(hierarchy, nested, rest, parts, unweighted)
        if null is not None and not centred:
            outcome.u = null.centred(outcome.u)
        if outcome.status in ("round-off", "not converged") and (hardly.loose is not None or hardly.lost):
            return replace(outcome, status="not converged", remedy=HARDLY_HELD)
        return outcome if self.base.symmetric else self._told(A.like(b), b, outcome)

    def _cycled(
        self, A: Operator, b: Tensor, guess: Tensor | None, null: Any, stop: Stop, hierarchy: Hierarchy | None = None
    ) -> Outcome:
        """Cycles to a tolerance, first with levels in float32, or of little elimination, where that may do."""
        assert stop.tol is not None
        hierarchy = self._accelerated(A.like(b), b, null, stop) if hierarchy is None else hierarchy
        if not self.levels.may_choose(b.device) or self._tried or A.base is not A:
            return self._iterate(A.like(b), hierarchy, b, guess, stop)
        outcome = self._iterate(A.like(b), hierarchy, b, guess, stop, partial(far, tol=stop.tol))
        if outcome.status == "not converged" and len(outcome.residuals) <= stop.max_cycles:
            return self._again(A.like(b), b, guess, null, stop, outcome)
        return outcome

    def _told(self, A: Operator, b: Tensor, outcome: Outcome) -> Outcome:
        """The outcome with convection, whose steps residuals decide: those of nothing but rounding lead nowhere."""
        if outcome.status == "round-off" and (relative(self._roundoff(A, b)(outcome.u), norms(b)) > VOID).any():
            outcome = replace(outcome, status="not converged", remedy=ADRIFT)
        if outcome.status == "not converged" and not self.base.is_tame:
            return replace(outcome, remedy=NOT_TAME)
        if outcome.status == "not converged" and not outcome.remedy and self._is_adrift(A, b):
            return replace(outcome, remedy=ADRIFT)
        return outcome

    def _is_adrift(self, A: Operator, b: Tensor) -> bool:
        """Whether convection leaves u to rounding."""
        scheme = self.levels.scheme

        def solve(held: Convection, b: Tensor) -> Tensor:
            return Multigrid(held, None, None, scheme).iterated(held, b, *ENOUGH).u

        return isinstance(A, Convection) and self._kernel is None and is_adrift(A, b, solve)

    def iterated(self, A: Operator, b: Tensor, tol: float, max_cycles: int) -> Outcome:
        """Solve A u = b from zero, whatever becomes of it; of what is not singular."""
        with on_device(b, self.base.ndim, self.levels.constant is not None):
            hierarchy = self._accelerated(A, b, None, Stop(tol))
            return iterate(hierarchy, hierarchy.data(b), None, tol, max_cycles, self._roundoff(A, b), None)

    def _at_once(self, b: Tensor, stop: Stop, project: bool) -> Outcome | None:
        """One cycle, where it solves; None where it does not, or there is more to say."""
        levels = self.levels
        if not levels.eliminates and (self.base.symmetric or b.device.type != "cpu"):
            return None
        direct = levels.streaming(b)
        if not levels.solve:
            return None
        null = None if self._kernel is None else self._kernel.to(b)
        data = b if null is None else null.compatible(b, check=not project, exact=stop.tol is not None)
        outcome = at_once(direct, data, stop)
        if outcome is not None and null is not None:
            outcome.u = null.centred(outcome.u)
        return outcome

    @cached_property
    def _kernel(self) -> NullSpace | Stationary | None:
        """What A and its transpose map to zero."""
        if self.null is None or self.base.symmetric:
            return self.null
        return stationary(self.base, self.null, self.levels.scheme)

    def _hardly(self, A: Operator) -> Held:
        """What varying coefficients hardly hold, and what solves for it."""
        limit = LOOSE if A.base is A else LOOSE_OF_ORDER_4
        if limit not in self._held:
            direct = self.levels.is_direct and not self.levels.eliminates
            varies = self.levels.constant is None and not direct and self.base.symmetric
            asked = varies and may_be_loose(self.base, self.part, self.levels.survey, limit)
            self._held[limit] = hardly_held(self.base, self.null, self.part, limit, self._varying) if asked else Held()
        return self._held[limit]

    def _varying(self, A: Diffusion, null: NullSpace | None) -> "Multigrid":
        return Multigrid(A, None, null, self.levels.scheme)

    @unaffected
    def cycle(self, A: Operator, u: Tensor | None, b: Tensor, symmetric: bool = False) -> Tensor:
        """One cycle; u, b of shape (batch, *grid); u None for zero."""
        if A.base is not A and u is not None:
            return u + self.cycle(A.base, None, b - A(u), symmetric)
        return self._cycle(u, b, symmetric)

    @in_turn
    def _cycle(self, u: Tensor | None, b: Tensor, symmetric: bool) -> Tensor:
        with on_device(b, self.base.ndim, self.levels.constant is not None):
            hierarchy = self.levels.of(b, symmetric)
            begin = None if u is None else hierarchy.data(u)
            out = hierarchy.release(hierarchy.cycle(begin, hierarchy.data(b), measure=False))
        return self._finite(out, b, u, "u")

    def precondition(self, b: Tensor) -> Tensor:
        """One cycle from zero, symmetric where A is; on a singular problem between the projections."""
        if self._kernel is None:
            return self.cycle(self.base, None, b, symmetric=True)
        null = self._kernel.to(b)
        return null.centred(self.cycle(self.base, None, null.compatible(b), symmetric=True))

    def work(self, A: Operator, outcome: Outcome) -> float:
        """Work units of a whole solve."""
        loose = self._hardly(A).loose
        if loose is not None and not self.levels.sizes:
            return loose.inner.work(loose.inner.base, outcome)
        if self.levels.solve and A.base is A:
            return float(max(len(outcome.residuals) - 1, 1))
        return solve_work(self.levels, self._outer(A), self.finishing, outcome)

    @cached_property
    def finishing(self) -> int:
        """Cycles after a full pass that is to end at the discretisation error, beside conjugate gradients' own."""
        return cycles_after(self.levels)

    @cached_property
    def takes_unweighted(self) -> bool:
        """Whether one full pass on the CPU takes data that are not weighted yet."""
        constant = self.levels.constant is not None and not self.levels.is_direct and self.finishing == 0
        return constant and self.levels.compiled(CPU)

    def _pass(
        self, hierarchy: Hierarchy, nested: Nested | None, b: Tensor, parts: Sequence[Tensor], unweighted: bool
    ) -> Outcome:
        """One full multigrid pass, with no residual."""

        def whole(b: Tensor, f: Any, size: Tensor | None) -> Outcome:
            if nested is not None and (parts or unweighted):
                u = nested.full_multigrid(f, measure=False, parts=[part.to(b) for part in parts], unweighted=unweighted)
            else:
                u = hierarchy.full_multigrid(f, measure=False)
            if isinstance(hierarchy, Steps):
                u = hierarchy.further(u, f, self.finishing)
            else:
                for _ in range(self.finishing):
                    u = hierarchy.cycle(u, f, measure=False)
            u = self._finite(hierarchy.release(u), b, None)
            if size is not None and unfinished(
                hierarchy, size, lambda: torch.linalg.vecdot(b.flatten(1), u.flatten(1))
            ):
                return Outcome(u, [], UNDONE)
            return Outcome(u, [], "transform" if self.levels.scheme.transform else DONE)

        def sized(b: Tensor) -> tuple[Tensor, Any, Tensor | None]:
            f = hierarchy.data(b)
            return b, f, hierarchy.norms(None, f) if squares else None

        squares = isinstance(hierarchy, (ConjugateGradients, Preconditioned, Steps))
        b, f, size = sized(b)
        if size is not None and extreme(size, b.dtype):
            finite_data(b)
            return rescaled(self.base.like(b), b, None, None, lambda b, guess: whole(*sized(b)))
        return whole(b, f, size)

    def _finite(self, u: Tensor, b: Tensor, guess: Tensor | None, name: str = "guess") -> Tensor:
        """u, unless it is not finite: then say why."""
        if self.levels.constant is not None:  # a NaN anywhere reaches all that are coupled
            clean = all(map(isfinite, u.reshape(len(u), -1)[:, 0].tolist()))
        else:  # a sum is quickly made; that of large numbers may overflow
            clean = isfinite(float(u.sum())) or bool(torch.isfinite(u).all())
        if clean:
            return u
        finite_data(b, guess, name)
        raise FloatingPointError(f"the solution is not finite: it overflows in {b.dtype}. Scale the problem.")

    def _iterate(
        self,
        A: Operator,
        hierarchy: Hierarchy,
        b: Tensor,
        guess: Tensor | None,
        stop: Stop,
        hopeless: Callable[[list[float]], bool] | None = None,
    ) -> Outcome:
        assert stop.tol is not None
        f, ends = hierarchy.data(b), (stop.tol, stop.max_cycles)
        scale = hierarchy.norms(None, f)

        def cycled(b: Tensor, guess: Tensor | None, f: Any, scale: Tensor | None) -> Outcome:
            roundoff = self._roundoff(A, b)
            return iterate(hierarchy, f, guess, *ends, roundoff, stop.callback, scale, hopeless, stop.of_guess)

        if extreme(scale, b.dtype):
            finite_data(b, guess)
            unit = partial(rescaled, A, b, guess, stop.tol)
            return unit(lambda b, guess: cycled(b, guess, hierarchy.data(b), None))
        try:
            return cycled(b, guess, f, scale)
        except FloatingPointError:
            finite_data(b, guess)
            if not self._is_adrift(A, b):
                raise
            return Outcome(torch.zeros_like(b) if guess is None else guess, [1.0], "not converged", remedy=ADRIFT)

    def _again(self, A: Operator, b: Tensor, guess: Tensor | None, null: Any, stop: Stop, first: Outcome) -> Outcome:
        """Go on with levels in float64, or of more elimination, and from now on if they gain."""
        self._tried = True
        self.levels.choose(precise=True)
        outcome, gains = gone_on(
            first, guess, stop, lambda u, rest: self._iterate(A, self._accelerated(A, b, null, stop), b, u, rest)
        )
        if not gains:
            self.levels.choose(precise=False)
        return outcome

    def _outer(self, A: Operator) -> type[ConjugateGradients | MinimalResiduals | Chebyshev] | None:
        """The iteration around the cycles."""
        if A.base is not A:
            return Chebyshev
        if self.levels.constant is not None or self.levels.is_direct:
            return None
        if not self.base.symmetric or self.levels.alternates:
            return MinimalResiduals
        return ConjugateGradients if self.levels.scheme.nu[0] == self.levels.scheme.nu[1] else MinimalResiduals

    def _accelerated(self, A: Operator, b: Tensor, null: NullSpace | Stationary | None, stop: Stop) -> Hierarchy:
        """The levels for b with the iteration around their cycles."""
        outer = self._outer(A)
        if outer is None:
            nested = self.levels.nested(b)
            if nested is not None and stop.tol is not None and nested.richardson.rho is None:
                nested.richardson.rho = self.levels.contraction(b)
            return self.levels.of(b)
        if outer is ConjugateGradients:
            return ConjugateGradients(self.levels.robust(b), None if stop.of_guess else stop.tol)
        if not self.base.symmetric and b.device.type == "cpu":
            return Steps(self.levels.streaming(b))
        apply = A if self.base.symmetric else self.levels.streaming(b).apply
        product = apply if null is None else lambda u: null.compatible(apply(u))
        if not self.base.symmetric:
            return Preconditioned(product, self.levels.of(b), MinimalResiduals(product, None), from_zero=True)
        step = MinimalResiduals(product) if outer is MinimalResiduals else Chebyshev(A.spectrum)
        return Preconditioned(product, self.levels.of(b), step, from_zero=self.levels.alternates)

    def _roundoff(self, A: Operator, b: Tensor) -> Callable[[Tensor], np.ndarray]:
        """u -> 2 eps || |A||u| + |b| || per member: the residual that rounding alone leaves."""
        return lambda u: 2 * torch.finfo(b.dtype).eps * A.rounding(u, b)
