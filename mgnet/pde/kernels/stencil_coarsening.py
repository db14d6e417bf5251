"""From one grid's operator to the next: the weights of P, the Galerkin product, the unit forms (``stencil_setup``)."""

from dataclasses import dataclass

import numpy as np
import torch

from mgnet.pde.blackbox.galerkin import NOTHING
from mgnet.pde.blackbox.interpolation import Coarsening
from mgnet.pde.blackbox.stencil import positive_offsets
from mgnet.pde.blackbox.steps import (
    deltas,
    product_steps,
    scaled_steps,
    three,
    unit_steps,
    weight_steps,
)
from mgnet.pde.kernels import stencil_setup
from mgnet.pde.kernels.launch import SMALL, launch, threads
from mgnet.pde.kernels.stencil_fields import Operator, three_flags
from mgnet.pde.kernels.stencil_rows import LEFT
from mgnet.pde.kernels.stencil_setup import HEAD, PRODUCT, ROOT, SCALED, UNIT, WEIGHTS


@dataclass
class Pair:
    """A grid and how it is coarsened: P's weights (deltas, batch, coarse rows, stride) in float64."""

    fine: Operator
    coarse: Operator
    axes: list[Coarsening]

    @property
    def halved(self) -> tuple[bool, bool, bool]:
        return three_flags([axis.halved for axis in self.axes])

    @property
    def seams(self) -> tuple[bool, bool, bool]:
        return three_flags([axis.seam for axis in self.axes])

    @property
    def first(self) -> tuple[int, int, int]:
        return three([axis.first if axis.halved else 0 for axis in self.axes])


def _arguments(
    what: int,
    fine: Operator,
    pair: Pair | None,
    W: np.ndarray | None,
    small: np.ndarray | None,
    ops: np.ndarray,
    rows: int,
    inside: np.ndarray | None = None,
) -> tuple[int, np.ndarray, bool]:
    """(tasks, arguments, alone) of one launch of the set-up kernel."""
    coarse = fine if pair is None else pair.coarse
    first, halved = ((0, 0, 0), (False,) * 3) if pair is None else (pair.first, pair.halved)
    alone = fine.D.size < SMALL or threads() == 1
    blocks = 1 if alone else min(rows, 4 * threads())
    head = [what, blocks, fine.batch, *fine.n, *coarse.n, fine.stride, coarse.stride, *first, *halved, *fine.wraps]
    addresses = [fine.D, fine.S, W, coarse.D, coarse.S, fine.R, coarse.R, small, ops]
    *numbers, mask = [0 if v is None else v.ctypes.data for v in (*addresses, inside)]
    padded = [*head, *[0] * (HEAD - len(head)), *numbers, len(ops), mask, 0]
    return blocks * fine.batch, np.array(padded, np.int64), alone


def root(A: Operator, dtype: np.dtype) -> None:
    """A.R = D^-1/2."""
    ops = np.zeros((0, 11), np.int64)
    tasks, arguments, alone = _arguments(ROOT, A, None, None, None, ops, A.n[0] * A.n[1])
    launch(stencil_setup.kernel(dtype), tasks, arguments, alone)


def unit_couplings(A: Operator, dtype: np.dtype) -> np.ndarray:
    """The couplings of D^-1/2 A D^-1/2 in the levels' precision."""
    S = np.empty(A.S.shape, dtype)
    ops = unit_steps(tuple(A.couplings))
    tasks, arguments, alone = _arguments(UNIT, A, None, None, S, ops, A.n[0] * A.n[1])
    launch(stencil_setup.kernel(dtype), tasks, arguments, alone)
    return S


def coarsen(fine: Operator, axes: list[Coarsening], dtype: np.dtype) -> tuple[Operator, np.ndarray]:
    """(A_c, the weights of P between the unit forms)."""
    offsets = [three(o) for o in positive_offsets(fine.ndim)]
    if fine.ndim == 1:
        offsets = [(0, 0, 1), (1, 0, 0)]
    shape, wraps = [axis.coarse for axis in axes], [axis.periodic for axis in axes]
    coarse = Operator(shape, wraps, offsets, fine.batch, fine.masked)
    if fine.ndim == 1:
        coarse.S[1] = 0
        offsets = offsets[:1]
    pair = Pair(fine, coarse, axes)
    rows, halved = coarse.n[0] * coarse.n[1], pair.halved
    inside = _inside(fine) if fine.masked else None
    W = np.empty((len(deltas(halved)), fine.batch, rows, coarse.stride))
    small = np.empty(W.shape, dtype)
    kernel = stencil_setup.kernel(dtype)
    real = tuple(fine.couplings if fine.ndim > 1 else fine.couplings[:1])
    for what, ops in (
        (WEIGHTS, weight_steps(real, halved)),
        (PRODUCT, product_steps(real, halved, pair.seams, tuple(offsets))),
    ):
        tasks, arguments, alone = _arguments(what, fine, pair, W, None, ops, rows, inside)
        launch(kernel, tasks, arguments, alone)
    if fine.masked:
        _regular(pair)
    root(coarse, dtype)
    ops = scaled_steps(halved)
    tasks, arguments, alone = _arguments(SCALED, fine, pair, W, small, ops, rows)
    launch(kernel, tasks, arguments, alone)
    return coarse, small


def _inside(fine: Operator) -> np.ndarray:
    """1 where an unknown is coupled to any other, padded."""
    field = np.empty_like(fine.D)
    fine._set(field, fine.stencil().coupled.double())
    return field


def _regular(pair: Pair) -> None:
    """``galerkin.regular`` on padded fields."""
    fine, coarse = pair.fine, pair.coarse
    D, D_c = (A.D[:, :, LEFT : LEFT + A.n[2]].reshape(A.batch, *A.n) for A in (fine, coarse))
    every = [slice(start, None, 2 if halved else 1) for start, halved in zip(pair.first, pair.halved, strict=True)]
    at = D[:, *every]
    coarse._set(coarse.D, torch.from_numpy(np.where(D_c < NOTHING * at, at, D_c)))


def strengths(A: Operator, S: np.ndarray) -> list[float]:
    """The mean collapsed coupling of each axis in the unit form."""
    inner = [float(s[:, :, LEFT : LEFT + A.n[2]].mean()) for s in S]
    axes = [three([int(e == k) for e in range(A.ndim)]) for k in range(A.ndim)]
    return [
        sum(s for s, o in zip(inner, A.couplings, strict=True) if any(x and y for x, y in zip(o, axis, strict=True)))
        for axis in axes
    ]
