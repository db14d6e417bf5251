"""Errors that a small residual hides: of parts that little holds, as what lies behind the edges of a picture.

There r = A e is small beside b however large e is. What a step of conjugate gradients changes tells of it, as levels
know A^-1 but for a few vectors: it is most of the error before the step, of which as much is left as of r,

    |e_k| / |u_k|  ~  |u_k - u_{k-1}| / |u_k| . |r_k| / |r_{k-1}|.

Where |r_k| first meets tol |b|, that is below 1.7 tol for smooth, noisy and jumping coefficients (500 random solves,
tol 1e-2 to 1e-11), and up to 1e4 tol where e is 0.1 of u. The energy norm, (r, M r) beside (b, u), does not tell:
those parts have no part in it.
"""

from collections.abc import Callable

import numpy as np
from torch import Tensor

HIDES = 5.0  # times tol: an estimate of the error beyond which a residual below tol says too little
LEAST = 1e-3  # of an error that a step leaves: a residual that falls by more was most of it data next to an end
HIDDEN = (
    "The residual alone meets `tol`, but cycles still change u by much more: parts of the domain are held by very "
    "little (c, or `a` around them) beside their own couplings, and creep. Raise `max_cycles` or `tol`, hold them "
    "by more, or mask them out."
)


class Hidden:
    """Asked after each step; it looks at iterates only where a residual has come down to tol.

    Parameters
    ----------
    changed : (u, before) -> (batch,) the relative change

    Attributes
    ----------
    members : (batch,) which have met tol, and are not done
    """

    def __init__(self, tol: float, batch: int, changed: Callable[[Tensor, Tensor | None], np.ndarray]):
        self.members, self._tol, self._changed = np.zeros(batch, bool), tol, changed

    def look(
        self,
        before: np.ndarray,
        relatives: np.ndarray,
        u: Callable[[], Tensor],
        old: Callable[[], Tensor | None],
    ) -> bool:
        """After a step from iterate old to u, whose residuals are given: whether ``members`` are others now."""
        met = (relatives <= self._tol) & ((before > self._tol) | self.members)
        last = self.members
        if met.any():
            error = np.minimum(self._changed(u(), old()), 1.0) * np.maximum(relatives, LEAST * before)
            met &= error > HIDES * self._tol * before
        self.members = met
        return bool((last != met).any())
