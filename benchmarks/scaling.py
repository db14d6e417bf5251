"""A model of one problem on many processes: fitted here, compared with what is measured here, and what it predicts.

    python -m benchmarks.scaling [--sizes 511 1023 2047]

A cycle on P blocks of a grid visits all grids down and up again. On process p's part of grid l, n_l unknowns and m_l a
plane, it takes

    work n_l + visit  +  2 (latency + 8 HALO m_l / bandwidth)          while the grid is shared
    latency log2 P + 8 n / bandwidth  +  sum over grids of (work n + visit)    from the first gathered one on, n in all

and latency log2 P for the norm. ``work`` and ``visit`` are fitted to cycles of one process at several sizes, once alone
and once beside another one, with which it shares the memory; latency and bandwidth to exchanges between two processes.
The other machines' numbers are those of their makers or assumed (below), none was measured: what is said of them is a
prediction. Writes benchmarks/results/processes/model.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import log2
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from scipy.optimize import nnls

from benchmarks import tables
from benchmarks.machine import environment
from mgnet.pde import Grid, Partition, Poisson, Solver
from mgnet.pde.distributed.channel import Network, channel
from mgnet.pde.distributed.halo import exchange
from mgnet.pde.distributed.one_machine import OneMachine
from mgnet.pde.distributed.window import window

RESULTS = Path(__file__).parent / "results" / "processes" / "model.json"
HALO, SMALLEST = 8, 31**2  # planes of an exchange; unknowns of the coarsest grid
BYTES = 8
REPEATS = 15
PLANES = [256, 2048, 16384]  # unknowns of a plane whose exchanges are timed
MEMORY = 8 * 12.0  # bytes that a cycle moves per unknown of a grid: f, u and e, read and written on both ways


@dataclass(frozen=True)
class Machine:
    """Seconds per unknown and per visit of a grid; per message; bytes a second between two processes.

    least : unknowns of a grid that is shared
    """

    name: str
    work: float
    visit: float
    latency: float
    bandwidth: float
    least: int = Network.least


def cycle(machine: Machine, processes: int, rows: int, columns: int) -> float:
    """Seconds of a cycle where each process has so many rows."""
    total, P = 0.0, processes
    while P > 1 and rows * columns * P > machine.least and rows > HALO:
        total += machine.work * rows * columns + machine.visit
        total += 2 * (machine.latency + BYTES * HALO * columns / machine.bandwidth)
        rows, columns = -(-rows // 2), columns // 2
    n = rows * columns * P
    if P > 1:
        total += machine.latency * 2 * log2(P) + BYTES * n / machine.bandwidth
    while n > SMALLEST:
        total += machine.work * n + machine.visit
        n //= 4
    return total


def fitted(sizes: list[int], beside: int) -> tuple[Machine, list[dict[str, float]]]:
    """This machine, where so many processes work at a time: its numbers, and the cycles they are fitted to."""
    measured = _spawned("cycles", sizes, beside)
    work, visit = _fit([[sum(each), len(each)] for each in map(_unknowns, sizes)], measured)
    size = [BYTES * HALO * n for n in PLANES]
    latency, per_byte = _fit([[1.0, n] for n in size], _spawned("exchanges", PLANES, 2))
    how = f"this machine, shared memory, {beside} at work"
    machine = Machine(how, work, visit, latency, 1 / per_byte, OneMachine.least)
    fit = [cycle(machine, 1, n, n) for n in sizes]
    return machine, [{"size": n, "measured": t, "fitted": g} for n, t, g in zip(sizes, measured, fit, strict=True)]


def _fit(terms: list[list[float]], seconds: list[float]) -> tuple[float, float]:
    """What each of two terms takes, none less than nothing; relative errors count."""
    each = np.array(terms) / np.array(seconds)[:, None]
    first, second = nnls(each, np.ones(len(seconds)))[0]
    return float(first), float(second)


def others() -> list[tuple[Machine, int, str]]:
    """Machines of which nothing was measured, how many processes, and where their numbers come from."""
    gpu = Machine("8 H200 in one server, NCCL", MEMORY / 4.8e12, 20e-6, 15e-6, 450e9)
    node = Machine("1,000 processes, 100 Gbit/s each", MEMORY / 20e9, 10e-6, 3e-6, 12.5e9)
    return [
        (gpu, 8, "4.8 TB/s of memory, 450 GB/s of NVLink one way (NVIDIA); 20 us a visit and 15 us a message assumed"),
        (node, 1000, "20 GB/s of memory and 12.5 GB/s of network a process, 3 us a message, all assumed"),
    ]


def _unknowns(n: int) -> list[float]:
    """Of the grids of n^2 unknowns, but the coarsest one."""
    sizes = []
    while n * n > SMALLEST:
        sizes.append(float(n * n))
        n //= 2
    return sizes


def _spawned(what: str, sizes: list[int], count: int) -> list[float]:
    """The median seconds of a cycle, or of an exchange of HALO planes, of each size, where so many processes work."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "benchmarks.scaling", "--work", folder, what, str(count), *map(str, sizes)]
        environ = os.environ | {"OMP_NUM_THREADS": "1"}
        each = [subprocess.Popen([*words, str(rank)], env=environ) for rank in range(count)]
        if any(process.wait() for process in each):
            raise SystemExit("a process failed; its message is above.")
        return json.loads(Path(folder, "said.json").read_text())


