"""Operators for other programs: ONNX and torch.export."""

from pathlib import Path

import torch
from torch import Tensor

from mgnet.operators.models import Source, trained
from mgnet.training.exporting import check_path, write_program
from mgnet.training.placement import placed


@placed
def export(
    model: Source, path: str | Path, *, grid: tuple[int, ...] | None = None, start: str | Path | None = None
) -> Path:
    """Write a trained operator, with its normalisation, for use without mgnet.

    The exported program takes float32 inputs (N, channels, *grid) in their own units, any N, and gives the outputs in
    theirs. What was written is read back and must agree with the network to 1e-4.

    Parameters
    ----------
    model, start : as for `evaluate`
    path : .onnx for ONNX (needs the extra `export`), .pt2 for torch.export
    grid : points along each axis, on which the network itself works; default: those it was trained on

    Returns
    -------
    The path

    Raises
    ------
    ValueError : another suffix, a damaged checkpoint, or a grid that the network does not take
    FloatingPointError : what is read back gives other outputs, or none that are finite
    ModuleNotFoundError : onnx, onnxscript or onnxruntime is not installed

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> from mgnet.operators import poisson, train
    >>> data, out = poisson(40, 16, ndim=1), mkdtemp() + "/run"
    >>> run = train(data, epochs=1, out=out, progress=False)
    >>> path = export(run.directory, run.directory / "model.pt2")
    >>> program = torch.export.load(path).module()
    >>> program(torch.zeros(3, 1, 16)).shape
    torch.Size([3, 1, 16])
    """
    path = check_path(path)
    network, card = trained(model, start)
    points = card.grid if grid is None else tuple(grid)
    if len(points) != len(card.grid):
        raise ValueError(f"`grid` must have {len(card.grid)} axes; it is {points}.")
    mean, std = network.mean_x.mean(), network.std_x.mean()

    def example(n: int) -> Tensor:
        noise = torch.randn(n, card.channels[0], *points, generator=torch.Generator().manual_seed(0))
        return mean + std * noise

    return write_program(network, example, path, ("inputs", "outputs"))
