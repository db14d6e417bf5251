"""Passes over windows by the compiled kernels, on CPUs."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.distributed.passes import DATUM, ITERATE, NONE, WORK, Windowed, Windows
from mgnet.pde.distributed.slabs import Slabs
from mgnet.pde.distributed.window import Window, cut
from mgnet.pde.levels.interpolant import of_interpolants
from mgnet.pde.levels.transfers import identity
from mgnet.pde.native import four, kernels, machine, padded, threads
from mgnet.pde.native.describe import NO_END, axis_of, end_of, kernel_table
from mgnet.pde.native.memory import Pool
from mgnet.pde.problem.axis import Axis, Table


class NativePasses:
    """``Passes`` on numpy arrays (batch, n0, n1, n2)."""

    apart = True

    def __init__(self, asked: Windows):
        self._asked = asked
        self._dtype = np.dtype(np.float32 if asked.like.dtype == torch.float32 else np.float64)
        self._shapes = [(asked.batch, *four(asked.shape(l)[1:])) for l in range(len(asked.grids) + 1)]
        coarsest = self._shapes[-1][1:]
        unused = kernels.Direct([np.zeros((n, n)) for n in coarsest], np.zeros(coarsest))
        self._kernels = kernels.Kernels(
            machine(), self._dtype == np.float32, [_grid(grid, asked) for grid in asked.grids], unused, asked.c, 1,
            asked.batch, threads(), False, None,
        )  # of which single passes are run  # fmt: skip
        self._lasting = {kind: Pool(self._shapes[0], self._dtype) for kind in (ITERATE, DATUM)}

    def empty(self, l: int, kind: int = WORK) -> np.ndarray:
        return np.zeros(self._shapes[l], self._dtype) if kind == WORK else self._lasting[kind].empty()

    def tensor(self, l: int, v: np.ndarray) -> Tensor:
        return torch.from_numpy(v).reshape(self._asked.shape(l))

    def go(
        self, l: int, f: Any, u: Any = None, guess: Any = None, e: Any = None, out: Any = None, f_c: Any = None,
        way: int = NONE, norm: bool = False, omega: float = 1.0,
    ) -> np.ndarray | None:  # fmt: skip
        before, block, after = f if isinstance(f, Slabs) else (None, f, None)
        return self._kernels.pass_(l, u, guess, e, block, out, f_c, way, norm, False, omega, before, after)

    def interpolant(self, l: int, f: Any, f_c: np.ndarray, guess: np.ndarray, out: np.ndarray) -> None:
        self._kernels.interpolant(l, f_c, guess, out)


def _grid(of: Windowed, asked: Windows) -> kernels.Grid:
    """A window of a fine grid, and its transfers to and from one of the next coarser."""
    fine, a = of.transfer.fine, asked.a
    _, Q, R = of.transfer.on_all_axes
    mass, stiffness = of_interpolants(fine, a, asked.c, R, Q)
    for d, (w, w_c) in enumerate(zip(of.fine, of.coarse, strict=True)):
        if not w.whole:
            K, along = stiffness[d]
            mass[d], stiffness[d] = cut(mass[d], w_c, w_c), (cut(K, w_c, w_c), along[w_c.planes])
    axes = [_axis(axis, a_d, asked.own, w) for axis, a_d, w in zip(fine, a, of.fine, strict=True)]
    none = kernels.Axis(1, False, 0.0, NO_END, NO_END)
    one, sizes = identity(1), [w.size for w in of.coarse]
    tables = ([t or identity(w.size) for t, w in zip(kind, of.fine, strict=True)] for kind in of.tables())
    Ps, Qs, Rs = ([kernel_table(t) for t in padded(kind, one)] for kind in tables)
    zero = Table(one.start, 0 * one.weights, 1), np.zeros(1)
    Ms = [kernel_table(t) for t in padded(mass, one)]
    Ks = [kernel_table(T, np.ascontiguousarray(of_one)) for T, of_one in padded(stiffness, zero)]
    counted = padded([(w.owned.start, w.owned.stop) for w in of.fine], (0, 1))
    return kernels.Grid(len(axes), padded(axes, none), four(sizes), Ps, Qs, Rs, Ms, Ks, of.down, of.up, counted)


def _axis(axis: Axis, a: float, own: bool, w: Window) -> kernels.Axis:
    """A window of an axis."""
    if w.whole:
        return axis_of(axis, a, own)
    low = end_of(axis, a, 0, own) if w.begin == 0 and not w.periodic else NO_END
    high = end_of(axis, a, 1, own, w.begin) if w.end == w.n and not w.periodic else NO_END
    return kernels.Axis(w.size, False, a / axis.h**2, low, high)
