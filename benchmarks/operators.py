"""Neural operators against each other, and against the solver at equal error.

    python -m benchmarks.operators data                       1,000 Darcy samples at 421^2: how long, how exact
    python -m benchmarks.operators [compare] [--minutes 30] [--seeds 2]
    python -m benchmarks.operators gpu                        as published: 211^2, 1,000 samples, 500 epochs, on a GPU

compare   trains MgNO in both forms, an FNO and a U-Net of about as many parameters on the same samples (Darcy's, 64^2,
          means of solutions at 256^2) for the same time, by one recipe (the FNO by AdamW): as many epochs as fit into
          the minutes, by the rate of a short trial. All are tested on the same unseen samples, and on the same
          functions on the grid twice as fine: asked on the grid they know, to and from which mgnet.operators carries
          functions, and asked on the finer one itself. Then the solver is asked for the same error: of all grids and
          tolerances whose mean error is no larger, the fastest. Both times are of batches, per sample; the solver's
          include its set-up. Training has paid after (making the samples + training) / (the solver's time - the
          network's) solves.

What was interrupted goes on where it was; what is finished is read. Results lie in benchmarks/results/operators.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median, stdev
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from benchmarks import tables
from benchmarks.machine import environment
from benchmarks.operator_rivals import UNet, fno, parameters
from mgnet.operators import FAST, PAPER, MgNO, Recipe, Run, Samples, darcy, evaluate, load, save, train
from mgnet.operators.batches import tensors_of
from mgnet.pde import solve

RESULTS = Path(__file__).parent / "results" / "operators"
MODELS: dict[str, Callable[[], nn.Module]] = {
    "MgNO": lambda: MgNO(grids=6),
    "MgNO, multigrid form": lambda: MgNO(grids=6, width=26, form="multigrid"),
    "FNO": fno,
    "U-Net": UNet,
}
GRIDS = (8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 160, 192, 256)
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6)
FINER = "error on the finer grid"
GRID = ("trained", "data")  # where a network works on finer samples
TRIAL = 100  # samples
CHECKED = 8  # samples that are solved again to round-off


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("what", nargs="?", choices=("data", "compare", "gpu"), default="compare")
    arguments.add_argument("--samples", type=int, default=1000)
    arguments.add_argument("--test", type=int, default=100, help="unseen samples")
    arguments.add_argument("--size", type=int, help="cells along an axis; default: 421, 64")
    arguments.add_argument("--cells", type=int, default=256, help="compare: on which the samples are solved")
    arguments.add_argument("--minutes", type=float, default=30.0, help="of each training")
    arguments.add_argument("--seeds", type=int, default=2)
    arguments.add_argument("--epochs", type=int, default=500, help="gpu")
    arguments.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    arguments.add_argument("--runs", type=Path, default=Path("runs/operators"))
    arguments.add_argument("--out", type=Path, default=RESULTS)
    given = arguments.parse_args()
    {"data": data, "compare": compare, "gpu": gpu}[given.what](given)


def write(out: Path, name: str, result: Any) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / name).write_text(result if isinstance(result, str) else json.dumps(result, indent=1) + "\n")


# The samples ---------------------------------------------------------------------------------------------------------


def data(given: argparse.Namespace) -> None:
    """How long 1,000 samples at 421^2 take, their errors measured or not, and how exactly they are solved."""
    size = given.size or 421
    darcy(1, size)  # a first solve loads what it needs
    result: dict[str, Any] = {"samples": given.samples, "size": size, "environment": environment()}
    for name, reference in (("solved", 0), ("with measured errors", 2)):
        begun = time.perf_counter()
        samples = darcy(given.samples, size, reference=reference, progress=True)
        result[f"seconds, {name}"] = time.perf_counter() - begun
    result["mean discretisation error"] = float(samples.error.mean())
    result["largest algebraic error"] = algebraic_error(samples)
    for name in ("seconds, solved", "seconds, with measured errors"):
        print(f"{given.samples} samples at {size}^2, {name.removeprefix('seconds, ')}: {result[name]:.0f} s")
    print(f"mean discretisation error {result['mean discretisation error']:.3%}")
    print(f"largest algebraic error of {CHECKED}: {result['largest algebraic error']:.1e}")
    write(given.out, "data.json", result)
    assert result["largest algebraic error"] < 1e-8


def algebraic_error(samples: Samples) -> float:
    """The largest relative distance from the discrete solution, which more cycles tend to."""
    a, u = samples.a[:CHECKED], samples.u[:CHECKED]
    exact = solve(np.ones(samples.grid), a=a, centering="cell", tol=1e-13).u
    return float(relative(u, exact).max())


def relative(u: np.ndarray, exact: np.ndarray) -> np.ndarray:
    return np.linalg.norm(u - exact, axis=(1, 2)) / np.linalg.norm(exact, axis=(1, 2))


def prepared(given: argparse.Namespace, size: int) -> tuple[Samples, Samples, Samples, float]:
    """To learn from, to test on, the same on a finer grid, and what it took to make the first, in seconds."""
    folder = given.runs / f"samples-{given.samples}-{given.test}-{size}-{given.cells}"
    if not (folder / "seconds.json").exists():
        begun = time.perf_counter()
        save(darcy(given.samples, size, cells=given.cells, reference=0), folder / "train.npz")
        seconds = time.perf_counter() - begun
        for name, n in (("test", size), ("finer", 2 * size)):
            save(
                darcy(given.test, n, cells=max(given.cells, n), first=given.samples, modes=given.cells),
                folder / f"{name}.npz",
            )
        write(folder, "seconds.json", seconds)
    parts = [load(folder / f"{name}.npz") for name in ("train", "test", "finer")]
    return parts[0], parts[1], parts[2], json.loads((folder / "seconds.json").read_text())


# The trainings -------------------------------------------------------------------------------------------------------


def compare(given: argparse.Namespace) -> None:
    """Each model for the same time, then the solver at its error."""
    size = given.size or 64
    samples, test, finer, seconds = prepared(given, size)
    rows = []
    for name in given.models:
        runs = trained(name, samples, test, given)
        rows.append(judged(name, runs, test, finer))
        print(f"{name}: {rows[-1]['error']:.3%}", flush=True)
    solver = solver_errors(test, given.cells, size)
    rows = [row | at_equal_error(row, solver, seconds) for row in rows]
    asked = {"samples": given.samples, "test": given.test, "size": size, "cells": given.cells, "minutes": given.minutes}
    asked |= {"seconds of the samples": seconds, "error of the test samples": float(test.error.mean())}
    result = {"asked": asked, "rows": rows, "solver": solver, "environment": environment()}
    write(given.out, "results.json", result)
    write(given.out, "table.md", table(result))
    draw(result, given.out / "equal_error.png")
    print(table(result))


def trained(name: str, samples: Samples, test: Samples, given: argparse.Namespace) -> list[Run]:
    """A run a seed; the epochs are found once, and kept."""
    folder = given.runs / f"{slug(name)}-{len(samples)}-{samples.grid[0]}-{given.minutes:g}min"
    if not (folder / "epochs.json").exists():
        write(folder, "epochs.json", epochs_in(MODELS[name], samples, given.minutes))
    recipe = replace(recipe_of(name), epochs=json.loads((folder / "epochs.json").read_text()))
    return [
        train(samples, test, seed=seed, out=folder / f"seed{seed}", model=MODELS[name], recipe=recipe, resume=True)
        for seed in range(given.seeds)
    ]


def recipe_of(name: str) -> Recipe:
    """The same for all but the FNO: Muon is for real kernels, and its own are complex, so it gets AdamW as usual."""
    return replace(FAST, optimizer="adamw", lr=1e-3, channels_last=False) if name == "FNO" else FAST


def epochs_in(make: Callable[[], nn.Module], samples: Samples, minutes: float) -> int:
    """How many epochs fit, by the rate of the second of two on a few samples."""
    few = samples[: min(TRIAL, len(samples))]
    name = next(name for name, other in MODELS.items() if other is make)
    with TemporaryDirectory() as folder:
        recipe = replace(recipe_of(name), epochs=2, validation=0.0)
        run = train(few, few[:1], out=f"{folder}/trial", model=make, recipe=recipe, progress=False)
    rate = run.history[-1]["samples_per_second"]
    return max(1, int(60 * minutes * rate / ((1 - FAST.validation) * len(samples))))


def slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower())


def judged(name: str, runs: Sequence[Run], test: Samples, finer: Samples) -> dict[str, Any]:
    """Means over the seeds."""
    make = MODELS[name]
    beyond = {grid: mean(evaluate(make, finer, grid=grid, start=run.directory).error for run in runs) for grid in GRID}
    errors = [run.error for run in runs]
    return {
        "model": name,
        "parameters": parameters(make()),
        "epochs": len(runs[0].history),
        "training seconds": mean(sum(row["seconds"] for row in run.history) for run in runs),
        "errors": errors,
        "error": mean(errors),
        "spread": stdev(errors) if len(errors) > 1 else None,
        "h1 error": mean(run.metrics.h1_error for run in runs),
        FINER: beyond["trained"],
        f"{FINER}, asked there": beyond["data"],
        "seconds a sample": network_seconds(runs[0].model, test),
    }


def network_seconds(model: nn.Module, test: Samples, repeats: int = 5) -> float:
    x, _ = tensors_of(test)
    with torch.no_grad():
        model(x)
        return median(clock(lambda: model(x)) for _ in range(repeats)) / len(test)


def clock(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


# The solver ----------------------------------------------------------------------------------------------------------


def solver_errors(test: Samples, cells: int, size: int) -> list[dict[str, float]]:
    """Mean error, and seconds a sample with set-up, of each grid and tolerance; on the test samples' functions."""
    rows = []
    first = test.settings["first"]
    for n in (n for n in GRIDS if n <= cells):
        a = darcy(len(test), n, first=first, modes=cells, reference=0, tol=0.5).a
        f, between = np.ones((n, n)), interpolation(n, size)
        for tol in TOLERANCES:
            u = solve(f, a=a, centering="cell", tol=tol).u
            seconds = median(clock(lambda: solve(f, a=a, centering="cell", tol=tol)) for _ in range(3))  # noqa: B023
            error = relative(between @ u @ between.T, test.u).mean()
            rows.append({"n": n, "tol": tol, "error": float(error), "seconds": seconds / len(test)})
    return rows


