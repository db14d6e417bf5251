"""Black-box levels in compiled kernels, for the outer loops: cycles and conjugate gradients' steps as single calls."""

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.krylov import State
from mgnet.pde.native import kernels


class NativeBlackBox:
    """The compiled hierarchy, as a ``Hierarchy`` and as the ``System`` of conjugate gradients.

    Iterates and data are numpy arrays (batch, n0, n1, n2) of b's dtype.

    Parameters
    ----------
    cycles : the kernels, with their levels
    shape : of the grid
    sizes : unknowns of each grid, finest first
    """

    def __init__(self, cycles: kernels.BlackBox, shape: tuple[int, ...], sizes: tuple[int, ...], batch: int):
        self.sizes, self._cycles = sizes, cycles
        self._shape, self._four = (batch, *shape), (batch, *_three(shape))
        self._norms = np.zeros(batch)
        self.x: np.ndarray | None = None
        self._spare: np.ndarray | None = None  # the iterate before, or other memory for the next one
        self._b = np.empty(0)

    def data(self, b: Tensor) -> np.ndarray:
        return b.contiguous().numpy().reshape(self._four)

    def tensor(self, u: np.ndarray) -> Tensor:
        return torch.from_numpy(u).reshape(self._shape)

    release = tensor

    def start(self, b: np.ndarray, watch: bool = True) -> np.ndarray:
        u = np.empty_like(b)
        self._norms = self._cycles.start(u, b)
        return u

    def cycle(self, u: np.ndarray | None, b: np.ndarray, watch: bool = True) -> np.ndarray:
        out = np.empty_like(b)
        self._norms = self._cycles.cycle(u, out, b)
        return out

    def norms(self, u: np.ndarray | None, b: np.ndarray) -> Tensor:
        return torch.from_numpy(self._cycles.norms(u, b))

    def watched(self) -> Tensor:
        return torch.from_numpy(self._norms)

    def begin(self, x: np.ndarray | None, b: np.ndarray) -> Tensor:
        self.x, self._b, self._spare = x, b, None
        return torch.from_numpy(self._cycles.begin(x, b))

    def precondition(self) -> Tensor:
        return torch.from_numpy(self._cycles.precondition())

    def direct(self, beta: Tensor) -> Tensor:
        return torch.from_numpy(self._cycles.direct(beta.numpy()))

    def step(self, alpha: Tensor) -> tuple[Tensor, Tensor]:
        norms, rp = self._cycles.step(alpha.numpy(), self.x, self._other(), self._b)
        self.x, self._spare = self._spare, self.x
        return torch.from_numpy(norms), torch.from_numpy(rp)

    def advance(self, before: State, floor: Tensor) -> State:
        numbers = (v.numpy() for v in (floor.double(), *before))
        after = self._cycles.advance(self.x, self._other(), self._b, *numbers)
        self.x, self._spare = self._spare, self.x
        return State(*map(torch.from_numpy, after))

    def _other(self) -> np.ndarray:
        """Memory for the next iterate."""
        if self._spare is None:
            self._spare = np.empty_like(self._b)
        return self._spare


def _three(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """A shape as (planes, rows, columns)."""
    return (1, 1, shape[0]) if len(shape) == 1 else (shape[0], 1, shape[1]) if len(shape) == 2 else (*shape,)  # type: ignore[return-value]
