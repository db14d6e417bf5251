"""Training: reproducible, resumable bit for bit, honest about the test set; failures are said and lose nothing."""

import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import mgnet
from mgnet.training.checkpoints import all_checkpoints
from mgnet.training.learner import Learner
from mgnet.training.weights import tensors
from mgnet.vision import Diverged, Recipe, Run, train
from mgnet.vision.weights import read_weights
from tests.vision.samples import write_cifar10, write_folder

TINY = "MgNet[1,1]-8-B^l"
QUICK = Recipe(epochs=2, batch_size=64, precision="float32", warmup=0.5)
EVERYTHING = dataclasses.replace(
    QUICK,
    ema=0.9,
    clip=1.0,
    accumulate=2,
    mixup=0.2,
    cutmix=1.0,
    cutout=0.3,
    flip="alternating",
    auto_augment="trivialaugment",
    deterministic=True,
    small=0.5,
    optimizer="muon",
    balanced=True,
    class_weights=tuple(range(1, 11)),
)


def same_weights(one: Run | Path, two: Run | Path) -> bool:
    stored = [read_weights((r.directory if isinstance(r, Run) else r) / "model.safetensors")[0] for r in (one, two)]
    return stored[0].keys() == stored[1].keys() and all(torch.equal(t, stored[1][k]) for k, t in stored[0].items())


def results(run: Run) -> list[dict[str, float]]:
    """The history without its times."""
    timed = ("images_per_second", "seconds", "cpu_seconds")
    return [{k: v for k, v in row.items() if k not in timed} for row in run.history]


def test_a_run_learns_and_leaves_its_folder(run: Run) -> None:
    assert run.accuracy > 0.3
    assert run.history[-1]["train_loss"] < run.history[0]["train_loss"]
    names = {path.relative_to(run.directory).as_posix() for path in run.directory.rglob("*") if path.is_file()}
    plots = {f"plots/{name}.png" for name in ("learning_curves", "confusion_matrix", "feature_maps")}
    files = {"config.json", "environment.json", "history.csv", "metrics.json", "model.safetensors", "report.html"}
    assert plots | files <= names
    assert not any(name.split("/")[-1].startswith(".") for name in names)
    assert not run.model.training


def test_history_is_what_the_csv_says(run: Run) -> None:
    assert mgnet.vision.read_history(run.directory) == run.history
    assert all(row["images_per_second"] > 0 and row["cpu_seconds"] > 0 for row in run.history)


def test_the_same_seed_gives_the_same_run_and_another_does_not(run: Run, tmp_path: Path) -> None:
    again = train(TINY, seed=3, out=tmp_path / "a", recipe=QUICK, progress=False)
    other = train(TINY, seed=4, out=tmp_path / "b", recipe=QUICK, progress=False)
    assert same_weights(run, again)
    assert results(run) == results(again)
    assert not same_weights(run, other)


def test_the_test_set_does_not_touch_the_training(tmp_path: Path, rng: np.random.Generator) -> None:
    """Another test set, another normalisation of nothing: the same weights."""
    write_cifar10(tmp_path / "one", rng)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    write_cifar10(tmp_path / "other", np.random.default_rng(9))
    batch = "cifar-10-batches-py/test_batch"
    shutil.copy(tmp_path / "other" / batch, tmp_path / "two" / batch)
    runs = [
        train(TINY, "cifar10", tmp_path / d, out=tmp_path / f"r{d}", recipe=QUICK, progress=False)
        for d in ("one", "two")
    ]
    assert same_weights(*runs)
    assert runs[0].metrics != runs[1].metrics


