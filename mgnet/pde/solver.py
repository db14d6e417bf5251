"""The public solver: a reusable set-up."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from torch import Tensor

from mgnet.pde.blocks import Data
from mgnet.pde.call import Call
from mgnet.pde.distributed.partition import Partition, agreed
from mgnet.pde.distributed.problem import SharedPoisson
from mgnet.pde.levels.grids import constants_of
from mgnet.pde.levels.nested import boundary_parts
from mgnet.pde.levels.smoothers import Smoother
from mgnet.pde.outer.at_once import Direct, at_once, direct_of
from mgnet.pde.outer.eager import eager
from mgnet.pde.outer.gradients import Solve
from mgnet.pde.outer.multigrid import Multigrid
from mgnet.pde.outer.scheme import CYCLES, DEFAULT, Scheme, check_scheme
from mgnet.pde.outer.stopping import RELATIVE_TO, Callback, Stop
from mgnet.pde.problem import checks
from mgnet.pde.problem.data import check_cut, fixed_values, right_hand_side
from mgnet.pde.problem.grid import Grid  # noqa: F401  # in the examples
from mgnet.pde.problem.operators import Diffusion, Operator
from mgnet.pde.problem.penalties import Lift
from mgnet.pde.problem.plain import outside_inference, transformed
from mgnet.pde.problem.poisson import Poisson
from mgnet.pde.shared import OnBlocks
from mgnet.pde.solution import Array, Solution, concluded, solution_of

if TYPE_CHECKING:
    import scipy.sparse.linalg as splinalg


METHODS = ("multigrid", "transform")


class Solver:
    """Multigrid for one problem: set up once, solve many right-hand sides.

    Parameters
    ----------
    problem : Poisson, or SharedPoisson
    cycle : "V", "W" or "F"
    smoother : "chebyshev" (fourth kind), "jacobi" (damped), "red-black" (Gauss-Seidel) or "zebra" (lines
        along the axis of the strongest coupling, solved exactly, of one colour and then of the other); or steps of
        your own, a ``Polynomial``
    nu : smoothing sweeps on the way down and on the way up
    method : "multigrid", or "transform": fast sine, cosine and Fourier transforms, exact to round-off; `a` and `c` of
        numbers on a uniform grid, Dirichlet, Neumann and periodic ends, order 2, all of the box
    partition : how several processes share the grid; data and solutions are then this one's blocks, see ``Partition``

    Calls from several threads are safe; they take turns. A callback may call its Solver, which makes other levels
    for it. A copied or pickled Solver makes its levels anew.

    Raises
    ------
    ValueError, TypeError : naming the argument, what it must be and what came

    Example
    -------
    >>> solver = Solver(Poisson(Grid((63, 63))))
    >>> solution = solver.solve(np.ones((63, 63)), tol=1e-10)
    >>> round(float(solution.u.max()), 4)
    0.0737
    """

    def __init__(
        self,
        problem: Poisson | SharedPoisson,
        cycle: Literal["V", "W", "F"] = "V",
        smoother: Smoother = "chebyshev",
        nu: tuple[int, int] = (2, 2),
        method: Literal["multigrid", "transform"] = "multigrid",
        partition: Partition | None = None,
    ):
        if isinstance(problem, SharedPoisson):
            partition = problem.split if partition is None else partition
        elif not isinstance(problem, Poisson):
            raise TypeError(f"`problem` must be a mgnet.pde.Poisson; it is {type(problem).__name__}.")
        with agreed(partition):
            checks.word("cycle", cycle, tuple(CYCLES))
            checks.word("method", method, METHODS)
            if method == "transform" and partition is not None:
                raise ValueError(
                    '`method` "transform" runs on one process; there is a `partition`. Leave one of them out.'
                )
            self._scheme = Scheme(cycle, smoother, checks.sweeps(nu), method == "transform")
            check_scheme(self._scheme, problem)
        self.problem: Poisson = problem  # type: ignore[assignment]  # a SharedPoisson only where there is ``_on_blocks``
        self._multigrid: Multigrid | None = None
        self._adjoint: Multigrid | None = None  # of A^T, where that is another operator
        self._direct: Direct | Literal[False] | None = None  # what eliminates all of a small grid; False: nothing does
        self._lift = Lift(self.problem)
        self._on_blocks = None if partition is None else OnBlocks(problem, self._scheme, partition)

    def __repr__(self) -> str:
        """With the levels, once there are some."""
        multigrid = self._multigrid
        if multigrid is None or not multigrid.levels.sizes:
            return f"Solver({self._scheme}; {self.problem!r})"
        sizes = multigrid.levels.sizes
        rows = [f"{l:5}  {size:11,}  {100 * size / sum(sizes):5.1f}%" for l, size in enumerate(sizes)]
        head = f"Solver({multigrid.method(self.problem.A.detached())}; {self.problem!r})"
        return "\n".join([head, "level     unknowns   of all", *rows])

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles hold: all but the levels, which they make anew."""
        return self.__dict__ | {"_multigrid": None, "_adjoint": None, "_direct": None, "_lift": Lift(self.problem)}

    def update(self, a: Any = None, c: Any = None, velocity: Any = None) -> "Solver":
        """Replace the coefficients; the grids, and the tables between them, stay.

        Parameters
        ----------
        a, c, velocity : as for ``Poisson``; None: 1, 0 and none

        Returns
        -------
        The solver itself

        Raises
        ------
        ValueError, TypeError : naming the argument, what it must be and what came

        Example
        -------
        >>> solver = Solver(Poisson(Grid((3,), upper=4.0)))
        >>> solver.update(a=2.0).solve(np.ones(3)).u.round(6).tolist()
        [0.75, 1.0, 0.75]
        """
        blocks = self._on_blocks
        problem: Any = (self.problem if blocks is None else blocks).having(a, c, velocity)
        check_scheme(self._scheme, problem)
        self._on_blocks = None if blocks is None else OnBlocks(problem, self._scheme, blocks.partition)
        self.problem, self._multigrid, self._adjoint, self._direct, self._lift = (
            problem,
            None,
            None,
            None,
            Lift(problem),
        )
        return self

    @eager
    def solve(
        self,
        f: Array,
        *,
        boundary: Any = None,
        mask_boundary: Any = None,
        fixed: Any = None,
        guess: Any = None,
        tol: float | None = 1e-8,
        max_cycles: int = 100,
        throw: bool = True,
        callback: Callback | None = None,
        relative_to: Literal["data", "guess"] = "data",
        project: bool = False,
    ) -> Solution[Array]:
        """Solve for one or a batch of right-hand sides.

        Parameters
        ----------
        f : (*batch, *grid) torch tensor or numpy array; kind, device and dtype are kept
        boundary, mask_boundary : as for ``Poisson.rhs``
        fixed : values in place of the problem's at its fixed unknowns, as for ``Poisson.rhs``
        guess, tol, max_cycles, throw, callback, relative_to, project : as for ``mgnet.pde.solve``

        Returns
        -------
        Solution : as of ``mgnet.pde.solve``

        Raises
        ------
        ValueError, TypeError : naming the argument, what it must be and what came
        NotConverged : with the residuals reached and what to do
        FloatingPointError : the solution overflows

        Example
        -------
        >>> solver = Solver(Poisson(Grid((3,), upper=4.0)))
        >>> solver.solve(np.ones((2, 3))).u.round(6).tolist()
        [[1.5, 2.0, 1.5], [1.5, 2.0, 1.5]]
        """
        with agreed(self._on_blocks and self._on_blocks.partition):
            f = checks.right_hand_side(f)
            checks.not_empty(f)
            checks.controls(tol, max_cycles, throw, callback)
            checks.flag("project", project)
            checks.word("relative_to", relative_to, RELATIVE_TO)
        if self.problem.order == 4 and tol is None:
            raise ValueError("`order` = 4 needs a tolerance; tol=None stops at second order. Pass a `tol`, 1e-10 say.")
        stop = Stop(tol, max_cycles, callback, relative_to)
        if self._on_blocks is not None:
            beside = Data(boundary, mask_boundary, fixed)
            return self._on_blocks.solve(f, beside, guess, stop, throw, bool(project))
        given = checks.as_tensor(f)
        g = fixed_values(self.problem, fixed, given)
        check_cut(mask_boundary, self.problem.mask)
        begun = time.perf_counter()
        graph = isinstance(f, Tensor)
        if not graph and guess is None and boundary is None and callback is None and f.shape == self.problem.grid.shape:
            solution = self._at_once(given, stop, begun)
            if solution is not None:
                return solution
        bare = all(v is None for v in (tol, guess, boundary, mask_boundary))
        unweighted = not graph and bare and self._takes_unweighted
        shape = () if graph and transformed(given) else tuple(f.shape)
        call = Call(self, stop, bool(project), unweighted, shape)
        if not graph:
            self.problem.check_no_graph()
        if unweighted:
            b = self.problem.on_grid("f", f)
        else:
            b = right_hand_side(self.problem, given, boundary, mask_boundary, g, graph)
        A = self.problem.A
        begin = None if guess is None else checks.guess_like(guess, self.problem.shape_of_u(b), b)
        parts = self._parts(boundary, b) if tol is None and guess is None else []
        b, begin, u_0 = (b, begin, None) if parts else self._lift(b, begin, boundary, graph)
        if graph:
            adjoint = Call(self, Stop(tol, max_cycles), project=True, derivative=throw)
            u: Any = Solve.apply(call, adjoint, A, b, begin, *A.tensors, *parts)
        else:
            u = call(A, b.detach(), begin, *parts)
        u = sum((v for v in (g, u_0) if v is not None), start=u)
        solution = call.solution(u if graph else u.numpy(), time.perf_counter() - begun)
        return concluded(solution, stop, call.outcome.remedy, throw)

    def _parts(self, boundary: Any, b: Tensor) -> list[Tensor]:
        """The boundary's part of b on every grid, where a full pass is the better for it."""
        if boundary is None or self.problem.constant is None:
            return []
        levels = self.multigrid(self.problem.A.detached()).levels
        return [] if levels.constant is None else boundary_parts(self.problem, boundary, b, levels.scheme.smoother)

    def _at_once(self, f: Tensor, stop: Stop, begun: float) -> Solution | None:
        """The solution of a small problem of numbers, all of whose unknowns are eliminated; None: of no such one."""
        if self._direct is None:
            self._direct = direct_of(self.problem) or False if self._scheme == DEFAULT else False
        if self._direct is False or f.dtype != self.problem.A.tensors[0].dtype:
            return None
        b = self.problem.A.weigh(f) if self.problem.weighs else f
        outcome = at_once(self._direct, b[None], stop)
        if outcome is None:
            return None
        seconds = time.perf_counter() - begun
        return solution_of(outcome, outcome.u[0].numpy(), self.problem.grid, "elimination", 1.0, seconds)

    @property
    def _takes_unweighted(self) -> bool:
        """Whether the levels weigh f by the shares of a cell themselves, where those are not all 1."""
        weighs = self.problem.weighs and self.problem.constant is not None
        return weighs and self.multigrid(self.problem.A.detached()).takes_unweighted

    def multigrid(self, A: Operator, problem: Poisson | None = None, batch: Sequence[int] = ()) -> Multigrid:
        """The levels for A: a problem's, or (under a transform of its coefficients) that operator's.

        Parameters
        ----------
        problem : whose coefficients A has; this one, or the one before an ``update``
        batch : the axes that the batch axis of A's tensors was made of
        """
        name = "_adjoint" if A.base.transposed else "_multigrid"
        kept, problem = getattr(self, name), problem or self.problem
        if kept is None or kept.turn.lost or not _same(kept.base, A.base):
            null, part = problem.null_space(A, batch), problem.part(batch)
            kept = Multigrid(A.base, constants_of(problem, A), null, self._scheme, part)
            if problem is self.problem:
                setattr(self, name, kept)
        return kept

    @outside_inference
    def cycle(self, u: Array | None, f: Array) -> Array:
        """One cycle for A u = f (f in the units of A u, as ``Poisson.rhs`` returns it) from u.

        Parameters
        ----------
        u, f : (*batch, *grid); u None for zero

        Returns
        -------
        u : (*batch, *grid), of f's kind, without a graph; what asks for a gradient is refused

        Raises
        ------
        ValueError, TypeError : naming the argument, what it must be and what came

        Example
        -------
        >>> solver = Solver(Poisson(Grid((63, 63))))
        >>> u = solver.cycle(None, np.ones((63, 63)))
        >>> float(np.abs(1 - solver.problem.apply(u)).max()) < 1
        True
        """
        self._on_one_process("cycle")
        f = checks.right_hand_side(f)
        checks.not_empty(f)
        given = self.problem.on_grid("f", f)
        b = self.problem.inside(given)
        begin = None if u is None else self.problem.inside(checks.guess_like(u, b.shape, b, "u"))
        A = self.problem.single("cycle")
        for name, v in (("f", [b]), ("u", [u] if isinstance(u, Tensor) else []), ("problem", self.problem.A.tensors)):
            checks.no_derivative(name, "cycle", *v)
        with checks.located(b, begin, "u"):
            flat = None if begin is None else begin.reshape(-1, *self.problem.grid.shape)
            out = self.multigrid(A).cycle(A.like(b), flat, b.reshape(-1, *self.problem.grid.shape)).reshape(b.shape)
        others = self.problem.solved_rows(given)
        out = out if others is None else out + others
        return out.numpy() if isinstance(f, np.ndarray) else out

    def aslinearoperator(self) -> "splinalg.LinearOperator":
        """A for scipy, on vectors in C order.

        Returns
        -------
        v -> A v and v -> A^T v

        Raises
        ------
        ValueError : there is a partition, or a batch of coefficients

        Example
        -------
        >>> A = Solver(Poisson(Grid((3,), upper=4.0))).aslinearoperator()
        >>> (A @ np.array([1.0, 2.0, 3.0])).tolist()
        [0.0, 0.0, 4.0]
        """
        self._on_one_process("aslinearoperator")
        from mgnet.pde import interop

        return interop.linear_operator(self.problem)

    def aspreconditioner(self) -> "splinalg.LinearOperator":
        """One symmetric cycle from zero, an approximate inverse of A for scipy's ``M=``.

        On a singular problem the result is projected to mean zero. It is the second-order operator's; a
        fourth-order A is not symmetric, nor is one with a velocity, whose cycle is not either: gmres or bicgstab there.

        Returns
        -------
        v -> u of one cycle for A u = v

        Raises
        ------
        ValueError : if nu[0] != nu[1], which makes the cycle unsymmetric

        Example
        -------
        >>> import scipy.sparse.linalg as splinalg
        >>> solver = Solver(Poisson(Grid((63, 63))))
        >>> A, M = solver.aslinearoperator(), solver.aspreconditioner()
        >>> u, info = splinalg.cg(A, np.ones(63**2), M=M)
        >>> info, round(float(u.max()), 3)
        (0, 0.074)
        """
        self._on_one_process("aspreconditioner")
        nu = self._scheme.nu
        if nu[0] != nu[1]:
            raise ValueError(
                f"`aspreconditioner` needs a symmetric cycle, as many sweeps up as down; nu is {nu}. "
                f"Make the Solver with nu=({max(nu)}, {max(nu)})."
            )
        from mgnet.pde import interop

        return interop.preconditioner(self.multigrid(self.problem.single("aspreconditioner")), self.problem)

    def _on_one_process(self, asks: str) -> None:
        if self._on_blocks is not None:
            raise ValueError(f"`{asks}` runs on one process; there is a `partition`. Make a Solver without.")


def _same(A: Diffusion, B: Diffusion) -> bool:
    """Whether two operators are made of the same memory."""
    if A is B:
        return True
    if len(A.tensors) != len(B.tensors):
        return False
    return all(v is w or (v.data_ptr() == w.data_ptr() and v.shape == w.shape and v.stride() == w.stride()
                          and v.dtype == w.dtype) for v, w in zip(A.tensors, B.tensors, strict=True))  # fmt: skip
