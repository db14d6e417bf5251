"""This tree against another one of mgnet, case by case in alternation: what a change costs or brings.

    python -m benchmarks.against DIRECTORY [--only NAME ...] [--largest 1023] [--repeats 5] [--threads 2 1] [--json F]

Each tree has a process of its own per number of threads, which imports mgnet from there and keeps a Solver a case.
Blocks of solves alternate; figures are medians in milliseconds, ratios this tree over the other one, below 1 if faster.
"First" is a new Solver and its first solve, after others in the same process (so kernels are compiled).
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from math import exp, log
from pathlib import Path
from statistics import median

CASES = {  # (shape, coefficient, tolerance, batch); tolerance None: to discretisation accuracy
    "accuracy": [((n, n), "one", None, 1) for n in (127, 255, 511, 1023, 2047, 4095)],
    "accuracy 3-D": [((n, n, n), "one", None, 1) for n in (31, 63, 127)],
    "batch": [((127, 127), "one", None, 64)],
    "residual 1e-10": [((n, n), "one", 1e-10, 1) for n in (127, 255, 511, 1023, 2047)],
    "residual 1e-8 3-D": [((n, n, n), "one", 1e-8, 1) for n in (31, 63, 127)],
    "smooth a": [((n, n), "smooth", 1e-8, 1) for n in (15, 31, 63, 127, 255, 511, 1023)],
    "smooth a 3-D": [((n, n, n), "smooth", 1e-8, 1) for n in (31, 63, 127)],
    "jumping a": [((n, n), "jumps", 1e-8, 1) for n in (63, 255, 1023)],
    "two materials": [((n, n), "materials", 1e-6, 1) for n in (63, 255, 1023)],
}
VARYING = ("smooth a", "smooth a 3-D", "jumping a", "two materials")
LEAST = 0.05  # seconds of a block of solves


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="the directory of the other tree")
    parser.add_argument("--only", nargs="*", default=list(CASES), metavar="NAME")
    parser.add_argument("--largest", type=int, default=1023, help="leave out longer axes")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="*", default=[2, 1])
    parser.add_argument("--json", type=Path, help="where to keep the rows, too")
    given = parser.parse_args()
    rows = []
    for threads in given.threads:
        trees = [Tree(Path.cwd(), threads), Tree(given.other, threads)]
        for name in given.only:
            for case in CASES[name]:
                for dtype in ("float64", "float32") if max(case[0]) <= given.largest else ():
                    row = {"name": name, "case": case, "dtype": dtype, "threads": threads}
                    rows.append(row | measured(trees, [*case, dtype], given.repeats))
                    print(line(rows[-1]), flush=True)
        for tree in trees:
            tree.close()
    print(summary(rows))
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


class Tree:
    """A process that solves with the mgnet of a directory."""

    def __init__(self, directory: Path, threads: int):
        place = {name: str(threads) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--work"],
            cwd=directory, env={**os.environ, **place, "OMP_WAIT_POLICY": "passive"}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def ask(self, case: list) -> dict:
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(case), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit("a tree's process has ended; its words are above")
        return json.loads(answer)

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def measured(trees: list[Tree], case: list, repeats: int) -> dict:
    """Medians of both trees, in milliseconds: [this one's, the other one's]."""
    found: dict[str, list[list[float]]] = defaultdict(lambda: [[], []])
    for k in range(repeats + 1):
        for which, tree in enumerate(trees):
            answer = tree.ask(case)
            if k:  # the first block compiles and warms up
                found["first"][which].append(answer["first"])
                found["repeat"][which] += answer["repeat"]
                found["cycles"][which].append(answer["cycles"])
    return {what: [round(median(values), 4) for values in both] for what, both in found.items()}


def line(row: dict) -> str:
    shape = "x".join(map(str, row["case"][0]))
    first, repeat = (f"{a:10.3f} {b:10.3f} {a / b:6.2f}" for a, b in (row["first"], row["repeat"]))
    cycles = "/".join(f"{c:g}" for c in row["cycles"])
    return f"{row['name']:18} {shape:12} {row['dtype']} {row['threads']} | {first} | {repeat} | {cycles}"


def summary(rows: list[dict]) -> str:
    lines = []
    for words, varying in (("constant", False), ("varying", True)):
        chosen = [row for row in rows if (row["name"] in VARYING) == varying]
        for what in ("first", "repeat") if chosen else ():
            ratios = [row[what][0] / row[what][1] for row in chosen]
            mean = exp(sum(map(log, ratios)) / len(ratios))
            lines.append(f"{words}, {what}: geometric mean {mean:.2f}, largest {max(ratios):.2f}")
    return "\n".join(lines)


def work() -> None:
    """Answer cases, one a line, with times of solves by the mgnet of the working directory."""
    sys.path.insert(0, str(Path.cwd()))
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    from mgnet.pde import Solver

    new = importlib.util.find_spec("mgnet.pde.outer")
    module, name = ("mgnet.pde.outer.cache", "cache") if new else ("mgnet.pde.kept", "kept")
    cache = getattr(importlib.import_module(module), name)
    at: tuple = ()
    for words in sys.stdin:
        shape, coefficient, tol, batch, dtype = json.loads(words)
        if (key := (*shape, coefficient, batch, dtype)) != at:
            at, (problem, f) = key, problem_of(shape, coefficient, batch, dtype)
        cache.forget()
        begun = time.perf_counter()
        solver = Solver(problem())
        solution = solver.solve(f, tol=tol, throw=False)
        first, times = time.perf_counter() - begun, []
        while not times or (sum(times) < LEAST and len(times) < 200):
            begun = time.perf_counter()
            solver.solve(f, tol=tol, throw=False)
            times.append(time.perf_counter() - begun)
        answer = {"first": 1e3 * first, "repeat": [1e3 * t for t in times], "cycles": solution.cycles}
        print(json.dumps(answer), flush=True)


def problem_of(shape: list[int], coefficient: str, batch: int, dtype: str):  # type: ignore[no-untyped-def]
    """(what makes the problem, its random right-hand side)."""
    import numpy as np

    from mgnet.pde import Grid, Poisson

    grid = Grid(shape)
    xs = grid.coordinates()
    waves = sum(np.sin((2 + d) * np.pi * x) for d, x in enumerate(xs))
    checks = sum(np.floor(8 * x) for x in xs)
    a = {
        "one": None,
        "smooth": np.exp(waves),
        "jumps": np.where(checks % 2 == 0, 1.0, 1e4),
        "materials": np.random.default_rng(1).choice([1.0, 1e4], shape),
    }[coefficient]
    f = np.random.default_rng(0).normal(size=(batch, *shape) if batch > 1 else shape).astype(dtype)
    return lambda: Poisson(grid, a), f


if __name__ == "__main__":
    work() if sys.argv[1:] == ["--work"] else main()
