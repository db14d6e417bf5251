"""Black-box levels in compiled kernels, for the outer loops: set-up, cycles, steps of conjugate gradients as calls."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.blackbox.coarsest import dense_inverse
from mgnet.pde.blackbox.hierarchy import damping, first_coarse
from mgnet.pde.blackbox.lines import VARIES, line_sweeps
from mgnet.pde.blackbox.stencil import excess, from_diffusion
from mgnet.pde.blackbox.traits import Survey
from mgnet.pde.levels.smoothers import Smoother
from mgnet.pde.levels.system import HALVED, State
from mgnet.pde.native import four, kernels, machine, threads
from mgnet.pde.native.memory import Pool
from mgnet.pde.problem.axis import Axis
from mgnet.pde.problem.checks import as_tensor
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
        faces: kernels.Conductances | None = None,
        masked: bool | None = None,
    ):
        signed = bool(A.diagonal_couplings)
        operator: tuple[Any, ...]
        if signed:
            operator, masked = of_stencil(A), False
        else:
            faces = faces or A.faces
            operator, masked = (faces, firsts(A.axes)), surveyed(faces).lone if masked is None else masked
        self._levels = set_up(operator, A.axes, nu, smoother, precision, solved, jumps, masked, signed)
        self.sizes = tuple(self._levels.sizes())
        shape = tuple(axis.n for axis in A.axes)
        self._shape, self._four = (batch, *shape), (batch, *four(shape))
        self._cycles = kernels.BlackBox(
            machine(), self._levels, like.dtype == torch.float32, 0 if gamma == "F" else int(gamma), batch, threads()
        )
        self._pool = Pool(self._four, np.dtype(np.float32 if like.dtype == torch.float32 else np.float64))
        self._norms = self._zero = np.zeros(batch)
        self.x: np.ndarray | None = None
        self.state: State
        self._spare: np.ndarray | None = None  # the iterate before, or other memory for the next one
        self._b = np.empty(0)

    def data(self, b: Tensor) -> np.ndarray:
        return b.contiguous().numpy().reshape(self._four)

    def tensor(self, u: np.ndarray) -> Tensor:
        return torch.from_numpy(u).reshape(self._shape)

    release = tensor

    def full_multigrid(self, b: np.ndarray, measure: bool = True) -> np.ndarray:
        u = self._pool.empty()
        self._norms = self._cycles.full_multigrid(u, b, measure)
        return u

    def cycle(self, u: np.ndarray | None, b: np.ndarray, measure: bool = True) -> np.ndarray:
        out = self._pool.empty()
        self._norms = self._cycles.cycle(u, out, b, measure)
        return out

    def norms(self, u: np.ndarray | None, b: np.ndarray) -> Tensor:
        return torch.from_numpy(self._cycles.norms(u, b))

    def measured(self) -> Tensor:
        return torch.from_numpy(self._norms)

    def begin(self, x: np.ndarray | None, b: np.ndarray, tol: float = 0.0) -> Tensor:
        self.x, self._b, self._spare = x, b, None
        norms = self._cycles.begin(x, b)
        size = norms if x is None else self._cycles.norms(None, b)
        self.state = State(norms, self._zero, self._zero, tol * size)
        return torch.from_numpy(norms)

    def advance(self) -> None:
        self.several(self.state.norms, 0.0, 1)

    def several(self, size: np.ndarray, tol: float, most: int) -> tuple[np.ndarray | None, np.ndarray]:
        x, out = self._pool.empty() if self.x is None else self.x, self._other()
        norms, rz, rp, floor = self.state
        norms, rz, rp = self._cycles.advance(
            x, out, self.x is None, self._b, floor, norms, rz, rp, size, tol, HALVED, most
        )
        begun = self.x is None and len(norms) == 1  # there was no iterate before
        self.x, self._spare = (out, x) if len(norms) % 2 else (x, out)
        self.state = State(norms[-1], rz, rp, floor)
        return None if begun else self._spare, norms

    def _other(self) -> np.ndarray:
        """Memory for the next iterate."""
        if self._spare is None:
            self._spare = self._pool.empty()
        return self._spare


def surveyed(faces: kernels.Conductances, varies: float = VARIES) -> Survey:
    """What decides how an operator is solved, in a pass or two; dominance where variation is above ``varies``."""
    contrast, variation, dominance, lone, constant, wave = faces.survey(varies, threads())
    return Survey(contrast, variation, constant, wave, dominance, lone)


def firsts(axes: Sequence[Axis]) -> list[int]:
    """The first coarse unknown of each axis."""
    return [first_coarse(axis) for axis in axes]


def of_stencil(A: Diffusion) -> tuple[Any, ...]:
    """What the kernels take of an operator that couples along diagonals, in place of conductances."""
    stencil = from_diffusion(A)

    def array(v: Tensor) -> np.ndarray:
        return v.expand(len(stencil.diagonal), *stencil.shape).contiguous().numpy()

    couplings = [(o, array(s)) for o, s in stencil.couplings.items()]
    wraps = [axis.periodic for axis in A.axes]
    return stencil.shape, wraps, firsts(A.axes), array(stencil.diagonal), couplings, array(excess(A))


def set_up(
    operator: tuple[Any, ...],
    axes: Sequence[Axis],
    nu: tuple[int, int],
    smoother: Smoother,
    precision: torch.dtype,
    solved: Sequence[int],
    jumps: bool,
    masked: bool,
    signed: bool = False,
) -> kernels.StencilHierarchy:
    """All levels of an operator; on a singular coarsest grid with the pseudo-inverse.

    operator : its conductances and ``firsts``, or ``of_stencil``
    masked : whether an unknown is coupled to no other
    signed : whether some unknowns are coupled negatively
    """
    if solved:
        down, up = ([1.0] * line_sweeps(n, len(solved)) for n in nu)
    else:
        down, up = (damping(smoother, n, len(axes), 2.0) for n in nu)
    how = masked, jumps, down, up[::-1], list(solved), threads()
    make: Any = kernels.StencilHierarchy  # of either kind of operator
    levels: kernels.StencilHierarchy = make(machine(), precision == torch.float32, *operator, *how)
    if (dense := levels.coarsest()["dense"]) is not None:
        levels.set_inverse(dense_inverse(as_tensor(dense), signed, masked and not jumps).numpy())
    return levels
