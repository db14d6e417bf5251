"""Samples of solution operators, solved by mgnet.pde: Darcy's a -> u, Poisson's f -> u, heat's u(0) -> u(T).

Every sample is a function that is known on any grid (``fields``), so that its discretisation error can be measured:
it is solved again on a finer grid, with the same function there, and the distance is part of the data. What is
learned from the samples cannot be better than they are.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import numpy as np
import torch

import mgnet
from mgnet.operators import fields, published
from mgnet.operators.checks import positive
from mgnet.operators.samples import Samples
from mgnet.pde import Grid, Poisson, Solver, solve
from mgnet.pde.problem.ends import Ends
from mgnet.training.checks import whole, word
from mgnet.training.placement import takes_numpy
from mgnet.training.process import choose_device
from mgnet.training.progress import Progress

KINDS = ("smooth", "rough", "multiscale")
RECIPES = ("cells", "fno")
TAU = {"smooth": 3.0, "rough": 5.0}
VALUES = {"smooth": (3.0, 12.0), "rough": (2.0, 12.0)}
TOL = 1e-8
_REFERENCE_TOL = 1e-5  # of the finer grid: its algebraic error is a thousandth of the distance that is measured
_UNKNOWNS = 2**22  # of a batch: of its finest grid, some 100 bytes each
_ROUNDS = 40  # of corrections of the published faces
Operator = Callable[[np.ndarray], np.ndarray]


@takes_numpy
def darcy(
    samples: int,
    size: int,
    *,
    kind: Literal["smooth", "rough", "multiscale"] = "smooth",
    seed: int = 0,
    a: tuple[float, float] | None = None,
    alpha: float = 2.0,
    tau: float | None = None,
    recipe: Literal["cells", "fno"] = "cells",
    cells: int | None = None,
    modes: int | None = None,
    reference: int = 2,
    first: int = 0,
    tol: float = TOL,
    device: str | None = None,
    progress: bool = False,
) -> Samples:
    """Darcy flow, -div(a grad u) = 1 on the unit square, u = 0 on its boundary: pairs (a, u) at cell centres.

    Parameters
    ----------
    samples, size : how many, on size x size cells
    kind : "smooth" and "rough": two values, by the sign of a Gaussian field; "multiscale": a product of waves
    seed, first : the same seed gives the same samples; those from the first-th on, for a test set of one's own
    a : the two values; default (3, 12), as in the published files, and (2, 12) where rough
    alpha, tau : of the field, see ``fields.gaussian``; default tau 3, and 5 where rough
    recipe : "cells": a at cells, a face has the harmonic mean of its two; "fno": as published, see ``published``
    cells : solve on that many cells along an axis, a multiple of size, and take means of a and u; default: size
    modes : cosines of the field along an axis, for the same functions on any grid; default: cells
    reference : measure the error against means of a solution on that many times as many cells; 0: do not
    tol : relative residual of the solves; the algebraic error is some hundred times smaller
    device : where to solve: "cpu" (the default), "cuda", ...
    progress : show a bar where stderr is a terminal, else lines

    Returns
    -------
    Samples : .a, .u (samples, size, size), float64; .error (samples,)

    Raises
    ------
    ValueError, TypeError : naming the argument, what it must be and what came

    Source: Li et al. 2021, arXiv:2010.08895 (the fields, and the recipe "fno"); He, Liu & Xu 2024, arXiv:2310.19809
    (the other kinds).

    Example
    -------
    >>> data = darcy(2, 32)
    >>> data.a.shape, data.u.shape, bool((data.error < 0.02).all())
    ((2, 32, 32), (2, 32, 32), True)
    """
    word("kind", kind, KINDS)
    word("recipe", recipe, RECIPES)
    cells = _check(samples, size, cells, reference, first, tol, seed)
    settings: dict[str, Any] = {"problem": "darcy", "kind": kind, "recipe": recipe}
    if kind == "multiscale":
        _refuse(kind, a=a, tau=tau, modes=modes)
        at: Any = partial(fields.multiscale, seed)
    else:
        low, high = _two_values(a or VALUES[kind])
        tau = positive("tau", TAU[kind] if tau is None else tau)
        modes = cells if modes is None else whole("modes", modes, 2)
        settings |= {"a": [low, high], "alpha": positive("alpha", alpha), "tau": tau, "modes": modes}
        at = _two_material(seed, modes, alpha, tau, low, high)
    if recipe == "fno" and cells != size:
        raise ValueError(f"`cells` must be `size` where `recipe` is 'fno'; it is {cells}. Thin samples by .every(2).")
    by = (
        partial(_by_published_recipe, tol=tol, device=device)
        if recipe == "fno"
        else partial(_by_cells, tol=tol, device=device)
    )
    finer = partial(_by_cells, tol=_REFERENCE_TOL, device=device)
    settings |= {"seed": seed, "first": first, "size": size, "cells": cells, "reference": reference, "tol": tol}
    return _samples(at, by, finer, samples, settings, 2, progress)


@takes_numpy
def poisson(
    samples: int,
    size: int,
    *,
    bc: Literal["dirichlet", "neumann"] = "dirichlet",
    ndim: int = 2,
    seed: int = 0,
    alpha: float = 2.0,
    tau: float = 3.0,
    cells: int | None = None,
    reference: int = 2,
    first: int = 0,
    tol: float = TOL,
    device: str | None = None,
    progress: bool = False,
) -> Samples:
    """-Laplace u = f on the unit box with random f of mean square 1: pairs (f, u) at cell centres.

    Parameters
    ----------
    bc : "dirichlet" (u = 0) or "neumann" (no flux; f and u have mean zero)
    ndim : 1, 2 or 3
    alpha, tau : of the Gaussian field f, see ``fields.gaussian``
    samples, size, seed, cells, reference, first, tol, device, progress : as for ``darcy``

    Returns
    -------
    Samples : .f, .u (samples, *(size,) * ndim), .error (samples,)

    Raises
    ------
    ValueError, TypeError : naming the argument, what it must be and what came

    Example
    -------
    >>> poisson(3, 16, ndim=1).f.shape
    (3, 16)
    """
    word("bc", bc, ("dirichlet", "neumann"))
    cells = _check(samples, size, cells, reference, first, tol, seed, ndim)
    settings = {"problem": "poisson", "bc": bc, "alpha": positive("alpha", alpha), "tau": positive("tau", tau)}
    settings |= {"seed": seed, "first": first, "size": size, "cells": cells, "reference": reference, "tol": tol}
    by = partial(_poisson, bc=bc, ndim=ndim, device=device)
    at = _field(seed, cells, alpha, tau, ndim)
    return _samples(at, partial(by, tol=tol), partial(by, tol=_REFERENCE_TOL), samples, settings, ndim, progress)


@takes_numpy
def heat(
    samples: int,
    size: int,
    *,
    time: float = 0.01,
    steps: int = 8,
    bc: Literal["dirichlet", "neumann"] = "neumann",
    ndim: int = 2,
    seed: int = 0,
    alpha: float = 2.0,
    tau: float = 3.0,
    cells: int | None = None,
    reference: int = 2,
    first: int = 0,
    tol: float = TOL,
    device: str | None = None,
    progress: bool = False,
) -> Samples:
    """u_t = Laplace u on the unit box from a random start of mean square 1: pairs (u(0), u(time)) at cell centres.

    Each step is an L-stable one of second order, two solves of u / (g dt) - Laplace u = f with g = 1 - sqrt(1/2). The
    reference takes ``reference`` times as many steps, too.

    Parameters
    ----------
    time, steps : how long, in how many steps
    bc : "neumann" (no flux) or "dirichlet" (u = 0)
    ndim, alpha, tau : as for ``poisson``, of the start
    samples, size, seed, cells, reference, first, tol, device, progress : as for ``darcy``

    Returns
    -------
    Samples : .before, .u (samples, *(size,) * ndim), .error (samples,)

    Raises
    ------
    ValueError, TypeError : naming the argument, what it must be and what came

    Source: Alexander 1977, SIAM J. Numer. Anal. 14, theorem 5 (the step).

    Example
    -------
    >>> data = heat(3, 16, ndim=1)
    >>> bool((abs(data.u).max(1) < abs(data.before).max(1)).all())
    True
    """
    word("bc", bc, ("dirichlet", "neumann"))
    whole("steps", steps, 1)
    cells = _check(samples, size, cells, reference, first, tol, seed, ndim)
    settings = {"problem": "heat", "bc": bc, "alpha": positive("alpha", alpha), "tau": positive("tau", tau)}
    settings |= {"time": positive("time", time), "steps": steps}
    settings |= {"seed": seed, "first": first, "size": size, "cells": cells, "reference": reference, "tol": tol}
    by = partial(_heat, time=time, bc=bc, ndim=ndim, tol=tol, device=device)
    at = _field(seed, cells, alpha, tau, ndim)
    finer = partial(by, steps=steps * max(reference, 1))
    return _samples(at, partial(by, steps=steps), finer, samples, settings, ndim, progress)


def _check(
    samples: int, size: int, cells: int | None, reference: int, first: int, tol: float, seed: int, ndim: int = 2
) -> int:
    """The number of cells along an axis on which to solve."""
    whole("samples", samples, 1)
    whole("size", size, 4)
    whole("ndim", ndim, 1, 3)
    whole("reference", reference, 0)
    whole("first", first, 0)
    whole("seed", seed, 0)
    positive("tol", tol)
    cells = size if cells is None else whole("cells", cells, 1)
    if cells % size:
        raise ValueError(f"`cells` must be a multiple of `size` {size}; it is {cells}.")
    if reference == 1:
        raise ValueError("`reference` must be 0 (not measured), or 2 or more times as many cells; it is 1.")
    return cells


def _two_values(a: Any) -> tuple[float, float]:
    values = tuple(a) if isinstance(a, (tuple, list)) else ()
    if len(values) != 2:
        raise ValueError(f"`a` must be the two values of the coefficient, as (3, 12); it is {a!r}.")
    return positive("a", values[0]), positive("a", values[1])


def _refuse(kind: str, **given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"`{name}` must be None where `kind` is {kind!r}; it is {value!r}.")


def _two_material(seed: int, modes: int, alpha: float, tau: float, low: float, high: float) -> Any:
    """(indices, n) -> a on n x n cells: high where the field is not negative."""
    field = _field(seed, modes, alpha, tau, 2, normalise=False)
    return lambda indices, n: np.where(field(indices, n) >= 0, high, low)


def _field(seed: int, modes: int, alpha: float, tau: float, ndim: int, normalise: bool = True) -> Any:
    """(indices, n) -> the Gaussian field at the centres of n cells along each axis."""

    def at(indices: range, n: int) -> np.ndarray:
        c = fields.gaussian(seed, indices, modes, alpha, tau, ndim, normalise)
        return fields.on_cells(c, n, torch.get_num_threads())

    return at


def _samples(
    at: Any, by: Operator, finer: Operator, count: int, settings: dict[str, Any], ndim: int, progress: bool
) -> Samples:
    """Functions, solutions and errors, batch by batch.

    at : (indices, n) -> the input functions on n cells along each axis
    by, finer : inputs on a grid -> solutions there
    """
    size, cells, reference = (settings[name] for name in ("size", "cells", "reference"))
    shape = (count, *(size,) * ndim)
    inputs, outputs, error = np.empty(shape), np.empty(shape), np.full(count, np.nan)
    factor = cells // size
    with Progress(count, "sample", progress) as bar:
        bar.show(0)
        for part in _batches(count, (cells * max(reference, 1)) ** ndim):
            indices = range(settings["first"] + part.start, settings["first"] + part.stop)
            x = at(indices, cells)
            u = fields.averaged(by(x), factor, ndim)
            inputs[part], outputs[part] = fields.averaged(x, factor, ndim), u
            if reference:
                better = fields.averaged(finer(at(indices, reference * cells)), reference * factor, ndim)
                error[part] = relative(u, better)
            bar.show(part.stop)
    return Samples(inputs, outputs, error, {**settings, "mgnet": mgnet.__version__}, ndim)


def relative(u: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """|u - exact| / |exact| in L2, a number a sample.

    Example
    -------
    >>> relative(np.array([[3.0, 0.0]]), np.array([[4.0, 0.0]])).tolist()
    [0.25]
    """
    flat = (len(u), -1)
    return np.linalg.norm((u - exact).reshape(flat), axis=1) / np.linalg.norm(exact.reshape(flat), axis=1)


def _batches(count: int, unknowns: int) -> Iterator[slice]:
    """Slices of as many samples as a batch has room for."""
    step = max(1, _UNKNOWNS // unknowns)
    for begin in range(0, count, step):
        yield slice(begin, min(begin + step, count))


def _placed(v: np.ndarray, device: str | None) -> Any:
    """For the solver: numpy where it is the CPU, or a tensor there."""
    place = choose_device(device or "cpu")
    return v if place.type == "cpu" else torch.as_tensor(v, device=place)


def _fetched(u: Any) -> np.ndarray:
    return u if isinstance(u, np.ndarray) else u.cpu().numpy()


def _by_cells(a: np.ndarray, *, tol: float, device: str | None) -> np.ndarray:
    """Darcy's equation with f = 1 on cells; a face has the harmonic mean of a."""
    f = _placed(np.ones(a.shape[1:]), device)
    return _fetched(solve(f, a=_placed(a, device), centering="cell", tol=tol).u)


