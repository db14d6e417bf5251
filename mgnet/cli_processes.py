"""`torchrun -m mgnet solve`: one problem on the processes that torchrun started, and one file that all write."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import prod, tau
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from mgnet import arguments, pde
from mgnet.files import new_folder, unless_empty, unwritable
from mgnet.output import complain
from mgnet.training.process import choose_device


def solve(
    f: str,
    box: dict[str, Any],
    ndim: int | None,
    dtype: str | None,
    device: str,
    blocks: str | None,
    out: Path | None,
    how: dict[str, Any],
) -> int:
    """As the command ``solve``, of a number or a file that every process can read, into a folder that all can write."""
    with _group(device) as place, ExitStack() as kept:
        folder = _first(lambda: new_folder(out, Path("runs/solve"), "u.npy"))
        kept.enter_context(unless_empty(folder, out is None and dist.get_rank() == 0))
        whole = None if f.isdecimal() else arguments.open_datum(Path(f), "r")
        shape = (int(f),) * (ndim or 2) if whole is None else tuple(whole.shape)
        split = None if blocks is None else arguments.counts("blocks", blocks)
        partition = pde.Partition(pde.Grid(shape, **box), blocks=split)
        block = _wave(partition) if whole is None else arguments.native(np.array(partition.scatter(whole)))
        datum = arguments.cast(torch.from_numpy(block), dtype, place)
        try:
            solution = pde.solve(datum, partition=partition, **how)
        except (pde.NotConverged, FloatingPointError) as error:
            return complain(str(error), 1) if partition.rank == 0 else 1
        _write(solution.u.cpu().numpy(), partition, folder / "u.npy")
        if partition.rank == 0:
            print(f"{solution}")
            print(f"wrote {folder / 'u.npy'}, {' x '.join(map(str, partition.grid.shape))} in {_split(partition)}")
    return 0


@contextmanager
def _group(device: str) -> Iterator[str]:
    """All processes, and the device of this one: the GPU of its local rank, where GPUs are asked for and there."""
    if ":" in device:
        raise ValueError(
            f"`device` under torchrun must be cpu or cuda, of which each process takes its own; it is {device!r}."
        )
    place = choose_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if place.type == "cuda":
        torch.cuda.set_device(place)
    dist.init_process_group("cpu:gloo,cuda:nccl" if place.type == "cuda" else "gloo")
    try:
        yield str(place)
    finally:
        dist.destroy_process_group()


def _first(choose: Callable[[], Path]) -> Path:
    """What the first process chooses, before any has written; its error on all."""
    chosen: list[Any] = [None]
    if dist.get_rank() == 0:
        try:
            chosen[0] = choose()
        except OSError as error:
            chosen[0] = error
    dist.broadcast_object_list(chosen)
    if isinstance(chosen[0], OSError):
        raise chosen[0]
    return chosen[0]


def _wave(partition: pde.Partition) -> np.ndarray:
    """This process's block of ``arguments.wave``."""
    axes = zip(partition.grid.axes, partition.slices, strict=True)
    each = [np.cos(tau * (axis.x[there] - axis.lower) / (axis.upper - axis.lower)) for axis, there in axes]
    return np.asarray(prod(np.ix_(*each)))


def _write(u: np.ndarray, partition: pde.Partition, path: Path) -> None:
    """Each process its block of one file, which appears when it is whole."""
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    _first(lambda: _room(part, u.dtype, partition.grid.shape))
    whole = np.lib.format.open_memmap(part, "r+")
    whole[partition.slices] = u
    whole.flush()
    dist.barrier()
    if partition.rank == 0:
        part.replace(path)
    dist.barrier()


def _room(part: Path, dtype: np.dtype, shape: Sequence[int]) -> Path:
    """A file for all blocks. Its place on the disk is taken now: on a full one what is mapped would end the process."""
    try:
        np.lib.format.open_memmap(part, "w+", dtype, tuple(shape)).flush()
        if sys.platform != "win32":
            with part.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, part.stat().st_size)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise unwritable(part.with_name("u.npy"), error) from None
    return part


def _split(partition: pde.Partition) -> str:
    """As "rows 0:75, 75:150", or "blocks 0:75 x 0:60, ..." of each process."""
    cut = 1 if partition.in_rows else partition.grid.ndim
    each = [partition.slices_of(rank)[:cut] for rank in range(partition.count)]
    told = [" x ".join(f"{there.start}:{there.stop}" for there in slices) for slices in each]
    return f"{'rows' if partition.in_rows else 'blocks'} {', '.join(told)}"
