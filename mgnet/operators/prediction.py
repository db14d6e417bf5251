"""What a trained operator says of new functions."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from mgnet.operators.batches import at_once, single
from mgnet.operators.models import Source, asked_on
from mgnet.training.placement import asks, placed
from mgnet.training.process import choose_device
from mgnet.training.watch import check_finite


@placed
def predict(
    model: Source,
    inputs: Any,
    *,
    grid: Literal["trained", "data"] = "trained",
    start: str | Path | None = None,
    device: str | None = None,
) -> Any:
    """The operator's outputs.

    Parameters
    ----------
    model, grid, start : as for `evaluate`
    inputs : (N, *grid) or (N, channels, *grid), numpy or torch, on any grid; on "data" one that the network takes
    device : "cpu", "cuda", ...; default: an accelerator where there is one

    Returns
    -------
    (N, *grid), or (N, channels, *grid) where the inputs have channels or the outputs more than one; numpy for numpy,
    float32

    Raises
    ------
    FileNotFoundError, ValueError, TypeError : no or damaged checkpoint; inputs that the network does not take, or that
        ask for a gradient, which goes through ``run.model``
    Diverged : the outputs are not finite

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> from mgnet.operators import poisson, train
    >>> data, out = poisson(40, 16, ndim=1), mkdtemp() + "/run"
    >>> run = train(data, epochs=1, out=out, progress=False)
    >>> predict(run.directory, np.ones((3, 20))).shape
    (3, 20)
    """
    network, card = asked_on(grid, model, start)
    if not isinstance(inputs, (np.ndarray, torch.Tensor)):
        raise TypeError(f"`inputs` must be a numpy array or a tensor; it is {type(inputs).__name__}.")
    ndim, place = len(card.grid), choose_device(device)
    dense = isinstance(inputs, np.ndarray) or inputs.layout == torch.strided
    real = inputs.dtype.kind in "biuf" if isinstance(inputs, np.ndarray) else dense and not inputs.is_complex()
    if not real or 0 in inputs.shape or isinstance(inputs, np.ma.MaskedArray):
        raise ValueError(
            f"`inputs` must be plain real functions, one at least; they are {inputs.dtype} {tuple(inputs.shape)}, a "
            f"{type(inputs).__name__}."
        )
    if asks(inputs):
        raise TypeError(
            "`inputs` asks for a gradient, and `predict` has none. Detach it, or call `run.model`, which has."
        )
    x = single(inputs) if isinstance(inputs, np.ndarray) else inputs.detach().float()
    plain = x.ndim == ndim + 1
    x = x.unsqueeze(1) if plain else x
    if x.ndim != ndim + 2 or x.shape[1] != card.channels[0]:
        raise ValueError(
            f"`inputs` must be (N, {card.channels[0]}, *grid) with {ndim} grid axes; their shape is "
            f"{tuple(inputs.shape)}."
        )
    if not x.isfinite().all():
        raise ValueError("`inputs` must be finite in float32; they are not. Clean them, or use other units.")
    network = network.to(place)
    with torch.no_grad():
        parts = x.split(at_once(x.shape[2:]))
        u = torch.cat([network(part.to(place)) for part in parts]).cpu()
    check_finite(u)
    u = u.squeeze(1) if plain and u.shape[1] == 1 else u
    return u.numpy() if isinstance(inputs, np.ndarray) else u
