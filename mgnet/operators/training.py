"""train: samples in, a run's folder out."""

import dataclasses
import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mgnet.operators import plots
from mgnet.operators.batches import Turned, tensors_of
from mgnet.operators.evaluation import Metrics, measure, samples_of
from mgnet.operators.network import MgNO, Padding
from mgnet.operators.normalise import Normalised, moments
from mgnet.operators.norms import LOSSES, relative_l2
from mgnet.operators.recipe import FAST, Recipe
from mgnet.operators.report import write_report
from mgnet.operators.runs import Run, metrics_of
from mgnet.operators.samples import INPUTS, Samples
from mgnet.operators.symmetries import Symmetry, symmetries
from mgnet.operators.weights import Card, Make
from mgnet.training.checks import whole
from mgnet.training.extras import need_tensorboard
from mgnet.training.loop import fit
from mgnet.training.order import takes_channels_last
from mgnet.training.placement import placed
from mgnet.training.precision import resolve_precision
from mgnet.training.process import Process, joined
from mgnet.training.randomness import begun, seed_of
from mgnet.training.recipe import chosen
from mgnet.training.runs import Row, folder_of, read_metrics
from mgnet.training.threads import at_most, worth

PADDING: dict[str, Padding] = {"dirichlet": "zero", "neumann": "reflecting"}
MOST_GRIDS = 6
TEST = 0.1  # share of the samples, where no others are given


@placed
def train(
    data: Samples | str | Path,
    test: Samples | str | Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    *,
    model: Make | None = None,
    recipe: Recipe = FAST,
    resume: bool = False,
    device: str | None = None,
    checkpoint_every: int | None = None,
    tensorboard: bool = False,
    progress: bool = True,
) -> Run:
    """Learn an operator from samples, then look at the test samples once.

    The last samples of ``data``, a share that the recipe names, are held out for validation; nothing is chosen on the
    test samples. Every random number is a function of (seed, step): a run that is killed and resumed is, on the CPU,
    bit for bit the run that was not.

    Parameters
    ----------
    data : samples, or a file of them
    test : other samples, or a file; default: the last tenth of data, which is then not trained on
    epochs : default: the recipe's
    out : the run's folder; default: runs/PROBLEM-NETWORK-seedN, numbered from the second on;
        to resume, the last of these
    model : makes the network, as ``lambda: MgNO(width=32)``; default: an MgNO for these samples, with as many grids as
        they allow, six at most, and the padding of their boundary condition
    recipe : FAST, PAPER, or your own
    resume : continue the run in `out` from its last checkpoint; start it if there is none. With more epochs than it
        was begun with the schedule is theirs from that checkpoint on, and the test set is looked at again at their end
    device : "cpu", "cuda", ...; default: an accelerator where there is one
    checkpoint_every : steps between checkpoints; one is written after each epoch in any case
    tensorboard : log for TensorBoard too
    progress : show a bar where stderr is a terminal, else lines
    seed : of the weights, the order, the turns

    Returns
    -------
    Run : the network, what the test samples said of it, and where it all lies

    Raises
    ------
    ValueError, TypeError, FileNotFoundError, FileExistsError, OSError : an argument, the data or the folder
    ModuleNotFoundError : `tensorboard` without the extra `logging`
    Diverged : the loss is not finite; the last good checkpoint is kept
    KeyboardInterrupt : after Ctrl-C, once a checkpoint is written

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> from mgnet.operators import poisson
    >>> data, out = poisson(40, 16, ndim=1), mkdtemp() + "/run"
    >>> run = train(data, epochs=2, out=out, progress=False)
    >>> len(run.history), (run.directory / "report.html").exists()
    (2, True)
    """
    need_tensorboard(tensorboard)
    seed = whole("seed", seed)
    recipe = chosen(recipe, Recipe, epochs)
    samples, tested = _split(data, test)
    with torch.enable_grad(), joined(device) as process:  # whatever the caller has set
        recipe = dataclasses.replace(recipe, precision=resolve_precision(recipe.precision, process.device))
        kept, validation = _hold_out(samples, recipe.validation)
        network = _network(model, kept, seed)
        sides = symmetries(kept.grid) if _turns(recipe, kept) else symmetries(kept.grid)[:1]
        x, u = tensors_of(kept)
        if not isinstance(network, MgNO) and not takes_channels_last(network, x[:1]):
            recipe = dataclasses.replace(recipe, channels_last=False)
        normalised = Normalised(network, moments(x, recipe.inputs, sides), moments(u, recipe.outputs, sides))
        card = _card(network, kept, samples, recipe)
        task = Regression(kept, validation, tested, sides, card, recipe, seed, process)
        name = f"{kept.settings.get('problem', 'other')}-{card.name}-seed{seed}"
        folder = folder_of(out, name, resume, process)
        with _threads(network, kept, recipe, process):
            trained = fit(
                normalised, task, recipe, seed, process, folder, resume=resume,
                checkpoint_every=checkpoint_every, tensorboard=tensorboard, progress=progress,
            )  # fmt: skip
            metrics = read_metrics(folder, metrics_of)
            run = Run(trained.model, trained.history, metrics.error, folder, metrics)
            if process.first:
                task.illustrate(run)
            return run


def _split(data: Samples | str | Path, test: Samples | str | Path | None) -> tuple[Samples, Samples]:
    """Samples to learn from, and to test on."""
    samples = samples_of("data", data)
    if test is not None:
        tested = samples_of("test", test)
        if (tested.grid, tested.ndim) != (samples.grid, samples.ndim):
            raise ValueError(
                f"`test` must lie on the grid of `data`, {samples.grid}; it has {tested.grid}. `evaluate` takes others."
            )
        found = [[v.shape[1] for v in tensors_of(each[:1])] for each in (samples, tested)]
        if found[0] != found[1]:
            raise ValueError(
                f"`test` must have the channels of `data`, {found[0]} of inputs and outputs; it has {found[1]}."
            )
        return samples, tested
    count = int(TEST * len(samples))
    if count < 1:
        raise ValueError(
            f"`test` must be given where there are fewer than {int(1 / TEST)} samples; they are {len(samples)}."
        )
    return samples[: len(samples) - count], samples[len(samples) - count :]


