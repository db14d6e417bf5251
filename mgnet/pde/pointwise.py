"""Steps that a steep g allows: each unknown's own equation, solved instead of linearised.

    D d + w (g(u + d) - g(u)) = r,    unknown by unknown

Newton's e = r / (D + w g'(u)) is its first step. Where g bends little over e, e is the answer; where it bends much (an
exponential far from its solution), e is wrong by orders of magnitude, or overflows. For a growing g the left side grows
with d, from 0 to more than r at r / D, so that d is bracketed, and found by Newton steps which a bisection safeguards.

Source: Ortega & Rheinboldt 1970, section 7.4 (nonlinear Jacobi); Selberherr 1984, section 7.1 (damping for exponentials).
"""

from collections.abc import Callable

import torch
from torch import Tensor

Pointwise = Callable[[Tensor], Tensor]
NEAR = 0.1  # of r: an equation that holds to this is solved
SOLVED = 1e-3  # of r: an equation that is solved stops at this
STEPS = 40  # of the scalar iteration at most
ROUNDOFF = 8.0  # units in the last place of w g that its difference may be wrong by


def balanced(
    g: Pointwise, dg: Pointwise, D: Tensor, w: Tensor, u: Tensor, r: Tensor, e: Tensor, omega: float = 1.0
) -> Tensor:
    """d, near e, with D d + w (g(u + d) - g(u)) = r; e itself where that nearly solves it or g does not grow.

    Parameters
    ----------
    D, w : positive, broadcastable to u
    u, r, e : (batch, *grid)   where, what is asked, the step to examine, of r's sign
    omega : e's damping, which a solved equation needs none of
    """
    equation = _Equation(g, dg, D, w, u, r)
    d, q, slope = e, *equation(e)
    wrong = equation.wrong(q / omega)
    if not wrong.any():
        return e
    low, high = torch.zeros_like(e), r / D
    for _ in range(STEPS):
        over = ~(q < 1)  # NaN is an overflow
        low, high = torch.where(wrong & ~over, d, low), torch.where(wrong & over, d, high)
        newton = d + (1 - q) / slope
        between = (newton - low) * (newton - high) < 0
        d_next = torch.where(between & (q < 10) & (q > 0.1), newton, _middle(low, high))
        d = torch.where(wrong, d_next, d)
        q, slope = equation(d)
        wrong = wrong & equation.wrong(q, SOLVED)
        if not wrong.any():
            break
    return torch.where(wrong, low, d)


def _middle(low: Tensor, high: Tensor) -> Tensor:
    """Halfway in log(1 + |d|): an exponential's steps differ by orders of magnitude."""
    return torch.sign(high) * torch.expm1((torch.log1p(low.abs()) + torch.log1p(high.abs())) / 2)


class _Equation:
    """q(d) = (D d + w (g(u + d) - g(u))) / r, 0 at d = 0, which is to be 1, and its derivative."""

    def __init__(self, g: Pointwise, dg: Pointwise, D: Tensor, w: Tensor, u: Tensor, r: Tensor):
        self.g, self.dg, self.D, self.w, self.u = g, dg, D, w, u
        self.before, self.growing = w * g(u), dg(u) >= 0
        self.r = torch.where(r == 0, 1.0, r)
        self.eps = ROUNDOFF * torch.finfo(u.dtype).eps

    def __call__(self, d: Tensor) -> tuple[Tensor, Tensor]:
        u = self.u + d
        self.after = self.w * self.g(u)
        return (self.D * d + (self.after - self.before)) / self.r, (self.D + self.w * self.dg(u)) / self.r

    def wrong(self, q: Tensor, near: float = NEAR) -> Tensor:
        noise = self.eps * (self.before.abs() + self.after.abs()) / self.r.abs()
        return self.growing & ~(torch.isfinite(q) & ((q - 1).abs() <= near + noise))
