"""The outer loop: cycles until the residual is small, at round-off, or the cycles are spent."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import isfinite, sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.native import arrays
from mgnet.pde.outer.hidden import HIDDEN, Hidden
from mgnet.pde.outer.iteration import STALLED, Iteration
from mgnet.pde.problem.members import each, norm_of
from mgnet.pde.problem.nullspace import NullSpace
from mgnet.pde.problem.plain import runs_here

NEAR = 10.0  # times round-off's residual: a stalled one below has every cycle ask
SETTLED, NOISE = 0.1, 10.0  # the relative change of an iterate that has settled, times the root of eps; that so much
UNSETTLED = 0.9  # times is round-off too, once it is no less than this part of the least change so far
RUNAWAY = 1e3  # times the first residual: cycles that diverge


@dataclass
class Outcome:
    """An iterate and how it was reached."""

    u: Tensor
    residuals: list[float]
    status: str
    guessed: bool = False
    remedy: str = ""  # where it is not converged, and what to do is known


class Best:
    """The iterate of the smallest residual, member by member; a copy is made only where a cycle made it worse."""

    def __init__(self, changed: "Changed"):
        self.u: Tensor | None = None
        self.relatives, self._changed = np.zeros(0), changed

    def keep(self, u: Tensor, relatives: np.ndarray) -> None:
        """Remember an iterate that the next one is worse than."""
        if self.u is None:
            self.u, self.relatives = u.clone(), relatives
            return
        better = relatives < self.relatives
        self.u = torch.where(per_member(better, u), u, self.u)
        self.relatives = np.where(better, relatives, self.relatives)

    def or_last(self, u: Tensor, relatives: np.ndarray, done: np.ndarray) -> Tensor:
        """The best one; where the last one is ``done`` that, but for what rounding adds to it."""
        if self.u is None:
            return u
        better = (self.relatives < relatives) & (~done | (self._changed(u, self.u) <= _settled(u)))
        return torch.where(per_member(better, u), self.u, u) if better.any() else u


def relative(norms: Tensor | np.ndarray, scale: np.ndarray) -> np.ndarray:
    """||r|| / ||b||, 0 where both are 0; as an array, since a handful of numbers costs more as a tensor."""
    r = norms.cpu().numpy() if isinstance(norms, Tensor) else norms
    with np.errstate(all="ignore"):
        return np.divide(r, scale, out=np.zeros(r.shape, r.dtype), where=r != 0)


Changed = Callable[[Tensor, Tensor | None], np.ndarray]


def change(u: Tensor, before: Tensor | None) -> np.ndarray:
    """(batch,) ||u - before|| / ||u||; infinite without an iterate before."""
    if before is None:
        return np.full(len(u), np.inf)
    if runs_here(u, 1) and runs_here(before, 1):
        return arrays.change(u, before)
    size = norm_of(u).cpu().numpy()
    return relative(norm_of(u - before), size)


def changes(null: Any) -> Changed:
    """``change``, but for the constants of a null space, which cycles leave as they come."""
    if not isinstance(null, NullSpace):
        return change

    def apart(u: Tensor, before: Tensor | None) -> np.ndarray:
        return change(null.centred(u.clone()), None if before is None else null.centred(before.clone()))

    return apart


def per_member(members: np.ndarray, like: Tensor) -> Tensor:
    """(batch, 1, ...) a flag per member."""
    return each(torch.from_numpy(members).to(like.device), like)


class RoundOff:
    """Whether rounding ends a member's iteration: its residual is at round-off, and its iterate has settled.

    The residual alone does not tell: where little holds u, rounding of u leaves more of it than an error as large as u
    does. An iterate has settled once a cycle changes it by little, or not by much and no less than an earlier one did.

    Parameters
    ----------
    bound : u -> (batch,) the residual that rounding leaves, 2 eps || |A||u| + |b| ||
    size : (batch,) what residuals are relative to
    """

    def __init__(self, bound: Callable[[Tensor], Tensor | np.ndarray], size: np.ndarray, changed: Changed = change):
        self._bound, self._size, self._changed = bound, size, changed
        self._near = np.zeros(len(size), bool)
        self._least: Any = np.inf  # change at round-off

    @property
    def near(self) -> bool:
        """Whether a member is near round-off, so that every cycle asks."""
        return bool(self._near.any())

    def reached(
        self, relatives: np.ndarray, stalled: np.ndarray, u: Callable[[], Tensor], before: Callable[[], Tensor | None]
    ) -> np.ndarray:
        """(batch,); asked after each cycle, it looks at the iterates only where a residual does not fall any more."""
        if not (stalled.any() or self.near):
            return self._near
        now = u()
        bound = relative(self._bound(now), self._size)
        self._near |= stalled & (relatives <= NEAR * bound)
        moved, settled = self._changed(now, before()), _settled(now)
        fixed = moved <= torch.finfo(now.dtype).eps  # a point that may miss the bound
        there = relatives <= np.where(fixed, NEAR, 1.0) * bound
        still = (moved <= settled) | ((moved <= NOISE * settled) & (moved > UNSETTLED * self._least))
        self._least = np.where(there, np.minimum(moved, self._least), self._least)
        return there & still


def iterate(
    iteration: Iteration,
    f: Any,
    guess: Tensor | None,
    tol: float,
    max_cycles: int,
    roundoff: Callable[[Tensor], Tensor | np.ndarray],
    callback: Callable[[int, float], None] | None,
    scale: Tensor | None = None,
    hopeless: Callable[[list[float]], bool] | None = None,
    of_guess: bool = False,
    changed: Changed = change,
    linear: bool = True,
) -> Outcome:
    """Cycle until every member of the batch is done; the best iterate is returned.

    The first cycle without a guess is a full multigrid pass.

    Parameters
    ----------
    f : the right-hand side, in the format of the levels
    guess : (batch, *grid); where A is linear, members whose residual is larger than that of zero start from zero,
        and those of b = 0 end there
    roundoff : u -> (batch,) the residual that rounding alone leaves, 2 eps || |A||u| + |b| ||
    callback : called with (cycle, largest relative residual) after each cycle
    scale : (batch,) the residual of zero, where it is known already
    hopeless : asked after each cycle whether to give up, by the residuals
    of_guess : whether residuals are relative to the guess's, as they are of a nonlinear problem where that of zero is 0
    changed : (u, before) -> (batch,) the relative change
    """
    u, relatives, size = _begun(iteration, f, guess, scale, of_guess, linear)
    residuals = [float(relatives.max())]
    done = relatives <= tol
    rounding, best, hidden = RoundOff(roundoff, size, changed), Best(changed), Hidden(tol, len(size), changed)
    each = iteration.hold is not None and len(size) > 1  # each member's last step is looked at
    while not done.all() and len(residuals) <= max_cycles:
        most = 1 if rounding.near or each or callback is not None else max_cycles + 1 - len(residuals)
        old, u, norms = iteration.several(u, f, relatives * size, size, tol, most)
        history = relative(norms, size)
        before, relatives = (relatives, *history)[-2:]
        residuals += history.max(1).tolist()  # NaN if there is one
        if not isfinite(residuals[-1]):
            raise FloatingPointError(_words(residuals, iteration.tensor(f).dtype))
        if callback is not None:
            callback(len(residuals) - 1, residuals[-1])
        done, slow = relatives <= tol, relatives > STALLED * before
        now, then = partial(iteration.tensor, u), partial(_tensor, iteration, old)
        if iteration.hold is not None:
            if hidden.look(before, relatives, now, then):
                iteration.hold(np.where(hidden.members, 0.0, tol * size))
            done &= ~hidden.members
        if rounding.near or slow.any():
            if old is not None and (relatives > before).any():
                best.keep(iteration.tensor(old), before)
            done = done | rounding.reached(relatives, slow & ~done, now, then)
        if hopeless is not None and hopeless(residuals):
            break
    result = torch.zeros_like(iteration.tensor(f)) if u is None else iteration.release(u)
    result = result.clone() if len(residuals) == 1 and guess is not None else result  # the guess stays the caller's
    result = best.or_last(result, relatives, done)
    if not done.all():
        remedy = HIDDEN if (relatives <= tol).all() else ""
        return Outcome(result, residuals, "not converged", guess is not None, remedy)
    status = "tolerance" if (relatives <= tol).all() else "round-off"
    return Outcome(result, residuals, status, guess is not None)


def _begun(
    iteration: Iteration, f: Any, guess: Tensor | None, scale: Tensor | None, of_guess: bool, linear: bool
) -> tuple[Any, np.ndarray, np.ndarray]:
    """The first iterate (None for zero), (batch,) its relative residuals, and what those are relative to."""
    of_zero = (iteration.norms(None, f) if scale is None else scale).cpu().numpy()
    if guess is None:
        return None, relative(of_zero, of_zero), of_zero
    u = iteration.data(guess)
    of_begin = iteration.norms(u, f).cpu().numpy()
    first, other = (of_begin, of_zero) if of_guess else (of_zero, of_begin)
    size = np.where(first == 0, other, first)
    worse = ((of_begin > first) | (of_zero == 0)) & linear  # than zero: it would cost digits
    if worse.any():
        u = None if worse.all() else iteration.data(torch.where(per_member(worse, guess), 0.0, guess))
    return u, relative(np.where(worse, of_zero, of_begin), size), size


def _words(residuals: list[float], dtype: torch.dtype) -> str:
    """Why the last residual is not finite."""
    became = f"the residual became {residuals[-1]} in cycle {len(residuals) - 1}: "
    if residuals[-2] > RUNAWAY * residuals[0]:
        return became + "each cycle makes the error larger. Pass another `smoother`, `cycle` or `nu`."
    return became + (
        f"f, the guess or the coefficients overflow in {dtype}, or are not finite. Scale the problem or use float64."
    )


def _settled(u: Tensor) -> float:
    """The relative change of an iterate that has settled."""
    return SETTLED * sqrt(torch.finfo(u.dtype).eps)


def _tensor(iteration: Iteration, u: Any) -> Tensor | None:
    return None if u is None else iteration.tensor(u)
