"""The black-box hierarchy in fused passes (CPU), and what conjugate gradients ask of it."""

import numpy as np
import torch
from torch import Tensor

from mgnet.core import cycle, full_multigrid
from mgnet.pde.blackbox.hierarchy import COARSEST, SHORTEST, bound, choose_axes, damping, first_coarse
from mgnet.pde.blackbox.interpolation import Coarsening
from mgnet.pde.kernels import COMPILES, stencil_krylov
from mgnet.pde.kernels.launch import Tape, launch, recorded
from mgnet.pde.kernels.stencil_clusters import FusedClusters
from mgnet.pde.kernels.stencil_coarsening import Pair, coarsen, root, strengths, unit_couplings
from mgnet.pde.kernels.stencil_components import slow_clusters
from mgnet.pde.kernels.stencil_fields import padded
from mgnet.pde.kernels.stencil_level import FusedCoarsestLevel, FusedStencilLevel
from mgnet.pde.kernels.stencil_rows import LEFT
from mgnet.pde.krylov import State, advance
from mgnet.pde.operators import Diffusion


def fusible(A: Diffusion, device: torch.device) -> bool:
    """Whether there are fused levels: on a CPU, for grids that are coarsened at all."""
    shape = [axis.n for axis in A.axes]
    return COMPILES and device.type == "cpu" and int(np.prod(shape)) > COARSEST and max(shape) >= SHORTEST


class FusedBlackBox:
    """The fused hierarchy, as a ``Hierarchy`` and as the ``System`` of conjugate gradients.

    Parameters: as ``ReadableBlackBox``, its twin; batch is the number of right-hand sides.
    """

    def __init__(self, A: Diffusion, like: Tensor, nu: tuple[int, int], gamma: int | str, smoother: str,
                 precision: torch.dtype, batch: int, jumps: bool = False):  # fmt: skip
        self._gamma, self._batch = gamma, batch
        self._dtype = np.dtype(np.float32 if precision == torch.float32 else np.float64)
        self._wide = np.dtype(np.float32 if like.dtype == torch.float32 else np.float64)
        lines = [Coarsening(axis.n, axis.periodic, first_coarse(axis)) for axis in A.axes]
        operator = padded(A, [axis.periodic for axis in A.axes])
        root(operator, self._dtype)
        self.finest = operator
        self.sizes: tuple[int, ...] = (int(np.prod(operator.shape)),)
        self.levels: list = []
        S = unit_couplings(operator, self._dtype)
        while self.sizes[-1] > COARSEST and (chosen := choose_axes(strengths(operator, S), lines)) is not None:
            smallest = float(S[..., LEFT : LEFT + operator.n[2]].min())
            spectrum = bound(smallest, operator.unit) if self.levels else 2.0
            down, up = (damping(smoother, v, A.ndim, spectrum) for v in nu)
            coarse, W = coarsen(operator, chosen, self._dtype)
            B = slow_clusters(Pair(operator, coarse, chosen), S) if jumps else None
            clusters = None if B is None else FusedClusters(B, operator, self._dtype, batch)
            self.levels.append(FusedStencilLevel(operator, S, coarse, W, chosen, (down, up[::-1]), batch, clusters))
            if operator is not self.finest:
                operator.let_go()  # S and W have all that its level needs
            lines = [Coarsening(line.coarse, line.periodic, line.first) for line in chosen]
            operator, S = coarse, unit_couplings(coarse, self._dtype)
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
        self._sums = np.zeros((2, batch, blocks))
        self._scales = np.ones(batch)
        self._kernel = stencil_krylov.kernel(self._wide, self._dtype)
        self._arguments = np.array(
            [batch, *A.n, A.stride, A.kind, A.batch, blocks, *A.wraps, 0, self._factors.ctypes.data,
             self._scales.ctypes.data, self._sums.ctypes.data, 0, 0, 0, S.ctypes.data, 0, 0, 0,
             self._r.ctypes.data, self._s.ctypes.data, A.excess.ctypes.data, A.S.ctypes.data],
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
        return torch.from_numpy(self._sums[0].sum(axis=1))

    def step(self, alpha: Tensor) -> tuple[Tensor, Tensor]:
        spare = np.empty_like(self._b) if self._spare is None else self._spare
        norms = self._residual(self.x, self._p, spare, self._b, alpha.numpy() * self._size)
        self.x, self._spare = spare, self.x
        return norms, torch.from_numpy(self._sums[1].sum(axis=1))

    def advance(self, before: State, floor: Tensor) -> State:
        return advance(self, before, floor)

    def _moved(self, x: np.ndarray | None, p: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """x + alpha s p; its residual is in r, the residual's norm is watched."""
        out = np.empty_like(self._b)
        self._norms = self._residual(x, p, out, self._b, alpha)
        return out

    def _residual(self, x, p, out, b, alpha) -> Tensor:
        self._factors[:] = alpha
        self._launch(1, p=p, x=x, x_out=out, b=b)
        return torch.from_numpy(np.sqrt(self._sums[0].sum(axis=1)))

    def _launch(self, what: int, p=None, z=None, out=None, x=None, x_out=None, b=None) -> None:
        a = self._arguments
        a[11] = what
        for k, v in ((15, p), (16, z), (17, out), (19, x), (20, x_out), (21, b)):
            a[k] = 0 if v is None else v.ctypes.data
        launch(self._kernel, self._sums[0].size, a, self._alone)
