"""Which process has which block of a grid."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from mgnet.pde.distributed.channel import Channel, channel
from mgnet.pde.problem.grid import Grid

START = "Start the processes with torchrun, and call torch.distributed.init_process_group() first."


class Partition:
    """Blocks of a grid along its first axis, one for each process of a group, in their order.

    Everything that lies on the grid then comes and goes as local blocks: ``solve(f_local, grid=grid, partition=...)``.

    Parameters
    ----------
    grid : the whole grid, the same on every process
    group : of torch.distributed; None: all processes
    sizes : how many unknowns along the first axis each process has; None: about the same

    Attributes
    ----------
    slices : of this process's block in the whole grid
    shape : of the block

    Raises
    ------
    RuntimeError : if there is no group yet
    TypeError : if grid is none
    ValueError : if there are more processes than unknowns along the axis, or sizes that do not add up to them

    Example
    -------
    >>> from mgnet.pde.distributed.testing import alone
    >>> with alone():
    ...     Partition(Grid((8, 5))).shape
    (8, 5)
    """

    def __init__(self, grid: Grid, group: Any = None, sizes: Sequence[int] | None = None):
        if not isinstance(grid, Grid):
            raise TypeError(f"`grid` must be a mgnet.pde.Grid; it is {type(grid).__name__}.")
        if not (dist.is_available() and dist.is_initialized()):
            raise RuntimeError(f"a Partition needs a group of processes. {START}")
        self.grid, self.group = grid, group
        self.rank, self.count, n = dist.get_rank(group), dist.get_world_size(group), grid.shape[0]
        if self.rank < 0:
            raise ValueError("this process does not belong to `group`. Make the Partition on those that do.")
        if self.count > n:
            raise ValueError(
                f"a grid of {n} unknowns along its first axis has blocks for {n} processes at most, not {self.count}."
            )
        self.ends = _ends(n, self.count, sizes)  # of every block, from 0

    def on(self, grid: Grid, ends: Sequence[int]) -> "Partition":
        """The blocks of another grid, a coarser one, that end there."""
        other = object.__new__(Partition)
        other.__dict__ |= self.__dict__ | {"grid": grid, "ends": tuple(ends)}
        return other

    @property
    def slices(self) -> tuple[slice, ...]:
        first = slice(self.ends[self.rank], self.ends[self.rank + 1])
        return (first, *(slice(0, n) for n in self.grid.shape[1:]))

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.ends[self.rank + 1] - self.ends[self.rank], *self.grid.shape[1:])

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
        whole = self.gathered(torch.as_tensor(u), u.ndim - self.grid.ndim, self.ends)
        return whole.numpy() if isinstance(u, np.ndarray) else whole

    def gathered(self, block: Tensor, dim: int, ends: Sequence[int]) -> Tensor:
        """Blocks that end there, put together along an axis."""
        sizes = np.diff(ends)
        most = block.new_zeros([*block.shape[:dim], int(sizes.max()), *block.shape[dim + 1 :]])
        most.narrow(dim, 0, block.shape[dim]).copy_(block)
        each = self._everyones(most)
        return torch.cat([v.narrow(dim, 0, int(size)) for v, size in zip(each, sizes, strict=True)], dim)

    def total(self, v: Any) -> np.ndarray:
        """The sum of all processes' numbers, in their order: the same digits on each."""
        return self._numbers(v).sum(0)

    def most(self, v: Any) -> np.ndarray:
        """The largest of all processes' numbers."""
        return self._numbers(v).max(0)

    @property
    def channel(self) -> Channel:
        """By which the processes speak to each other."""
        return channel(self.group)

    def agree(self, said: dict[str, str], fault: str = "") -> None:
        """Raise on every process where one found a fault, or where they were told differently."""
        if self._alike(repr((said, fault))) and not fault:
            return
        each: list[Any] = [None] * self.count
        dist.all_gather_object(each, (said, fault), group=self.group)
        if fault:
            raise ValueError(fault)
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
        """(processes, ...) the numbers of each."""
        return torch.stack(self._everyones(torch.tensor(np.asarray(v, float), device="cpu"))).numpy()

    def _everyones(self, v: Tensor) -> list[Tensor]:
        return [v] if self.count == 1 else self.channel.everyones(v)


def _ends(n: int, count: int, sizes: Sequence[int] | None) -> tuple[int, ...]:
    if sizes is None:
        return tuple(n * rank // count for rank in range(count + 1))
    if len(sizes) != count or sum(sizes) != n or min(sizes) < 1:
        raise ValueError(f"`sizes` must be {count} positive numbers, one a process, of sum {n}; it is {list(sizes)}.")
    return tuple(int(v) for v in np.concatenate([[0], np.cumsum(sizes)]))
