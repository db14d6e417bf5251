"""Samples for the training loop: all on the device, turned at random."""

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor

from mgnet.operators.samples import Samples
from mgnet.operators.symmetries import Symmetry, turned
from mgnet.training.learner import Batch
from mgnet.training.process import Process
from mgnet.training.randomness import Sampler, generator


def tensors_of(samples: Samples, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Inputs and outputs, (N, channels, *grid) float32."""
    pair = (single(v).to(device) for v in (samples.inputs, samples.outputs))
    x, u = (t if t.ndim == samples.ndim + 2 else t.unsqueeze(1) for t in pair)
    return x, u


def single(v: np.ndarray) -> Tensor:
    """In float32, however v lies in memory; what is too large there is infinite.

    Example
    -------
    >>> single(np.array([1.0, 2.0], ">f8")[::-1])
    tensor([2., 1.])
    """
    with np.errstate(over="ignore"):
        return torch.from_numpy(np.require(v, np.float32, ["C", "W"]))


def at_once(grid: Sequence[int]) -> int:
    """How many samples are looked at in a batch: those of 2^18 points, one at least."""
    return max(1, 2**18 // prod(grid))


class Turned:
    """The parts of each step's batch, each sample seen from a side of its own.

    Parameters
    ----------
    x, u : (N, channels, *grid)
    symmetries : the sides
    accumulate : parts of a process
    """

    def __init__(
        self,
        x: Tensor,
        u: Tensor,
        symmetries: list[Symmetry],
        batch_size: int,
        accumulate: int,
        seed: int,
        process: Process,
    ):
        self.x, self.u, self.symmetries, self.seed = x, u, symmetries, seed
        self.sampler = Sampler(len(x), batch_size, seed, process.world * accumulate)
        self.mine = range(process.rank * accumulate, (process.rank + 1) * accumulate)

    def stream(self, first: int, last: int) -> Iterator[list[Batch]]:
        for step in range(first, last):
            yield [self.part(step, part) for part in self.mine]

    def part(self, step: int, part: int) -> Batch:
        index = self.sampler.part(step, part)
        if len(self.symmetries) == 1:
            there = index.to(self.x.device)
            return self.x[there], self.u[there]
        sides = torch.randint(len(self.symmetries), (len(index),), generator=generator(self.seed, "turn", step, part))
        chosen = [(i, self.symmetries[side]) for i, side in zip(index.tolist(), sides.tolist(), strict=True)]
        x, u = (torch.stack([turned(v[i], symmetry) for i, symmetry in chosen]) for v in (self.x, self.u))
        return x, u
