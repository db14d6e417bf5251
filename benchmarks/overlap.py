"""Would messages hide behind work? Planes that travel before a cycle, and while one runs.

    python -m benchmarks.overlap [--sizes 511 2047]

Two processes of one thread exchange HALO planes of n numbers, as a pass over a finest grid of n^2 unknowns a process
asks for, and have a cycle of as many unknowns each to compute. *after*: the planes are there before it begins, as the
package has it. *beside*: they are posted, the cycle runs, and then they are waited for: all of the exchange is hidden
that can be, so a cycle whose edges are left for last would save no more at each of its exchanges. Through shared memory
a process copies its planes itself, so nothing can go on beside it. Medians of REPEATS, all in turn. Writes
benchmarks/results/processes/overlap.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from benchmarks import tables
from benchmarks.machine import environment, in_words
from benchmarks.scaling import HALO
from mgnet.pde import Grid, Poisson, Solver
from mgnet.pde.distributed.channel import Channel, Network, channel

RESULTS = Path(__file__).parent / "results" / "processes" / "overlap.json"
REPEATS = 25
Pair = tuple[torch.Tensor, torch.Tensor]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--sizes", type=int, nargs="+", default=[511, 2047])
    asked.add_argument("--out", type=Path, default=RESULTS)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "benchmarks.overlap", "--work", folder, *map(str, given.sizes)]
        environ = os.environ | {"OMP_NUM_THREADS": "1"}
        each = [subprocess.Popen([*words, str(rank)], env=environ) for rank in range(2)]
        if any(map(subprocess.Popen.wait, each)):
            raise SystemExit("a process failed; its message is above.")
        rows = json.loads(Path(folder, "said.json").read_text())
    given.out.write_text(json.dumps({"environment": environment(), "rows": rows}, indent=1) + "\n")
    print(table({"environment": environment(), "rows": rows}))


def work(folder: str, sizes: list[int], rank: int) -> None:
    """One process; the first writes what it saw."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2)
    memory, network, rows = channel(None, torch.device("cpu")), Network(None, 2), []
    for n in sizes:
        planes, rooms = torch.ones(HALO, n, dtype=torch.float64), torch.empty(HALO, n, dtype=torch.float64)
        pair = (planes, rooms)
        solver, f = Solver(Poisson(Grid((n, n)))), np.random.default_rng(rank).normal(size=(n, n))
        u = solver.cycle(None, f)

        def cycle(solver: Solver = solver, u: np.ndarray = u, f: np.ndarray = f) -> None:
            solver.cycle(u, f)

        ways: dict[str, Callable[[], object]] = {
            "a cycle": cycle,
            "exchange, memory": lambda pair=pair: swapped(memory, rank, pair),
            "exchange, gloo": lambda pair=pair: swapped(network, rank, pair),
            "after, gloo": lambda pair=pair, cycle=cycle: (swapped(network, rank, pair), cycle()),
            "beside, gloo": lambda pair=pair, cycle=cycle: beside(rank, pair, cycle),
        }
        rows.append({"size": n} | timed(ways))
    if rank == 0:
        Path(folder, "said.json").write_text(json.dumps(rows))
    dist.barrier()
    dist.destroy_process_group()


def timed(ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The median seconds of each."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS + 1):
        for name, call in ways.items():
            dist.barrier()
            begun = time.perf_counter()
            call()
            found[name].append(time.perf_counter() - begun)
    return {name: median(each[1:]) for name, each in found.items()}


def swapped(by: Channel, rank: int, pair: Pair) -> None:
    """Planes to the other process and from it: the first one's is after, the second one's before."""
    out, into = ((None, pair[0]), (None, pair[1])) if rank == 0 else ((pair[0], None), (pair[1], None))
    by.swap(0, (1 - rank, 1 - rank), out, into)


def beside(rank: int, pair: Pair, cycle: Callable[[], None]) -> None:
    planes, room = pair
    posted = [dist.isend(planes, 1 - rank), dist.irecv(room, 1 - rank)]
    cycle()
    for each in posted:
        assert each is not None
        each.wait()


def table(result: dict[str, Any]) -> str:
    """Markdown, and what it says."""
    machine = result["environment"]
    names = [name for name in result["rows"][0] if name != "size"]
    rows = [[f"{r['size']}^2", *(f"{1e3 * r[name]:.2f}" for name in names)] for r in result["rows"]]
    last = result["rows"][-1]
    saved, cycle = last["after, gloo"] - last["beside, gloo"], last["a cycle"]
    lines = [
        f"An exchange of {HALO} planes between two processes, and a cycle on each beside it; milliseconds, "
        f"{in_words(machine)}; `python -m benchmarks.overlap`.",
        "",
        *tables.table(("unknowns a process", *names), rows),
        "",
        f"At {last['size']}^2 a process, planes that travel by gloo while a cycle runs save {1e3 * saved:.2f} ms of "
        f"{1e3 * last['after, gloo']:.1f}, {100 * saved / last['after, gloo']:.0f}%; through shared memory, where a "
        "process copies its planes itself and none can travel beside it, an exchange is "
        f"{100 * last['exchange, memory'] / cycle:.1f}% of a cycle.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        folder, *sizes, rank = sys.argv[2:]
        work(folder, [int(n) for n in sizes], int(rank))
    else:
        main()
