"""One training with several seeds: a mean and a spread instead of a lucky number."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mgnet.training.seeds import Scores, train_each
from mgnet.vision.finetune import Start
from mgnet.vision.models import Model
from mgnet.vision.pictures import Fit
from mgnet.vision.recipe import FAST, Recipe
from mgnet.vision.runs import Run
from mgnet.vision.training import train

WHAT = "test accuracy"


@dataclass(frozen=True)
class Sweep:
    """Runs that differ in the seed alone.

    Attributes
    ----------
    seeds, runs : one of each
    """

    seeds: tuple[int, ...]
    runs: tuple[Run, ...]

    @property
    def accuracies(self) -> list[float]:
        """Of the runs, on the test set."""
        return [run.accuracy for run in self.runs]

    @property
    def scores(self) -> Scores:
        return Scores(WHAT, self.seeds, tuple(self.accuracies))

    @property
    def mean(self) -> float:
        """Of the accuracies."""
        return self.scores.mean

    @property
    def std(self) -> float:
        """Sample standard deviation; NaN for one run."""
        return self.scores.std

    def __str__(self) -> str:
        return str(self.scores)


def sweep(
    model: Model = "MgNet[2,2,2,2]-32-B^l",
    dataset: Any = "digits",
    data: str | Path = "data",
    epochs: int | None = None,
    seeds: Iterable[int] = (0, 1, 2),
    out: str | Path = "runs/sweep",
    *,
    recipe: Recipe = FAST,
    image_size: int | tuple[int, int] | None = None,
    fit: Fit = "crop",
    start: Start | None = None,
    freeze: int | Sequence[str] = 0,
    workers: int | None = None,
    resume: bool = False,
    device: str | None = None,
    checkpoint_every: int | None = None,
    tensorboard: bool = False,
    progress: bool = True,
) -> Sweep:
    """Train once for each seed, each in a folder of its own; writes seeds.csv in `out`.

    Parameters
    ----------
    seeds : different whole numbers
    out : the folder of the runs' folders
    model, dataset, data, epochs, recipe, image_size, fit, start, freeze, workers : as for `train`
    resume, device, checkpoint_every, tensorboard, progress : as for `train`

    Returns
    -------
    The runs, their mean and their spread

    Raises
    ------
    ValueError, TypeError, FileExistsError : none, one twice, or no whole number; `out` has scores, and no resume

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> quick = dict(epochs=1, out=mkdtemp(), progress=False)
    >>> swept = sweep("MgNet[1]-4-B^l", seeds=(0, 1), **quick)
    >>> swept.seeds, swept.mean == sum(swept.accuracies) / 2
    ((0, 1), True)
    """
    each = partial(
        train, model, dataset, data, epochs,
        recipe=recipe, image_size=image_size, fit=fit, start=start, freeze=freeze, workers=workers, device=device,
        checkpoint_every=checkpoint_every, tensorboard=tensorboard, progress=progress,
    )  # fmt: skip
    runs, scores = train_each(each, seeds, out, WHAT, lambda run: run.accuracy, resume)
    return Sweep(scores.seeds, runs)
