"""Separation of variables: A u = b at once, on grids that are products of axes, stretched and curvilinear ones too.

Where coefficients change along one axis t alone, and the other axes' operators K_e change along it by a factor,

    A = K_t (x) W (x) W  +  W_t g_1 (x) K_1 (x) W  +  W_t g_2 (x) W (x) K_2  +  c W_t (x) W (x) W,

the modes K_e v = lambda W_e v of the others (in the plane: of the other one) leave a tridiagonal system along t for
each pair of them: K_t + W_t (g_1 lambda_1 + g_2 lambda_2 + c). It is eliminated without subtraction, as in ``lines``,
so that what little holds u loses no digit. Transforms, or products with matrices, each way are 4 n_e multiply-adds an
unknown at most, which take less time than cycles of lines up to n_e = ``MATRIX``. If all axes are periodic, t has its
modes, too.

Source: Lynch, Rice & Thomas 1964, Numer. Math. 6, 185; Swarztrauber 1974, SIAM J. Numer. Anal. 11, 1136.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.levels.lines import along_lines
from mgnet.pde.levels.modes import Matrix, Transform, has_fast, modes
from mgnet.pde.problem.operators import Diffusion

PRODUCT = 1e-10  # of a conductance, by which it may differ from a product of two vectors
MATRIX = 800  # unknowns of an axis up to which products with its modes take no longer than 4 cycles of lines (measured)


@dataclass(frozen=True)
class Separation:
    """The axis t along which alone coefficients change, k and c along it, and (e, kappa_e, g_e) of the others.

    k_e = kappa_e g_e along e and t; k on the n_t + 1 faces; c a number, or one per unknown; in float64
    """

    t: int
    k: np.ndarray
    c: np.ndarray
    others: list[tuple[int, np.ndarray, np.ndarray]]


def separation(A: Diffusion) -> Separation | None:
    """How A separates, t not periodic if possible and the others' modes fast; None: not at all, or lines are faster."""
    if A.diagonal_couplings or any(v.ndim > A.ndim for v in A.tensors):
        return None
    A = A.detached()
    A = A.having([_reduced(k, A.ndim, d) for d, k in enumerate(A.k)], None if A.c is None else _reduced(A.c, A.ndim))
    found = [each for t in range(A.ndim) if (each := _along_others(A, t)) is not None]
    best = min(found, key=lambda each: (A.axes[each.t].periodic, sum(_slow(A, each)), -A.axes[each.t].n), default=None)
    return None if best is None or max(_slow(A, best), default=0) > MATRIX else best


def _slow(A: Diffusion, of: Separation) -> list[int]:
    """The unknowns of the axes whose modes are matrices."""
    each = [(e, kappa) for e, kappa, _ in of.others] + [(of.t, of.k)] * A.axes[of.t].periodic
    return [A.axes[e].n for e, k in each if not has_fast(A.axes[e], k)]


def _reduced(v: Tensor, ndim: int, but: int | None = None) -> Tensor:
    """v with one number along the axes (but one) along which all are equal."""
    for d in range(-min(v.ndim, ndim), 0):
        first = v.narrow(d, 0, 1)
        if d + ndim != but and v.shape[d] > 1 and _equal(v.narrow(d, 1, 1), first) and _equal(v, first):
            v = first
    return v


def _equal(v: Tensor, w: Tensor) -> bool:
    return bool(((v - w).abs() <= PRODUCT * w.abs()).all())


def _along_others(A: Diffusion, t: int) -> Separation | None:
    alone = set() if A.axes[t].periodic else {t}
    c = A.k[t].new_zeros(1) if A.c is None else A.c
    if not _varies_along(c, A.ndim) <= alone or not _varies_along(A.k[t], A.ndim) <= {t}:
        return None
    others = []
    for e in range(A.ndim):
        if e != t:
            both = _factors(A, e, t) if _varies_along(A.k[e], A.ndim) <= {e, *alone} else None
            if both is None or not (both[0][1:-1] > 0).all():  # walls leave modes that nothing holds
                return None
            others.append((e, *both))
    return Separation(t, _numbers(A.k[t]).ravel(), _numbers(c).ravel(), others)


