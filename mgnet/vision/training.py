"""train: data in, a run's folder out."""

import dataclasses
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from mgnet.vision import plots
from mgnet.vision.baselines import build
from mgnet.vision.batches import Normaliser, make_batches
from mgnet.vision.checkpoints import all_checkpoints, load_state, save_checkpoint
from mgnet.vision.datasets import load
from mgnet.vision.evaluation import first_image, measure
from mgnet.vision.images import Dataset, Files, mean_and_std
from mgnet.vision.learner import Diverged, Learner
from mgnet.vision.network import MgNet
from mgnet.vision.process import Process, finish, start
from mgnet.vision.randomness import seed_of
from mgnet.vision.recipe import FAST, Recipe
from mgnet.vision.report import write_report
from mgnet.vision.runs import Row, Run, append_scalars, open_folder, read_metrics, write_history
from mgnet.vision.weights import Card, copy_into, read_weights, save_weights

_LOOK = 20  # steps between two looks at the loss


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
        session = _Session(model, dataset, data, seed, out, recipe, image_size, resume, process, tensorboard)
        return session.run(checkpoint_every, progress and process.first)
    finally:
        finish(process)


class _Session:
    """A training under way."""

    def __init__(
        self,
        model: str,
        dataset: str,
        data: str | Path,
        seed: int,
        out: str | Path | None,
        recipe: Recipe,
        image_size: int | None,
        resume: bool,
        process: Process,
        tensorboard: bool,
    ):
        self.process, self.tensorboard, self.seed = process, tensorboard, seed
        self.recipe = dataclasses.replace(recipe, precision=resolve_precision(recipe.precision, process.device))
        self.data = load(dataset, data, image_size).hold_out(recipe.validation)
        network = _network(model, self.data, seed)
        self.card = _card(getattr(network, "notation", model), dataset, self.data)
        self.normalise = Normaliser(list(self.card.mean), list(self.card.std), process.device)
        self.batches = make_batches(self.data, self.recipe, seed, self.normalise, process)
        self.learner = Learner(network, self.recipe, seed, self.batches.sampler.steps_per_epoch, process)
        self.out = Path(out) if out else Path("runs") / f"{self.data.name}-{_slug(self.card.model)}-seed{seed}"
        self.step, self.history, self.sums = 0, list[Row](), torch.zeros(3, dtype=torch.float64)
        if process.first:
            open_folder(self.out, self.config(), resume)
        if resume and all_checkpoints(self.out):
            self.restore(all_checkpoints(self.out)[-1])

    def config(self) -> dict[str, Any]:
        parts = self.process.world * self.recipe.accumulate
        asked = {"model": self.card.model, "dataset": self.card.dataset, "image_size": list(self.data.size)}
        return {**asked, "seed": self.seed, "parts": parts, **dataclasses.asdict(self.recipe)}

    def restore(self, checkpoint: Path) -> None:
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

    def run(self, checkpoint_every: int | None, progress: bool) -> Run:
        per_epoch = self.batches.sampler.steps_per_epoch
        steps = self.recipe.epochs * per_epoch
        with _interruptible() as stop, _deterministic(self.recipe.deterministic):
            clock, watch = _Clock(), _Watch(self.step)
            bar = tqdm(total=steps, initial=self.step, unit="step", disable=not progress)
            for parts in self.batches.stream(self.step, steps):
                watch.add(self.learner.update(self.step, parts))
                self.step += 1
                clock.tick()
                ends = self.step % per_epoch == 0
                due = ends or stop.is_set() or (checkpoint_every and self.step % checkpoint_every == 0)
                if due or len(watch.pending) >= _LOOK:
                    self.sums += watch.look()
                    self.show(bar, clock)
                if ends:
                    self.end_epoch(clock)
                if due:
                    self.save()
                if stop.is_set():
                    raise KeyboardInterrupt(f"stopped after step {self.step}; resume continues {self.out}")
            bar.close()
        return self.finish()

    def show(self, bar: tqdm, clock: "_Clock") -> None:
        loss, right, count = self.sums.tolist()
        rate = self.batches.sampler.batch_size / median(clock.steps)
        epoch = (self.step - 1) // self.batches.sampler.steps_per_epoch + 1
        bar.set_description(f"epoch {epoch}/{self.recipe.epochs}", refresh=False)
        validated = f", validation {self.history[-1]['validation_accuracy']:.2%}" if self.history else ""
        bar.set_postfix_str(f"loss {loss / count:.3f}, accuracy {right / count:.2%}{validated}, {rate:,.0f} images/s")
        bar.update(self.step - bar.n)

    def end_epoch(self, clock: "_Clock") -> None:
        """Validate, and add a row to the history."""
        loss, right, count = self.process.total(self.sums.clone()).tolist()
        epoch = self.step // self.batches.sampler.steps_per_epoch
        row = {"epoch": epoch, "learning_rate": self.recipe.learning_rate(epoch - 0.5)}
        row |= {"train_loss": loss / count, "train_accuracy": right / count, **self.validate()}
        row |= clock.row(self.batches.sampler.batch_size)
        self.history.append(row)
        self.sums.zero_()
        if self.process.first:
            write_history(self.out, self.history)
            if self.tensorboard:
                append_scalars(self.out, row)

    def validate(self) -> Row:
        if self.data.validation is None:
            return {"validation_loss": float("nan"), "validation_accuracy": float("nan")}
        metrics = self.measure(self.data.validation, exact=False)
        return {"validation_loss": metrics.loss, "validation_accuracy": metrics.accuracy}

    def measure(self, images: Any, exact: bool) -> Any:
        """In float32, or in the arithmetic of the training."""
        arithmetic = None if exact else self.learner.arithmetic()
        size, classes = max(self.data.size), self.data.classes
        return measure(self.learner.tested, images, size, classes, self.normalise, self.process, arithmetic=arithmetic)

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
        plots.learning_curves(run.history, self.out / "plots" / "learning_curves.png")
        plots.confusion_matrix(run.metrics.confusion, self.data.classes, self.out / "plots" / "confusion_matrix.png")
        if isinstance(run.model, MgNet):
            image = first_image(self.data.validation or self.data.train, max(self.data.size), self.normalise)
            plots.feature_maps(run.model, image, self.out / "plots" / "feature_maps.png")
        write_report(run)