def _hold_out(samples: Samples, share: float) -> tuple[Samples, Samples | None]:
    """To train on, and for validation: the last ones."""
    count = int(share * len(samples))
    if not count:
        return samples, None
    return samples[: len(samples) - count], samples[len(samples) - count :]


def _network(model: Make | None, samples: Samples, seed: int) -> nn.Module:
    """Made with the seed, and tried on the first sample."""
    if isinstance(model, nn.Module) or not (model is None or callable(model)):
        raise TypeError("`model` must make a network, so that the seed decides its weights: pass lambda: MgNO(...).")
    x, u = tensors_of(samples[:1])
    with begun(seed_of(seed, "weights")):
        network = model() if model is not None else network_for(samples)
    if not isinstance(network, nn.Module):
        raise TypeError(f"`model` must make a torch.nn.Module; it made a {type(network).__name__}.")
    try:
        with torch.no_grad():
            shape = network.eval()(x).shape
    except (RuntimeError, TypeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"`model` must make another network: this one does not take {tuple(x.shape)} ({reason})."
        ) from None
    if shape != u.shape:
        raise ValueError(
            f"`model` must give {tuple(u.shape[1:])}, channels and grid, for each sample; it gives {tuple(shape[1:])}."
        )
    return network


def network_for(
    samples: Samples,
    *,
    width: int = 24,
    layers: int = 4,
    grids: int | None = None,
    form: Literal["published", "multigrid"] = "published",
    padding: Padding | None = None,
    up: int = 4,
) -> MgNO:
    """An MgNO with the channels and axes of some samples.

    Parameters
    ----------
    grids : default: as many as leave two points along the shortest axis, six at most
    padding : default: as the samples' boundary condition

    Example
    -------
    >>> from mgnet.operators import poisson
    >>> network_for(poisson(1, 16, bc="neumann", ndim=1)).padding
    ('reflecting',)
    """
    x, u = tensors_of(samples[:1])
    if grids is None:
        fitting = [g for g in range(1, MOST_GRIDS + 1) if min(samples.grid) > 2 ** (g - 1)]
        grids = max(fitting, default=1)
    padding = padding or PADDING.get(samples.settings.get("bc", ""), "zero")
    given: dict[str, Any] = {"width": width, "layers": layers, "grids": grids, "form": form, "padding": padding}
    return MgNO(x.shape[1], u.shape[1], ndim=samples.ndim, up=up, **given)


def _turns(recipe: Recipe, samples: Samples) -> bool:
    return recipe.turns == "on" or (recipe.turns == "auto" and samples.settings.get("problem") in INPUTS)


def _card(network: nn.Module, kept: Samples, samples: Samples, recipe: Recipe) -> Card:
    x, u = tensors_of(kept[:1])
    return Card(
        model=network.arguments if isinstance(network, MgNO) else None,
        name=type(network).__name__,
        channels=(x.shape[1], u.shape[1]),
        grid=kept.grid,
        pointwise=(recipe.inputs == "pointwise", recipe.outputs == "pointwise"),
        samples={**samples.settings, "sha256": samples.hash, "count": len(samples)},
    )


def _threads(network: nn.Module, samples: Samples, recipe: Recipe, process: Process) -> AbstractContextManager:
    """Fewer threads where the work is little; of other networks the work is not known."""
    if process.device.type != "cpu" or not isinstance(network, MgNO):
        return nullcontext()
    x, _ = tensors_of(samples[:1])
    batch = recipe.batch_size // (process.world * recipe.accumulate)
    return at_most(worth(batch * network.multiply_adds(x)))


class Regression:
    """The task: a relative error, functions."""

    unit = "samples"

    def __init__(
        self,
        kept: Samples,
        validation: Samples | None,
        tested: Samples,
        sides: list[Symmetry],
        card: Card,
        recipe: Recipe,
        seed: int,
        process: Process,
    ):
        self.validation, self.tested, self.process = validation, tested, process
        x, u = tensors_of(kept, process.device)
        self.batches = Turned(x, u, sides, recipe.batch_size, recipe.accumulate, seed, process)
        self.loss, self.header, self.idle = LOSSES[recipe.loss], card.header, card.model is None
        config = {"model": card.model or card.name, "samples": card.samples, "tested": tested.hash}
        self.config: dict[str, Any] = json.loads(json.dumps(config))

    def losses(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"loss": self.loss(output, target), "error": relative_l2(output.detach(), target)}

    def validate(self, model: nn.Module, arithmetic: AbstractContextManager) -> Row:
        if self.validation is None:
            return {"validation_loss": float("nan"), "validation_error": float("nan")}
        metrics = measure(model, self.validation, self.process, arithmetic, self.loss)
        return {"validation_loss": metrics.loss, "validation_error": metrics.error}

    def test(self, model: nn.Module) -> Metrics:
        """In float32 (on a GPU TF32), whatever the training's arithmetic is."""
        return measure(model, self.tested, self.process, None, self.loss)

    def illustrate(self, run: Run) -> None:
        """Plots and the report."""
        folder = run.directory / "plots"
        plots.learning_curves(run.history, folder / "learning_curves.png")
        plots.sample(run.model, self.tested, folder / "sample.png")
        plots.error_spectrum(run.model, self.tested, folder / "error_spectrum.png")
        write_report(run)
