"""Both jobs and the proof that they are one: what ``mgnet demo`` shows."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch
from scipy import fft

from mgnet import pde, vision
from mgnet.core import descend
from mgnet.pde.levels.grids import grids
from mgnet.pde.native.hierarchy import constant_hierarchy
from mgnet.vision.images import Images, mean_and_std

PICTURES = ("poisson.png", "learning.png", "features.png")
ACCURACY = 0.97  #: what the classifier must reach on the validation images


def run(out: Path) -> None:
    """Solve, compare, train; every claim is checked, and the pictures go to ``out``.

    Raises
    ------
    AssertionError : a claim does not hold on this machine
    """
    poisson(out, 1023)
    one_program(1023)
    accuracy = classify(out, epochs=15)
    _claim(accuracy >= ACCURACY, f"the classifier must reach {ACCURACY:.0%} on the validation images")
    print(f"\nPictures: {', '.join(str(out / name) for name in sorted(PICTURES))}")


def _claim(holds: bool, words: str) -> None:
    """What ``python -O`` does not leave out."""
    if not holds:
        raise AssertionError(words)


class Row(NamedTuple):
    """One line of the table: how long it took, how wrong it is, how many cycles it needed."""

    method: str
    seconds: float
    error: float
    cycles: str


def poisson(out: Path, n: int) -> list[Row]:
    """Solve -laplace u = f on n x n interior nodes of the unit square; compare with a sine transform.

    Errors are against the solution of the differential equation, so neither can be below the
    discretisation error, and one V-cycle more than needed gains nothing.
    """
    print(f"1. -laplace u = f on the unit square, u = 0 on its boundary, {n} x {n} unknowns, float64\n")
    grid = pde.Grid((n, n))
    u, f = rings(*grid.coordinates())
    solver = pde.Solver(pde.Poisson(grid))
    solution = solver.solve(f, tol=1e-8)
    rows = [
        _row("mgnet, one full multigrid pass", lambda: solver.solve(f, tol=None).u, u, "1"),
        _row("mgnet, residual below 1e-8", lambda: solver.solve(f, tol=1e-8).u, u, str(solution.cycles)),
        _row("scipy.fft, sine transforms", lambda: by_sine_transforms(f, grid.spacing[0]), u, "-"),
    ]
    for row in (("", "ms, best of 7", "largest error", "cycles"), *map(_cells, rows)):
        print("   {:32s}{:>14s}{:>16s}{:>8s}".format(*row))
    _claim(rows[0].error < 1.2 * rows[2].error, "full multigrid must reach the discretisation error")
    solution.plot(out / PICTURES[0])
    return rows


def rings(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """u = sin(pi x) sin(pi y) cos(k q), q = (x - 0.3)^2 + (y - 0.4)^2, and f = -laplace u.

    laplace(s w) = w laplace s + 2 grad s . grad w + s laplace w, with s the sines and w = cos(k q).
    """
    k, px, py = 30.0, x - 0.3, y - 0.4
    q, pi = px**2 + py**2, np.pi
    s, w, dw = np.sin(pi * x) * np.sin(pi * y), np.cos(k * q), -k * np.sin(k * q)  # dw = dw/dq
    cross = 4 * pi * dw * (np.cos(pi * x) * np.sin(pi * y) * px + np.sin(pi * x) * np.cos(pi * y) * py)
    return s * w, 2 * pi**2 * s * w - cross - s * (4 * dw - 4 * k**2 * q * w)


def by_sine_transforms(f: np.ndarray, h: float) -> np.ndarray:
    """The same discrete equations solved in their eigenbasis: the fastest direct way that scipy has."""
    workers = os.cpu_count()
    eigenvalues = (2 * np.sin(np.pi * np.arange(1, len(f) + 1) * h / 2) / h) ** 2
    f_hat = fft.dstn(f, type=1, workers=workers)
    return fft.idstn(f_hat / (eigenvalues[:, None] + eigenvalues), type=1, workers=workers)


def _row(method: str, solve: Callable[[], np.ndarray], u: np.ndarray, cycles: str) -> Row:
    """The best of seven solves, after one that may compile: other work on the machine only ever adds time."""
    error = float(np.abs(solve() - u).max())
    times = []
    for _ in range(7):
        start = perf_counter()
        solve()
        times.append(perf_counter() - start)
    return Row(method, min(times), error, cycles)


def _cells(row: Row) -> tuple[str, str, str, str]:
    return row.method, f"{1e3 * row.seconds:.1f}", f"{row.error:.3e}", row.cycles


def one_program(n: int) -> float:
    """Run the left leg twice: as a linear MgNet, convolutions with the stencils, and with the solver's kernels.

    The solver's coarsest grid is not smoothed but solved, so there only the datum is compared.

    Returns
    -------
    difference : the largest over all grids, relative to the largest value on the grid
    """
    print(f"\n2. One left leg, {n} x {n}: MgNet with the stencils as weights and no ReLU, and the solver's kernels\n")
    problem = pde.Poisson(pde.Grid((n, n)))
    f = torch.from_numpy(rings(*problem.grid.coordinates())[1])
    assert problem.constant is not None
    a, c = problem.constant
    chain = grids(problem.grid.axes, a)
    solver = constant_hierarchy(chain, a, c, f.dtype, 1, "chebyshev", (2, 2), gamma=1, symmetric=False)
    network = pde.conv_levels(problem, nu=(2, 2), coarsest=chain[-1][0].n)
    legs = zip(descend(network, None, f[None, None]), solver.descend(solver.data(f)), strict=True)
    rows = [(ours.f.shape[-1], _difference(ours.f, theirs.f), _difference(ours.u, theirs.u)) for ours, theirs in legs]
    print("   {:>11s}{:>23s}{:>23s}".format("grid", "difference of f", "difference of u"))
    for m, in_f, in_u in rows[:-1]:
        print(f"   {f'{m} x {m}':>11s}{in_f:23.1e}{in_u:23.1e}")
    print(f"   {f'{rows[-1][0]} x {rows[-1][0]}':>11s}{rows[-1][1]:23.1e}{'(solved)':>23s}")
    worst = max(rows[-1][1], *(max(in_f, in_u) for _, in_f, in_u in rows[:-1]))
    _claim(worst < 1e-12, "a linear MgNet with the stencils as weights must be the left leg of the V-cycle")
    return worst


def _difference(ours: torch.Tensor, theirs: np.ndarray) -> float:
    """The largest difference, relative to the largest value."""
    return float(np.abs(ours.numpy().ravel() - theirs.ravel()).max() / np.abs(theirs).max())


def classify(out: Path, epochs: int) -> float:
    """Train a small MgNet on the 8 x 8 digits of scikit-learn.

    Returns
    -------
    accuracy : on the validation images, after the last epoch
    """
    print("\n3. The same left leg with learned weights: a small MgNet on handwritten digits\n")
    start = perf_counter()
    with tempfile.TemporaryDirectory() as folder, one_thread():
        run = vision.train("MgNet[2,2,2]-16-B^l", "digits", epochs=epochs, out=Path(folder) / "run")
    accuracy = run.history[-1]["validation_accuracy"]
    seconds = perf_counter() - start
    print(
        f"   validation accuracy {accuracy:.1%}, test accuracy {run.accuracy:.1%}, {epochs} epochs in {seconds:.0f} s"
    )
    digits = vision.load("digits")
    assert isinstance(digits.test, Images)
    mean, std = (torch.tensor(v)[:, None, None] for v in mean_and_std(digits.train))
    vision.plots.learning_curves(run.history, out / PICTURES[1])
    vision.plots.feature_maps(run.model, (digits.test.pixels[0] / 255 - mean) / std, out / PICTURES[2])
    return accuracy


@contextmanager
def one_thread() -> Iterator[None]:
    """Images of 8 x 8 are too small to share out: two threads would wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
