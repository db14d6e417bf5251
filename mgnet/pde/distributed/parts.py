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

from mgnet.pde.distributed.halo import exchange
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.distributed.problem import SharedPoisson
from mgnet.pde.distributed.window import Window
from mgnet.pde.native import arrays


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


def shared_parts(problem: SharedPoisson, A: Any, excess: Tensor) -> SharedParts:
    """Of an operator near the block, with one batch axis at most; excess : (members, *block) A 1."""
    ndim, shape = problem.grid.ndim, problem.near_shape

    def members(v: Tensor, d: int | None = None) -> np.ndarray:
        whole = [n + (e == d) for e, n in enumerate(shape)]
        every = v.cpu().expand(*v.shape[: max(v.ndim - ndim, 0)], *whole)
        return every.reshape(-1, *whole).expand(len(excess), *whole).numpy()

    inside = members(torch.ones(shape, dtype=torch.bool, device="cpu") if problem.unknown is None else problem.unknown)
    opens = [members(k > 0, d) for d, k in enumerate(A.k)]
    D = members(A.diagonal)
    held = excess.cpu().numpy()
    if problem.alone is not None:  # what is in those equations holds nothing
        held = np.where(members(problem.alone)[:, problem.near.owned], 0.0, held)
    each = [_parts_of(problem, inside[m], [k[m] for k in opens], D[m], v) for m, v in enumerate(held)]
    counts = np.array([count for _, count, _ in each])
    floats = np.arange(max(counts.max(), 1)) < counts[:, None]
    part = torch.from_numpy(np.stack([part for part, _, _ in each])).to(excess.device)
    return SharedParts(part, floats, min(least for _, _, least in each))


def _parts_of(
    problem: SharedPoisson, inside: np.ndarray, opens: Sequence[np.ndarray], D: np.ndarray, excess: np.ndarray
) -> tuple[np.ndarray, int, float]:
    """(part, how many, least) of a member."""
    partition, w = problem.partition, problem.near
    begin, stop = w.before, w.owned.stop + (w.after > 0)
    faces = [k[None, begin : stop + (d == 0)] for d, k in enumerate(opens)]
    wraps = [d > 0 and axis.periodic for d, axis in enumerate(problem.grid.axes)]
    label = arrays.components(inside[None, begin:stop], faces, wraps)[0]
    first = label.ravel() == np.arange(label.size)
    count, mine = int(first.sum()), np.append(np.cumsum(first) - 1, -1)[label]
    name, common = united(partition, w, mine, count)
    own, several = mine[: len(excess)], name < common
    sums = np.stack([np.bincount(own.ravel() + 1, v.ravel(), count + 1)[1:] for v in (np.abs(excess), D[w.owned])])
    whole = partition.total(np.stack([np.bincount(name[several], v[several], common) for v in sums]))
    sums[:, several] = whole[:, name[several]]
    (energy, size), loose = sums, sums[0] == 0
    of_all = whole[0] == 0
    counts = partition.total(np.eye(partition.count)[partition.rank] * (loose & ~several).sum()).astype(int)
    number = np.full(count + 1, -1)  # the last one of what is outside
    number[:-1][several & loose] = (np.cumsum(of_all) - 1)[name[several & loose]]
    number[:-1][~several & loose] = of_all.sum() + counts[: partition.rank].sum() + np.arange(counts[partition.rank])
    least = -float(partition.most(-(energy[~loose] / size[~loose]).min(initial=np.inf)))
    return number[own], int(of_all.sum() + counts.sum()), least


def united(partition: Partition, w: Window, mine: np.ndarray, count: int) -> tuple[np.ndarray, int]:
    """The names of this process's components on all processes; those below the number returned may be on several.

    Those are the names of what meets the last planes of a block, or the first ones of the next.

    Parameters
    ----------
    mine : of each of the block's unknowns, and of the next one's first plane, the component, -1 in none
    count : of components
    """
    from scipy import sparse  # which would take as long to load as a solve

    counts = partition.total(np.eye(partition.count)[partition.rank] * count).astype(np.int64)
    begins = np.concatenate([[0], np.cumsum(counts)])
    first, n = begins[partition.rank], w.high - w.low
    planes = np.full((w.size, *mine.shape[1:]), -1)
    planes[w.owned] = np.where(mine[:n] < 0, -1, mine[:n] + first)
    exchange(partition, w, torch.from_numpy(planes), 0)
    last = planes[w.owned.stop - 1].ravel()
    pairs = [np.stack([last, last])]
    if w.after:
        pairs.append(np.stack([mine[-1].ravel() + first, planes[w.owned.stop].ravel()]))
    met = np.concatenate(pairs, 1)
    each: list[Any] = [None] * partition.count
    dist.all_gather_object(each, np.unique(met[:, met[1] >= 0], axis=1), group=partition.group)
    met, at = np.unique(np.concatenate(each, 1), return_inverse=True)
    at = np.asarray(at).reshape(2, -1)
    graph = sparse.coo_array((np.ones(len(at[0]), bool), (at[0], at[1])), (len(met), len(met)))
    common, group = sparse.csgraph.connected_components(graph, directed=False)
    name = np.arange(first, first + count) + common
    here = (met >= first) & (met < first + count)
    name[met[here] - first] = group[here]
    return name, common
