"""A level whose three verbs are one fused pass each (constant coefficients, CPU)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mgnet.pde.axis import Axis, Table
from mgnet.pde.direct import eigenbasis
from mgnet.pde.interpolant import InterpolantOperator
from mgnet.pde.kernels import diagonalise
from mgnet.pde.kernels.interpolant import FusedInterpolantResidual
from mgnet.pde.kernels.launch import SMALL, address_all, launch, share_out, threads
from mgnet.pde.kernels.layout import INTS
from mgnet.pde.kernels.means import Centring
from mgnet.pde.kernels.memory import Pool
from mgnet.pde.kernels.tables import pack
from mgnet.pde.kernels.wavefront import arguments, kernel
from mgnet.pde.transfers import Transfer, identity

SMALLER = 3_500  # the same for a coarse grid, where the helpers are at work anyway
COMPACT = 100_000  # up to here no more blocks than threads: a block works on some of its neighbours' rows, too
THICK = 8  # planes that a block has at least, where many threads could have less
BLOCK_ROWS = 24  # rows of a plane that a task works on in three dimensions


class Interpolant(NamedTuple):
    """The iterate Q(coarse), not yet evaluated; smooth already, so ``down`` takes no steps on it."""

    coarse: np.ndarray
    restricted: np.ndarray  #: R f


def four(shape: Sequence[int]) -> tuple[int, int, int]:
    """A grid's shape as (n0, n1, n2): two dimensions have n1 = 1, one has n0 = n1 = 1."""
    n0, n1, n2 = [*shape[:1], 1, *shape[1:]] if len(shape) == 2 else [*[1] * (3 - len(shape)), *shape]
    return n0, n1, n2


