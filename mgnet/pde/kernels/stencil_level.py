"""The levels of the black-box hierarchy: each verb one fused pass (``stencil_pass``), on padded fields."""

from collections.abc import Sequence

import numpy as np

from mgnet.pde.blackbox.coarsest import inverse
from mgnet.pde.blackbox.interpolation import Coarsening
from mgnet.pde.kernels import dense, stencil_pass
from mgnet.pde.kernels.launch import SMALL, launch, threads
from mgnet.pde.kernels.stencil_clusters import FusedClusters
from mgnet.pde.kernels.stencil_coarsening import Pair
from mgnet.pde.kernels.stencil_fields import Operator


class FusedStencilLevel:
    """One grid; fields are (batch, rows, stride), padded. With ``clusters`` each way is two passes, between which
    they are corrected."""

    def __init__(self, A: Operator, S: np.ndarray, coarse: Operator, W: np.ndarray, axes: list[Coarsening],
                 omega: tuple[Sequence[float], Sequence[float]], batch: int,
                 clusters: FusedClusters | None = None):  # fmt: skip
        dtype = S.dtype
        self.A, self.S, self.W, self._clusters = A, S, W, clusters
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
        u = self._stepped(u, f, self._down)
        return u if self._clusters is None else self._clusters(u, f)

    def down(self, u: np.ndarray | None, f: np.ndarray, coarse: object):
        if self._clusters is None:
            u = self._pass(u, None, f, self._down, self._other(u), self._f_c)
        else:
            u = self.smooth(u, f)
            self._pass(u, None, f, self._down[:0], None, self._f_c)
        return u, None, self._f_c

    def up(self, u: np.ndarray, f: np.ndarray, before: None, after: np.ndarray) -> np.ndarray:
        if self._clusters is None:
            return self._pass(u, after, f, self._up, self._other(u))
        return self._stepped(self._clusters(self._pass(u, after, f, self._up[:0], self._other(u)), f), f, self._up)

    def _stepped(self, u: np.ndarray | None, f: np.ndarray, steps: np.ndarray) -> np.ndarray:
        return u if u is not None and len(steps) == 0 else self._pass(u, None, f, steps, self._other(u))

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
