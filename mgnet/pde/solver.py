"""The public solver: a reusable set-up, and one call that does it all."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse.linalg as splinalg
import torch
from torch import Tensor

from mgnet.pde.grid import Grid
from mgnet.pde.hierarchy import ReadableHierarchy, grids, readable_levels
from mgnet.pde.iterate import Hierarchy, Outcome, iterate
from mgnet.pde.problem import Poisson
from mgnet.pde.smoothers import SMOOTHERS
from mgnet.pde.solution import NotConverged, Solution

CYCLES: dict[str, int | str] = {"V": 1, "W": 2, "F": "F"}


class Solver:
    """Multigrid for one problem: set up once, solve many right-hand sides.

    Parameters
    ----------
    problem : Poisson
    cycle : "V", "W" or "F"
    smoother : "chebyshev" (fourth kind), "jacobi" (damped) or "red-black" (Gauss-Seidel)
    nu : smoothing sweeps on the way down and on the way up

    Calls from several threads are safe; they take turns.

    Example
    -------
    >>> solver = Solver(Poisson(Grid((63, 63))))
    >>> solution = solver.solve(np.ones((63, 63)), tol=1e-10)
    >>> round(float(solution.u.max()), 4)
    0.0737
    """

    def __init__(
        self,
        problem: Poisson,
        cycle: str = "V",
        smoother: str = "chebyshev",
        nu: tuple[int, int] = (2, 2),
    ):
        if not isinstance(problem, Poisson):
            raise TypeError(f"`problem` must be a mgnet.pde.Poisson; it is {type(problem).__name__}.")
        _check_word("cycle", cycle, tuple(CYCLES))
        _check_word("smoother", smoother, SMOOTHERS)
        if len(nu) != 2 or not all(isinstance(n, int) and n >= 0 for n in nu) or sum(nu) < 1:
            raise ValueError(f"`nu` must be two sweep counts >= 0, not both zero; it is {nu!r}.")
        self.problem = problem
        self._cycle, self._smoother, self._nu = cycle, smoother, (nu[0], nu[1])
        self._hierarchies: dict[Any, Hierarchy] = {}
        self._lock = threading.Lock()

    def solve(
        self,
        f: Any,
        *,
        boundary: Any = None,
        guess: Any = None,
        tol: float | None = 1e-8,
        max_cycles: int = 100,
        throw: bool = True,
        callback: Callable[[int, float], None] | None = None,
    ) -> Solution:
        """Solve for one or a batch of right-hand sides; arguments and errors as ``mgnet.pde.solve``."""
        ndim = self.problem.grid.ndim
        f = _right_hand_side(f)
        _check_controls(tol, max_cycles)
        b = self.problem.rhs(torch.as_tensor(f), boundary)
        batch = b.shape[: b.ndim - ndim]
        start = None if guess is None else _same_shape("guess", guess, b)
        flat = b.reshape(-1, *b.shape[-ndim:])
        begun = time.perf_counter()
        outcome = self._run(flat.detach(), None if start is None else start.reshape(flat.shape), tol, max_cycles, callback)
        seconds = time.perf_counter() - begun
        u = outcome.u.reshape(*batch, *b.shape[-ndim:])
        solution = Solution(
            u=u.numpy() if isinstance(f, np.ndarray) else u,
            residuals=outcome.residuals,
            converged=outcome.status != "not converged",
            status=outcome.status,
            grid=self.problem.grid,
            method=self._method(),
            seconds=seconds,
        )
        if throw and not solution.converged:
            assert tol is not None
            raise NotConverged(solution, tol)
        return solution

    def cycle(self, u: Any, f: Any) -> Any:
        """One cycle for A u = f (f in the units of A u, as ``Poisson.rhs`` returns it) from u."""
        b = torch.as_tensor(f)
        shape = b.shape
        flat = b.reshape(-1, *self.problem.grid.shape)
        with self._lock:
            hierarchy = self._hierarchy(flat)
            iterate = hierarchy.data(torch.as_tensor(u).to(b).reshape(flat.shape))
            out = hierarchy.release(hierarchy.cycle(iterate, hierarchy.data(flat), watch=False)).reshape(shape)
        return out.numpy() if isinstance(f, np.ndarray) else out

    def aslinearoperator(self) -> splinalg.LinearOperator:
        """A for scipy, on vectors in C order."""
        grid = self.problem.grid

        def matvec(v: np.ndarray) -> np.ndarray:
            return self.problem.apply(np.ascontiguousarray(v).reshape(grid.shape)).ravel()

        return splinalg.LinearOperator(self.problem.shape, matvec=matvec, rmatvec=matvec, dtype=np.dtype(np.float64))

    def aspreconditioner(self) -> splinalg.LinearOperator:
        """One symmetric cycle from zero, an approximate inverse of A for scipy's ``M=``.

        On a singular problem the result is projected to mean zero.
        """
        if self._nu[0] != self._nu[1]:
            raise ValueError(f"`aspreconditioner` needs a symmetric cycle, nu[0] = nu[1]; nu is {self._nu}.")
        grid = self.problem.grid

        def matvec(v: np.ndarray) -> np.ndarray:
            b = torch.as_tensor(np.ascontiguousarray(v, dtype=np.float64)).reshape(1, *grid.shape)
            with self._lock:
                hierarchy = self._hierarchy(b, symmetric=True)
                u = hierarchy.tensor(hierarchy.cycle(None, hierarchy.data(self._compatible(b)), watch=False))
                return self._centred(u).numpy().ravel().copy()

        return splinalg.LinearOperator(self.problem.shape, matvec=matvec, rmatvec=matvec, dtype=np.dtype(np.float64))

    def _run(
        self, b: Tensor, guess: Tensor | None, tol: float | None, max_cycles: int,
        callback: Callable[[int, float], None] | None,
    ) -> Outcome:  # fmt: skip
        """Solve for b of shape (batch, *grid)."""
        if self.problem.singular:
            _check_compatible(b, self.problem)
            b = self._compatible(b)
        with self._lock:
            hierarchy = self._hierarchy(b)
            if tol is None:
                f = hierarchy.data(b)
                u = hierarchy.start(f, watch=False) if guess is None else hierarchy.cycle(hierarchy.data(guess), f, watch=False)
                outcome = Outcome(hierarchy.release(u), [], "full multigrid")
                if not torch.isfinite(outcome.u.flatten(1)[:, 0]).all():
                    _check_finite(b)  # a NaN anywhere in f reaches every unknown through the coarsest grid
            else:
                try:
                    outcome = iterate(hierarchy, b, guess, tol, max_cycles, self._roundoff(b), callback)
                except FloatingPointError:
                    _check_finite(b)
                    raise
        outcome.u = self._centred(outcome.u)
        return outcome

    def _hierarchy(self, b: Tensor, symmetric: bool = False) -> Hierarchy:
        """The levels for b's batch, dtype and device; the last ones are kept."""
        key = (len(b), b.dtype, b.device, symmetric)
        if key not in self._hierarchies:
            self._hierarchies = {key: self._build(b, symmetric)}
        return self._hierarchies[key]

    def _build(self, b: Tensor, symmetric: bool) -> Hierarchy:
        from mgnet.pde.kernels.hierarchy import FusedHierarchy, fusible

        constant = self.problem.constant
        assert constant is not None
        a, c = constant
        chain = grids(self.problem.grid.axes, a)
        gamma = CYCLES[self._cycle]
        if fusible(chain, b.device) and len(chain) > 1:
            return FusedHierarchy(chain, a, c, b.dtype, len(b), self._smoother, self._nu, gamma, symmetric)
        like = b.new_zeros(())
        levels, transfers = readable_levels(chain, a, c, like, self._smoother, self._nu, symmetric)
        return ReadableHierarchy(levels, transfers, self.problem.A, gamma)

    def _roundoff(self, b: Tensor) -> Callable[[Tensor], Tensor]:
        """u -> 2 eps || |A||u| + |b| || per member: the residual that rounding alone leaves."""
        dims = tuple(range(-self.problem.grid.ndim, 0))
        eps = torch.finfo(b.dtype).eps
        A = self.problem.A

        def bound(u: Tensor) -> Tensor:
            return 2 * eps * torch.linalg.vector_norm(A.magnitude(u) + b.abs(), dim=dims)

        return bound

    def _compatible(self, b: Tensor) -> Tensor:
        """b with the round-off of its mean removed."""
        if not self.problem.singular:
            return b
        weights = self._weights(b)
        dims = tuple(range(-self.problem.grid.ndim, 0))
        return b - weights * (b.sum(dims, keepdim=True) / weights.sum())

    def _centred(self, u: Tensor) -> Tensor:
        """The member of u + constants that has mean zero."""
        if not self.problem.singular:
            return u
        weights = self._weights(u)
        dims = tuple(range(-self.problem.grid.ndim, 0))
        return u - (weights * u).sum(dims, keepdim=True) / weights.sum()

    def _weights(self, like: Tensor) -> Tensor:
        """Each unknown's share of a cell."""
        return self.problem.A.weigh(like.new_ones(self.problem.grid.shape))

    def _method(self) -> str:
        return f"{self._cycle}({self._nu[0]},{self._nu[1]})-cycles, {self._smoother} smoother"


