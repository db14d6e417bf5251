"""The public door to nonlinear problems."""

import inspect
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.levels.fas import SWEEPS, NonlinearHierarchy, Pointwise, chain
from mgnet.pde.levels.transfers import Transfer
from mgnet.pde.outer.backends import applied
from mgnet.pde.outer.eager import eager
from mgnet.pde.outer.iterate import iterate
from mgnet.pde.outer.iteration import Cycles
from mgnet.pde.outer.linearised import linearised
from mgnet.pde.outer.stopping import Callback
from mgnet.pde.outer.work import cycle_work, full_multigrid_work
from mgnet.pde.problem import checks
from mgnet.pde.problem.axis import Robin
from mgnet.pde.problem.coefficients import is_number
from mgnet.pde.problem.ends import Ends
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.members import norm_of
from mgnet.pde.problem.poisson import Poisson
from mgnet.pde.solution import Solution, check_converged, solution_of

REMEDY = "Give a better `guess`, check `dg`, check that a solution exists (g' < 0 may leave none)."


@eager
def solve_nonlinear(
    f: Any,
    g: Callable[[Any], Any],
    dg: Callable[[Any], Any],
    *,
    bc: Ends = "dirichlet",
    lower: float | Sequence[float] = 0.0,
    upper: float | Sequence[float] = 1.0,
    centering: Literal["node", "cell"] = "node",
    a: Any = None,
    boundary: Any = None,
    guess: Any = None,
    ndim: int | None = None,
    tol: float = 1e-8,
    max_cycles: int = 50,
    throw: bool = True,
    callback: Callback | None = None,
) -> Solution:
    """Solve -div(a grad u) + g(u) = f on a box.

    Members where g grows by damped Newton's method with linear multigrid, from coarse grids to fine ones; others by
    nonlinear multigrid (FAS).

    Parameters
    ----------
    f : (*batch, *grid) torch tensor or numpy array; kind, device and dtype are kept
    g, dg : the reaction and its derivative, elementwise functions g(u), or g(u, x), g(u, x, y), g(u, x, y, z) with the
        coordinates of every axis, of arrays of f's kind. They are called on coarse grids too, with u of shape
        (members, *grid) and coordinates of shape grid, so data that varies in space must be computed from the
        coordinates. Which of the two is meant is read off the positional parameters without defaults.
    a : None, a number, an array at the unknowns (coarse grids have its means), a callable, or one of these per axis;
        or a full tensor of them
    boundary : None, a number, a callable, or one (low, high) pair of these per axis
    guess : where to start; default: the solution on the next coarser grid, and so on
    tol : residual relative to that of u = 0
    bc, lower, upper, centering, ndim, max_cycles, throw, callback : as for ``solve``

    Returns
    -------
    Solution : without a graph; what asks for a gradient is refused

    Raises
    ------
    ValueError, TypeError : naming the argument, what it must be and what came
    NotConverged : with the residuals reached and what to do
    FloatingPointError : the solution overflows, or g is not finite where no step can be taken back

    Source: Brandt 1977; Trottenberg, Oosterlee & Schueller 2001, section 5.3; Deuflhard 2011, sections 2.3 and 3.4.

    Example
    -------
    -Lap u = exp(u), Bratu's problem:

    >>> def g(u):
    ...     return -np.exp(u)
    >>> s = solve_nonlinear(np.zeros((63, 63)), g, dg=g)
    >>> round(float(s.u.max()), 3)
    0.078

    A reaction that varies in space, -Lap u + (1 + x) u^3 = 1:

    >>> def g(u, x, y):
    ...     return (1 + x) * u**3
    >>> def dg(u, x, y):
    ...     return 3 * (1 + x) * u**2
    >>> s = solve_nonlinear(np.ones((63, 63)), g, dg)
    >>> s.converged
    True
    """
    f = checks.right_hand_side(f)
    grid = Grid(checks.grid_shape(f, ndim), bc=bc, lower=lower, upper=upper, centering=centering)
    checks.controls(tol, max_cycles, throw, callback)
    if tol is None:
        raise ValueError("`tol` must be a number between 0 and 1 for a nonlinear problem; it is None.")
    _check_evaluable(boundary, grid)
    b0 = checks.as_tensor(f)
    grids = chain(grid)
    functions = [_pointwise(name, v, f, grids) for name, v in (("g", g), ("dg", dg))]
    problems = [Poisson(level, each, like=f) for level, each in zip(grids, _on_grids(a, grids), strict=True)]
    data = _data(problems, b0.reshape(-1, *grid.shape), boundary)
    start = None if guess is None else checks.guess_like(guess, f.shape, b0).reshape(-1, *grid.shape)
    hierarchy = NonlinearHierarchy(problems, functions[0], functions[1], data, applied, linearised)
    begun = time.perf_counter()
    b = data[0]
    try:
        how, scale = (hierarchy.roundoff(b), callback), _scale(hierarchy, b)
        outcome = iterate(Cycles(hierarchy), b, start, tol, max_cycles, *how, scale, linear=False)
    except FloatingPointError as error:
        checks.finite_data(b0, None if start is None else start.reshape(f.shape))
        raise FloatingPointError(f"{error} {REMEDY}") from None
    u: Any = outcome.u.reshape(f.shape)
    cycles = hierarchy.linear_cycles + (len(outcome.residuals) - 1) * hierarchy.fas
    grids_and_sweeps = hierarchy.sizes, (SWEEPS, SWEEPS), 1
    work = cycle_work(*grids_and_sweeps) * cycles
    if start is None and hierarchy.fas:
        work += full_multigrid_work(*grids_and_sweeps) - cycle_work(*grids_and_sweeps)
    u = u.numpy() if isinstance(f, np.ndarray) else u
    newton = hierarchy.newton or not hierarchy.fas  # as on the coarsest grid
    words = "damped Newton" * newton, "FAS V(2,2)-cycles, Newton-Chebyshev smoother" * hierarchy.fas
    method = ", ".join(filter(None, words))
    solution = solution_of(outcome, u, grid, method, work, time.perf_counter() - begun)
    if throw:
        check_converged(solution, tol, REMEDY)
    return solution


