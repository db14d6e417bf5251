"""The black-box hierarchy in fused passes (CPU): set-up, levels, and what conjugate gradients ask."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mgnet.core import cycle, full_multigrid
from mgnet.pde.blackbox.coarsest import inverse
from mgnet.pde.blackbox.galerkin import NOTHING
from mgnet.pde.blackbox.hierarchy import COARSEST, SHORTEST, bound, choose_axes, damping, first_coarse
from mgnet.pde.blackbox.interpolation import Coarsening
from mgnet.pde.blackbox.stencil import Stencil, from_diffusion, positive_offsets
from mgnet.pde.kernels import dense, stencil_krylov, stencil_pass, stencil_setup
from mgnet.pde.kernels.fused import four
from mgnet.pde.kernels.launch import SMALL, Tape, launch, recorded, threads
from mgnet.pde.kernels.stencil_rows import LEFT, stride_of
from mgnet.pde.kernels.stencil_setup import HEAD, PRODUCT, ROOT, SCALED, UNIT, WEIGHTS
from mgnet.pde.kernels.stencil_tables import (
    Offset,
    deltas,
    product_steps,
    scaled_steps,
    three,
    unit_steps,
    weight_steps,
)
from mgnet.pde.operators import Diffusion


def three_flags(v: Sequence[bool]) -> tuple[bool, bool, bool]:
    """A flag per grid axis as (planes, rows, columns)."""
    return (False, False, v[0]) if len(v) == 1 else (v[0], False, v[1]) if len(v) == 2 else (v[0], v[1], v[2])


class Operator:
    """A stencil in padded float64 fields: D (batch, rows, stride), S (couplings, batch, rows, stride)."""

    def __init__(self, shape: Sequence[int], wraps: Sequence[bool], couplings: Sequence[Offset], batch: int):
        self.ndim, self.shape, self.n = len(shape), tuple(shape), four(shape)
        self.wraps, self.couplings, self.batch = three_flags(wraps), list(couplings), batch
        self.stride = stride_of(self.n[2])
        rows = self.n[0] * self.n[1]
        self.D = np.empty((batch, rows, self.stride))
        self.S = np.empty((len(couplings), batch, rows, self.stride))
        self.R = np.zeros_like(self.D)

    @classmethod
    def of(cls, A: Stencil, wraps: Sequence[bool]) -> "Operator":
        offsets = sorted(A.couplings)
        own = cls(A.shape, wraps, [three(o) for o in offsets], len(A.diagonal))
        own._set(own.D, A.diagonal)
        for S, o in zip(own.S, offsets, strict=True):
            own._set(S, A.couplings[o])
        return own

    def _set(self, into: np.ndarray, v: Tensor) -> None:
        n, wraps = self.n[2], self.wraps[2]
        into[:, :, LEFT : LEFT + n] = v.reshape(into.shape[0], -1, n).numpy()
        for k, j in ((-2, (n - 2) % n), (-1, n - 1), (n, 0), (n + 1, 1 % n)):
            into[:, :, LEFT + k] = into[:, :, LEFT + j] if wraps else 0.0

    def stencil(self) -> Stencil:
        """Without padding."""
        inner = slice(LEFT, LEFT + self.n[2])

        def plain(v: np.ndarray) -> Tensor:
            return torch.from_numpy(v[:, :, inner].reshape(self.batch, *self.shape).copy())

        own = {_own(o, self.ndim): plain(S) for o, S in zip(self.couplings, self.S, strict=True)}
        return Stencil(plain(self.D), own)

    def unit(self) -> Stencil:
        """With a unit diagonal, without padding."""
        return self.stencil().unit()[0]

    def let_go(self) -> None:
        """Free the fields; the grid is still known."""
        self.D = self.R = np.empty((0, 0, 0))
        self.S = np.empty((0, 0, 0, 0))

    @property
    def kind(self) -> int:
        """Which row function applies it, see ``stencil_rows.apply_row``."""
        return {2: 0, 4: 1, 3: 2, 13: 3}[len(self.couplings)]


def _own(o: Offset, ndim: int) -> tuple[int, ...]:
    return o if ndim == 3 else (o[0], o[2]) if ndim == 2 else (o[2],)


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


def _arguments(what: int, fine: Operator, pair: Pair | None, W: np.ndarray | None, small: np.ndarray | None,
               ops: np.ndarray, rows: int) -> tuple[int, np.ndarray, bool]:  # fmt: skip
    """(tasks, arguments, alone) of one launch of the set-up kernel."""
    coarse = fine if pair is None else pair.coarse
    first, halved = ((0, 0, 0), (False,) * 3) if pair is None else (pair.first, pair.halved)
    alone = fine.D.size < SMALL or threads() == 1
    blocks = 1 if alone else min(rows, 4 * threads())
    head = [what, blocks, fine.batch, *fine.n, *coarse.n, fine.stride, coarse.stride, *first, *halved, *fine.wraps]
    addresses = [fine.D, fine.S, W, coarse.D, coarse.S, fine.R, coarse.R, small, ops]
    numbers = [0 if v is None else v.ctypes.data for v in addresses]
    padded = [*head, *[0] * (HEAD - len(head)), *numbers, len(ops), 0, 0]
    return blocks * fine.batch, np.array(padded, np.int64), alone


def _root(A: Operator, dtype: np.dtype) -> None:
    ops = np.zeros((0, 11), np.int64)
    tasks, arguments, alone = _arguments(ROOT, A, None, None, None, ops, A.n[0] * A.n[1])
    launch(stencil_setup.kernel(dtype), tasks, arguments, alone)


def _unit(A: Operator, dtype: np.dtype) -> np.ndarray:
    """The couplings of D^-1/2 A D^-1/2 in the levels' precision."""
    S = np.empty(A.S.shape, dtype)
    ops = unit_steps(tuple(A.couplings))
    tasks, arguments, alone = _arguments(UNIT, A, None, None, S, ops, A.n[0] * A.n[1])
    launch(stencil_setup.kernel(dtype), tasks, arguments, alone)
    return S


