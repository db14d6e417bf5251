"""Our Poisson solver against what a user would otherwise take, in one run.

    python -m benchmarks.poisson [--only NAME ...] [--largest 4095] [--repeats 5] [--out benchmarks/results/poisson]

Every entry of CASES is data: a problem, what is asked of the solution, and the rivals. No time is
reported without the error reached beside it. Ours and its rivals are timed in turn and alike, in blocks of
one first solve, set-up in (the matrix, or our ``Poisson``, is there before), and of solves that repeat it with
what was set up; figures are medians, and ratios are of medians of the same kind. The arrays of the user, in and
out, are part of every time.
"""

import argparse
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks import rivals
from benchmarks.machine import environment, here
from benchmarks.report import earlier, in_order, kept_rows, save
from mgnet.pde import Grid, Poisson, Solver, solve
from mgnet.pde.outer.cache import cache

PAUSE = 0.2  # seconds before a block of solves
WARM = 0.1  # seconds of solves that do not count
BLOCK = 5  # solves in a block that count
LONG = 1.0  # seconds of a solve that is timed once a block
FORGET = Path("/proc/self/clear_refs")  # "5" written here lets Linux forget a process' peak so far
ONCE = 15.0  # seconds of a solve that is not done again for its memory, which may not be there twice


@dataclass(frozen=True)
class Case:
    """One line of the table.

    name : the group; n, ndim : unknowns per axis, axes; bc : of all ends
    coefficient : "one", "smooth", "jumps" (1e4, 8 x 8 checkerboard) or "materials" (1 or 1e4 at random)
    tol : None asks for discretisation accuracy
    batch : right-hand sides at once
    against : names in ``RIVALS`` and ``OURS``
    """

    name: str
    n: int
    ndim: int = 2
    bc: str = "dirichlet"
    coefficient: str = "one"
    tol: float | None = None
    batch: int = 1
    against: tuple[str, ...] = ("fft",)


RIVALS: dict[str, Callable[..., rivals.SetUp | None]] = {
    "fft": rivals.fft,
    "spsolve": rivals.spsolve,
    "cg": rivals.cg,
    "pyamg RS+CG": rivals.pyamg_ruge_stuben,
    "pyamg SA+CG": rivals.pyamg_smoothed_aggregation,
    "petsc hypre+CG": rivals.hypre,
    "petsc MG+CG": rivals.petsc_multigrid,
}
AMG = ("pyamg RS+CG", "pyamg SA+CG", "petsc hypre+CG")

