"""The shared loop.

1  It trains what knows no class, no image and no accuracy; the history has the task's own columns.
2  A run that is interrupted and resumed is, bit for bit, the run that was not.
3  The test set is looked at once, after the last epoch; a network does not train while it is looked at.
4  A run is resumed under its own configuration only, the task's part of it included.
5  More epochs after the end: what does not ask for their number is bitwise the longer run; what does is said and noted.
6  The members of a task are what the head of mgnet.training.loop lists.
7  Without checkpoints a finished run is what it was, and no other goes on; a rate that never falls is said.
"""

import dataclasses
import json
import os
import re
import shutil
import signal
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from mgnet.training import loop, progress, runs
from mgnet.training.checkpoints import all_checkpoints
from mgnet.training.learner import Learner
from mgnet.training.precision import resolve_precision
from mgnet.training.recipe import Steps
from mgnet.training.runs import folder_of, read_history, write_json
from mgnet.training.watch import Diverged, Watch
from mgnet.training.weights import read_tensors
from tests.training.conftest import ALONE, Antiderivative, network

STEPS = Steps(epochs=6, batch_size=8, optimizer="adamw", lr=0.01, warmup=1, precision="float32", validation=0)
EVERYTHING = dataclasses.replace(STEPS, ema=0.9, clip=1.0, accumulate=2, optimizer="muon", deterministic=True)


def fit(
    folder: Path, recipe: Steps = STEPS, seed: int = 0, resume: bool = False
) -> tuple[loop.Trained, Antiderivative]:
    task = Antiderivative(recipe, seed)
    model = network(seed)
    return loop.fit(model, task, recipe, seed, ALONE, folder, resume=resume, progress=False), task


def same_weights(one: Path, two: Path) -> bool:
    stored = [read_tensors(folder / "model.safetensors", "mgnet.made_up")[0] for folder in (one, two)]
    return stored[0].keys() == stored[1].keys() and all(torch.equal(t, stored[1][k]) for k, t in stored[0].items())


def test_what_has_no_classes_is_learned(tmp_path: Path) -> None:
    trained, _ = fit(tmp_path / "run", dataclasses.replace(STEPS, epochs=40))
    first, last = trained.history[0], trained.history[-1]
    assert last["validation_error"] < 0.3 < first["validation_error"]
    assert last["train_loss"] < last["train_error"] < first["train_error"]
    losses = ["train_loss", "train_error", "validation_error"]
    assert list(first) == ["epoch", "learning_rate", *losses, "functions_per_second", "seconds", "cpu_seconds"]
    assert read_history(tmp_path / "run") == trained.history
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert found == {"samples": 20, "error": pytest.approx(last["validation_error"])}
    assert not trained.model.training


