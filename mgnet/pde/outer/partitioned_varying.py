"""Varying coefficients on several processes: what ``Multigrid`` does, of local blocks, with sums over all processes.

Where blocks are of no use, the whole problem is solved on every process: lines that are smoothed run along the first
axis and would be cut, or no grid is large enough, or the problem asks for more than conjugate gradients.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.blackbox.decision import Decision
from mgnet.pde.blackbox.stencil import excess
from mgnet.pde.cuda.memory import on_device
from mgnet.pde.distributed.halo import widened
from mgnet.pde.distributed.look import SharedLook, block_stencil
from mgnet.pde.distributed.parts import SharedParts, shared_parts
from mgnet.pde.distributed.problem import SharedPoisson, places
from mgnet.pde.distributed.stencils import How, SharedHierarchy, Stencils, set_up
from mgnet.pde.distributed.sums import Sums
from mgnet.pde.native.memory import give_back
from mgnet.pde.outer.choice import CPU
from mgnet.pde.outer.finishing import steps_of, unfinished
from mgnet.pde.outer.iterate import Outcome, iterate
from mgnet.pde.outer.krylov import FINISHING_STEPS, ConjugateGradients
from mgnet.pde.outer.loose import CONTRAST
from mgnet.pde.outer.makers import serve_stencils
from mgnet.pde.outer.multigrid import Multigrid
from mgnet.pde.outer.scheme import CYCLES, Scheme
from mgnet.pde.outer.stopping import DONE, UNDONE, Stop, from_pass, quick_first
from mgnet.pde.outer.work import cycle_work, full_multigrid_work
from mgnet.pde.problem.bodies import LOOSE
from mgnet.pde.problem.cross import CrossDiffusion
from mgnet.pde.problem.ends import DIRICHLET
from mgnet.pde.problem.faces import open_faces
from mgnet.pde.problem.mask import Domain
from mgnet.pde.problem.nullspace import NullSpace, floating
from mgnet.pde.problem.parts import connected


class PartitionedVarying:
    """The levels for one operator.

    Parameters
    ----------
    A : the operator near this process's block; plain tensors, with one batch axis at most
    batch : the axes that this one was made of
    precise : whether levels may not be in float32
    """

    def __init__(
        self, problem: SharedPoisson, A: Any, scheme: Scheme, precise: bool = False, batch: Sequence[int] = ()
    ):
        self.problem, self.partition, self.A, self.scheme = problem, problem.partition, A, scheme
        self._precise, self._tried, self._batch = precise, precise, batch
        self._systems: dict[tuple[int, torch.dtype], Any] = {}

    @cached_property
    def everywhere(self) -> Multigrid | None:
        """What solves the whole problem on every process; None: blocks are shared."""
        if self.A.symmetric and not self._of_no_use and self._shared is not None:
            return None
        A = gathered(self.problem, self.A)
        null, part = parts_of_whole(self.problem, A, self._batch)
        return Multigrid(A, None, null, self.scheme, part)

    @property
    def _of_no_use(self) -> bool:
        """Whether blocks are: lines are cut, cycles are not symmetric, or something is hardly held."""
        if 0 in self._decision.lines or self.scheme.nu[0] != self.scheme.nu[1] or self._look.ratio >= CONTRAST:
            return True
        held = self._look.survey.constant if self._parts is None else np.array([self._parts.least])
        return bool(((held > 0) & (held < LOOSE)).any())  # see ``loose.may_be_loose``

    # What the operator is like ---------------------------------------------------------------------------------------

    @cached_property
    def _look(self) -> SharedLook:
        return SharedLook(self.problem, self.A)

    @cached_property
    def _decision(self) -> Decision:
        return Decision(self._look, self.scheme.smoother)

    @property
    def _excess(self) -> Tensor:
        """(members, *block) A 1."""
        return self.problem.owned(excess(self.A))

    @cached_property
    def _parts(self) -> SharedParts | None:
        """Those of the domain; None: it is one."""
        if not self.problem.in_parts:
            return None
        return shared_parts(self.problem, self.A, self._excess)

    @cached_property
    def _sums(self) -> Sums:
        if self._parts is not None:
            return Sums(self.partition, self._parts.floats, self._parts.part)
        held = self.partition.total(self._excess.abs().flatten(1).sum(1))
        return Sums(self.partition, held[:, None] == 0)

    # ------------------------------------------------------------------------------------------------------------------

    @property
    def method(self) -> str:
        if self.everywhere is not None:
            return f"{self.everywhere.method(self.everywhere.base)}, on each of {self.partition.count} processes"
        word = next(word for word, gamma in CYCLES.items() if gamma == self._gamma)
        smoother = "zebra" if self._decision.lines else self.scheme.smoother
        cycles = replace(self.scheme, cycle=word, smoother=smoother)
        return f"{ConjugateGradients.name}, black-box {cycles}, on {self.partition.count} processes"

    def work(self, outcome: Outcome) -> float:
        """As ``Multigrid.work``."""
        if self.everywhere is not None:
            return self.everywhere.work(self.everywhere.base, outcome)
        assert self._shared is not None
        sizes, nu = self._shared.sizes, self.scheme.nu
        one = cycle_work(sizes, nu, self._gamma) + 2
        cycles = max(len(outcome.residuals) - 1, 0)
        if outcome.residuals and outcome.status != DONE:
            return one * cycles
        return full_multigrid_work(sizes, nu, self._gamma) + one * (self._finishing + FINISHING_STEPS + cycles)

    def run(self, b: Tensor, guess: Tensor | None, stop: Stop, project: bool = False) -> Outcome:
        """Solve A u = b, of this process's block: (batch, *block)."""
        with on_device(b, self.A.ndim, False):
            return self._run(b, guess, stop, project)

    def _run(self, b: Tensor, guess: Tensor | None, stop: Stop, project: bool) -> Outcome:
        if self.everywhere is not None:
            return self._everywhere(self.everywhere, b, guess, stop, project)
        b = self._sums.compatible(b, check=not project)
        guess = None if guess is None else self._sums.centred(guess)
        if stop.tol is None:  # ends at the discretisation error from any guess
            outcome = self._pass(b)
            if outcome.status == UNDONE:
                outcome = from_pass(stop, partial(self._cycled, b, outcome.u))
        else:
            outcome = self._cycled(b, guess, stop)
        return replace(outcome, u=self._sums.centred(outcome.u))

    def _everywhere(self, multigrid: Multigrid, b: Tensor, guess: Tensor | None, stop: Stop, project: bool) -> Outcome:
        ends = self.partition.ends
        whole = self.partition.gathered(b.contiguous(), 1, ends)
        begin = None if guess is None else self.partition.gathered(guess.contiguous(), 1, ends)
        outcome = multigrid.run(multigrid.base.like(b), whole, begin, stop, project)
        return replace(outcome, u=outcome.u[(slice(None), *self.partition.slices)].clone())

    # On blocks -------------------------------------------------------------------------------------------------------

    def _pass(self, b: Tensor) -> Outcome:
        cycles = ConjugateGradients(self._system(b), None)
        f = cycles.data(b)
        u = cycles.further(cycles.full_multigrid(f), f, self._finishing)
        u = cycles.release(u)
        self._sums.finite(u)  # with a tolerance its residual is
        energy = partial(self._product, b, u)
        return Outcome(
            u, [], UNDONE if self._decision.faint or unfinished(cycles, cycles.norms(None, f), energy) else DONE
        )

    def _product(self, v: Tensor, w: Tensor) -> Tensor:
        """(batch,) (v, w)."""
        return torch.from_numpy(self.partition.total(torch.linalg.vecdot(v.flatten(1), w.flatten(1)).cpu()))

    def _cycled(self, b: Tensor, guess: Tensor | None, stop: Stop) -> Outcome:
        """Cycles to a tolerance."""
        return quick_first(self, guess, stop, partial(self._iterate, b))

    def _iterate(
        self, b: Tensor, guess: Tensor | None, stop: Stop, hopeless: Callable[[list[float]], bool] | None = None
    ) -> Outcome:
        assert stop.tol is not None
        cycles = ConjugateGradients(self._system(b), None if stop.of_guess else stop.tol)
        return iterate(
            cycles, cycles.data(b), guess, stop.tol, stop.max_cycles, partial(self._rounding, b=b), stop.callback,
            hopeless=hopeless, of_guess=stop.of_guess, changed=self._sums.change,
        )  # fmt: skip

    @property
    def may_choose(self) -> bool:
        """As ``Levels.may_choose``."""
        return self._in_float32 and not self._tried

    def choose(self, precise: bool) -> None:
        """As ``Levels.choose``."""
        self._precise, self._tried, self._systems = precise, True, {}
        del self._shared

    def _system(self, b: Tensor) -> Any:
        """The levels for b's batch and dtype; the last ones stay."""
        key = len(b), b.dtype
        if key not in self._systems:
            assert self._shared is not None
            give_back()
            like = b.new_zeros(())
            self._systems = {key: self._stencils.system(self.partition, self._shared, len(b), like, self._gamma)}
        return self._systems[key]

    @cached_property
    def _shared(self) -> SharedHierarchy | None:
        scheme, seen = self.scheme, self._look.survey
        precision = torch.float32 if self._in_float32 else torch.float64
        lone, signed = (False, True) if self.A.diagonal_couplings else (seen.lone, False)
        how = How(scheme.smoother, scheme.nu, self._decision.lines, precision, lone, self._decision.jumps, signed)
        grid = self.problem.grid
        return set_up(self.partition, grid.axes, block_stencil(self.problem, self.A), self._excess, how, self._stencils)

    @property
    def _device(self) -> torch.device:
        """Where the blocks lie."""
        return self.problem.kind.device

    @cached_property
    def _stencils(self) -> Stencils:
        return serve_stencils(self.problem.grid.axes, self._device)

    @property
    def _in_float32(self) -> bool:
        return not self._precise and self._decision.precision == torch.float32

    @property
    def _gamma(self) -> int | str:
        return self._decision.index(CYCLES[self.scheme.cycle], self._device)

    @property
    def _finishing(self) -> int:
        """As ``Multigrid.finishing``."""
        return max(0, steps_of(self.problem.grid.axes) - FINISHING_STEPS)

    def _rounding(self, u: Tensor, b: Tensor) -> np.ndarray:
        """2 eps || |A||u| + |b| ||."""
        near = widened(self.partition, self.problem.near, u.contiguous(), -self.A.ndim)
        size = self.problem.owned(self.A.like(u).magnitude(near)) + b.abs()
        return 2 * torch.finfo(b.dtype).eps * self._sums.norms(size)


