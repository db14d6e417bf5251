"""The linear problems of Newton's method."""

from torch import Tensor

from mgnet.pde.outer.multigrid import Multigrid
from mgnet.pde.outer.scheme import DEFAULT
from mgnet.pde.outer.stopping import Stop
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.nullspace import floating
from mgnet.pde.problem.operators import Diffusion

ENOUGH = Stop(1e-4, 12)  # of any accuracy a solution is a direction of descent


def linearised(L: Diffusion, c: Tensor, r: Tensor) -> tuple[Tensor, int]:
    """e of (L + diag(w c)) e = r, (batch, *grid), and the cycles it took; of a singular problem one that is orthogonal.

    Where c leaves what levels can hold, e solves each unknown's own equation.
    """
    A = L.having(L.k, c)
    null = floating(A) if Grid.of(L.axes).closed else None
    try:
        outcome = Multigrid(A, None, null, DEFAULT).run(A, r, None, ENOUGH, project=True)
    except FloatingPointError:
        return r / A.diagonal, 1
    return outcome.u, len(outcome.residuals) - 1
