"""Damped Newton's method for -div(a grad u) + g(u) = f where g grows.

    (L + diag(c)) e = f - A(u),   c = w g'(u)                       (N)

is a linear problem with a c that varies: ``outer.linearised`` solves it, on the coarsest grid dense matrices do. For
g' >= 0 the energy E(u) = (u, L u) / 2 + (w, G(u)) - (f, u) is convex with gradient -r, so that a step which leaves
(r, e) >= 0 has brought E down, whatever the residual says: G itself is not needed.

Source: Deuflhard 2011, sections 2.3 and 3.4 (inexact Newton, convex energies); Bank & Rose 1981 (damping).
"""

from typing import Any

import torch
from torch import Tensor

from mgnet.pde.levels.pointwise import Local
from mgnet.pde.problem.members import norm_of, where

HALVINGS = 12  # of a Newton step
FALLS = 0.9  # of the residual: a full step that reaches this is taken


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
