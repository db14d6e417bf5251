"""What a solve returns, and the error it raises."""

import sys
import warnings
from collections.abc import Hashable
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from torch import Tensor

from mgnet.pde.outer.iterate import Outcome
from mgnet.pde.outer.stopping import GO_ON, Stop
from mgnet.pde.problem.checks import deep_copy
from mgnet.pde.problem.grid import Grid

Array = TypeVar("Array", np.ndarray, Tensor)


class Labelled(Protocol):
    """What checkers know of an xarray.DataArray where there is no xarray."""

    @property
    def dims(self) -> tuple[Hashable, ...]: ...

    @property
    def coords(self) -> Any: ...

    def __getattr__(self, name: str) -> Any: ...


Field = TypeVar("Field", np.ndarray, Tensor, Labelled)  # what ``solve`` takes


@dataclass(frozen=True, repr=False)
class Solution(Generic[Field]):
    """The solution of A u = b and how it was reached.

    Attributes
    ----------
    u : (*batch, *grid), of f's kind, dtype and device
    residuals : the batch's largest relative residual ||b - A u|| / ||b||: the guess's, then after each
        cycle (a conjugate gradient step with its one preconditioner call is a cycle); for tol=None empty, or
        from where a pass that was not enough was gone on with
    converged : whether all members converged
    status : "tolerance", "round-off" (no cycle can help), "full multigrid" or "transform" (tol=None) or "not converged"
    grid : that u lies on
    method : the hierarchy, smoother and iteration in words, or the transforms
    work : work units of the whole solve: applications of A (a sweep is one), in units of the finest grid's
    seconds : time of the solve; the levels' set-up counts where they did not exist yet

    Example
    -------
    >>> from mgnet.pde import solve
    >>> s = solve(np.ones((63, 63)), tol=1e-8)
    >>> s.converged, s.status, s.residuals[-1] < 1e-8, s.cycles == len(s.residuals) - 1
    (True, 'tolerance', True, True)
    """

    u: Field
    residuals: list[float]
    converged: bool
    status: str
    grid: Grid = field(repr=False)
    method: str = ""
    work: float = 0.0
    seconds: float = 0.0

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.u.shape))
        residual = f", residual {self.residuals[-1]:.1e}" if self.residuals else ""
        cycles = f"{self.cycles} cycle{'s' * (self.cycles != 1)}"
        return (
            f"Solution({shape}: {self.status} after {cycles}{residual}{self._factor}, "
            f"{self.work:.1f} work units, {1e3 * self.seconds:.1f} ms; {self.method})"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "Solution":
        return deep_copy(self, memo, "Detach u")

    @property
    def cycles(self) -> int:
        """How many were done."""
        return len(self.residuals) - 1 if self.residuals else 1

    @property
    def reached_tol(self) -> bool:
        """Whether the tolerance asked for was met: "round-off" ends above it; tol=None asks for none."""
        return self.status in ("tolerance", "full multigrid", "transform")

    @property
    def factor(self) -> float:
        """Geometric mean of the residual's reduction per cycle (NaN without a residual history)."""
        return _factor(self.residuals)

    @property
    def _factor(self) -> str:
        """In words, after others; none where there is none."""
        return f", factor {self.factor:.3f}" if isfinite(self.factor) else ""

    def plot(self, path: str | Path | None = None, axes: Any = None) -> Any:
        """Draw the solution (the middle slice in 3-D, the first of a batch) and the convergence.

        Parameters
        ----------
        path : where to write a picture (the suffix names the format); None: do not write
        axes : two matplotlib axes to draw into; default: a new figure

        Returns
        -------
        The matplotlib figure

        Raises
        ------
        ModuleNotFoundError : matplotlib is not installed
        ValueError : a suffix that it does not write

        Example
        -------
        >>> from mgnet.pde import solve
        >>> len(solve(np.ones((63, 63))).plot().axes) >= 2
        True
        """
        from mgnet.pde.plot import draw

        return draw(self, path, axes)


def _factor(r: list[float]) -> float:
    if len(r) < 2 or not 0 < r[0] < inf:
        return float("nan")
    return float((r[-1] / r[0]) ** (1 / (len(r) - 1)))


class RoundOffWarning(RuntimeWarning):
    """Round-off ended a solve far above its tolerance.

    Example
    -------
    >>> issubclass(RoundOffWarning, RuntimeWarning)
    True
    """


FAR = 10.0  # times tol


def warn_of_round_off(solution: Solution, tol: float | None) -> None:
    """Say that round-off has ended a solve far above a tolerance that the dtype can express.

    A tol below eps, as the default is in float32, asks for all that the dtype has.
    """
    if solution.status != "round-off" or tol is None:
        return
    dtype, reached = str(solution.u.dtype).removeprefix("torch."), solution.residuals[-1]
    if tol < np.finfo(dtype).eps or reached <= FAR * tol:
        return
    wider = "Pass f in float64, or loosen `tol`" if dtype == "float32" else "Loosen `tol`"
    warnings.warn(
        f"round-off ended the solve at a relative residual of {reached:.1e}, above `tol` = {tol:g}: in {dtype} no "
        f"cycle can bring it down further. {wider}; solution.reached_tol tells whether `tol` was met.",
        RoundOffWarning,
        stacklevel=_outside(),
    )


def solution_of(
    outcome: Outcome, u: Any, grid: Grid, method: str = "", work: float = 0.0, seconds: float = 0.0
) -> Solution:
    """What has become of a solve, with its iterate in the form that was asked for."""
    converged = outcome.status != "not converged"
    return Solution(u, outcome.residuals, converged, outcome.status, grid, method, work, seconds)


def concluded(solution: Solution, stop: Stop, remedy: str, throw: bool) -> Solution:
    """The solution, once all that there is to say of it is said."""
    if throw:
        check_converged(solution, stop.tol, remedy)
    if not stop.of_guess:  # a guess may be at round-off already, as in a steady state
        warn_of_round_off(solution, stop.tol)
    return solution


def check_converged(solution: Solution, tol: float | None, remedy: str) -> None:
    """Raise NotConverged where it has not."""
    if not solution.converged:
        raise NotConverged(solution, GO_ON if tol is None else tol, remedy)


def check_derivative(solution: Solution, tol: float | None, remedy: str, throw: bool) -> None:
    """Raise, or warn, where a derivative's system has not converged, whose residuals nobody sees."""
    if throw:
        check_converged(solution, tol, remedy)
    elif not solution.converged:
        warnings.warn(
            f"the system of a derivative has not converged: after {solution.cycles} cycles its relative residual is "
            f"{solution.residuals[-1]:.1e}, and gradients are as inexact. Raise `max_cycles`, or leave throw=True.",
            RuntimeWarning,
            stacklevel=_outside(),
        )


def _outside() -> int:
    """The stack level, seen from the function that calls, of the first frame that is not ours."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "mgnet":
        frame, level = frame.f_back, level + 1
    return level


STALLED = 0.9  # factor, of all cycles or of the later half, above which more hardly help
STALL = (
    "More cycles hardly help: the problem is nearly singular in this precision (`c` or a Robin alpha tiny beside "
    "a / h^2), or its coefficients differ too much from axis to axis. Use float64, or smooth lines by "
    'Solver(problem, smoother="zebra").'
)


class NotConverged(RuntimeError):
    """The tolerance was not reached; ``solution`` holds what there is.

    Parameters
    ----------
    solution : what there is
    tol : what was asked for
    remedy : what to do; default: said from the factor

    Example
    -------
    >>> from mgnet.pde import solve
    >>> f = np.random.default_rng(0).normal(size=(63, 63))
    >>> try:
    ...     solve(f, tol=1e-12, max_cycles=1)
    ... except NotConverged as error:
    ...     error.solution.cycles
    1
    """

    def __init__(self, solution: Solution, tol: float, remedy: str = ""):
        self.solution, self.tol, self.remedy = solution, tol, remedy
        late = _factor(solution.residuals[(len(solution.residuals) - 1) // 2 :])
        remedy = remedy or STALL * (max(late, solution.factor) > STALLED) or "Raise `max_cycles` or loosen `tol`."
        last = ", ".join(f"{r:.1e}" for r in solution.residuals[-3:])
        factor = f", a factor of {solution.factor:.2f} per cycle" if isfinite(solution.factor) else ""
        super().__init__(
            f"not converged to {tol:g} in {solution.cycles} cycles: the last relative residuals are {last}{factor}. "
            f"{remedy} Or pass throw=False to get the iterate."
        )

    def __reduce__(self) -> tuple[type["NotConverged"], tuple[Solution, float, str]]:
        """What copies and pickles are made of, as from another process."""
        return type(self), (self.solution, self.tol, self.remedy)
