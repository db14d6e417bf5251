"""Black-box levels in compiled kernels, for the outer loops: set-up, cycles, steps of conjugate gradients as calls."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.blackbox.coarsest import dense_inverse
from mgnet.pde.blackbox.hierarchy import damping, first_coarse
from mgnet.pde.blackbox.lines import line_sweeps
from mgnet.pde.blackbox.stencil import excess, from_diffusion
from mgnet.pde.levels.smoothers import Smoother
from mgnet.pde.levels.system import State
from mgnet.pde.native import four, kernels, machine, threads
from mgnet.pde.problem.operators import Diffusion


class NativeBlackBox:
    """The compiled hierarchy, as a ``Hierarchy`` and as the ``System`` of conjugate gradients.

    Iterates and data are numpy arrays (batch, n0, n1, n2) of b's dtype.

    Parameters: as of ``ReadableBlackBox``, its twin; batch is the number of right-hand sides.
    """

    def __init__(
        self,
        A: Diffusion,
        like: Tensor,
        nu: tuple[int, int] = (2, 2),
        gamma: int | str = 1,
        smoother: Smoother = "chebyshev",
        precision: torch.dtype = torch.float32,
        batch: int = 1,
        solved: Sequence[int] = (),
        jumps: bool = False,
    ):
        self._levels = set_up(A, nu, smoother, precision, solved, jumps)
        self.sizes = tuple(self._levels.sizes())
        shape = tuple(axis.n for axis in A.axes)
        self._shape, self._four = (batch, *shape), (batch, *four(shape))
        self._cycles = kernels.BlackBox(
            machine(), self._levels, like.dtype == torch.float32, 0 if gamma == "F" else int(gamma), batch, threads()
        )
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


def set_up(
    A: Diffusion, nu: tuple[int, int], smoother: Smoother, precision: torch.dtype, solved: Sequence[int], jumps: bool
) -> kernels.StencilHierarchy:
    """All levels of an operator; on a singular coarsest grid with the pseudo-inverse."""
    stencil = from_diffusion(A)
    if solved:
        down, up = ([1.0] * line_sweeps(n, len(solved)) for n in nu)
    else:
        down, up = (damping(smoother, n, A.ndim, 2.0) for n in nu)
    levels = kernels.StencilHierarchy(
        machine(), precision == torch.float32, stencil.shape, [axis.periodic for axis in A.axes],
        [first_coarse(axis) for axis in A.axes], stencil.diagonal.contiguous().numpy(),
        [(o, s.contiguous().numpy()) for o, s in stencil.couplings.items()], excess(A).contiguous().numpy(),
        not bool(stencil.coupled.all()), jumps, down, up[::-1], list(solved), threads(),
    )  # fmt: skip
    if (dense := levels.coarsest()["dense"]) is not None:
        levels.set_inverse(dense_inverse(torch.tensor(dense)).numpy())
    return levels
