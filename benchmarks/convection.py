"""Convection beside elimination and algebraic multigrid: set-up and solve, on the same matrices, in turn.

    python -m benchmarks.convection [--sizes 31 63 127 255 511] [--peclet 1 100 1e4] [--repeats 5] [--threads 1]
    python -m benchmarks.convection --cycles    # no times, no rivals

-div(a grad u) + v . grad u = f on the unit square, f random, v oblique or a vortex, upwind differences; a by the
cell Peclet number |v| h / a. Ours from coefficients to a relative residual of 1e-8; the rivals begin with the matrix:
scipy's spsolve, and PyAMG's AIR (approximate ideal restriction, made for convection), around which GMRES goes on to
the same residual. Each line has medians in milliseconds, ratios to ours of the same block, and the
residuals reached. Both write benchmarks/results/convection.json.
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
from scipy.sparse.linalg import gmres, spsolve

from benchmarks import tables
from benchmarks.machine import environment, here, measured_on
from mgnet.pde import Grid, Poisson, Solver

TOL = 1e-8
VORTEX = (
    lambda x, y: np.sin(np.pi * x) * np.cos(np.pi * y),
    lambda x, y: -np.cos(np.pi * x) * np.sin(np.pi * y),
)
FOUR = (
    lambda x, y: np.sin(2 * np.pi * x) * np.cos(2 * np.pi * y),
    lambda x, y: -np.cos(2 * np.pi * x) * np.sin(2 * np.pi * y),
)
FLOWS: dict[str, Any] = {"oblique": (0.9, 0.4), "vortex": VORTEX}
COUNTED = FLOWS | {"four vortices": FOUR}
COUNTED_AT: tuple[tuple[int, ...], tuple[float, ...]] = (127, 255, 511), (1e-2, 1.0, 1e2, 1e4)
CENTRAL_AT: tuple[tuple[int, ...], tuple[float, ...]] = (127, 255), (1.0, 4.0, 8.0, 16.0)
RESULTS = Path(__file__).parent / "results" / "convection.json"


def problem_of(n: int, peclet: float, flow: str, scheme: Any = "upwind") -> Poisson:
    return Poisson(Grid((n, n)), 1 / (n + 1) / peclet, velocity=COUNTED[flow], scheme=scheme)


def ours(n: int, peclet: float, flow: str, f: np.ndarray, scheme: str = "upwind") -> tuple[np.ndarray, str]:
    s = Solver(problem_of(n, peclet, flow, scheme)).solve(f, tol=TOL, throw=False)
    return s.u, f"{s.cycles}" if s.converged else "never"


def algebraic(A: Any, b: np.ndarray) -> tuple[np.ndarray, str]:
    """PyAMG's AIR as GMRES' preconditioner."""
    import pyamg

    levels, steps = pyamg.air_solver(A), []
    u, _ = gmres(
        A, b, M=levels.aspreconditioner(), rtol=TOL, maxiter=100, callback=steps.append, callback_type="pr_norm"
    )
    return u, f"{len(steps)}"


def clock(work: Callable[[], tuple[np.ndarray, str]]) -> tuple[float, np.ndarray, str]:
    begun = time.perf_counter()
    u, said = work()
    return 1e3 * (time.perf_counter() - begun), u, said


NAMES = ("ours", "spsolve", "AIR")


def row(n: int, peclet: float, flow: str, repeats: int, largest: int) -> dict[str, Any]:
    f, A = np.random.default_rng(0).normal(size=(n, n)), problem_of(n, peclet, flow).to_scipy()
    b, csc = f.ravel(), A.tocsc()
    rivals: list[Callable[[], tuple[np.ndarray, str]]] = [
        lambda: ours(n, peclet, flow, f),
        lambda: (spsolve(csc, b), ""),
        lambda: algebraic(A.tocsr(), b),
    ]
    rivals = rivals if n <= largest else rivals[:2]
    times, said, left = [], [""] * 3, [0.0] * 3
    for _ in range(repeats):
        block = []
        for k, rival in enumerate(rivals):
            spent, u, said[k] = clock(rival)
            block.append(spent)
            left[k] = float(np.linalg.norm(b - A @ u.ravel()) / np.linalg.norm(b))
        times.append(block)
    found: dict[str, Any] = {"flow": flow, "peclet": peclet, "n": n}
    for k, name in enumerate(NAMES[: len(rivals)]):
        ratio = median(block[k] / block[0] for block in times)
        found[name] = {"ms": median(block[k] for block in times), "ratio": ratio, "residual": left[k], "steps": said[k]}
    return found


def line(found: dict[str, Any]) -> str:
    cells = []
    for name in filter(found.__contains__, NAMES):
        of = found[name]
        ratio = "" if name == "ours" else f" {of['ratio']:6.1f}x"
        cells.append(f"{of['ms']:10.1f}{ratio} {of['residual']:8.1e} {of['steps']:>3}")
    return f"{found['flow']:8} {found['peclet']:8g} {found['n']:5} | {' | '.join(cells)}"


def compare(given: argparse.Namespace) -> None:
    """Rows asked for replace those of the same flow, number and grid that are there."""
    print("flow       Peclet     n |    ours: ms, residual, cycles |  spsolve | PyAMG's AIR: steps")
    for n in given.sizes:
        for flow in FLOWS:
            for peclet in given.peclet:
                found = row(n, peclet, flow, given.repeats, given.largest) | here()
                print(line(found), flush=True)
                save(found)


def save(found: dict[str, Any]) -> None:
    result = json.loads(RESULTS.read_text())
    key = found["flow"], found["peclet"], found["n"]
    rows = [r for r in result.get("rivals", []) if (r["flow"], r["peclet"], r["n"]) != key]
    result |= {"rivals": [*rows, found], "environment": environment()}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def raced() -> str:
    """The table of ``compare``, for the guide."""
    result, rows = json.loads(RESULTS.read_text()), []
    for found in sorted(result["rivals"], key=lambda r: (r["n"], r["flow"], r["peclet"])):
        cells = [
            f"{found['n']}^2",
            found["flow"],
            f"{found['peclet']:g}",
            f"{found['ours']['ms']:.1f}",
            found["ours"]["steps"],
        ]
        rows.append([*cells, *(f"{found[name]['ratio']:.1f}" if name in found else "" for name in NAMES[1:])])
    head = (
        "unknowns",
        "flow",
        "cell Peclet number",
        "ours, ms",
        "cycles",
        "spsolve over ours",
        "PyAMG's AIR over ours",
    )
    where = measured_on(result["rivals"], result["environment"])
    said = f"float64, one thread; {where}; `python -m benchmarks.convection`."
    return f"{said}\n\n" + "\n".join(tables.table(head, rows))


def count() -> None:
    """Cycles to TOL, which no machine changes."""
    found: dict[str, dict] = {"tol": TOL}
    for scheme, (sizes, peclets) in (("upwind", COUNTED_AT), ("central", CENTRAL_AT)):
        cycles: dict[str, dict[str, list[str]]] = {flow: {} for flow in COUNTED}
        for flow in COUNTED:
            for n in sizes:
                f = np.random.default_rng(0).normal(size=(n, n))
                cycles[flow][str(n)] = [ours(n, peclet, flow, f, scheme)[1] for peclet in peclets]
                print(scheme, flow, n, cycles[flow][str(n)], flush=True)
        found[scheme] = {"peclet": peclets, "cycles": cycles}
    RESULTS.write_text(json.dumps(json.loads(RESULTS.read_text()) | found, indent=1) + "\n")


def counted() -> str:
    """The tables of ``count``, for the guide."""
    result = json.loads(RESULTS.read_text())
    tol, upwind, central = f"{result['tol']:.0e}".replace("e-0", "e-"), result["upwind"], result["central"]
    rows = []
    for flow, of in upwind["cycles"].items():
        rows.append([flow, *(_span(v) for v in of.values())])
    peclets = upwind["peclet"]
    said = f"Upwind differences, cell Peclet numbers from {min(peclets):g} to {max(peclets):g}, f random"
    head = ["cycles to " + tol, *(f"{n}^2" for n in next(iter(upwind["cycles"].values())))]
    first = f"{said}; `python -m benchmarks.convection --cycles`.\n\n" + "\n".join(tables.table(head, rows))
    largest = list(next(iter(central["cycles"].values())))
    head = ["cycles to " + tol, *(f"cell Peclet number {p:g}" for p in central["peclet"])]
    rows = [
        [flow, *(_span([of[n][k] for n in largest]) for k in range(len(central["peclet"])))]
        for flow, of in central["cycles"].items()
    ]
    said = f"Central differences, {largest[0]}^2 to {largest[-1]}^2."
    return f"{first}\n\n{said}\n\n" + "\n".join(tables.table(head, rows))


def _span(cycles: list[str]) -> str:
    """From the fewest to the most."""
    numbers = sorted(int(c) for c in cycles if c != "never")
    if len(numbers) < len(cycles):
        return f"{numbers[0]} to never" if numbers else "never"
    return f"{numbers[0]} to {numbers[-1]}" if numbers[0] < numbers[-1] else f"{numbers[0]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[31, 63, 127, 255, 511])
    parser.add_argument("--peclet", type=float, nargs="*", default=[1.0, 1e2, 1e4])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--largest", type=int, default=255, help="grid of PyAMG, at most")
    parser.add_argument("--cycles", action="store_true", help="count cycles alone")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.cycles:
        return count()
    compare(given)


if __name__ == "__main__":
    main()
