"""Which iteration goes around the cycles."""

from typing import Any

from torch import Tensor

from mgnet.pde.outer.backends import applied
from mgnet.pde.outer.choice import Levels
from mgnet.pde.outer.iteration import Cycles, Iteration
from mgnet.pde.outer.krylov import Chebyshev, ConjugateGradients, MinimalResiduals, Preconditioned
from mgnet.pde.outer.steps import Steps
from mgnet.pde.outer.stopping import Stop
from mgnet.pde.problem.operators import Operator

Kind = type[Cycles | ConjugateGradients | MinimalResiduals | Chebyshev]


def acceleration(levels: Levels, A: Operator) -> Kind:
    """The kind, for an operator with these levels."""
    if A.base is not A:
        return Chebyshev
    if levels.constant is not None or levels.is_direct:
        return Cycles
    down, up = levels.scheme.nu
    symmetric = levels.base.symmetric and not levels.alternates and down == up
    return ConjugateGradients if symmetric else MinimalResiduals


def begins_from_zero(levels: Levels) -> bool:
    """Whether minimal residuals begin with a step from zero, and not with a full multigrid pass."""
    return not levels.base.symmetric or (levels.constant is None and levels.alternates)


def accelerated(levels: Levels, A: Operator, b: Tensor, null: Any, stop: Stop) -> Iteration:
    """The iteration for A u = b; null : what A and its transpose map to zero, for b."""
    kind = acceleration(levels, A)
    if kind is Cycles:
        nested = levels.nested(b)
        if nested is None:
            return Cycles(levels.of(b))
        if stop.tol is not None and nested.richardson.rho is None:
            nested.richardson.rho = levels.contraction(b)
        return Cycles(nested)
    if kind is ConjugateGradients:
        return ConjugateGradients(levels.robust(b), None if stop.of_guess else stop.tol)
    symmetric = levels.base.symmetric
    if not symmetric and b.device.type == "cpu":
        return Steps(levels.streaming(b))
    apply = applied(A) if symmetric else levels.streaming(b).apply
    product = apply if null is None else lambda u: null.compatible(apply(u))
    step = Chebyshev(A.spectrum) if kind is Chebyshev else MinimalResiduals(product)
    return Preconditioned(product, levels.of(b), step, begins_from_zero(levels))
