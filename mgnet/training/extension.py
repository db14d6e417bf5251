"""More epochs for a run that was begun with fewer.

Up to the checkpoint that it is resumed from it is the run that it was; from there on each step is the one that a run
begun with more epochs would take from these weights: the schedule is theirs. Where that does not ask how many epochs
there are, as with schedule="step", the run is bit for bit the one that was begun with more.
"""

import dataclasses
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mgnet.files import unwritable
from mgnet.training.recipe import Steps
from mgnet.training.runs import read_config, write_json

_ENDS = ("metrics.json", "model.safetensors")


def extend(out: Path, recipe: Steps, step: int, per_epoch: int) -> None:
    """Note it where the recipe has more epochs than the run in `out` had until this step, and say what the rate does.

    config.json then has them, and under "extended" for each number of epochs before up to which step they were meant.
    What the earlier end has left, weights and the metrics of the test set, is kept under names with its epochs.

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> out = Path(mkdtemp())
    >>> write_json(out / "config.json", {"epochs": 2})
    >>> extend(out, Steps(epochs=5, schedule="step"), step=40, per_epoch=20)
    >>> read_config(out / "config.json")
    {'epochs': 5, 'extended': [[2, 40]]}
    """
    config = read_config(out / "config.json")
    noted, earlier = config.get("extended", []), config["epochs"]
    more = recipe.epochs > earlier
    now = [[epochs, min(last, step)] for epochs, last in [*noted, *([[earlier, step]] if more else [])] if step > 0]
    if more:
        for path in (out / name for name in _ENDS):
            if path.exists():
                _rename(path, path.with_stem(f"{path.stem}-{earlier}-epochs"))
        _tell(dataclasses.replace(recipe, epochs=earlier), recipe, step / per_epoch)
    if more or now != noted:
        write_json(out / "config.json", config | {"epochs": recipe.epochs, "extended": now})


def _rename(path: Path, to: Path) -> None:
    try:
        path.replace(to)
    except OSError as error:
        raise unwritable(to, error) from None


def _tell(before: Steps, recipe: Steps, t: float) -> None:
    """What the learning rate was at a time in epochs, and is."""
    was, rate = before.learning_rate(t), recipe.learning_rate(t)
    if rate != was:
        warnings.warn(
            f"from epoch {t:g} on the schedule is that of {recipe.epochs} epochs: the learning rate is {rate:.3g} "
            f"there, where it was {was:.3g} with {before.epochs}; `extended` in config.json says so.",
            stacklevel=6,
        )


def looks(out: Path) -> str:
    """When the test set was looked at.

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> out = Path(mkdtemp())
    >>> looks(out)
    'measured once after the last epoch'
    >>> write_json(out / "metrics-2-epochs.json", {})
    >>> looks(out)
    'measured after the last epoch, and before that after 2 epochs'
    """
    earlier = sorted(int(path.stem.split("-")[1]) for path in out.glob("metrics-*-epochs.json"))
    before = ", and before that after " + " and ".join(map(str, earlier)) + " epochs" if earlier else ""
    return f"measured {'' if earlier else 'once '}after the last epoch{before}"


def extensions(config: Mapping[str, Any]) -> str:
    """Comments below the call that repeats a run: where it got more epochs.

    Example
    -------
    >>> print("train()" + extensions({"epochs": 5, "extended": [[2, 40]]}))
    train()
    # begun with epochs=2, and from step 40 on resumed with more
    """
    noted = config.get("extended", [])
    return "".join(f"\n# begun with epochs={e}, and from step {s} on resumed with more" for e, s in noted)
