"""-div(a grad u) + g(u) = f by the full approximation scheme: the same cycle, with Pi = injection.

    A(u) = L u + w g(u),        B(r) = omega r / (D + w g'(u))          (Newton-Jacobi)

L is the linear operator, D its diagonal, w the unknowns' shares of a cell. The coarse problem of
equation (2) needs A_c(u_c), so u itself is carried down; with Pi = 0 the coarse grids would solve
for a correction at the wrong place, and the iteration stalls.

Source: Brandt 1977; Trottenberg, Oosterlee & Schueller 2001, section 5.3.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mgnet.core import correct, cycle, full_multigrid, relax, transfer
from mgnet.pde.axis import Axis, Table
from mgnet.pde.grid import Grid
from mgnet.pde.problem import Poisson
from mgnet.pde.smoothers import omegas
from mgnet.pde.transfers import Transfer, apply_tables

Pointwise = Callable[[Tensor], Tensor]
NEWTON = 50  # steps at most on the coarsest grid
SHIFT = 1e-3  # of the diagonal, where A' is singular
HALVINGS = 12  # of a Newton step
COARSEST = 150  # unknowns of a grid on which Newton's method solves dense systems


class Nonlinearity:
    """A(u) and its diagonal's derivative on one grid."""

    def __init__(self, problem: Poisson, g: Pointwise, dg: Pointwise):
        self.L, self.g, self.dg, self.problem = problem.A.base, g, dg, problem
        self.w = self.L.weigh(torch.ones(problem.grid.shape, device="cpu").to(self.L.k[0]))

    def __call__(self, u: Tensor) -> Tensor:
        return self.L(u) + self.w * self.g(u)

    def diagonal(self, u: Tensor) -> Tensor:
        return self.L.diagonal + self.w * self.dg(u)


class NonlinearLevel:
    """One grid: equations (1)-(3) with a smoother that is linearised at the iterate.

    Parameters
    ----------
    A : Nonlinearity
    transfer : to the next coarser grid
    Pi : feature -> coarse feature; None is Pi = 0, which stalls
    nu : sweeps down and up
    """

    def __init__(self, A: Nonlinearity, transfer: Transfer, Pi: Pointwise | None, nu: tuple[int, int] = (2, 2)):
        self.A, self.transfer, self.Pi = A, transfer, Pi
        ndim = A.L.ndim
        self._down, self._up = omegas("chebyshev", nu[0], ndim), omegas("chebyshev", nu[1], ndim)[::-1]

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        return self._sweep(self._down, torch.zeros_like(f) if u is None else u, f)

    def down(self, u: Tensor | None, f: Tensor, coarse: Any) -> tuple[Tensor, Tensor | None, Tensor]:
        u = self.smooth(u, f)
        u_c, f_c = transfer(self.A, coarse.A, self.transfer.R, self.Pi, u, f)
        return u, u_c, f_c

    def up(self, u: Tensor, f: Tensor, before: Tensor | None, after: Tensor) -> Tensor:
        return self._sweep(self._up, correct(self.transfer.P, u, before, after), f)

    def _sweep(self, steps: Sequence[float], u: Tensor, f: Tensor) -> Tensor:
        for omega in steps:
            scale = omega / self.A.diagonal(u)
            u = relax(self.A, scale.mul, u, f)
        return u


