"""Processes of one machine: what they say to each other goes through memory that all of them have mapped.

A message takes microseconds so, where torch.distributed takes a millisecond over it. The memory is a file that has no
name any more once all have opened it, so nothing is left of it however they end. Each process locks a byte of its own;
the system takes the lock away when the process ends, and so the others learn of it.
"""

import mmap
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from mgnet.pde.native import kernels

try:
    import fcntl
except ImportError:  # Windows has none, and takes torch.distributed
    fcntl = None  # type: ignore[assignment]

MEMORY = Path("/dev/shm")
BEFORE, AFTER, EVERYONE = 0, 1, 6  # to whom, along the first axis; 2 more for each further: see native/mailbox.h
PATIENCE = 0.5  # seconds without a message, after which it is asked whether the others are there


class Shared:
    """Memory that the processes of a group share, and which of them are alive.

    Parameters
    ----------
    path : of a file of the size that ``mailboxes`` need
    timeout : after which a process that says nothing counts as lost
    """

    def __init__(self, path: str, rank: int, count: int, timeout: timedelta):
        self._file, self._timeout = open(path, "r+b", buffering=0), timeout.total_seconds()  # noqa: SIM115
        fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, rank)
        self._memory = mmap.mmap(self._file.fileno(), kernels.mailbox_bytes(count))
        self._boxes = kernels.Mailboxes(np.frombuffer(self._memory, np.uint8), rank, count)

    def exchange(self, out: Sequence[tuple[int, int, np.ndarray]], into: Sequence[tuple[int, int, np.ndarray]]) -> None:
        """Bytes: (to which process, to whom, block) and (from which process, to whom, room)."""
        begun = time.monotonic()

        def waiting(rank: int) -> None:
            late = time.monotonic() - begun > self._timeout
            if late or not self._alive(rank):
                what = f"has said nothing for {self._timeout:g} s" if late else "has ended"
                raise RuntimeError(
                    f"process {rank} of the group {what}; look for its own message, and start all again."
                )

        self._boxes.exchange(out, into, PATIENCE, waiting)

    def _alive(self, rank: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, rank)
        except OSError:
            return True
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, rank)
        return False


class OneMachine:
    """A ``Channel`` through shared memory."""

    least = 2**16

    def __init__(self, memory: Shared, rank: int, count: int):
        self._memory, self._rank, self._count = memory, rank, count

    def swap(
        self, axis: int, peers: tuple[int, int], out: Sequence[Tensor | None], into: Sequence[Tensor | None]
    ) -> None:
        sides = [2 * axis + side for side in (BEFORE, AFTER)]
        self._memory.exchange(
            [(rank, side, _bytes(v)) for rank, side, v in zip(peers, sides, out, strict=True) if v is not None],
            [(rank, side, _bytes(v)) for rank, side, v in zip(peers, sides[::-1], into, strict=True) if v is not None],
        )

    def everyones(self, v: Tensor) -> list[Tensor]:
        each = [v if rank == self._rank else torch.empty_like(v) for rank in range(self._count)]
        others = [(rank, EVERYONE, _bytes(room)) for rank, room in enumerate(each) if rank != self._rank]
        self._memory.exchange([(self._rank, EVERYONE, _bytes(v))], others)
        return each


def joined(group: Any, rank: int, count: int) -> Shared | None:
    """Memory that the processes of a group share; None if they are on several machines, or on one without room."""
    said: list[Any] = [_made(count) if rank == 0 else None]
    dist.broadcast_object_list(said, group=group, group_src=0)
    shared, path = None, said[0]
    with suppress(OSError):
        shared = Shared(path, rank, count, _timeout(group)) if path else None
    each: list[Any] = [None] * count
    dist.all_gather_object(each, shared is not None, group=group)
    if path and rank == 0:
        os.unlink(path)
    return shared if all(each) else None


def _made(count: int) -> str | None:
    """A file of zeros for all of them, with room found for every byte."""
    if fcntl is None:
        return None
    path = None
    try:
        number, path = tempfile.mkstemp(prefix="mgnet-", dir=MEMORY if MEMORY.is_dir() else None)
        with os.fdopen(number, "wb") as file:
            for _ in range(count):  # written rather than made longer: too little room is found now, not at a touch
                file.write(bytes(kernels.mailbox_bytes(count) // count))
    except OSError:
        if path:
            os.unlink(path)
        return None
    return path


def _timeout(group: Any) -> timedelta:
    """Of the group, as it was given to init_process_group."""
    whole: Any = dist.group.WORLD
    backend = (whole if group is None else group)._get_backend(torch.device("cpu"))
    return getattr(getattr(backend, "options", None), "_timeout", None) or dist.default_pg_timeout


def _bytes(v: Tensor) -> np.ndarray:
    """The memory of a contiguous tensor."""
    array: np.ndarray = v.numpy().reshape(-1).view(np.uint8)
    return array
