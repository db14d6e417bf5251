"""The public door to linear problems: one call that does it all."""

from collections.abc import Sequence
from typing import Any, Literal

from mgnet.pde.distributed.partition import Partition, agreed
from mgnet.pde.distributed.problem import posed
from mgnet.pde.labelled import labelled
from mgnet.pde.outer.eager import eager
from mgnet.pde.outer.stopping import Callback
from mgnet.pde.problem import checks
from mgnet.pde.problem.ends import Ends
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.poisson import Poisson
from mgnet.pde.solution import Field, Solution
from mgnet.pde.solver import Solver

BOX = ("dirichlet", 0.0, 1.0, "node")  # what is meant without being told


@eager
@labelled
def solve(
    f: Field,
    *,
    bc: Ends = "dirichlet",
    lower: float | Sequence[float] = 0.0,
    upper: float | Sequence[float] = 1.0,
    centering: Literal["node", "cell"] = "node",
    grid: Grid | None = None,
    a: Any = None,
    c: Any = None,
    velocity: Any = None,
    scheme: Literal["upwind", "central"] = "upwind",
    mask: Any = None,
    mask_bc: Literal["dirichlet", "neumann"] = "dirichlet",
    mask_boundary: Any = None,
    fixed: Any = None,
    boundary: Any = None,
    guess: Any = None,
    ndim: int | None = None,
    tol: float | None = 1e-8,
    max_cycles: int = 100,
    throw: bool = True,
    callback: Callback | None = None,
    order: Literal[2, 4] = 2,
    relative_to: Literal["data", "guess"] = "data",
    project: bool = False,
    method: Literal["multigrid", "transform"] = "multigrid",
    partition: Partition | None = None,
) -> Solution[Field]:
    """Solve -div(a grad u) + v . grad u + c u = f on a box, or any structured grid, by multigrid.

    Parameters
    ----------
    f : (*batch, *grid) torch tensor or numpy array; kind, device and dtype are kept (integers
        count as float64). Or an xarray.DataArray, whose evenly spaced coordinates then stand for lower and upper: the
        unknowns lie at them; u has the same.
    bc, lower, upper, centering : the grid, see ``Grid``
    grid : a Grid in place of these
    a, c, velocity, scheme : the coefficients, and how v . grad u is discretised, see ``Poisson``
    mask, mask_bc : an irregular domain, see ``Poisson``
    mask_boundary : value or flux on its cut, see ``Poisson.rhs``
    fixed : (where, value), u = value at the unknowns where ``where``, see ``Poisson``
    boundary : the boundary data, see ``Poisson.rhs``
    guess : (*batch, *grid) where to start; default: a full multigrid pass
    ndim : how many trailing axes of f are grid axes; default: all of them, up to 3
    tol : relative residual ||b - A u|| / ||b||; None: to discretisation accuracy, one full
        multigrid pass without a residual test; where that is seen to end far off, on to 1e-8
    max_cycles : cycles at most
    throw : whether to raise NotConverged, or to return the iterate
    callback : called with (cycle, largest relative residual) after each cycle
    relative_to : what tol and the residuals are relative to: "data", ||b||, or "guess", ||b - A guess||, for small
        changes in time steps (the same without a guess)
    project : singular problems: take the compatible part of f (with the boundary data) instead of refusing another
    order : of the error in the mesh width: 2, or 4, which needs `a` of numbers, no mask, and a `tol`
    method : "multigrid", or "transform" where ``Solver`` says it applies: the fastest way to round-off
    partition : how several processes share the grid, see ``Partition``; f, guess and u are then its blocks, the grid
        is its own

    Returns
    -------
    Solution : of tensors, u is differentiable with respect to f, a, c, velocity, Robin's alpha, fixed, mask_boundary
        and boundary

    Raises
    ------
    ValueError, TypeError : naming the argument, what it must be and what came
    NotConverged : with the residuals reached and what to do
    FloatingPointError : the solution overflows

    Warns
    -----
    RoundOffWarning : where round-off ends the solve at more than 10 times a tol that f's dtype can express
    RuntimeWarning : with throw=False, where the system of a derivative does not converge

    Source: Brandt 1977; Trottenberg, Oosterlee & Schueller 2001.

    Example
    -------
    An array, as in numpy and scipy (``Solver`` gives scipy's own solvers a matrix and a preconditioner):

    >>> import numpy as np
    >>> s = solve(np.ones((127, 127)))
    >>> s.converged, round(float(s.u.max()), 4)
    (True, 0.0737)

    A tensor, as in torch, with the gradient of whatever is made of u:

    >>> import torch
    >>> f = torch.ones(31, 31, dtype=torch.float64, requires_grad=True)
    >>> u = solve(f, tol=1e-12).u
    >>> u.sum().backward()
    >>> torch.allclose(f.grad, u)
    True
    """
    if grid is None and isinstance(partition, Partition):
        grid = partition.grid
    with agreed(partition):
        f = checks.right_hand_side(f)
        if grid is None:
            grid = Grid(checks.grid_shape(f, ndim), bc=bc, lower=lower, upper=upper, centering=centering)
        else:
            _check_grid(grid, ndim, bc, lower, upper, centering)
    others = {"velocity": velocity, "scheme": scheme, "mask": mask, "mask_bc": mask_bc, "fixed": fixed, "order": order}
    if isinstance(partition, Partition):
        problem: Any = posed(partition, grid, a, c, f, **others)
    else:
        problem = Poisson(grid, a, c, like=f, **others)
    solver: Any = Solver(problem, method=method, partition=partition)  # and f no DataArray by now: ``labelled``
    return solver.solve(
        f,
        boundary=boundary,
        mask_boundary=mask_boundary,
        guess=guess,
        tol=tol,
        max_cycles=max_cycles,
        throw=throw,
        callback=callback,
        relative_to=relative_to,
        project=project,
    )


def _check_grid(grid: Any, ndim: int | None, *words: Any) -> None:
    """A grid that says all, and nothing beside it that says otherwise."""
    if not isinstance(grid, Grid):
        raise TypeError(f"`grid` must be a mgnet.pde.Grid; it is {type(grid).__name__}.")
    names = ("bc", "lower", "upper", "centering")
    given = [
        name for name, word, default in zip(names, words, BOX, strict=True) if word is not default and word != default
    ]
    if given:
        raise ValueError(f"`grid` takes the place of `{given[0]}`; both were given. Make the grid with it.")
    if ndim is not None and ndim != grid.ndim:
        raise ValueError(f"`ndim` must be that of `grid`, {grid.ndim}, or not given; it is {ndim!r:.80}.")
