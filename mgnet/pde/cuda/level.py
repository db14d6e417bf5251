"""A level whose verbs are single passes in Triton (constant coefficients, two and three dimensions)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.cuda import LAUNCH
from mgnet.pde.cuda.interpolant import InterpolantResidual
from mgnet.pde.cuda.march import march
from mgnet.pde.cuda.tables import fitting, line, packed, parts, unclipped
from mgnet.pde.levels.direct import eigenbasis
from mgnet.pde.levels.transfers import Transfer
from mgnet.pde.problem.axis import Axis
from mgnet.pde.problem.precision import wide_enough

# Per number of dimensions: the plane that a program marches (rows, columns), and its warps.
TILES = {2: ((1, 32), 1), 3: ((16, 32), 8)}
PLANES = (4, 64)  # the fewest and the most planes of a program, in coarse unknowns
PROGRAMS = 8192  # enough to fill a GPU: more of them only make more halos

NOTHING = object()  # is no iterate; None is one, zero

Step = tuple[float, int]


class Interpolant(NamedTuple):
    """The iterate Q(coarse), not yet evaluated; smooth already, so ``down`` takes no steps on it."""

    coarse: Tensor
    restricted: Tensor  #: R f


def three(v: Sequence) -> list:
    """Per grid axis to per array axis (n0, n1, n2); two dimensions have no n1."""
    return [v[0], None, v[1]] if len(v) == 2 else list(v)


class CudaLevel:
    """One grid of a hierarchy; arrays are (batch, *grid), contiguous.

    Parameters
    ----------
    transfer : to the next coarser grid
    a, c : the coefficient per axis, and the reaction
    steps : (down, up): per step of either way its damping, and the colour it works on (-1: all)
    like : a tensor of the levels' dtype and device
    batch : number of right-hand sides
    own : whether a step is scaled by the diagonal of A instead of that of an inner equation
    little : whether u is held by little: an interpolant's residual is then computed on this grid, in differences
    """

    def __init__(self, transfer: Transfer, a: Sequence[float], c: float, steps: tuple[Sequence[Step], Sequence[Step]],
                 like: Tensor, batch: int, own: bool = False, little: bool = False):  # fmt: skip
        self._little = little
        self.shape = (batch, *(axis.n for axis in transfer.fine))
        self.coarse_shape = (batch, *(axis.n for axis in transfer.coarse))
        self._like, self._transfer = like, transfer
        self._tables(a, c)
        d = 1.0 if own else c + sum(2 * a_d / axis.h**2 for axis, a_d in zip(transfer.fine, a, strict=True))
        self._steps = {
            way: [(omega / d, colour) for omega, colour in s] for way, s in zip(("down", "up"), steps, strict=True)
        }
        self._own, self._coloured = own, any(colour >= 0 for s in steps for _, colour in s)
        self._flat = len(transfer.fine) == 2
        self._plans: dict[tuple[tuple[str, ...], bool], Plan] = {}
        self._iterates: list[Tensor | None] = [None, None]
        self._third: Tensor | None = None
        self._between: Tensor | None = None  # what three dimensions leave between two ways
        self.f_c = self._empty(self.coarse_shape)
        self._sums = self._empty((0,))
        self._residual_of_interpolant = InterpolantResidual(transfer, a, c, like)
        # Watched, ``up`` takes the next cycle's steps down as well, and leaves the residual's norm and
        # restriction: a cycle is then one pass over this grid. The order of the steps is the same.
        self.measure = False
        self.omega = 1.0  # a measured ``up`` returns u + omega (its iterate - u)
        self._restricted: object = NOTHING  # the iterate whose restricted residual is in _f_c

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        return self._sweep(u, None, f, ("down",))

    def down(self, u: Tensor | Interpolant | None, f: Tensor, coarse: object):
        if isinstance(u, Interpolant) and not self._little:
            self._residual_of_interpolant(u.restricted, u.coarse, self.f_c)
        elif isinstance(u, Interpolant) or (self.measure and u is not self._restricted):
            self._pass(u, None, f, f_c=self.f_c)
        elif not self.measure:
            u = self._sweep(u, None, f, ("down",), self.f_c)
        return u, None, self.f_c

    def up(self, u: Tensor | Interpolant | None, f: Tensor, before: None, after: Tensor) -> Tensor:
        if not self.measure:
            return self._sweep(u, after, f, ("up",))
        self._restricted = self._sweep(u, after, f, ("up", "down"), self.f_c, norm=True, omega=self.omega)
        return self._restricted

    def restrict(self, f: Tensor, out: Tensor) -> Tensor:
        """R f."""
        self._pass(None, None, f, f_c=out)
        return out

    def squares(self) -> Tensor:
        """(batch,) the squared norms of f - A u that the last measured pass met."""
        return self._sums.reshape(self.shape[0], -1).sum(1)

    def residuals(self, u: Tensor | None, f: Tensor) -> Tensor:
        """(batch,) the squared norms of f - A u."""
        self._pass(u, None, f, norm=True)
        return self.squares()

    def release(self, u: Tensor) -> Tensor:
        """Give an iterate away: a new array becomes the level's workspace."""
        self._iterates = [None if w is u else w for w in self._iterates]
        self._restricted = NOTHING
        return u

    def exchange(self) -> None:
        """Take another array as the first workspace, which the next ``up`` of an interpolant fills; and back."""
        self._iterates[0], self._third = self._third, self._iterates[0]

    def _sweep(self, u, e, f, ways, f_c=None, norm=False, omega=1.0) -> Tensor:
        """The steps of these ways, and what follows, in one pass (2-D) or in one after the other (3-D).

        The iterate that they begin with stays as it is.
        """
        relax = None if omega == 1 else (u, omega)
        if self._flat:
            out = self._other(u)
            self._pass(u, e, f, ways, out, f_c, norm, relax)
            return out
        target = self._other(u)
        if isinstance(u, Interpolant):
            self._pass(u, e, f, (), self._workspace(1))
            u, e = self._workspace(1), None
        for way in ways:
            out = target if way == ways[-1] else self._middle()
            self._pass(u, e, f, (way,), out, relax=relax if way == ways[-1] else None)
            u, e = out, None
        if f_c is not None or norm:
            self._pass(u, None, f, (), None, f_c, norm)
        return u

    def _pass(self, u, e, f, ways=(), out=None, f_c=None, norm=False, relax=None) -> None:
        guess, u = (u.coarse, None) if isinstance(u, Interpolant) else (None, u)
        plan = self._plan(ways, f_c is not None or norm)
        if norm:
            self._sums = plan.sums
        begun, omega = relax or (None, 1.0)
        arrays = [f if v is None else v for v in (u, guess, e, f, out, f_c, begun)]
        march[(plan.programs,)](
            *arrays, plan.sums, plan.steps, omega, plan.sizes, self._lines, self._P, self._Q, self._R, plan.parts,
            TILE=plan.tile, COARSE=plan.coarse, NU=plan.nu, FROM_U=u is not None,
            FROM_Q=guess is not None, PLUS_P=e is not None, OUT=out is not None, RESTRICT=f_c is not None, NORM=norm,
            RELAX=relax is not None,
            COLOURED=self._coloured, WEIGHTED=self._weighted, OWN=self._own, WRAPS=self._wraps,
            **self._widths, num_warps=plan.warps, **LAUNCH,
        )  # fmt: skip

    def _plan(self, ways: tuple[str, ...], residual: bool) -> "Plan":
        if (ways, residual) not in self._plans:
            steps = [step for way in ways for step in self._steps[way]]
            self._plans[ways, residual] = Plan(self, steps, residual)
        return self._plans[ways, residual]

    def _other(self, u: object) -> Tensor:
        """A workspace that is not u."""
        return self._workspace(1 if u is self._iterates[0] and u is not None else 0)

    def _middle(self) -> Tensor:
        if self._between is None:
            self._between = self._empty(self.shape)
        return self._between

    def _workspace(self, k: int) -> Tensor:
        if self._iterates[k] is None:
            self._iterates[k] = self._empty(self.shape)
        return self._iterates[k]  # type: ignore[return-value]

    def _empty(self, shape: Sequence[int]) -> Tensor:
        return torch.empty(tuple(shape), dtype=self._like.dtype, device=self._like.device)

    def _tables(self, a: Sequence[float], c: float) -> None:
        fine = three(self._transfer.fine)
        self.n = [1 if axis is None else axis.n for axis in fine]
        self.n_c = [1 if axis is None else axis.n for axis in three(self._transfer.coarse)]
        lines = [line(axis, a_d) for axis, a_d in zip(fine, three(a), strict=True)]
        lines[0][[2, 4]] += c
        self._weighted = any((v[3] != 1).any() for v in lines)
        self._wraps = bool(fine[0].periodic)
        self._lines = tuple(self.put(v) for v in lines)
        P, Q, R = (packed(three(tables), self.n) for tables in self._transfer.tables)
        self.R = [unclipped(table) for table in R]
        self._P, self._Q, self._R = (self._rows(tables) for tables in (P, Q, self.R))
        names = zip(("PW", "QW", "RW"), (P, Q, self.R), strict=True)
        self._widths = {name: tuple(t.weights.shape[1] for t in tables) for name, tables in names}

    def _rows(self, tables):
        return tuple((self.put(t.start.astype(np.int32)), self.put(t.weights)) for t in tables)

    def put(self, v: np.ndarray) -> Tensor:
        """A table on the device, in the levels' precision or as int32."""
        real = v.dtype.kind == "f"
        return torch.from_numpy(v).to(self._like if real else self._like.device).contiguous()


