"""Accuracy for few parameters: MgNet with 0.3 million at most, and ResNet-20 with its 0.27, on CIFAR-10.

    python -m benchmarks.small [--data data] [--runs runs/small] [--epochs N] [--seeds 3] [--images N]

trains each network of ENTRIES as long and with the same recipe, once a seed (a run that was interrupted goes on), and
prints parameters, multiply-adds and latency of one image on one core beside the test accuracy, mean +- standard
deviation over the seeds; the test set is looked at once, after the last epoch. MgNet shares its kernels between steps,
and between grids too (share-all), so that it needs more multiply-adds for as many parameters: the table says how many.
--images trains on the first N alone, to see that all of it works; results are kept of whole runs only.
"""

import argparse
import json
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from benchmarks import tables
from benchmarks.machine import in_words
from mgnet.training.runs import environment
from mgnet.training.threads import at_most
from mgnet.vision import FAST, Sweep, build, load, sweep
from mgnet.vision.costs import forward_pass
from mgnet.vision.images import Images

MOST = 300_000  # parameters
SIZE = (32, 32)
RESULTS = Path(__file__).parent / "results" / "small.json"
RECIPE = replace(FAST, epochs=6, warmup=1.0, small=0.5, validation=0.0)


@dataclass(frozen=True)
class Entry:
    name: str
    model: str


ENTRIES = (
    Entry("ResNet-20", "resnet20"),
    Entry("MgNet, a B on each grid", "MgNet[2,2,2,2]-[16,32,64,64]-B^l"),
    Entry("MgNet, share-all", "MgNet[1,2,2,2]-64-B"),
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, default=Path("data"))
    arguments.add_argument("--runs", type=Path, default=Path("runs/small"))
    arguments.add_argument("--epochs", type=int, default=RECIPE.epochs)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--images", type=int)
    given = arguments.parse_args()
    latencies = latency([entry.model for entry in ENTRIES])
    dataset = "cifar10" if given.images is None else few(given.data, given.images)
    recipe, rows = replace(RECIPE, epochs=given.epochs), []
    for entry, seconds in zip(ENTRIES, latencies, strict=True):
        swept = sweep(
            entry.model, dataset, given.data, seeds=range(given.seeds), out=given.runs / slug(entry.name),
            recipe=recipe, resume=True,
        )  # fmt: skip
        rows.append(row(entry, seconds, swept))
        result = {"epochs": given.epochs, "images": given.images, "recipe": str(recipe), "rows": rows}
        result |= {"environment": environment()}
        print(table(result), flush=True)
    if given.images is None:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def few(data: Path, count: int) -> tuple[Any, Any]:
    """The first images of each split, as arrays."""
    loaded = load("cifar10", data)
    parts = []
    for images in (loaded.train, loaded.test):
        assert isinstance(images, Images)
        parts.append((images.pixels[:count], [loaded.classes[i] for i in images.labels[:count]]))
    return parts[0], parts[1]


def row(entry: Entry, seconds: float, swept: Sweep) -> dict[str, Any]:
    model = build(entry.model)
    parameters = sum(p.numel() for p in model.parameters())
    assert parameters <= MOST, (entry, parameters)
    return {
        "name": entry.name,
        "model": entry.model,
        "parameters": parameters,
        "multiply_adds": forward_pass(model, 3, SIZE),
        "latency": seconds,
        "accuracies": swept.accuracies,
        "mean": swept.mean,
        "std": swept.std if len(swept.runs) > 1 else None,
        "processor_minutes": [sum(r["cpu_seconds"] for r in run.history) / 60 for run in swept.runs],
    }


def latency(models: list[str], repeats: int = 50) -> list[float]:
    """Seconds for one image on one core, float32: medians, taken in turn, of networks that agree with float64."""
    networks = [build(model).eval() for model in models]
    x, times = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0)), []
    with torch.no_grad(), at_most(1):
        for network in networks:
            check(network, x)
        for _ in range(repeats):
            times.append([clock(network, x) for network in networks])
    return [median(column) for column in zip(*times, strict=True)]


def check(network: nn.Module, x: torch.Tensor) -> None:
    single, double = network(x), network.double()(x.double())
    network.float()
    torch.testing.assert_close(single, double.float(), rtol=1e-3, atol=1e-4)


def clock(network: nn.Module, x: torch.Tensor) -> float:
    start = time.perf_counter()
    network(x)
    return time.perf_counter() - start


def slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


HEAD = ("network", "notation or name", "parameters", "multiply-adds", "ms an image, one core", "test accuracy")


def table(result: dict) -> str:
    """Markdown; multiply-adds as multiples of the first row's, too."""
    rows, machine = result["rows"], result["environment"]
    minutes = sum(sum(r["processor_minutes"]) for r in rows)
    seeds, few = len(rows[0]["accuracies"]), f", the first {n} images" if (n := result["images"]) else ""
    lines = [
        "### Accuracy for few parameters",
        "",
        f"CIFAR-10{few}, {result['epochs']} epochs of the same recipe, {seeds} seeds, test accuracy of the last epoch; "
        f"{minutes:.0f} processor minutes in all, {in_words(machine)}; "
        "`python -m benchmarks.small`.",
        "",
    ]
    told = []
    for r in rows:
        times = r["multiply_adds"] / rows[0]["multiply_adds"]
        spread = "" if r["std"] is None else f" +- {100 * r['std']:.2f}"
        cells = [r["name"], r["model"], f"{r['parameters']:,}", f"{r['multiply_adds'] / 1e6:.1f} M ({times:.1f})"]
        cells += [f"{1e3 * r['latency']:.2f}", f"{100 * r['mean']:.2f}{spread}%"]
        told.append(cells)
    return "\n".join([*lines, *tables.table(HEAD, told), "", *map(partial(beside, rows[0]), rows[1:])])


def beside(first: dict, row: dict) -> str:
    """A sentence: for how much more, or less, of everything a network is how good beside the first one."""
    few, work = (row[name] / first[name] for name in ("parameters", "multiply_adds"))
    points = 100 * (row["mean"] - first["mean"])
    return (
        f"{row['name']}: {few:.2f} times the parameters and {work:.1f} times the multiply-adds of {first['name']}, "
        f"{abs(points):.1f} points {'more' if points > 0 else 'less'}."
    )


if __name__ == "__main__":
    main()
