"""Randomness as a function of where one is, not of what was drawn before.

Each thing that is random has a generator made from the run's seed, a word and the position (epoch,
step, part of the batch). Nothing has to be saved to resume: the position is enough.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock

import torch
from torch import Generator, Tensor

#: A generator -> the indices of an epoch's samples, as many as there are samples.
Order = Callable[[Generator], Tensor]

_TURN = RLock()  # torch's own generators are one for all threads


def _of_a_child() -> None:
    """A process that was forked while another thread had its turn waits for no one."""
    global _TURN
    _TURN = RLock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_of_a_child)


def seed_of(*where: int | str) -> int:
    """A 63-bit seed; different positions have unrelated ones.

    Example
    -------
    >>> seed_of(0, "crop", 17) == seed_of(0, "crop", 17) != seed_of(0, "crop", 18)
    True
    """
    return int.from_bytes(hashlib.blake2b(repr(where).encode(), digest_size=8).digest()) >> 1


def generator(*where: int | str) -> Generator:
    """A generator on the CPU, seeded by a position."""
    return torch.Generator().manual_seed(seed_of(*where))


@contextmanager
def begun(seed: int) -> Iterator[None]:
    """torch's own generators begin with a seed, for what draws from them: weights, dropout. Threads take turns.

    Example
    -------
    >>> with begun(3):
    ...     torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(3))
    tensor([True])
    """
    with _TURN:
        torch.manual_seed(seed)
        yield


@contextmanager
def kept() -> Iterator[None]:
    """torch's own generators are afterwards as they were.

    Example
    -------
    >>> before = torch.random.get_rng_state()
    >>> with kept():
    ...     _ = torch.manual_seed(3)
    >>> torch.equal(torch.random.get_rng_state(), before)
    True
    """
    with _TURN:
        state = torch.random.get_rng_state()
        gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        with _TURN:
            torch.random.set_rng_state(state)
            torch.cuda.set_rng_state_all(gpus)


class Sampler:
    """Which samples a step sees: each epoch a new order, cut into whole batches.

    A batch is cut into `parts` equal parts, one for each process and each of its accumulations. What
    happens to a part depends on (seed, step, part) alone: two processes see what one sees in two parts.

    Parameters
    ----------
    count, batch_size : of the training set; capped at count
    least : samples in a part, two where a norm takes its mean over them
    order : of an epoch; default: a permutation

    Raises
    ------
    ValueError : too few samples

    Example
    -------
    >>> sampler = Sampler(10, 4, seed=0)
    >>> sampler.steps_per_epoch, sampler.samples(step=1).shape
    (2, torch.Size([4]))
    """

    def __init__(
        self, count: int, batch_size: int, seed: int, parts: int = 1, least: int = 1, order: Order | None = None
    ):
        self.count, self.seed, self.parts = count, seed, parts
        if min(count, batch_size) < least * parts:
            raise ValueError(
                f"each of the {parts} parts of a batch must have {least} samples or more; there are {count} training "
                f"samples in batches of {batch_size}. Use a larger `batch_size`, fewer processes or "
                "a smaller `accumulate`."
            )
        self.batch_size = min(batch_size, count) // parts * parts
        self.steps_per_epoch = count // self.batch_size
        self.order = order or (lambda g: torch.randperm(count, generator=g))
        self._order = (-1, torch.empty(0, dtype=torch.long))

    def epoch(self, step: int) -> int:
        return step // self.steps_per_epoch

    def samples(self, step: int) -> Tensor:
        """Indices of the batch, (batch_size,)."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = (epoch, self.order(generator(self.seed, "order", epoch)))
        return self._order[1][position * self.batch_size : (position + 1) * self.batch_size]

    def part(self, step: int, part: int) -> Tensor:
        size = self.batch_size // self.parts
        return self.samples(step)[part * size : (part + 1) * size]

    def draws(self, step: int, part: int) -> range:
        """The numbers of a part's draws, counted from the run's beginning: no two have the same, whatever they drew.

        Example
        -------
        >>> Sampler(10, 4, seed=0, parts=2).draws(step=1, part=1)
        range(6, 8)
        """
        size = self.batch_size // self.parts
        first = step * self.batch_size + part * size
        return range(first, first + size)
