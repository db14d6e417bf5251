"""train: data in, a run's folder out."""

import dataclasses
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgnet.training.checks import as_path, whole
from mgnet.training.extras import need_tensorboard
from mgnet.training.loop import fit as train_task
from mgnet.training.placement import placed
from mgnet.training.precision import resolve_precision
from mgnet.training.process import Process, joined
from mgnet.training.randomness import begun, seed_of
from mgnet.training.recipe import chosen
from mgnet.training.runs import Row, folder_of, read_metrics
from mgnet.training.threads import at_most, worth
from mgnet.vision import plots
from mgnet.vision.augment import check_augments
from mgnet.vision.balance import class_weights, shown
from mgnet.vision.batches import Normaliser, make_batches
from mgnet.vision.checking import check_files
from mgnet.vision.costs import forward_pass
from mgnet.vision.datasets import load
from mgnet.vision.evaluation import Metrics, check_counts, first_image, measure
from mgnet.vision.finetune import Start, begin_from, freeze_parts, origin
from mgnet.vision.images import Dataset, Files, Images, mean_and_std
from mgnet.vision.models import Model, name_of, network_of
from mgnet.vision.network import MgNet
from mgnet.vision.notation import parse
from mgnet.vision.pictures import Fit
from mgnet.vision.recipe import FAST, Recipe
from mgnet.vision.report import write_report
from mgnet.vision.runs import Run, metrics_of
from mgnet.vision.trial import check_learns, check_takes
from mgnet.vision.weights import Card


@placed
def train(
    model: Model = "MgNet[2,2,2,2]-32-B^l",
    dataset: Any = "digits",
    data: str | Path = "data",
    epochs: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    *,
    recipe: Recipe = FAST,
    image_size: int | tuple[int, int] | None = None,
    fit: Fit = "crop",
    start: Start | None = None,
    freeze: int | Sequence[str] = 0,
    workers: int | None = None,
    resume: bool = False,
    device: str | None = None,
    checkpoint_every: int | None = None,
    tensorboard: bool = False,
    progress: bool = True,
) -> Run:
    """Train a network, then look at the test set once.

    A share of the training set is held out for validation; nothing is chosen on the test set.
    Every random number is a function of (seed, step): a run that is killed and resumed is, on the
    CPU, bit for bit the run that was not.

    Parameters
    ----------
    model : an MgNet notation, a baseline's name, a module (a copy of it is trained), or a function
        (channels, classes, (H, W)) -> module
    dataset, data : a name and where it lies, a folder of class folders, or (train, test), each (images, labels) as
        arrays or tensors, or a torch Dataset
    epochs : default: the recipe's
    out : the run's folder; default: runs/DATASET-MODEL-seedN, numbered from the second on; to resume, the last of these
    recipe : FAST, PAPER, or your own
    image_size, fit : for folders: stream the pictures from disk, made of this size, n or (H, W), by "crop",
        "resize" or "letterbox"
    start : begin with these weights: of a run or its folder, a .safetensors file, a checkpoint of the published code,
        or a module, as of `pretrained`; where the classes are others the head is new
    freeze : do not train the stem and so many grids, or parameters whose names begin with one of these
    workers : processes that decode pictures; 0: this one does
    resume : continue the run in `out` from its last checkpoint; start it if there is none. With more epochs than it
        was begun with the schedule is theirs from that checkpoint on, and the test set is looked at again at their end
    device : "cpu", "cuda", ...; default: an accelerator where there is one
    checkpoint_every : steps between checkpoints; one is written after each epoch in any case
    tensorboard : log for TensorBoard too
    progress : show a bar where stderr is a terminal, else lines
    seed : of the weights, the split, the order and the augmentation

    Returns
    -------
    Run : the network, what the test set said of it, and where it all lies

    Raises
    ------
    ValueError, FileNotFoundError, FileExistsError, OSError : an argument, the data or the folder
    ModuleNotFoundError : `tensorboard` without the extra `logging`
    Diverged : the loss is not finite; the last good checkpoint is kept
    KeyboardInterrupt : after Ctrl-C, once a checkpoint is written

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> out = mkdtemp() + "/run"
    >>> run = train("MgNet[1,1]-8-B^l", "digits", epochs=2, out=out, progress=False)
    >>> len(run.history), (run.directory / "report.html").exists()
    (2, True)
    """
    need_tensorboard(tensorboard)
    seed = whole("seed", seed)
    recipe = chosen(recipe, Recipe, epochs)
    check_counts(None, workers)
    with torch.enable_grad(), joined(device) as process:  # whatever the caller has set
        recipe = dataclasses.replace(recipe, precision=resolve_precision(recipe.precision, process.device))
        loaded = load(dataset, data, image_size, fit).hold_out(recipe.validation)
        if process.first and not (resume and out and (as_path("out", out) / "config.json").exists()):
            check_files(loaded, workers, progress)
        network = _network(model, loaded, seed)
        check_takes(network, loaded, recipe)
        check_augments(recipe, loaded.channels)
        new = list(begin_from(network, start, loaded.classes)) if start is not None else None
        fixed = freeze_parts(network, freeze)
        if not isinstance(model, str) and not check_learns(network, loaded):
            recipe = dataclasses.replace(recipe, channels_last=False)
        card = _card(network, model, dataset, loaded, recipe)
        folder = folder_of(out, f"{loaded.name}-{_slug(card.model)}-seed{seed}", resume, process)
        task = Classification(loaded, card, recipe, seed, process, _idle(network, card), workers)
        task.config |= {"start": None if start is None else origin(start), "new": new, "frozen": fixed or None}
        with _threads(network, card, loaded, recipe, process):
            trained = train_task(
                network, task, recipe, seed, process, folder, resume=resume,
                checkpoint_every=checkpoint_every, tensorboard=tensorboard, progress=progress,
            )  # fmt: skip
            metrics = read_metrics(folder, metrics_of)
            run = Run(trained.model, trained.history, metrics.accuracy, folder, metrics)
            if process.first:
                task.illustrate(run)
            return run