def _scale(hierarchy: NonlinearHierarchy, b: Tensor) -> Tensor:
    """(batch,) the residual of u = 0; ||b|| where g(0) overflows, against which anything were small.

    Raises
    ------
    FloatingPointError : where that is only 0 because squares of b underflow
    """
    of_zero, size = hierarchy.norms(None, b), b.abs().flatten(1).amax(1)
    if ((of_zero == 0) & (size > 0) & (size**2 == 0)).any():
        raise FloatingPointError(f"squares of `f` underflow in {b.dtype}. Scale the problem.")
    return torch.where(torch.isfinite(of_zero), of_zero, norm_of(b))


def _data(problems: Sequence[Poisson], f: Tensor, boundary: Any) -> list[Tensor]:
    """b on every grid: means of f, which stay within f's range, with the boundary data of that grid."""
    checks.no_derivative("f", "solve_nonlinear", f)
    checks.no_derivative("a", "solve_nonlinear", *problems[0].A.tensors)
    data = []
    for problem, coarse in zip(problems, [*problems[1:], None], strict=True):
        data.append(problem.rhs(f, boundary))
        checks.no_derivative("boundary", "solve_nonlinear", data[-1])
        if coarse is not None:
            f = _mean(f, problem.grid, coarse.grid)
    return data


def _mean(v: Tensor, fine: Grid, coarse: Grid) -> Tensor:
    """(batch, *grid) on the coarser grid: means, weighted by the shares of a cell, which stay in the range of v."""
    R, w = Transfer(fine.axes, coarse.axes).R, torch.ones_like(v[:1])
    for d, axis in enumerate(fine.axes):
        w = w * torch.from_numpy(axis.share).to(w).reshape([-1 if e == d else 1 for e in range(fine.ndim)])
    return R(w * v) / R(w)


def _on_grids(a: Any, grids: Sequence[Grid]) -> list[Any]:
    """The coefficient on each grid; of arrays their means."""
    if isinstance(a, (tuple, list)):
        return list(zip(*(_on_grids(each, grids) for each in a), strict=True))
    if not isinstance(a, (np.ndarray, Tensor)) or a.ndim == 0:
        return [a] * len(grids)
    if tuple(a.shape) != grids[0].shape:
        came = f"it has {tuple(a.shape)}"
        raise ValueError(f"`a` must have the grid's shape {grids[0].shape} for a nonlinear problem; {came}.")
    v, found = checks.real("a", a)[None], [a]
    checks.no_derivative("a", "solve_nonlinear", v)
    v = v.double()
    for fine, coarse in pairwise(grids):
        v = _mean(v, fine, coarse)
        found.append(v[0])
    return found