@pytest.mark.parametrize("recipe", [STEPS, EVERYTHING], ids=["plain", "everything"])
def test_resume_is_bitwise(tmp_path: Path, recipe: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    update = Learner.update

    def interrupted(self, step, parts):  # type: ignore[no-untyped-def]
        if step == 21:
            os.kill(os.getpid(), signal.SIGINT)
        return update(self, step, parts)

    whole, _ = fit(tmp_path / "whole", recipe)
    monkeypatch.setattr(Learner, "update", interrupted)
    with pytest.raises(KeyboardInterrupt, match="stopped after step 22"):
        fit(tmp_path / "cut", recipe)
    monkeypatch.undo()
    resumed, _ = fit(tmp_path / "cut", recipe, resume=True)
    assert same_weights(tmp_path / "whole", tmp_path / "cut")
    assert [row["train_error"] for row in whole.history] == [row["train_error"] for row in resumed.history]


def test_a_network_that_is_looked_at_does_not_train_meanwhile(tmp_path: Path) -> None:
    """Nor has it gradients; then training goes on."""
    recipe, seen = dataclasses.replace(STEPS, epochs=2), list[bool]()
    model = network()
    model.register_forward_hook(lambda module, *_: seen.extend((module.training, torch.is_grad_enabled())))
    loop.fit(model, Antiderivative(recipe), recipe, 0, ALONE, tmp_path / "run", progress=False)
    assert seen == 2 * (8 * [True, True] + [False, False]) + [False, False]


def test_the_test_set_is_looked_at_once(tmp_path: Path) -> None:
    _, first = fit(tmp_path / "run")
    again, second = fit(tmp_path / "run", resume=True)
    assert (first.tested, second.tested) == (1, 0)
    assert len(again.history) == STEPS.epochs


def test_a_run_is_resumed_under_its_own_configuration_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(tmp_path / "run")
    with pytest.raises(FileExistsError, match="Pass resume"):
        fit(tmp_path / "run")
    with pytest.raises(ValueError, match=r"lr: 0\.01 then, 0\.02 now"):
        fit(tmp_path / "run", dataclasses.replace(STEPS, lr=0.02), resume=True)
    task = Antiderivative(STEPS)
    task.config = {"task": "derivative"}
    with pytest.raises(ValueError, match="task: 'antiderivative' then, 'derivative' now"):
        loop.fit(network(), task, STEPS, 0, ALONE, tmp_path / "run", resume=True)


def read(folder: Path, name: str) -> dict:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def test_more_epochs_are_those_of_the_longer_run(tmp_path: Path) -> None:
    """Where the schedule does not ask how many there are: twice extended, and never stopped."""
    recipe = dataclasses.replace(EVERYTHING, schedule="step", step_epochs=2)
    for epochs in (3, 4, 7):
        fit(tmp_path / "short", dataclasses.replace(recipe, epochs=epochs), resume=True)
    whole, _ = fit(tmp_path / "whole", dataclasses.replace(recipe, epochs=7))
    assert same_weights(tmp_path / "whole", tmp_path / "short")
    assert [row["train_error"] for row in read_history(tmp_path / "short")] == [
        row["train_error"] for row in whole.history
    ]
    assert read(tmp_path / "short", "metrics.json") == read(tmp_path / "whole", "metrics.json")
    assert read(tmp_path / "short", "config.json")["extended"] == [[3, 24], [4, 32]]


def test_more_epochs_under_another_schedule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cosine that has come to 0 goes up to where that of more epochs is; what was before stays as it was."""
    short, more = STEPS, dataclasses.replace(STEPS, epochs=9)
    first, _ = fit(tmp_path / "whole", short)
    tested = read(tmp_path / "whole", "metrics.json")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    with pytest.warns(UserWarning, match=r"from epoch 6 on .* 9 epochs: .* is 0\.00309 there, where it was 0 with 6"):
        whole, task = fit(tmp_path / "whole", more, resume=True)
    rates = [row["learning_rate"] for row in whole.history]
    assert rates == [(short if e < 6 else more).learning_rate(e + 1 - 0.5 / 8) for e in range(9)]
    assert whole.history[:6] == first.history
    assert task.tested == 1
    assert read(tmp_path / "whole", "metrics-6-epochs.json") == tested != read(tmp_path / "whole", "metrics.json")
    assert (tmp_path / "whole" / "model-6-epochs.safetensors").exists()
    config = read(tmp_path / "whole", "config.json")
    assert (config["epochs"], config["extended"]) == (9, [[6, 48]])
    update = Learner.update

    def interrupted(self, step, parts):  # type: ignore[no-untyped-def]
        if step == 60:
            os.kill(os.getpid(), signal.SIGINT)
        return update(self, step, parts)

    monkeypatch.setattr(Learner, "update", interrupted)
    with pytest.warns(UserWarning, match="from epoch 6 on"), pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut", more, resume=True)
    monkeypatch.undo()
    assert not (tmp_path / "cut" / "model.safetensors").exists()  # the newest checkpoint speaks for the run
    fit(tmp_path / "cut", more, resume=True)
    assert same_weights(tmp_path / "whole", tmp_path / "cut")
    assert read(tmp_path / "cut", "config.json") == config
    with pytest.raises(ValueError, match="or more epochs; epochs: 9 then, 6 now"):
        fit(tmp_path / "whole", short, resume=True)


def test_a_run_that_goes_back_says_from_where_it_had_more(tmp_path: Path) -> None:
    """The checkpoint that it was extended from is damaged and removed: the one before takes its place."""
    recipe = dataclasses.replace(STEPS, schedule="step", step_epochs=1)
    fit(tmp_path / "run", dataclasses.replace(recipe, epochs=2))
    write_json(
        tmp_path / "run" / "config.json", read(tmp_path / "run", "config.json") | {"epochs": 5, "extended": [[2, 16]]}
    )
    shutil.rmtree(all_checkpoints(tmp_path / "run")[-1])
    (tmp_path / "run" / "metrics.json").unlink()
    fit(tmp_path / "run", dataclasses.replace(recipe, epochs=5), resume=True)
    assert read(tmp_path / "run", "config.json")["extended"] == [[2, 8]]


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="the loss is not finite at step"):
        fit(tmp_path / "run", dataclasses.replace(STEPS, optimizer="sgd", lr=1e30, warmup=2.0))
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_folders_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An example runs twice; what is resumed is the last run, and `out` is taken as it is."""
    monkeypatch.chdir(tmp_path)
    assert folder_of(None, "run", True, ALONE) == Path("runs/run")
    for expected in ("run", "run-2", "run-3"):
        folder = folder_of(None, "run", False, ALONE)
        assert folder == Path("runs") / expected
        fit(folder, dataclasses.replace(STEPS, epochs=1))
        assert folder_of(None, "run", True, ALONE) == folder
    assert folder_of("runs/run", "run", False, ALONE) == Path("runs/run")


def test_a_run_that_died_before_its_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever write it died in: the configuration is the last, and makes the folder a run's."""
    whole = runs.write_json
    for dies in range(2):
        written = []

        def write(path: Path, content: dict, dies: int = dies, written: list = written) -> None:
            if len(written) == dies:
                raise KeyboardInterrupt
            written.append(path)
            whole(path, content)

        monkeypatch.setattr(runs, "write_json", write)
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / str(dies), STEPS)
        monkeypatch.setattr(runs, "write_json", whole)
        fit(tmp_path / str(dies), STEPS, resume=True)
        assert runs.read_config(tmp_path / str(dies) / "environment.json")


