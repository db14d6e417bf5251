"""Our Poisson solver on a CUDA device against what a user would otherwise take there, in one run.

    python -m benchmarks.poisson_gpu [--only NAME ...] [--largest 16383] [--repeats 7] [--small]
                                     [--out benchmarks/results/poisson-gpu]

Every entry of CASES is data. No time without the error or the residual that was reached. A time is that
of a whole call, from tensor to tensor, until the device is idle: of the first one, with the set-up and all that
it compiles and allocates, and the median of those that repeat it; a ratio is of two times of one kind.
``bandwidth`` is the share of a device copy's that would move f and u alone once. ``--small`` tries everything on
tiny grids, on any device.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import nan
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

from benchmarks import rivals_gpu as rivals
from benchmarks.machine import here
from benchmarks.poisson import jumps, solution, source
from benchmarks.report import in_order, kept_rows
from benchmarks.report_gpu import environment, line, save
from mgnet.pde import Grid, Poisson, Solver


@dataclass(frozen=True)
class Case:
    """One line of the table.

    name : the group; n, ndim : unknowns per axis, axes; batch : right-hand sides at once
    tol : None asks for discretisation accuracy
    coefficient : "one", "smooth" or "jumps" (1e4, 8 x 8 checkerboard)
    against : names of rivals in ``SOLVERS``
    """

    name: str
    n: int
    ndim: int = 2
    batch: int = 1
    dtype: str = "float64"
    tol: float | None = None
    coefficient: str = "one"
    against: tuple[str, ...] = ("torch.fft",)


SOLVERS: dict[str, Callable[[Poisson, Case], rivals.Solve | None]] = {
    "mgnet": lambda problem, case: one_solver(problem, case),
    "torch.fft": lambda problem, case: rivals.sine_transforms(problem),
    "conv2d": lambda problem, case: rivals.convolutions(problem, case.tol or 0.0),
    "cupy CG": lambda problem, case: rivals.cupy_cg(problem, case.tol or 0.0),
    "AmgX CG": lambda problem, case: rivals.amgx(problem, case.tol or 0.0),
}
RESULTS = Path("benchmarks/results/poisson-gpu")
UNSEEN = ("cupy CG", "AmgX CG")  # torch does not see their memory
ACCURACY = "discretisation accuracy"
CASES = [
    *(Case(ACCURACY, n) for n in (1023, 2047, 4095, 8191, 16383)),
    *(Case("float32", n, dtype="float32") for n in (1023, 4095)),
    *(Case("3-D", n, ndim=3) for n in (255, 511)),
    Case("batch", 127, batch=4096),
    Case("residual 1e-8", 1023, tol=1e-8, against=("torch.fft", "conv2d", "cupy CG", "AmgX CG")),
    *(Case("residual 1e-8", n, tol=1e-8, against=("torch.fft", "conv2d")) for n in (4095, 8191)),
    Case("residual 1e-8 3-D", 255, ndim=3, tol=1e-8, against=("torch.fft", "AmgX CG")),
    Case("batch 1e-8", 500, batch=64, tol=1e-8),
    *(Case("smooth a", n, tol=1e-8, coefficient="smooth", against=("AmgX CG",)) for n in (1023, 4095)),
    *(Case("jumping a", n, tol=1e-8, coefficient="jumps", against=("AmgX CG",)) for n in (1023, 4095)),
]
SMALL = [
    Case(ACCURACY, 63),
    Case("3-D", 15, ndim=3),
    Case("batch 1e-8", 20, batch=3, tol=1e-8),
    Case("residual 1e-8", 31, tol=1e-8, against=("torch.fft", "conv2d")),
    Case("smooth a", 31, tol=1e-8, coefficient="smooth", against=()),
    Case("jumping a", 31, tol=1e-8, coefficient="jumps", against=()),
]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.poisson_gpu", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", nargs="*", default=[], help="groups of cases to run; the results of others stay (default: all)"
    )
    parser.add_argument("--largest", type=int, default=16383, help="leave out larger grids")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--small", action="store_true", help="tiny grids, on the CPU where there is no CUDA device")
    parser.add_argument("--out", type=Path, help=f"where to write (default: {RESULTS}; with --small nowhere)")
    given = parser.parse_args(arguments)
    out = given.out or (None if given.small else RESULTS)
    if not (torch.cuda.is_available() or given.small):
        print("poisson_gpu: there is no CUDA device; `mgnet bench poisson` measures the CPU.", file=sys.stderr)
        return 2
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    copy = copy_bandwidth(device, 2**20 if given.small else 2**31)
    cases = SMALL if given.small else CASES
    result = {"environment": environment(device), "copy": copy, "rows": kept_rows(out, given.only) if out else []}
    for case in cases:
        if case.n <= given.largest and (not given.only or case.name in given.only):
            where = here(device=result["environment"]["device"])
            measured = [row | where for row in measure(case, device, given.repeats, copy)]
            result["rows"] = in_order(result["rows"] + measured, [case.name for case in cases])
            if out:
                save(result, out)
    return 0


def measure(case: Case, device: torch.device, repeats: int, copy: float) -> Iterator[dict]:
    """A row for ours and one for each rival that is there and finds room; printed as they come."""
    problem, f, exact = problem_of(case, device)
    b = problem.rhs(f)
    ours = nan, nan
    for name in ("mgnet", *case.against):
        try:
            found = timed(partial(SOLVERS[name], problem, case), f, repeats)
        except torch.OutOfMemoryError:
            print(f"{case.name}, {case.n}: {name} finds no room")
            continue
        if found is None:
            continue
        first, repeat, memory, u = found
        ours = (first, repeat) if name == "mgnet" else ours
        residual = torch.linalg.vector_norm(b - problem.apply(u)) / torch.linalg.vector_norm(b)
        row = asdict(case) | {
            "against": None,
            "solver": name,
            "first": first,
            "first ratio": first / ours[0],
            "repeat": repeat,
            "repeat ratio": repeat / ours[1],
            "unknowns per second": f.numel() / repeat,
            "bandwidth": 2 * f.numel() * f.element_size() / repeat / copy,
            "residual": float(residual),
            "error": None if exact is None else float((u - exact).abs().max()),
            "bytes per unknown": None if name in UNSEEN else memory / f.numel(),
        }
        print(line(row), flush=True)
        del u, found
        yield row


def one_solver(problem: Poisson, case: Case) -> rivals.Solve:
    """``Solver.solve``; its first call makes the levels."""
    solver = Solver(problem)
    return lambda f: solver.solve(f, tol=case.tol).u


def timed(
    setup: Callable[[], rivals.Solve | None], f: Tensor, repeats: int
) -> tuple[float, float, float, Tensor] | None:
    """(seconds of set-up and first call, median of the later ones, bytes at the peak with f, the last result)."""
    if f.is_cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(f.device)
    others = torch.cuda.memory_allocated(f.device) - f.nbytes if f.is_cuda else 0
    begun = time.perf_counter()
    solve = setup()
    if solve is None:
        return None
    times = []
    for _ in range(1 + repeats):
        u = None  # its memory is free for the next one
        u = solve(f)
        finish(f.device)
        times.append(time.perf_counter() - begun)
        begun = time.perf_counter()
    peak = torch.cuda.max_memory_allocated(f.device) - others if f.is_cuda else 0
    return times[0], median(times[1:]), peak, u


def finish(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def copy_bandwidth(device: torch.device, size: int) -> float:
    """Bytes a second, read and written, of a copy on the device."""
    v = torch.rand(size // 8, dtype=torch.float64, device=device)
    w = torch.empty_like(v)
    found = timed(lambda: w.copy_, v, 9)
    assert found is not None
    return 2 * v.nbytes / found[1]


def problem_of(case: Case, device: torch.device) -> tuple[Poisson, Tensor, Tensor | None]:
    """The problem, its right-hand side and the exact solution (random right-hand sides have none)."""
    dtype = getattr(torch, case.dtype)
    grid = Grid((case.n,) * case.ndim)
    like = torch.zeros((), dtype=dtype, device=device)
    a = {"one": lambda: None, "smooth": lambda: smooth, "jumps": lambda: jumps(grid)}[case.coefficient]()
    problem = Poisson(grid, a, like=like)
    shape = (case.batch, *grid.shape) if case.batch > 1 else grid.shape
    if case.tol is not None:
        f = torch.randn(shape, dtype=dtype, device=device, generator=torch.Generator(device).manual_seed(0))
        return problem, f, None
    xs = np.ix_(*(axis.x for axis in grid.axes))
    f, exact = (torch.as_tensor(w(xs, "dirichlet")).to(like) for w in (source, solution))
    if case.batch > 1:
        factors = torch.linspace(0.5, 2, case.batch, dtype=dtype, device=device).reshape(-1, *[1] * case.ndim)
        return problem, f * factors, exact * factors
    return problem, f, exact


def smooth(x: Tensor, y: Tensor) -> Tensor:
    """A coefficient between 1/4 and 4."""
    return 4 ** (torch.sin(2 * torch.pi * x) * torch.cos(2 * torch.pi * y))


if __name__ == "__main__":
    sys.exit(main())
