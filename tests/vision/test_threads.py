"""Threads: none where there is little work, all where there is much, and the user's number afterwards."""

import json
from pathlib import Path

import pytest
import torch

from mgnet.training.threads import at_most, worth
from mgnet.vision import Recipe, train
from mgnet.vision.baselines import build
from mgnet.vision.costs import forward_pass


@pytest.fixture
def four_threads():  # type: ignore[no-untyped-def]
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def work(model: str, size: int) -> int:
    return forward_pass(build(model, image_size=size), 3, (size, size))


def test_threads_follow_the_work() -> None:
    assert worth(64 * work("MgNet[1,1]-8-B^l", 8)) == 1
    assert worth(128 * work("MgNet[2,2,2,2]-32-B^l", 8)) == 1
    assert worth(128 * work("MgNet[2,2,2,2]-[32,64,128,256]-B^l", 32)) > 8


def test_the_number_is_never_raised_and_comes_back(four_threads: None) -> None:
    for asked, inside in ((2, 2), (8, 4)):
        with at_most(asked):
            assert torch.get_num_threads() == inside
        assert torch.get_num_threads() == 4


def test_a_training_leaves_the_threads_as_they_were(four_threads: None, tmp_path: Path) -> None:
    train("MgNet[1]-4-B^l", out=tmp_path / "run", recipe=Recipe(epochs=1), device="cpu", progress=False)
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["threads"] == 1
    with pytest.raises(FileExistsError):
        train("MgNet[1]-4-B^l", out=tmp_path / "run", recipe=Recipe(epochs=1), device="cpu", progress=False)
    assert torch.get_num_threads() == 4