@pytest.mark.parametrize("text", ["[]", "[" * 100_000, '{"epochs": "1"}', "{}", '{"epochs": NaN}', "null", ""])
def test_an_edited_configuration(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"is damaged|needs the configuration"):
        fit(tmp_path, STEPS, resume=True)


def test_bad_intervals_leave_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`checkpoint_every` must be a whole number of at least 1; it is 0"):
        loop.fit(network(), Antiderivative(STEPS), STEPS, 0, ALONE, tmp_path / "run", checkpoint_every=0)
    assert not (tmp_path / "run").exists()


def test_checkpoints_within_an_epoch(tmp_path: Path) -> None:
    loop.fit(network(), Antiderivative(STEPS), STEPS, 0, ALONE, tmp_path / "run", checkpoint_every=5, progress=False)
    assert [path.name for path in all_checkpoints(tmp_path / "run")] == ["step-00000045", "step-00000048"]


LOSSES = (r"epoch 6/6", r"loss 0\.\d", r"error \d+\.\d\d%", r"validation error \d+\.\d\d%", r"functions/s")


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_shown_says_each_loss_in_its_way(
    terminal: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal in a bar; in a pipe in lines, from before the first step on."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    loop.fit(network(), Antiderivative(STEPS), STEPS, 0, ALONE, tmp_path / "run")
    shown = capsys.readouterr().err
    assert ("\r" in shown) is terminal
    if not terminal:
        assert shown.splitlines()[0] == f"step 0/48, epoch 1/6, run in {tmp_path / 'run'}"
    last = re.split(r"[\r\n]", shown.strip())[-1]
    for said in LOSSES:
        assert re.search(said, last), (said, last)


def test_lines_come_when_twice_the_time_has_passed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At first soon, at last each half a minute; the first look at the loss is after the first step."""
    now = iter(range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))
    with progress.Progress(200, "step", True) as shown:
        for step in range(200):
            shown.show(step)
    steps = [int(line.split("/")[0].split()[1]) for line in capsys.readouterr().err.splitlines()]
    assert steps == [0, 1, 3, 7, 15, 31, 61, 91, 121, 151, 181]


def test_when_one_looks_at_the_loss_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, look = [], Watch.look

    def counted(self, process):  # type: ignore[no-untyped-def]
        looks.append(len(self.pending))
        return look(self, process)

    recipe, histories = dataclasses.replace(STEPS, epochs=2, batch_size=1), []
    monkeypatch.setattr(Watch, "look", counted)
    for most in (1, 20):
        monkeypatch.setattr(loop, "_LOOK", most)
        histories.append(fit(tmp_path / str(most), recipe)[0].history)
    assert looks[128:] == [1, 1, 2, 4, 8, 16, 20, 12, 20, 20, 20, 4]
    assert [row["train_loss"] for row in histories[0]] == [row["train_loss"] for row in histories[1]]


def test_the_head_of_the_file_lists_the_members_of_a_task() -> None:
    assert loop.__doc__ is not None
    members = {name for name in dir(loop.Task) if not name.startswith("_")} | set(loop.Task.__annotations__)
    listed = re.findall(r"^    (\w+) {2,}\S", loop.__doc__.partition("`validate` and `test`")[0], re.MULTILINE)
    assert set(listed) == members


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_channels_last_whatever_the_dimension(ndim: int) -> None:
    """The same losses as in the plain order."""
    conv = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[ndim]
    x = torch.randn(4, 2, *(6,) * ndim, generator=torch.Generator().manual_seed(0))
    sums = []
    for channels_last in (False, True):
        torch.manual_seed(0)
        recipe = dataclasses.replace(STEPS, channels_last=channels_last)
        losses = Antiderivative(STEPS).losses
        learner = Learner(nn.Sequential(conv(2, 3, 3, padding=1), conv(3, 2, 1)), losses, recipe, 0, 1, ALONE)
        sums.append(torch.stack([learner.update(step, [(x, x)]) for step in range(3)]))
    torch.testing.assert_close(*sums)


def test_the_average_of_few_steps_is_of_all_of_them() -> None:
    """Each step's weights count ema^age and all together 1; the first ones count no more than the others."""
    recipe = dataclasses.replace(STEPS, ema=0.99)
    task, model = Antiderivative(recipe), network()
    learner, seen = Learner(model, task.losses, recipe, 0, 4, ALONE), []
    for step, parts in enumerate(task.batches.stream(0, 4)):
        learner.update(step, parts)
        seen.append([p.detach().clone() for p in learner.model.parameters()])
    shares = 0.99 ** torch.arange(3, -1, -1.0)
    shares /= shares.sum()
    for average, each in zip(learner.tested.parameters(), zip(*seen, strict=True), strict=True):
        torch.testing.assert_close(average, torch.tensordot(shares, torch.stack(each), 1))


def test_bfloat16_losses_are_of_single_precision() -> None:
    recipe = dataclasses.replace(STEPS, precision="bfloat16")
    task = Antiderivative(recipe)
    seen = []
    losses = lambda output, target: seen.append(output.dtype) or task.losses(output, target)  # noqa: E731
    Learner(network(), losses, recipe, 0, 1, ALONE).update(0, next(task.batches.stream(0, 1)))
    assert seen == [torch.float32]
    assert resolve_precision("bfloat16", ALONE.device) == "bfloat16"


def test_a_finished_run_that_has_lost_its_checkpoints_is_read(tmp_path: Path) -> None:
    """Its network is the one that was tested, and not another that is trained anew under the old metrics."""
    whole, _ = fit(tmp_path / "run", EVERYTHING)
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    again, task = fit(tmp_path / "run", EVERYTHING, resume=True)
    assert task.tested == 0
    assert again.history == whole.history
    assert all(torch.equal(p, q) for p, q in zip(again.model.parameters(), whole.model.parameters(), strict=True))


@pytest.mark.parametrize(
    "lost", ["metrics.json", "model.safetensors", None], ids=["unfinished", "no weights", "longer"]
)
def test_without_a_checkpoint_there_is_nothing_to_go_on_from(tmp_path: Path, lost: str | None) -> None:
    fit(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    if lost is not None:
        (tmp_path / "run" / lost).unlink()
    before = (tmp_path / "run" / "history.csv").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="`resume` needs a checkpoint to go on from"):
        fit(tmp_path / "run", STEPS if lost else dataclasses.replace(STEPS, epochs=7), resume=True)
    assert (tmp_path / "run" / "history.csv").read_text(encoding="utf-8") == before


def test_steps_that_never_come_are_said(tmp_path: Path) -> None:
    recipe = dataclasses.replace(STEPS, schedule="step", step_epochs=6)
    with pytest.warns(UserWarning, match="stays 0.01: .* `step_epochs` = 6, and there are 6 epochs"):
        fit(tmp_path / "run", recipe)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(tmp_path / "other", dataclasses.replace(recipe, step_epochs=5))
