"""The modes of an axis, K v = lambda W v: the columns of a matrix, or waves whose transforms are fast.

Waves are the modes where mesh widths and coefficients are equal: n log n operations take the place of n^2.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mgnet.pde import native
from mgnet.pde.levels.direct import eigenvectors
from mgnet.pde.levels.transform import Waves, analysed, eigenvalues, made_of
from mgnet.pde.problem.axis import Axis, Robin
from mgnet.pde.problem.conductances import conductances

POLISHING = 3  # steps of inverse iteration
FAST, ROUGH = 100, 500  # unknowns from which on a transform takes less time than a product (measured): its length is a
SMALL = 23  # product of primes no larger than this; others
EQUAL = 1e-13  # of a conductance, by which it may differ from that of a number


@dataclass(frozen=True)
class Matrix:
    """V, a mode each column, with V^T W V = 1."""

    V: Tensor
    lam: np.ndarray

    def forth(self, v: Tensor, dim: int) -> Tensor:
        """Along an axis counted from the last one, V^T v."""
        return torch.matmul(v.movedim(dim, -1), self.V).movedim(-1, dim)

    def back(self, v: Tensor, dim: int) -> Tensor:
        """V v."""
        return torch.matmul(v.movedim(dim, -1), self.V.T).movedim(-1, dim)


@dataclass(frozen=True)
class Transform:
    """V with V^-1 in the place of V^T W: by scipy on CPUs, elsewhere by torch. Fourier's are pairs of real numbers."""

    axis: Axis
    lam: np.ndarray

    def forth(self, v: Tensor, dim: int) -> Tensor:
        """V^-1 W^-1 v."""
        waves = Waves.of(self.axis)
        if self.axis.has_half_cells:
            v = v / torch.from_numpy(self.axis.share).to(v).reshape(-1, *[1] * (-1 - dim))
        if waves is not None:
            return _by_scipy(v, waves, dim, back=False) if v.device.type == "cpu" else analysed(v, waves, dim)
        return torch.view_as_real(torch.fft.rfft(v.movedim(dim, -1))).flatten(-2).movedim(-1, dim)

    def back(self, v: Tensor, dim: int) -> Tensor:
        """V v."""
        waves = Waves.of(self.axis)
        if waves is not None:
            return _by_scipy(v, waves, dim, back=True) if v.device.type == "cpu" else made_of(v, waves, dim)
        pairs = v.movedim(dim, -1).unflatten(-1, (-1, 2)).contiguous()
        return torch.fft.irfft(torch.view_as_complex(pairs), n=self.axis.n).movedim(-1, dim)

    def matrix(self, like: Tensor) -> Matrix:
        """The same as a matrix."""
        V = self.back(torch.eye(len(self.lam), dtype=torch.float64, device="cpu"), -1).numpy().T
        sizes = np.sqrt(self.axis.share @ V**2)
        there = sizes > 0.1 * sizes.max()  # the second number of a pair may be none
        return Matrix(torch.from_numpy(V[:, there] / sizes[there]).to(like), self.lam[there])


def _by_scipy(v: Tensor, waves: Waves, dim: int, back: bool) -> Tensor:
    from scipy import fft

    sine, cosine = (fft.idst, fft.idct) if back else (fft.dst, fft.dct)
    transform = sine if waves.sine else cosine
    return torch.from_numpy(transform(v.numpy(), type=waves.type, axis=dim, workers=native.threads()))


def modes(axis: Axis, k: np.ndarray, like: Tensor) -> Matrix | Transform:
    """The modes of an axis whose faces have the conductances k, in like's dtype, on its device."""
    if not _even(axis, k):
        V, lam = matrix(axis, k)
        return Matrix(torch.from_numpy(V).to(like), lam)
    lam = k[1] * axis.h**2 * eigenvalues(axis)
    waves = Transform(axis, np.repeat(lam[: axis.n // 2 + 1], 2) if axis.periodic else lam)
    return waves if axis.n >= _fast_from(axis) else waves.matrix(like)


def has_fast(axis: Axis, k: np.ndarray) -> bool:
    """Whether ``modes`` are transforms."""
    return _even(axis, k) and axis.n >= _fast_from(axis)


def _even(axis: Axis, k: np.ndarray) -> bool:
    """Whether modes are waves."""
    words = not any(isinstance(end, Robin) and end != Robin(0) for end in (axis.low, axis.high))
    if not axis.uniform or axis.n == 1 or not words:
        return False
    number = torch.full((axis.n + 1,), float(k[1]) * axis.h**2, dtype=torch.float64, device="cpu")
    of_number = conductances([axis], [number])[0][0].numpy()
    return bool((abs(k - of_number) <= EQUAL * abs(of_number)).all())


def _fast_from(axis: Axis) -> int:
    waves = Waves.of(axis)
    rest = axis.n if waves is None else waves.period(axis.n)
    for p in range(2, SMALL + 1):
        while rest > 1 and rest % p == 0:
            rest //= p
    return FAST if rest == 1 else ROUGH


def matrix(axis: Axis, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
