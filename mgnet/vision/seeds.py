"""One training with several seeds: a mean and a spread instead of a lucky number."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from mgnet.vision.files import write
from mgnet.vision.recipe import FAST, Recipe
from mgnet.vision.runs import Run
from mgnet.vision.training import train


@dataclass(frozen=True)
class Sweep:
    """Runs that differ in the seed alone."""

    seeds: tuple[int, ...]
    runs: tuple[Run, ...]

    @property
    def accuracies(self) -> list[float]:
        return [run.accuracy for run in self.runs]

    @property
    def mean(self) -> float:
        return mean(self.accuracies)

    @property
    def std(self) -> float:
        """Sample standard deviation; NaN for one run."""
        return stdev(self.accuracies) if len(self.runs) > 1 else float("nan")

    def __str__(self) -> str:
        each = ", ".join(f"{a:.2%}" for a in self.accuracies)
        spread = f" +- {self.std:.2%}" if len(self.runs) > 1 else ""
        return f"test accuracy {self.mean:.2%}{spread} over {len(self.runs)} seeds ({each})"


def sweep(
    seeds: Sequence[int] = (0, 1, 2),
    model: str = "MgNet[2,2,2,2]-32-B^l",
    dataset: str = "digits",
    data: str | Path = "data",
    epochs: int | None = None,
    out: str | Path = "runs/sweep",
    *,
    recipe: Recipe = FAST,
    image_size: int | None = None,
    resume: bool = False,
    device: str | None = None,
    checkpoint_every: int | None = None,
    tensorboard: bool = False,
    progress: bool = True,
) -> Sweep:
    """Train once for each seed, each in a folder of its own; writes seeds.csv in `out`.

    Parameters
    ----------
    seeds : different whole numbers; the rest as for `train`

    Raises
    ------
    ValueError : no seed, or one twice

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> swept = sweep((0, 1), "MgNet[1]-4-B^l", epochs=1, out=mkdtemp(), progress=False)
    >>> swept.seeds, swept.mean == sum(swept.accuracies) / 2
    ((0, 1), True)
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"`seeds` must be different numbers, at least one; they are {list(seeds)}.")
    folder = Path(out)
    runs = tuple(
        train(
            model, dataset, data, epochs, seed, folder / f"seed{seed}",
            recipe=recipe, image_size=image_size, resume=resume, device=device,
            checkpoint_every=checkpoint_every, tensorboard=tensorboard, progress=progress,
        )
        for seed in seeds
    )  # fmt: skip
    result = Sweep(tuple(seeds), runs)
    write(folder / "seeds.csv", lambda temporary: _write(temporary, result))
    return result


def _write(path: Path, result: Sweep) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["seed", "test_accuracy"])
        writer.writerows(zip(result.seeds, result.accuracies, strict=True))
        writer.writerow(["mean", result.mean])
        writer.writerow(["std", result.std])