class NewtonLevel:
    """The coarsest grid: Newton's method with dense matrices."""

    def __init__(self, A: Nonlinearity):
        self.A = A
        self._L = torch.from_numpy(A.problem.to_scipy().toarray()).to(A.w)

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        u = torch.zeros_like(f) if u is None else u
        norm = _norm(f - self.A(u))
        for _ in range(NEWTON):
            before = norm
            for shift in (0.0, SHIFT):  # A' may be singular where there is a solution
                u, norm = self._search(u, f, norm, self._step(u, f, shift))
                if (norm < before).any():
                    break
            if not (norm < before).any():
                break
        return u

    def _search(self, u: Tensor, f: Tensor, norm: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        """u + t e with the first t = 1, 1/2, 1/4, ... that brings the residual down."""
        found = torch.zeros_like(norm, dtype=torch.bool)
        for k in range(HALVINGS):
            new = u + 0.5**k * e
            after = _norm(f - self.A(new))
            worth = ~found & torch.isfinite(after) & (after < (1 - 0.1 * 0.5**k) * norm)
            u, norm, found = _where(worth, new, u), torch.where(worth, after, norm), found | worth
            if found.all():
                break
        return u, norm

    def _step(self, u: Tensor, f: Tensor, shift: float) -> Tensor:
        D = self.A.w * self.A.dg(u) + shift * self.A.L.diagonal
        J = self._L + torch.diag_embed(D.flatten(1))
        e, _ = torch.linalg.solve_ex(J, (f - self.A(u)).flatten(1))  # a singular J gives NaN, not an exception
        return e.reshape(u.shape)


def _norm(r: Tensor) -> Tensor:
    return torch.linalg.vector_norm(r.flatten(1), dim=1)


def _where(which: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(which.reshape(-1, *[1] * (old.ndim - 1)), new, old)


def injection(fine: Sequence[Axis], coarse: Sequence[Axis]) -> Pointwise:
    """Pi: the values at the coarse unknowns; cubic interpolation where these are no fine unknowns."""
    tables: list[Table | None] = [
        None if f == c else c.interpolation(f, order=4) for f, c in zip(fine, coarse, strict=True)
    ]
    return lambda u: apply_tables(tables, u)


class NonlinearHierarchy:
    """The levels of a nonlinear problem, for the outer loop.

    Parameters
    ----------
    problems : one linear problem a grid, finest first
    g, dg : the reaction and its derivative, of tensors
    data : one b a grid, (batch, *grid): what full multigrid solves on the way up
    inject : whether Pi is injection, or 0 (to show that it is information)
    """

    def __init__(
        self, problems: Sequence[Poisson], g: Pointwise, dg: Pointwise, data: Sequence[Tensor], inject: bool = True
    ):
        self.operators = [Nonlinearity(problem, g, dg) for problem in problems]
        axes = [problem.grid.axes for problem in problems]
        self._transfers = [Transfer(f, c) for f, c in zip(axes[:-1], axes[1:], strict=True)]
        self.levels: list[Any] = [
            NonlinearLevel(A, t, injection(t.fine, t.coarse) if inject else None)
            for A, t in zip(self.operators, self._transfers, strict=False)
        ]
        self.levels.append(NewtonLevel(self.operators[-1]))
        self._data = list(data)
        self.sizes = tuple(problem.grid.size for problem in problems)

    def data(self, b: Tensor) -> Tensor:
        return b

    def tensor(self, u: Tensor) -> Tensor:
        return u

    release = tensor

    def start(self, b: Tensor, watch: bool = True) -> Tensor:
        self._last = full_multigrid(self.levels, self._data, lambda l, u: self._transfers[l].Q(u)), b
        return self._last[0]

    def cycle(self, u: Tensor, b: Tensor, watch: bool = True) -> Tensor:
        self._last = cycle(self.levels, u, b), b
        return self._last[0]

    def norms(self, u: Tensor | None, b: Tensor) -> Tensor:
        return _norm(b - self.operators[0](torch.zeros_like(b) if u is None else u))

    def watched(self) -> Tensor:
        return self.norms(*self._last)

    def roundoff(self, b: Tensor) -> Callable[[Tensor], Tensor]:
        """u -> 2 eps || |L||u| + |w g(u)| + |b| ||."""
        A, eps = self.operators[0], torch.finfo(b.dtype).eps
        return lambda u: 2 * eps * _norm(A.L.magnitude(u) + (A.w * A.g(u)).abs() + b.abs())


def chain(grid: Grid) -> list[Grid]:
    """The grid and its coarser ones, all axes coarsened together while they can be."""
    grids = [grid]
    while grids[-1].size > COARSEST:
        axes = tuple(axis.coarsen() if axis.intervals >= 4 else axis for axis in grids[-1].axes)
        if axes == grids[-1].axes:
            break
        grids.append(Grid.of(axes))
    return grids
