"""Which process has which block of a grid."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from hashlib import sha256
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from mgnet.pde.distributed.channel import Channel, channel, kinds
from mgnet.pde.problem.checks import as_tensor
from mgnet.pde.problem.grid import Grid

HOST = torch.device("cpu")
HOSTS, BOTH = 'group=torch.distributed.new_group(backend="gloo")', 'init_process_group("cpu:gloo,cuda:nccl")'
START = "Start the processes with torchrun, and call torch.distributed.init_process_group() first."


class Partition:
    """Blocks of a grid along one, two or three axes, one for each process of a group, in their order.

    Everything that lies on the grid then comes and goes as local blocks: ``solve(f_local, grid=grid, partition=...)``.

    Parameters
    ----------
    grid : the whole grid, the same on every process
    group : of torch.distributed; None: all processes. One with nccl, "cpu:gloo,cuda:nccl" say, lets blocks lie on GPUs
    sizes : how many unknowns the blocks have along the first axis, or, given ``blocks``, along each axis (None there:
        about the same); None: about the same
    blocks : how many there are along each axis, as (2, 2), the last axis' neighbours next to each other in the group;
        None: all along the first axis

    Attributes
    ----------
    slices : of this process's block in the whole grid
    shape : of the block
    blocks : how many there are along each axis
    cuts : along each axis, where they begin and where the last one ends

    Raises
    ------
    RuntimeError : if there is no group yet
    TypeError : if grid is none
    ValueError : if there are more blocks than unknowns along an axis, another number of them than of processes, sizes
        that do not add up to the grid's, or a group that exchanges neither what is on CPUs nor what is on GPUs

    Example
    -------
    >>> from mgnet.pde.distributed.testing import alone
    >>> with alone():
    ...     Partition(Grid((8, 5))).shape
    (8, 5)
    """

    def __init__(
        self, grid: Grid, group: Any = None, sizes: Sequence[Any] | None = None, blocks: Sequence[int] | None = None
    ):
        if not isinstance(grid, Grid):
            raise TypeError(f"`grid` must be a mgnet.pde.Grid; it is {type(grid).__name__}.")
        if not (dist.is_available() and dist.is_initialized()):
            raise RuntimeError(f"a Partition needs a group of processes. {START}")
        self.grid, self.group = grid, group
        self.rank, self.count, one = dist.get_rank(group), dist.get_world_size(group), (1,) * grid.ndim
        if self.rank < 0:
            raise ValueError("this process does not belong to `group`. Make the Partition on those that do.")
        _check_group(group)
        self.blocks = (self.count, *one[1:]) if blocks is None else tuple(int(n) for n in blocks)
        if len(self.blocks) != grid.ndim or min(self.blocks) < 1 or prod(self.blocks) != self.count:
            raise ValueError(
                f"`blocks` must be {grid.ndim} positive numbers, one an axis, their product the number of processes, "
                f"{self.count}; it is {self.blocks}."
            )
        each = [sizes, *[None] * (grid.ndim - 1)] if blocks is None or sizes is None else list(sizes)
        if len(each) != grid.ndim:
            raise ValueError(f"`sizes` beside `blocks` must have an entry for each of {grid.ndim} axes; it is {sizes}.")
        numbers = zip(range(grid.ndim), grid.shape, self.blocks, each, strict=True)
        self.cuts = tuple(_ends(d, n, count, given) for d, n, count, given in numbers)

    def on(self, grid: Grid, cuts: Sequence[Sequence[int]]) -> "Partition":
        """The blocks of another grid, a coarser one, that end there."""
        other = object.__new__(Partition)
        other.__dict__ |= self.__dict__ | {"grid": grid, "cuts": tuple(map(tuple, cuts))}
        other.__dict__.pop("rows", None)
        return other

    @property
    def ends(self) -> tuple[int, ...]:
        """Where the blocks begin along the first axis, and where the last one ends."""
        return self.cuts[0]

    @property
    def place(self) -> tuple[int, ...]:
        """Which of the blocks along each axis this process has."""
        return self.place_of(self.rank)

    def place_of(self, rank: int) -> tuple[int, ...]:
        """The same of another process."""
        place = []
        for count in self.blocks[::-1]:
            rank, k = divmod(rank, count)
            place.append(k)
        return tuple(place[::-1])

    @cached_property
    def beside(self) -> list[tuple[int, int]]:
        """Along each axis the processes before and after; beyond the last one is the first."""
        pairs = []
        for axis, (k, n) in enumerate(zip(self.place, self.blocks, strict=True)):
            step = prod(self.blocks[axis + 1 :])
            first = self.rank - k * step
            pairs.append((first + (k - 1) % n * step, first + (k + 1) % n * step))
        return pairs

    @property
    def slices(self) -> tuple[slice, ...]:
        return self.slices_of(self.rank)

    def slices_of(self, rank: int) -> tuple[slice, ...]:
        """Those of another process."""
        return _slices(self.cuts, self.place_of(rank))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(there.stop - there.start for there in self.slices)

    @property
    def in_rows(self) -> bool:
        """Whether blocks are cut along the first axis alone."""
        return self.blocks[0] == self.count

    @cached_property
    def rows(self) -> "Partition":
        """The grid cut along the first axis alone."""
        return self if self.in_rows else Partition(self.grid, self.group)

    def scatter(self, f: Any) -> Any:
        """This process's block of a whole array (*batch, *grid) that each process has; a view of it.

        Parameters
        ----------
        f : (*batch, *grid)

        Returns
        -------
        (*batch, *block)

        Raises
        ------
        ValueError : f is not on the grid
        """
        if tuple(f.shape[-self.grid.ndim :]) != self.grid.shape:
            raise ValueError(f"`f` must be a whole array, of shape (..., {self.grid.shape}); it has {tuple(f.shape)}.")
        return f[(..., *self.slices)]

    def gather(self, u: Any) -> Any:
        """The whole array (*batch, *grid), on every process, of each one's block.

        Parameters
        ----------
        u : (*batch, *block)

        Returns
        -------
        (*batch, *grid), of u's kind

        Raises
        ------
        ValueError : on every process, if one's u is no block
        """
        if tuple(u.shape[-self.grid.ndim :]) != self.shape:
            raise ValueError(
                f"`u` must be this process's block, of shape (..., {self.shape}); it has {tuple(u.shape)}."
            )
        whole = self.joined(as_tensor(u), u.ndim - self.grid.ndim, self.cuts)
        return whole.numpy() if isinstance(u, np.ndarray) else whole

    def gathered(self, block: Tensor, dim: int, ends: Sequence[int]) -> Tensor:
        """Blocks along the first axis that end there, put together along an axis of theirs."""
        return self.joined(block, dim, (ends,))

    def joined(self, block: Tensor, dim: int, cuts: Sequence[Sequence[int]]) -> Tensor:
        """Blocks that end there along axes dim, dim + 1, ..., put together."""
        mine, lead, stop = block.detach(), (slice(None),) * dim, dim + len(cuts)
        before, behind = mine.shape[:dim], mine.shape[stop:]
        most = mine.new_zeros((*before, *(max(b - a for a, b in pairwise(ends)) for ends in cuts), *behind))
        most[(*lead, *map(slice, mine.shape[dim:stop]))] = mine
        whole = mine.new_empty((*before, *(ends[-1] for ends in cuts), *behind))
        for rank, part in enumerate(self._everyones(most)):
            there = _slices(cuts, self.place_of(rank))
            whole[(*lead, *there)] = part[(*lead, *(slice(s.stop - s.start) for s in there))]
        return whole

    def total(self, v: Any) -> np.ndarray:
        """The sum of all processes' numbers, in their order: the same digits on each."""
        return self._numbers(v).sum(0)

    def most(self, v: Any) -> np.ndarray:
        """The largest of all processes' numbers."""
        return self._numbers(v).max(0)

    def channel(self, device: torch.device = HOST) -> Channel:
        """By which the processes exchange what lies on such a device."""
        return channel(self.group, device)

    def least(self, device: torch.device = HOST) -> int:
        """Unknowns of a grid that is worth sharing, on such devices."""
        return 0 if self.count == 1 else self.channel(device).least

    @contextmanager
    def agreed(self, said: dict[str, str] | None = None) -> Iterator[None]:
        """Raise on every process where one refuses what it is given, or where they were told differently."""
        fault = None
        try:
            yield
        except (TypeError, ValueError) as error:
            fault = error
        self._agree(said or {}, fault)

    def _agree(self, said: dict[str, str], fault: Exception | None) -> None:
        words = "" if fault is None else str(fault)
        if self._alike(repr((said, words))) and fault is None:
            return
        each: list[Any] = [None] * self.count
        dist.all_gather_object(each, (said, words), group=self.group)
        if fault is not None:
            raise fault
        for rank, (_, other) in enumerate(each):
            if other:
                raise ValueError(f"process {rank} was given what it refuses: {other}")
        for rank, (theirs, _) in enumerate(each):
            for name, mine in said.items():
                if (other := theirs.get(name, "none")) != mine:
                    raise ValueError(
                        f"`{name}` must be the same on every process: process {self.rank} has {mine}, process {rank} "
                        f"has {other}."
                    )

    def _alike(self, said: str) -> bool:
        """Whether every process says the same."""
        digest = torch.frombuffer(bytearray(sha256(said.encode()).digest()), dtype=torch.uint8)
        return all(torch.equal(other, digest) for other in self._everyones(digest))

    def _numbers(self, v: Any) -> np.ndarray:
        """(processes, ...) the numbers of each, which may lie on a device."""
        mine = v.detach().double().contiguous() if isinstance(v, Tensor) else torch.from_numpy(_array(v))
        return torch.stack(self._everyones(mine)).cpu().numpy()

    def _everyones(self, v: Tensor) -> list[Tensor]:
        return [v] if self.count == 1 else self.channel(v.device).everyones(v)


