"""What the training of an operator gives back."""

from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

from torch import nn

from mgnet.operators.metrics import Metrics
from mgnet.operators.normalise import Normalised
from mgnet.training.runs import Row


@dataclass(frozen=True, repr=False)
class Run:
    """A finished training.

    Attributes
    ----------
    model : the network of the last epoch (averaged where the recipe says so), in evaluation mode; it takes and gives
        functions in their own units
    history : a row an epoch, as in history.csv
    error : mean relative L2 error of the test samples, which were looked at once, after the last epoch
    directory : the run's folder
    metrics : all that was measured on the test samples
    """

    model: nn.Module
    history: list[Row]
    error: float
    directory: Path
    metrics: Metrics

    def __repr__(self) -> str:
        epochs = f"{len(self.history)} epoch{'s' * (len(self.history) != 1)}"
        network = self.model.network if isinstance(self.model, Normalised) else self.model
        return f"Run({type(network).__name__}: test error {self.error:.3%} after {epochs}; {self.directory})"


def metrics_of(read: dict[str, Any]) -> Metrics:
    """Of what metrics.json says."""
    fields: dict[str, Any] = {name: nan if v is None else v for name, v in read.items()}
    return Metrics(**{**fields, "grid": tuple(fields["grid"])})
