"""Compiled cycles on the levels of plain torch, array by array, whatever makes these levels elsewhere."""

from collections.abc import Sequence

import numpy as np
import torch

from mgnet.pde.blackbox.clusters import NOTHING, Clusters
from mgnet.pde.blackbox.coarsest import inverse
from mgnet.pde.blackbox.hierarchy import Grid, coarse_operators, step_lengths
from mgnet.pde.blackbox.stencil import Stencil, excess, from_diffusion
from mgnet.pde.native import kernels, machine
from mgnet.pde.native.blackbox import NativeBlackBox
from mgnet.pde.operators import Diffusion

LEFT = 16
POINTS = {1: 0, 2: 0, 4: 1, 3: 2, 13: 3}  # by the number of couplings
KINDS = {torch.float32: np.float32, torch.float64: np.float64}


def three(v: Sequence, one):
    """Per grid axis -> (planes, rows, columns)."""
    v = list(v)
    return [one, one, v[0]] if len(v) == 1 else [v[0], one, v[1]] if len(v) == 2 else v


def field(v: torch.Tensor, wraps: bool, dtype) -> np.ndarray:
    """(members, *grid) -> (members, rows, stride); what is beyond the ghosts is not a number."""
    n = v.shape[-1]
    stride = LEFT + -(-(n + 3) // 16) * 16
    to = np.full((len(v), int(np.prod(v.shape[1:-1])), stride + 16 * (stride % 512 == 0)), np.nan, dtype)
    to[:, :, LEFT - 2 : LEFT + n + 2] = 0
    to[:, :, LEFT : LEFT + n] = v.reshape(*to.shape[:2], n).numpy()
    if wraps:
        for ghost in (-2, -1, n, n + 1):
            to[:, :, LEFT + ghost] = to[:, :, LEFT + ghost % n]
    return to


def plain(w: np.ndarray, shape: Sequence[int]) -> torch.Tensor:
    return torch.from_numpy(w[:, :, LEFT : LEFT + shape[-1]].reshape(len(w), *shape).copy())


def native(A: Diffusion, like: torch.Tensor, nu=(2, 2), gamma=1, precision=torch.float64, batch=1, jumps=False,
           threads=1, grids=None) -> NativeBlackBox:  # fmt: skip
    """As ``ReadableBlackBox``; grids : (grids, D^-1/2), if they are given."""
    stencil = from_diffusion(A)
    grids, scale = coarse_operators(stencil, A.axes, jumps=jumps) if grids is None else grids
    wraps, dtype = [axis.periodic for axis in A.axes], KINDS[precision]
    levels = [level(l, grid, grids[l + 1].A, wraps, nu, dtype) for l, grid in enumerate(grids[:-1])]
    of_finest = [
        field(scale, wraps[-1], dtype), couplings(stencil, wraps[-1], float), field(excess(A), wraps[-1], float),
        np.ascontiguousarray(inverse(grids[-1].A).numpy(), dtype),
    ]  # fmt: skip
    cycles = kernels.BlackBox(
        machine(), precision == torch.float32, like.dtype == torch.float32, levels, *of_finest,
        0 if gamma == "F" else gamma, batch, threads,
    )  # fmt: skip
    return NativeBlackBox(cycles, stencil.shape, tuple(g.A.diagonal[0].numel() for g in grids), batch)


def couplings(A: Stencil, wraps: bool, dtype) -> np.ndarray:
    each = [field(A.couplings[o], wraps, dtype) for o in sorted(A.couplings)]
    return np.stack(each + [0 * each[0]] * (A.ndim == 1))


def level(l: int, grid: Grid, coarse: Stencil, wraps: list[bool], nu, dtype) -> kernels.StencilLevel:
    P, A = grid.P, grid.A
    down, up = step_lengths(A, l, nu, "chebyshev")
    return kernels.StencilLevel(
        three(A.shape, 1), three(coarse.shape, 1), three(wraps, False), POINTS[len(A.couplings)],
        POINTS[len(coarse.couplings)], three([a.halved for a in P.axes], False),
        three([a.first if a.halved else 0 for a in P.axes], 0), couplings(A, wraps[-1], dtype),
        np.stack([field(W, wraps[-1], dtype) for W in P.weights.values()]), list(map(float, down)),
        list(map(float, up)), None if grid.clusters is None else cluster_list(grid.clusters, A),
    )  # fmt: skip


def cluster_list(B: Clusters, A: Stencil) -> kernels.ClusterList:
    """Cluster by cluster where z and A z are not zero."""
    z, Az, at, at_A, member = [], [], [], [], []
    N = A.diagonal[0].numel()
    for k in range(len(B.inverse)):
        whole = torch.zeros(B.size, dtype=torch.float64)
        chosen = B.cluster == k
        whole[B.at[chosen]] = B.z[chosen]
        product = A(whole.reshape(A.diagonal.shape)).flatten()
        edge = (product.abs() > NOTHING).nonzero().flatten()
        z, Az, at, at_A = [*z, B.z[chosen]], [*Az, product[edge]], [*at, B.at[chosen]], [*at_A, edge]
        member.append(int(B.at[chosen][0]) // N)

    def begins(parts):
        return np.cumsum([0, *map(len, parts)], dtype=np.int64)

    n = A.shape[-1]
    stride = field(A.diagonal, False, float).shape[-1]

    def places(parts):
        row, x = np.divmod(torch.cat(parts).numpy() % N, n)
        return (row * stride + LEFT + x).astype(np.int32)

    return kernels.ClusterList(
        places(at), torch.cat(z).numpy(), begins(at), places(at_A), torch.cat(Az).numpy(), begins(at_A),
        B.inverse.numpy(), np.array(member, np.int64),
    )  # fmt: skip
