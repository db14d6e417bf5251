"""The outer loop: cycles until the residual is small, at round-off, or the cycles are spent."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

STALLED = 0.5  # a cycle that does not halve the residual asks whether round-off is reached
NEAR = 10.0  # times round-off's residual: a stalled one below has every cycle ask


class Hierarchy(Protocol):
    """What a set of levels offers the outer loops; iterates and data are in its own format."""

    def data(self, b: Tensor) -> Any:
        """b, (batch, *grid), in the format of the levels."""
        ...

    def tensor(self, u: Any) -> Tensor:
        """An iterate as a tensor (batch, *grid); it holds until the next cycle."""
        ...

    def release(self, u: Any) -> Tensor:
        """An iterate as a tensor that is the caller's to keep."""
        ...

    def start(self, b: Any, watch: bool = True) -> Any:
        """One full multigrid pass."""
        ...

    def cycle(self, u: Any, b: Any, watch: bool = True) -> Any:
        """One cycle; u None for zero."""
        ...

    def norms(self, u: Any, b: Any) -> Tensor:
        """(batch,) ||b - A u||; u None for zero: then b may be made ready for ``start``."""
        ...

    def watched(self) -> Tensor:
        """(batch,) the same for what the last watched ``start`` or ``cycle`` returned."""
        ...


@dataclass
class Outcome:
    """An iterate and how it was reached."""

    u: Tensor
    residuals: list[float]
    status: str
    guessed: bool = False


def relative(norms: Tensor, scale: np.ndarray) -> np.ndarray:
    """||r|| / ||b||, 0 where both are 0; as an array, since a handful of numbers costs more as a tensor."""
    r = norms.cpu().numpy()
    with np.errstate(all="ignore"):
        return np.divide(r, scale, out=np.zeros_like(r), where=r != 0)


def iterate(
    hierarchy: Hierarchy,
    f: Any,
    guess: Tensor | None,
    tol: float,
    max_cycles: int,
    roundoff: Callable[[Tensor], Tensor],
    callback: Callable[[int, float], None] | None,
    scale: Tensor | None = None,
    hopeless: Callable[[list[float]], bool] | None = None,
    of_guess: bool = False,
) -> Outcome:
    """Cycle until every member of the batch is done.

    The first cycle without a guess is a full multigrid pass.

    Parameters
    ----------
    f : the right-hand side, in the format of the levels
    guess : (batch, *grid)
    roundoff : u -> (batch,) the residual below which no cycle helps, 2 eps || |A||u| + |b| ||
    callback : called with (cycle, largest relative residual) after each cycle
    scale : (batch,) the residual of zero, where it is known already
    hopeless : asked after each cycle whether to give up, by the residuals
    of_guess : whether residuals are relative to the guess's, as they are where that of zero is 0
    """
    of_zero = hierarchy.norms(None, f) if scale is None else scale
    u = None if guess is None else hierarchy.data(guess)
    norms = of_zero if u is None else hierarchy.norms(u, f)
    first, second = (norms, of_zero) if of_guess else (of_zero, norms)
    size = torch.where(first == 0, second, first).cpu().numpy()
    relatives = relative(norms, size)
    residuals = [float(relatives.max())]
    done = relatives <= tol
    near = np.zeros_like(done)  # round-off
    while not done.all() and len(residuals) <= max_cycles:
        u = hierarchy.start(f) if u is None else hierarchy.cycle(u, f)
        before, relatives = relatives, relative(hierarchy.watched(), size)
        residuals.append(float(relatives.max()))  # NaN if there is one
        if not isfinite(residuals[-1]):
            raise FloatingPointError(
                f"the residual became {residuals[-1]} in cycle {len(residuals) - 1}: f, the guess or the coefficients "
                f"overflow in {hierarchy.tensor(f).dtype}, or are not finite. Scale the problem or use float64."
            )
        if callback is not None:
            callback(len(residuals) - 1, residuals[-1])
        done = relatives <= tol
        stalled = ~done & (relatives > STALLED * before)
        if (stalled | near).any():
            bound = relative(roundoff(hierarchy.tensor(u)), size)
            done, near = done | (relatives <= bound), near | (stalled & (relatives <= NEAR * bound))
        if hopeless is not None and hopeless(residuals):
            break
    result = torch.zeros_like(hierarchy.tensor(f)) if u is None else hierarchy.release(u)
    if not done.all():
        return Outcome(result, residuals, "not converged", guess is not None)
    status = "tolerance" if (relatives <= tol).all() else "round-off"
    return Outcome(result, residuals, status, guess is not None)