def _array(v: Any) -> np.ndarray:
    return np.array(np.asarray(v, float), order="C")


def _check_group(group: Any) -> None:
    if not kinds(group):
        raise ValueError(
            f"`group` must exchange what lies on CPUs or on GPUs; it has {dist.get_backend_config(group)} alone. "
            f"Pass {HOSTS}, or begin with {BOTH}."
        )


def _slices(cuts: Sequence[Sequence[int]], place: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(ends[k], ends[k + 1]) for ends, k in zip(cuts, place, strict=False))


def _ends(d: int, n: int, count: int, sizes: Sequence[int] | None) -> tuple[int, ...]:
    if count > n:
        raise ValueError(
            f"a grid of {n} unknowns along axis {d} has blocks for {n} processes at most there, not {count}."
        )
    if sizes is None:
        return tuple(n * k // count for k in range(count + 1))
    if len(sizes) != count or sum(sizes) != n or min(sizes) < 1:
        raise ValueError(f"`sizes` must be {count} positive numbers of sum {n} along axis {d}; it is {list(sizes)}.")
    return tuple(int(v) for v in np.concatenate([[0], np.cumsum(sizes)]))


def agreed(partition: Any) -> AbstractContextManager[None]:
    """``Partition.agreed``, if there is a partition."""
    return partition.agreed() if isinstance(partition, Partition) else nullcontext()
