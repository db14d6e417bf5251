"""The accuracies that the documentation quotes, each by the run that gave it.

    python -m benchmarks.classifiers NAME [--data data] [--runs runs]

trains (or, where the run was interrupted or is finished, continues or reads it), then copies its small
files to benchmarks/results/NAME: configuration, environment, history, the metrics of the one look at
the test set, and the plots. NAME is an entry of ENTRIES; those called cifar10-... need a GPU.
"""

import argparse
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch

from mgnet.vision import FAST, Recipe, sweep

RESULTS = Path(__file__).parent / "results"
FILES = ("config.json", "environment.json", "history.csv", "metrics.json", "plots")


@dataclass(frozen=True)
class Entry:
    """A row of the table; `floor` is what the mean test accuracy must reach."""

    dataset: str
    model: str
    recipe: Recipe
    seeds: tuple[int, ...]
    floor: float


#: For the published table's CIFAR networks, on one GPU; nothing is held out, and nothing chosen on the test set.
WIDE = replace(FAST, epochs=100, batch_size=512, small=0.3, compile=True, validation=0.0)

ENTRIES = {
    "digits": Entry("digits", "MgNet[2,2,2,2]-32-B^l", FAST, (0, 1, 2), 0.985),
    "fashion-mnist": Entry(
        "fashion-mnist",
        "MgNet[2,2,2,2]-[16,32,64,128]-B^l",
        Recipe(epochs=12, flip="alternating", compile=True, validation=0.05),
        (0,),
        0.93,
    ),
    "cifar10": Entry(
        "cifar10",
        "MgNet[2,2,2,2]-[32,64,128,256]-B^l",
        replace(FAST, epochs=14, small=0.5, validation=0.04),
        (0,),
        0.90,
    ),
    "alexnet": Entry("cifar10", "alexnet", replace(FAST, epochs=20, validation=0.0), (0,), 0.75),
    "cifar10-256": Entry("cifar10", "MgNet[2,2,2,2]-256-B^l", WIDE, (0, 1, 2), 0.96),
    "cifar10-256-cutout": Entry("cifar10", "MgNet[2,2,2,2]-256-B^l", replace(WIDE, cutout=0.5), (0,), 0.965),
    "cifar10-256-own": Entry("cifar10", "MgNet[2,2,2,2]-256-B^{l,i}", WIDE, (0,), 0.96),
    "cifar10-512": Entry("cifar10", "MgNet[2,2,2,2]-512-B^l", WIDE, (0,), 0.96),
    "cifar10-resnet18": Entry("cifar10", "resnet18", WIDE, (0,), 0.95),
    "cifar10-wide_resnet28_10": Entry("cifar10", "wide_resnet28_10", WIDE, (0,), 0.955),
}


def parser(description: str) -> argparse.ArgumentParser:
    """For an entry's name, the data and the runs."""
    arguments = argparse.ArgumentParser(description=description.splitlines()[0])
    arguments.add_argument("name", choices=ENTRIES)
    arguments.add_argument("--data", type=Path, default=Path("data"))
    arguments.add_argument("--runs", type=Path, default=Path("runs"))
    return arguments


def main() -> None:
    arguments = parser(__doc__)
    given = arguments.parse_args()
    if given.name.startswith("cifar10-") and not torch.accelerator.is_available():
        arguments.error(f"`{given.name}` needs a GPU, and there is none: on a CPU it would take days. Take cifar10.")
    entry, folder = ENTRIES[given.name], given.runs / given.name
    for k in range(len(entry.seeds)):  # what is done is collected before the next seed begins
        seeds = entry.seeds[: k + 1]
        swept = sweep(entry.model, entry.dataset, given.data, seeds=seeds, out=folder, recipe=entry.recipe, resume=True)
        collect(folder, RESULTS / given.name)
        if torch.cuda.is_available():
            rate = json.dumps({"device": torch.cuda.get_device_name(), "flops": matrix_product()}, indent=1)
            (RESULTS / given.name / "rate.json").write_text(rate + "\n")
    print(swept)
    assert swept.mean >= entry.floor, f"{swept.mean:.2%} is below {entry.floor:.2%}"


def collect(folder: Path, results: Path) -> None:
    """Copy the small files of each seed's run."""
    shutil.rmtree(results, ignore_errors=True)
    for run in sorted(folder.glob("seed*/")):
        for name in FILES:
            copy = shutil.copytree if (run / name).is_dir() else shutil.copy
            (results / run.name).mkdir(parents=True, exist_ok=True)
            copy(run / name, results / run.name / name)
    shutil.copy(folder / "seeds.csv", results)


def matrix_product(n: int = 8192, repeats: int = 20) -> float:
    """Operations a second of a bfloat16 n x n matrix product on the GPU: what a training's rate is a share of."""
    A, B = torch.randn((2, n, n), device="cuda", dtype=torch.bfloat16)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    times = []
    for _ in range(repeats):
        begin.record()
        A @ B
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return 2 * n**3 / median(times)


if __name__ == "__main__":
    main()
