"""The one training loop: a network, a task and a recipe in; a run's folder out.

A task is what the loop knows of what is learned. It has

    batches    where they come from: ``sampler``, a Sampler, and ``stream(first, last)``, which yields for each step
               in first..last-1 this process's parts of the batch, a list of (x, target), on the process's device;
               it can begin at any step, and what a part is depends on (seed, step, part) alone
    losses     (output, target) -> {"loss": (n,), ...}, one value a sample. The mean of "loss" is made small; the
               others, shares such as an accuracy or a relative error, go into the history and beside the bar
    validate   (model, arithmetic) -> {"validation_...": number, ...}, at the end of each epoch
    test       (model) -> the metrics, after the last epoch, once; `save(path)` writes them as JSON
    header     of the weight files: their package's key -> what it needs to build the network again, as JSON
    config     what decides the result beside seed and recipe, as JSON; a run is resumed under the same only
    unit       what samples are called in the history: "images" -> images_per_second
    idle       whether the network has parameters that no output depends on, which several processes must know

`validate` and `test` get the model in evaluation mode, without gradients, on the process's device. In several processes
each does its share, and ``process.total`` sums. Nothing else is asked: no class, no image. A door then reads

    with joined(device) as process:
        recipe = replace(recipe, precision=resolve_precision(recipe.precision, process.device))
        trained = fit(network, task, recipe, seed, process, folder, resume=resume)

and has ``trained.model``, ``trained.history``, ``folder / "metrics.json"`` and ``folder / "model.safetensors"``.
mgnet.vision.training is one to read.
"""

import dataclasses
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from mgnet.training.checkpoints import all_checkpoints, drop_newest, load_state, save_checkpoint
from mgnet.training.checks import whole
from mgnet.training.extension import extend
from mgnet.training.learner import Batch, Learner
from mgnet.training.process import Process
from mgnet.training.progress import Progress
from mgnet.training.randomness import Sampler
from mgnet.training.recipe import Steps
from mgnet.training.runs import (
    Row,
    append_scalars,
    finished,
    locked,
    open_folder,
    read_history,
    write_history,
)
from mgnet.training.watch import Clock, Diverged, Watch, deterministic, interruptible
from mgnet.training.weights import copy_into, read_tensors, tensors, write_tensors

_LOOK = 20  # steps between two looks at the loss, at most; the first are after 1, 2, 4, 8, 16


class Batches(Protocol):
    sampler: Sampler

    def stream(self, first: int, last: int) -> Iterator[list[Batch]]:
        """This process's parts of each step in first..last-1."""
        ...


class Measured(Protocol):
    def save(self, path: str | Path) -> None:
        """Write JSON."""
        ...


class Task(Protocol):
    """What is learned; the head of this file says what each member is."""

    unit: str
    idle: bool

    @property
    def batches(self) -> Batches: ...

    @property
    def header(self) -> dict[str, str]: ...

    @property
    def config(self) -> Mapping[str, Any]: ...

    def losses(self, output: Tensor, target: Tensor) -> dict[str, Tensor]: ...

    def validate(self, model: nn.Module, arithmetic: AbstractContextManager) -> Row: ...

    def test(self, model: nn.Module) -> Measured: ...


@dataclasses.dataclass(frozen=True)
class Trained:
    """model : of the last epoch (averaged where the recipe says so), in evaluation mode; history : a row an epoch."""

    model: nn.Module = dataclasses.field(repr=False)
    history: list[Row] = dataclasses.field(repr=False)
    directory: Path