def solve(
    f: Any,
    *,
    bc: Any = "dirichlet",
    lower: float | Sequence[float] = 0.0,
    upper: float | Sequence[float] = 1.0,
    centering: str = "node",
    a: Any = None,
    c: Any = None,
    boundary: Any = None,
    guess: Any = None,
    ndim: int | None = None,
    tol: float | None = 1e-8,
    max_cycles: int = 100,
    throw: bool = True,
) -> Solution:
    """Solve -div(a grad u) + c u = f on a box, by multigrid.

    Parameters
    ----------
    f : (*batch, *grid) torch tensor or numpy array; kind, device and dtype are kept (integers
        count as float64)
    bc, lower, upper, centering : the grid, see ``Grid``
    a, c : the coefficients, see ``Poisson``
    boundary : the boundary data, see ``Poisson.rhs``
    guess : (*batch, *grid) where to start; default: a full multigrid pass
    ndim : how many trailing axes of f are grid axes; default: all of them, up to 3
    tol : relative residual ||b - A u|| / ||b||; None: to discretisation accuracy, one full
        multigrid pass without a residual test
    max_cycles : cycles at most
    throw : whether to raise NotConverged, or to return the iterate

    Returns
    -------
    Solution

    Raises
    ------
    ValueError, TypeError : naming the argument, what it must be and what came
    NotConverged : with the residuals reached and what to do

    Source: Brandt 1977; Trottenberg, Oosterlee & Schueller 2001.

    Example
    -------
    >>> s = solve(np.ones((127, 127)))
    >>> s.converged, round(float(s.u.max()), 4)
    (True, 0.0737)
    """
    f = _right_hand_side(f)
    grid = Grid(_grid_shape(f, ndim), bc=bc, lower=lower, upper=upper, centering=centering)
    solver = Solver(Poisson(grid, a, c, like=f))
    return solver.solve(f, boundary=boundary, guess=guess, tol=tol, max_cycles=max_cycles, throw=throw)


