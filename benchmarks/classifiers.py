"""The accuracies that the documentation quotes, each by the run that gave it.

    python benchmarks/classifiers.py digits|fashion-mnist|cifar10 [--data data] [--runs runs]

trains (or, where the run was interrupted or is finished, continues or reads it), then copies its small
files to benchmarks/results/NAME: configuration, environment, history, the metrics of the one look at
the test set, and the plots.
"""

import argparse
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from mgnet.vision import FAST, Recipe, sweep

RESULTS = Path(__file__).parent / "results"
FILES = ("config.json", "environment.json", "history.csv", "metrics.json", "plots")


@dataclass(frozen=True)
class Entry:
    """A row of the table; `floor` is what the mean test accuracy must reach."""

    model: str
    recipe: Recipe
    seeds: tuple[int, ...]
    floor: float


ENTRIES = {
    "digits": Entry("MgNet[2,2,2,2]-32-B^l", FAST, (0, 1, 2), 0.985),
    "fashion-mnist": Entry(
        "MgNet[2,2,2,2]-[16,32,64,128]-B^l",
        Recipe(epochs=12, flip="alternating", compile=True, validation=0.05),
        (0,),
        0.93,
    ),
    "cifar10": Entry(
        "MgNet[2,2,2,2]-[32,64,128,256]-B^l",
        replace(FAST, epochs=14, small=0.5, validation=0.04),
        (0,),
        0.90,
    ),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("name", choices=ENTRIES)
    arguments.add_argument("--data", type=Path, default=Path("data"))
    arguments.add_argument("--runs", type=Path, default=Path("runs"))
    given = arguments.parse_args()
    entry, folder = ENTRIES[given.name], given.runs / given.name
    swept = sweep(entry.seeds, entry.model, given.name, given.data, out=folder, recipe=entry.recipe, resume=True)
    print(swept)
    collect(folder, RESULTS / given.name)
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


if __name__ == "__main__":
    main()