def fit(
    network: nn.Module,
    task: Task,
    recipe: Steps,
    seed: int,
    process: Process,
    folder: Path,
    *,
    resume: bool = False,
    checkpoint_every: int | None = None,
    tensorboard: bool = False,
    progress: bool = True,
) -> Trained:
    """Train, then test once.

    Parameters
    ----------
    network, task : initialised; see the head of this file
    folder : of the run
    resume : continue the run in `folder` from its last checkpoint, to more epochs if the recipe says more; start it
        if there is none
    checkpoint_every : steps between checkpoints; one is written after each epoch in any case

    Raises
    ------
    ValueError, FileExistsError, OSError : an argument, or the folder
    Diverged : the loss is not finite; the last good checkpoint is kept
    KeyboardInterrupt : after Ctrl-C or SIGTERM, once a checkpoint is written
    """
    if checkpoint_every is not None:
        whole("checkpoint_every", checkpoint_every, 1)
    training = Training(network, task, recipe, seed, process, folder)
    if process.first and not recipe.decays:
        warnings.warn(
            f'the learning rate stays {recipe.lr:g}: by schedule="step" it falls after `step_epochs` = '
            f"{recipe.step_epochs}, and there are {recipe.epochs} epochs. Set fewer step_epochs, or another schedule.",
            stacklevel=4,
        )
    with locked(folder) if process.first else nullcontext():
        if process.first:
            open_folder(folder, training.config(), resume)
        if resume:
            training.restore(tensorboard)
            if process.first:
                extend(folder, recipe, training.step, training.per_epoch)
            process.wait()
        training.run(checkpoint_every, tensorboard, progress and process.first)
        return training.finish()


