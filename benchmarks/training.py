"""Training throughput of MgNet: ours against the algorithm of the published implementation.

    python benchmarks/training.py [--channels 64] [--repeats 7] [--out benchmarks/results/training.json]

published   the equations word for word from u = 0 stored as zeros, float32, NCHW; once an epoch a pass
            over the whole training set for its accuracy, as its training script does
ours        the exact saving, channels_last, bfloat16 where the processor has it; the training accuracy
            comes from the training itself
compiled    ours through torch.compile

All take batches of 128 32x32 images that are in memory, SGD with momentum, and the same number of
threads; ours crops and flips its images in the measured time, the published one gets them for nothing.
The forms are first checked to give the same logits. One step of each is timed in turn, again and
again, so that whatever else the machine does falls on all; the figures are medians and the ratio is
the median of the ratios of neighbours.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional as F

from mgnet.training.learner import Learner
from mgnet.training.precision import resolve_precision
from mgnet.training.process import Process
from mgnet.training.runs import environment
from mgnet.vision import FAST, MgNet, Recipe
from mgnet.vision.batches import Normaliser, make_batches
from mgnet.vision.images import Dataset, Images
from mgnet.vision.training import losses

BATCH = 128
CPU = torch.device("cpu")
Step = Callable[[], object]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--channels", type=int, default=64)
    arguments.add_argument("--repeats", type=int, default=7)
    arguments.add_argument("--out", type=Path, default=Path("benchmarks/results/training.json"))
    given = arguments.parse_args()
    result = measure(f"MgNet[2,2,2,2]-{given.channels}-B^l", given.repeats)
    print(table(result))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")


def measure(notation: str, repeats: int) -> dict:
    """Images a second of each, and the ratios to the published one."""
    difference = check(notation)
    data = images()
    recipe = replace(FAST, optimizer="sgd", precision=resolve_precision("auto", CPU))
    steps = {
        "published": published(notation, data),
        "ours": ours(notation, data, recipe),
        "compiled": ours(notation, data, replace(recipe, compile=True)),
    }
    for step in steps.values():
        step()
        step()
    seconds = [{name: clock(step) for name, step in steps.items()} for _ in range(repeats)]
    return {
        "network": notation,
        "batch": BATCH,
        "precision_of_ours": recipe.precision,
        "largest_difference_of_logits": difference,
        "images_per_second": {name: round(BATCH / median(s[name] for s in seconds), 1) for name in steps},
        "times_published": {name: round(median(s["published"] / s[name] for s in seconds), 2) for name in steps},
        "seconds_per_batch": seconds,
        "environment": environment(),
    }


def check(notation: str) -> float:
    """The largest difference between the logits of the two forms, in float64."""
    model = MgNet(notation).double()
    x = torch.randn(8, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        difference = (model(x) - model.published(x)).abs().max().item()
    assert difference < 1e-10, difference
    return difference


def images() -> Dataset:
    made = Images(torch.randint(0, 256, (8 * BATCH, 3, 32, 32), dtype=torch.uint8), torch.arange(8 * BATCH) % 10)
    return Dataset("noise", made, made, tuple("0123456789"), (32, 32))


def published(notation: str, data: Dataset) -> Step:
    model = MgNet(notation)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    assert isinstance(data.train, Images)
    x, labels = data.train.pixels[:BATCH].float() / 255 - 0.5, data.train.labels[:BATCH]

    def step() -> Tensor:
        """A batch's share of an epoch: it is learnt from, then measured once more."""
        model.train()
        loss = F.cross_entropy(model.published(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            return (model.published(x).argmax(1) == labels).sum()

    return step


def ours(notation: str, data: Dataset, recipe: Recipe) -> Step:
    alone = Process(0, 1, CPU)
    batches = make_batches(data, recipe, 0, Normaliser([0.5] * 3, [0.25] * 3, CPU), alone)
    smoothed = partial(losses, label_smoothing=recipe.label_smoothing)
    learner = Learner(MgNet(notation), smoothed, recipe, 0, batches.sampler.steps_per_epoch, alone)
    stream = batches.stream(0, 10**6)
    numbers = iter(range(10**6))
    return lambda: learner.update(next(numbers), next(stream))


def clock(step: Step) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def table(result: dict) -> str:
    here = result["environment"]
    lines = [
        f"{result['network']}, 32x32 images, batches of {BATCH}, {here['threads']} threads, {here['processor']}",
        f"{'':<12}{'images/s':>10}{'ratio':>8}",
    ]
    for name, rate in result["images_per_second"].items():
        lines.append(f"{name:<12}{rate:>10,.0f}{result['times_published'][name]:>8.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
