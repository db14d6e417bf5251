"""The door of ``Solver(problem, partition=...)``: local blocks in, local blocks out."""

import time
from typing import Any

import numpy as np
from torch import Tensor

from mgnet.pde.blocks import Blocks, Call, Data, OfNumbers, Varying
from mgnet.pde.distributed.moves import in_rows, moved
from mgnet.pde.distributed.nearby import compared, out_of_reach
from mgnet.pde.distributed.partition import HOST, Partition
from mgnet.pde.distributed.problem import SECOND, SharedPoisson
from mgnet.pde.levels.grids import constants
from mgnet.pde.outer.multigrid import Multigrid
from mgnet.pde.outer.scheme import Scheme
from mgnet.pde.outer.stopping import Stop
from mgnet.pde.problem.checks import as_tensor, finite_data
from mgnet.pde.problem.poisson import Poisson
from mgnet.pde.solution import Solution, concluded, solution_of


class OnBlocks:
    """A solver whose data and solutions are blocks; every process has one, and makes the same calls.

    Parameters
    ----------
    problem : the whole one, or one of blocks
    """

    def __init__(self, problem: Poisson | SharedPoisson, scheme: Scheme, partition: Any):
        if not isinstance(partition, Partition):
            raise TypeError(f"`partition` must be a mgnet.pde.Partition; it is {type(partition).__name__}.")
        _check(problem, scheme, partition)
        self.problem, self.partition = problem, partition
        self._blocks: Blocks = _blocks(problem, scheme, partition)
        self._solving = partition if isinstance(self._blocks, OfNumbers) else partition.rows

    def having(self, a: Any, c: Any, velocity: Any) -> Poisson | SharedPoisson:
        """The problem on the same blocks with other coefficients."""
        return self._blocks.having(a, c, velocity)

    def solve(self, f: Any, data: Data, guess: Any, stop: Stop, throw: bool, project: bool) -> Solution:
        """As ``Solver.solve``, of blocks."""
        begun = time.perf_counter()
        self._agree(f, data, guess, stop, throw, project)
        tensor, blocks, given = isinstance(f, Tensor), self._blocks, (f, guess)
        v, rows = as_tensor(f), self._solving
        if moves := rows is not self.partition:
            v, guess = in_rows(self.partition, v, "f"), in_rows(self.partition, guess, "guess")
            boundary, *others = zip(data._fields, data, strict=True)
            data = Data(boundary[1], *(in_rows(self.partition, of, name) for name, of in others))
        b, g = blocks.right_hand_side(v if v.is_floating_point() else v.double(), data, graph=tensor)
        if not tensor:
            blocks.check_no_graph()
        call = Call(stop, project, throw, guess)
        if stop.tol is None and data.boundary is not None:
            call.parts = blocks.parts(b.detach(), data.boundary)
        try:
            u = blocks.inside(blocks.solved(call, b))
        except (FloatingPointError, ValueError):  # of numbers that all share, so that all are here
            self.partition.agree({}, _unfinite(*given))
            raise
        u = moved(rows, self.partition, u if g is None else u + g)
        outcome = call.outcome
        out: Any = u if tensor else u.detach().numpy()
        method, seconds = blocks.method + ", moved to rows" * moves, time.perf_counter() - begun
        solution = solution_of(outcome, out, self.problem.grid, method, blocks.work(outcome), seconds)
        return concluded(solution, stop, outcome.remedy, throw)

    def _agree(self, f: Any, data: Data, guess: Any, stop: Stop, throw: bool, project: bool) -> None:
        """Refuse, on every process, what is wrong on one or differs."""
        block = self.partition.shape
        said, fault = compared(self.partition, {"mask_boundary": data.mask_boundary, "fixed": data.fixed})
        if tuple(f.shape[-len(block) :]) != block:
            fault = f"`f` must be this process's block, of shape (..., {block}); it has {tuple(f.shape)}."
        elif guess is not None and tuple(np.shape(guess)[-len(block) :]) != block:
            fault = f"`guess` must be this process's block, of shape (..., {block}); it has {tuple(np.shape(guess))}."
        there = f.device if isinstance(f, Tensor) else HOST
        fault = fault or out_of_reach(self.partition, "f", f) or out_of_reach(self.partition, "guess", guess)
        if not isinstance(self._blocks, OfNumbers) and there != self._blocks.problem.kind.device:
            fault = fault or (
                f"`f` must lie where the problem does, on {self._blocks.problem.kind.device}; it is on {there}. Make "
                "the problem with `like` there."
            )
        graph = isinstance(f, Tensor) and f.requires_grad
        self.partition.agree(
            said
            | {
                "f": f"{str(f.dtype).removeprefix('torch.')}, a batch of {tuple(f.shape[: f.ndim - len(block)])}"
                + ", with a gradient" * graph,
                "boundary": "given" if data.boundary is not None else "None",
                "guess": "given" if guess is not None else "None",
                "tol": str(stop.tol),
                "max_cycles": str(stop.max_cycles),
                "relative_to": stop.relative_to,
                "project": str(project),
                "throw": str(throw),
            },
            fault,
        )


def _unfinite(f: Any, guess: Any) -> str:
    """What is said of blocks whose numbers are not all finite."""
    try:
        finite_data(as_tensor(f), None if guess is None else as_tensor(guess))
    except ValueError as error:
        return str(error)
    return ""


def _blocks(problem: Poisson | SharedPoisson, scheme: Scheme, partition: Partition) -> Blocks:
    if isinstance(problem, SharedPoisson):
        return Varying(problem, scheme)
    lines = False
    if (numbers := constants(problem)) is not None:
        multigrid = Multigrid(problem.A.detached().base, numbers, None, scheme)
        lines = multigrid.levels.scheme.smoother == "zebra"
        if not lines:
            return OfNumbers(problem, multigrid, partition)
        scheme = multigrid.levels.scheme
    return Varying(SharedPoisson.of(problem, partition.rows), scheme, precise=lines)


def _check(problem: Poisson | SharedPoisson, scheme: Scheme, partition: Partition) -> None:
    said = {"grid": repr(problem.grid), "the coefficients": str(problem.constant), "the scheme": str(scheme)}
    fault = ""
    if partition.grid.axes != problem.grid.axes:
        fault = "`partition` must be of the problem's grid; it is of another one."
    elif problem.order != 2:
        fault = SECOND
    elif scheme.transform:
        fault = '`partition` takes multigrid. Leave method="transform" out.'
    partition.agree(said, fault)
