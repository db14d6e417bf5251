"""Pictures of any run: its learning curves."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from mgnet.files import write


def curves(history: Sequence[Mapping[str, float]], path: str | Path, *shares: str) -> Path:
    """The loss and some shares against the epoch.

    Parameters
    ----------
    history : rows with epoch, train_NAME and validation_NAME, NAME being loss or one of the shares
    path : .png, .pdf or .svg
    shares : an accuracy or a relative error, in per cent; errors have a logarithmic axis, as the loss

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> row = dict(epoch=1, train_loss=1, validation_loss=1, train_error=0.5, validation_error=0.4)
    >>> curves([row], mkdtemp() + "/curves.png", "error").name
    'curves.png'
    """
    figure = Figure(figsize=(4.5 * (1 + len(shares)), 3.4), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axes, what in zip(figure.subplots(1, 1 + len(shares), squeeze=False)[0], ("loss", *shares), strict=True):
        scale = 100 if what in shares else 1
        for split, style in (("train", "C0"), ("validation", "C1")):
            values = [scale * row[f"{split}_{what}"] for row in history]
            if values[-1] != values[-1]:
                continue  # not measured: no sample is held out
            axes.plot(epochs, values, f"{style}.-", label=f"{split}, last {values[-1]:.3g}", markersize=3)
        axes.set(xlabel="epoch", title=what + (" in %" if what in shares else ""))
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if what != "accuracy":
            _logarithmic(axes)
        axes.grid(alpha=0.3, which="both")
        axes.legend()
    return save(figure, path)


def _logarithmic(axes: Axes) -> None:
    """Numbers as they are written, also between two powers of ten where the axis has no two."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}" if high < 10 * low else NullFormatter())


def save(figure: Figure, path: str | Path) -> Path:
    """Written whole or not at all; a letter that matplotlib's font has not is a box."""
    path = Path(path)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")
        write(path, lambda temporary: figure.savefig(temporary, dpi=120, format=path.suffix[1:] or "png"))
    return path