def _network(model: str, data: Dataset, seed: int) -> nn.Module:
    torch.manual_seed(seed_of(seed, "weights"))
    return build(model, data.channels, len(data.classes), max(data.size))


def _card(model: str, dataset: str, data: Dataset) -> Card:
    mean, std = mean_and_std(data.train)
    resized = isinstance(data.train, Files)
    return Card(model, data.channels, data.size, data.classes, tuple(mean), tuple(std), dataset, resized)


def _slug(model: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in model).strip("-")


def resolve_precision(asked: str, device: torch.device) -> str:
    """What "auto" means on a device.

    Example
    -------
    >>> resolve_precision("float32", torch.device("cpu"))
    'float32'
    """
    if asked != "auto":
        return asked
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    able = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return "bfloat16" if any(able.get(k) for k in ("avx512_bf16", "amx_bf16", "bf16")) else "float32"


class _Watch:
    """Losses not yet looked at: looking makes an accelerator wait."""

    def __init__(self, step: int):
        self.step, self.pending = step, list[Tensor]()

    def add(self, sums: Tensor) -> None:
        self.pending.append(sums)

    def look(self) -> Tensor:
        sums = torch.stack(self.pending).cpu()
        bad = (~sums[:, 0].isfinite()).nonzero()
        if len(bad):
            raise Diverged(
                f"the loss is not finite at step {self.step + int(bad[0]) + 1}; training stopped. "
                "Resume from the last checkpoint with a smaller learning rate or gradient clipping."
            )
        self.step += len(self.pending)
        self.pending = []
        return sums.sum(0)


class _Clock:
    """Times of the steps since the last row."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.steps, self.last, self.cpu = list[float](), time.perf_counter(), time.process_time()

    def tick(self) -> None:
        now = time.perf_counter()
        self.steps.append(now - self.last)
        self.last = now

    def row(self, batch_size: int) -> Row:
        """images/s from the median step; seconds of all steps; processor seconds of this process."""
        row = {"images_per_second": batch_size / median(self.steps), "seconds": sum(self.steps)}
        row["cpu_seconds"] = time.process_time() - self.cpu
        self.restart()
        return row


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Ctrl-C sets the event instead of breaking into a step; a second Ctrl-C breaks in."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, frame: Any) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(wanted or before)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
