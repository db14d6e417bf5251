"""What works: boundary x grid x coefficients x solver, asked of the code itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mgnet.pde.problem.axis import Robin
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.poisson import Poisson, check_order
from mgnet.pde.solver import Solver

BOUNDARIES: dict[str, Any] = {
    "dirichlet": "dirichlet",
    "neumann": "neumann",
    "periodic": "periodic",
    "mixed faces": ("dirichlet", "neumann"),
    "robin": (Robin(1.0), Robin(0.0)),
}
COEFFICIENTS = (
    "numbers", "one per axis", "array", "callable", "array per member", "jumps of 1e6", "jumps of 1e6 in one axis",
)  # fmt: skip
SHAPES = {1: (600,), 2: (65, 70), 3: (18, 20, 19)}


@dataclass(frozen=True)
class Row:
    """One line of the table, and a small problem that it speaks of."""

    boundary: str
    centering: str
    coefficients: str
    ndim: int

    def problem(self, order: int = 2) -> Poisson:
        """-div(a grad u) + u = f of the row's kind."""
        bc = [BOUNDARIES[self.boundary], *["dirichlet"] * (self.ndim - 1)]
        grid = Grid(SHAPES[self.ndim], bc=bc, centering=self.centering)
        return Poisson(grid, self._a(grid), 1.0, order=order, like=torch.empty(0, dtype=torch.float64))

    def _a(self, grid: Grid) -> Any:
        x = grid.coordinates()
        if self.coefficients == "numbers":
            return 2.0
        if self.coefficients == "one per axis":
            return (1.0, 0.1, 3.0)[: self.ndim]
        if self.coefficients == "callable":
            return lambda *points: 1 + sum(p**2 for p in points)
        if "jumps" in self.coefficients:
            jumps = np.where(sum(np.floor(4 * t) for t in x) % 2 == 0, 1.0, 1e6)
            return (jumps, 1.0, 1.0)[: self.ndim] if "one axis" in self.coefficients else jumps
        smooth = np.exp(np.sin(3 * sum(x)))
        return smooth if self.coefficients == "array" else np.stack([smooth, 1 / smooth])


def rows() -> Iterator[Row]:
    """Every row of the table."""
    for ndim in SHAPES:
        for coefficients in COEFFICIENTS:
            for boundary in BOUNDARIES:
                for centering in ("node", "cell"):
                    yield Row(boundary, centering, coefficients, ndim)


def describe(row: Row) -> tuple[str, str, str]:
    """(iteration, how its levels run on a CPU, orders) of a row's problem."""
    problem = row.problem()
    multigrid = Solver(problem).multigrid(problem.A.detached().flattened((2,)))
    levels = "fused kernels" if multigrid.levels.compiled(torch.device("cpu")) else "plain torch"
    return multigrid.method(problem.A), levels, "2, 4" if _fourth(problem) else "2"


def _fourth(problem: Poisson) -> bool:
    try:
        check_order(4, problem)
    except ValueError:
        return False
    return True


def capabilities() -> str:
    """The table of what works, in Markdown; rows that differ in boundary or centring alone share a line.

    Every row takes numpy arrays and tensors, float32 and float64, batches, tol=None, gradients (of
    tensors), ``aslinearoperator`` and ``Solver.update``; rows of one matrix also ``to_scipy``.

    Example
    -------
    >>> print(capabilities().splitlines()[0])
    | dimensions | coefficients | boundary | grid | iteration | levels (CPU) | order |
    """
    merged: dict[tuple[Any, ...], dict[str, list[str]]] = {}
    for row in rows():
        found = merged.setdefault((row.ndim, row.coefficients, *describe(row)), {})
        found.setdefault(row.boundary, []).append(row.centering)
    lines = ["| dimensions | coefficients | boundary | grid | iteration | levels (CPU) | order |", "|" + "---|" * 7]
    for (ndim, coefficients, method, levels, order), found in merged.items():
        for centerings in dict.fromkeys(tuple(v) for v in found.values()):
            boundary = ", ".join(b for b, v in found.items() if tuple(v) == centerings)
            grid = ", ".join(centerings)
            lines.append(f"| {ndim} | {coefficients} | {boundary} | {grid} | {method} | {levels} | {order} |")
    return "\n".join(lines)
