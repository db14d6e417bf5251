"""One training with several seeds: a mean and a spread instead of a lucky number."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mgnet.operators.recipe import FAST, Recipe
from mgnet.operators.runs import Run
from mgnet.operators.samples import Samples
from mgnet.operators.training import train
from mgnet.operators.weights import Make
from mgnet.training.seeds import Scores, train_each


@dataclass(frozen=True)
class Sweep:
    """Runs that differ in the seed alone, and the scores of their test errors.

    Attributes
    ----------
    runs : one a seed
    scores : their test errors, with mean and spread
    """

    runs: tuple[Run, ...]
    scores: Scores

    def __str__(self) -> str:
        return str(self.scores)


def sweep(
    data: Samples | str | Path,
    test: Samples | str | Path | None = None,
    epochs: int | None = None,
    seeds: Iterable[int] = (0, 1, 2),
    out: str | Path = "runs/operators",
    *,
    model: Make | None = None,
    recipe: Recipe = FAST,
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
    data, test, epochs, model, recipe, resume, device, checkpoint_every, tensorboard, progress : as for `train`

    Returns
    -------
    The runs and their scores

    Raises
    ------
    ValueError, TypeError, FileExistsError : none, one twice, or no whole number; `out` has scores, and no resume

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> from mgnet.operators import poisson
    >>> data = poisson(40, 16, ndim=1)
    >>> swept = sweep(data, epochs=1, seeds=(0, 1), out=mkdtemp(), progress=False)
    >>> swept.scores.mean == sum(run.error for run in swept.runs) / 2
    True
    """
    each = partial(
        train, data, test, epochs, model=model, recipe=recipe, device=device,
        checkpoint_every=checkpoint_every, tensorboard=tensorboard, progress=progress,
    )  # fmt: skip
    return Sweep(*train_each(each, seeds, out, "test error", lambda run: run.error, resume))
