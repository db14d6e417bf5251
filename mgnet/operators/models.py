"""The ways of saying a trained operator."""

import copy
from pathlib import Path

from torch import nn

from mgnet.operators.normalise import Normalised
from mgnet.operators.runs import Run
from mgnet.operators.transfers import OnGrid
from mgnet.operators.weights import Card, Make, load_weights, read_weights
from mgnet.training.checkpoints import newest_weights, weights_of
from mgnet.training.checks import word

Source = str | Path | Run | Make
GRIDS = ("trained", "data")


def asked_on(grid: str, model: Source, start: str | Path | None = None) -> tuple[nn.Module, Card]:
    """A trained operator that works on the grid it was trained on, or on that of the data; and its card.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError : another word for `grid`; as `trained`
    """
    word("grid", grid, GRIDS)
    network, card = trained(model, start)
    return (OnGrid(network, card.grid).eval() if grid == "trained" else network), card


def trained(model: Source, start: str | Path | None = None) -> tuple[Normalised, Card]:
    """A trained operator, in evaluation mode, and its card.

    Parameters
    ----------
    model : a Run, a run's folder, a .safetensors file; or what makes one's own network, with its checkpoint `start`

    Raises
    ------
    FileNotFoundError, ValueError, TypeError : no checkpoint, a damaged one, one of another architecture
    """
    if isinstance(model, Run):
        return copy.deepcopy(model.model).eval(), read_weights(newest_weights(model.directory))[1]  # type: ignore[return-value]
    if not (callable(model) or isinstance(model, str | Path)):
        raise TypeError(
            f"`model` must be a run, its folder, a .safetensors file, or what makes a network; it is a "
            f"{type(model).__name__}."
        )
    return load_weights(weights_of(model, start), None if isinstance(model, str | Path) else model)
