"""-div(a grad u) + g(u) = f by the full approximation scheme: the same cycle, with Pi = injection.

    A(u) = L u + w g(u),        B(r) = omega r / (D + w g'(u))          (Newton-Jacobi)

L is the linear operator, D its diagonal, w the unknowns' shares of a cell. The coarse problem of
equation (2) needs A_c(u_c), so u itself is carried down; with Pi = 0 the coarse grids would solve
for a correction at the wrong place, and the iteration stalls.

Where g is steep, a sweep solves each unknown's own equation (pointwise.py). Members where g grows are left to Newton's
method (newton.py): coarse grids see g of an average, not the average of g, and its linear problems have faster cycles.

Source: Brandt 1977; Trottenberg, Oosterlee & Schueller 2001, section 5.3.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mgnet.core import correct, cycle, transfer
from mgnet.pde.levels.hierarchy import OnTensors
from mgnet.pde.levels.newton import finite, search, solved
from mgnet.pde.levels.pointwise import Local
from mgnet.pde.levels.smoothers import omegas
from mgnet.pde.levels.transfers import Transfer, apply_tables
from mgnet.pde.problem.axis import Axis, Table
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.members import norm_of
from mgnet.pde.problem.operators import Diffusion
from mgnet.pde.problem.poisson import Poisson

Pointwise = Callable[[Tensor], Tensor]
Linear = Callable[[Diffusion, Tensor, Tensor], tuple[Tensor, int]]  # (L + diag(c))^-1 r of (L, c, r), and its cycles
SWEEPS = 2  # down, and as many up
NEWTON = 50  # steps at most on the coarsest grid
NEAR = 0.1  # of the residual: what a whole step of Newton's method leaves where it is near
SHIFT = 1e-3  # of the diagonal, where A' is singular
COARSEST = 150  # unknowns of a grid on which Newton's method solves dense systems


class Nonlinearity:
    """A(u) and its diagonal's derivative on one grid; product : makes u -> L u of L."""

    def __init__(self, problem: Poisson, g: Pointwise, dg: Pointwise, product: Callable[[Diffusion], Pointwise]):
        self.L, self.g, self.dg, self.problem = problem.A.base, g, dg, problem
        self.w, self.product = (
            self.L.weigh(torch.ones(problem.grid.shape, device="cpu").to(self.L.k[0])),
            product(self.L),
        )

    def __call__(self, u: Tensor) -> Tensor:
        return self.product(u) + self.w * self.g(u)

    def diagonal(self, u: Tensor) -> Tensor:
        return self.L.diagonal + self.w * self.dg(u)


class NonlinearLevel:
    """One grid: equations (1)-(3) with a smoother that is linearised at the iterate.

    Parameters
    ----------
    A : Nonlinearity
    transfer : to the next coarser grid
    Pi : feature -> coarse feature; None is Pi = 0, which stalls
    """

    def __init__(self, A: Nonlinearity, transfer: Transfer, Pi: Pointwise | None):
        self.A, self.transfer, self.Pi, self.omegas = A, transfer, Pi, omegas("chebyshev", SWEEPS, A.L.ndim)

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        return self._sweep(self.omegas, torch.zeros_like(f) if u is None else u, f)

    def down(self, u: Tensor | None, f: Tensor, coarse: Any) -> tuple[Tensor, Tensor | None, Tensor]:
        u = self.smooth(u, f)
        u_c, f_c = transfer(self.A, coarse.A, self.transfer.R, self.Pi, u, f)
        return u, u_c, f_c

    def up(self, u: Tensor, f: Tensor, before: Tensor | None, after: Tensor) -> Tensor:
        return self._sweep(self.omegas[::-1], correct(self.transfer.P, u, before, after), f)

    def _sweep(self, steps: Sequence[float], u: Tensor, f: Tensor) -> Tensor:
        for omega in steps:
            local = Local(self.A, u)
            r = local.residual(f)
            u = u + local.step(r, omega * r / local.steep, omega)
        return u


class NewtonLevel:
    """The coarsest grid: Newton's method with dense matrices."""

    def __init__(self, A: Nonlinearity):
        self.A = A
        self.dense = torch.from_numpy(A.problem.to_scipy().toarray()).to(A.w)

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        u = torch.zeros_like(f) if u is None else u
        norm = norm_of(f - self.A(u))
        for _ in range(NEWTON):
            moved = torch.zeros_like(norm, dtype=torch.bool)
            for shift in (0.0, SHIFT):  # A' may be singular where there is a solution
                u, norm, moved = search(self.A, u, f, norm, self._step(u, f, shift))
                if moved.any():
                    break
            if not moved.any():
                break
        return u

    def _step(self, u: Tensor, f: Tensor, shift: float) -> Tensor:
        D = self.A.w * self.A.dg(u) + shift * self.A.L.diagonal
        return solved(self.dense, D, f - self.A(u))