class Training:
    """A training under way: where it is, and what it has seen."""

    def __init__(self, network: nn.Module, task: Task, recipe: Steps, seed: int, process: Process, folder: Path):
        self.task, self.recipe, self.seed, self.process, self.folder = task, recipe, seed, process, folder
        self.batches = task.batches
        self.per_epoch = self.batches.sampler.steps_per_epoch
        self.learner = Learner(network, task.losses, recipe, seed, self.per_epoch, process, task.idle)
        self.step, self.history, self.sums = 0, list[Row](), dict[str, float]()
        self.row: tuple[Row, Row] | None = None  # of an epoch that is trained and not yet validated

    def config(self) -> dict[str, Any]:
        """All that decides the result."""
        parts = self.process.world * self.recipe.accumulate
        return {**self.task.config, "seed": self.seed, "parts": parts, **dataclasses.asdict(self.recipe)}

    def restore(self, tensorboard: bool) -> None:
        """Go to the last checkpoint, if there is one; end the epoch that it may be the end of."""
        if not all_checkpoints(self.folder) and (self.folder / "history.csv").exists():
            self.read_end()
        for checkpoint in all_checkpoints(self.folder)[-1:]:
            state = load_state(checkpoint)
            stored, _ = read_tensors(checkpoint / "model.safetensors", next(iter(self.task.header)))
            copy_into(self.learner.model, state.get("network", stored), checkpoint)
            self.learner.load(state)
            self.step, self.history, self.sums = state["step"], state["history"], state["sums"]
            self.row = state["row"]
            if self.row is not None and not self.read_row(self.row[0]):
                self.end_epoch(tensorboard)

    def read_end(self) -> None:
        """Of a run that has lost its checkpoints after its end: what `finish` wrote."""
        weights = self.folder / "model.safetensors"
        self.history = finished(self.folder, self.recipe.epochs)
        copy_into(self.learner.tested, read_tensors(weights, next(iter(self.task.header)))[0], weights)
        self.step = self.recipe.epochs * self.per_epoch

    def read_row(self, row: Row) -> bool:
        """Whether history.csv has what validation found after this row's epoch; it is then taken from there."""
        written = read_history(self.folder) if (self.folder / "history.csv").exists() else []
        same = [found for found in written if all(found.get(name) == value for name, value in row.items())]
        self.history += same[:1]
        self.row = None if same else self.row
        return bool(same)

    def save(self) -> None:
        if self.process.first:
            seen = {"step": self.step, "history": self.history, "sums": self.sums, "row": self.row}
            state = {**self.learner.state(), **seen}
            save_checkpoint(self.folder, self.step, self.learner.tested, self.task.header, state)
        self.process.wait()

    def run(self, checkpoint_every: int | None, tensorboard: bool, progress: bool) -> None:
        """The steps that are left."""
        last = self.recipe.epochs * self.per_epoch
        bar = Progress(last, "step", progress, self.step)
        watch, clock, begun = Watch(self.step), Clock(), self.step
        with bar, deterministic(self.recipe.deterministic), interruptible() as stop:
            bar.show(self.step, self.epoch(), f"run in {self.folder}")
            for parts in self.batches.stream(self.step, last):
                watch.add(self.learner.update(self.step, parts))
                self.step += 1
                ends = self.step % self.per_epoch == 0
                due = ends or stop.is_set() or (checkpoint_every and self.step % checkpoint_every == 0)
                if due or len(watch.pending) >= min(_LOOK, watch.step - begun or 1):
                    steps = len(watch.pending)
                    self.add(watch.look(self.process))
                    clock.tick(steps)
                    self.show(bar, clock)
                if ends:
                    self.row, self.sums = self.trained(clock), {}
                if due:
                    self.save()
                if ends:
                    self.end_epoch(tensorboard)
                    clock = Clock()
                if stop.is_set():
                    raise KeyboardInterrupt(f"stopped after step {self.step}; resume continues {self.folder}")

    def add(self, sums: Tensor) -> None:
        """Of some steps to the sums of this epoch, by name: one by one, so that it does not matter when one looks."""
        for step in sums.tolist():
            for name, value in zip((*self.learner.names, "samples"), step, strict=True):
                self.sums[name] = self.sums.get(name, 0.0) + value

    def epoch(self) -> str:
        return f"epoch {max(self.step - 1, 0) // self.per_epoch + 1}/{self.recipe.epochs}"

    def means(self) -> dict[str, float]:
        """Of each loss over this epoch's samples."""
        return {name: value / self.sums["samples"] for name, value in self.sums.items() if name != "samples"}

    def show(self, bar: Progress, clock: Clock) -> None:
        said = {**self.means(), **(self.history[-1] if self.history else {})}
        shown = [f"{name.replace('_', ' ')} {_number(name, said[name])}" for name in self._shown(said)]
        rate = f"{clock.rate(self.batches.sampler.batch_size):,.0f} {self.task.unit}/s"
        bar.show(self.step, self.epoch(), *shown, rate)

    def _shown(self, said: Row) -> list[str]:
        """The losses so far, and what of them (but the first) was last found in validation."""
        names = list(self.learner.names)
        found = [f"validation_{name}" for name in names[1:] or names]
        return names + [name for name in found if name in said and said[name] == said[name]]

    def trained(self, clock: Clock) -> tuple[Row, Row]:
        """What an epoch's training says of it: the numbers, and the times."""
        epoch = self.step // self.per_epoch
        row = {"epoch": epoch, "learning_rate": self.recipe.learning_rate(epoch - 0.5 / self.per_epoch)}
        row |= {f"train_{name}": mean for name, mean in self.means().items()}
        return row, clock.row(self.batches.sampler.batch_size, self.task.unit)

    def end_epoch(self, tensorboard: bool) -> None:
        """Validate, and add a row to the history; the checkpoint is already there, should this fail."""
        assert self.row is not None
        (row, times), self.row = self.row, None
        try:
            with self.tested() as model:
                found = self.task.validate(model, self.learner.arithmetic())
        except Diverged:
            if self.process.first:
                drop_newest(self.folder)
            raise
        self.history.append({**row, **found, **times})
        if self.process.first:
            write_history(self.folder, self.history)
        if self.process.first and tensorboard:
            append_scalars(self.folder, self.history[-1])

    @contextmanager
    def tested(self) -> Iterator[nn.Module]:
        """The network to test, in evaluation mode, with the first process's weights in all of them."""
        model = self.learner.tested
        self.process.share(list(tensors(model).values()))
        before = model.training
        try:
            with torch.no_grad():
                yield model.eval()
        finally:
            model.train(before)

    def finish(self) -> Trained:
        """The one look at the test set; a run resumed after its end does not look again."""
        if not (self.folder / "metrics.json").exists():
            with self.tested() as model:
                metrics = self.task.test(model)
            if self.process.first:
                write_tensors(self.folder / "model.safetensors", self.learner.tested, self.task.header)
                metrics.save(self.folder / "metrics.json")
            self.process.wait()
        return Trained(self.learner.tested.eval(), self.history, self.folder)


def _number(name: str, value: float) -> str:
    """A loss as a number, a share in per cent."""
    return f"{value:.3g}" if name.endswith("loss") else f"{value:.2%}"
