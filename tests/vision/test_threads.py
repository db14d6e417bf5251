"""Threads: none where there is little work, all where there is much, the user's number after it; trainings in some."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

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


def test_random_numbers_of_the_caller_are_his_own_after_a_training(tmp_path: Path) -> None:
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    train("MgNet[1]-4-B^l", out=tmp_path / "run", recipe=Recipe(epochs=1), device="cpu", progress=False)
    assert torch.equal(torch.rand(3), want)


def test_trainings_in_threads_are_those_of_one(tmp_path: Path) -> None:
    def trained(name: str) -> float:
        recipe = Recipe(epochs=1, batch_size=512, precision="float32")
        run = train(Noisy, "digits", out=tmp_path / name, recipe=recipe, device="cpu", progress=False)
        return run.history[-1]["train_loss"]

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(trained, map(str, range(4)))) == {trained("alone")}


class Noisy(nn.Sequential):
    """Its weights, of many layers, and its dropout draw from torch's own generator."""

    def __init__(self, channels: int, classes: int, size: tuple[int, int]):
        inside = [nn.Linear(9, 9, bias=False) for _ in range(100)]
        first, last = nn.Linear(channels * size[0] * size[1], 9), nn.Linear(9, classes)
        super().__init__(nn.Flatten(), nn.Dropout(0.5), first, nn.ReLU(), inside[-1], last)
