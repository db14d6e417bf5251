"""The first ten steps of every (network, recipe) pair on a CPU: no pair that is offered may take minutes a step.

    python -m benchmarks.first_steps [NETWORK ...] [--batch-size N] [--steps 10] [--out FILE.json]

fast, paper        the presets, in the arithmetic that this processor is good at
fast, plain        the default recipe as a processor without bfloat16 takes it: all in float32, Muon's products too

Forward and backward are the reference, what the optimiser takes stands beside them; both are medians over the steps
but the first, in which memory is found. Each pair is checked before its times count: its losses are finite, and a step
moves every kernel.
"""

import argparse
import json
import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from unittest.mock import patch

import torch

from benchmarks import tables
from mgnet.training.learner import Learner
from mgnet.training.precision import resolve_precision
from mgnet.training.process import Process
from mgnet.training.runs import environment
from mgnet.vision import FAST, PAPER, Recipe, build
from mgnet.vision.batches import Normaliser, make_batches
from mgnet.vision.images import Dataset, Images
from mgnet.vision.training import losses

ALONE = Process(0, 1, torch.device("cpu"))
OUT = Path("benchmarks/results/first_steps.json")


@dataclass(frozen=True)
class Entry:
    """A network, and the images it is made for; deep ones take few at a time, of memory or of time."""

    model: str
    image_size: int = 32
    batch_size: int = 128


ENTRIES = (
    Entry("MgNet[2,2,2,2]-64-B^l"),
    Entry("alexnet"),
    Entry("vgg19"),
    Entry("resnet18"),
    Entry("resnet20"),
    Entry("preact_resnet1001", batch_size=32),
    Entry("wide_resnet28_10", batch_size=32),
    Entry("preact_resnet200", 224, 4),
    Entry("wide_resnet50_2", 224, 4),
)
RECIPES: dict[str, Recipe] = {"fast": FAST, "fast, plain": FAST, "paper": PAPER}


@dataclass(frozen=True)
class Row:
    """Seconds of a step, and the losses of the first steps."""

    model: str
    recipe: str
    precision: str
    batch_size: int
    forward_and_backward: float
    optimizer: float
    losses: list[float]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("networks", nargs="*", choices=[[], *(entry.model for entry in ENTRIES)], metavar="NETWORK")
    arguments.add_argument("--batch-size", type=int)
    arguments.add_argument("--steps", type=int, default=10)
    arguments.add_argument("--out", type=Path, default=OUT)
    given = arguments.parse_args()
    rows = []
    given.out.parent.mkdir(parents=True, exist_ok=True)
    for entry in ENTRIES:
        if entry.model in (given.networks or [entry.model]):
            entry = replace(entry, batch_size=given.batch_size or entry.batch_size)
            for name in RECIPES:
                rows.append(measure(entry, name, given.steps))
                print(*cells(asdict(rows[-1])), sep=", ", flush=True)
                result = {"steps": given.steps, "rows": [asdict(row) for row in rows], "environment": environment()}
                given.out.write_text(json.dumps(result, indent=1) + "\n")


def without_half(name: str) -> AbstractContextManager:
    """As on a processor without bfloat16, where that is asked."""
    return patch.object(torch.cpu, "get_capabilities", return_value={}) if name == "fast, plain" else nullcontext()


def measure(entry: Entry, name: str, steps: int = 10) -> Row:
    with without_half(name):
        precision = resolve_precision(RECIPES[name].precision, ALONE.device)
        recipe = replace(RECIPES[name], batch_size=entry.batch_size, precision=precision)
        learner, batches = prepared(entry, recipe)
    timed = Timed(learner.optimizer.step)
    learner.optimizer.step = timed  # type: ignore[method-assign]
    kernels = [p for p in learner.model.parameters() if p.ndim == 4]
    before = [K.detach().clone() for K in kernels]
    whole, found = [], []
    for step, parts in enumerate(batches.stream(0, steps)):
        start = time.perf_counter()
        loss, *_, count = learner.update(step, parts).tolist()
        whole.append(time.perf_counter() - start)
        found.append(loss / count)
    assert all(map(math.isfinite, found)), (entry, name, found)
    still = sum(torch.equal(K, old) for K, old in zip(kernels, before, strict=True))
    assert still <= 1, f"{still} kernels of {entry.model} have not moved"  # MgNet's last A has no part in the output
    rest = median(all_of_it - own for all_of_it, own in list(zip(whole, timed.seconds, strict=True))[1:] or [(0, 0)])
    return Row(entry.model, name, precision, entry.batch_size, rest, median(timed.seconds[1:] or [0.0]), found)


def prepared(entry: Entry, recipe: Recipe):  # type: ignore[no-untyped-def]
    """A learner, and its batches of noise."""
    count, size = max(2 * entry.batch_size, 16), (entry.image_size, entry.image_size)
    pixels = torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    made = Images(pixels, torch.arange(count) % 10)
    data = Dataset("noise", made, made, tuple("0123456789"), size)
    batches = make_batches(data, recipe, 0, Normaliser([0.5] * 3, [0.25] * 3, ALONE.device), ALONE)
    torch.manual_seed(0)
    network = build(entry.model, 3, 10, entry.image_size)
    smoothed = partial(losses, label_smoothing=recipe.label_smoothing)
    return Learner(network, smoothed, recipe, 0, batches.sampler.steps_per_epoch, ALONE), batches


class Timed:
    """A function, and how long each of its calls took."""

    def __init__(self, function):  # type: ignore[no-untyped-def]
        self.function, self.seconds = function, list[float]()

    def __call__(self) -> None:
        start = time.perf_counter()
        self.function()
        self.seconds.append(time.perf_counter() - start)


HEAD = ("network", "recipe", "arithmetic", "images", "forward and backward, s", "optimizer, s", "share")


def table(result: dict) -> str:
    """Markdown."""
    machine = result["environment"]
    return "\n".join(
        [
            "### First steps on a CPU",
            "",
            f"Seconds of a step, medians of the first {result['steps']} but one; {machine['threads']} threads of "
            f"{machine['processor']}; `python -m benchmarks.first_steps`. *Plain*: as on a processor without bfloat16. "
            "Share: the optimizer's of the step.",
            "",
            *tables.table(HEAD, map(cells, result["rows"])),
        ]
    )


def cells(row: dict) -> list[str]:
    parts: Sequence[float] = (row["forward_and_backward"], row["optimizer"])
    told = [row["model"], row["recipe"], row["precision"], str(row["batch_size"]), *(f"{s:.3f}" for s in parts)]
    return [*told, f"{parts[1] / max(sum(parts), 1e-9):.0%}"]


if __name__ == "__main__":
    main()
