"""Pictures of any run: its learning curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

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
        axes.set_yscale("linear" if what == "accuracy" else "log")
        axes.grid(alpha=0.3, which="both")
        axes.legend()
    return save(figure, path)


def save(figure: Figure, path: str | Path) -> Path:
    """Written whole or not at all."""
    path = Path(path)
    write(path, lambda temporary: figure.savefig(temporary, dpi=120, format=path.suffix[1:] or "png"))
    return path
