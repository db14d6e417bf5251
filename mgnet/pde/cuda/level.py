"""A level whose verbs are single passes in Triton (constant coefficients, two and three dimensions)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.cuda import LAUNCH
from mgnet.pde.cuda.interpolant import InterpolantResidual
from mgnet.pde.cuda.march import march
from mgnet.pde.cuda.tables import Described, fitting, parts
from mgnet.pde.levels.direct import eigenbasis
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


class CudaLevel:
    """One grid of a hierarchy; arrays are (batch, *grid), contiguous.

    Parameters
    ----------
    grid : with its transfers to the next coarser one
    diagonal : of A's inner equations; None: a step is scaled by that of each
    steps : (down, up): per step of either way its damping, and the colour it works on (-1: all)
    like : a tensor of the levels' dtype and device
    batch : number of right-hand sides
    little : whether u is held by little: an interpolant's residual is then computed on this grid, in differences
    """

    def __init__(self, grid: Described, diagonal: float | None, steps: tuple[Sequence[Step], Sequence[Step]],
                 like: Tensor, batch: int, little: bool = False):  # fmt: skip
        self._little, self._flat = little, len(grid.mass) == 2
        self.shape, self.coarse_shape = ((batch, *flat(n, self._flat)) for n in (grid.n, grid.n_c))
        self._like, self.grid, d = like, grid, 1.0 if diagonal is None else diagonal
        self._put_tables()
        self._steps = {
            way: [(omega / d, colour) for omega, colour in s] for way, s in zip(("down", "up"), steps, strict=True)
        }
        self._own, self._coloured = diagonal is None, any(colour >= 0 for s in steps for _, colour in s)
        self._plans: dict[tuple[tuple[str, ...], bool], Plan] = {}
        self._iterates: list[Tensor | None] = [None, None]
        self._third: Tensor | None = None
        self._between: Tensor | None = None  # what three dimensions leave between two ways
        self.f_c = self._empty(self.coarse_shape)
        self._sums = self._empty((0,))
        self.residual_of_interpolant = InterpolantResidual(grid.mass, grid.stiffness, like)
        # Watched, ``up`` takes the next cycle's steps down as well, and leaves the residual's norm and
        # restriction: a cycle is then one pass over this grid. The order of the steps is the same.
        self.measure = False
        self.omega = 1.0  # a measured ``up`` returns u + omega (its iterate - u)
        self._restricted: object = NOTHING  # the iterate whose restricted residual is in _f_c

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        return self.sweep(u, None, f, ("down",), self._other(u))

    def down(self, u: Tensor | Interpolant | None, f: Tensor, coarse: object):
        if isinstance(u, Interpolant) and not self._little:
            self.residual_of_interpolant(u.restricted, u.coarse, self.f_c)
        elif isinstance(u, Interpolant) or (self.measure and u is not self._restricted):
            self.go(u, None, f, f_c=self.f_c)
        elif not self.measure:
            u = self.sweep(u, None, f, ("down",), self._other(u), self.f_c)
        return u, None, self.f_c

    def up(self, u: Tensor | Interpolant | None, f: Tensor, before: None, after: Tensor) -> Tensor:
        if not self.measure:
            return self.sweep(u, after, f, ("up",), self._other(u))
        out = self._other(u)
        self._restricted = self.sweep(u, after, f, ("up", "down"), out, self.f_c, norm=True, omega=self.omega)
        return self._restricted

    def restrict(self, f: Tensor, out: Tensor) -> Tensor:
        """R f."""
        self.go(None, None, f, f_c=out)
        return out

    def squares(self) -> Tensor:
        """(batch,) the squared norms of f - A u that the last measured pass met."""
        return self._sums.reshape(self.shape[0], -1).sum(1)

    def residuals(self, u: Tensor | None, f: Tensor) -> Tensor:
        """(batch,) the squared norms of f - A u."""
        self.go(u, None, f, norm=True)
        return self.squares()

    def release(self, u: Tensor) -> Tensor:
        """Give an iterate away: a new array becomes the level's workspace."""
        self._iterates = [None if w is u else w for w in self._iterates]
        self._restricted = NOTHING
        return u

    def exchange(self) -> None:
        """Take another array as the first workspace, which the next ``up`` of an interpolant fills; and back."""
        self._iterates[0], self._third = self._third, self._iterates[0]

    def sweep(self, u, e, f, ways, out, f_c=None, norm=False, omega=1.0) -> Tensor:
        """The steps of these ways, and what follows, in one pass (2-D) or in one after the other (3-D).

        The iterate that they begin with stays as it is; ``out`` is not it.
        """
        relax = None if omega == 1 else (u, omega)
        if self._flat:
            self.go(u, e, f, ways, out, f_c, norm, relax)
            return out
        if isinstance(u, Interpolant):
            self.go(u, e, f, (), self._workspace(1))
            u, e = self._workspace(1), None
        for way in ways:
            to = out if way == ways[-1] else self._middle()
            self.go(u, e, f, (way,), to, relax=relax if way == ways[-1] else None)
            u, e = to, None
        if f_c is not None or norm:
            self.go(u, None, f, (), None, f_c, norm)
        return u

    def go(self, u, e, f, ways=(), out=None, f_c=None, norm=False, relax=None) -> None:
        """One pass, see ``march``; relax : the iterate that the cycle began with, and omega."""
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
            COLOURED=self._coloured, WEIGHTED=self._weighted, OWN=self._own, WRAPS=self.grid.wraps,
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

    def _put_tables(self) -> None:
        grid = self.grid
        self._weighted = any((v[3] != 1).any() for v in grid.lines)
        self._lines = tuple(self.put(v) for v in grid.lines)
        self._P, self._Q, self._R = (self._rows(tables) for tables in (grid.P, grid.Q, grid.R))
        names = zip(("PW", "QW", "RW"), (grid.P, grid.Q, grid.R), strict=True)
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
        grid, nu = level.grid, len(steps)
        n, R, to = grid.n, grid.R, grid.rows
        self.nu = nu
        rows = fitting(None if self.tile[0] == 1 else R[1], n[1], self.tile[0], nu, residual, to[1])
        columns = fitting(R[2], n[2], self.tile[1], nu, residual, to[2])
        programs = level.shape[0] * len(rows) * len(columns)
        coarse = min(max(-(-grid.n_c[0] * programs // PROGRAMS), PLANES[0]), PLANES[1])
        planes = parts(R[0], n[0], coarse, 0, nu, residual, to[0])
        self.coarse = (_power(rows), _power(columns))
        self.programs = programs * len(planes)
        self.parts = tuple(level.put(v.astype(np.int32)) for v in (planes, rows, columns))
        counted = [at for there in grid.counted for at in (there.start, there.stop)]
        self.sizes = level.put(
            np.array([*n, *grid.n_c, len(planes), len(rows), len(columns), *counted], np.int32)
        )  # fmt: skip
        self.steps = level.put(np.array(steps, float).reshape(-1, 2) if nu else np.zeros((1, 2)))
        self.sums = torch.zeros(self.programs, dtype=torch.float64, device=self.steps.device)


def flat(n: Sequence[int], two: bool) -> Sequence[int]:
    """Per array axis to per grid axis."""
    return (n[0], n[2]) if two else n


def inner(axes: Sequence[Axis], a: Sequence[float], c: float) -> float:
    """The diagonal of an inner equation."""
    return c + sum(2 * a_d / axis.h**2 for axis, a_d in zip(axes, a, strict=True))


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