def interpolation(n: int, size: int) -> np.ndarray:
    """(size, n) linear between cell centres and to zero on the boundary; means where the cells are finer."""
    if n % size == 0:
        return np.kron(np.eye(size), np.full(n // size, size / n))
    x = np.concatenate([[0.0], (np.arange(n) + 0.5) / n, [1.0]])
    centres = (np.arange(size) + 0.5) / size
    return np.stack([np.interp(centres, x, v) for v in np.eye(n + 2)[1:-1]], axis=1)


def at_equal_error(row: dict[str, Any], solver: Sequence[dict[str, float]], samples_took: float) -> dict[str, Any]:
    """The fastest solve that is as good, and when training has paid."""
    good = [solved for solved in solver if solved["error"] <= row["error"]]
    if not good:
        return {"solver": None, "paid after": None}
    best = min(good, key=lambda solved: solved["seconds"])
    saved = best["seconds"] - row["seconds a sample"]
    spent = samples_took + row["training seconds"]
    return {"solver": best, "paid after": spent / saved if saved > 0 else None}


# What is shown -------------------------------------------------------------------------------------------------------


def table(result: dict[str, Any]) -> str:
    """What each network learned, knows of a finer grid, and costs beside the solver: tables as wide as a page."""
    asked, here, rows = result["asked"], result["environment"], result["rows"]
    learned = ("model", "parameters", "epochs", "minutes", "L2 error", "H1 error")
    finer = ("model", "asked on the grid of the training", "asked on their own grid")
    paid = ("model", "ms a sample", "the solver at that error", "its error", "its ms", "training has paid after")
    lines = [
        f"Darcy, {asked['size']}^2: {asked['samples']} samples, {asked['test']} unseen, {asked['minutes']:g} minutes.",
        f"The test samples' own error is {asked['error of the test samples']:.3%}.",
        f"float32, {here['threads']} threads, {here['processor']}, {here['date']}.",
        *("", *tables.table(learned, map(quality, rows))),
        *("", "The L2 error on functions of a grid twice as fine; in brackets, over that above:", ""),
        *tables.table(finer, map(elsewhere, rows)),
        *("", "The fastest solve that is as good:", ""),
        *tables.table(paid, map(price, rows)),
    ]
    return "\n".join(lines) + "\n"


def quality(row: dict[str, Any]) -> tuple[str, ...]:
    spread = "" if row["spread"] is None else f" +- {row['spread']:.3%} of {len(row['errors'])}"
    return (
        row["model"], f"{row['parameters']:,}", row["epochs"], f"{row['training seconds'] / 60:.1f}",
        f"{row['error']:.3%}{spread}", f"{row['h1 error']:.3%}",
    )  # fmt: skip


def elsewhere(row: dict[str, Any]) -> tuple[str, ...]:
    errors = (row[FINER], row[f"{FINER}, asked there"])
    return (row["model"], *(f"{error:.3%} ({error / row['error']:.2f} times)" for error in errors))


def price(row: dict[str, Any]) -> tuple[str, ...]:
    solved = row["solver"]
    beside = ("none of those tried", "-", "-")
    if solved:
        beside = (
            f"{solved['n']:.0f}^2, tol {solved['tol']:g}",
            f"{solved['error']:.3%}",
            f"{1e3 * solved['seconds']:.2f}",
        )
    after = f"{row['paid after']:,.0f} solves" if row["paid after"] else "never"
    return (row["model"], f"{1e3 * row['seconds a sample']:.2f}", *beside, after)


def draw(result: dict[str, Any], path: Path) -> None:
    """Error against time a sample: the solver's grids, and each network."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    coarser = [n for n in grids_of(result) if n < result["asked"]["cells"]]  # that one made the test samples
    best = [min((s for s in result["solver"] if s["n"] == n), key=lambda s: s["error"]) for n in coarser]
    fast = [min((s for s in result["solver"] if s["n"] == b["n"] and s["error"] <= 1.02 * b["error"]),
                key=lambda s: s["seconds"]) for b in best]  # fmt: skip
    axes.loglog([1e3 * s["seconds"] for s in fast], [100 * s["error"] for s in fast], "k.-", label="solver, by grid")
    for s in fast[::3]:
        axes.annotate(f"{s['n']:.0f}$^2$", (1e3 * s["seconds"], 100 * s["error"]), fontsize=8)
    for row in result["rows"]:
        axes.loglog(1e3 * row["seconds a sample"], 100 * row["error"], "o", label=row["model"])
    axes.set(xlabel="ms a sample, in batches", ylabel="mean relative L2 error in %", title="Darcy at equal error")
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="lower left")
    figure.savefig(path, dpi=120)


def grids_of(result: dict[str, Any]) -> list[float]:
    return sorted({s["n"] for s in result["solver"]})


# As published --------------------------------------------------------------------------------------------------------


def gpu(given: argparse.Namespace) -> None:
    """The five-layer network on the published recipe's samples, every second point of 421: aim 0.17% or less."""
    if not torch.cuda.is_available() and given.epochs > 1:
        raise SystemExit("`gpu` needs a CUDA device: on a CPU it would take days. Try it with --epochs 1 --samples 16.")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = given.size or 421
    path = given.runs / f"published-{given.samples}-{size}.npz"
    if not path.exists():
        save(darcy(given.samples + given.test, size, recipe="fno", reference=0, device=device, progress=True), path)
    samples = load(path).every(2)
    run = train(
        samples[: given.samples],
        samples[given.samples :],
        given.epochs,
        out=given.runs / f"published-{given.samples}-{size}-{given.epochs}",
        model=lambda: MgNO(layers=5, grids=6, up=(3, 4, 3, 3, 4)),
        recipe=PAPER,
        resume=True,
        device=device,
    )
    result = {"error": run.error, "h1 error": run.metrics.h1_error, "published": 0.00153, "rerun by others": 0.00170}
    result |= {"epochs": len(run.history), "seconds": sum(row["seconds"] for row in run.history)}
    print(f"relative L2 error {run.error:.3%} after {len(run.history)} epochs (published 0.153%, by others 0.170%)")
    write(given.out, "gpu.json", {**result, "environment": environment(), "device": device})


if __name__ == "__main__":
    main()