def work(folder: str, what: str, count: int, sizes: list[int], rank: int) -> None:
    """One process; the first writes what it saw."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=count)
    out = []
    for n in sizes:
        call, seconds = _cycle(n) if what == "cycles" else _exchange(n, rank), []
        for _ in range(REPEATS + 1):
            dist.barrier()
            begun = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - begun)
        out.append(median(seconds[1:]))
    if rank == 0:
        Path(folder, "said.json").write_text(json.dumps(out))
    dist.barrier()
    dist.destroy_process_group()


def _cycle(n: int) -> Callable[[], Any]:
    solver, f = Solver(Poisson(Grid((n, n)))), np.random.default_rng(0).normal(size=(n, n))
    u = solver.cycle(None, f)
    return lambda: solver.cycle(u, f)


def _exchange(n: int, rank: int) -> Callable[[], Any]:
    partition = Partition(Grid((64, n)))
    assert isinstance(channel(None, torch.device("cpu")), OneMachine)
    w = window(partition.grid.axes[0], partition.ends, rank, HALO)
    v = torch.zeros(1, w.size, n, dtype=torch.float64)
    return lambda: exchange(partition, w, v)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--sizes", type=int, nargs="+", default=[255, 511, 1023, 2047])
    asked.add_argument("--out", type=Path, default=RESULTS)
    given = asked.parse_args()
    result: dict[str, Any] = {"environment": environment(), "fitted": [], "predicted": []}
    machines = []
    for beside in (1, 2):
        here, rows = fitted(given.sizes, beside)
        machines.append(here)
        result["fitted"].append(asdict(here) | {"cycles": rows})
        for row in rows:
            print(f"{row['size']}^2: {1e3 * row['measured']:.2f} ms a cycle, fitted {1e3 * row['fitted']:.2f}")
        print(
            f"{here.name}: {1e9 * here.work:.2f} ns an unknown, {1e6 * here.visit:.0f} us a visit, "
            f"{1e6 * here.latency:.0f} us a message, {here.bandwidth / 1e9:.2f} GB/s"
        )
    result["assumed"] = [asdict(machine) for machine, *_ in others()]
    alone, beside_another = machines
    asked_for = [(alone, beside_another, 2, "fitted here"), *((m, m, count, source) for m, count, source in others())]
    for single, machine, processes, source in asked_for:
        for side in (2047, 8191):
            seconds = cycle(machine, processes, side, side)
            efficiency = cycle(single, 1, side, side) / seconds
            result["predicted"].append(
                {"machine": machine.name, "processes": processes, "source": source, "rows": side, "columns": side}
                | {"cycle": seconds, "weak efficiency": efficiency}
            )
            print(
                f"predicted, {machine.name}, {processes} x {side}^2: {1e3 * seconds:.3g} ms a cycle, weak scaling "
                f"{100 * efficiency:.0f}%"
            )
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")


def table(result: dict[str, Any]) -> str:
    """Markdown."""
    here = result["environment"]
    head = ("machine", "ns an unknown", "us a visit of a grid", "us a message", "GB/s between two")
    machines = [
        [m["name"], f"{1e9 * m['work']:.2f}", *(f"{1e6 * m[k]:.0f}" for k in ("visit", "latency")),
         f"{m['bandwidth'] / 1e9:.1f}"] for m in [*result["fitted"], *result["assumed"]]
    ]  # fmt: skip
    lines = [
        f"A model of a cycle (its formula is in `benchmarks/scaling.py`), fitted to {here['cores']} cores of "
        f"{here['processor']}; the rows of other machines take their makers' numbers, or assumed ones:",
        "",
        *tables.table(head, machines),
    ]
    worst = max(abs(row["fitted"] / row["measured"] - 1) for m in result["fitted"] for row in m["cycles"])
    lines += [
        "",
        f"It is within {100 * worst:.0f}% of the cycles that it is fitted to. What it predicts, **measured nowhere**, "
        "for a cycle with as many unknowns on each process:",
        "",
    ]
    predicted = [
        [row["machine"], row["processes"], f"{row['rows']}^2", f"{1e3 * row['cycle']:.3g}",
         f"{100 * row['weak efficiency']:.0f}%"] for row in result["predicted"]
    ]  # fmt: skip
    asked = ("prediction for", "processes", "unknowns a process", "ms a cycle", "weak scaling")
    return "\n".join(lines + tables.table(asked, predicted))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        folder, what, count, *sizes, rank = sys.argv[2:]
        work(folder, what, int(count), [int(n) for n in sizes], int(rank))
    else:
        main()
