"""One solve behind the doors: batches made one axis, the outcome, and what there is to say of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from mgnet.pde.outer.iterate import Outcome
from mgnet.pde.outer.stopping import Stop
from mgnet.pde.problem import checks
from mgnet.pde.problem.operators import Operator
from mgnet.pde.solution import Solution, check_derivative, solution_of

if TYPE_CHECKING:
    from mgnet.pde.solver import Solver


class Call:
    """One solve on plain tensors: (A, b, guess) -> u, and what happened."""

    def __init__(
        self,
        solver: "Solver",
        stop: Stop,
        project: bool = False,
        unweighted: bool = False,
        shape: Sequence[int] = (),
        derivative: bool | None = None,
    ):
        self.solver, self.problem = solver, solver.problem  # which an `update` may replace before the end
        self.stop, self.project, self.unweighted = stop, project, unweighted
        self.shape = shape  # of f as it was given
        self.derivative = derivative  # whether it raises where it has not converged; None: it is the solution's own
        self.outcome: Outcome
        self.work, self.method = 0.0, ""

    def __call__(self, A: Operator, b: Tensor, guess: Tensor | None = None, *parts: Tensor) -> Tensor:
        A, b = A.detached(), b.detach()
        ndim = len(A.axes)
        grid = b.shape[b.ndim - ndim :]
        batched = [v.shape[: v.ndim - ndim] for v in A.tensors if v.ndim > ndim]
        batch: tuple[int, ...] = b.shape[: b.ndim - ndim]
        if batched:
            batch = np.broadcast_shapes(batch, *batched)
            A = A.flattened(batch)
        multigrid = self.solver.multigrid(A, self.problem, batch)
        begin = None if guess is None else self.problem.inside(guess.expand(*batch, *grid)).reshape(-1, *grid)
        flat = [v if v.ndim == ndim else v.expand(*batch, *v.shape[v.ndim - ndim :]) for v in parts]
        flat = [v.reshape(-1, *v.shape[v.ndim - ndim :]) for v in flat]
        own, b = b, b.expand(*batch, *grid).reshape(-1, *grid) if batch else b[None]
        try:
            outcome = multigrid.run(A, b, begin, self.stop, self.project, flat, self.unweighted)
        except ValueError:
            self._look(own, None if begin is None else begin.reshape(*batch, *grid))
            raise
        self.outcome, self.work, self.method = outcome, multigrid.work(A, outcome), multigrid.method(A)
        u = self.problem.inside(outcome.u.reshape(*batch, *grid))
        if self.derivative is not None:
            check_derivative(self.solution(u, 0.0), self.stop.tol, outcome.remedy, self.derivative)
        return u

    def _look(self, b: Tensor, guess: Tensor | None) -> None:
        """Have errors about f and the guess name the place in the arrays that came (under vmap, in the whole batch)."""
        given = checks.as_given(b, self.shape) if self.shape and self.shape != b.shape else b
        checks.finite_data(given, guess)

    def solution(self, u: Any, seconds: float) -> Solution:
        return solution_of(self.outcome, u, self.problem.grid, self.method, self.work, seconds)