@pytest.mark.parametrize("recipe", [QUICK, EVERYTHING], ids=["plain", "everything"])
def test_resume_after_an_interruption_is_bitwise(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle of the second epoch."""
    whole = train(TINY, out=tmp_path / "whole", recipe=recipe, progress=False)
    update = Learner.update

    def interrupted(self, step, parts):  # type: ignore[no-untyped-def]
        if step == 25:
            os.kill(os.getpid(), signal.SIGINT)
        return update(self, step, parts)

    monkeypatch.setattr(Learner, "update", interrupted)
    with pytest.raises(KeyboardInterrupt, match="stopped after step 26"):
        train(TINY, out=tmp_path / "cut", recipe=recipe, progress=False)
    monkeypatch.undo()
    assert all_checkpoints(tmp_path / "cut")[-1].name == "step-00000026"
    resumed = train(TINY, out=tmp_path / "cut", recipe=recipe, resume=True, progress=False)
    assert same_weights(whole, resumed)
    assert results(whole) == results(resumed)
    assert whole.metrics == resumed.metrics


_KILLED = """
import torch, mgnet
from mgnet.vision import Recipe, train
torch.set_num_threads(1)
recipe = Recipe(epochs=10, batch_size=64, precision="float32", ema=0.9)
train("MgNet[1,1]-8-B^l", out={out!r}, recipe=recipe, checkpoint_every=3, progress=False)
"""


def test_resume_after_kill_9_is_bitwise(tmp_path: Path) -> None:
    recipe = Recipe(epochs=10, batch_size=64, precision="float32", ema=0.9)
    process = subprocess.Popen([sys.executable, "-c", _KILLED.format(out=str(tmp_path / "cut"))], env=dict(os.environ))
    deadline = time.monotonic() + 120
    while len(all_checkpoints(tmp_path / "cut")) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    reached = int(all_checkpoints(tmp_path / "cut")[-1].name.split("-")[1])
    assert 0 < reached < 10 * 20
    resumed = train(TINY, out=tmp_path / "cut", recipe=recipe, resume=True, progress=False)
    whole = train(TINY, out=tmp_path / "whole", recipe=recipe, progress=False)
    assert same_weights(whole, resumed)
    assert results(whole) == results(resumed)


def test_resume_without_a_checkpoint_starts(tmp_path: Path, run: Run) -> None:
    started = train(TINY, seed=3, out=tmp_path / "new", recipe=QUICK, resume=True, progress=False)
    assert same_weights(run, started)


def test_a_finished_run_is_only_read_again(run: Run) -> None:
    before = (run.directory / "metrics.json").stat().st_mtime_ns
    again = train(TINY, seed=3, out=run.directory, recipe=QUICK, resume=True, progress=False)
    assert (run.directory / "metrics.json").stat().st_mtime_ns == before
    assert again.metrics == run.metrics
    assert results(again) == results(run)


def test_a_run_is_not_overwritten(run: Run) -> None:
    with pytest.raises(FileExistsError, match="Pass resume"):
        train(TINY, seed=3, out=run.directory, recipe=QUICK, progress=False)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"recipe": dataclasses.replace(QUICK, lr=0.2)}, "lr: 0.1 then, 0.2 now"),
        ({"epochs": 1}, "epochs: 2 then, 1 now"),
        ({"model": "MgNet[2,1]-8-B^l"}, "model: 'MgNet[1,1]-8-B^l' then, 'MgNet[2,1]-8-B^l' now"),
        ({"seed": 4}, "seed: 3 then, 4 now"),
    ],
)
def test_resume_into_a_changed_configuration(run: Run, changed: dict, says: str) -> None:
    arguments: dict = {"model": TINY, "seed": 3, "out": run.directory, "recipe": QUICK, "resume": True, **changed}
    with pytest.raises(ValueError, match="`resume` needs the configuration") as caught:
        train(**arguments, progress=False)
    assert says in str(caught.value)


def test_a_damaged_checkpoint_is_named(tmp_path: Path, run: Run) -> None:
    shutil.copytree(run.directory, tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink()
    last = all_checkpoints(tmp_path / "run")[-1]
    (last / "state.pt").write_bytes((last / "state.pt").read_bytes()[:1000])
    with pytest.raises(ValueError, match=rf"state\.pt is damaged: .*Remove {last.name}"):
        train(TINY, seed=3, out=tmp_path / "run", recipe=QUICK, resume=True, progress=False)
    shutil.rmtree(last)
    resumed = train(TINY, seed=3, out=tmp_path / "run", recipe=QUICK, resume=True, progress=False)
    assert same_weights(run, resumed)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = Learner.update

    def poisoned(self, step, parts):  # type: ignore[no-untyped-def]
        if step == 30:
            with torch.no_grad():
                next(self.model.parameters()).fill_(float("nan"))
        return update(self, step, parts)

    monkeypatch.setattr(Learner, "update", poisoned)
    with pytest.raises(Diverged, match="not finite at step 31"):
        train(TINY, out=tmp_path / "run", recipe=QUICK, progress=False)
    (kept,) = all_checkpoints(tmp_path / "run")
    stored, _ = read_weights(kept / "model.safetensors")
    assert kept.name == "step-00000020"
    assert all(t.isfinite().all() for t in stored.values())


def test_a_full_disk_is_said_and_keeps_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = torch.save

    def full(state, file):  # type: ignore[no-untyped-def]
        if state["step"] > 20:
            raise OSError(28, "No space left on device")
        save(state, file)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"step-00000040 cannot be written: No space left on device\. Free some space"):
        train(TINY, out=tmp_path / "run", recipe=QUICK, progress=False)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000020"]
    monkeypatch.undo()
    resumed = train(TINY, out=tmp_path / "run", recipe=QUICK, resume=True, progress=False)
    assert same_weights(train(TINY, out=tmp_path / "whole", recipe=QUICK, progress=False), resumed)


@pytest.fixture
def largest_file() -> Iterator[Callable[[int], None]]:
    """Lets no file grow beyond so many bytes: the system's own way to refuse a write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("file", ["model.safetensors", "state.pt"])
def test_a_write_that_the_system_refuses(
    tmp_path: Path, run: Run, file: str, largest_file: Callable[[int], None]
) -> None:
    first = all_checkpoints(run.directory)[0]
    largest_file((first / file).stat().st_size - 1)
    with pytest.raises(OSError, match=r"step-00000020 cannot be written: .*Free some space"):
        train(TINY, seed=3, out=tmp_path / "run", recipe=QUICK, progress=False)
    assert list((tmp_path / "run" / "checkpoints").iterdir()) == []


def test_an_unwritable_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="cannot be written"):
        train(TINY, out=tmp_path / "file" / "run", recipe=QUICK, progress=False)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"model": "MgNet[1,1]-8-C^l"}, "Did you mean 'B^l'"),
        ({"model": "resnet-18"}, "Did you mean 'resnet18'"),
        ({"dataset": "digit"}, "Did you mean 'digits'"),
        *(({"device": word}, "`device` must be cpu or cuda") for word in ("gpu", "meta", "mps", "cuda:x", "", 0.5)),
        ({"epochs": 0}, "`epochs` must be a whole number of at least 1"),
        ({"checkpoint_every": 0}, "`checkpoint_every` must be"),
        ({"checkpoint_every": "often"}, "`checkpoint_every` must be a whole number of at least 1; it is 'often'"),
        ({"recipe": "fast"}, "makes one; it is 'fast'"),
        ({"freeze": 1.5}, "`freeze` must be a number of grids, or names of parameters; it is 1.5"),
        ({"dataset": "cifar10", "data": 3}, "`data` must be a path, as"),
        ({"out": 3}, "`out` must be a path, as"),
    ],
)
def test_bad_arguments_leave_no_folder(tmp_path: Path, arguments: dict, says: str) -> None:
    with pytest.raises((ValueError, TypeError), match="must") as caught:
        train(**{"model": TINY, "out": tmp_path / "run", **arguments}, progress=False)
    assert says in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("optimizer", "adam"),
        ("schedule", "cosin"),
        ("precision", "float16"),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("momentum", 1.0),
        ("epochs", 1.5),
        ("crop", 2.0),
        ("validation", 1.0),
        ("label_smoothing", -0.1),
        ("batch_size", "128"),
    ],
)
def test_a_recipe_refuses(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"`{field}` must be"):
        Recipe(**{field: value})  # type: ignore[arg-type]


