"""The door of ``Solver(problem, partition=...)``: local blocks in, local blocks out."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.distributed.data import right_hand_side
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.levels.smoothers import COLOURED
from mgnet.pde.outer.choice import Scheme
from mgnet.pde.outer.iterate import Outcome
from mgnet.pde.outer.multigrid import Multigrid, Stop
from mgnet.pde.outer.partitioned import Partitioned
from mgnet.pde.problem.checks import as_tensor, guess_like, no_graph
from mgnet.pde.problem.poisson import Poisson
from mgnet.pde.solution import NotConverged, Solution, warn_of_round_off


class OnBlocks:
    """A solver whose data and solutions are blocks; every process has one, and makes the same calls.

    Parameters
    ----------
    problem : the whole one, with numbers for coefficients
    """

    def __init__(self, problem: Poisson, scheme: Scheme, partition: Any):
        if not isinstance(partition, Partition):
            raise TypeError(f"`partition` must be a mgnet.pde.Partition; it is {type(partition).__name__}.")
        _check(problem, scheme, partition)
        self.problem, self.partition = problem, partition
        A = problem.A.detached()
        multigrid = Multigrid(A.base, problem.constant, None, scheme)
        if multigrid.levels.constant is None:
            raise ValueError("`partition` smooths points; this anisotropy needs lines. Solve it on one process.")
        assert problem.constant is not None
        self._levels = Partitioned(multigrid, partition, problem.grid.closed and problem.constant[1] == 0)
        self._method, self._work = multigrid.method(A), lambda outcome: multigrid.work(A, outcome)

    def solve(self, f: Any, boundary: Any, guess: Any, stop: Stop, throw: bool, project: bool) -> Solution:
        """As ``Solver.solve``, of blocks."""
        begun = time.perf_counter()
        self._agree(f, boundary, guess, stop, throw, project)
        tensor = isinstance(f, Tensor)
        v = as_tensor(f)
        v = v if v.is_floating_point() else v.double()
        b = right_hand_side(self.problem, self.partition, v, boundary)
        begin = None if guess is None else guess_like(guess, tuple(b.shape), b)
        if not tensor:
            no_graph("boundary", b)
        parts: list[Tensor] = []
        if stop.tol is None and guess is None and boundary is not None:
            like = b.detach().reshape(-1, *self.partition.shape)
            parts = self._levels.boundary_parts(self.problem, boundary, like)
        made = _Made(self, stop, project, begin, parts)
        u = Shared.apply(made, b)
        outcome = made.outcome
        solution = Solution(
            u=u if tensor else u.numpy(),
            residuals=outcome.residuals,
            converged=outcome.status != "not converged",
            status=outcome.status,
            grid=self.problem.grid,
            method=f"{self._method}, on {self.partition.count} processes",
            work=self._work(outcome),
            seconds=time.perf_counter() - begun,
        )
        if throw and not solution.converged:
            assert stop.tol is not None
            raise NotConverged(solution, stop.tol)
        if not stop.of_guess:
            warn_of_round_off(solution, stop.tol)
        return solution

    def run(
        self, b: Tensor, guess: Tensor | None, stop: Stop, project: bool, parts: Sequence[Tensor]
    ) -> tuple[Tensor, Outcome]:
        """A^-1 b of (*batch, *block)."""
        block = self.partition.shape
        begin = None if guess is None else guess.detach().reshape(-1, *block)
        outcome = self._levels.run(b.detach().reshape(-1, *block), begin, stop, project, parts)
        return outcome.u.reshape(b.shape), outcome

    def _agree(self, f: Any, boundary: Any, guess: Any, stop: Stop, throw: bool, project: bool) -> None:
        """Refuse, on every process, what is wrong on one or differs."""
        block, fault = self.partition.shape, ""
        if tuple(f.shape[-len(block) :]) != block:
            fault = f"`f` must be this process's block, of shape (..., {block}); it has {tuple(f.shape)}."
        elif guess is not None and tuple(np.shape(guess)[-len(block) :]) != block:
            fault = f"`guess` must be this process's block, of shape (..., {block}); it has {tuple(np.shape(guess))}."
        elif isinstance(f, Tensor) and f.device.type != "cpu":
            fault = f"`partition` takes tensors on the CPU; f is on {f.device}."
        self.partition.agree(
            {
                "f": f"{str(f.dtype).removeprefix('torch.')}, a batch of {tuple(f.shape[: f.ndim - len(block)])}",
                "boundary": "given" if boundary is not None else "None",
                "guess": "given" if guess is not None else "None",
                "tol": str(stop.tol),
                "max_cycles": str(stop.max_cycles),
                "relative_to": stop.relative_to,
                "project": str(project),
                "throw": str(throw),
            },
            fault,
        )


class _Made:
    """One solve, and what became of it."""

    def __init__(
        self, on: OnBlocks, stop: Stop, project: bool, guess: Tensor | None = None, parts: Sequence[Tensor] = ()
    ):
        self.on, self.stop, self.project, self.guess, self.parts = on, stop, project, guess, parts
        self.outcome: Outcome

    def __call__(self, b: Tensor) -> Tensor:
        u, self.outcome = self.on.run(b, self.guess, self.stop, self.project, self.parts)
        return u

    @property
    def adjoint(self) -> "_Made":
        return _Made(self.on, Stop(self.stop.tol, self.stop.max_cycles), True)


class Shared(torch.autograd.Function):
    """u = A^-1 b and, A being symmetric, db = A^-1 du; each process gives and gets its part."""

    @staticmethod
    def forward(ctx: Any, made: _Made, b: Tensor) -> Tensor:
        ctx.made = made
        return made(b)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        return None, Shared.apply(ctx.made.adjoint, grads[0].contiguous())


def _check(problem: Poisson, scheme: Scheme, partition: Partition) -> None:
    said = {"grid": repr(problem.grid), "the coefficients": str(problem.constant), "the scheme": str(scheme)}
    fault = ""
    if partition.grid.axes != problem.grid.axes:
        fault = "`partition` must be of the problem's grid; it is of another one."
    elif problem.constant is None or problem.order != 2:
        fault = (
            "`partition` takes coefficients that are numbers, on uniform grids, without mask, fixed values or "
            "velocity, of order 2; this problem has others. Solve it on one process."
        )
    elif scheme.transform or scheme.smoother in COLOURED:
        fault = '`partition` takes multigrid, smoothed by "chebyshev", "jacobi" or steps of your own.'
    partition.agree(said, fault)
