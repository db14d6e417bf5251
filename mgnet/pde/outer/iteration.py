"""What goes on around cycles: here cycles alone; in ``krylov`` and ``steps`` conjugate gradients and their kin."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from mgnet.pde.levels.hierarchy import Hierarchy
from mgnet.pde.levels.system import HALVED

STALLED = HALVED  # a step that does not halve the residual asks whether round-off is reached

Several = tuple[
    Any, Any, np.ndarray
]  # the iterate before the last (None for zero), the last, (steps, batch) ||b - A u||


class Iteration(Protocol):
    """An iteration for one operator, which ``iterate`` drives; iterates and data are in its own format.

    Attributes
    ----------
    squares : whether it takes inner products, so that data may be too large or too small for it
    """

    squares: bool

    @property
    def hold(self) -> Callable[[np.ndarray], None] | None:
        """Leaves members alone from now on whose ||b - A u|| is no more than (batch,) a floor.

        None where what a step changes tells nothing of the error.
        """
        ...

    def data(self, b: Tensor, /) -> Any:
        """b, (batch, *grid), in that format."""
        ...

    def tensor(self, u: Any, /) -> Tensor:
        """An iterate as a tensor (batch, *grid); it holds until the next step."""
        ...

    def release(self, u: Any, /) -> Tensor:
        """An iterate as a tensor that is the caller's to keep."""
        ...

    def norms(self, u: Any, b: Any, /) -> Tensor:
        """(batch,) ||b - A u||; u None for zero: then b may be made ready for the steps from there."""
        ...

    def full_multigrid(self, b: Any, /) -> Any:
        """One full multigrid pass, and the steps that are its own."""
        ...

    def further(self, u: Any, b: Any, steps: int, /) -> Any:
        """So many steps from u, the last iterate."""
        ...

    def error(self, size: Tensor, energy: Callable[[], Tensor], /) -> tuple[Tensor, Tensor]:
        """(numbers,) the square of what is known of errors after such steps, and of what they are small beside.

        size, energy : (batch,) ||b||, and what gives (batch,) (b, u)
        """
        ...

    def several(self, u: Any, b: Any, norms: np.ndarray, size: np.ndarray, tol: float, most: int, /) -> Several:
        """Up to ``most`` steps between which there is nothing to decide, towards ||b - A u|| <= tol size.

        u, norms : where to go on from, None for zero, and (batch,) ||b - A u||
        """
        ...


class Cycles:
    """The stationary iteration: one cycle of the levels after the other; the first, from zero, is a full pass."""

    name, applications, finishing, squares, hold = "", 0, 0, False, None

    def __init__(self, levels: Hierarchy):
        self.levels = levels
        self.data, self.tensor, self.release, self.norms = levels.data, levels.tensor, levels.release, levels.norms

    def full_multigrid(self, b: Any) -> Any:
        return self.levels.full_multigrid(b, measure=False)

    def further(self, u: Any, b: Any, steps: int) -> Any:
        for _ in range(steps):
            u = self.levels.cycle(u, b, measure=False)
        return u

    def error(self, size: Tensor, energy: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        return 0 * size, size  # nothing is measured

    def several(self, u: Any, b: Any, norms: np.ndarray, size: np.ndarray, tol: float, most: int) -> Several:
        return one_by_one(self.levels, u, b, norms, size, tol, most)


def one_by_one(
    levels: Hierarchy, u: Any, b: Any, norms: np.ndarray, size: np.ndarray, tol: float, most: int
) -> Several:
    """``several`` of cycles, each of which halves the residuals above tol size, but for the last."""
    history, enough, going = [norms], tol * size, True
    while going and len(history) <= most:
        before, u = u, levels.full_multigrid(b) if u is None else levels.cycle(u, b)
        history.append(levels.measured().cpu().numpy())
        done = history[-1] <= enough
        going = not done.all() and bool((done | (history[-1] <= STALLED * history[-2])).all())
    return before, u, np.stack(history[1:])