def test_a_network_that_cannot_take_small_images(tmp_path: Path, rng: np.random.Generator) -> None:
    write_cifar10(tmp_path, rng)
    recipe = dataclasses.replace(QUICK, small=0.5)
    with pytest.raises(ValueError, match=r"`small` must be 0: .* \(24, 24\)"):
        train("vgg19", "cifar10", tmp_path, out=tmp_path / "run", recipe=recipe, progress=False)
    assert not (tmp_path / "run").exists()


def test_averages_are_what_is_saved(tmp_path: Path) -> None:
    run = train(TINY, out=tmp_path / "run", recipe=dataclasses.replace(QUICK, ema=0.99), progress=False)
    stored, _ = read_weights(run.directory / "model.safetensors")
    assert all(torch.equal(stored[name], t) for name, t in tensors(run.model).items())


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "adamw", "lr": 0.01},
        {"optimizer": "muon"},
        {"precision": "bfloat16"},
        {"channels_last": False, "nesterov": False},
        {"schedule": "one-cycle", "validation": 0.0},
    ],
    ids=["adamw", "muon", "bfloat16", "contiguous", "no validation"],
)
def test_recipes_that_learn(tmp_path: Path, change: dict) -> None:
    recipe = dataclasses.replace(QUICK, epochs=4, **change)
    assert train("MgNet[1,1]-16-B^l", out=tmp_path / "run", recipe=recipe, progress=False).accuracy > 0.7


