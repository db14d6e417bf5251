"""One problem on several processes of one thread each: weak and strong scaling, and memory.

    python -m benchmarks.processes [--size 2047] [--processes 1 2] [--tol 1e-9]
    python -m benchmarks.processes --device cuda --size 8191 --processes 1 2 4 8 --out gpus.json    a GPU a process

Weak: each process has --size rows (or one more) of --size unknowns, so the grid is the longer the more there are.
Strong: they share one of --size^2. Apart: each solves one of --size^2 for itself, which is what the machine's memory
allows at most. Medians; efficiency is the work done a second and process beside that of one process alone. Memory is
the peak of one process over what importing takes. Writes benchmarks/results/processes/results.json.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from benchmarks import tables
from benchmarks.machine import environment, in_words
from mgnet.pde import Grid, Partition, Poisson, Solver, solve

RESULTS = Path(__file__).parent / "results" / "processes" / "results.json"
ROUNDS, REPEATS = 4, 6  # rounds of processes; solves of each that count


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--size", type=int, default=2047)
    asked.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    asked.add_argument("--tol", type=float, default=1e-9)
    asked.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    asked.add_argument("--out", type=Path, default=RESULTS)
    given = asked.parse_args()
    result: dict[str, Any] = {"environment": environment(), "rows": []}
    for tol in (given.tol, None):
        for row in rows(given.size, given.processes, tol, given.device):
            result["rows"].append(row)
            print(*cells(row), sep=" | ", flush=True)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")


def rows(n: int, processes: list[int], tol: float | None, device: str = "cpu") -> list[dict[str, Any]]:
    """One process, then the others in each way; all in turn, ROUNDS times, so that what else happens falls on all."""
    cases = [("one process", 1, (n, n))]
    for count in processes:
        shapes = {"apart": (n, n), "weak": ((n + 1) * count - 1, n), "strong": (n, n)}  # nested grids
        cases += [(kind, count, shape) for kind, shape in shapes.items() if count > 1]
    found: list[list[dict[str, Any]]] = [[] for _ in cases]
    for _ in range(ROUNDS):
        for (kind, count, shape), each in zip(cases, found, strict=True):
            each.append(run(count, shape, tol, kind != "apart", device))
    seconds = [median(t for said in each for t in said["seconds"]) for each in found]
    made = []
    for (kind, count, shape), each, t in zip(cases, found, seconds, strict=True):
        ideal = 1 / count if kind == "strong" else 1
        row = {"kind": kind, "processes": count, "shape": shape, "tol": tol, "cycles": each[0]["cycles"], "seconds": t}
        megabytes = max(said["megabytes"] for said in each)
        made.append(row | {"efficiency": ideal * seconds[0] / t, "megabytes": megabytes})
    return made


def run(
    count: int, shape: tuple[int, int], tol: float | None, together: bool = True, device: str = "cpu"
) -> dict[str, Any]:
    """What the first of so many processes says, which solve together or each for itself."""
    with tempfile.TemporaryDirectory() as folder:
        environ = os.environ | {"OMP_NUM_THREADS": "1"}
        words = [
            sys.executable,
            "-m",
            "benchmarks.processes",
            "--work",
            folder,
            str(count),
            *map(str, shape),
            str(tol),
            str(together),
            device,
        ]
        each = [subprocess.Popen([*words, str(rank)], env=environ) for rank in range(count)]
        if any(process.wait() for process in each):
            raise SystemExit("a process failed; its message is above.")
        return json.loads(Path(folder, "said.json").read_text())


def work(
    folder: str, count: int, shape: tuple[int, int], tol: float | None, together: bool, device: str, rank: int
) -> None:
    """One process; the first writes what it saw."""
    torch.set_num_threads(1)
    if device == "cuda":
        torch.cuda.set_device(rank)
    solve(np.ones((100, 100)))
    before, grid = peak(), Grid(shape, upper=((shape[0] + 1) / (shape[1] + 1), 1.0))  # square cells
    if count > 1:
        group = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
        dist.init_process_group(group, init_method=f"file://{folder}/group", rank=rank, world_size=count)
    partition = Partition(grid) if count > 1 and together else None
    f = np.random.default_rng(rank).normal(size=shape if partition is None else partition.shape)
    f = torch.from_numpy(f).to(f"cuda:{rank}") if device == "cuda" else f
    solver, seconds = Solver(Poisson(grid, like=f), partition=partition), []
    for _ in range(REPEATS + 1):
        if count > 1:
            dist.barrier()
        begun = time.perf_counter()
        cycles = solver.solve(f, tol=tol).cycles
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    if rank == 0:
        said = {"seconds": seconds[1:], "cycles": cycles, "megabytes": peak() - before}
        Path(folder, "said.json").write_text(json.dumps(said))
    if count > 1:
        dist.barrier()
        dist.destroy_process_group()


def peak() -> float:
    """Of this process's memory, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def table(result: dict[str, Any]) -> str:
    """Markdown."""
    machine = result["environment"]
    lines = [
        f"One thread a process, {in_words(machine)}; `python -m benchmarks.processes`. "
        "Apart: each process solves a problem of its own, which is what the machine's memory allows at most.",
        "",
    ]
    head = ("scaling", "processes", "grid", "tol", "cycles", "ms", "efficiency", "MB a process")
    return "\n".join(lines + tables.table(head, map(cells, result["rows"])))


def cells(row: dict[str, Any]) -> list[Any]:
    told = [row["kind"], row["processes"], " x ".join(map(str, row["shape"]))]
    told += ["none" if row["tol"] is None else f"{row['tol']:g}", row["cycles"], f"{1e3 * row['seconds']:.0f}"]
    return [*told, f"{100 * row['efficiency']:.0f}%", f"{row['megabytes']:.0f}"]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        folder, count, n, m, tol, together, device, rank = sys.argv[2:]
        shape, tolerance = (int(n), int(m)), None if tol == "None" else float(tol)
        work(folder, int(count), shape, tolerance, together == "True", device, int(rank))
    else:
        main()
