"""What solves with the blocks of a grid, each on its own process: for numbers, and for coefficients that vary."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.distributed.data import right_hand_side, weigh
from mgnet.pde.distributed.moves import moved
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.distributed.problem import SharedPoisson, posed
from mgnet.pde.levels.grids import clamps
from mgnet.pde.outer.iterate import Outcome
from mgnet.pde.outer.multigrid import Multigrid
from mgnet.pde.outer.partitioned import Partitioned
from mgnet.pde.outer.partitioned_varying import PartitionedVarying
from mgnet.pde.outer.scheme import Scheme
from mgnet.pde.outer.stopping import Stop
from mgnet.pde.problem.checks import no_graph
from mgnet.pde.problem.data import check_cut, fixed_values
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.members import batch_of
from mgnet.pde.problem.penalties import LARGE, Lift
from mgnet.pde.problem.poisson import Poisson
from mgnet.pde.solution import check_derivative, solution_of


class Data(NamedTuple):
    """What a solve is given beside f."""

    boundary: Any = None
    mask_boundary: Any = None
    fixed: Any = None


class Blocks(Protocol):
    """What solves with blocks (*batch, *block): for numbers, or for coefficients that vary."""

    problem: Any

    @property
    def method(self) -> str: ...

    def right_hand_side(self, f: Tensor, data: Data, graph: bool) -> tuple[Tensor, Tensor | None]:
        """b, and the values of what is fixed; graph : whether data may ask for a gradient."""
        ...

    def inside(self, v: Tensor) -> Tensor:
        """v of the block, 0 where there are no equations."""
        ...

    def having(self, a: Any, c: Any, velocity: Any) -> Poisson | SharedPoisson:
        """The problem with other coefficients."""
        ...

    def check_no_graph(self) -> None:
        """Refuse coefficients that ask for a gradient where arrays are to come out."""
        ...

    def parts(self, b: Tensor, boundary: Any) -> list[Tensor]:
        """The boundary's part of b on every grid, for one full pass."""
        ...

    def shape_of_u(self, b: Tensor) -> tuple[int, ...]:
        """(*batch, *block) of the solution."""
        ...

    def lift(
        self, b: Tensor, guess: Tensor | None, boundary: Any, graph: bool
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """As ``penalties.Lift``."""
        ...

    def solved(self, call: "Call", b: Tensor) -> Tensor:
        """``call`` on a graph."""
        ...

    def work(self, outcome: Outcome) -> float: ...


class Call:
    """One solve, and what became of it.

    Parameters
    ----------
    throw : whether a derivative's raises where it has not converged; it warns if not
    guess, parts : (*batch, *block) of the first iterate
    derivative : whether nobody sees the outcome
    """

    def __init__(
        self,
        stop: Stop,
        project: bool,
        throw: bool,
        guess: Tensor | None = None,
        parts: Sequence[Tensor] = (),
        derivative: bool = False,
    ):
        self.stop, self.project, self.throw, self.guess, self.parts = stop, project, throw, guess, parts
        self.derivative = derivative
        self.outcome: Outcome

    @property
    def adjoint(self) -> "Call":
        """The same solve of another right-hand side."""
        return Call(Stop(self.stop.tol, self.stop.max_cycles), True, self.throw, derivative=True)

    def ended(self, outcome: Outcome, grid: Grid) -> None:
        """With that outcome."""
        self.outcome = outcome
        if self.derivative:
            check_derivative(solution_of(outcome, outcome.u, grid), self.stop.tol, outcome.remedy, self.throw)

    def begin(self, blocks: Blocks, like: Tensor) -> Tensor | None:
        """The guess, flattened as data are."""
        return None if self.guess is None else blocks.inside(self.guess).reshape(like.shape)


class OfNumbers:
    """``Blocks`` of a problem whose coefficients are numbers."""

    def __init__(self, problem: Poisson, multigrid: Multigrid, partition: Partition):
        assert problem.constant is not None
        self.problem, self.partition, self.multigrid = problem, partition, multigrid
        self.levels = Partitioned(multigrid, partition, problem.grid.closed and problem.constant[1] == 0)

    @property
    def method(self) -> str:
        return f"{self.multigrid.method(self.multigrid.base)}, on {self.partition.count} processes"

    def work(self, outcome: Outcome) -> float:
        return self.multigrid.work(self.multigrid.base, outcome)

    def right_hand_side(self, f: Tensor, data: Data, graph: bool) -> tuple[Tensor, None]:
        if not any(v is not None for v in data):
            return weigh(self.partition, f), None
        with self.partition.agreed():
            fixed_values(self.problem, data.fixed, f)
            check_cut(data.mask_boundary, None)
            b = right_hand_side(self.problem, self.partition, f, data.boundary)
            if not graph:
                no_graph("boundary", b)
        return b, None

    def inside(self, v: Tensor) -> Tensor:
        return v

    def having(self, a: Any, c: Any, velocity: Any) -> Poisson | SharedPoisson:
        return posed(self.partition, self.problem.grid, a, c, self.problem.kind, velocity=velocity)

    def check_no_graph(self) -> None:
        self.problem.check_no_graph()

    def parts(self, b: Tensor, boundary: Any) -> list[Tensor]:
        return self.levels.boundary_parts(self.problem, boundary, b.reshape(-1, *self.partition.shape))

    def shape_of_u(self, b: Tensor) -> tuple[int, ...]:
        return tuple(b.shape)

    @cached_property
    def _lift(self) -> Lift | None:
        """Of rows; None: no end holds so much."""
        problem = self.problem
        if problem.constant is None or not clamps(problem.grid.axes, problem.constant[0], LARGE):
            return None
        rows = SharedPoisson.of(problem, self.partition.rows)
        return Lift(rows, rows)

    def lift(
        self, b: Tensor, guess: Tensor | None, boundary: Any, graph: bool
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        if boundary is None or self._lift is None:
            return b, guess, None
        mine, rows = self.partition, self.partition.rows
        b, guess = moved(mine, rows, b), None if guess is None else moved(mine, rows, guess)
        b, guess, u_0 = self._lift(b, guess, boundary, graph)
        back, begin, added = (None if v is None else moved(rows, mine, v) for v in (b, guess, u_0))
        assert back is not None
        return back, begin, added

    def solved(self, call: Call, b: Tensor) -> Tensor:
        return Shared.apply(self, call, b)

    def run(self, call: Call, b: Tensor) -> Tensor:
        """A^-1 b, without a graph."""
        flat = b.detach().reshape(-1, *self.partition.shape)
        outcome = self.levels.run(flat, call.begin(self, flat), call.stop, call.project, call.parts)
        call.ended(outcome, self.problem.grid)
        return outcome.u.reshape(b.shape)


class Shared(torch.autograd.Function):
    """u = A^-1 b and, A being symmetric, db = A^-1 du; each process gives and gets its part."""

    @staticmethod
    def forward(ctx: Any, blocks: OfNumbers, call: Call, b: Tensor) -> Tensor:
        ctx.blocks, ctx.call = blocks, call
        return blocks.run(call, b)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, Tensor]:
        return None, None, Shared.apply(ctx.blocks, ctx.call.adjoint, grads[0].contiguous())


class Varying:
    """``Blocks`` of a problem whose coefficients vary."""

    def __init__(self, problem: SharedPoisson, scheme: Scheme, precise: bool = False):
        self.problem, self.partition, self._scheme, self._precise = problem, problem.partition, scheme, precise
        self._levels: dict[tuple[tuple[int, ...], bool], PartitionedVarying] = {}  # by batch; and of A^T
        self._last: PartitionedVarying | None = None
        self.lift = Lift(problem, problem)

    @property
    def method(self) -> str:
        assert self._last is not None
        return self._last.method

    def work(self, outcome: Outcome) -> float:
        assert self._last is not None
        return self._last.work(outcome)

    def right_hand_side(self, f: Tensor, data: Data, graph: bool) -> tuple[Tensor, Tensor | None]:
        return self.problem.right_hand_side(f, *data, graph=graph)

    def inside(self, v: Tensor) -> Tensor:
        return self.problem.inside(v)

    def having(self, a: Any, c: Any, velocity: Any) -> Poisson | SharedPoisson:
        problem = self.problem
        if problem.unknown is not None:
            return problem.having(a, c, velocity)
        return posed(problem.split, problem.grid, a, c, problem.kind, velocity=velocity, scheme=problem.scheme)

    def check_no_graph(self) -> None:
        self.problem.check_no_graph()

    def parts(self, b: Tensor, boundary: Any) -> list[Tensor]:
        return []

    def shape_of_u(self, b: Tensor) -> tuple[int, ...]:
        return batch_of((b, *self.problem.A.tensors), self.problem.grid.ndim) + self.partition.shape

    def solved(self, call: Call, b: Tensor) -> Tensor:
        A = self.problem.A
        return SharedVarying.apply(self, call, A, b, *A.tensors)

    def run(self, call: Call, A: Any, b: Tensor) -> Tensor:
        """A^-1 b, without a graph; batch axes of A and b are broadcast."""
        A, b, ndim, block = A.detached(), b.detach(), len(A.axes), self.partition.shape
        batch = np.broadcast_shapes(b.shape[:-ndim], *(v.shape[: max(v.ndim - ndim, 0)] for v in A.tensors))
        flat = b.expand(*batch, *block).reshape(-1, *block)
        shared = batch if any(v.ndim > ndim for v in A.tensors) else ()
        key = shared, A.transposed
        if key not in self._levels:
            kept = {of: levels for of, levels in self._levels.items() if of[0] == shared}
            levels = PartitionedVarying(self.problem, A.flattened(batch), self._scheme, self._precise, shared)
            self._levels = kept | {key: levels}
        self._last = self._levels[key]
        outcome = self._last.run(flat, call.begin(self, flat), call.stop, call.project)
        call.ended(outcome, self.problem.grid)
        return outcome.u.reshape(*batch, *block)


class SharedVarying(torch.autograd.Function):
    """u = A^-1 b; see ``outer.gradients``. Each process counts the faces and unknowns that are its own."""

    @staticmethod
    def forward(ctx: Any, blocks: Varying, call: Call, A: Any, b: Tensor, *tensors: Tensor) -> Tensor:
        ctx.of, ctx.b_shape = (blocks, call, A), b.shape
        u = blocks.run(call, A.made_of(tensors), b)
        ctx.save_for_backward(u, *tensors)
        return u

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (blocks, call, A), (u, *tensors), needs = ctx.of, ctx.saved_tensors, ctx.needs_input_grad
        adjoint = SharedVarying.apply(blocks, call.adjoint, A.T, gradients[0].contiguous(), *tensors)
        grads: list[Tensor | None] = [None] * len(tensors)
        if any(needs[4:]):
            v, w, A = blocks.problem.widened(adjoint), blocks.problem.widened(u), A.made_of(tensors)
            for k, (tensor, own) in enumerate(zip(tensors, blocks.problem.counted, strict=True)):
                if needs[4 + k]:
                    grads[k] = (A.derivative(k, v, w) * own.to(w)).sum_to_size(tensor.shape)
        return None, None, None, adjoint.sum_to_size(ctx.b_shape) if needs[3] else None, *grads
