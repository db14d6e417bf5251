"""How blocks and numbers go from process to process: by torch.distributed, or by memory that all of them share."""

from collections.abc import Sequence
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist
from torch import Tensor

from mgnet.pde.distributed.one_machine import OneMachine, joined

Pair = Sequence[Tensor | None]  # for, or from, the process before and the one after; None: there is none


class Channel(Protocol):
    """Of a group of processes; every process calls its methods in the same order.

    least : unknowns of a grid that is worth sharing; every process solves a smaller one by itself
    """

    least: int

    def swap(self, axis: int, peers: tuple[int, int], out: Pair, into: Pair) -> None:
        """Contiguous blocks to both neighbours along an axis and from both, in place; peers : which these are."""
        ...

    def everyones(self, v: Tensor) -> list[Tensor]:
        """v of each process, all of one shape and dtype."""
        ...


class Network:
    """By torch.distributed, whatever lies between the processes.

    A message to the process before meets the one that this process takes from the one after it: by its tag, or where a
    back end has none (nccl), by the order in which both are posted.
    """

    least = 2**17  # an exchange takes about 1.5 ms

    def __init__(self, group: Any, count: int):
        self.group, self.count = group, count

    def swap(self, axis: int, peers: tuple[int, int], out: Pair, into: Pair) -> None:
        before, after = map(self._global, peers)
        posted: list[tuple[Any, int, Tensor | None, int]]
        posted = [(dist.isend, before, out[0], 0), (dist.isend, after, out[1], 1)]
        posted += [(dist.irecv, after, into[1], 0), (dist.irecv, before, into[0], 1)]
        sent = [dist.P2POp(way, v, peer, self.group, tag) for way, peer, v, tag in posted if v is not None]
        for each in dist.batch_isend_irecv(sent) if sent else ():
            each.wait()

    def everyones(self, v: Tensor) -> list[Tensor]:
        each = [torch.empty_like(v) for _ in range(self.count)]
        dist.all_gather(each, v, group=self.group)
        return each

    def _global(self, rank: int) -> int:
        """A process as torch.distributed numbers it."""
        return rank if self.group is None else dist.get_global_rank(self.group, rank)


class Devices(Network):
    """The same between GPUs, one a process; what lies on the host goes there and back."""

    least = 2**22  # what a device does while a message is on its way; reckoned, and measured on none

    def swap(self, axis: int, peers: tuple[int, int], out: Pair, into: Pair) -> None:
        there = [[None if v is None else v.to(meeting(self.group, v.device)) for v in pair] for pair in (out, into)]
        super().swap(axis, peers, *there)
        for room, arrived in zip(into, there[1], strict=True):
            if room is not None and arrived is not None and arrived is not room:
                room.copy_(arrived)

    def everyones(self, v: Tensor) -> list[Tensor]:
        return [each.to(v.device) for each in super().everyones(v.to(meeting(self.group, v.device)))]


def meeting(group: Any, device: torch.device) -> torch.device:
    """Where a group exchanges what lies on a device: there, or on this process's GPU."""
    return device if device.type in kinds(group) else torch.device("cuda", torch.cuda.current_device())


_channels: WeakKeyDictionary[Any, dict[bool, Channel]] = WeakKeyDictionary()  # by group


def kinds(group: Any) -> set[str]:
    """The kinds of devices between which a group exchanges what lies on them."""
    backends = dist.get_backend_config(group)  # "cpu:gloo,cuda:nccl", say
    return {kind for kind, backend in (each.split(":") for each in backends.split(",")) if works(kind, backend)}


def works(kind: str, backend: str) -> bool:
    """Whether a back end has all that blocks on such devices need: gloo takes no messages from a GPU."""
    return kind == "cpu" or (kind == "cuda" and backend != "gloo")


def channel(group: Any, device: torch.device) -> Channel:
    """Of the processes of a group, for what lies on such a device; made when they first ask for it."""
    there = device.type == "cuda" or "cpu" not in kinds(group)
    made = _channels.setdefault(dist.group.WORLD if group is None else group, {})
    if there not in made:
        made[there] = _devices(group) if there else _hosts(group)
    return made[there]


def _hosts(group: Any) -> Channel:
    rank, count = dist.get_rank(group), dist.get_world_size(group)
    memory = joined(group, rank, count)
    return Network(group, count) if memory is None else OneMachine(memory, rank, count)


def _devices(group: Any) -> Channel:
    made = Devices(group, dist.get_world_size(group))
    made.everyones(torch.zeros(1, device="cpu"))  # all processes have to take part in what nccl does first
    return made
