"""Black-box multigrid in Triton: its levels and the steps of conjugate gradients; the set-up is the readable twin's."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mgnet.core import cycle
from mgnet.pde.blackbox.clusters import Clusters
from mgnet.pde.blackbox.coarsest import CoarsestLevel, inverse
from mgnet.pde.blackbox.hierarchy import Forms, Grid, ReadableBlackBox, step_lengths
from mgnet.pde.blackbox.interpolation import Interpolation
from mgnet.pde.blackbox.stencil import Stencil, excess, from_diffusion
from mgnet.pde.cuda import LAUNCH, krylov
from mgnet.pde.cuda import stencil as kernels
from mgnet.pde.cuda.coarsening import coarsen, unit
from mgnet.pde.cuda.recording import Recording
from mgnet.pde.cuda.tiles import integers, programs, three, tile
from mgnet.pde.levels.smoothers import Smoother
from mgnet.pde.problem.operators import Diffusion

BLOCK = 4096  # products that a program sums
ENTRIES = 2**20  # of the coarsest grid's inverses: 31^2 unknowns, 4 MB, are read in the time of two launches


class CudaStencil:
    """A stencil whose application is one kernel, with or without what is done to A v or before.

    Parameters
    ----------
    excess : (batch or 1, *grid) A 1: products are then made of differences
    """

    def __init__(self, A: Stencil, excess: Tensor | None = None):
        self.shape, self._in_differences = A.shape, excess is not None
        self.diagonal = (A.diagonal if excess is None else excess).contiguous()
        offsets = sorted(A.couplings)
        self._S = torch.stack([A.couplings[o] for o in offsets]).contiguous()
        self._offsets = tuple(three(o, 0) for o in offsets)
        self._unit = excess is None and bool((self.diagonal == 1).all())
        self._sizes = integers(three(A.shape, 1), self.diagonal.device)

    def __call__(self, v: Tensor) -> Tensor:
        """A v."""
        v = v.contiguous()
        what = kernels.DIFFERENCES if self._in_differences else kernels.PRODUCT
        return self._apply(what, v, v, torch.empty_like(v), v)

    def residual(self, v: Tensor, f: Tensor, out: Tensor) -> Tensor:
        """f - A v."""
        return self._apply(kernels.RESIDUAL, v, f, out, v)

    def step(self, v: Tensor, f: Tensor, omega: Tensor, out: Tensor) -> Tensor:
        """v + omega (f - A v)."""
        return self._apply(kernels.STEP, v, f, out, omega)

    def two_steps(self, f: Tensor, omegas: Tensor, out: Tensor) -> Tensor:
        """Two steps from zero."""
        return self._apply(kernels.TWO_STEPS, f, f, out, omegas)

    def direct(self, z: Tensor, p: Tensor, beta: Tensor, out: Tensor) -> Tensor:
        """out = z + beta p, where beta is (batch,); (batch,) (out, A out). The diagonal is 1."""
        sums = self._sums(z)
        krylov.direct[(sums.numel(),)](
            z, p, out, beta, self._S, sums, self._sizes, len(self.diagonal),
            OFFSETS=self._offsets, TILE=tile(self.shape), **LAUNCH,
        )  # fmt: skip
        return sums.sum(1)

    def advance(
        self, x: Tensor | None, p: Tensor, b: Tensor, alpha: Tensor, scale: Tensor, size: Tensor, out: Tensor, r: Tensor
    ) -> tuple[Tensor, Tensor]:
        """out = x + alpha scale p, r = scale (b - A out) / size; (batch,) ||b - A out|| and (r, p). x None for zero.

        Of an operator in differences.
        """
        assert self._in_differences
        sums = self._sums(p, 2)
        krylov.step[(sums[0].numel(),)](
            p if x is None else x, p, out, r, b, alpha, size, scale, self.diagonal, self._S, sums, self._sizes,
            len(self.diagonal), GIVEN=x is not None, OFFSETS=self._offsets, TILE=tile(self.shape), **LAUNCH,
        )  # fmt: skip
        squares, rp = sums.sum(2).unbind()
        return squares.sqrt().to(b), rp

    def _sums(self, v: Tensor, *quantities: int) -> Tensor:
        return torch.empty((*quantities, len(v), programs(self.shape)), dtype=torch.float64, device=v.device)

    def _apply(self, what: int, v: Tensor, f: Tensor, out: Tensor, omegas: Tensor) -> Tensor:
        kernels.apply[(len(v) * programs(self.shape),)](
            v, f, out, self.diagonal, self._S, omegas, self._sizes, len(self.diagonal),
            OFFSETS=self._offsets, WHAT=what, UNIT=self._unit, TILE=tile(self.shape),
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
            integers(three(v, missing), W.device)
            for v, missing in ((first, 0), (self.shape, 1), (self.coarse_shape, 1))
        )

    def P(self, e: Tensor, base: Tensor | None = None, out: Tensor | None = None) -> Tensor:
        """P e, or base + P e."""
        out = e.new_empty((len(e), *self.shape)) if out is None else out
        kernels.interpolate[(len(e) * programs(self.shape),)](
            e if base is None else base, e.contiguous(), out, self._W, self._first, self._sizes, self._coarse,
            self._members, HALVED=self._halved, WRAPS=self._wraps, PLUS=base is not None, TILE=tile(self.shape),
            **LAUNCH,
        )  # fmt: skip
        return out

    def R(self, r: Tensor, out: Tensor | None = None) -> Tensor:
        """P^T r."""
        out = r.new_empty((len(r), *self.coarse_shape)) if out is None else out
        kernels.restrict[(len(r) * programs(self.coarse_shape),)](
            r.contiguous(), out, self._W, self._first, self._sizes, self._coarse, self._members,
            HALVED=self._halved, TILE=tile(self.coarse_shape),
            **LAUNCH,
        )  # fmt: skip
        return out


class CudaStencilLevel:
    """One grid; fields are (batch, *grid).

    Parameters
    ----------
    A, P : of unit diagonal, and to this grid
    omegas : (down, up) the damping of each step
    clusters : what is corrected after the steps down and before those up
    """

    def __init__(
        self,
        A: Stencil,
        P: Interpolation,
        omegas: tuple[Sequence[float], Sequence[float]],
        clusters: Clusters | None = None,
    ):
        self._A, self._P = CudaStencil(A), CudaInterpolation(P)
        self._down, self._up = (torch.tensor(o, dtype=A.diagonal.dtype, device=A.diagonal.device) for o in omegas)
        self._clusters = clusters
        self._spare: list[Tensor] = []  # of the shape of the last f

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        return self._corrected(self._steps(u, f, self._down), f)

    def down(self, u: Tensor | None, f: Tensor, coarse: object) -> tuple[Tensor, None, Tensor]:
        u = self.smooth(u, f)
        return u, None, self._P.R(self._A.residual(u, f, self._other(u, f)))

    def up(self, u: Tensor, f: Tensor, before: None, after: Tensor) -> Tensor:
        return self._steps(self._corrected(self._P.P(after, u, self._other(u, f)), f), f, self._up)

    def _corrected(self, u: Tensor, f: Tensor) -> Tensor:
        """u + B (f - A u), in place."""
        if self._clusters is not None:
            u += self._clusters(self._A.residual(u, f, self._other(u, f)))
        return u

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


def cuda_levels(grids: Sequence[Grid], like: Tensor, nu: tuple[int, int], smoother: Smoother, above: int = 0) -> list:
    """The levels in Triton, as ``readable_levels`` makes the readable ones."""
    levels: list = []
    for l, grid in enumerate(grids[:-1], above):
        assert grid.P is not None
        omegas = step_lengths(grid.A, l, nu, smoother)
        clusters = None if grid.clusters is None else grid.clusters.to(like)
        levels.append(CudaStencilLevel(grid.A.to(like), grid.P.to(like), omegas, clusters))
    return [*levels, CoarsestLevel(inverse(grids[-1].A, parts=grids[-1].parts).to(like))]


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


class CudaBlackBox(ReadableBlackBox):
    """The hierarchy of any operator in kernels: what conjugate gradients do beside the cycle is three of them."""

    forms = Forms(CudaStencil, CudaInterpolation, cuda_levels, recorded_cycle, unit, coarsen, ENTRIES)

    def _operator(self, A: Diffusion, like: Tensor) -> CudaStencil:
        return CudaStencil(from_diffusion(A).to(like), excess(A).to(like))

    def begin(self, x: Tensor | None, b: Tensor, tol: float = 0.0) -> Tensor:
        norms = super().begin(x, b, tol)
        self._other_x, self._other_p = torch.empty_like(b), torch.empty_like(self.p)
        return norms

    def direct(self, beta: Tensor) -> Tensor:
        pAp = self.unit.direct(self.z, self.p, beta.to(self.p), self._other_p)
        self.p, self._other_p = self._other_p, self.p
        return pAp

    def step(self, alpha: Tensor) -> tuple[Tensor, Tensor]:
        size, x, out = self._size.flatten(), self.x, self._other_x
        products = self.A.advance(x, self.p, self.b, alpha.to(size) * size, self.scale, size, out, self.r)
        self.x, self._other_x = out, torch.empty_like(out) if x is None else x
        return products

    def _dot(self, v: Tensor, w: Tensor) -> Tensor:
        return dot(v, w)


def dot(v: Tensor, w: Tensor) -> Tensor:
    """(batch,) inner products, in float64."""
    N = v[0].numel()
    sums = torch.empty((len(v), -(-N // BLOCK)), dtype=torch.float64, device=v.device)
    krylov.dot[(sums.numel(),)](v, w, sums, N, BLOCK=BLOCK, **LAUNCH)
    return sums.sum(1)
