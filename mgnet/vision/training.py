"""train: data in, a run's folder out."""

import dataclasses
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from mgnet.vision import plots
from mgnet.vision.augment import smaller
from mgnet.vision.baselines import build
from mgnet.vision.batches import Normaliser, make_batches
from mgnet.vision.checkpoints import all_checkpoints, load_state, save_checkpoint
from mgnet.vision.datasets import load
from mgnet.vision.evaluation import Metrics, first_image, measure
from mgnet.vision.images import Dataset, Files, Images, mean_and_std
from mgnet.vision.learner import Learner, resolve_precision
from mgnet.vision.network import MgNet
from mgnet.vision.placement import placed
from mgnet.vision.process import Process, finish, start
from mgnet.vision.randomness import seed_of
from mgnet.vision.recipe import FAST, Recipe
from mgnet.vision.report import write_report
from mgnet.vision.runs import Row, Run, append_scalars, open_folder, read_metrics, write_history
from mgnet.vision.threads import at_most, worth
from mgnet.vision.watch import Clock, Watch, deterministic, interruptible
from mgnet.vision.weights import Card, copy_into, read_weights, save_weights, tensors

_LOOK = 20  # steps between two looks at the loss


@placed
def train(
    model: str = "MgNet[2,2,2,2]-32-B^l",
    dataset: str = "digits",
    data: str | Path = "data",
    epochs: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    *,
    recipe: Recipe = FAST,
    image_size: int | None = None,
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
    model : an MgNet notation, or a baseline's name
    dataset, data : a name and where it lies, or a folder of class folders
    epochs : default: the recipe's
    out : the run's folder; default: runs/DATASET-MODEL-seedN
    recipe : FAST, PAPER, or your own
    image_size : for folders: stream the pictures from disk, resized and cropped to this
    resume : continue the run in `out` from its last checkpoint; start it if there is none
    device : "cpu", "cuda", ...; default: an accelerator where there is one
    checkpoint_every : steps between checkpoints; one is written after each epoch in any case
    tensorboard : log for TensorBoard too
    progress : show a progress bar

    Raises
    ------
    ValueError, FileNotFoundError, FileExistsError, OSError : an argument, the data or the folder
    Diverged : the loss is not finite; the last good checkpoint is kept
    KeyboardInterrupt : after Ctrl-C, once a checkpoint is written

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> run = train("MgNet[1,1]-8-B^l", "digits", epochs=2, out=mkdtemp() + "/run", progress=False)
    >>> len(run.history), (run.directory / "report.html").exists()
    (2, True)
    """
    recipe = dataclasses.replace(recipe, epochs=epochs) if epochs is not None else recipe
    if checkpoint_every is not None and checkpoint_every < 1:
        raise ValueError(f"`checkpoint_every` must be at least 1 step; it is {checkpoint_every}.")
    process = start(device)
    try:
        recipe = dataclasses.replace(recipe, precision=resolve_precision(recipe.precision, process.device))
        loaded = load(dataset, data, image_size).hold_out(recipe.validation)
        network = _network(model, loaded, seed)
        _check_small(network, loaded, recipe)
        card = _card(network, model, dataset, loaded, recipe)
        folder = Path(out) if out else Path("runs") / f"{loaded.name}-{_slug(card.model)}-seed{seed}"
        training = _Training(network, loaded, card, recipe, seed, process, folder)
        with _threads(card, loaded, recipe, process):
            if process.first:
                open_folder(folder, training.config(), resume)
            if resume:
                training.restore()
            training.run(checkpoint_every, tensorboard, progress and process.first)
            return training.finish()
    finally:
        finish(process)


def _network(model: str, data: Dataset, seed: int) -> nn.Module:
    torch.manual_seed(seed_of(seed, "weights"))
    return build(model, data.channels, len(data.classes), max(data.size))


def _check_small(network: nn.Module, data: Dataset, recipe: Recipe) -> None:
    """That the network takes the small images, if there are any."""
    if recipe.small:
        size = smaller(data.size)
        try:
            with torch.no_grad():
                network.eval()(torch.zeros(1, data.channels, *size))
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"`small` must be 0: this network does not take images of {size} ({reason}).") from None


def _threads(card: Card, data: Dataset, recipe: Recipe, process: Process) -> AbstractContextManager:
    """Fewer threads where the work is little; pictures on disk are work enough."""
    if process.device.type != "cpu" or isinstance(data.train, Files):
        return nullcontext()
    return at_most(worth(card, recipe.batch_size // (process.world * recipe.accumulate)))


def _card(network: nn.Module, model: str, dataset: str, data: Dataset, recipe: Recipe) -> Card:
    mean, std = mean_and_std(data.train)
    return Card(
        model=network.notation if isinstance(network, MgNet) else model,
        in_channels=data.channels,
        image_size=data.size,
        classes=data.classes,
        mean=tuple(mean),
        std=tuple(std),
        dataset=dataset,
        resized=isinstance(data.train, Files),
        validation=recipe.validation,
    )


def _slug(model: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in model).strip("-")


class _Training:
    """A training under way: where it is, and what it has seen."""

    def __init__(
        self, network: nn.Module, data: Dataset, card: Card, recipe: Recipe, seed: int, process: Process, out: Path
    ):
        self.data, self.card, self.recipe, self.seed = data, card, recipe, seed
        self.process, self.out = process, out
        self.normalise = Normaliser(list(card.mean), list(card.std), process.device)
        self.batches = make_batches(data, recipe, seed, self.normalise, process)
        self.per_epoch = self.batches.sampler.steps_per_epoch
        self.learner = Learner(network, recipe, seed, self.per_epoch, process)
        self.step, self.history, self.sums = 0, list[Row](), torch.zeros(3, dtype=torch.float64)

    def config(self) -> dict[str, Any]:
        """All that decides the result; a run is resumed under the same only."""
        parts = self.process.world * self.recipe.accumulate
        asked = {"model": self.card.model, "dataset": self.card.dataset, "image_size": list(self.data.size)}
        return {**asked, "seed": self.seed, "parts": parts, **dataclasses.asdict(self.recipe)}

    def restore(self) -> None:
        """Go to the last checkpoint, if there is one."""
        for checkpoint in all_checkpoints(self.out)[-1:]:
            state = load_state(checkpoint)
            stored, _ = read_weights(checkpoint / "model.safetensors")
            copy_into(self.learner.model, state.get("network", stored), checkpoint)
            self.learner.load(state)
            self.step, self.history, self.sums = state["step"], state["history"], state["sums"]

    def save(self) -> None:
        if self.process.first:
            state = {**self.learner.state(), "step": self.step, "history": self.history, "sums": self.sums}
            save_checkpoint(self.out, self.step, self.learner.tested, self.card, state)
        self.process.wait()

    def run(self, checkpoint_every: int | None, tensorboard: bool, progress: bool) -> None:
        """The steps that are left."""
        last = self.recipe.epochs * self.per_epoch
        bar = tqdm(total=last, initial=self.step, unit="step", disable=not progress)
        watch, clock = Watch(self.step), Clock()
        with bar, deterministic(self.recipe.deterministic), interruptible() as stop:
            for parts in self.batches.stream(self.step, last):
                watch.add(self.learner.update(self.step, parts))
                self.step += 1
                ends = self.step % self.per_epoch == 0
                due = ends or stop.is_set() or (checkpoint_every and self.step % checkpoint_every == 0)
                if due or len(watch.pending) >= _LOOK:
                    steps = len(watch.pending)
                    self.sums += watch.look(self.process)
                    clock.tick(steps)
                    self.show(bar, clock)
                if ends:
                    self.end_epoch(clock, tensorboard)
                    clock = Clock()
                if due:
                    self.save()
                if stop.is_set():
                    raise KeyboardInterrupt(f"stopped after step {self.step}; resume continues {self.out}")

    def show(self, bar: tqdm, clock: Clock) -> None:
        loss, right, count = self.sums.tolist()
        rate = clock.rate(self.batches.sampler.batch_size)
        known = self.history and self.data.validation is not None
        validated = f", validation {self.history[-1]['validation_accuracy']:.2%}" if known else ""
        bar.set_description(f"epoch {(self.step - 1) // self.per_epoch + 1}/{self.recipe.epochs}", refresh=False)
        bar.set_postfix_str(f"loss {loss / count:.3f}, accuracy {right / count:.2%}{validated}, {rate:,.0f} images/s")
        bar.update(self.step - bar.n)

    def end_epoch(self, clock: Clock, tensorboard: bool) -> None:
        """Validate, and add a row to the history."""
        loss, right, count = self.sums.tolist()
        epoch = self.step // self.per_epoch
        row = {"epoch": epoch, "learning_rate": self.recipe.learning_rate(epoch - 0.5 / self.per_epoch)}
        row |= {"train_loss": loss / count, "train_accuracy": right / count, **self.validate()}
        self.history.append({**row, **clock.row(self.batches.sampler.batch_size)})
        self.sums.zero_()
        if self.process.first:
            write_history(self.out, self.history)
        if self.process.first and tensorboard:
            append_scalars(self.out, self.history[-1])

    def validate(self) -> Row:
        if self.data.validation is None:
            return {"validation_loss": float("nan"), "validation_accuracy": float("nan")}
        metrics = self.measure(self.data.validation, exact=False)
        return {"validation_loss": metrics.loss, "validation_accuracy": metrics.accuracy}

    def measure(self, images: Images | Files, exact: bool) -> Metrics:
        """In float32 (on a GPU TF32), or in the training's arithmetic; all processes have the first one's network."""
        model = self.learner.tested
        self.process.share(list(tensors(model).values()))
        arithmetic = None if exact else self.learner.arithmetic()
        size = max(self.data.size)
        return measure(model, images, size, self.data.classes, self.normalise, self.process, arithmetic=arithmetic)

    def finish(self) -> Run:
        """The one look at the test set; a run resumed after its end does not look again."""
        if not (self.out / "metrics.json").exists():
            metrics = self.measure(self.data.test, exact=True)
            if self.process.first:
                save_weights(self.out / "model.safetensors", self.learner.tested, self.card)
                metrics.save(self.out / "metrics.json")
            self.process.wait()
        metrics = read_metrics(self.out)
        run = Run(self.learner.tested.eval(), self.history, metrics.accuracy, self.out, metrics)
        if self.process.first:
            self.illustrate(run)
        return run

    def illustrate(self, run: Run) -> None:
        """Plots and the report."""
        folder = self.out / "plots"
        plots.learning_curves(run.history, folder / "learning_curves.png")
        plots.confusion_matrix(run.metrics.confusion, self.data.classes, folder / "confusion_matrix.png")
        if isinstance(run.model, MgNet):
            image = first_image(self.data.validation or self.data.train, max(self.data.size), self.normalise)
            plots.feature_maps(run.model, image, folder / "feature_maps.png")
        write_report(run)