def gathered(problem: SharedPoisson, A: Any) -> Any:
    """The whole operator, on every process."""
    ndim, w = problem.grid.ndim, problem.near

    def whole(v: Tensor, on: tuple[int, ...]) -> Tensor:
        v = v if 0 in on else v / problem.scale
        return v if v.ndim < ndim or v.shape[-ndim] == 1 < w.size + (0 in on) else whole_of(problem, v, 0 in on)

    each = [whole(v, on) for v, on in zip(_alike(problem, A), places(A), strict=True)]
    axes = problem.grid.axes
    crossed = isinstance(A, CrossDiffusion)
    return (replace(A, diffusion=replace(A.diffusion, axes=axes)) if crossed else replace(A, axes=axes)).made_of(each)


def _alike(problem: SharedPoisson, A: Any) -> list[Tensor]:
    """A's tensors, each of as many axes on every process; what lies near an end may vary along more of them."""
    full = [[n + (d in on) for d, n in enumerate(problem.near_shape)] for on in places(A)]
    varies = [np.array([1] * A.ndim + list(v.shape))[-A.ndim :] > 1 for v in A.tensors]
    return [
        v.expand(np.broadcast_shapes(v.shape, np.where(there, shape, 1))) if there.any() else v
        for v, shape, there in zip(A.tensors, full, problem.partition.most(varies) > 0, strict=True)
    ]


