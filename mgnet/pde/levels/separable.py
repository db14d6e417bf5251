"""Separation of variables: A u = b at once, on grids that are products of axes, stretched and curvilinear ones too.

Where coefficients change along one axis t alone, and the other axes' operators K_e change along it by a factor,

    A = K_t (x) W (x) W  +  W_t g_1 (x) K_1 (x) W  +  W_t g_2 (x) W (x) K_2  +  c W_t (x) W (x) W,

the eigenvectors K_e v = lambda W_e v of the two others leave a tridiagonal system along t for each pair of them:
K_t + W_t (g_1 lambda_1 + g_2 lambda_2 + c). It is eliminated without subtraction, as in ``lines``, so that what little
holds u loses no digit. Two products with matrices each way are 4 (n_1 + n_2) multiply-adds an unknown, which take less
time than line smoothing on any grid that fits into memory. If all axes are periodic, t has its eigenvectors, too.

Source: Lynch, Rice & Thomas 1964, Numer. Math. 6, 185; Swarztrauber 1974, SIAM J. Numer. Anal. 11, 1136.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.levels.direct import eigenvectors
from mgnet.pde.levels.lines import along_lines
from mgnet.pde.problem.axis import Axis
from mgnet.pde.problem.operators import Diffusion

PRODUCT = 1e-10  # of a conductance, by which it may differ from a product of two vectors
POLISHING = 3  # steps of inverse iteration


def separable_axis(A: Diffusion) -> int | None:
    """The axis t along which alone A's coefficients change, if possible open and long; None: there is none."""
    if A.diagonal_couplings or any(v.ndim > A.ndim for v in A.tensors):
        return None
    best = sorted(range(A.ndim), key=lambda d: (A.axes[d].periodic, -A.axes[d].n))
    return next((t for t in best if _separates(A, t)), None)


def _separates(A: Diffusion, t: int) -> bool:
    others, alone = [e for e in range(A.ndim) if e != t], set() if A.axes[t].periodic else {t}
    if not (A.c is None or _varies_along(A.c, A.ndim) <= alone) or not _varies_along(A.k[t], A.ndim) <= {t}:
        return False
    return all(_varies_along(A.k[e], A.ndim) <= {e, *alone} and _factors(A, e, t) is not None for e in others)


def _varies_along(v: Tensor, ndim: int) -> set[int]:
    """The axes along which v has more than one number."""
    return {d for d in range(ndim) if v.ndim >= ndim - d and v.shape[d - ndim] > 1}


def _factors(A: Diffusion, e: int, t: int) -> tuple[np.ndarray, np.ndarray] | None:
    """(kappa, g) with k_e = kappa g, along its own axis and along t; None where it is no such product."""
    k = A.k[e].detach().double().cpu()
    k = k.movedim((e - A.ndim, t - A.ndim), (-2, -1)).reshape(A.axes[e].n + 1, -1)
    both = k.expand(-1, A.axes[t].n).numpy()
    i, j = np.unravel_index(both.argmax(), both.shape)
    kappa, g = both[:, j], both[i] / (both[i, j] or 1.0)
    return (kappa, g) if (abs(both - np.outer(kappa, g)) <= PRODUCT * both).all() else None


@dataclass(frozen=True)
class Separated:
    """A in the modes of all axes but t, in float64.

    dim : t, counted from the last axis;   V : the modes of the others, in order
    V_t : those of t where it is periodic
    m, s : row sums of the lines along t, (n_t, ...), and what couples a plane to the next one, (n_t - 1,)
    """

    dim: int
    V: list[Tensor]
    V_t: Tensor | None
    m: Tensor
    s: Tensor


