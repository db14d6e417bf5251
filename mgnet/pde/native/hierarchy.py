"""The compiled kernels as a hierarchy that the outer loops can drive."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mgnet.core import Leg
from mgnet.pde.levels.constant import lowest
from mgnet.pde.levels.richardson import Richardson
from mgnet.pde.levels.smoothers import COLOURED, Smoother, steps
from mgnet.pde.levels.transfers import Transfer
from mgnet.pde.native import four, kernels, machine, threads
from mgnet.pde.native.describe import centring, direct, grid, keeps_means
from mgnet.pde.native.memory import Pool
from mgnet.pde.problem.axis import NEUMANN, PERIODIC, Axis, Robin

SHORTEST = 4  # unknowns along an axis that the kernels need
NO_STEPS, DOWN = 0, 1  # ways of a pass


def fusible(chain: Sequence[Sequence[Axis]], device: torch.device) -> bool:
    """Whether the kernels do every grid."""
    return device.type == "cpu" and all(axis.n >= SHORTEST for axes in chain[:-1] for axis in axes)


def constant_hierarchy(
    chain: Sequence[Sequence[Axis]],
    a: Sequence[float],
    c: float,
    dtype: torch.dtype,
    batch: int,
    smoother: Smoother,
    nu: tuple[int, int],
    gamma: int | str,
    symmetric: bool,
) -> "NativeHierarchy":
    """The levels of constant coefficients."""
    transfers = [Transfer(tuple(f), tuple(g)) for f, g in zip(chain[:-1], chain[1:], strict=True)]
    ends = [end for axis in chain[0] for end in (axis.low, axis.high)]
    exact = smoother in COLOURED or any(isinstance(end, Robin) for end in ends)
    floating = c == 0 and all(end in (NEUMANN, PERIODIC) for end in ends)
    centres = floating and smoother not in COLOURED
    means = centring(transfers[0]) if centres and not all(map(keeps_means, transfers)) else None
    ways = [steps(smoother, nu, len(chain[0]), symmetric, lowest(t.fine, a, c)) for t in transfers]
    grids = [grid(t, a, c, exact, way) for t, way in zip(transfers, ways, strict=True)]
    shapes = [tuple(axis.n for axis in axes) for axes in chain]
    return NativeHierarchy(grids, direct(chain[-1], a, c), c, shapes, dtype, batch, nu[0], gamma, centres, means)


class NativeHierarchy:
    """Levels on the CPU; iterates and data are numpy arrays (batch, n0, n1, n2).

    Parameters
    ----------
    grids, coarsest, c : the problem as the kernels take it
    shapes : of every grid
    nu : sweeps down
    means : weights that let the mean of a full pass' iterate be zero, where the transfers do not keep it

    Attributes
    ----------
    centres : whether ``full_multigrid`` returns an iterate of mean zero
    """

    def __init__(
        self,
        grids: Sequence[kernels.Grid],
        coarsest: kernels.Direct,
        c: float,
        shapes: Sequence[tuple[int, ...]],
        dtype: torch.dtype,
        batch: int,
        nu: int,
        gamma: int | str,
        centres: bool = False,
        means: Sequence[Sequence[np.ndarray]] | None = None,
    ):
        self._dtype = np.dtype(np.float32 if dtype == torch.float32 else np.float64)
        self._shape, self._nu, self.centres = (batch, *shapes[0]), nu, centres
        self._kernels = kernels.Kernels(
            machine(), self._dtype == np.float32, grids, coarsest, c, 0 if gamma == "F" else int(gamma), batch,
            threads(), centres, means,
        )  # fmt: skip
        self._coarse = [(batch, *four(shape)) for shape in shapes[1:]]
        self._pool = Pool((batch, *four(shapes[0])), self._dtype)
        self._iterates: list[np.ndarray] = []  # workspaces, made when they are needed
        self._last: np.ndarray | None = None  # the measured iterate whose restricted residual the kernels have
        self._ready: np.ndarray | None = None  # what the data of the next grid are restricted from already
        self._squares = np.zeros(batch)
        self.richardson = Richardson()

    def data(self, b: Tensor) -> np.ndarray:
        return b.contiguous().numpy().reshape(self._shape[0], *four(self._shape[1:]))

    def tensor(self, u: np.ndarray) -> Tensor:
        return torch.from_numpy(u).reshape(self._shape)

    def release(self, u: np.ndarray) -> Tensor:
        self.richardson.restart()
        self._ready = self._last = None
        self._iterates = [w for w in self._iterates if w is not u]
        return self.tensor(u)

    def full_multigrid(
        self, b: np.ndarray, measure: bool = True, parts: Sequence[Tensor] = (), unweighted: bool = False
    ) -> np.ndarray:
        """As of ``Hierarchy``.

        Parameters
        ----------
        parts : a part of the datum of each grid that is known there, and not restricted
        unweighted : b is not weighted by the shares of a cell yet (unmeasured)
        """
        (out,) = self._spare(1)
        data, restricted = self._known_data(b, parts) if parts else ([], [])
        squares = self._kernels.full_multigrid(b, out, measure, unweighted, b is self._ready, data, restricted)
        self._measure(out if measure else None, squares)
        return out

    def cycle(self, u: np.ndarray | None, b: np.ndarray, measure: bool = True) -> np.ndarray:
        omega = next(self.richardson) if measure and u is not None else 1.0
        out, *scratch = self._spare(1 if measure else 2, u)
        known = measure and u is not None and u is self._last
        squares = self._kernels.cycle(u, b, scratch[0] if scratch else None, out, measure, known, omega)
        self._measure(out if measure else None, squares)
        return out

    def norms(self, u: np.ndarray | None, b: np.ndarray) -> Tensor:
        squares = self._kernels.norms(u, b)
        if u is None:
            self._ready = b
        return torch.from_numpy(np.sqrt(squares))

    def measured(self) -> Tensor:
        """(batch,) ||b - A u|| of the iterate that a measured ``full_multigrid`` or ``cycle`` returned last."""
        return torch.from_numpy(np.sqrt(self._squares))

    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """(batch, 1) the sums of the data on a grid below, and of their sizes; those of the data, or less."""
        total, size = self._kernels.sums().T
        return total[:, None], size[:, None]

    def descend(self, b: np.ndarray) -> list[Leg]:
        """The left leg from zero, as of ``core.descend``."""
        legs, f = [], b
        for l, shape in enumerate(self._coarse):
            u, f_c = np.zeros_like(f), np.empty(shape, self._dtype)
            steps = (u, f_c, DOWN) if self._nu else (None, f_c, NO_STEPS)
            self._kernels.pass_(l, None, None, None, f, *steps)
            legs.append(Leg(u, f, None))
            f = f_c
        u = np.empty_like(f)
        self._kernels.direct(f, u)
        return [*legs, Leg(u, f, None)]

    def _measure(self, u: np.ndarray | None, squares: np.ndarray | None) -> None:
        self._last = u
        if squares is not None:
            self._squares = squares

    def _spare(self, count: int, u: np.ndarray | None = None) -> list[np.ndarray]:
        """Workspaces other than u."""
        free = [w for w in self._iterates if w is not u]
        while len(free) < count:
            self._iterates.append(self._pool.empty())
            free.append(self._iterates[-1])
        return free[:count]

    def _known_data(self, b: np.ndarray, parts: Sequence[Tensor]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Per coarse grid f_c = R (f - part) + part_c, and R f."""
        data, restricted, f = [], [], b
        known = [part.numpy().reshape(-1, *four(part.shape[1:])) for part in parts]
        for l, shape in enumerate(self._coarse):
            restricted.append(self._restrict(l, f, shape))
            f = self._restrict(l, f - known[l], shape) + known[l + 1]
            data.append(f)
        return data, restricted

    def _restrict(self, l: int, f: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        f_c = np.empty(shape, self._dtype)
        self._kernels.pass_(l, None, None, None, np.ascontiguousarray(f, self._dtype), None, f_c, NO_STEPS)
        return f_c
