"""A u = b with the levels of A: one full multigrid pass, or cycles to a tolerance."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.cuda.memory import on_device
from mgnet.pde.outer.acceleration import accelerated
from mgnet.pde.outer.adrift import ADRIFT, ENOUGH, VOID, is_adrift
from mgnet.pde.outer.choice import Levels
from mgnet.pde.outer.finishing import unfinished
from mgnet.pde.outer.iterate import Outcome, changes, iterate, relative
from mgnet.pde.outer.iteration import Iteration
from mgnet.pde.outer.scale import extreme, rescaled
from mgnet.pde.outer.stopping import DONE, UNDONE, Stop
from mgnet.pde.problem.checks import finite_data
from mgnet.pde.problem.convection import Convection
from mgnet.pde.problem.of_tensors import norms
from mgnet.pde.problem.operators import Operator

NOT_TAME = (
    "Where |v| h / a is large, central differences leave a matrix that is nearly singular. Pass "
    'scheme="upwind", or refine the grid.'
)


class Equation:
    """A u = b for b of shape (batch, *grid).

    Parameters
    ----------
    levels : of A's ``base``
    A : the operator, of b's dtype, where b is
    null : what A and its transpose map to zero, as b is; b holds nothing that no u can produce. None: nothing
    """

    def __init__(self, levels: Levels, A: Operator, b: Tensor, null: Any):
        self.levels, self.A, self.b, self.null = levels, A, b, null

    def full_pass(self, cycles: int, parts: Sequence[Tensor], unweighted: bool) -> Outcome:
        """One full multigrid pass and so many cycles, with no residual; parts, unweighted as of ``Multigrid.run``."""
        iteration = self._iteration(Stop(None))
        nested = self.levels.nested(self.b) if parts or unweighted else None

        def whole(b: Tensor, guess: Tensor | None, f: Any, size: Tensor | None) -> Outcome:
            if nested is None:
                u = iteration.full_multigrid(f)
            else:
                u = nested.full_multigrid(f, measure=False, parts=[part.to(b) for part in parts], unweighted=unweighted)
            u = finite(iteration.release(iteration.further(u, f, cycles)), b, self.levels.constant is not None)
            energy = partial(torch.linalg.vecdot, b.flatten(1), u.flatten(1))
            if self.levels.faint or (size is not None and unfinished(iteration, size, energy)):
                return Outcome(u, [], UNDONE)
            return Outcome(u, [], "transform" if self.levels.scheme.transform else DONE)

        return self._scaled(iteration, None, None, iteration.squares, whole)

    def iterate(
        self, guess: Tensor | None, stop: Stop, hopeless: Callable[[list[float]], bool] | None = None
    ) -> Outcome:
        """Cycles to a tolerance; see ``outer.iterate``."""
        assert stop.tol is not None
        iteration, ends = self._iteration(stop), (stop.tol, stop.max_cycles)

        def cycled(b: Tensor, guess: Tensor | None, f: Any, size: Tensor | None) -> Outcome:
            roundoff, changed = partial(self._roundoff, b=b), changes(self.null)
            return iterate(iteration, f, guess, *ends, roundoff, stop.callback, size, hopeless, stop.of_guess, changed)

        try:
            return self._scaled(iteration, guess, stop.tol, True, cycled)
        except FloatingPointError:
            finite_data(self.b, guess)
            if not self._is_adrift():
                raise
            u = torch.zeros_like(self.b) if guess is None else guess
            return Outcome(u, [1.0], "not converged", remedy=ADRIFT)

    def told(self, outcome: Outcome) -> Outcome:
        """The outcome with convection, whose steps residuals decide: those of nothing but rounding lead nowhere."""
        rounding = outcome.status == "round-off"
        if rounding and (relative(self._roundoff(outcome.u, self.b), norms(self.b)) > VOID).any():
            outcome = replace(outcome, status="not converged", remedy=ADRIFT)
        if outcome.status == "not converged" and not self.levels.base.is_tame:
            return replace(outcome, remedy=NOT_TAME)
        if outcome.status == "not converged" and not outcome.remedy and self._is_adrift():
            return replace(outcome, remedy=ADRIFT)
        return outcome

    def _iteration(self, stop: Stop) -> Iteration:
        return accelerated(self.levels, self.A, self.b, self.null, stop)

    def _roundoff(self, u: Tensor, b: Tensor) -> Tensor | np.ndarray:
        """(batch,) 2 eps || |A||u| + |b| ||: the residual that rounding alone leaves."""
        return 2 * torch.finfo(b.dtype).eps * self.A.rounding(u, b)

    def _scaled(
        self,
        iteration: Iteration,
        guess: Tensor | None,
        tol: float | None,
        sized: bool,
        solve: Callable[[Tensor, Tensor | None, Any, Tensor | None], Outcome],
    ) -> Outcome:
        """What ``solve`` finds for (b, the guess, b as the iteration has it, ||b||), at another scale if need be.

        sized : whether ||b|| matters
        """

        def begun(b: Tensor) -> tuple[Any, Tensor | None]:
            f = iteration.data(b)
            return f, iteration.norms(None, f) if sized else None

        f, size = begun(self.b)
        if size is None or not extreme(size, self.b.dtype):
            return solve(self.b, guess, f, size)
        finite_data(self.b, guess)
        return rescaled(self.A, self.b, guess, tol, lambda b, guess: solve(b, guess, *begun(b)))

    def _is_adrift(self) -> bool:
        """Whether convection leaves u to rounding."""

        def solve(held: Convection, b: Tensor) -> Tensor:
            one = Equation(Levels(held, None, self.levels.scheme), held, b, None)
            with on_device(b, held.ndim, False):  # whatever becomes of it
                iteration = one._iteration(Stop(*ENOUGH))
                return iterate(iteration, iteration.data(b), None, *ENOUGH, partial(one._roundoff, b=b), None).u

        held = self.levels.held
        if not isinstance(self.A, Convection) or (self.null is not None and held is None):
            return False
        return is_adrift(self.A if held is None else self.A.with_c(held.to(self.b)), self.b, solve)


def finite(u: Tensor, b: Tensor, constant: bool, guess: Tensor | None = None, name: str = "guess") -> Tensor:
    """u, unless it is not finite: then say why; constant : whether the coefficients are."""
    if constant:  # a NaN anywhere reaches all that are coupled
        clean = all(map(isfinite, u.reshape(len(u), -1)[:, 0].tolist()))
    else:  # a sum is quickly made; that of large numbers may overflow
        clean = isfinite(float(u.sum())) or bool(torch.isfinite(u).all())
    if clean:
        return u
    finite_data(b, guess, name)
    raise FloatingPointError(f"the solution is not finite: it overflows in {b.dtype}. Scale the problem.")
