"""The processes of one training: alone, or started together by torchrun."""

import atexit
import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module

import torch
from torch import Tensor
from torch import distributed as dist


@dataclass(frozen=True)
class Process:
    """One of `world` processes that train together; rank 0 writes and prints."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def total(self, counts: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.world > 1:
            dist.all_reduce(counts)
        return counts

    def share(self, tensors: list[Tensor]) -> None:
        """Give all processes the first one's values."""
        for tensor in tensors if self.world > 1 else ():
            dist.broadcast(tensor, 0)

    def wait(self) -> None:
        if self.world > 1:
            dist.barrier()


def start(device: str | None = None) -> Process:
    """Join the processes that torchrun started, if it did.

    Parameters
    ----------
    device : "cpu", "cuda", "cuda:1", ...; default: an accelerator where there is one

    Raises
    ------
    ValueError : a device that torch does not have here
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    place = choose_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if world > 1 and not dist.is_initialized():
        # A thread of a group that is still there when the interpreter ends can abort the process. So let nothing keep
        # the group: these functions would as default arguments, if they were first imported later, and DDP in cycles.
        import_module("torch.distributed.nn.functional")
        atexit.register(gc.collect)
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    return Process(rank, world, place)


@contextmanager
def joined(device: str | None = None) -> Iterator[Process]:
    """`start`, and inside of it this process; the group ends with it.

    Example
    -------
    >>> with joined("cpu") as process:
    ...     process.world
    1
    """
    process = start(device)
    try:
        yield process
    finally:
        if process.world > 1:
            dist.destroy_process_group()


def choose_device(device: str | None, local_rank: int = 0) -> torch.device:
    """The device of that name; None: a GPU where there is one. Where there is none the CPU stands in, with a warning.

    Raises
    ------
    ValueError : another word; a GPU that this machine has not, or that cannot be used

    Example
    -------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    there = torch.cuda.is_available()
    place = _read("cuda" if there else "cpu") if device is None else _read(device)
    if place.type == "cpu":
        return torch.device("cpu")
    if not there:
        warnings.warn(f"There is no CUDA device here: the CPU takes the place of {str(device)!r}.", stacklevel=2)
        return torch.device("cpu")
    place = torch.device("cuda", local_rank if place.index is None else place.index)
    try:
        torch.empty(1, device=place)
    except RuntimeError as error:
        reason, count = str(error).splitlines()[0], torch.cuda.device_count()
        raise ValueError(f"`device` must be one of the {count} GPUs here; {place} cannot be used: {reason}") from None
    return place


def _read(device: str | torch.device) -> torch.device:
    """The device that is called so, of the kinds that all of this package works on."""
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError):
        place = None
    if place is None or place.type not in ("cpu", "cuda"):
        raise ValueError(f"`device` must be cpu or cuda, or one GPU of several, as cuda:1; it is {device!r}.")
    return place
