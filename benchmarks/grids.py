"""What grids and coefficients cost beside the plainest ones, and small problems beside elimination, in turn.

    python -m benchmarks.grids [--repeats 9] [--threads 1] [--only grids tensors small]

Grids: a cycle of levels, V(2,1), and a solve to a relative residual of 1e-8 as it is done by default with what is set
up there, on stretched and curvilinear grids over the same on a uniform grid of as many unknowns: of numbers, for which
solves separate variables where the grid is not uniform; and of a coefficient that varies. Tensors: the same over a
scalar coefficient that varies. Small: coefficients to solution beside scipy's spsolve, which begins with the matrix;
both with their set-up, one after the other, and ten after ten. Medians of ratios in the same block, f random, one
thread unless it is said otherwise.
Writes benchmarks/results/grids.json.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import spsolve

from benchmarks import tables
from benchmarks.machine import environment, here, measured_on
from mgnet.pde import Grid, Poisson, Solver
from mgnet.pde.outer.cache import cache

RESULTS = Path(__file__).parent / "results" / "grids.json"
TOL = 1e-8
TURN = 2 * np.pi
SIZES = {2: (510, 510), 3: (62, 62, 62)}
SMALL = (15, 31, 63, 127)
TOGETHER = 10


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--repeats", type=int, default=9)
    asked.add_argument("--threads", type=int, default=1)
    asked.add_argument("--only", nargs="*", default=["grids", "tensors", "small"])
    given = asked.parse_args()
    torch.set_num_threads(given.threads)
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name, measure in (("grids", grids), ("tensors", tensors), ("small", small)):
        if name in given.only:
            found[name] = [row | here() for row in measure(given.repeats)]
            print(json.dumps(found[name], indent=1), flush=True)
    RESULTS.write_text(json.dumps(found | {"environment": environment()}, indent=1) + "\n")


def graded(n: int, ratio: float) -> np.ndarray:
    """n + 1 faces, the last two so many times as far apart as the first two."""
    x = np.concatenate([[0], np.cumsum(ratio ** np.linspace(0, 1, n))])
    return x / x[-1]


def waves(*x: np.ndarray) -> np.ndarray:
    return np.exp(np.sin(3 * sum(x)))


def grids(repeats: int) -> list[dict]:
    """Of numbers, and of an a(x): each beside that on the uniform grid of its dimension."""
    rows = []
    for ndim, shape in SIZES.items():
        even = [np.linspace(0, 1, n + 1) for n in shape]
        round_ = ["neumann", "dirichlet"], "periodic", ["dirichlet", "dirichlet"]
        others = {f"stretched {r:g}:1": Grid.from_faces([graded(n, r) for n in shape]) for r in (1.2, 10.0)}
        if ndim == 2:
            others["axisymmetric"] = Grid.from_faces(even, [round_[0], "dirichlet"], "axisymmetric")
            others["polar"] = Grid.from_faces([even[0], TURN * even[1]], [round_[0], "periodic"], "polar")
        else:
            faces = [even[0], TURN * even[1], even[2]]
            others["cylindrical"] = Grid.from_faces(faces, [round_[0], "periodic", "dirichlet"], "cylindrical")
        everywhere = {"uniform": Grid(shape, centering="cell")} | others
        numbers = {name: Poisson(grid) for name, grid in everywhere.items()}
        varying = {f"{name}, a(x)": Poisson(grid, waves) for name, grid in everywhere.items()}
        for problems in (numbers, varying):
            rows += [{"dimensions": ndim, "shape": shape} | row for row in beside(problems, repeats)]
    return rows


def tensors(repeats: int) -> list[dict]:
    rows = []
    for ndim, shape in SIZES.items():
        grid = Grid(shape)
        a = waves(*grid.coordinates())
        whole = [[a * (1.0 if d == e else 0.3) for e in range(ndim)] for d in range(ndim)]
        for d in range(ndim):
            for e in range(d):
                whole[d][e] = whole[e][d]
        problems = {"a(x)": Poisson(grid, a), "full tensor": Poisson(grid, tuple(map(tuple, whole)))}
        rows += [{"dimensions": ndim, "shape": shape} | row for row in beside(problems, repeats)]
    return rows


def beside(problems: dict[str, Poisson], repeats: int) -> list[dict]:
    """A cycle and a solve of each problem over those of the first, block by block."""
    shape = next(iter(problems.values())).grid.shape
    f, times, solved = np.random.default_rng(0).normal(size=shape), [], {}
    solvers = {name: Solver(problem) for name, problem in problems.items()}
    levels = {name: Solver(problem, nu=(2, 1)) for name, problem in problems.items()}  # whatever else would solve
    for k in range(repeats + 1):
        block = {}
        for name, solver in solvers.items():
            cycle = clock(lambda name=name: levels[name].cycle(None, f))
            spent = clock(lambda solver=solver, name=name: solved.update({name: how(solver.solve(f, tol=TOL))}))
            block[name] = cycle, spent
        times += [block] if k else []
    first, *others = problems
    middle = {name: [median(1e3 * block[name][j] for block in times) for j in (0, 1)] for name in problems}
    rows = [{"name": first, "ms": middle[first], **solved[first]}]
    for name in others:
        ratio = [median(block[name][j] / block[first][j] for block in times) for j in (0, 1)]
        rows.append({"name": name, "ms": middle[name], "ratio": ratio, **solved[name]})
    return rows


def how(solution: Any) -> dict:
    """Solution, but for u: its memory is free for the next solve."""
    return {"cycles": solution.cycles, "method": solution.method}


def small(repeats: int) -> list[dict]:
    """Coefficients to solution over spsolve, which has the matrix."""
    rows = []
    for n in SMALL:
        grid = Grid((n, n))
        x, y = grid.coordinates()
        f, h = np.random.default_rng(0).normal(size=(n, n)), 1 / (n + 1)
        vortex = (
            lambda x, y: np.sin(np.pi * x) * np.cos(np.pi * y),
            lambda x, y: -np.cos(np.pi * x) * np.sin(np.pi * y),
        )
        a = np.exp(np.sin(2 * np.pi * x) + np.sin(3 * np.pi * y))
        tensor = ((a, 0.3 * a), (0.3 * a, a))
        tensor = (tensor[0], (tensor[0][1], a))
        cases: dict[str, tuple[Any, dict]] = {
            "a(x)": (a, {}),
            "velocity, numbers": (h / 100, {"velocity": (0.9, 0.4)}),
            "velocity, callables": (h / 100, {"velocity": vortex}),
            "full tensor": (tensor, {}),
        }
        for name, (coefficient, more) in cases.items():
            rows.append({"n": n, "name": name} | raced(grid, coefficient, more, f, repeats))
    return rows


def raced(grid: Grid, a: Any, more: dict, f: np.ndarray, repeats: int) -> dict:
    A, reached = Poisson(grid, a, **more).to_scipy(), list[np.ndarray]()
    csc, b, times = A.tocsc(), f.ravel(), []

    def ours() -> None:
        cache.forget()
        reached[:] = [Solver(Poisson(grid, a, **more)).solve(f, tol=TOL).u.ravel()]

    def several(work: Callable[[], Any]) -> float:
        work()
        return clock(lambda: [work() for _ in range(TOGETHER)]) / TOGETHER

    for k in range(40 * repeats // max(1, f.size // 900) // 4 + 3):
        block = clock(ours), clock(lambda: spsolve(csc, b))
        times += [block] if k > 2 else []
    together = [(several(ours), several(lambda: spsolve(csc, b))) for _ in range(len(times) // TOGETHER + 3)]
    left = float(np.linalg.norm(b - A @ reached[-1]) / np.linalg.norm(b))
    middle = [median(1e3 * block[j] for block in times) for j in (0, 1)]
    ratios = [median(ours / theirs for ours, theirs in blocks) for blocks in (times, together)]
    return {"ms": middle, "ratio": ratios, "residual": left}


def clock(work: Callable[[], Any]) -> float:
    """Seconds of one thread's processor, which others on the machine change little."""
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


