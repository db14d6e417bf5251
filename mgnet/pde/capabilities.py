"""What works: boundary x grid x coefficients x domain x solver, asked of the code itself."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import torch

from mgnet.pde.levels.transform import check_transform
from mgnet.pde.problem.axis import Robin
from mgnet.pde.problem.faces import Faces
from mgnet.pde.problem.fourth_order import check_order
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.poisson import Poisson
from mgnet.pde.solver import Solver

BOUNDARIES: dict[str, Any] = {
    "dirichlet": "dirichlet",
    "neumann": "neumann",
    "periodic": "periodic",
    "mixed faces": ("dirichlet", "neumann"),
    "robin": (Robin(1.0), Robin(0.0)),
}
VARYING = "varying robin"  # with ELSEWHERE's coefficients
COEFFICIENTS = (
    "numbers", "one per axis", "array", "callable", "faces", "array per member", "jumps of 1e6",
    "jumps of 1e6 in one axis",
)  # fmt: skip
TENSOR = "full tensor"
VELOCITIES = {"velocity, upwind": "upwind", "velocity, central": "central"}
CARRIED = ("dirichlet", "neumann")  # ends of what a velocity carries around in other domains
SHAPES = {1: (600,), 2: (65, 70), 3: (18, 20, 19)}
BOTH, STRETCHED = ("node", "cell"), ("stretched node", "stretched cell")  # these with ELSEWHERE's coefficients
EVERYWHERE = BOTH + STRETCHED
COORDINATES = {1: ("spherical",), 2: ("polar", "axisymmetric", "spherical", "sphere"), 3: ("cylindrical", "spherical")}
OUTER = ("dirichlet", "neumann", "robin")  # the ends of the first axis away from r = 0, or of latitudes
ELSEWHERE = ("numbers", "array", "jumps of 1e6")
DOMAINS = ("box", "mask", "mask without flux", "mask per member", "fixed unknowns", "mask with fixed unknowns")
WITHIN = ("array", "jumps of 1e6")  # the coefficients of all but the first
SMALL = {1: (60,), 2: (40, 45), 3: (10, 12, 11)}  # their shapes
FULL, POLE = 2 * np.pi, np.pi / 2


@dataclass(frozen=True)
class Row:
    """One line of the table, and a small problem that it speaks of."""

    boundary: str
    centering: str
    coefficients: str
    ndim: int
    domain: str = "box"

    def problem(self, order: Literal[2, 4] = 2) -> Poisson:
        """-div(a grad u) + v . grad u + u = f of the row's kind."""
        ends = (Robin(lambda *x: 1 + x[-1]), Robin(0.0)) if self.boundary == VARYING else BOUNDARIES[self.boundary]
        bc: list[Any] = [ends, *["dirichlet"] * (self.ndim - 1)]
        shapes = SHAPES if self.domain == "box" and self.coefficients not in VELOCITIES else SMALL
        shape = shapes[self.ndim]
        place: Any = self.centering.removeprefix("stretched ")
        if place not in ("node", "cell"):
            grid = self._around(shape)
        elif place == self.centering:
            grid = Grid(shape, bc=bc, centering=place)
        else:
            points = [_graded(axis.intervals) for axis in Grid(shape, bc=bc, centering=place).axes]
            grid = (Grid.from_faces if place == "cell" else Grid.from_nodes)(points, bc)
        like = torch.empty(0, dtype=torch.float64, device="cpu")
        return Poisson(grid, self._a(grid), 1.0, order=order, like=like, **self._within(grid), **self._carried())

    def _carried(self) -> dict[str, Any]:
        """The arguments of convection: to and fro along the first axis, down the others."""
        if self.coefficients not in VELOCITIES:
            return {}
        velocity = (lambda *x: 40 * (x[0] * FULL).sin(), *(-20.0,) * (self.ndim - 1))
        return {"velocity": velocity, "scheme": VELOCITIES[self.coefficients]}

    def _within(self, grid: Grid) -> dict[str, Any]:
        """The arguments that make the domain: a ball cut out, and single unknowns fixed."""
        index = np.arange(grid.size).reshape(grid.shape)
        middle = sum((i - n / 2) ** 2 for i, n in zip(np.indices(grid.shape), grid.shape, strict=True))
        mask = middle > (min(grid.shape) / 5) ** 2
        out: dict[str, Any] = {}
        if "per member" in self.domain:
            out |= {"mask": np.stack([mask, mask & (index % 29 != 3)])}
        elif "mask" in self.domain:
            out |= {"mask": mask, "mask_bc": "neumann" if "without flux" in self.domain else "dirichlet"}
        if "fixed" in self.domain:
            out |= {"fixed": (index % 17 == 5, lambda *x: 1 + x[0])}
        return out

    def _around(self, shape: tuple[int, ...]) -> Grid:
        """All of a disc, a cylinder, a ball, or a sphere up to 89 degrees."""
        outer = BOUNDARIES[self.boundary]
        outer = outer[0] if isinstance(outer, tuple) else outer
        spans: dict[str, tuple[list[tuple[float, float]], list[Any]]] = {
            "polar": ([(0, 1), (0, FULL)], [("neumann", outer), "periodic"]),
            "axisymmetric": ([(0, 1), (0, 2)], [("neumann", outer), "dirichlet"]),
            "cylindrical": ([(0, 1), (0, FULL), (0, 2)], [("neumann", outer), "periodic", "dirichlet"]),
            "spherical": ([(0, 1), (0, 2 * POLE), (0, FULL)], [("neumann", outer), "neumann", "periodic"]),
            "sphere": ([(0, FULL), (-89 / 90 * POLE, 89 / 90 * POLE)], ["periodic", outer]),
        }
        geometry: Any = self.centering
        ends, bc = spans[geometry]
        faces = [np.linspace(low, high, n + 1) for n, (low, high) in zip(shape, ends, strict=False)]
        return Grid.from_faces(faces, bc[: self.ndim], geometry)

    def _a(self, grid: Grid) -> Any:
        x = tuple(
            (t - axis.lower) / (axis.upper - axis.lower) for t, axis in zip(grid.coordinates(), grid.axes, strict=True)
        )
        if self.coefficients == "numbers":
            return 2.0
        if self.coefficients in VELOCITIES:
            return None
        if self.coefficients == "one per axis":
            return (1.0, 0.1, 3.0)[: self.ndim]
        if self.coefficients == TENSOR:
            whole = (1.0, 0.4, 0.2), (0.4, 2.0, -0.3), (0.2, -0.3, 3.0)
            return tuple(row[: self.ndim] for row in whole[: self.ndim])
        if self.coefficients == "faces":
            points = [[axis.faces if e == d else axis.x for e, axis in enumerate(grid.axes)] for d in range(self.ndim)]
            return Faces(*(np.exp(np.sin(3 * sum(np.meshgrid(*p, indexing="ij")))) for p in points))
        if self.coefficients == "callable":
            return lambda *points: 1 + sum(p**2 for p in points)
        if "jumps" in self.coefficients:
            jumps = np.where(sum(np.floor(4 * t) for t in x) % 2 == 0, 1.0, 1e6)
            return (jumps, 1.0, 1.0)[: self.ndim] if "one axis" in self.coefficients else jumps
        smooth = np.exp(np.sin(3 * sum(x)))
        return smooth if self.coefficients == "array" else np.stack([smooth, 1 / smooth])