class FusedLevel:
    """One grid of a hierarchy with constant coefficients; arrays are (batch, n0, n1, n2).

    Parameters
    ----------
    transfer : to the next coarser grid
    a, c : the coefficient per axis, and the reaction
    steps : (down, up): per step of either way its damping, and the colour it works on (-1: all)
    dtype : numpy float32 or float64
    batch : number of right-hand sides
    small : unknowns up to which one thread does it all
    little : whether u is held by little: an interpolant's residual is then computed on this grid, in differences
    """

    def __init__(
        self,
        transfer: Transfer,
        a: Sequence[float],
        c: float,
        steps: tuple[Sequence[tuple[float, int]], Sequence[tuple[float, int]]],
        dtype: np.dtype,
        batch: int,
        small: int = SMALL,
        little: bool = False,
    ):
        self._little = little
        self.shape = (batch, *four([axis.n for axis in transfer.fine]))
        self.coarse_shape = (batch, *four([axis.n for axis in transfer.coarse]))
        self.dtype = np.dtype(dtype)
        self._ints, self._reals = _describe(transfer, a, c, self.dtype)
        each = ([(omega, colour, omega / self._reals[3]) for omega, colour in way] for way in steps)
        down, up = (np.array(way, self.dtype).reshape(-1, 3) for way in each)
        self._steps = [down, up, np.concatenate([up, down]), down[:0]]
        self._no_steps_down = len(steps[0]) == 0
        self._none = np.empty((0, 0, 0, 0), self.dtype)
        self._pool = Pool(self.shape, self.dtype)
        self.iterates: list[np.ndarray] = [self._none, self._none]  # workspaces; empty until they are needed
        self.omega = np.ones(1, self.dtype)  # a watched ``up`` returns u + omega (its iterate - u)
        self._f_c = np.empty(self.coarse_shape, self.dtype)
        self._blocks, self._alone = _plan(self.shape, self.coarse_shape, small)
        self._kernel = kernel(self.dtype)
        self._residual_of_interpolant = FusedInterpolantResidual(
            _three_axes(InterpolantOperator.of(transfer, a, c)), transfer.fine[-1].periodic, self.coarse_shape,
            self.dtype, *share_out(*self.coarse_shape[:2], math.prod(self.coarse_shape), small),
        )  # fmt: skip
        self._squares = np.zeros(batch * self._blocks[0] * self._blocks[1])
        self._arguments = {
            way: arguments(
                self.shape, self.coarse_shape, self._blocks, self.omega, s, self._ints, self._reals, self._squares
            )
            for way, s in zip(("down", "up", "both", "none"), self._steps, strict=True)
        }
        # Watched, ``up`` takes the next cycle's steps down as well, and leaves the residual's norm and
        # restriction: a cycle is then one pass over this grid. The order of the steps is the same.
        self.watch = False
        self.raw = False  # data are w^-1 f, see ``Poisson.rhs``
        self.centring: Centring | None = None  # of what an interpolant will lead to
        self._restricted: np.ndarray | None = None  # the iterate whose restricted residual is in _f_c

    def smooth(self, u: np.ndarray | None, f: np.ndarray) -> np.ndarray:
        if self._no_steps_down:
            return np.zeros_like(f) if u is None else u
        return self._pass(u, f, steps="down", out=self._other(u))

    def down(self, u: np.ndarray | Interpolant | None, f: np.ndarray, coarse: object):
        if self.watch and u is self._restricted:
            return u, None, self._f_c
        self._restricted = None
        if isinstance(u, Interpolant) and not self._little:
            self._residual_of_interpolant(u.restricted, u.coarse, self._f_c)
            return u, None, self._f_c
        if self.watch or isinstance(u, Interpolant) or self._no_steps_down:
            self._pass(u, f, f_c=self._f_c)
            return u, None, self._f_c
        u = self._pass(u, f, steps="down", out=self._other(u), f_c=self._f_c)
        return u, None, self._f_c

    def up(self, u, f: np.ndarray, before: None, after: np.ndarray) -> np.ndarray:
        if self.centring is not None and isinstance(u, Interpolant):
            self.centring(u.coarse, after)
        if not self.watch:
            return self._pass(u, f, e=after, steps="up", out=self._other(u))
        u = self._pass(u, f, e=after, steps="both", out=self._other(u), f_c=self._f_c, norm=True)
        self._restricted = u
        return u

    def restrict(self, f: np.ndarray, out: np.ndarray) -> np.ndarray:
        """R f."""
        self._pass(None, f, f_c=out)
        return out

    def squares(self) -> np.ndarray:
        """(batch,) the squared norms of f - A u that the last watched pass met."""
        return self._squares.reshape(self.shape[0], -1).sum(axis=1)

    def residuals(self, u: np.ndarray | None, f: np.ndarray, restricted: np.ndarray | None = None) -> np.ndarray:
        """(batch,) the squared norms of f - A u; restricted: an array for R (f - A u)."""
        self._pass(u, f, f_c=restricted, norm=True)
        return self.squares()

    def release(self, u: np.ndarray, instead: np.ndarray | None = None) -> np.ndarray:
        """Give an iterate away: another array (or a new one) becomes the level's workspace."""
        self.iterates = [(self._none if instead is None else instead) if w is u else w for w in self.iterates]
        self._restricted = None
        return u

    def iterate(self, k: int) -> np.ndarray:
        """Workspace k, 0 or 1."""
        if self.iterates[k].size == 0:
            self.iterates[k] = self._pool.empty()
        return self.iterates[k]

    def _other(self, u: object) -> np.ndarray:
        """A workspace that is not u."""
        return self.iterate(1 if u is self.iterates[0] else 0)

    def role(self, u: np.ndarray | None) -> tuple[str | int, bool]:
        """Which workspace u is, if any, and whether its restricted residual is known: what ``up`` and ``down`` ask."""
        if u is None:
            return "zero", False
        which = next((k for k in (0, 1) if u is self.iterates[k]), "given")
        return which, self.watch and u is self._restricted

    def passed(self, role: tuple[int, bool]) -> np.ndarray:
        """The iterate of that role, which a pass on this grid has written."""
        u = self.iterates[role[0]]
        self._restricted = u if role[1] else None
        return u

    def _pass(self, u, f, e=None, steps="none", out=None, f_c=None, norm=False):
        guess = None
        if isinstance(u, Interpolant):
            u, guess = None, u.coarse
        packed, none = self._arguments[steps], self._none
        address_all(packed, *(none if v is None else v for v in (u, guess, e, f, out, f_c)))
        packed[-3:] = norm or f_c is not None, norm, self.raw
        launch(self._kernel, len(self._squares), packed, self._alone)
        return out


def centring(transfer: Transfer, shape: Sequence[int], dtype: np.dtype) -> Centring:
    """Of u and e of that shape on the coarse grid."""
    one = identity(1)
    P, Q = ([T or one for T in _pad([t or identity(axis.n) for t, axis in zip(kind, transfer.fine, strict=True)])]
            for kind in transfer.tables[:2])  # fmt: skip
    shares = [np.ones(1) if axis is None else axis.share for axis in _pad(transfer.fine)]
    return Centring(P, Q, shares, shape, dtype)