def coarsen(fine: Operator, axes: list[Coarsening], dtype: np.dtype, parts: bool) -> tuple[Operator, np.ndarray]:
    """(A_c, the weights of P between the unit forms)."""
    offsets = [three(o) for o in positive_offsets(fine.ndim)]
    if fine.ndim == 1:
        offsets = [(0, 0, 1), (1, 0, 0)]
    coarse = Operator([axis.coarse for axis in axes], [axis.periodic for axis in axes], offsets, fine.batch)
    if fine.ndim == 1:
        coarse.S[1] = 0
        offsets = offsets[:1]
    pair = Pair(fine, coarse, axes)
    rows, halved = coarse.n[0] * coarse.n[1], pair.halved
    W = np.empty((len(deltas(halved)), fine.batch, rows, coarse.stride))
    small = np.empty(W.shape, dtype)
    kernel = stencil_setup.kernel(dtype)
    real = tuple(fine.couplings if fine.ndim > 1 else fine.couplings[:1])
    for what, ops in (
        (WEIGHTS, weight_steps(real, halved)),
        (PRODUCT, product_steps(real, halved, pair.seams, tuple(offsets))),
    ):
        tasks, arguments, alone = _arguments(what, fine, pair, W, None, ops, rows)
        launch(kernel, tasks, arguments, alone)
    if parts:
        _regular(pair)
    _root(coarse, dtype)
    ops = scaled_steps(halved)
    tasks, arguments, alone = _arguments(SCALED, fine, pair, W, small, ops, rows)
    launch(kernel, tasks, arguments, alone)
    return coarse, small


def _regular(pair: Pair) -> None:
    """``galerkin.regular`` on padded fields."""
    fine, coarse = pair.fine, pair.coarse
    D, D_c = (A.D[:, :, LEFT : LEFT + A.n[2]].reshape(A.batch, *A.n) for A in (fine, coarse))
    every = [slice(start, None, 2 if halved else 1) for start, halved in zip(pair.first, pair.halved, strict=True)]
    at = D[:, *every]
    coarse._set(coarse.D, torch.from_numpy(np.where(D_c < NOTHING * at, at, D_c)))