def rows() -> Iterator[Row]:
    """Every row of the table."""
    for ndim, coefficients in product(SHAPES, COEFFICIENTS):
        more = coefficients in ELSEWHERE
        yield from _each((*BOUNDARIES, *[VARYING] * more), EVERYWHERE if more else BOTH, coefficients, ndim)
        yield from _around_origin(coefficients, ndim) if more else ()
    for ndim in (2, 3):
        for row in _each((*BOUNDARIES, VARYING), EVERYWHERE, TENSOR, ndim):
            if "robin" not in row.boundary or "node" in row.centering:
                yield row
    for coefficients, ndim in product(VELOCITIES, SMALL):
        yield from _each((*BOUNDARIES, VARYING), EVERYWHERE, coefficients, ndim)
    for coefficients, ndim in product(VELOCITIES, SMALL):
        yield from _around_origin(coefficients, ndim)
        for domain in DOMAINS[1:]:
            yield from _each(CARRIED, BOTH, coefficients, ndim, domain)
    for domain, ndim in product(DOMAINS[1:], (2, 3)):
        if ndim == 2 or domain != "mask without flux":
            yield from _each(CARRIED, BOTH, TENSOR, ndim, domain)
    for domain, ndim, coefficients in product(DOMAINS[1:], SMALL, WITHIN):
        yield from _each(tuple(BOUNDARIES), BOTH, coefficients, ndim, domain)


