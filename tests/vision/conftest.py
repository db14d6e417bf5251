"""One short training that many tests read, on one thread."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

import mgnet
from mgnet.vision import Recipe


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from threads, and lose much where other work shares the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def plots() -> None:
    """For tests that look at the plots and the report of a run of their own."""


@pytest.fixture(autouse=True)
def few_plots(request: pytest.FixtureRequest) -> Iterator[None]:
    """Drawing takes three quarters of a tiny training; the run that tests share has its plots."""
    with pytest.MonkeyPatch.context() as patch:
        if "plots" not in request.fixturenames:
            patch.setattr("mgnet.vision.training.Classification.illustrate", lambda self, run: None)
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


QUICK = Recipe(epochs=2, batch_size=64, precision="float32", warmup=0.5)
TINY = "MgNet[1,1]-8-B^l"


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> "mgnet.vision.Run":
    """A tiny MgNet after two epochs of digits."""
    return mgnet.vision.train(
        TINY, "digits", seed=3, out=tmp_path_factory.mktemp("runs") / "digits", recipe=QUICK, progress=False
    )
