"""One training with several seeds: a mean and a spread instead of a lucky number."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import TypeVar

from mgnet.files import write_rows
from mgnet.training.checks import as_path, whole

Run = TypeVar("Run")
SCORES = "seeds.csv"


@dataclass(frozen=True)
class Scores:
    """One share a seed, a test accuracy or error, say.

    Example
    -------
    >>> print(Scores("test accuracy", (0, 1), (0.5, 0.7)))
    test accuracy 60.00% +- 14.14% over 2 seeds (50.00%, 70.00%)
    """

    what: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return mean(self.values)

    @property
    def std(self) -> float:
        """Sample standard deviation; NaN for one run."""
        return stdev(self.values) if len(self.values) > 1 else float("nan")

    def __str__(self) -> str:
        each = ", ".join(f"{value:.2%}" for value in self.values)
        spread = f" +- {self.std:.2%}" if len(self.values) > 1 else ""
        return f"{self.what} {self.mean:.2%}{spread} over {len(self.values)} seeds ({each})"

    def save(self, path: Path) -> None:
        """CSV: a line a seed, then mean and standard deviation."""
        head, each = ["seed", self.what.replace(" ", "_")], zip(self.seeds, self.values, strict=True)
        write_rows(path, [head, *each, ["mean", self.mean], ["std", self.std]])


def numbers(seeds: Iterable[int]) -> tuple[int, ...]:
    """The seeds of a sweep, all looked at before the first is trained with.

    Raises
    ------
    ValueError, TypeError : none, or one twice; not whole numbers

    Example
    -------
    >>> numbers(range(3))
    (0, 1, 2)
    """
    if not isinstance(seeds, Iterable) or isinstance(seeds, str):
        raise TypeError(f"`seeds` must be whole numbers, as (0, 1, 2); it is {seeds!r:.80}.")
    each = tuple(whole("seeds", seed) for seed in seeds)
    if not each or len(set(each)) < len(each):
        raise ValueError(f"`seeds` must be different numbers, at least one; they are {list(each)}.")
    return each


def train_each(
    train: Callable[..., Run],
    seeds: Iterable[int],
    out: str | Path,
    what: str,
    score: Callable[[Run], float],
    resume: bool,
) -> tuple[tuple[Run, ...], Scores]:
    """train(seed=, out=, resume=) once for each seed, in a folder of its own; their scores are written in `out`.

    Raises
    ------
    FileExistsError : `out` has scores, and no `resume`
    ValueError, TypeError : as ``numbers``
    """
    swept, folder = numbers(seeds), as_path("out", out)
    if not resume and (folder / SCORES).exists():
        raise FileExistsError(
            f"`out` must be a folder without {SCORES}, which would be lost; {folder} has one. Pass resume, or another."
        )
    runs = tuple(train(seed=seed, out=folder / f"seed{seed}", resume=resume) for seed in swept)
    scores = Scores(what, swept, tuple(map(score, runs)))
    scores.save(folder / SCORES)
    return runs, scores