def _by_published_recipe(a: np.ndarray, *, tol: float, device: str | None) -> np.ndarray:
    """The published discrete solution; faces of a mean that is not positive are put right afterwards.

    With A = A_+ + N, where A_+ has a small positive number on these faces:   u <- u + A_+^-1 (f - A u).
    """
    faces = published.face_means(published.to_vertices(a))
    least = a.min() / 100
    positive_faces = [_placed(np.maximum(k, least), device) for k in faces]
    grid = Grid((a.shape[-1] - 2,) * 2)
    like = _placed(np.zeros(grid.shape), device)
    solver = Solver(Poisson(grid, tuple(lambda x, y, k=k: k for k in positive_faces), like=like))
    u, f = np.zeros((len(a), *grid.shape)), np.ones((len(a), *grid.shape))
    for _ in range(_ROUNDS):
        r = published.residual(faces, u, 1.0)
        if np.abs(r).max() <= tol * np.sqrt((f**2).mean()):
            return published.to_centres(u)
        u += _fetched(solver.solve(_placed(r, device), tol=min(tol, 1e-3)).u)
    raise RuntimeError("the published recipe has no solution that can be reached here: too many negative faces.")


def _poisson(f: np.ndarray, *, bc: Ends, ndim: int, tol: float, device: str | None) -> np.ndarray:
    return _fetched(solve(_placed(f, device), bc=bc, centering="cell", ndim=ndim, tol=tol).u)


def _heat(u: np.ndarray, *, time: float, steps: int, bc: Ends, ndim: int, tol: float, device: str | None) -> np.ndarray:
    g = 1 - 0.5**0.5
    v, c = _placed(u, device), steps / (g * time)
    grid = Grid(u.shape[1:], bc=bc, centering="cell")
    solver = Solver(Poisson(grid, c=c, like=v))
    for _ in range(steps):
        stage = solver.solve(c * v, tol=tol).u
        v = solver.solve(c * (v - (1 - g) / g * (v - stage)), tol=tol).u
    return _fetched(v)