def costs() -> str:
    """The tables of grids and tensors, for the guide."""
    result = json.loads(RESULTS.read_text())
    rows = []
    for row in (*result["grids"], *result["tensors"]):
        ratio = [f"{r:.2f}" for r in row["ratio"]] if "ratio" in row else ["1", "1"]
        shape = " x ".join(map(str, row["shape"]))
        cells = [row["name"], shape, f"{row['ms'][0]:.2f}", ratio[0], f"{row['ms'][1]:.1f}", ratio[1], row["cycles"]]
        rows.append([*cells, row["method"]])
    head = ("problem", "unknowns", "a cycle, ms", "over the first", "to 1e-8, ms", "over the first", "cycles", "method")
    words = "Cycles are those of levels, V(2,1); solves are the default's, which separates variables where it can."
    return f"{told(result, 'grids', 'tensors')} {words}\n\n" + "\n".join(tables.table(head, rows))


def elimination() -> str:
    """The table of small problems, for the guide."""
    result = json.loads(RESULTS.read_text())
    rows = [
        [f"{row['n']}^2", row["name"], *(f"{v:.2f}" for v in (*row["ms"], *row["ratio"]))] for row in result["small"]
    ]
    head = ("unknowns", "coefficient", "ours, ms", "spsolve, ms", "ours over spsolve, in turn", "ten after ten")
    return f"{told(result, 'small')}\n\n" + "\n".join(tables.table(head, rows))


def told(result: dict, *names: str) -> str:
    """On what the rows of these were measured, and how."""
    rows = [row for name in names for row in result[name]]
    return f"float64, one thread; {measured_on(rows, result['environment'])}; `python -m benchmarks.grids`."


if __name__ == "__main__":
    main()