def _plan(shape: Sequence[int], coarse: Sequence[int], small: int) -> tuple[tuple[int, int], bool]:
    """((blocks of planes, blocks of rows), whether one thread does them all)."""
    batch, n0, n1, n2 = shape
    rows = max(1, min(coarse[2], round(n1 / BLOCK_ROWS))) if n1 > 1 else 1
    if batch * n0 * n1 * n2 <= small or threads() == 1:
        return (1, rows), True
    tasks = threads() if batch * n0 * n1 * n2 <= COMPACT else 2 * threads()
    wanted = 1 if batch * rows >= 4 * threads() else -(-tasks // (batch * rows))
    planes = max(1, min(wanted, coarse[1], n0 // THICK))
    return (planes, rows), False


def _three_axes(operator: InterpolantOperator) -> InterpolantOperator:
    """R A Q of three array axes."""
    one = identity(1)
    mass = [M or one for M in _pad(operator.mass)]
    stiffness = [K or Table(one.start, 0 * one.weights, 1) for K in _pad(operator.stiffness)]
    return InterpolantOperator(tuple(mass), tuple(stiffness))


def _describe(transfer: Transfer, a: Sequence[float], c: float, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Everything the kernel reads about a level, in one integer and one real array."""
    fine, coarse = _pad(transfer.fine), _pad(transfer.coarse)
    tables = [_pad([t or identity(axis.n) for t, axis in zip(kind, transfer.fine, strict=True)])
              for kind in transfer.tables]  # fmt: skip
    couplings = [0.0 if axis is None else a_d / axis.h**2 for axis, a_d in zip(fine, _pad(a), strict=True)]
    reals = [*couplings, c + 2 * sum(couplings), c]
    for axis in fine:
        reals += _ghosts(axis)
    ints = [axis.n if axis else 1 for axis in fine] + [axis.n if axis else 1 for axis in coarse]
    assert len(ints) == INTS
    repeats = ((2, 1), (2, 1), (1, 2))  # P and Q: every two rows one column further; R: every row two
    packed = [(t or identity(1), *r) for kind, r in zip(tables, repeats, strict=True) for t in kind]
    return pack(ints, reals, packed, dtype)


def _pad(per_axis: Sequence) -> list:
    """Per grid axis to per array axis, None for the missing ones."""
    v = list(per_axis)
    return [v[0], None, v[1]] if len(v) == 2 else [None] * (3 - len(v)) + v


def _ghosts(axis: Axis | None) -> list[float]:
    """(sign, index, share, wraps, 1) of both ends."""
    if axis is None:
        return [0.0, 0.0, 1.0, 0.0, 1.0] * 2
    out: list[float] = []
    for side, share in ((0, axis.share[0]), (1, axis.share[-1])):
        sign, index = axis.ghost(side)
        out += [sign, index, share, float(axis.periodic), 1.0]
    return out


class FusedDirectLevel:
    """u = A^-1 f on the coarsest grid, by fast diagonalisation; arrays are (batch, n0, n1, n2)."""

    def __init__(self, axes: Sequence[Axis], a: Sequence[float], c: float, dtype: np.dtype, batch: int):
        Vs, D = eigenbasis(axes, a, c)
        shape = four(D.shape)
        V = [np.ones((1, 1), dtype) if v is None else v.astype(dtype) for v in _pad(Vs)]
        self._matrices = [*V, *(np.ascontiguousarray(v.T) for v in V), np.ascontiguousarray(D.reshape(shape), dtype)]
        self._u = np.empty((batch, *shape), dtype)
        self._kernel = diagonalise.kernel(np.dtype(dtype))
        self._arguments = np.array([0, 0, *(v.ctypes.data for v in self._matrices), *shape], np.int64)
        self._alone = batch < 2 * threads()

    def release(self, u: np.ndarray, instead: np.ndarray | None = None) -> np.ndarray:
        """Give the solution away, as FusedLevel does."""
        self._u = np.empty_like(u) if instead is None else instead
        return u

    def smooth(self, u: object, f: np.ndarray) -> np.ndarray:
        self._arguments[:2] = f.ctypes.data, self._u.ctypes.data
        launch(self._kernel, len(self._u), self._arguments, self._alone)
        return self._u
