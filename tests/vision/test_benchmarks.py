"""The benchmarks run, and what is kept of them is what the documentation may quote."""

import csv
import dataclasses
import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from benchmarks import classifiers, first_steps, readme, release, small, training
from mgnet.training.runs import write_history
from mgnet.vision import BASELINES, Recipe, Run, Sweep, build, pretrained, releases, sweep
from mgnet.vision.augment import smaller


def test_throughput_times_equal_networks() -> None:
    """Each contender takes a step; the forms agree before anything is timed."""
    notation = "MgNet[1,1]-4-B^l"
    assert training.check(notation) < 1e-10
    data = training.images()
    training.published(notation, data)()
    training.ours(notation, data, Recipe(precision="float32"))()


def test_the_first_steps_of_a_pair() -> None:
    """Each recipe on a small network: what is timed is a step, and a step that does nothing is found."""
    entry = first_steps.Entry("MgNet[1,2]-4-B^l", batch_size=4)
    for name in first_steps.RECIPES:
        row = first_steps.measure(entry, name, steps=3)
        assert len(row.losses) == 3
        assert min(row.forward_and_backward, row.optimizer) > 0
        if name == "fast, plain":
            assert row.precision == "float32"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first_steps.Timed, "__call__", lambda self: self.seconds.append(1.0))
        with pytest.raises(AssertionError, match=r"kernels of .* have not moved"):
            first_steps.measure(entry, "paper", steps=2)
    known = {entry.model for entry in first_steps.ENTRIES}
    assert set(BASELINES) <= known


def test_small_networks_are_small(capsys: pytest.CaptureFixture[str]) -> None:
    """As they are listed: at most so many parameters; the latencies are of networks that compute the same in double."""
    rows = []
    for entry, seconds in zip(small.ENTRIES, small.latency([e.model for e in small.ENTRIES], 1), strict=True):
        swept = Sweep((0, 1), (Known(0.5), Known(0.7)))  # type: ignore[arg-type]
        rows.append(small.row(entry, seconds, swept))
    machine = {"cores": 2, "processor": "a"}
    shown = small.table({"rows": rows, "epochs": 1, "images": None, "environment": machine}).splitlines()
    *_, first, second, third, empty, beside, last = shown
    assert first.startswith("| ResNet-20 | resnet20 | 269,722 | 40.6 M (1.0) |")
    assert not empty
    assert all("| 60.00 +- 14.14% |" in line for line in (first, second, third))
    assert last.startswith("MgNet, share-all: 0.57 times the parameters and 3.7 times the multiply-adds of ResNet-20")
    assert beside.endswith("0.0 points less.")
    assert all(row["parameters"] <= small.MOST for row in rows)


@dataclasses.dataclass(frozen=True)
class Known:
    """A run of which the accuracy is asked."""

    accuracy: float
    history: tuple = ()


def test_the_runs_are_kept_without_their_weights(tmp_path: Path, plots: None) -> None:
    recipe = Recipe(epochs=1, precision="float32")
    swept = sweep("MgNet[1]-4-B^l", seeds=(0, 1), out=tmp_path / "runs", recipe=recipe, progress=False)
    classifiers.collect(tmp_path / "runs", tmp_path / "results")
    for run in swept.runs:
        kept = tmp_path / "results" / run.directory.name
        assert {path.name for path in kept.iterdir()} == set(classifiers.FILES)
        assert json.loads((kept / "metrics.json").read_text())["accuracy"] == run.accuracy


def test_a_run_is_released(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, though asked twice; what comes along is what the index says."""
    lines = [release.release("tiny", run.directory, Path("data"), tmp_path) for _ in range(2)]
    assert abs(lines[1]["accuracy"] - run.accuracy) < 0.01
    monkeypatch.setattr(releases, "FOLDER", tmp_path)
    found = releases.released()
    assert [asdict(kept) for kept in found.values()] == [
        {k: lines[0][k] for k in ("run", "file", "sha256", "accuracy")}
    ]
    monkeypatch.setattr(releases, "RELEASED", found)
    network = pretrained(lines[1]["model"], "digits")
    for ours, its in zip(network.parameters(), run.model.parameters(), strict=True):
        torch.testing.assert_close(ours, its.half().float(), rtol=0, atol=0)


@pytest.mark.parametrize("name", classifiers.ENTRIES)
def test_what_is_kept_reaches_what_is_claimed(name: str) -> None:
    entry, results = classifiers.ENTRIES[name], classifiers.RESULTS / name
    if not results.exists():
        pytest.skip(f"benchmarks/results/{name} is not there: the run was never made")
    with (results / "seeds.csv").open(newline="") as file:
        rows = {row["seed"]: float(row["test_accuracy"]) for row in csv.DictReader(file)}
    assert rows["mean"] >= entry.floor
    for seed in entry.seeds:
        kept = results / f"seed{seed}"
        kept_config = json.loads((kept / "config.json").read_text())
        config = {**dataclasses.asdict(Recipe()), **kept_config}  # a field that is younger than the run had its default
        asked = {**dataclasses.asdict(entry.recipe), "model": entry.model, "seed": seed}
        assert {k: v for k, v in asked.items() if config[k] != v and k != "precision"} == {}
        assert json.loads((kept / "metrics.json").read_text())["accuracy"] == rows[str(seed)]


@pytest.mark.parametrize("entry", classifiers.ENTRIES.values(), ids=list(classifiers.ENTRIES))
def test_the_networks_of_the_table_can_be_built(entry: classifiers.Entry) -> None:
    with torch.device("meta"):
        assert build(entry.model, 1, 10, 28)(torch.empty(2, 1, 28, 28)).shape == (2, 10)
        if entry.recipe.small:
            assert build(entry.model, 3, 10, 32)(torch.empty(2, 3, *smaller((32, 32)))).shape == (2, 10)


def test_what_a_run_on_a_gpu_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two epochs of 2 s, the first on small images, of which an image costs (3/4)^2 as much; without a GPU, nothing."""
    monkeypatch.setattr(readme, "RESULTS", tmp_path)
    run = tmp_path / "cifar10-x" / "seed0"
    run.mkdir(parents=True)
    (tmp_path / "cifar10-x" / "seeds.csv").write_text("seed,test_accuracy\n")
    config = {"model": "MgNet[1]-64-B^l", "image_size": [32, 32], "small": 0.5, "epochs": 2}
    (run / "config.json").write_text(json.dumps(config))
    row = {"epoch": 1.0, "images_per_second": 4e6, "seconds": 2.0}
    write_history(run, [row, {"epoch": 2.0, "images_per_second": 1e6, "seconds": 2.0}])
    assert readme.rates() == ""
    an_image = 6 * (3 * 9 * 64 * 1024 + 64 * 9 * 64 * 1024 + 640)  # stem, B, head; A of zero is not computed
    rate = {"device": "a GPU", "flops": 4e6 * an_image}
    (tmp_path / "cifar10-x" / "rate.json").write_text(json.dumps(rate))
    small = 6 * (3 * 9 * 64 * 576 + 64 * 9 * 64 * 576 + 640)
    operations = (8e6 * small + 2e6 * an_image) / 1e15
    assert readme.rates().splitlines()[-1] == f"| cifar10-x | 0.1 | 1,000,000 | {operations:,.0f} | 25% | a GPU |"