def injection(fine: Sequence[Axis], coarse: Sequence[Axis]) -> Pointwise:
    """Pi: the values at the coarse unknowns; cubic interpolation where these are no fine unknowns."""
    tables: list[Table | None] = [
        None if f == c else c.interpolation(f, order=4) for f, c in zip(fine, coarse, strict=True)
    ]
    return lambda u: apply_tables(tables, u)


class NonlinearHierarchy(OnTensors):
    """The levels of a nonlinear problem, for the outer loop.

    Parameters
    ----------
    problems : one linear problem a grid, finest first
    g, dg : the reaction and its derivative, of tensors
    data : one b a grid, (batch, *grid): what full multigrid solves on the way up
    product, linear : what multiplies by L, and solves the linear problems of Newton's method
    inject : whether Pi is injection, or 0 (to show that it is information)

    Attributes
    ----------
    newton, fas : whether a member was solved by Newton's method, and by cycles
    linear_cycles : of the linear problems on the finest grid
    """

    def __init__(
        self,
        problems: Sequence[Poisson],
        g: Pointwise,
        dg: Pointwise,
        data: Sequence[Tensor],
        product: Callable[[Diffusion], Pointwise],
        linear: Linear,
        inject: bool = True,
    ):
        self._linear = linear
        self.operators = [Nonlinearity(problem, g, dg, product) for problem in problems]
        axes = [problem.grid.axes for problem in problems]
        self._transfers = [Transfer(f, c) for f, c in zip(axes[:-1], axes[1:], strict=True)]
        self.levels: list[Any] = [
            NonlinearLevel(A, t, injection(t.fine, t.coarse) if inject else None)
            for A, t in zip(self.operators, self._transfers, strict=False)
        ]
        self.levels.append(NewtonLevel(self.operators[-1]))
        self._data = list(data)
        self.newton = self.fas = False
        self.linear_cycles = 0
        self.sizes = tuple(problem.grid.size for problem in problems)

    def full_multigrid(self, b: Tensor, measure: bool = True) -> Tensor:
        u = self.levels[-1].smooth(None, self._data[-1])
        for l in reversed(range(len(self._transfers))):
            u = self._step(l, self._transfers[l].Q(u), self._data[l])
        self._last = u, b
        return u

    def cycle(self, u: Tensor, b: Tensor, measure: bool = True) -> Tensor:
        self._last = self._step(0, u, b), b
        return self._last[0]

    def _step(self, l: int, u: Tensor, b: Tensor) -> Tensor:
        """A step of Newton's method on grid l for members where g grows; for others a cycle from there on."""
        A = self.operators[l]
        u = finite(A, u, b)
        if l + 1 == len(self.levels):
            return self.levels[l].smooth(u, b)
        growing = (A.dg(u) >= 0).flatten(1).all(dim=1)
        self.newton, self.fas = self.newton or bool(growing.any()), self.fas or not growing.all()
        if growing.all():
            return self._newton(l, u, b)
        new = cycle(self.levels[l:], u, b)
        if growing.any():
            new[growing] = self._newton(l, u[growing], b[growing])
        return new

    def _newton(self, l: int, u: Tensor, b: Tensor) -> Tensor:
        """A step on grid l; of members that it does not bring near, two sweeps and a damped one."""
        A = self.operators[l]
        r = b - A(u)
        new = u + self._direction(l, u, r)
        far = ~(norm_of(b - A(new)) <= NEAR * norm_of(r))
        if far.any():
            u, b = self.levels[l].smooth(u[far], b[far]), b[far]
            r = b - A(u)
            new[far] = search(A, u, b, norm_of(r), self._direction(l, u, r))[0]
        return new

    def _direction(self, l: int, u: Tensor, r: Tensor) -> Tensor:
        """e of (N)."""
        A = self.operators[l]
        e, cycles = self._linear(A.L, A.dg(u), r)
        self.linear_cycles += cycles if l == 0 else 0
        return e

    def norms(self, u: Tensor | None, b: Tensor) -> Tensor:
        return norm_of(b - self.operators[0](torch.zeros_like(b) if u is None else u))

    def measured(self) -> Tensor:
        return self.norms(*self._last)

    def roundoff(self, b: Tensor, l: int = 0) -> Callable[[Tensor], Tensor]:
        """u -> 2 eps || |L||u| + |w g(u)| + |b| ||."""
        A, eps = self.operators[l], torch.finfo(b.dtype).eps
        return lambda u: 2 * eps * norm_of(A.L.magnitude(u) + (A.w * A.g(u)).abs() + b.abs())


def chain(grid: Grid) -> list[Grid]:
    """The grid and its coarser ones, all axes coarsened together while they can be."""
    grids = [grid]
    while grids[-1].size > COARSEST:
        axes = tuple(axis.coarsen() if axis.intervals >= 4 else axis for axis in grids[-1].axes)
        if axes == grids[-1].axes:
            break
        grids.append(Grid.of(axes))
    return grids