def _right_hand_side(f: Any) -> Any:
    """f as a real floating-point array or tensor."""
    if not isinstance(f, (np.ndarray, Tensor)):
        raise TypeError(f"`f` must be a numpy array or a torch tensor; it is {type(f).__name__}.")
    kind = torch.as_tensor(f[:0] if f.ndim else f).dtype if not isinstance(f, Tensor) else f.dtype
    if kind in (torch.float32, torch.float64):
        return f
    if kind == torch.bool or kind.is_complex or kind.is_floating_point:
        raise TypeError(f"`f` must be float32, float64 or integer; its dtype is {f.dtype}. Convert it with f.astype/.to.")
    return f.astype(np.float64) if isinstance(f, np.ndarray) else f.to(torch.float64)


def _grid_shape(f: Any, ndim: int | None) -> tuple[int, ...]:
    if ndim is None:
        if not 1 <= f.ndim <= 3:
            raise ValueError(f"`f` has {f.ndim} axes; pass `ndim` to say how many trailing ones are grid axes (1 to 3).")
        ndim = f.ndim
    if not isinstance(ndim, int) or not 1 <= ndim <= 3:
        raise ValueError(f"`ndim` must be 1, 2 or 3; it is {ndim!r}.")
    if f.ndim < ndim:
        raise ValueError(f"`f` must have at least ndim = {ndim} axes; its shape is {tuple(f.shape)}.")
    if 0 in f.shape:
        raise ValueError(f"`f` must not be empty; its shape is {tuple(f.shape)}.")
    return tuple(f.shape[f.ndim - ndim :])


def _same_shape(name: str, v: Any, b: Tensor) -> Tensor:
    tensor = torch.as_tensor(v).to(b)
    if tensor.shape != b.shape:
        raise ValueError(f"`{name}` must have f's shape {tuple(b.shape)}; it has {tuple(tensor.shape)}.")
    if not torch.isfinite(tensor).all():
        raise ValueError(f"`{name}` must be finite; it has NaN or infinity. Pass None to start from scratch.")
    return tensor


def _check_word(name: str, word: Any, words: Sequence[str]) -> None:
    if word not in words:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, words))}; it is {word!r}.")


def _check_controls(tol: Any, max_cycles: Any) -> None:
    if tol is not None and not (isinstance(tol, (int, float)) and not isinstance(tol, bool) and 0 < tol < 1):
        raise ValueError(f"`tol` must be a number between 0 and 1, or None; it is {tol!r}.")
    if not isinstance(max_cycles, int) or isinstance(max_cycles, bool) or max_cycles < 1:
        raise ValueError(f"`max_cycles` must be a positive integer; it is {max_cycles!r}.")


def _check_finite(f: Tensor) -> None:
    bad = ~torch.isfinite(f)
    if bad.any():
        first = tuple(int(i) for i in bad.nonzero()[0])
        what = "NaN" if torch.isnan(f).any() else "infinite values"
        raise ValueError(f"`f` must be finite; it has {int(bad.sum())} {what}, first at {first}. Clean the right-hand side.")


def _check_compatible(b: Tensor, problem: Poisson) -> None:
    """A singular problem has a solution only for right-hand sides of mean zero."""
    _check_finite(b)
    dims = tuple(range(-problem.grid.ndim, 0))
    mean = b.sum(dims).abs()
    size = b.abs().sum(dims)
    allowed = 100 * torch.finfo(b.dtype).eps * size
    if (mean > allowed).any():
        worst = int((mean - allowed).argmax())
        raise ValueError(
            f"`f` must have mean zero (with the boundary data, weighted by each unknown's share of a cell): the problem "
            f"has only Neumann or periodic ends and c = 0, so it fixes u up to a constant. The mean is "
            f"{float(b[worst].mean()):.3g}, the mean size {float(size[worst] / problem.grid.size):.3g}. Subtract the mean of f, "
            f"or give a Dirichlet end or c > 0."
        )