def parts_of(A: Diffusion) -> Separated:
    """Of an operator for which ``separable_axis`` has an axis."""
    t = separable_axis(A)
    assert t is not None
    others, like = [e for e in range(A.ndim) if e != t], A.k[t].detach().double()
    V, V_t = [], None
    m = _along(torch.zeros(A.axes[t].n) if A.c is None else A.c, 0, A.ndim).to(like)
    for number, e in enumerate(others, 1):
        kappa, g = _factors(A, e, t)  # type: ignore[misc]
        of_e, lam = modes(A.axes[e], kappa)
        V.append(torch.from_numpy(of_e).to(like))
        m = m + (_along(g, 0, A.ndim) * _along(lam, number, A.ndim)).to(like)
    k, share = like.flatten(), _along(A.axes[t].share, 0, A.ndim).to(like)
    if A.axes[t].periodic:
        of_t, lam = modes(A.axes[t], k.cpu().numpy())
        V_t, k = torch.from_numpy(of_t).to(like), torch.zeros_like(k)
        m = m + _along(lam, 0, A.ndim).to(like)
    else:
        m = m * share
    m[0] += k[0]
    m[-1] += k[-1]
    return Separated(t - A.ndim, V, V_t, m, k[1:-1])


class SeparableLevel:
    """The only grid: u = A^-1 b; where A is singular one of the solutions.

    In float64, whatever the data's precision. ``native.separable`` is its compiled twin.
    """

    def __init__(self, of: Separated):
        self._dim, self._V, self._V_t, self._m = of.dim, of.V, of.V_t, of.m
        s = torch.cat([of.s, of.s.new_zeros(1)]).reshape(-1, *[1] * (of.m.ndim - 1))
        self._lines = along_lines(of.m, s, -of.m.ndim)

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        """A^-1 f for f (batch, *grid)."""
        v = self._transformed(f.to(self._m).movedim(self._dim, 1), back=False)
        return self._transformed(self._lines(v), back=True).movedim(1, self._dim).to(f)

    def _transformed(self, v: Tensor, back: bool) -> Tensor:
        """From values to coefficients of the eigenvectors, or back; v (batch, n_t, ...)."""
        first, last = (V if back else V.T for V in (self._V[0], self._V[-1]))
        v = torch.matmul(v, last.T)
        v = torch.matmul(first, v) if len(self._V) == 2 else v
        if self._V_t is None:
            return v
        return torch.matmul(self._V_t if back else self._V_t.T, v.flatten(2)).reshape(v.shape)


def _along(v: Tensor | np.ndarray, d: int, ndim: int) -> Tensor:
    """A vector, or a number, as an array that varies along axis d."""
    return torch.as_tensor(v).detach().reshape([-1 if e == d else 1 for e in range(ndim)])


def modes(axis: Axis, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V, lambda) with V^T K V = lambda and V^T W V = 1, for the conductances k of an axis' faces.

    Rounding mixes the computed V by about 1e-16 of the largest lambda. Of the first one, which is almost constant where
    little holds it, that would be much: it is iterated, and is constant where nothing does.
    """
    V, lam = eigenvectors(axis, k)
    held = not axis.periodic and k[0] + k[-1] > 0
    v = V[:, 0] if held else np.ones(axis.n)
    if held:
        for _ in range(POLISHING):
            v = _eliminated(k, axis.share * v)
            v = v / np.sqrt(axis.share @ v**2)
    else:
        lam[0] = 0.0
    V[:, 0] = v / np.sqrt(axis.share @ v**2)
    return V, lam


def _eliminated(k: np.ndarray, r: np.ndarray) -> np.ndarray:
    """K^-1 r of an open axis with conductances k; nothing is subtracted. A few numbers: torch's calls take longer."""
    s, rest = k.tolist(), float(k[0])  # s_i couples i - 1 and i
    v: list[float] = []
    q: list[float] = []
    s[-1] = 0.0
    for i, r_i in enumerate(r.tolist()):
        rest += float(k[-1]) if i == len(r) - 1 else 0.0
        pivot = rest + s[i + 1]
        q.append(1 / pivot if pivot > 0 else 0.0)
        v.append(q[i] * (r_i + s[i] * v[i - 1] if i else r_i))
        rest *= s[i + 1] * q[i]
    for i in range(len(v) - 2, -1, -1):
        v[i] += q[i] * s[i + 1] * v[i + 1]
    return np.array(v)