def _each(
    boundaries: Sequence[str], centerings: Sequence[str], coefficients: str, ndim: int, domain: str = "box"
) -> Iterator[Row]:
    for boundary, centering in product(boundaries, centerings):
        yield Row(boundary, centering, coefficients, ndim, domain)


def _around_origin(coefficients: str, ndim: int) -> Iterator[Row]:
    """In the coordinates of so many dimensions."""
    for geometry in COORDINATES[ndim]:
        yield from _each(OUTER, (geometry,), coefficients, ndim)


def _graded(intervals: int) -> np.ndarray:
    """Points whose distances are ten times larger at one end than at the other."""
    x = 10.0 ** np.linspace(0, 1, intervals + 1)
    return (x - 1) / 9


def describe(row: Row) -> tuple[str, str, str, str]:
    """(iteration, how its levels run on a CPU, orders, methods) of a row's problem."""
    problem = row.problem()
    multigrid = Solver(problem).multigrid(problem.A.detached().flattened((2,)))
    levels = "fused kernels" if multigrid.levels.compiled(torch.device("cpu")) else "plain torch"
    orders = "2, 4" if _allowed(lambda: check_order(4, problem)) else "2"
    methods = "multigrid, transform" if _allowed(lambda: check_transform(problem)) else "multigrid"
    return multigrid.method(problem.A), levels, orders, methods


def _allowed(check: Callable[[], None]) -> bool:
    try:
        check()
    except ValueError:
        return False
    return True


def capabilities() -> str:
    """The table of what works, in Markdown; rows that differ in boundary or centring alone share a line.

    Every row takes numpy arrays and tensors, float32 and float64, batches, tol=None, gradients (of
    tensors), ``aslinearoperator`` and ``Solver.update``; rows of one matrix also ``to_scipy``, masks
    ``mask_boundary``.

    Returns
    -------
    The table

    Example
    -------
    >>> print(capabilities().splitlines()[0])
    | dimensions | coefficients | domain | boundary | grid | iteration | levels (CPU) | order | method |
    """
    merged: dict[tuple[Any, ...], dict[str, list[str]]] = {}
    for row in rows():
        found = merged.setdefault((row.ndim, row.coefficients, row.domain, *describe(row)), {})
        found.setdefault(row.boundary, []).append(row.centering)
    words = ["dimensions", "coefficients", "domain", "boundary", "grid", "iteration", "levels (CPU)", "order", "method"]
    lines = [f"| {' | '.join(words)} |", "|" + "---|" * len(words)]
    for (ndim, coefficients, domain, *rest), found in merged.items():
        for centerings in dict.fromkeys(tuple(v) for v in found.values()):
            boundary = ", ".join(b for b, v in found.items() if tuple(v) == centerings)
            grid = ", ".join(centerings)
            lines.append(f"| {' | '.join([str(ndim), coefficients, domain, boundary, grid, *rest])} |")
    return "\n".join(lines)
