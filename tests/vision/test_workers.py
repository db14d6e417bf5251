"""Processes that decode pictures: whichever way they start, whatever memory they have to share, they change nothing.

1  A training with workers that are spawned is, bit for bit, the one without workers.
2  Where the memory that processes share is full, batches come through pipes; nothing waits, nothing is lost.
3  A worker that is ended is said to be, with what to do.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mgnet.vision import Recipe, load, train
from mgnet.vision.batches import Pictures, picture_batches
from mgnet.vision.images import Files
from tests.vision.conftest import TINY
from tests.vision.samples import write_folder

_TRAINS = """
import json, multiprocessing, sys, torch
from mgnet.vision import Recipe, train
multiprocessing.set_start_method("spawn")
torch.set_num_threads(1)
recipe = Recipe(epochs=1, batch_size=12, precision="float32", auto_augment="trivialaugment", validation=0.0)
run = train({model!r}, sys.argv[1], out=sys.argv[2], recipe=recipe, image_size=16, workers=1, progress=False)
print(json.dumps(run.history[-1]["train_loss"]))
"""


@pytest.mark.slow
def test_workers_that_are_spawned(tmp_path: Path, rng: np.random.Generator) -> None:
    """Slow: each of them imports torch."""
    root = write_folder(tmp_path / "pets", rng)
    code = [sys.executable, "-c", _TRAINS.format(model=TINY), str(root), str(tmp_path / "spawned")]
    done = subprocess.run(code, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    recipe = Recipe(epochs=1, batch_size=12, precision="float32", auto_augment="trivialaugment", validation=0.0)
    run = train(TINY, root, out=tmp_path / "alone", recipe=recipe, image_size=16, workers=0, progress=False)
    assert json.loads(done.stdout) == run.history[-1]["train_loss"]


_READS = """
import sys
from mgnet.vision import load
from mgnet.vision.batches import Pictures, picture_batches
pictures = Pictures(load(sys.argv[1], image_size=128).train, None, mirror=False, seed=0)
order = ([(i, 0) for i in range(24)] for _ in range(6))
for pixels, labels in picture_batches(pictures, order, workers=2):
    print(tuple(pixels.shape), pixels.long().sum().item(), labels.sum().item())
"""

_IN_ONE_MEGABYTE = 'mount -t tmpfs -o size=1m none /dev/shm && exec "$@"'


@pytest.mark.slow
def test_too_little_memory_to_share(tmp_path: Path, rng: np.random.Generator) -> None:
    """Slow: a process of its own, with a /dev/shm of its own of 1 MB, where a batch takes 1.2 MB."""
    inside = ["unshare", "-rm", "sh", "-c", _IN_ONE_MEGABYTE, "sh"]
    if shutil.which("unshare") is None or subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small /dev/shm of their own")
    root = write_folder(tmp_path / "pets", rng)
    code = [sys.executable, "-c", _READS, str(root)]
    small = subprocess.run([*inside, *code], capture_output=True, text=True, timeout=300)
    assert (small.returncode, small.stderr) == (0, "")
    assert len(small.stdout.splitlines()) == 6
    assert small.stdout == subprocess.run(code, capture_output=True, text=True, timeout=300).stdout


@pytest.fixture
def files(tmp_path: Path, rng: np.random.Generator) -> Files:
    found = load(write_folder(tmp_path / "pets", rng), image_size=16).train
    assert isinstance(found, Files)
    return found


@pytest.mark.parametrize("full", [False, True])
def test_what_workers_give(files: Files, full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(
            "unable to allocate shared memory(shm) for file </torch_1_2_3>: No space left on device (28)"
        )

    if full:
        monkeypatch.setattr(torch.Tensor, "share_memory_", refuse)
    pictures = Pictures(files, Recipe(flip="random"), mirror=True, seed=0)
    order = [[(i, 24 * k + i) for i in range(24)] for k in range(3)]
    for ours, want in zip(picture_batches(pictures, order, 1), picture_batches(pictures, order, 0), strict=True):
        assert all(torch.equal(t, other) for t, other in zip(ours, want, strict=True))


class Ending(Pictures):
    """As if the system had ended the process for its memory."""

    def __getitems__(self, keys: list[tuple[int, int]]) -> str:
        os._exit(9)


def test_a_worker_that_is_ended(files: Files) -> None:
    ending = Ending(files, None, mirror=False, seed=0)
    with pytest.raises(OSError, match=r"a process that decodes pictures ended: .* Pass workers=0") as caught:
        list(picture_batches(ending, [[(0, 0)]], 1))
    assert "\n" not in str(caught.value)
