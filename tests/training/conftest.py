"""A task that knows no class and no image: the antiderivative of a function on an interval."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mgnet.training.learner import Batch
from mgnet.training.process import Process
from mgnet.training.randomness import Sampler, generator
from mgnet.training.recipe import Steps

ALONE = Process(0, 1, torch.device("cpu"))


@dataclasses.dataclass(frozen=True)
class Error:
    """Relative L2, the mean over the samples."""

    samples: int
    error: float

    def save(self, path: str | Path) -> None:
        Path(path).write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")


class Functions:
    """Batches of f = sum c_k cos(k pi x) and u = sum c_k sin(k pi x) / (k pi), on 16 cells."""

    def __init__(self, count: int, recipe: Steps, seed: int, process: Process):
        self.sampler = Sampler(count, recipe.batch_size, seed, process.world * recipe.accumulate)
        self.mine = range(process.rank * recipe.accumulate, (process.rank + 1) * recipe.accumulate)
        x, k = (torch.arange(16) + 0.5) / 16, torch.arange(1, 5)[:, None]
        c = torch.randn(count, 4, generator=generator("functions", count))
        self.f = (c @ (k * torch.pi * x).cos())[:, None]
        self.u = (c @ ((k * torch.pi * x).sin() / (k * torch.pi)))[:, None]

    def stream(self, first: int, last: int) -> Iterator[list[Batch]]:
        for step in range(first, last):
            yield [self.part(step, part) for part in self.mine]

    def part(self, step: int, part: int) -> Batch:
        index = self.sampler.part(step, part)
        return self.f[index], self.u[index]


def relative(output: Tensor, target: Tensor) -> Tensor:
    return (output - target).flatten(1).norm(dim=1) / target.flatten(1).norm(dim=1)


class Antiderivative:
    """The task."""

    unit, idle = "functions", False

    def __init__(self, recipe: Steps, seed: int = 0, process: Process = ALONE):
        self.process = process
        self.batches = Functions(64, recipe, seed, process)
        self.unseen = Functions(20, dataclasses.replace(recipe, batch_size=20, accumulate=1), 1, ALONE)
        self.header, self.config = {"mgnet.made_up": "a network of functions"}, {"task": "antiderivative"}
        self.tested = 0

    def losses(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        error = relative(output, target)
        return {"error": error, "loss": error.square()}

    def validate(self, model: nn.Module, arithmetic: AbstractContextManager) -> dict[str, float]:
        with arithmetic:
            return {"validation_error": self.measure(model)}

    def test(self, model: nn.Module) -> Error:
        self.tested += 1
        return Error(len(self.unseen.f), self.measure(model))

    def measure(self, model: nn.Module) -> float:
        mine = slice(self.process.rank, None, self.process.world)
        error = relative(model(self.unseen.f[mine]), self.unseen.u[mine]).sum().double()
        return (self.process.total(error) / len(self.unseen.f)).item()


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv1d(1, 12, 9, padding=4), nn.GELU(), nn.Dropout(0.05), nn.Conv1d(12, 1, 31, padding=15))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
