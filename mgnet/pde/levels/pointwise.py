"""Steps that a steep g allows: each unknown's own equation, solved instead of linearised.

    D d + w (g(u + d) - g(u)) = r,    unknown by unknown

Newton's e = r / (D + w g'(u)) is its first step. Where g bends little over e, e is the answer; where it bends much (an
exponential far from its solution), e is wrong by orders of magnitude, or overflows. For a growing g the left side grows
with d, from 0 to more than r at r / D, so that d is bracketed, and found by Newton steps which a bisection safeguards.

Source: Ortega & Rheinboldt 1970, section 7.4 (nonlinear Jacobi); Selberherr 1984, section 7.1 (damping of Newton's
method for exponentials).
"""

from typing import Any

import torch
from torch import Tensor

NEAR = 0.1  # of r: a step that leaves less needs no second look
SOLVED = 1e-3  # of r: an equation that has had one is solved to this
STEPS = 40  # of the scalar iteration at most
FAST = 5.0  # by which a step must have brought the error down for Newton's to follow it
ROUNDOFF = 8.0  # units in the last place that rounding may leave of a difference


class Local:
    """The equations of the unknowns at u.

    Parameters
    ----------
    A : Nonlinearity
    u : (batch, *grid)

    Attributes
    ----------
    wg, steep : w g(u) and D + w g'(u)
    """

    def __init__(self, A: Any, u: Tensor):
        self.A, self.u = A, u
        self.wg, slope = A.w * A.g(u), A.w * A.dg(u)
        self.steep, self.growing = A.L.diagonal + slope, slope >= 0

    def residual(self, f: Tensor) -> Tensor:
        """f - A(u)."""
        return f - self.A.product(self.u) - self.wg

    def step(self, r: Tensor, e: Tensor, omega: float = 1.0) -> Tensor:
        """d that solves the equations for r; e itself where it nearly solves those for omega r, or g does not grow.

        Parameters
        ----------
        e : (batch, *grid) of r's sign; omega r / (D + w g'(u))
        """
        uncertain = self.growing & (r != 0)
        off, _, noise = self._off(e, omega * r)
        wrong = uncertain & ~(torch.isfinite(off) & (off.abs() <= NEAR * omega * r.abs() + noise))
        return self._solve(r, e, wrong) if wrong.any() else e

    def _off(self, d: Tensor, r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """How far the left side is beyond r, the size of its terms, and what rounding leaves of it."""
        Dd, wg = self.A.L.diagonal * d, self.A.w * self.A.g(self.u + d)
        size = self.wg.abs() + wg.abs() + self.u.abs() * self.steep
        noise = ROUNDOFF * torch.finfo(d.dtype).eps * size
        return Dd + (wg - self.wg) - r, torch.minimum(Dd.abs() + wg.abs(), r.abs()), noise

    def _solve(self, r: Tensor, e: Tensor, wrong: Tensor) -> Tensor:
        low, high, d = torch.zeros_like(e), r / self.A.L.diagonal, e
        off, size, noise = self._off(d, r)
        before = FAST * r.abs()
        for _ in range(STEPS):
            over = ~(off * torch.sign(r) < 0)  # NaN is an overflow
            low, high = torch.where(wrong & ~over, d, low), torch.where(wrong & over, d, high)
            newton = d - off / self.A.diagonal(self.u + d)
            trusted = ((newton - low) * (newton - high) < 0) & (off.abs() * FAST <= before)
            d = torch.where(wrong, torch.where(trusted, newton, _middle(low, high)), d)
            before = off.abs()
            off, size, noise = self._off(d, r)
            wrong = wrong & ~(torch.isfinite(off) & (off.abs() <= SOLVED * size + noise))
            if not wrong.any():
                break
        return torch.where(wrong, low, d)


def _middle(low: Tensor, high: Tensor) -> Tensor:
    """Halfway in log(1 + |d|): an exponential's steps differ by orders of magnitude."""
    return torch.sign(high) * torch.expm1((torch.log1p(low.abs()) + torch.log1p(high.abs())) / 2)
