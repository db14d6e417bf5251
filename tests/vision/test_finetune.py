"""What a training begins from, and how networks that mgnet did not train become checkpoints.

1  Each way to say `start` gives the same weights; a run is resumed from its own start only.
2  A network with weights and what is known of it is a checkpoint for all that takes one.
3  What does not fit is refused, and names the argument.
"""

import copy
import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from mgnet.training.weights import tensors
from mgnet.vision import (
    MgNet,
    Run,
    build,
    evaluate,
    export,
    load_published_checkpoint,
    predict,
    pretrained,
    pretrained_file,
    save_checkpoint,
    train,
)
from mgnet.vision.finetune import begin_from
from tests.vision.conftest import QUICK, TINY
from tests.vision.test_published import saved, state

GREY = {"mean": [0.5], "std": [0.25], "image_size": 8}
RELEASE = "MgNet[2,2,2,2]-[32,64,128,256]-B^l"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """MgNet[2,2]-6-B^l with seven classes of three channels."""
    return saved(tmp_path / "published.pth", {"model_state_dict": state([2, 2], 6, 6, own=False)})


# 1


def test_each_way_to_say_a_start_gives_the_same_weights(run: Run) -> None:
    for start in (run, run.directory, str(run.directory / "model.safetensors"), run.model):
        network = build(TINY, 1, 10, 8)
        assert begin_from(network, start) == ()
        assert all(torch.equal(t, tensors(run.model)[name]) for name, t in tensors(network).items())
        other = build(TINY, 1, 3, 8)
        assert begin_from(other, start) == ("head.weight", "head.bias")


def test_a_published_checkpoint_is_a_start(published: Path) -> None:
    network, theirs = build("MgNet[2,2]-6-B^l", 3, 2), load_published_checkpoint(published)
    assert begin_from(network, published) == ("head.weight", "head.bias")
    assert torch.equal(network.levels[1].Bs[0].B.weight, theirs.levels[1].Bs[0].B.weight.float())  # type: ignore
    with pytest.raises(ValueError, match=r"`start` must fit the network but for its head; .*published\.pth does not"):
        begin_from(build("MgNet[2,2]-6-B^{l,i}"), published)


def test_a_pretrained_network_is_a_start() -> None:
    network = build(RELEASE, 3, 4)
    assert begin_from(network, pretrained(RELEASE, "cifar10")) == ("head.weight", "head.bias")
    other = build(RELEASE, 3, 4)
    begin_from(other, pretrained_file(RELEASE, "cifar10"))
    assert torch.equal(network.levels[2].A.weight, other.levels[2].A.weight)  # type: ignore[union-attr]


def test_a_run_is_resumed_from_its_own_start(run: Run, tmp_path: Path) -> None:
    options: dict = {"out": tmp_path / "run", "recipe": dataclasses.replace(QUICK, epochs=1), "progress": False}
    first = train(TINY, start=run.model, **options)
    assert train(TINY, start=copy.deepcopy(run.model), resume=True, **options).metrics == first.metrics
    assert json.loads((tmp_path / "run" / "config.json").read_text())["start"].startswith("MgNet[1,1]-8-B^l ")
    with pytest.raises(ValueError, match="start: "):
        train(TINY, start=first.model, resume=True, **options)


# 2


def test_a_published_checkpoint_becomes_one_of_ours(published: Path, tmp_path: Path) -> None:
    network = load_published_checkpoint(published)
    known = {"classes": list("abcdefg"), "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3], "image_size": 16}
    path = save_checkpoint(network, tmp_path / "ours.safetensors", **known)  # type: ignore[arg-type]
    images = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(known[k]).double().view(3, 1, 1) for k in ("mean", "std"))
    found = predict(path, images)
    with torch.no_grad():
        want = network((images - mean) / std).softmax(1)
    torch.testing.assert_close(found.probabilities.double(), want, rtol=0, atol=1e-5)
    assert found.classes == tuple("abcdefg")
    assert export(path, tmp_path / "ours.pt2").exists()
    labels = [found.classes[i] for i in want.argmax(1)]
    assert evaluate(path, (images, labels)).accuracy == 1
    with pytest.raises(ValueError, match="`dataset` must be given"):
        evaluate(path)
    other = build("MgNet[2,2]-6-B^l", 3, 2)
    assert begin_from(other, path) == ("head.weight", "head.bias")


def test_a_named_network_and_one_of_ones_own(tmp_path: Path) -> None:
    alexnet = build("alexnet", 1, 2).eval()
    path = save_checkpoint(
        alexnet, tmp_path / "a.safetensors", classes=["cat", "dog"], mean=[0.5], std=[0.25], name="alexnet"
    )
    images = torch.rand(3, 1, 32, 32)
    torch.testing.assert_close(predict(path, images).probabilities, alexnet((images - 0.5) / 0.25).softmax(1).detach())
    own = nn.Sequential(nn.Flatten(), nn.Linear(64, 2)).eval()
    path = save_checkpoint(own, tmp_path / "b.safetensors", classes=["cat", "dog"], **GREY)  # type: ignore[arg-type]
    images = torch.rand(3, 1, 8, 8)
    want = own((images - 0.5) / 0.25).softmax(1).detach()
    torch.testing.assert_close(predict(own, images, start=path).probabilities, want)
    with pytest.raises(ValueError, match="`model` must be the module 'Sequential'"):
        predict(path, images)


# 3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"classes": ["cat"]}, r"`model` must give logits \(1, 1\) for an image \(1, 1, 8, 8\), .*; it gives \(1, 2\)"),
        ({"mean": [0.5] * 3, "std": [0.2] * 3}, r"`model` must give logits .*; it gives an error .*`x` must be"),
        ({"std": [0.0]}, "`mean` and `std` must be a number a channel"),
        ({"mean": []}, "`mean` and `std` must be a number a channel"),
        ({"image_size": 100}, "must fit the network"),  # whose stem would be 7x7
    ],
)
def test_what_a_network_does_not_fit(tmp_path: Path, changes: dict, says: str) -> None:
    given = {"classes": ["cat", "dog"], **GREY, **changes}
    with pytest.raises(ValueError, match=says):
        save_checkpoint(MgNet(TINY, 1, 2), tmp_path / "x.safetensors", **given)
    with pytest.raises(ValueError, match=r"`path` must end in \.safetensors"):
        save_checkpoint(MgNet(TINY, 1, 2), tmp_path / "x.pt", classes=["cat", "dog"], **GREY)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`start` must be a run's folder"):
        begin_from(MgNet(TINY), tmp_path / "none.pth")
    with pytest.raises(TypeError, match="`start` must be a run, a run's folder"):
        begin_from(MgNet(TINY), 5)  # type: ignore[arg-type]


def test_a_file_that_says_nothing_of_its_classes_is_told_what_to_do(published: Path) -> None:
    with pytest.raises(ValueError, match=r"`model` must be .*published\.pth is neither\. .* save_checkpoint makes one"):
        predict(published, torch.zeros(1, 3, 16, 16))