CASES = [
    *(Case("accuracy", n) for n in (255, 511, 1023, 2047, 4095)),
    *(Case("accuracy neumann", n, bc="neumann") for n in (513, 1025, 2049)),
    *(Case("accuracy periodic", n, bc="periodic") for n in (512, 1024, 2048)),
    *(Case("accuracy 3-D", n, ndim=3) for n in (63, 127, 255)),
    Case("batch", 127, batch=256, against=("fft", "loop of solve", "loop of one Solver")),
    Case("residual 1e-10", 255, tol=1e-10, against=("fft", "spsolve", "cg", *AMG, "petsc MG+CG")),
    Case("residual 1e-10", 1023, tol=1e-10, against=("fft", *AMG, "petsc MG+CG")),
    Case("residual 1e-10", 2047, tol=1e-10, against=("fft", "pyamg RS+CG", "petsc MG+CG")),
    Case("residual 1e-10", 4095, tol=1e-10),
    Case("residual 1e-8 3-D", 63, ndim=3, tol=1e-8, against=("fft", *AMG, "petsc MG+CG")),
    Case("residual 1e-8 3-D", 127, ndim=3, tol=1e-8, against=("fft", "pyamg SA+CG", "petsc MG+CG")),
    Case("residual 1e-8 3-D", 255, ndim=3, tol=1e-8, against=("fft", "pyamg SA+CG", "petsc MG+CG")),
    *(Case("smooth a", n, coefficient="smooth", tol=1e-8, against=AMG) for n in (255, 1023)),
    *(Case("jumping a", n, coefficient="jumps", tol=1e-8, against=AMG) for n in (255, 1023)),
    *(Case("two materials", n, coefficient="materials", tol=1e-6, against=AMG) for n in (255, 1023)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", nargs="*", default=[], help="groups of cases to run; the results of others stay (default: all)"
    )
    parser.add_argument("--largest", type=int, default=4095, help="leave out larger grids")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/poisson"))
    parser.add_argument("--memory", nargs=2, metavar=("CASE", "SOLVER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory:
        print(peak_memory(CASES[int(given.memory[0])], given.memory[1]))
        return
    chosen = [case for case in CASES if case.n <= given.largest and (not given.only or case.name in given.only)]
    first = earlier(given.out).get("first solve") if given.only and "first" not in given.only else None
    result = {
        "environment": environment(),
        "first solve": first or first_solve(),
        "rows": kept_rows(given.out, given.only),
    }
    for number, case in enumerate(CASES):
        if case in chosen:
            measured = measure(case, given.repeats)
            gc.collect()
            for row in measured:
                row["bytes per unknown"] = memory(number, row["solver"]) if row["first"] < ONCE else None
                row |= here()
                print(line(row), flush=True)
            result["rows"] = in_order(result["rows"] + measured, [case.name for case in CASES])
            save(result, given.out)


def measure(case: Case, repeats: int) -> list[dict]:
    """A row for ours and one for each rival."""
    problem, f, exact = problem_of(case)
    b = problem.rhs(f)
    setups = {}
    for name in ("mgnet", *case.against):
        setup, weigh = prepared(case, name, problem)
        if setup is not None:
            setups[name] = (setup, b if weigh else f)
    firsts, times, results = time_in_turn(setups, repeats)
    reference = float(np.abs(rivals.fft(problem)()(f) - exact).max()) if case.coefficient == "one" else None
    rows = []
    for name in setups:
        u = results[name]
        r = b - problem.apply(u)
        rows.append(
            asdict(case)
            | {
                "against": None,
                "solver": name,
                "first": median(firsts[name]),
                "first solves": len(firsts[name]),
                "repeat": median(times[name]),
                "threads": threads(name),
                "work units": Solver(problem).solve(f, tol=case.tol).work if name == "mgnet" else None,
                "residual": float(np.linalg.norm(r) / np.linalg.norm(b)),
                "error": float(np.abs(u - exact).max()) if case.tol is None or case.coefficient == "smooth" else None,
                "discretisation error": reference,
            }
        )
    return rows


def threads(name: str) -> int:
    """That a solver uses: PyAMG's and scipy's loops are serial (BLAS apart), PETSc is one process."""
    return torch.get_num_threads() if name in OURS else rivals.WORKERS if name == "fft" else 1


Times = dict[str, list[float]]


def time_in_turn(setups: dict, repeats: int) -> tuple[Times, Times, dict[str, np.ndarray]]:
    """Seconds of each first solve, set-up in, of each repeated one, and the result.

    A block of one, then of the next, again and again. A block begins with a pause, in which threads that spin on
    after the last solve (OpenBLAS, OpenMP) go to sleep; a first solve, and some that do not count, follow.
    Solves that take seconds come once a block, and less often.
    """
    firsts, times = ({name: [] for name in setups} for _ in range(2))
    results: dict[str, np.ndarray] = {}
    for k in range(repeats):
        for name, (setup, f) in setups.items():
            if k and sum(firsts[name]) + sum(times[name]) > 5:
                continue
            results.pop(name, None)
            gc.collect()  # PyAMG's levels hold each other
            time.sleep(PAUSE)
            begun = time.perf_counter()
            solve = setup()
            results[name] = solve(f)
            firsts[name].append(time.perf_counter() - begun)
            times[name] += block(solve, f)
            del solve
    return firsts, times, results


def block(solve: rivals.Solve, f: np.ndarray) -> list[float]:
    """Seconds of solves that repeat a first one: of one that is long, of some that follow a few uncounted others."""

    def seconds() -> float:
        begun = time.perf_counter()
        solve(f)
        return time.perf_counter() - begun

    found = [seconds()]
    if found[0] > LONG:
        return found
    while sum(found) < WARM:
        found.append(seconds())
    return [seconds() for _ in range(BLOCK)]


def loop_of_solve(problem: Poisson, case: Case) -> rivals.SetUp:
    """``mgnet.pde.solve``, one right-hand side after the other."""

    def setup() -> rivals.Solve:
        cache.forget()
        return lambda f: np.stack([solve(g, bc=case.bc, tol=case.tol).u for g in f])

    return setup


def loop_of_one_solver(problem: Poisson, case: Case) -> rivals.SetUp:
    """``Solver.solve``, one right-hand side after the other."""

    def setup() -> rivals.Solve:
        cache.forget()
        solver = Solver(problem)
        return lambda f: np.stack([solver.solve(g, tol=case.tol).u for g in f])

    return setup


def one_solver(problem: Poisson, case: Case) -> rivals.SetUp:
    """``Solver.solve``, all right-hand sides at once; its first call makes the levels."""

    def setup() -> rivals.Solve:
        cache.forget()
        solver = Solver(problem)
        return lambda f: solver.solve(f, tol=case.tol).u

    return setup


OURS = {"mgnet": one_solver, "loop of solve": loop_of_solve, "loop of one Solver": loop_of_one_solver}


def prepared(case: Case, name: str, problem: Poisson) -> tuple[rivals.SetUp | None, bool]:
    """(the set-up of the solver of that name; whether it takes A's right-hand side in place of f)."""
    if name in OURS:
        return OURS[name](problem, case), False
    return RIVALS[name](problem, case.tol), name != "fft"


def problem_of(case: Case) -> tuple[Poisson, np.ndarray, np.ndarray]:
    """The problem, its right-hand side and the exact solution (random right-hand sides have none)."""
    grid = Grid((case.n,) * case.ndim, bc=case.bc)
    a = {"one": None, "smooth": smooth, "jumps": jumps(grid), "materials": materials(grid)}[case.coefficient]
    problem = Poisson(grid, a)
    xs = grid.coordinates()
    exact = solution(xs, case.bc)
    if case.tol is not None and case.coefficient != "smooth":
        f = np.random.default_rng(0).normal(size=grid.shape)
        return problem, f, np.zeros(grid.shape)
    f = source(xs, case.bc) if case.coefficient == "one" else smooth_source(*xs)
    if problem.singular:
        w = problem.rhs(np.ones(grid.shape))
        f = f - (w * f).sum() / w.sum()
        exact = exact - (w * exact).sum() / w.sum()
    if case.batch > 1:
        factors = np.random.default_rng(0).uniform(0.5, 2, size=(case.batch, *[1] * case.ndim))
        return problem, f * factors, exact * factors
    return problem, f, exact


def solution(xs: tuple[np.ndarray, ...], bc: str) -> np.ndarray:
    """sin(pi x) sin(2 pi y) e^(xy) (2-D Dirichlet), else a product of the axis' own waves."""
    if bc == "dirichlet" and len(xs) == 2:
        x, y = xs
        return np.sin(np.pi * x) * np.sin(2 * np.pi * y) * np.exp(x * y)
    wave = {"dirichlet": lambda x: np.sin(np.pi * x), "neumann": lambda x: np.cos(np.pi * x)}
    u = np.ones_like(xs[0])
    for x in xs:
        u = u * wave.get(bc, lambda x: np.sin(2 * np.pi * x))(x)
    return u


def source(xs: tuple[np.ndarray, ...], bc: str) -> np.ndarray:
    """-div grad of ``solution``."""
    if bc == "dirichlet" and len(xs) == 2:
        x, y = xs
        s, t, e = np.sin(np.pi * x), np.sin(2 * np.pi * y), np.exp(x * y)
        uxx = e * t * (-(np.pi**2) * s + 2 * np.pi * y * np.cos(np.pi * x) + y**2 * s)
        uyy = e * s * (-4 * np.pi**2 * t + 4 * np.pi * x * np.cos(2 * np.pi * y) + x**2 * t)
        return -(uxx + uyy)
    return len(xs) * (4 if bc == "periodic" else 1) * np.pi**2 * solution(xs, bc)


def smooth(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A coefficient between 1/4 and 4."""
    return np.exp(np.log(4) * np.sin(2 * np.pi * x) * np.cos(2 * np.pi * y))


def smooth_source(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """-div(a grad u) for the smooth a and u = sin(pi x) sin(2 pi y) e^(xy)."""
    p, q, k = np.pi * x, 2 * np.pi * y, np.log(4) * 2 * np.pi
    s, t, e = np.sin(p), np.sin(q), np.exp(x * y)
    ux = e * t * (np.pi * np.cos(p) + y * s)
    uy = e * s * (2 * np.pi * np.cos(q) + x * t)
    gx, gy = k * np.cos(2 * p) * np.cos(q), -k * np.sin(2 * p) * np.sin(q)
    return smooth(x, y) * (source((x, y), "dirichlet") - gx * ux - gy * uy)


def jumps(grid: Grid) -> np.ndarray | None:
    """An 8 x 8 checkerboard of 1 and 1e4."""
    if grid.ndim != 2:
        return None
    x, y = grid.coordinates()
    return np.where((np.floor(8 * x) + np.floor(8 * y)) % 2 == 0, 1.0, 1e4)


def materials(grid: Grid) -> np.ndarray:
    """1 or 1e4, by chance from unknown to unknown."""
    return np.random.default_rng(1).choice([1.0, 1e4], grid.shape)


def memory(case: int, solver: str) -> float | None:
    """``peak_memory`` in a process of its own, where the system tells it."""
    if not FORGET.exists():
        return None
    call = [sys.executable, "-m", "benchmarks.poisson", "--memory", str(case), solver]
    place = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}  # what is freed goes back to the system at once
    return float(subprocess.run(call, env=place, capture_output=True, check=True).stdout)


FIRST = {
    "constant": "solve(numpy.ones((255, 255)))",
    "varying": "solve(numpy.ones((255, 255)), a=1 + numpy.random.default_rng(0).random((255, 255)))",
    "float32": "solve(numpy.ones((255, 255), numpy.float32))",
    "3-D": "solve(numpy.ones((63, 63, 63)))",
    "mask": "solve(numpy.ones((255, 255)), mask=numpy.hypot(*numpy.ogrid[:1:255j, :1:255j]) < 0.9)",
}


def first_solve() -> dict[str, float]:
    """Medians of 3, each in a process of its own: ``import mgnet.pde`` after torch, the first solve of each kind."""
    found: dict[str, list[float]] = {"import": []}
    for kind, call in list(FIRST.items()) * 3:
        code = (
            "import time, numpy, torch; begun = time.perf_counter(); from mgnet.pde import solve; "
            f"there = time.perf_counter(); {call}; print(there - begun, time.perf_counter() - there)"
        )
        loading, solving = map(
            float, subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.split()
        )
        found["import"].append(loading)
        found.setdefault(kind, []).append(solving)
    return {kind: median(seconds) for kind, seconds in found.items()}


def peak_memory(case: Case, solver: str) -> float:
    """Growth of this process by a solver's set-up and one solve, f included, in bytes per unknown (Linux)."""
    small = replace(case, n={"neumann": 65, "periodic": 64}.get(case.bc, 63), batch=min(case.batch, 2))
    problem, f, _ = problem_of(small)
    prepared(small, solver, problem)[0]()(f)  # code and libraries
    problem, f, _ = problem_of(case)
    gc.collect()
    FORGET.write_text("5")
    before = _status("VmRSS")
    setup, weigh = prepared(case, solver, problem)
    u = setup()(problem.rhs(f) if weigh else f)
    return (_status("VmHWM") - before + f.nbytes) / u.size


def _status(name: str) -> int:
    """A size of this process, in bytes."""
    line = next(s for s in Path("/proc/self/status").read_text().splitlines() if s.startswith(name))
    return 1024 * int(line.split()[1])


def line(row: dict) -> str:
    """One row for the terminal."""
    size = f"{row['batch']} x " * (row["batch"] > 1) + "x".join([str(row["n"])] * row["ndim"])
    error = "" if row["error"] is None else f"  error {row['error']:.2e}"
    return (
        f"{row['name']:20} {size:>14}  {row['solver']:18} {row['threads']} threads  "
        f"first {1e3 * row['first']:10.2f} ms  repeat {1e3 * row['repeat']:10.2f} ms  "
        f"residual {row['residual']:.1e}{error}"
    )


if __name__ == "__main__":
    main()
