"""Messages through memory that processes share arrive whole and in order, and nobody waits for one that is gone."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import mgnet
from mgnet.pde.distributed.one_machine import AFTER, BEFORE, EVERYONE, MEMORY
from mgnet.pde.native import kernels

SIZES = [0, 1, 7, 2**15, 2**15 + 1, 1_000_003]  # bytes; a piece is 2^15 of them


def boxes(count: int) -> list[kernels.Mailboxes]:
    """Of each process, here a thread."""
    memory = np.zeros(kernels.mailbox_bytes(count) + 64, np.uint8)
    memory = memory[-memory.ctypes.data % 64 :]
    return [kernels.Mailboxes(memory, rank, count) for rank in range(count)]


def impatient(rank: int) -> None:
    raise TimeoutError(f"waits for {rank}")


def together(count: int, work) -> None:  # type: ignore[no-untyped-def]
    faults = []

    def guarded(rank: int) -> None:
        try:
            work(rank)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=guarded, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


def message(rank: int, k: int, size: int) -> np.ndarray:
    return np.random.default_rng([rank, k]).integers(0, 256, size, np.uint8)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_neighbours_on_a_ring_hear_each_other(count: int) -> None:
    each = boxes(count)

    def work(rank: int) -> None:
        before, after = (rank - 1) % count, (rank + 1) % count
        for k, size in enumerate(SIZES + SIZES[::-1]):
            mine, rooms = message(rank, k, size), [np.zeros(size, np.uint8) for _ in range(2)]
            each[rank].exchange(
                [(before, BEFORE, mine), (after, AFTER, mine)],
                [(before, AFTER, rooms[0]), (after, BEFORE, rooms[1])], 20, impatient,
            )  # fmt: skip
            np.testing.assert_array_equal(rooms[0], message(before, k, size))
            np.testing.assert_array_equal(rooms[1], message(after, k, size))

    together(count, work)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_everyone_hears_everyone(count: int) -> None:
    each = boxes(count)

    def work(rank: int) -> None:
        for k, size in enumerate(SIZES):
            others = [r for r in range(count) if r != rank]
            rooms = {r: np.zeros(size, np.uint8) for r in others}
            into = [(r, EVERYONE, rooms[r]) for r in others]
            each[rank].exchange([(rank, EVERYONE, message(rank, k, size))], into, 20, impatient)
            for r in others:
                np.testing.assert_array_equal(rooms[r], message(r, k, size))

    together(count, work)


def test_who_is_waited_for_is_told_and_may_be_given_up() -> None:
    first, _, third = boxes(3)
    with pytest.raises(TimeoutError, match="waits for 2"):
        first.exchange([], [(2, AFTER, np.zeros(3, np.uint8))], 0.01, impatient)
    with pytest.raises(TimeoutError, match="waits for 1"):
        third.exchange([(1, BEFORE, np.zeros(2**20, np.uint8))], [], 0.01, impatient)  # more than a box holds


def test_bad_arguments() -> None:
    memory, one = np.zeros(kernels.mailbox_bytes(2) + 128, np.uint8), np.zeros(1, np.uint8)
    begin = -memory.ctypes.data % 64
    made = kernels.Mailboxes(memory[begin:], 0, 2)
    for rank, count in ((2, 2), (-1, 2), (0, 0)):
        with pytest.raises(ValueError, match="rank"):
            kernels.Mailboxes(memory[begin:], rank, count)
    with pytest.raises(ValueError, match="small"):
        kernels.Mailboxes(memory[begin:], 0, 3)
    with pytest.raises(ValueError, match="multiple of 64"):
        kernels.Mailboxes(memory[begin + 1 :], 0, 2)
    for whom in (-1, 7):
        with pytest.raises(ValueError, match="whom"):
            made.exchange([(1, whom, one)], [], 1, impatient)
    for rank in (0, 2, -1):
        with pytest.raises(ValueError, match="from"):
            made.exchange([], [(rank, AFTER, one)], 1, impatient)
    for wrong in (np.zeros(4), np.zeros((2, 2), np.uint8), np.zeros(8, np.uint8)[::2]):
        with pytest.raises(ValueError, match="contiguous uint8"):
            made.exchange([(1, AFTER, wrong)], [], 1, impatient)
        with pytest.raises(ValueError, match="contiguous uint8"):
            made.exchange([], [(1, BEFORE, wrong)], 1, impatient)


SILENT = """
import sys, time
from datetime import timedelta
import numpy as np
import torch.distributed as dist
from mgnet.pde import Grid, Partition, solve

rank = int(sys.argv[2])
meet = f"file://{sys.argv[1]}/group"
dist.init_process_group("gloo", init_method=meet, rank=rank, world_size=2, timeout=timedelta(seconds=5))
partition = Partition(Grid((200, 150)))
f = np.ones(partition.shape)
solve(f, partition=partition)
if rank:
    time.sleep(60)
solve(f, partition=partition)
"""


def test_one_that_is_silent_for_the_timeout_of_the_group_is_given_up(tmp_path: Path) -> None:
    before, begun = set(MEMORY.glob("mgnet-*")), time.monotonic()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(mgnet.__file__).parents[1])}
    words = [sys.executable, "-c", SILENT, str(tmp_path)]
    first, second = (
        subprocess.Popen([*words, str(rank)], env=environment, stderr=subprocess.PIPE, text=True) for rank in range(2)
    )
    _, said = first.communicate(timeout=55)
    assert "process 1 of the group has said nothing for 5 s" in said
    assert time.monotonic() - begun < 50
    second.kill()
    second.communicate()
    assert set(MEMORY.glob("mgnet-*")) <= before  # nothing is left behind
