"""Pictures of a run: learning curves, the confusion matrix, and what lives on each grid."""

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from mgnet.training.plots import curves, save
from mgnet.vision.network import MgNet

__all__ = ["confusion_matrix", "feature_maps", "learning_curves"]
_SHOWN = 6  # channels of each feature


def __dir__() -> list[str]:
    return sorted(__all__)


def learning_curves(history: Sequence[dict[str, float]], path: str | Path) -> Path:
    """Loss and accuracy against the epoch.

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

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> row = dict(epoch=1, train_loss=1, validation_loss=1)
    >>> row |= dict(train_accuracy=0.5, validation_accuracy=0.4)
    >>> learning_curves([row], mkdtemp() + "/curves.png").name
    'curves.png'
    """
    return curves(history, path, "accuracy")


def confusion_matrix(confusion: Sequence[Sequence[int]], classes: Sequence[str], path: str | Path) -> Path:
    """Shares of each class (row) taken for each other (column), in per cent.

    Parameters
    ----------
    confusion : counts, as in Metrics.confusion
    classes : their names
    path : .png, .pdf or .svg

    Returns
    -------
    The path

    Raises
    ------
    ValueError : a suffix that matplotlib does not write

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> path = mkdtemp() + "/confusion.png"
    >>> confusion_matrix([[9, 1], [2, 8]], ["cat", "dog"], path).name
    'confusion.png'
    """
    counts = torch.tensor([list(row) for row in confusion], dtype=torch.float64)
    shares = 100 * counts / counts.sum(1, keepdim=True).clamp(min=1)
    n = len(classes)
    side = min(12.0, 3 + 0.45 * n)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=100)
    if n <= 20:
        axes.set_xticks(range(n), classes, rotation=45, ha="right", parse_math=False)  # a name may have a $
        axes.set_yticks(range(n), classes, parse_math=False)
        _write_shares(axes, shares)
    axes.set(xlabel="predicted", ylabel="true class")
    figure.colorbar(image, ax=axes, label="%", shrink=0.8)
    return save(figure, path)


def _write_shares(axes: Axes, shares: Tensor) -> None:
    for i, row in enumerate(shares.tolist()):
        for j, share in enumerate(row):
            if share >= 0.05:
                axes.text(j, i, f"{share:.1f}", ha="center", va="center", size=7, color="w" if share > 50 else "k")


def feature_maps(model: nn.Module, image: Tensor, path: str | Path) -> Path:
    """u, f and the residual f - A(u) after the smoothing of each grid.

    Parameters
    ----------
    model : an MgNet
    image : (C, H, W) or (1, C, H, W), normalised as in training
    path : .png, .pdf or .svg

    Returns
    -------
    The path

    Raises
    ------
    TypeError : a network that is no MgNet has no u and f

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> model, path = MgNet("MgNet[1,1]-8-B^l").eval(), mkdtemp() + "/maps.png"
    >>> feature_maps(model, torch.zeros(3, 8, 8), path).name
    'maps.png'
    """
    if not isinstance(model, MgNet):
        raise TypeError(f"`model` must be an MgNet, whose grids carry u and f; it is a {type(model).__name__}.")
    x = image.detach()[None] if image.ndim == 3 else image.detach()
    with torch.no_grad():
        legs = model.plain_legs(x)
        residuals = [leg.f - level.A(leg.u) for leg, level in zip(legs, model.levels, strict=True)]  # type: ignore[operator]
    features = ([leg.u[0] for leg in legs], [leg.f[0] for leg in legs], [r[0] for r in residuals])
    figure = Figure(figsize=(13, 0.4 + 0.95 * len(legs)), layout="constrained")
    picture, *blocks = figure.subfigures(1, 4, squeeze=False, width_ratios=(1.5, 4, 4, 4))[0]
    _show_image(picture, x[0])
    for block, grids, title in zip(blocks, features, ("$u$", "$f$", "residual $f - A u$"), strict=True):
        block.suptitle(title)
        _show_channels(block, grids)
    return save(figure, path)


def _show_image(figure, x: Tensor) -> None:  # type: ignore[no-untyped-def]
    x = (x - x.amin()) / (x.amax() - x.amin()).clamp(min=1e-6)
    axes = figure.subplots()
    shown = x[:3].permute(1, 2, 0) if len(x) >= 3 else x[0]
    axes.imshow(shown.cpu().numpy(), cmap="gray")
    axes.set_title("image")
    axes.axis("off")


def _show_channels(figure, grids: Sequence[Tensor]) -> None:  # type: ignore[no-untyped-def]
    """A row a grid: its liveliest channels, on one scale."""
    rows = figure.subplots(len(grids), _SHOWN, squeeze=False)
    for l, (feature, row) in enumerate(zip(grids, rows, strict=True)):
        low, high = feature.min().item(), feature.max().item()
        liveliest = feature.flatten(1).std(1, correction=0).argsort(descending=True)
        for axes in row:
            axes.axis("off")
        for axes, channel in zip(row, liveliest.tolist(), strict=False):
            axes.imshow(feature[channel].cpu().numpy(), cmap="magma", vmin=low, vmax=high)
        row[0].set_title(f"grid {l}, {feature.shape[1]}x{feature.shape[2]}", size=8, loc="left")
