"""Connected parts of a grid that lies on all processes: of a domain, and of strong couplings.

A part may lie on several. Each process finds the components of its own planes and the next one's first; what both say
of that plane joins them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from mgnet.pde.blackbox.stencil import Stencil
from mgnet.pde.distributed.halo import exchange
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.distributed.window import Window


@dataclass(frozen=True)
class SharedParts:
    """The parts of a domain.

    Parameters
    ----------
    part : (members, *block) the number of each unknown's part that nothing holds, the same on all processes; -1 in none
    floats : (members, parts) which numbers a member has
    least : of what holds another part, over its diagonal
    """

    part: Tensor
    floats: np.ndarray
    least: float


def shared_parts(partition: Partition, w: Window, A: Stencil, excess: Tensor) -> SharedParts:
    """Of an operator on a window; excess : (members, *block) A 1."""
    each = [_parts_of(partition, w, A, member, v) for member, v in enumerate(excess.numpy())]
    counts = np.array([count for _, count, _ in each])
    floats = np.arange(max(counts.max(), 1)) < counts[:, None]
    part = torch.from_numpy(np.stack([part for part, _, _ in each]))
    return SharedParts(part, floats, min(least for _, _, least in each))


def _parts_of(
    partition: Partition, w: Window, A: Stencil, member: int, excess: np.ndarray
) -> tuple[np.ndarray, int, float]:
    """(part, how many, least) of a member."""
    joined = [(o, (s[member] != 0).numpy()) for o, s in A.couplings.items()]
    label, common = components(partition, w, joined, A.shape)
    name, own = np.unique(label[w.owned], return_inverse=True)
    own, several = own.reshape(excess.shape), name < common
    D = A.diagonal[member].numpy()[w.owned]
    sums = np.stack([np.bincount(own.ravel(), v.ravel(), len(name)) for v in (np.abs(excess), D)])
    whole = np.zeros((2, common))
    whole[:, name[several]] = sums[:, several]
    whole = partition.total(whole)
    sums[:, several] = whole[:, name[several]]
    (energy, size), loose = sums, sums[0] == 0
    held = energy[~loose] / size[~loose]
    of_all = (whole[0] == 0) & (whole[1] > 0)
    counts = partition.total(np.eye(partition.count)[partition.rank] * (loose & ~several).sum()).astype(int)
    number = np.full(len(name), -1)
    number[several & loose] = (np.cumsum(of_all) - 1)[name[several & loose]]
    first = int(of_all.sum() + counts[: partition.rank].sum())
    number[~several & loose] = first + np.arange(counts[partition.rank])
    least = -float(partition.most(-held.min(initial=np.inf)))
    return number[own], int(of_all.sum() + counts.sum()), least


def components(
    partition: Partition, w: Window, joined: list[tuple[tuple[int, ...], np.ndarray]], shape: Sequence[int]
) -> tuple[np.ndarray, int]:
    """The name of each unknown's component, on a window; names below the number returned may be on several processes.

    Those are the names of what meets the last planes of a block, or the first ones of the next.

    joined : per offset where an unknown is joined with the one there
    """
    from scipy import sparse  # which would take as long to load as a solve

    stop = w.owned.stop + (w.after > 0)
    slab = np.arange((stop - w.before) * int(np.prod(shape[1:]))).reshape(-1, *shape[1:])
    edges = []
    for o, there in joined:
        ahead = np.roll(slab, [-step for step in o], range(len(o)))
        there = there[w.before : stop].copy()
        there[slab.shape[0] - o[0] :] = False  # these lead out of it
        edges.append((slab[there], ahead[there]))
    first, second = (np.concatenate(each) for each in zip(*edges, strict=True))
    graph = sparse.coo_array((np.ones(len(first), bool), (first, second)), (slab.size, slab.size))
    count, mine = sparse.csgraph.connected_components(graph, directed=False)
    counts = partition.total(np.eye(partition.count)[partition.rank] * count).astype(np.int64)
    begins = np.concatenate([[0], np.cumsum(counts)])
    mine = mine.reshape(slab.shape) + begins[partition.rank]
    field = np.zeros(shape, np.int64)
    field[w.owned] = mine[: w.high - w.low]
    exchange(partition, w, torch.from_numpy(field), 0)
    last = mine[w.high - w.low - 1].ravel()
    pairs = [np.stack([last, last])]
    if w.after:
        pairs.append(np.stack([mine[-1].ravel(), field[w.owned.stop].ravel()]))
    each: list[Any] = [None] * partition.count
    dist.all_gather_object(each, np.unique(np.concatenate(pairs, 1), axis=1), group=partition.group)
    joins = np.concatenate(each, 1)
    met, at = np.unique(joins, return_inverse=True)
    at = np.asarray(at).reshape(2, -1)
    graph = sparse.coo_array((np.ones(len(at[0]), bool), (at[0], at[1])), (len(met), len(met)))
    common, group = sparse.csgraph.connected_components(graph, directed=False)
    names = np.arange(begins[partition.rank], begins[partition.rank + 1]) + common
    place = np.searchsorted(met, names - common)
    found = (place < len(met)) & (met[np.minimum(place, len(met) - 1)] == names - common)
    names[found] = group[place[found]]
    field[w.owned] = names[mine[: w.high - w.low] - begins[partition.rank]]
    return exchange(partition, w, torch.from_numpy(field), 0).numpy(), common
