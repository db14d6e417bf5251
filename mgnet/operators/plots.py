"""Pictures of what was learned."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from mgnet.operators.batches import tensors_of
from mgnet.operators.norms import relative_l2, spectrum
from mgnet.operators.samples import Samples
from mgnet.training.plots import curves, save
from mgnet.training.runs import Row

__all__ = ["error_spectrum", "learning_curves", "sample"]
_SHOWN = 16  # samples at most


def __dir__() -> list[str]:
    return sorted(__all__)


def learning_curves(history: Sequence[Row], path: str | Path) -> Path:
    """Loss and error of training and validation against the epoch.

    Parameters
    ----------
    history : as in Run.history
    path : .png, .pdf or .svg

    Returns
    -------
    The path

    Raises
    ------
    ValueError : a suffix that matplotlib does not write
    """
    return curves(history, path, "error")


def sample(model: nn.Module, samples: Samples, path: str | Path) -> Path:
    """Input, truth, prediction (in the truth's colours) and error of the sample whose error is in the middle; of a box,
    its middle plane.

    Parameters
    ----------
    model : a trained one
    samples : of which the first 16 are looked at
    path : .png, .pdf or .svg

    Returns
    -------
    The path

    Raises
    ------
    ValueError : a suffix that matplotlib does not write
    """
    x, u, v = _tried(model, samples)
    errors = relative_l2(v, u)
    i = int(errors.argsort()[len(errors) // 2])
    figure = Figure(figsize=(14, 3.2), layout="constrained")
    rows = ("input", x[i, 0]), ("truth", u[i, 0]), ("prediction", v[i, 0]), (f"error, {errors[i]:.2%}", (v - u)[i, 0])
    for axes, (title, values) in zip(figure.subplots(1, 4), rows, strict=True):
        ends = (u[i, 0].min().item(), u[i, 0].max().item()) if title == "prediction" else (None, None)
        drawn = _draw(axes, values.cpu().numpy(), *ends)
        axes.set(title=title)
        if drawn is not None:
            figure.colorbar(drawn, ax=axes)
    return save(figure, path)


def error_spectrum(model: nn.Module, samples: Samples, path: str | Path) -> Path:
    """The truth's and the error's mean square, frequency by frequency: what of a function was learned.

    Parameters
    ----------
    model : a trained one
    samples : of which the first 16 are looked at
    path : .png, .pdf or .svg

    Returns
    -------
    The path

    Raises
    ------
    ValueError : a suffix that matplotlib does not write
    """
    _, u, v = _tried(model, samples)
    figure = Figure(figsize=(4.8, 3.4), layout="constrained")
    axes = figure.subplots()
    for name, power in (("truth", spectrum(u)), ("error", spectrum(v - u))):
        k = np.flatnonzero(power.cpu().numpy() > 0)
        k = k[k <= max(samples.grid) // 2]
        axes.loglog(1 + k, power.cpu().numpy()[k], ".-", label=name, markersize=3)
    axes.set(xlabel="1 + |k|", ylabel="mean square", title="what is left, by frequency")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    return save(figure, path)


def _tried(model: nn.Module, samples: Samples) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, truths, predictions of the first samples."""
    place = next(model.parameters()).device
    x, u = tensors_of(samples[:_SHOWN], place)
    with torch.no_grad():
        return x, u, model(x)


def _draw(axes: Any, values: np.ndarray, low: float | None, high: float | None) -> Any:
    """A line, a picture, or the middle plane; its colours are from low to high."""
    if values.ndim == 1:
        axes.plot((np.arange(len(values)) + 0.5) / len(values), values)
        return None
    if values.ndim == 3:
        values = values[..., values.shape[-1] // 2]
    axes.set(xticks=[], yticks=[])
    return axes.imshow(values.T, origin="lower", vmin=low, vmax=high)
