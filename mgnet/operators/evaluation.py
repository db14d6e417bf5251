"""How good an operator is, on samples of any grid."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from mgnet.operators.batches import at_once, tensors_of
from mgnet.operators.files import checked, load
from mgnet.operators.metrics import Metrics
from mgnet.operators.models import Source, asked_on
from mgnet.operators.norms import relative_h1, relative_l2
from mgnet.operators.samples import Samples
from mgnet.operators.weights import Card
from mgnet.training.placement import placed
from mgnet.training.process import Process, choose_device
from mgnet.training.watch import check_finite

Loss = Callable[[Tensor, Tensor], Tensor]


@placed
def evaluate(
    model: Source,
    data: Samples | str | Path,
    *,
    grid: Literal["trained", "data"] = "trained",
    start: str | Path | None = None,
    device: str | None = None,
) -> Metrics:
    """Measure a trained operator, on samples of any grid.

    Parameters
    ----------
    model : a Run, a run's folder or a .safetensors file; or what makes a network of one's own
    data : samples, or a file of them
    grid : where the network works. "trained": on the grid it was trained on, to which inputs are brought by means over
        its cells, and from which outputs come back by splines that keep means. "data": on the samples' own grid.
    start : the checkpoint, where `model` makes one's own
    device : "cpu", "cuda", ...; default: an accelerator where there is one

    Returns
    -------
    What was measured

    Raises
    ------
    FileNotFoundError, ValueError : no or damaged checkpoint or data; data that the network does not fit
    Diverged : the outputs are not finite

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> from mgnet.operators import poisson, train
    >>> data, out = poisson(40, 16, ndim=1), mkdtemp() + "/run"
    >>> run = train(data, epochs=1, out=out, progress=False)
    >>> evaluate(run.directory, poisson(10, 32, ndim=1, seed=1)).grid
    (32,)
    """
    network, card = asked_on(grid, model, start)
    samples, place = samples_of("data", data), choose_device(device)
    check_fit(card, samples)
    metrics = measure(network.to(place), samples, Process(0, 1, place))
    check_finite(torch.tensor([metrics.error, metrics.h1_error]))
    return metrics


def samples_of(name: str, data: Samples | str | Path) -> Samples:
    """Samples, or those of a file.

    Raises
    ------
    TypeError, ValueError : neither; no good samples, or one whose outputs are zero, of which no error is relative, or
        in units that float32 has no numbers for
    """
    if not isinstance(data, (Samples, str, Path)):
        raise TypeError(f"`{name}` must be Samples or a file of them; it is {type(data).__name__}.")
    samples = checked(data, f"`{name}`") if isinstance(data, Samples) else checked(load(data), str(data))
    x, u = tensors_of(samples)
    for what, v in (("inputs", x), ("outputs", u)):
        if not v.isfinite().all():
            raise ValueError(f"`{what}` of `{name}` must be numbers of float32, some are larger. Use other units.")
    zero = (u.abs().flatten(1).amax(1) < torch.finfo(torch.float32).tiny).nonzero().flatten().tolist()
    if zero:
        raise ValueError(
            f"`outputs` of `{name}` must not be zero everywhere, as errors are relative to them; those of {len(zero)} "
            f"samples are in float32, first of number {zero[0]}. Leave these out, or use other units."
        )
    return samples


def check_fit(card: Card, samples: Samples) -> None:
    """That a network was made for functions such as these.

    Raises
    ------
    ValueError : other channels, or another number of axes
    """
    x, u = tensors_of(samples[:1])
    for what, own, theirs in (
        ("axes", len(card.grid), samples.ndim),
        ("channels of inputs and outputs", card.channels, (x.shape[1], u.shape[1])),
    ):
        if own != theirs:
            raise ValueError(f"`data` must fit the checkpoint: it was trained for {what} {own}, these have {theirs}.")


def measure(
    model: nn.Module,
    samples: Samples,
    process: Process,
    arithmetic: AbstractContextManager | None = None,
    loss: Loss = relative_l2,
) -> Metrics:
    """The metrics of a model in evaluation mode; each process takes its share of the samples, none is counted twice."""
    errors = torch.zeros(3, len(samples), dtype=torch.float64, device=process.device)
    with torch.no_grad(), arithmetic or torch.autocast(process.device.type, enabled=False):
        for index, x, u in _batches(samples, process):
            v = model(x).float()
            errors[:, index] = torch.stack([relative_l2(v, u), relative_h1(v, u), loss(v, u)]).double()
    l2, h1, lost = process.total(errors).cpu()
    return Metrics(
        samples=len(samples),
        error=float(l2.mean()),
        h1_error=float(h1.mean()),
        loss=float(lost.mean()),
        median=float(l2.quantile(0.5)),
        worst=float(l2.max()),
        data_error=float(samples.error.mean()),
        grid=samples.grid,
    )


def _batches(samples: Samples, process: Process) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """This process's share: indices, inputs, outputs."""
    x, u = tensors_of(samples)
    for index in torch.arange(process.rank, len(samples), process.world).split(at_once(samples.grid)):
        yield index.to(process.device), x[index].to(process.device), u[index].to(process.device)
