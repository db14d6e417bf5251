"""When to stop: what is asked for, and when it is better to go on in another way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Protocol

from torch import Tensor

from mgnet.pde.outer.iterate import Outcome

Callback = Callable[[int, float], None]
RELATIVE_TO = ("data", "guess")  # what residuals are relative to
PATIENCE, FAR = 20, 40  # so many cycles with levels in float32; then float64 ones are tried if so many are to come
GAIN = 1.5  # times fewer cycles, for which float64 levels, whose cycles take longer, are kept
TINY = 1e-300
DONE, UNDONE = "full multigrid", "unfinished"  # of a full pass
GO_ON = 1e-8  # the relative residual to which an unfinished one goes on


@dataclass(frozen=True)
class Stop:
    """When to stop, and whom to tell after each cycle; tol None: one full multigrid pass, if that will do."""

    tol: float | None = 1e-8
    max_cycles: int = 100
    callback: Callback | None = None
    relative_to: str = "data"  # or "guess"

    @property
    def of_guess(self) -> bool:
        """Whether residuals are relative to the guess's."""
        return self.relative_to == "guess"


def from_pass(stop: Stop, iterate: Callable[[Stop], Outcome]) -> Outcome:
    """The outcome where a full pass is gone on from: of a tolerance that nobody asked for only a failure is told."""
    outcome = iterate(replace(stop, tol=GO_ON))
    return replace(outcome, status=outcome.status if outcome.status == "not converged" else DONE, guessed=False)


def rate(residuals: Sequence[float]) -> float:
    """-log of the mean factor per cycle."""
    return -log(max(residuals[-1], TINY) / max(residuals[0], TINY)) / max(len(residuals) - 1, 1)


def far(residuals: Sequence[float], tol: float) -> bool:
    """Whether PATIENCE cycles are done, and at the rate of the last of them more than FAR are to come."""
    if len(residuals) <= PATIENCE or residuals[-1] <= tol:
        return False
    return rate(residuals[-PATIENCE // 2 :]) * FAR < log(max(residuals[-1], TINY) / max(tol, TINY))


def gone_on(
    first: Outcome, guess: Tensor | None, stop: Stop, iterate: Callable[[Tensor | None, Stop], Outcome]
) -> tuple[Outcome, bool]:
    """The outcome after more cycles, with levels in float64, and whether they gain.

    What float32 rounds off the corrections matters where many of them are large beside their residual: where
    strong couplings make lines or parts that little holds. Then the iterate may even have run away.

    Parameters
    ----------
    iterate : (the iterate to begin with, when to stop) -> the outcome
    """
    told, done = stop.callback or (lambda k, r: None), len(first.residuals) - 1
    rest = replace(stop, max_cycles=stop.max_cycles - done, callback=lambda k, r: told(done + k, r))
    anew = first.residuals[-1] >= first.residuals[0] or (guess is not None and stop.of_guess)
    second = iterate(guess if anew else first.u, rest)
    outcome = replace(second, residuals=first.residuals + second.residuals[1:], guessed=first.guessed)
    return outcome, rate(second.residuals) > GAIN * rate(first.residuals)


class Levels(Protocol):
    """What is made in float32, or of convection with little elimination, where that may do."""

    @property
    def may_choose(self) -> bool:
        """Whether the last ones are, and nobody has chosen."""
        ...

    def choose(self, precise: bool) -> None:
        """Have the next ones be precise, or not."""
        ...


def quick_first(levels: Levels, guess: Tensor | None, stop: Stop, iterate: Callable[..., Outcome]) -> Outcome:
    """Cycles to a tolerance, with precise levels only where the others are far off; from then on if they gain.

    iterate : (the iterate to begin with, when to stop, whether it is hopeless by the residuals) -> the outcome
    """
    tol = stop.tol
    assert tol is not None
    first = iterate(guess, stop, lambda residuals: levels.may_choose and far(residuals, tol))
    if first.status != "not converged" or not levels.may_choose or len(first.residuals) > stop.max_cycles:
        return first
    levels.choose(precise=True)
    outcome, gains = gone_on(first, guess, stop, iterate)
    if not gains:
        levels.choose(precise=False)
    return outcome
