"""Black-box multigrid's levels in Triton; set-up and the outer iteration are the readable twin's."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mgnet.core import cycle
from mgnet.pde.blackbox.coarsest import CoarsestLevel, inverse
from mgnet.pde.blackbox.hierarchy import Forms, Grid, step_lengths
from mgnet.pde.blackbox.interpolation import Interpolation
from mgnet.pde.blackbox.stencil import Stencil
from mgnet.pde.cuda import LAUNCH
from mgnet.pde.cuda import stencil as kernels
from mgnet.pde.cuda.recording import Recording

TILE = {2: (8, 64), 3: (4, 64)}  # rows and columns of a program


def three(v: Sequence, missing: object) -> tuple:
    """Per grid axis to per array axis (n0, n1, n2); missing ones come first."""
    return (missing,) * (3 - len(v)) + tuple(v)


def programs(shape: Sequence[int], batch: int) -> int:
    """How many tiles the arrays (batch, *shape) have."""
    n0, n1, n2 = three(shape, 1)
    rows, columns = TILE[len(shape)]
    return batch * n0 * -(-n1 // rows) * -(-n2 // columns)


class CudaStencil:
    """A stencil whose application is one kernel, with or without what is done to A v."""

    def __init__(self, A: Stencil):
        self.shape, self.diagonal = A.shape, A.diagonal.contiguous()
        offsets = sorted(A.couplings)
        self._S = torch.stack([A.couplings[o] for o in offsets]).contiguous()
        self._offsets = tuple(three(o, 0) for o in offsets)
        self._unit = bool((self.diagonal == 1).all())
        self._sizes = torch.tensor(three(A.shape, 1), dtype=torch.int32, device=self.diagonal.device)

    def __call__(self, v: Tensor) -> Tensor:
        """A v."""
        v = v.contiguous()
        return self._apply(kernels.PRODUCT, v, v, torch.empty_like(v), v)

    def residual(self, v: Tensor, f: Tensor, out: Tensor) -> Tensor:
        """f - A v."""
        return self._apply(kernels.RESIDUAL, v, f, out, v)

    def step(self, v: Tensor, f: Tensor, omega: Tensor, out: Tensor) -> Tensor:
        """v + omega (f - A v)."""
        return self._apply(kernels.STEP, v, f, out, omega)

    def two_steps(self, f: Tensor, omegas: Tensor, out: Tensor) -> Tensor:
        """Two steps from zero."""
        return self._apply(kernels.TWO_STEPS, f, f, out, omegas)

    def _apply(self, what: int, v: Tensor, f: Tensor, out: Tensor, omegas: Tensor) -> Tensor:
        kernels.apply[(programs(self.shape, len(v)),)](
            v, f, out, self.diagonal, self._S, omegas, self._sizes, len(self.diagonal),
            OFFSETS=self._offsets, WHAT=what, UNIT=self._unit, TILE=TILE[len(self.shape)],
            **LAUNCH,
        )  # fmt: skip
        return out


class CudaInterpolation:
    """P and R = P^T of black-box multigrid, a kernel each."""

    def __init__(self, P: Interpolation):
        W = torch.stack([P.weights[delta] for delta in sorted(P.weights)])
        self._W, self._members = W.contiguous(), W.shape[1]
        self.shape, self.coarse_shape = ([getattr(axis, n) for axis in P.axes] for n in ("n", "coarse"))
        self._halved = three([axis.halved for axis in P.axes], False)
        self._wraps = three([axis.periodic for axis in P.axes], False)
        first = [axis.first if axis.halved else 0 for axis in P.axes]
        self._first, self._sizes, self._coarse = (
            torch.tensor(three(v, missing), dtype=torch.int32, device=W.device)
            for v, missing in ((first, 0), (self.shape, 1), (self.coarse_shape, 1))
        )

    def P(self, e: Tensor, base: Tensor | None = None, out: Tensor | None = None) -> Tensor:
        """P e, or base + P e."""
        out = e.new_empty((len(e), *self.shape)) if out is None else out
        kernels.interpolate[(programs(self.shape, len(e)),)](
            e if base is None else base, e.contiguous(), out, self._W, self._first, self._sizes, self._coarse,
            self._members, HALVED=self._halved, WRAPS=self._wraps, PLUS=base is not None, TILE=TILE[len(self.shape)],
            **LAUNCH,
        )  # fmt: skip
        return out

    def R(self, r: Tensor, out: Tensor | None = None) -> Tensor:
        """P^T r."""
        out = r.new_empty((len(r), *self.coarse_shape)) if out is None else out
        kernels.restrict[(programs(self.coarse_shape, len(r)),)](
            r.contiguous(), out, self._W, self._first, self._sizes, self._coarse, self._members,
            HALVED=self._halved, TILE=TILE[len(self.shape)],
            **LAUNCH,
        )  # fmt: skip
        return out


class CudaStencilLevel:
    """One grid; fields are (batch, *grid).

    Parameters
    ----------
    A, P : of unit diagonal, and to this grid
    omegas : (down, up) the damping of each step
    """

    def __init__(self, A: Stencil, P: Interpolation, omegas: tuple[Sequence[float], Sequence[float]]):
        self._A, self._P = CudaStencil(A), CudaInterpolation(P)
        self._down, self._up = (torch.tensor(o, dtype=torch.float64).to(A.diagonal) for o in omegas)
        self._spare: list[Tensor] = []  # of the shape of the last f

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        return self._steps(u, f, self._down)

    def down(self, u: Tensor | None, f: Tensor, coarse: object) -> tuple[Tensor, None, Tensor]:
        u = self._steps(u, f, self._down)
        return u, None, self._P.R(self._A.residual(u, f, self._other(u, f)))

    def up(self, u: Tensor, f: Tensor, before: None, after: Tensor) -> Tensor:
        return self._steps(self._P.P(after, u, self._other(u, f)), f, self._up)

    def _steps(self, u: Tensor | None, f: Tensor, omegas: Tensor) -> Tensor:
        if u is None and len(omegas) > 1:
            u, omegas = self._A.two_steps(f, omegas[:2], self._other(None, f)), omegas[2:]
        elif u is None:
            u, omegas = torch.mul(f, omegas.sum(), out=self._other(None, f)), omegas[1:]
        for k in range(len(omegas)):
            u = self._A.step(u, f, omegas[k:], self._other(u, f))
        return u

    def _other(self, u: Tensor | None, f: Tensor) -> Tensor:
        """A workspace that is not u."""
        if not self._spare or self._spare[0].shape != f.shape:
            self._spare = [torch.empty_like(f), torch.empty_like(f)]
        return self._spare[1 if u is self._spare[0] else 0]


def cuda_levels(grids: Sequence[Grid], like: Tensor, nu: tuple[int, int], smoother: str) -> list:
    """The levels in Triton, as ``readable_levels`` makes the readable ones."""
    levels: list = []
    for l, grid in enumerate(grids[:-1]):
        assert grid.P is not None
        omegas = step_lengths(grid.A, l, nu, smoother)
        levels.append(CudaStencilLevel(grid.A.to(like), grid.P.to(like), omegas))
    return [*levels, CoarsestLevel(inverse(grids[-1].A).to(like))]


def recorded_cycle(levels: Sequence, gamma: int | str) -> Callable[[Tensor], Tensor]:
    """r -> one cycle from zero, as one CUDA graph; the result holds until the next call."""
    kept: dict[tuple, tuple[Tensor, Recording]] = {}

    def run(r: Tensor) -> Tensor:
        key = (r.shape, r.dtype, r.device)
        if key not in kept:
            f = torch.empty_like(r)
            kept[key] = f, Recording(lambda: cycle(levels, None, f, gamma), r.device)
        f, recording = kept[key]
        f.copy_(r)
        return recording()

    return run


TRITON = Forms(CudaStencil, CudaInterpolation, cuda_levels, recorded_cycle)
