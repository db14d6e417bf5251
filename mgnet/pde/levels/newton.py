"""Damped Newton's method for -div(a grad u) + g(u) = f with a growing g, where FAS cycles do not contract.

    (L + diag(c)) e = f - A(u),   c = w g'(u)                       (N)

is solved by conjugate gradients which one linear V-cycle preconditions; c is full-weighted to coarse grids. For g' >= 0
the energy E(u) = (u, L u) / 2 + (w, G(u)) - (f, u) is convex with gradient -r, so that a step which leaves (r, e) >= 0
has brought E down, whatever the residual says: G itself is not needed.

Source: Deuflhard 2011, sections 2.3 and 3.4 (inexact Newton, convex energies); Bank & Rose 1981 (damping).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mgnet.core import cycle
from mgnet.pde.levels.pointwise import Local
from mgnet.pde.levels.transfers import Transfer
from mgnet.pde.problem.members import each, norm_of, where
from mgnet.pde.problem.operators import Diffusion

HALVINGS = 12  # of a Newton step
ENOUGH = 1e-4  # of (r, M r) where conjugate gradients stop
STEPS = 12  # of conjugate gradients at most
FALLS = 0.9  # of the residual: a full step that reaches this is taken


class Linearised:
    """One grid of (N), with equations (1)-(3) for Pi = 0."""

    def __init__(self, L: Diffusion, c: Tensor, transfer: Transfer | None, omegas: Sequence[float], dense: Any = None):
        self.L, self.c, self.transfer, self.omegas, self.dense = L, c, transfer, omegas, dense

    def __call__(self, e: Tensor) -> Tensor:
        return self.L(e) + self.c * e

    def smooth(self, e: Tensor | None, r: Tensor) -> Tensor:
        if self.dense is not None:
            return solved(self.dense, self.c, r)
        return self._sweep(self.omegas, torch.zeros_like(r) if e is None else e, r)

    def down(self, e: Tensor | None, r: Tensor, coarse: Any) -> tuple[Tensor, None, Tensor]:
        assert self.transfer is not None, "a level above another has a transfer"
        e = self.smooth(e, r)
        return e, None, self.transfer.R(r - self(e))

    def up(self, e: Tensor, r: Tensor, before: None, after: Tensor) -> Tensor:
        assert self.transfer is not None, "a level above another has a transfer"
        return self._sweep(self.omegas[::-1], e + self.transfer.P(after), r)

    def _sweep(self, omegas: Sequence[float], e: Tensor, r: Tensor) -> Tensor:
        D = self.L.diagonal + self.c
        for omega in omegas:
            e = e + omega * (r - self(e)) / D
        return e


def solved(L: Tensor, c: Tensor, r: Tensor) -> Tensor:
    """(L + diag(c))^-1 r with a dense L; a singular matrix gives NaN, not an exception.

    On a CPU one member after the other, each with all threads: those of a batch, each with threads of its own, have
    been seen to wait for one another for ever (MKL's dgetrf within a parallel region).
    """
    M, v = L + torch.diag_embed(c.flatten(1)), r.flatten(1)
    if r.device.type == "cpu":
        e = torch.stack([torch.linalg.solve_ex(m, b)[0] for m, b in zip(M.expand(len(v), -1, -1), v, strict=True)])
    else:
        e, _ = torch.linalg.solve_ex(M, v)
    return e.reshape(r.shape)


def direction(levels: Sequence[Linearised], r: Tensor) -> tuple[Tensor, int]:
    """e of (N) to two digits, and the cycles it took; of any accuracy it is a direction of descent."""
    e, p, rho = torch.zeros_like(r), torch.zeros_like(r), torch.ones_like(r.flatten(1)[:, 0])
    first, cycles = None, 0
    while cycles < STEPS:
        cycles += 1
        z = cycle(levels, None, r)
        rho, before = dot(r, z), rho
        first = rho if first is None else first
        p = z + each(rho / before, z) * p
        q = levels[0](p)
        alpha = rho / dot(p, q)
        going = torch.isfinite(alpha) & (rho > ENOUGH * first)
        if not going.any():
            break
        e, r = where(going, e + each(alpha, p) * p, e), where(going, r - each(alpha, q) * q, r)
    return e, cycles


def search(A: Any, u: Tensor, f: Tensor, norm: Tensor, e: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """u + e where the residual falls; else u + t d, with d the step that bends of g allow and t = 1, 1/2, 1/4, ...

    Parameters
    ----------
    A : Nonlinearity
    norm : (batch,) || f - A(u) ||

    Returns
    -------
    u, norm, found : member by member; unchanged where no step was found
    """
    after = norm_of(f - A(u + e))
    found = after < FALLS * norm
    best, least = where(found, u + e, u), torch.where(found, after, norm)
    if found.all():
        return best, least, found
    local = Local(A, u)
    d = local.step(local.steep * e, e)
    descends = dot(local.residual(f), d) > 0
    moves = norm_of(d) > torch.finfo(u.dtype).eps ** 0.5 * norm_of(u)
    for k in range(HALVINGS):
        new = u + 0.5**k * d
        r = f - A(new)
        after = norm_of(r)
        falls = (after < (1 - 0.1 * 0.5**k) * norm) | (descends & moves & (dot(r, d) >= 0))
        worth = ~found & torch.isfinite(after) & falls
        best, least, found = where(worth, new, best), torch.where(worth, after, least), found | worth
        if found.all():
            break
    return best, least, found


def finite(A: Any, u: Tensor, b: Tensor) -> Tensor:
    """u, its members halved until g does not overflow there."""
    for _ in range(HALVINGS):
        lost = ~torch.isfinite(norm_of(b - A(u)))
        if not lost.any():
            break
        u = where(lost, u / 2, u)
    return u


def dot(a: Tensor, b: Tensor) -> Tensor:
    """(batch,) (a, b)."""
    return (a * b).flatten(1).sum(dim=1)
