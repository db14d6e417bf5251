"""How a variable operator is solved, by what it is like: lines or points, V or W, float32 or float64."""

from collections.abc import Callable
from functools import cached_property

import torch

from mgnet.pde.blackbox.lines import ALIKE, DOMINANT, VARIES
from mgnet.pde.blackbox.traits import NEGATIVE, Look
from mgnet.pde.levels.smoothers import Smoother
from mgnet.pde.problem.ends import DIRICHLET, PERIODIC

JUMP = 30.0  # ratio of coefficients above which V-cycles become W-cycles
FAINT = 3e4  # the same, above which parts that little holds have no share in the energy of an error, large as it may be
STEEP = 4.5  # the same of neighbouring ones, where lines are smoothed along all axes that dominate somewhere
CONTRAST = 3e4  # ratio of coefficients: up to it float32 levels lose no iterations (measured, docs)
HOLD = 2e-6  # of the diagonal, that c and the ends hold u by: down to it float32 levels lose no iterations (measured)
LOPSIDED = 1e3  # ratio of two axes' couplings: where it varies by more, and nothing holds u, float32 lines may fail
WAVE = 1e-7  # the same of the smoothest wave where nothing holds u; rounding may give a constant 3e-8 of the diagonal
PLANES = 1e3  # ratio of two axes' couplings: where it varies by less, lines take 4 to 6 cycles (measured)


class Decision:
    """What is decided, on one process or by several alike.

    Parameters
    ----------
    look : at the operator
    smoother : that is asked for
    between : whether separation of variables may come between cycles
    """

    def __init__(self, look: Look, smoother: Smoother, between: Callable[[], bool] = lambda: False):
        self.look, self._smoother, self._between = look, smoother, between

    @cached_property
    def lines(self) -> tuple[int, ...]:
        """The axes along which lines have to be smoothed, or are to be ("zebra")."""
        look, zebra = self.look, self._smoother == "zebra"
        every, seen = tuple(d for d, axis in enumerate(look.axes) if axis.n > 1), look.survey
        if self._skewed:
            return every
        varies = seen.variation > VARIES
        if varies and not zebra and seen.dominance > ALIKE and look.steepness <= STEEP:
            return every
        if not zebra and not (varies and seen.dominance > DOMINANT / 2):
            return look.thin
        return look.dominant or look.thin or ((look.strongest,) if zebra else ())

    @property
    def _skewed(self) -> bool:
        """Whether strong couplings along diagonals meet an end that is free.

        There the last unknown of an axis may have no coarse one beyond it, and what it takes from the one before is not
        what it has along the diagonal. With lines a tensor of ratio 100, turned by any angle, takes up to 20 iterations
        with Neumann ends, with points 25 (30 at 24^3); with Dirichlet ends points take 13 (11).
        """
        free = any(end not in (DIRICHLET, PERIODIC) for axis in self.look.axes for end in (axis.low, axis.high))
        return self.look.corners and free and self.look.smallest < -NEGATIVE

    @cached_property
    def alternates(self) -> bool:
        """Whether cycles alternate with separation of variables: lines would have to be planes."""
        seen = self.look.survey
        return bool(self.lines) and seen.variation > PLANES and not seen.lone and self._between()

    @cached_property
    def _gradual(self) -> bool:
        """Whether lines are smoothed where an anisotropy changes bit by bit, as on stretched grids, or cells do.

        V-cycles take as many iterations as W-cycles there: 7 with ratios of 14 and of 100, both axes, 128^2.
        """
        lines = bool(self.lines) and self.lines != self.look.thin
        return (lines or not all(axis.uniform for axis in self.look.axes)) and self.look.steepness <= STEEP

    @cached_property
    def jumps(self) -> bool:
        """Whether coefficients do, as far as cycles meet it."""
        return self.look.survey.contrast > JUMP and not self._gradual and not self.alternates

    @property
    def faint(self) -> bool:
        """Whether they jump by so much that the energy of an error does not tell of it."""
        return self.jumps and self.look.survey.contrast > FAINT

    def index(self, gamma: int | str, device: torch.device) -> int | str:
        """The cycle index: where coefficients jump a V-cycle becomes a W-cycle, on a GPU an F-cycle.

        The coarse problems' errors add up across the grids there: with V-cycles a 1e6 checkerboard takes 15, 21
        and 24 iterations at 127^2, 255^2 and 511^2, with W-cycles, at twice the time each, 6 or 7 on all of them,
        with F-cycles 7, 9 and 11. Those visit grid l l times instead of 2^l: a GPU waits at each visit.
        """
        if gamma != 1 or not (self.jumps or self.look.corners):
            return gamma
        return 2 if device.type == "cpu" else "F"

    @cached_property
    def precision(self) -> torch.dtype:
        """float32, unless it would round away the weak couplings, or the little that holds u.

        Between strongly coupled unknowns float32 knows differences to 1e-7 of the strong coupling only, and row
        sums to 1e-7 of the diagonal: nearly singular problems need more, whatever the precision of their data. What
        holds a constant within the domain, at a mask's cut and by fixed unknowns, need not hold all lines of strong
        couplings.
        """
        seen = self.look.survey
        if seen.contrast > CONTRAST:
            return torch.float64
        if seen.variation > LOPSIDED and not (seen.constant > 0).all():
            return torch.float64
        stiff, firm = seen.wave >= WAVE, seen.constant >= HOLD
        held = (firm & (stiff | (not seen.lone))) | ((seen.constant <= 0) & stiff)
        return torch.float32 if held.all() else torch.float64