class FusedStencilLevel:
    """One grid; fields are (batch, rows, stride), padded."""

    def __init__(self, A: Operator, S: np.ndarray, coarse: Operator, W: np.ndarray, axes: list[Coarsening],
                 omega: tuple[Sequence[float], Sequence[float]], batch: int):  # fmt: skip
        dtype = S.dtype
        self.A, self.S, self.W = A, S, W
        self._batch, self._kernel = batch, stencil_pass.kernel(dtype)
        rows_c = coarse.n[0] * coarse.n[1]
        self._iterates = [np.zeros((batch, A.n[0] * A.n[1], A.stride), dtype) for _ in range(2)]
        self._f_c = np.zeros((batch, rows_c, coarse.stride), dtype)
        self._down, self._up = (np.array(o, dtype) for o in omega)
        size = batch * A.n[0] * A.n[1] * A.n[2]
        self._alone = size <= SMALL or threads() == 1
        blocks = 1 if self._alone or batch >= 4 * threads() else min(coarse.n[0], max(1, -(-2 * threads() // batch)))
        self._sums = np.zeros((batch, blocks))
        pair = Pair(A, coarse, axes)
        self._arguments = np.array(
            [0, 0, 0, 0, 0, S.ctypes.data, W.ctypes.data, 0, self._sums.ctypes.data, batch, *A.n, A.stride, *coarse.n,
             coarse.stride, 0, A.kind, A.batch, *pair.halved, *pair.first, *A.wraps, 0, blocks, 0, 0],
            np.int64,
        )  # fmt: skip

    def smooth(self, u: np.ndarray | None, f: np.ndarray) -> np.ndarray:
        return self._pass(u, None, f, self._down, self._other(u))

    def down(self, u: np.ndarray | None, f: np.ndarray, coarse: object):
        u = self._pass(u, None, f, self._down, self._other(u), self._f_c)
        return u, None, self._f_c

    def up(self, u: np.ndarray, f: np.ndarray, before: None, after: np.ndarray) -> np.ndarray:
        return self._pass(u, after, f, self._up, self._other(u))

    def restrict(self, f: np.ndarray, out: np.ndarray) -> np.ndarray:
        """P^T f."""
        self._pass(None, None, f, self._down[:0], None, out)
        return out

    def interpolate(self, u_c: np.ndarray) -> np.ndarray:
        """P u_c."""
        return self._pass(None, u_c, u_c, self._down[:0], self._iterates[1])

    def dots(self) -> np.ndarray:
        """(batch,) (f, u) of the last ``up`` or ``smooth``."""
        return self._sums.sum(axis=1)

    def _other(self, u: object) -> np.ndarray:
        return self._iterates[1] if u is self._iterates[0] else self._iterates[0]

    def _pass(self, u, e, f, steps, out, f_c=None):
        a = self._arguments
        for k, v in enumerate((u, e, f, out, f_c)):
            a[k] = 0 if v is None else v.ctypes.data
        a[7], a[18], a[30] = steps.ctypes.data, len(steps), f_c is None and f is not e
        launch(self._kernel, self._sums.size, a, self._alone)
        return out


class FusedCoarsestLevel:
    """u = A^-1 f by the dense inverse, on padded fields."""

    def __init__(self, A: Operator, dtype: np.dtype, batch: int):
        self.A_inverse = np.ascontiguousarray(inverse(A.unit()).numpy(), dtype)
        self._u = np.zeros((batch, A.n[0] * A.n[1], A.stride), dtype)
        self._kernel, self._alone = dense.kernel(dtype), batch < 2 * threads()
        sizes = [len(self.A_inverse), A.n[0] * A.n[1], A.n[2], A.stride, A.wraps[2]]
        self._arguments = np.array([self.A_inverse.ctypes.data, 0, self._u.ctypes.data, *sizes], np.int64)

    def smooth(self, u: object, f: np.ndarray) -> np.ndarray:
        self._arguments[1] = f.ctypes.data
        launch(self._kernel, len(f), self._arguments, self._alone)
        return self._u


def fusible(A: Diffusion, device: torch.device) -> bool:
    """Whether there are fused levels: on a CPU, for grids that are coarsened at all."""
    shape = [axis.n for axis in A.axes]
    return device.type == "cpu" and int(np.prod(shape)) > COARSEST and max(shape) >= SHORTEST


class FusedBlackBox:
    """The fused hierarchy, as a ``Hierarchy`` and as the ``System`` of conjugate gradients.

    Parameters: as ``ReadableBlackBox``, its twin; batch is the number of right-hand sides.
    """

    def __init__(self, A: Diffusion, like: Tensor, nu: tuple[int, int], gamma: int | str, smoother: str,
                 precision: torch.dtype, batch: int, parts: bool = False):  # fmt: skip
        self._gamma, self._batch = gamma, batch
        self._dtype = np.dtype(np.float32 if precision == torch.float32 else np.float64)
        self._wide = np.dtype(np.float32 if like.dtype == torch.float32 else np.float64)
        lines = [Coarsening(axis.n, axis.periodic, first_coarse(axis)) for axis in A.axes]
        operator = _finest(A, [axis.periodic for axis in A.axes])
        _root(operator, self._dtype)
        self.finest = operator
        self.sizes: tuple[int, ...] = (int(np.prod(operator.shape)),)
        self.levels: list = []
        S = _unit(operator, self._dtype)
        while self.sizes[-1] > COARSEST and (chosen := choose_axes(_strengths(operator, S), lines)) is not None:
            smallest = float(S[..., LEFT : LEFT + operator.n[2]].min())
            spectrum = bound(smallest, operator.unit) if self.levels else 2.0
            down, up = (damping(smoother, v, A.ndim, spectrum) for v in nu)
            coarse, W = coarsen(operator, chosen, self._dtype, parts)
            self.levels.append(FusedStencilLevel(operator, S, coarse, W, chosen, (down, up[::-1]), batch))
            if operator is not self.finest:
                operator.let_go()  # S and W have all that its level needs
            lines = [Coarsening(line.coarse, line.periodic, line.first) for line in chosen]
            operator, S = coarse, _unit(coarse, self._dtype)
            self.sizes += (int(np.prod(operator.shape)),)
        self.levels.append(FusedCoarsestLevel(operator, self._dtype, batch))
        self._data = [np.zeros_like(level._f_c) for level in self.levels[:-1]]
        self._prepare(batch)

    def _prepare(self, batch: int) -> None:
        A, S = self.finest, self.levels[0].S
        shape = (batch, A.n[0] * A.n[1], A.stride)
        self._s, A.R = A.R.astype(self._dtype), np.empty((0, 0, 0))
        self._r, self._p, self._q = (np.zeros(shape, self._dtype) for _ in range(3))
        self._spare: np.ndarray | None = None
        self._tape: Tape | None = None  # of a cycle from zero
        self._factors, self._size = np.zeros(batch), np.ones(batch)
        self._alone = self.levels[0]._alone
        blocks = self.levels[0]._sums.shape[1]
        self._sums = np.zeros((batch, blocks))
        self._scales = np.ones(batch)
        self._kernel = stencil_krylov.kernel(self._wide, self._dtype)
        self._arguments = np.array(
            [batch, *A.n, A.stride, A.kind, A.batch, blocks, *A.wraps, 0, self._factors.ctypes.data,
             self._scales.ctypes.data, self._sums.ctypes.data, 0, 0, 0, S.ctypes.data, 0, 0, 0,
             self._r.ctypes.data, self._s.ctypes.data, A.D.ctypes.data, A.S.ctypes.data],
            np.int64,
        )  # fmt: skip

    def data(self, b: Tensor) -> np.ndarray:
        return np.ascontiguousarray(b.numpy()).reshape(self._batch, *self.finest.n)

    def tensor(self, u: np.ndarray) -> Tensor:
        return torch.from_numpy(u).reshape(self._batch, *self.finest.shape)

    release = tensor

    def start(self, b: np.ndarray, watch: bool = True) -> np.ndarray:
        self.begin(None, b)
        fs = [self._r]
        for level, data in zip(self.levels[:-1], self._data, strict=True):
            fs.append(level.restrict(fs[-1], data))
        u = full_multigrid(self.levels, fs, lambda l, u: self.levels[l].interpolate(u), self._gamma)
        return self._watched(self._moved(None, u, self._size), b)

    def cycle(self, u: np.ndarray | None, b: np.ndarray, watch: bool = True) -> np.ndarray:
        self.begin(u, b)
        self.precondition()
        return self._watched(self._moved(u, self._z, self._size), b)

    def norms(self, u: np.ndarray | None, b: np.ndarray) -> Tensor:
        if u is None:
            return torch.linalg.vector_norm(torch.from_numpy(b).flatten(1), dim=1)
        keep = self._r.copy()
        norms = self._residual(u, None, None, b, np.zeros(self._batch))
        self._r[:] = keep
        return norms

    def watched(self) -> Tensor:
        return self._norms

    def _watched(self, u: np.ndarray, b: np.ndarray) -> np.ndarray:
        return u

    def begin(self, x: np.ndarray | None, b: np.ndarray) -> Tensor:
        norms = self.norms(None, b)
        self._size[:] = torch.where(norms > 0, norms, 1.0).numpy()
        self._scales[:] = 1 / self._size
        self.x, self._b, self._spare = x, b, None
        self._p[:] = 0
        return self._residual(x, None, None, b, np.zeros(self._batch))

    def precondition(self) -> Tensor:
        if self._tape is None:  # the same arrays every time
            with recorded(self._batch) as self._tape:
                self._z = cycle(self.levels, None, self._r, self._gamma)
        else:
            self._tape.play()
        return torch.from_numpy(self.levels[0].dots())

    def direct(self, beta: Tensor) -> Tensor:
        self._factors[:] = beta.numpy()
        self._launch(0, p=self._p, z=self._z, out=self._q)
        self._p, self._q = self._q, self._p
        return torch.from_numpy(self._sums.sum(axis=1))

    def step(self, alpha: Tensor) -> Tensor:
        spare = np.empty_like(self._b) if self._spare is None else self._spare
        norms = self._residual(self.x, self._p, spare, self._b, alpha.numpy() * self._size)
        self.x, self._spare = spare, self.x
        return norms

    def _moved(self, x: np.ndarray | None, p: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """x + alpha s p; its residual is in r, the residual's norm is watched."""
        out = np.empty_like(self._b)
        self._norms = self._residual(x, p, out, self._b, alpha)
        return out

    def _residual(self, x, p, out, b, alpha) -> Tensor:
        self._factors[:] = alpha
        self._launch(1, p=p, x=x, x_out=out, b=b)
        return torch.from_numpy(np.sqrt(self._sums.sum(axis=1)))

    def _launch(self, what: int, p=None, z=None, out=None, x=None, x_out=None, b=None) -> None:
        a = self._arguments
        a[11] = what
        for k, v in ((15, p), (16, z), (17, out), (19, x), (20, x_out), (21, b)):
            a[k] = 0 if v is None else v.ctypes.data
        launch(self._kernel, self._sums.size, a, self._alone)


def _finest(A: Diffusion, wraps: Sequence[bool]) -> Operator:
    stencil = from_diffusion(A)
    if A.ndim == 1:  # the row function of two dimensions serves one
        operator = Operator.of(stencil, wraps)
        operator.couplings.append((1, 0, 0))
        operator.S = np.concatenate([operator.S, np.zeros_like(operator.S)])
        return operator
    return Operator.of(stencil, wraps)


def _strengths(A: Operator, S: np.ndarray) -> list[float]:
    """The mean collapsed coupling of each axis in the unit form."""
    inner = [float(s[:, :, LEFT : LEFT + A.n[2]].mean()) for s in S]
    axes = [three([int(e == k) for e in range(A.ndim)]) for k in range(A.ndim)]
    return [
        sum(s for s, o in zip(inner, A.couplings, strict=True) if any(x and y for x, y in zip(o, axis, strict=True)))
        for axis in axes
    ]
