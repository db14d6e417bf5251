"""The solver behind the doors: plain tensors in, an iterate and its history out."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from mgnet.pde.cuda.memory import on_device
from mgnet.pde.outer.acceleration import acceleration
from mgnet.pde.outer.at_once import at_once
from mgnet.pde.outer.choice import CPU, Levels
from mgnet.pde.outer.equation import Equation, finite
from mgnet.pde.outer.finishing import cycles_after
from mgnet.pde.outer.iterate import Outcome, per_member
from mgnet.pde.outer.loose import Held, hardly_held, may_be_loose
from mgnet.pde.outer.scale import narrowed
from mgnet.pde.outer.scheme import Scheme
from mgnet.pde.outer.stationary import Stationary, stationary
from mgnet.pde.outer.stopping import UNDONE, Stop, from_pass, quick_first
from mgnet.pde.outer.turns import Turn, in_turn
from mgnet.pde.outer.work import solve_work
from mgnet.pde.problem.bodies import LOOSE, LOOSE_OF_ORDER_4
from mgnet.pde.problem.checks import finite_data
from mgnet.pde.problem.nullspace import NullSpace
from mgnet.pde.problem.of_tensors import norms
from mgnet.pde.problem.operators import Diffusion, Operator
from mgnet.pde.problem.precision import unaffected

HARDLY_HELD = (
    "Part of the domain is held by less than float64 shows beside its own couplings (a tiny `a` around it, `c` or "
    "Robin alpha, and no jump in between), so rounding decides what u is there. Hold it by more, or mask it out."
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
        self.base, self.null, self.part = base, null, part
        self.levels = Levels(base, constant, scheme, partial(kernel_of, base, null, scheme))
        self._methods: dict[tuple[bool, ...], str] = {}
        self._held: dict[float, Held] = {}
        self.turn = Turn(partial(Multigrid, base, constant, null, scheme, part))

    def method(self, A: Operator) -> str:
        """The iteration for A in words."""
        kind = A.base is not A, len(self.levels.sizes) == 1, self.levels.solve
        if kind not in self._methods:
            self._methods[kind] = self.levels.words(acceleration(self.levels, A).name, higher=A.base is not A)
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
        whole = parts, unweighted
        if b.dtype != torch.float32 or not self.levels.doubles:
            return self._from(A, b, guess, stop, project, *whole)
        if self._kernel is not None and not project:  # of float32, whose own round-off a mean may be
            self._kernel.to(b).compatible(b, check=True, exact=False, unweighted=unweighted)
        tol = None if stop.tol is None else max(stop.tol, torch.finfo(b.dtype).eps)
        wide, begin = b.double(), None if guess is None else guess.double()
        A = A.like(wide)
        outcome = self._from(A, wide, begin, replace(stop, tol=tol), True, *whole)
        solved = wide if self._kernel is None else self._kernel.to(wide).compatible(wide)
        return narrowed(A, solved, b.dtype, outcome, stop.tol, stop.of_guess)

    def _from(self, A: Operator, b: Tensor, guess: Tensor | None, stop: Stop, project: bool, *whole: Any) -> Outcome:
        """``run`` in b's precision; whole : what is said for one full pass, from no guess."""
        if guess is None:
            return self._run(A, b, None, stop, project, *whole)
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
            equation = Equation(self.levels, A.like(b), b, null)
            if stop.tol is None:
                outcome = equation.full_pass(self.finishing, parts, unweighted)
                if outcome.status == UNDONE:
                    outcome = from_pass(stop, partial(self._cycled, equation, outcome.u))
            else:
                outcome = self._cycled(equation, guess, stop)
            if isinstance(null, NullSpace) and counted is not None and not null.balanced(*counted.sums(), b.dtype):
                rest = null.compatible(b, check=True, exact=False, unweighted=unweighted)
                if rest is not b:
                    outcome = Equation(self.levels, equation.A, rest, null).full_pass(self.finishing, parts, unweighted)
        if null is not None and not centred:
            outcome.u = null.centred(outcome.u)
        if outcome.status in ("round-off", "not converged") and (hardly.loose is not None or hardly.lost):
            return replace(outcome, status="not converged", remedy=HARDLY_HELD)
        return outcome if self.base.symmetric else equation.told(outcome)

    def _cycled(self, equation: Equation, guess: Tensor | None, stop: Stop) -> Outcome:
        """Cycles to a tolerance, for a fourth-order A with any levels of its base."""
        if equation.A.base is not equation.A:
            return equation.iterate(guess, stop)
        return quick_first(self.levels, guess, stop, equation.iterate)

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

    @property
    def _kernel(self) -> NullSpace | Stationary | None:
        """What A and its transpose map to zero."""
        return self.levels.kernel

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
        return finite(out, b, self.levels.constant is not None, u, "u")

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
        return solve_work(self.levels, acceleration(self.levels, A), self.finishing, outcome)

    @cached_property
    def finishing(self) -> int:
        """Cycles after a full pass that is to end at the discretisation error, beside conjugate gradients' own."""
        return cycles_after(self.levels)

    @cached_property
    def takes_unweighted(self) -> bool:
        """Whether one full pass on the CPU takes data that are not weighted yet."""
        constant = self.levels.constant is not None and not self.levels.is_direct and self.finishing == 0
        return constant and self.levels.compiled(CPU)


def kernel_of(A: Any, null: NullSpace | None, scheme: Scheme) -> NullSpace | Stationary | None:
    """What A and its transpose map to zero; null : the constants on the parts of the domain that nothing holds."""

    def solve(held: Any, b: Tensor, tol: float) -> Tensor:
        return Multigrid(held, None, None, scheme).run(held, b, None, Stop(tol)).u

    return null if null is None or A.symmetric else stationary(A, null, solve)