def _numbers(v: Tensor) -> np.ndarray:
    return v.double().cpu().numpy()


def _varies_along(v: Tensor, ndim: int) -> set[int]:
    """The axes along which v has more than one number."""
    return {d for d in range(ndim) if v.ndim >= ndim - d and v.shape[d - ndim] > 1}


def _factors(A: Diffusion, e: int, t: int) -> tuple[np.ndarray, np.ndarray] | None:
    """(kappa, g) with k_e = kappa g, along its own axis and along t; None where it is no such product."""
    k = _numbers(A.k[e].movedim((e - A.ndim, t - A.ndim), (-2, -1)))
    k = np.broadcast_to(k.reshape(k.shape[-2:]), (A.axes[e].n + 1, k.shape[-1]))
    if k.shape[1] == 1:
        return k[:, 0], np.ones(1)
    i, j = np.unravel_index(k.argmax(), k.shape)
    kappa, g = k[:, j], k[i] / (k[i, j] or 1.0)
    return (kappa, g) if (abs(k - np.outer(kappa, g)) <= PRODUCT * k).all() else None


@dataclass(frozen=True)
class Separated:
    """A in the modes of all axes but t, in float64.

    dim : t, counted from the last axis;   V : the modes of the others, in order
    V_t : those of t where it is periodic
    m, s : row sums of the lines along t, (n_t, ...), and what couples a plane to the next one, (n_t - 1,)
    """

    dim: int
    V: list[Matrix | Transform]
    V_t: Matrix | Transform | None
    m: Tensor
    s: Tensor


def parts_of(A: Diffusion, of: Separation | None = None) -> Separated:
    """Of an operator that separates, on its device."""
    of = of or separation(A)
    assert of is not None
    axis, dim, like = A.axes[of.t], of.t - A.ndim, A.k[0].detach().new_zeros((), dtype=torch.float64)

    def along(v: np.ndarray, d: int) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(v)).to(like).reshape([-1 if e == d else 1 for e in range(A.ndim)])

    V: list[Matrix | Transform] = []
    m = along(of.c, 0)
    for number, (e, kappa, g) in enumerate(of.others, 1):
        V.append(modes(A.axes[e], kappa, like))
        m = m + along(g, 0) * along(V[-1].lam, number)
    if axis.periodic:
        V_t = modes(axis, of.k, like)
        m = m + along(V_t.lam, 0)
        return Separated(dim, V, V_t, m, like.new_zeros(len(m) - 1))
    m = m * along(axis.share, 0)
    m[0] += float(of.k[0])
    m[-1] += float(of.k[-1])
    return Separated(dim, V, None, m, along(of.k[1:-1], 0).flatten())


class SeparableLevel:
    """The only grid: u = A^-1 b; where A is singular one of the solutions.

    In float64, whatever the data's precision. ``native.separable`` is its compiled twin.
    """

    def __init__(self, of: Separated):
        self._dim, self._like = of.dim, of.m
        self._modes = [(V, dim) for dim, V in enumerate(of.V, -len(of.V))]
        self._modes += [] if of.V_t is None else [(of.V_t, -1 - len(of.V))]
        s = torch.cat([of.s, of.s.new_zeros(1)]).reshape(-1, *[1] * (of.m.ndim - 1))
        self._lines = along_lines(of.m, s, -of.m.ndim)

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        """A^-1 f for f (batch, *grid)."""
        v = f.to(self._like).movedim(self._dim, 1)
        for V, dim in self._modes:
            v = V.forth(v, dim)
        v = self._lines(v)
        for V, dim in self._modes[::-1]:
            v = V.back(v, dim)
        return v.movedim(1, self._dim).to(f)