@pytest.mark.parametrize("image_size", [None, 20])
def test_a_class_folder_from_memory_and_from_disk(
    tmp_path: Path, rng: np.random.Generator, image_size: int | None, plots: None
) -> None:
    root = write_folder(tmp_path / "pets", rng, count=24, size=(20, 20))
    recipe = dataclasses.replace(QUICK, epochs=6, batch_size=16, erasing=0.2)
    run = train(TINY, str(root), out=tmp_path / "run", recipe=recipe, image_size=image_size, progress=False)
    assert run.accuracy > 0.9
    assert (run.directory / "plots" / "feature_maps.png").exists()
    assert mgnet.vision.evaluate(run.directory) == run.metrics
    predictions = mgnet.vision.predict(run.directory, root / "test")
    right = sum(
        Path(image).parent.name == name for image, name in zip(predictions.images, predictions.names, strict=True)
    )
    assert right / len(predictions) == run.accuracy


def test_a_stream_from_disk_resumes_bitwise(tmp_path: Path, rng: np.random.Generator, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    root = str(write_folder(tmp_path / "pets", rng, count=24))
    recipe = dataclasses.replace(QUICK, batch_size=8, auto_augment="randaugment", erasing=0.5, balanced=True)
    common = {"dataset": root, "recipe": recipe, "image_size": 16, "progress": False}
    whole = train(TINY, out=tmp_path / "whole", **common)  # type: ignore[arg-type]
    update = Learner.update

    def failing(self, step, parts):  # type: ignore[no-untyped-def]
        if step == 7:
            raise RuntimeError("power cut")
        return update(self, step, parts)

    monkeypatch.setattr(Learner, "update", failing)
    with pytest.raises(RuntimeError, match="power cut"):
        train(TINY, out=tmp_path / "cut", checkpoint_every=3, **common)  # type: ignore[arg-type]
    monkeypatch.undo()
    assert all_checkpoints(tmp_path / "cut")[-1].name == "step-00000006"
    assert same_weights(whole, train(TINY, out=tmp_path / "cut", resume=True, **common))  # type: ignore[arg-type]


def test_seeds_give_a_mean_and_a_spread(tmp_path: Path) -> None:
    swept = mgnet.vision.sweep(TINY, seeds=(0, 1), out=tmp_path / "sweep", recipe=QUICK, progress=False)
    assert swept.mean == pytest.approx(sum(swept.accuracies) / 2)
    assert swept.std == pytest.approx(abs(swept.accuracies[0] - swept.accuracies[1]) / 2**0.5)
    rows = (tmp_path / "sweep" / "seeds.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["seed", "0", "1", "mean", "std"]
    with pytest.raises(ValueError, match="different numbers"):
        mgnet.vision.sweep(TINY, seeds=(0, 0), out=tmp_path / "twice", recipe=QUICK)


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `logging` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(TINY, out=tmp_path / "run", recipe=QUICK, tensorboard=True, progress=False)
    events = EventAccumulator(str(run.directory / "tensorboard")).Reload()
    logged = [event.value for event in events.Scalars("train_loss")]
    assert logged == pytest.approx([row["train_loss"] for row in run.history])


def test_the_configuration_says_everything(run: Run) -> None:
    config = json.loads((run.directory / "config.json").read_text())
    assert {field.name for field in dataclasses.fields(Recipe)} <= config.keys()
    assert (config["model"], config["dataset"], config["seed"], config["parts"]) == (TINY, "digits", 3, 1)


def test_compiled_training_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graphs that the compiler gets, forwards and backwards, of two sizes of images; what it makes of them is run
    as it is.
    """
    from torch._dynamo.backends.debugging import aot_eager  # two seconds

    seen = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable:
        seen.append(graph)
        return aot_eager(graph, inputs)

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    recipe = dataclasses.replace(QUICK, epochs=4, compile=True, small=0.5)
    assert train("MgNet[1,1]-16-B^l", out=tmp_path / "run", recipe=recipe, progress=False).accuracy > 0.7
    assert len(seen) == 2


@pytest.mark.gpu
def test_training_on_a_gpu(tmp_path: Path) -> None:
    """Deterministic: twice the same."""
    recipe = dataclasses.replace(QUICK, epochs=4, deterministic=True)
    runs = [
        train("MgNet[1,1]-16-B^l", out=tmp_path / name, recipe=recipe, device="cuda", progress=False) for name in "ab"
    ]
    assert runs[0].accuracy > 0.7
    assert [row["train_loss"] for row in runs[0].history] == [row["train_loss"] for row in runs[1].history]
