"""The door of ``Solver(problem, partition=...)``: local blocks in, local blocks out."""

import time
from typing import Any

from torch import Tensor

from mgnet.pde.blocks import Blocks, Call, Data, OfNumbers, Varying
from mgnet.pde.distributed.moves import in_rows, moved
from mgnet.pde.distributed.nearby import check_block, described, place_of
from mgnet.pde.distributed.partition import HOST, Partition
from mgnet.pde.distributed.problem import SharedPoisson, check_poses
from mgnet.pde.levels.grids import constants
from mgnet.pde.outer.multigrid import Multigrid
from mgnet.pde.outer.scheme import Scheme
from mgnet.pde.outer.stopping import Stop
from mgnet.pde.problem.checks import Place, as_tensor, batches, dense, finite_data, guess_like
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
        self._check(f, data, guess, stop, throw, project)
        tensor, blocks = isinstance(f, Tensor), self._blocks
        v, rows = as_tensor(f), self._solving
        if moves := rows is not self.partition:
            v, guess = in_rows(self.partition, v, "f"), in_rows(self.partition, guess, "guess")
            boundary, *others = zip(data._fields, data, strict=True)
            data = Data(boundary[1], *(in_rows(self.partition, of, name) for name, of in others))
        b, g = blocks.right_hand_side(v if v.is_floating_point() else v.double(), data, graph=tensor)
        if not tensor:
            blocks.check_no_graph()
        begin = None if guess is None else self._begin(guess, b)
        parts = blocks.parts(b.detach(), data.boundary) if stop.tol is None and data.boundary is not None else []
        b, begin, u_0 = (b, begin, None) if parts else blocks.lift(b, begin, data.boundary, tensor)
        call = Call(stop, project, throw, begin, parts)
        try:
            u = blocks.inside(blocks.solved(call, b))
        except (FloatingPointError, ValueError):  # of numbers that all share, so that all are here
            with self.partition.agreed():
                finite_data(blocks.inside(v), place=self._place)
            raise
        u = moved(rows, self.partition, sum((v for v in (g, u_0) if v is not None), start=u))
        outcome = call.outcome
        out: Any = u if tensor else u.detach().numpy()
        method, seconds = blocks.method + ", moved to rows" * moves, time.perf_counter() - begun
        solution = solution_of(outcome, out, self.problem.grid, method, blocks.work(outcome), seconds)
        return concluded(solution, stop, outcome.remedy, throw)

    def _begin(self, guess: Any, b: Tensor) -> Tensor:
        """The guess as a first iterate of the solution's shape."""
        with self.partition.agreed():
            begin = self._blocks.inside(guess_like(guess, self._blocks.shape_of_u(b), b))
            finite_data(None, begin, place=self._place)
        return begin

    @property
    def _place(self) -> Place:
        """Where the blocks that are solved on lie."""
        return place_of(self.partition.grid, *(there.start for there in self._solving.slices))

    def _check(self, f: Any, data: Data, guess: Any, stop: Stop, throw: bool, project: bool) -> None:
        """Refuse, on every process, what is wrong on one or differs."""
        partition, (boundary, cut, fixed) = self.partition, data
        given = {"f": f, "guess": guess, "mask_boundary": cut, "fixed": fixed}
        how = vars(stop) | {"callback": None, "boundary": None if boundary is None else "given"}
        with partition.agreed(described(partition, given, **how, throw=throw, project=project)):
            if guess is not None:
                dense("guess", guess)
            for name, v in given.items():
                check_block(partition, name, v, scalar=name != "f")
            there, problem = f.device if isinstance(f, Tensor) else HOST, self._blocks.problem
            if not isinstance(self._blocks, OfNumbers) and there != problem.kind.device:
                raise ValueError(
                    f"`f` must lie where the problem does, on {problem.kind.device}; it is on {there}. Make the "
                    "problem with `like` there."
                )
            batches(problem.grid.ndim, "f", as_tensor(f), "the coefficients", problem.A.base.tensors)


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
    with partition.agreed(said):
        check_poses(partition, problem.grid, problem.order)
        if scheme.transform:
            raise ValueError('`partition` takes multigrid. Leave method="transform" out.')