class Plan:
    """How a level takes some steps: its programs and their blocks."""

    def __init__(self, level: CudaLevel, steps: Sequence[Step], residual: bool):
        self.tile, self.warps = TILES[len(level.shape) - 1]
        nu, n, R = len(steps), level.n, level.R
        self.nu = nu
        rows = fitting(None if self.tile[0] == 1 else R[1], n[1], self.tile[0], nu, residual)
        columns = fitting(R[2], n[2], self.tile[1], nu, residual)
        programs = level.shape[0] * len(rows) * len(columns)
        planes = min(max(-(-level.n_c[0] * programs // PROGRAMS), PLANES[0]), PLANES[1])
        planes = parts(R[0], n[0], planes, 0, nu, residual)
        self.coarse = (_power(rows), _power(columns))
        self.programs = programs * len(planes)
        self.parts = tuple(level.put(v.astype(np.int32)) for v in (planes, rows, columns))
        self.sizes = level.put(np.array([*n, *level.n_c, len(planes), len(rows), len(columns)], np.int32))
        self.steps = level.put(np.array(steps, float).reshape(-1, 2) if nu else np.zeros((1, 2)))
        self.sums = torch.zeros(self.programs, dtype=torch.float64, device=self.steps.device)


def _power(blocks: np.ndarray) -> int:
    """The smallest power of two that holds the coarse unknowns of a block."""
    most = int((blocks[:, 4] - blocks[:, 3]).max())
    return 1 << (most - 1).bit_length()


class CudaDirectLevel:
    """u = A^-1 f on the coarsest grid, by fast diagonalisation: two matrix products an axis.

    Parameters: as ``DirectLevel``, its twin.
    """

    def __init__(self, axes: Sequence[Axis], a: Sequence[float], c: float, like: Tensor):
        Vs, D = eigenbasis(axes, a, c)
        self._D = torch.from_numpy(D).to(like.device, wide_enough(like))
        self._Vs = [torch.from_numpy(V).to(self._D).contiguous() for V in Vs]

    def smooth(self, u: object, f: Tensor) -> Tensor:
        v = self._D * self._products(f.to(self._D), [V.T for V in self._Vs])
        return self._products(v, self._Vs).to(f)

    def release(self, u: Tensor, instead: object = None) -> Tensor:
        """Give the solution away; it is a new array each time."""
        return u

    def _products(self, v: Tensor, Ms: Sequence[Tensor]) -> Tensor:
        """(M0 x M1 x ...) v; the last two axes as matrices, the first of three as rows of one."""
        v = Ms[-2] @ v @ Ms[-1].T
        return v if len(Ms) == 2 else (Ms[0] @ v.flatten(2)).reshape(v.shape)
