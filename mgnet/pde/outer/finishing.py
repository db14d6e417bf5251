"""Cycles after a full multigrid pass, which is to end at the discretisation error, and whether it has.

Constant coefficients: what is interpolated to a grid of which no unknown lies on a coarse one is worse beside corners,
up to 3 times that error; one cycle mends it. Others: linear interpolation, which knows nothing of the boundary's data,
leaves a tenth of u, and a step a tenth of that or less; h^2 is aimed at. Steps that leave more than that, as where
strong couplings meet coefficients that jump, show by what conjugate gradients know of the error e they began with,

    (r, M r)  ~  (e, A e)    beside    (b, u)  ~  (u, A u)

which is between its tenth and itself where 50 cycles are needed to 1e-10. Of minimal residuals ||r|| is known.
Of errors that M does not know no energy is known either: a residual that is no small part of b tells of those.
Where coefficients jump by more than FAINT, no energy tells: what lies behind the edges of a picture has none.
"""

from collections.abc import Callable, Sequence
from math import ceil, log, pi

from torch import Tensor

from mgnet.pde.levels.constant import lowest
from mgnet.pde.levels.smoothers import damped
from mgnet.pde.outer.choice import Levels
from mgnet.pde.outer.iteration import Iteration
from mgnet.pde.outer.krylov import FINISHING_STEPS
from mgnet.pde.outer.stopping import TINY
from mgnet.pde.problem.axis import Axis

LITTLE, FACTOR = 1.0, 0.2  # c, in units of the slowest wave's a |k|^2, that asks for nothing; of a cycle
UNFINISHED = 1e-3  # of u in the energy norm, or of b: an error that a pass and its steps do not leave where they work


def cycles_after(levels: Levels) -> int:
    """How many, beside conjugate gradients' own."""
    axes = levels.base.axes
    if levels.is_direct or levels.solve:
        return 0
    if levels.constant is None:
        steps = steps_of(axes)
        return max(0, steps - FINISHING_STEPS) if levels.base.symmetric else 2 * steps
    chain = levels.chain()[:2]
    pairs = [(f, c) for f, c in zip(chain[0], chain[-1], strict=True) if f != c]
    apart = any(f.centering == "cell" or f.intervals % 2 == 1 for f, _ in pairs)
    return int(apart) + _for_reaction(axes, *levels.constant)


def steps_of(axes: Sequence[Axis]) -> int:
    """Steps after a full pass where coefficients vary."""
    return len(axes) - 1 + ceil(0.75 * log(max(axis.n for axis in axes)))


def _for_reaction(axes: Sequence[Axis], a: Sequence[float], c: float) -> int:
    """Cycles because of c: where u is about f / c, the discretisation errs by less than restricting f does, in the
    ratio of the slowest wave's a |k|^2 to c, and cycles have to make up for that.
    """
    waves = sum(a_d * (pi / (axis.upper - axis.lower)) ** 2 for a_d, axis in zip(a, axes, strict=True))
    if c <= LITTLE * waves:
        return 0
    return ceil(log(c / (LITTLE * waves)) / -log(max(min(FACTOR, damped(lowest(axes, a, c))), TINY)))


def unfinished(iteration: Iteration, size: Tensor, energy: Callable[[], Tensor]) -> bool:
    """Whether the steps after a full pass have left too large an error, of any member.

    Parameters
    ----------
    size : (batch,) ||b||
    energy : gives (batch,) (b, u)
    """
    error, beside = iteration.error(size, energy)
    return bool((error > UNFINISHED**2 * beside).any())