def _pointwise(name: str, function: Any, f: Any, grids: Sequence[Grid]) -> Pointwise:
    """A user's elementwise function as one of tensors, of f's dtype and device, on any of the grids."""
    if not callable(function):
        raise TypeError(f"`{name}` must be a function of u; it is {type(function).__name__}.")
    like = checks.as_tensor(f[..., :0]) if isinstance(f, np.ndarray) else f
    located = _takes_coordinates(name, function, grids[0].ndim)
    meshes = {grid.shape: _meshes(grid, f) if located else () for grid in grids}

    def call(u: Tensor) -> Tensor:
        shape = tuple(u.shape[1:])
        try:
            with np.errstate(all="ignore"):  # an overflow far from the solution is backed off from
                value = _called(name, function, _shown(u, f), *meshes[shape])
        except (ValueError, RuntimeError, IndexError) as error:
            if shape == grids[0].shape and len(u) == 1:
                raise
            raise ValueError(f"`{name}` failed on {tuple(u.shape)}: {error}. {_advice(name, grids[0].ndim)}") from error
        checks.no_derivative(name, "solve_nonlinear", value)
        value = value.to(dtype=like.dtype, device=like.device)
        if value.ndim and value.shape != u.shape:
            raise ValueError(
                f"`{name}` must return one value per unknown, {tuple(u.shape)}; it returned {tuple(value.shape)}. "
                f"{_advice(name, grids[0].ndim)}"
            )
        return value.expand(u.shape)

    return call


def _shown(u: Tensor, f: Any) -> Any:
    """u as one of f's kind, to be looked at: a numpy array cannot be written to."""
    if not isinstance(f, np.ndarray):
        return u
    seen = u.numpy()
    seen.flags.writeable = False
    return seen


def _called(name: str, function: Any, *given: Any) -> Tensor:
    """function(*given) as a real tensor; what is given stays as it is."""
    watched = [v for v in given if isinstance(v, Tensor) and not v.is_inference()]
    before = [v._version for v in watched]
    value = function(*given)
    if before != [v._version for v in watched]:
        raise TypeError(
            f"`{name}` must leave what it is given as it is; it changes it in place. Let it make a new tensor."
        )
    if isinstance(value, Tensor):
        real = not value.is_complex()
    else:
        real = is_number(value) or (isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biuf")
    if not real:
        said = getattr(value, "dtype", type(value).__name__)
        raise TypeError(f"`{name}` must return real numbers, an array or one for all; it returned {said}.")
    return checks.as_tensor(value)


def _advice(name: str, ndim: int) -> str:
    located = ", ".join(["u", "x", "y", "z"][: ndim + 1])
    return (
        f"It is called on coarse grids too, with u of shape (members, *grid): "
        f"compute what varies in space from the coordinates, as {name}({located})."
    )


def _takes_coordinates(name: str, function: Callable[..., Any], ndim: int) -> bool:
    """Whether it is g(u, x, ...) rather than g(u), by its positional parameters without defaults."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a compiled function that tells no signature, as torch.sinh
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    count = sum(p.kind in positional and p.default is p.empty for p in parameters)
    if count not in (0, 1, 1 + ndim):
        raise TypeError(f"`{name}` must take u, or u and {ndim} coordinates; it takes {count} arguments.")
    return count == 1 + ndim


def _meshes(grid: Grid, f: Any) -> tuple[Any, ...]:
    """The coordinates of the unknowns, one array of the grid's shape per axis, of f's kind."""
    like = checks.as_tensor(f[..., :0]) if isinstance(f, np.ndarray) else f
    meshes = [torch.as_tensor(x, device="cpu").to(like) for x in grid.coordinates()]
    return tuple(_shown(x, f) for x in meshes)


def _check_evaluable(boundary: Any, grid: Grid) -> None:
    """Coarse grids need the data as functions."""

    def known(v: Any) -> bool:
        if isinstance(v, (tuple, list)):
            return all(known(entry) for entry in v)
        return v is None or is_number(v) or callable(v) or not isinstance(v, (np.ndarray, Tensor))

    alphas = tuple(end.alpha for pair in grid.bc for end in pair if isinstance(end, Robin))
    for name, v in (("boundary", boundary), ("alpha", alphas)):
        if not known(v):
            raise TypeError(f"`{name}` must be a number or a callable for a nonlinear problem; it is an array.")
