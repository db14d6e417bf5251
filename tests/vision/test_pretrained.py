"""The networks that come along: the released bytes and no others, and as good as they are said to be."""

import json
from pathlib import Path

import pytest
import torch

import mgnet
from mgnet.vision import RELEASED, evaluate, predict, pretrained, pretrained_file
from mgnet.vision.weights import load_weights

ROOT = Path(__file__).parents[2]
NAMES = list(RELEASED)


@pytest.mark.parametrize(("model", "dataset"), NAMES)
def test_the_network_is_the_one_it_is_called(model: str, dataset: str) -> None:
    network = pretrained(model, dataset)
    _, card = load_weights(pretrained_file(model, dataset))
    assert (card.model, card.dataset, network.training) == (model, dataset, False)
    assert all(t.isfinite().all() for t in network.state_dict().values())
    probabilities = predict(pretrained_file(model, dataset), torch.rand(2, card.in_channels, *card.image_size))
    assert probabilities.classes == card.classes


@pytest.mark.parametrize(("model", "dataset"), NAMES)
def test_the_run_that_made_it_is_kept(model: str, dataset: str) -> None:
    """The weights are the run's, rounded to half precision, which moves the accuracy by 0.05% at most."""
    kept = ROOT / "benchmarks" / "results" / RELEASED[model, dataset].run / "seed0"
    config = json.loads((kept / "config.json").read_text())
    assert (config["model"], config["dataset"]) == (model, dataset)
    accuracy = json.loads((kept / "metrics.json").read_text())["accuracy"]
    assert RELEASED[model, dataset].accuracy == pytest.approx(accuracy, abs=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "dataset"), NAMES)
def test_it_is_as_good_as_it_is_said_to_be(model: str, dataset: str) -> None:
    """Slow: 10,000 images."""
    try:
        metrics = evaluate(pretrained_file(model, dataset), data=ROOT / "data", device="cpu")
    except FileNotFoundError:
        pytest.skip(f"{dataset} is not in data/")
    assert metrics.accuracy == pytest.approx(RELEASED[model, dataset].accuracy, abs=3e-4)


@pytest.mark.parametrize(
    ("model", "dataset", "says"),
    [
        (
            "MgNet[2,2,2,2]-[32,64,128,256]-B^l",
            "cifar100",
            "Did you mean MgNet[2,2,2,2]-[32,64,128,256]-B^l on cifar10?",
        ),
        ("resnet", "x", "There is: MgNet"),
    ],
)
def test_what_there_is_is_said(model: str, dataset: str, says: str) -> None:
    with pytest.raises(ValueError, match="`model` and `dataset` must be a trained network") as caught:
        pretrained(model, dataset)
    assert says in str(caught.value)


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    content = bytearray(pretrained_file(*NAMES[0]).read_bytes())
    content[-1] ^= 1
    monkeypatch.setattr(mgnet.vision.releases, "FOLDER", tmp_path)
    if damage != "gone":
        (tmp_path / RELEASED[NAMES[0]].file).write_bytes(content if damage == "flipped" else content[:-100])
    with pytest.raises(ValueError, match="is damaged: its SHA-256 must be"):
        pretrained(*NAMES[0])
