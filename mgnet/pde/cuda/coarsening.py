"""From one grid's operator to the next on a device: the kernels of ``setup.py`` for the equations of ``blackbox``."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.blackbox import hierarchy
from mgnet.pde.blackbox.hierarchy import Coarsened
from mgnet.pde.blackbox.interpolation import Coarsening, Interpolation
from mgnet.pde.blackbox.stencil import Stencil, positive_offsets
from mgnet.pde.cuda import LAUNCH, setup
from mgnet.pde.cuda.steps import WIDTH, deltas, product_steps, weight_steps
from mgnet.pde.cuda.tiles import integers, programs, three, tile

Triples = tuple[tuple[int, ...], ...]


def unit(A: Stencil) -> tuple[Stencil, Tensor]:
    """(D^-1/2 A D^-1/2, D^-1/2)."""
    scale, offsets, S = A.diagonal.rsqrt(), sorted(A.couplings), _stacked(A)
    out, members = torch.empty_like(S), len(scale)
    setup.unit[(members * programs(A.shape),)](
        S, scale, out, integers(three(A.shape, 1), S.device), members,
        OFFSETS=tuple(three(o, 0) for o in offsets), TILE=tile(A.shape), **LAUNCH,
    )  # fmt: skip
    return Stencil(torch.ones_like(scale), dict(zip(offsets, out, strict=True))), scale


def coarsen(
    A: Stencil, scale: Tensor, axes: Sequence[Coarsening], masked: bool, solved: Sequence[int] = ()
) -> Coarsened:
    """``hierarchy.coarsen`` in kernels, but for masked operators and lines."""
    if masked or solved:
        return hierarchy.coarsen(A, scale, axes, masked, solved)
    device, members, offsets = A.diagonal.device, len(A.diagonal), positive_offsets(A.ndim)
    shape, coarse = A.shape, tuple(axis.coarse for axis in axes)
    triples = tuple(three(o, 0) for o in sorted(A.couplings))
    halved, wraps, seams = (
        three([getattr(axis, name) for axis in axes], False) for name in ("halved", "periodic", "seam")
    )
    first = three([axis.first if axis.halved else 0 for axis in axes], 0)
    where = [integers(v, device) for v in (three(shape, 1), three(coarse, 1), first)]
    kind = {"HALVED": halved, "WRAPS": wraps, "TILE": tile(coarse), **LAUNCH}
    around, tiles = deltas(halved), members * programs(coarse)

    S = _stacked(A)
    W = S.new_empty((len(around), members, *coarse))
    W[len(around) // 2] = 1.0
    steps, begin = _weight_steps(triples, halved, device), 0
    for order in range(1, sum(halved) + 1):
        of_order = sum(sum(map(abs, delta)) == order for delta in around)
        setup.weights[(tiles, of_order)](
            A.diagonal, S, W, steps, begin, 2 * len(triples), *where, members, SEAMS=seams, **kind
        )
        begin += of_order

    entries = torch.cat([A.diagonal[None], -S])
    steps, bounds = _product_steps(triples, halved, seams, tuple(three(o, 0) for o in offsets), device)
    out = S.new_empty((1 + len(offsets), members, *coarse))
    setup.product[(tiles, len(out))](entries, W, out, steps, bounds, *where, members, SEAMS=seams, **kind)
    A_c = Stencil(out[0], dict(zip(offsets, -out[1:], strict=True)))

    unit_c, scale_c = unit(A_c)
    fields = torch.empty_like(W)
    numbers = integers(sum(around, ()), device)
    setup.scaled[(tiles, len(around))](W, scale, scale_c, fields, numbers, *where, members, **kind)
    keys = [delta[3 - A.ndim :] for delta in around]
    return Coarsened(A_c, unit_c, scale_c, Interpolation(tuple(axes), dict(zip(keys, fields, strict=True))))


def _stacked(A: Stencil) -> Tensor:
    return torch.stack([A.couplings[o] for o in sorted(A.couplings)])


@cache
def _weight_steps(couplings: Triples, halved: tuple[bool, ...], device: torch.device) -> Tensor:
    return torch.tensor(weight_steps(couplings, halved)[1:], dtype=torch.int32, device=device)


@cache
def _product_steps(
    couplings: Triples, halved: tuple[bool, ...], seams: tuple[bool, ...], coarse: Triples, device: torch.device
) -> tuple[Tensor, Tensor]:
    """(the steps that add a product, where those of each entry begin)."""
    table = product_steps(couplings, halved, seams, coarse)
    begins = np.flatnonzero(table[:, 0] == 0)
    bounds = np.append(np.cumsum(table[:, 0] == 1)[begins], (table[:, 0] == 1).sum())
    steps = table[table[:, 0] == 1].reshape(-1, WIDTH)
    return tuple(torch.tensor(v, dtype=torch.int32, device=device) for v in (steps, bounds))  # type: ignore[return-value]