def _network(model: Model, data: Dataset, seed: int) -> nn.Module:
    with begun(seed_of(seed, "weights")):
        return network_of(model, data.channels, len(data.classes), data.size)


def _idle(network: nn.Module, card: Card) -> bool:
    """Whether the last A is not used: nothing is smoothed after its only step, or there is none. Of others' networks
    nothing is known."""
    return parse(network.notation).nu[-1] < 2 if isinstance(network, MgNet) else card.own


def _threads(network: nn.Module, card: Card, data: Dataset, recipe: Recipe, process: Process) -> AbstractContextManager:
    """Fewer threads where the work is little; pictures on disk are work enough."""
    if process.device.type != "cpu" or isinstance(data.train, Files):
        return nullcontext()
    images = recipe.batch_size // (process.world * recipe.accumulate)
    return at_most(worth(images * forward_pass(network, card.in_channels, card.image_size, card.own)))


def _card(network: nn.Module, model: Model, dataset: Any, data: Dataset, recipe: Recipe) -> Card:
    mean, std = mean_and_std(data.train)
    return Card(
        model=name_of(model, network),
        in_channels=data.channels,
        image_size=data.size,
        classes=data.classes,
        mean=tuple(mean),
        std=tuple(std),
        dataset=str(dataset) if isinstance(dataset, str | Path) else data.name,
        resized=isinstance(data.train, Files),
        fit=data.train.fit if isinstance(data.train, Files) else "crop",
        validation=recipe.validation,
        stratified=True,
        own=not isinstance(model, str),
    )


def _slug(model: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in model).strip("-")


def losses(logits: Tensor, target: Tensor, label_smoothing: float, weights: Tensor | None = None) -> dict[str, Tensor]:
    """Of each image: cross entropy, - sum_c w_c t_c log p_c; whether its likeliest class is that of the target t.

    Parameters
    ----------
    logits, target : (n, classes); weights : (classes,), 1 by default

    Example
    -------
    >>> import torch
    >>> losses(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), 0.1)
    {'loss': tensor([0.6931]), 'accuracy': tensor([True])}
    """
    loss = F.cross_entropy(logits, target, weights, label_smoothing=label_smoothing, reduction="none")
    return {"loss": loss, "accuracy": logits.argmax(1) == target.argmax(1)}


class Classification:
    """The task: cross entropy, accuracy, images."""

    unit = "images"

    def __init__(
        self,
        data: Dataset,
        card: Card,
        recipe: Recipe,
        seed: int,
        process: Process,
        idle: bool,
        workers: int | None = None,
    ):
        self.data, self.card, self.recipe, self.process, self.idle = data, card, recipe, process, idle
        self.normalise = Normaliser(list(card.mean), list(card.std), process.device)
        self.batches = make_batches(data, recipe, seed, self.normalise, process, workers)
        counts = shown(data.train.labels, len(data.classes), recipe.balanced)
        weights = class_weights(recipe.class_weights, data.classes, counts)
        self.weights = weights if weights is None else weights.to(process.device)
        self.workers = workers
        self.header = card.header
        self.config: dict[str, Any] = {"model": card.model, "dataset": card.dataset, "image_size": list(data.size)}
        self.config |= {"classes": list(data.classes), **data.identity()}

    def losses(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        return losses(logits, target, self.recipe.label_smoothing, self.weights)

    def validate(self, model: nn.Module, arithmetic: AbstractContextManager) -> Row:
        if self.data.validation is None:
            return {"validation_loss": float("nan"), "validation_accuracy": float("nan")}
        metrics = self.measure(model, self.data.validation, arithmetic)
        return {"validation_loss": metrics.loss, "validation_accuracy": metrics.accuracy}

    def test(self, model: nn.Module) -> Metrics:
        """In float32 (on a GPU TF32), whatever the training's arithmetic is."""
        return self.measure(model, self.data.test, None)

    def measure(self, model: nn.Module, images: Images | Files, arithmetic: AbstractContextManager | None) -> Metrics:
        return measure(
            model,
            images,
            self.data.size,
            self.data.classes,
            self.normalise,
            self.process,
            arithmetic=arithmetic,
            workers=self.workers,
        )

    def illustrate(self, run: Run) -> None:
        """Plots and the report."""
        folder = run.directory / "plots"
        plots.learning_curves(run.history, folder / "learning_curves.png")
        plots.confusion_matrix(run.metrics.confusion, self.data.classes, folder / "confusion_matrix.png")
        if isinstance(run.model, MgNet):
            image = first_image(self.data.validation or self.data.train, self.data.size, self.normalise)
            plots.feature_maps(run.model, image, folder / "feature_maps.png")
        write_report(run)