def whole_of(problem: SharedPoisson, v: Tensor, faces: bool = False) -> Tensor:
    """v (*batch, *near), on unknowns or on faces of the first axis, on every process."""
    partition, w, dim = problem.partition, problem.near, -problem.grid.ndim
    last = faces and not w.periodic
    part = v.narrow(dim, w.before, w.high - w.low + (last and w.high == w.n)).contiguous()
    out = partition.gathered(part, v.ndim + dim, (*partition.ends[:-1], w.n + last))
    return torch.cat([out, out.narrow(dim, 0, 1)], dim) if faces and w.periodic else out


def parts_of_whole(problem: SharedPoisson, A: Any, batch: Sequence[int]) -> tuple[NullSpace | None, Tensor | None]:
    """What a whole operator maps to zero, and the number of each unknown's part, as ``Poisson`` has them."""
    grid = problem.grid
    if not problem.in_parts:
        return (floating(A) if grid.closed else None), None
    if problem.unknown is None or problem.holding is None:
        domain = Domain.of(grid, CPU, None, DIRICHLET, None)
    else:
        domain = Domain(*(whole_of(problem, v.byte()).bool().cpu() for v in (problem.unknown, problem.holding)))
    parts = connected(domain, grid, open_faces([k.cpu() for k in A.k], grid))
    if problem.alone is not None:  # what only a cut holds is not among these
        alone = whole_of(problem, problem.alone.byte()).bool().cpu()
        parts = parts._replace(alone=alone.expand(parts.part.shape))
    part, free, alone = (v.to(A.k[0].device) for v in parts.flattened(grid.ndim, batch))
    return floating(A, part, free, None if problem.alone is None else alone), part
