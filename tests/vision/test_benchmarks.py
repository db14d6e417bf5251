"""The benchmarks run, and what is kept of them is what the documentation may quote."""

import csv
import dataclasses
import json
from pathlib import Path

import pytest
import torch

from benchmarks import classifiers, training
from mgnet.vision import Recipe, build, sweep


def test_throughput_times_equal_networks() -> None:
    """Each contender takes a step; the forms agree before anything is timed."""
    notation = "MgNet[1,1]-4-B^l"
    assert training.check(notation) < 1e-10
    data = training.images()
    training.published(notation, data)()
    training.ours(notation, data, Recipe(precision="float32"))()


def test_the_runs_are_kept_without_their_weights(tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, precision="float32")
    swept = sweep((0, 1), "MgNet[1]-4-B^l", out=tmp_path / "runs", recipe=recipe, progress=False)
    classifiers.collect(tmp_path / "runs", tmp_path / "results")
    for run in swept.runs:
        kept = tmp_path / "results" / run.directory.name
        assert {path.name for path in kept.iterdir()} == set(classifiers.FILES)
        assert json.loads((kept / "metrics.json").read_text())["accuracy"] == run.accuracy


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
