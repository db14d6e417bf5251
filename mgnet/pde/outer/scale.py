"""Solving at another scale or in another precision, where b's own would lose what is asked for; A is linear."""

from collections.abc import Callable
from dataclasses import replace
from math import sqrt

import torch
from torch import Tensor

from mgnet.pde.outer.at_once import SQUARABLE
from mgnet.pde.outer.iterate import Outcome, change, relative
from mgnet.pde.problem.of_tensors import norms
from mgnet.pde.problem.operators import Operator

UNDERFLOWS = "The solution is so small that it underflows. Scale the problem."


def extreme(sizes: Tensor, dtype: torch.dtype) -> bool:
    """Whether squares of data of these sizes under- or overflow."""
    low, high = SQUARABLE[dtype]
    return any(size < low or size > high for size in sizes.tolist())


def rescaled(
    A: Operator,
    b: Tensor,
    guess: Tensor | None,
    tol: float | None,
    solve: Callable[[Tensor, Tensor | None], Outcome],
) -> Outcome:
    """What ``solve`` finds for data of size 1, in b's units. Sizes are powers of two: only what underflows is rounded.

    Parameters
    ----------
    b : (batch, *grid), finite
    solve : (b, guess) -> the outcome
    """
    largest = b.abs().amax(tuple(range(1, b.ndim)), keepdim=True)
    size = torch.where(largest > 0, largest / (2 * torch.frexp(largest).mantissa), 1.0)
    unit = b / size
    outcome = solve(unit, None if guess is None else guess / size)
    u = outcome.u * size
    _check_finite(u)
    back = u / size
    if tol is not None and outcome.status != "not converged" and not torch.equal(back, outcome.u):
        left = float(relative(norms(unit - A(back)), norms(unit)).max())
        status = outcome.status if left <= tol else "round-off"
        if (change(back, outcome.u) > sqrt(torch.finfo(b.dtype).eps)).any():
            status = "not converged"
        return Outcome(u, [*outcome.residuals[:-1], left], status, outcome.guessed, UNDERFLOWS)
    return replace(outcome, u=u)


def narrowed(A: Operator, b: Tensor, dtype: torch.dtype, wide: Outcome, tol: float | None, of_guess: bool) -> Outcome:
    """What was solved for in b's float64, in dtype, with what rounding of u leaves of its residual."""
    u = wide.u.to(dtype)
    _check_finite(u)
    if tol is None or wide.status == "not converged" or of_guess:
        return replace(wide, u=u)
    left = float(relative(norms(b - A.like(b)(u.double())), norms(b)).max())
    status = wide.status if left <= tol else "round-off"
    return replace(wide, u=u, residuals=[*wide.residuals[:-1], left], status=status)


def _check_finite(u: Tensor) -> None:
    if not torch.isfinite(u).all():
        raise FloatingPointError(f"the solution is too large for {u.dtype}: it overflows. Scale the problem.")
