"""Which smoother, and how many sweeps: the measurement behind the Solver's defaults.

    python -m benchmarks.smoothers [--n 1023] [--repeats 5] [--out benchmarks/results/smoothers.md]

Solves a random right-hand side (2-D, Dirichlet, float64) to 1e-10 with every choice; the first cycle is
a full multigrid pass. A damped Jacobi step and half a red-black sweep cost the same, a Chebyshev step is
a Jacobi step. Zebra lines are plain torch: their factor is what to compare, not their time.
"""

import argparse
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import tables
from benchmarks.machine import environment, in_words
from mgnet.pde import Grid, Poisson, Solver

CHOICES = [
    ("jacobi", (2, 2)),
    ("chebyshev", (1, 1)),
    ("chebyshev", (1, 2)),
    ("chebyshev", (2, 2)),
    ("chebyshev", (3, 3)),
    ("red-black", (1, 1)),
    ("red-black", (2, 1)),
    ("red-black", (2, 2)),
    ("zebra", (1, 1)),
    ("zebra", (2, 2)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1023)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/smoothers.md"))
    given = parser.parse_args()
    text = table(measure(given.n, given.repeats), given.n)
    print(text)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(text)


def measure(n: int, repeats: int) -> list[tuple]:
    """(smoother, nu, cycles, factor, seconds); the choices take turns."""
    f = np.random.default_rng(0).normal(size=(n, n))
    problem = Poisson(Grid((n, n)))
    solvers = [Solver(problem, smoother=smoother, nu=nu) for smoother, nu in CHOICES]
    times: list[list[float]] = [[] for _ in CHOICES]
    solutions = [solver.solve(f, tol=1e-10) for solver in solvers]
    for _ in range(repeats):
        for k, solver in enumerate(solvers):
            begun = time.perf_counter()
            solver.solve(f, tol=1e-10)
            times[k].append(time.perf_counter() - begun)
    return [
        (smoother, nu, s.cycles, s.factor, median(t))
        for (smoother, nu), s, t in zip(CHOICES, solutions, times, strict=True)
    ]


def table(rows: list[tuple], n: int) -> str:
    machine = environment()
    lines = [
        f"{n} x {n}, float64, random right-hand side to 1e-10; "
        f"{in_words(machine)}, {machine['date']}; `python -m benchmarks.smoothers`.",
        "",
    ]
    head = ("smoother", "sweeps down, up", "cycles", "factor per cycle", "ms")
    cells = [[s, f"{nu[0]}, {nu[1]}", c, f"{factor:.3f}", f"{1e3 * t:.1f}"] for s, nu, c, factor, t in rows]
    return "\n".join([*lines, *tables.table(head, cells), ""])


if __name__ == "__main__":
    main()
