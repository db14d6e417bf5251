"""What the training of a classifier gives back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from mgnet.training.runs import Row
from mgnet.vision.metrics import Metrics


@dataclass(frozen=True, repr=False)
class Run:
    """A finished training.

    Attributes
    ----------
    model : the network of the last epoch (averaged where the recipe says so), in evaluation mode
    history : a row an epoch, as in history.csv
    accuracy : on the test set, which was looked at once, after the last epoch
    directory : the run's folder
    metrics : all that was measured on the test set
    """

    model: nn.Module
    history: list[Row]
    accuracy: float
    directory: Path
    metrics: Metrics

    def __repr__(self) -> str:
        epochs = f"{len(self.history)} epoch{'s' * (len(self.history) != 1)}"
        return f"Run({type(self.model).__name__}: test accuracy {self.accuracy:.2%} after {epochs}; {self.directory})"


def metrics_of(read: dict[str, Any]) -> Metrics:
    """Of what metrics.json says."""
    return Metrics(**{**read, "confusion": tuple(tuple(row) for row in read["confusion"])})
