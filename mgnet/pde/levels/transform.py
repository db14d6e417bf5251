"""Fast transforms: A u = b at once, where coefficients are numbers and mesh widths equal.

Along an axis K phi = lambda W phi for waves that fit its ends, sampled at its n unknowns:

    phi_k(i) = sin or cos(pi (k + alpha) (i + beta) / M),       lambda_k = (2 / h)^2 sin^2(pi (k + alpha) / (2 M))

    ends                      wave   alpha    nodes: M, beta    cells: M, beta
    dirichlet, dirichlet      sin    1        n + 1, 1  (I)     n, 1/2  (II)
    neumann, neumann          cos    0        n - 1, 0  (I)     n, 1/2  (II)
    dirichlet, neumann        sin    1/2      n, 1  (III)       n, 1/2  (IV)
    neumann, dirichlet        cos    1/2      n, 0  (III)       n, 1/2  (IV)

and exp(2 pi i k j / n) where it is periodic. They are orthogonal in W, the shares of a cell, so that in products of
them W^-1 A is the diagonal c + sum_d a_d lambda_d.

Source: Buzbee, Golub & Nielson 1970, SIAM J. Numer. Anal. 7, 627; Strang 1999, SIAM Review 41, 135 (the eight waves).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mgnet.pde import native
from mgnet.pde.problem.axis import DIRICHLET, Axis, Robin
from mgnet.pde.problem.members import each
from mgnet.pde.problem.operators import Diffusion
from mgnet.pde.problem.poisson import Poisson


@dataclass(frozen=True)
class Waves:
    """The sine or cosine transform that fits an axis, of scipy's type 1 to 4."""

    sine: bool
    type: int

    @classmethod
    def of(cls, axis: Axis) -> "Waves | None":
        """None: it is periodic, where Fourier's fits."""
        if axis.periodic:
            return None
        low, high = axis.low == DIRICHLET, axis.high == DIRICHLET
        whole, nodes = low == high, axis.centering == "node"
        return cls(low, (1 if nodes else 2) if whole else (3 if nodes else 4))

    def __str__(self) -> str:
        return f"{'DST' if self.sine else 'DCT'}-{('I', 'II', 'III', 'IV')[self.type - 1]}"

    @property
    def alpha(self) -> float:
        return float(self.sine) if self.type in (1, 2) else 0.5

    @property
    def beta(self) -> float:
        return float(self.sine) if self.type in (1, 3) else 0.5

    def period(self, n: int) -> int:
        """M."""
        return n + (1 if self.sine else -1) if self.type == 1 else n


def eigenvalues(axis: Axis) -> np.ndarray:
    """(n,) lambda; of a periodic axis in the order of the FFT."""
    waves, k = Waves.of(axis), np.arange(axis.n)
    turn = k / axis.n if waves is None else (k + waves.alpha) / (2 * waves.period(axis.n))
    return (2 / axis.h * np.sin(np.pi * turn)) ** 2


class TransformLevel:
    """The only grid: u = A^-1 b, on the CPU by scipy, elsewhere by torch; where A is singular without the constant.

    Parameters
    ----------
    A : whose coefficients are numbers, or one per member of a batch
    """

    def __init__(self, A: Diffusion):
        self._shares = None if all(s is None for s in A.shares) else A.weigh(torch.ones_like(A.diagonal))
        self._transforms = by_scipy if A.k[0].device.type == "cpu" else by_torch
        self._axes, total = A.axes, torch.zeros((1,) * (A.ndim + 1), dtype=torch.float64, device="cpu")
        if A.c is not None:
            total = total + each(A.c.double().cpu(), total)
        self._ring = [d for d, axis in enumerate(A.axes) if axis.periodic]
        for d, axis in enumerate(A.axes):
            lam = eigenvalues(axis)[: axis.n // 2 + 1 if self._ring[-1:] == [d] else axis.n]
            a = each(coefficient(A, d), total)
            total = total + a * torch.from_numpy(lam).reshape([-1 if e == d else 1 for e in range(A.ndim)])
        held = total > 0
        self._inverse = torch.where(held, 1 / torch.where(held, total, 1.0), 0.0).to(A.k[0])

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        """A^-1 f for f (batch, *grid)."""
        v = f if self._shares is None else f / self._shares
        return self._transforms(v, self._axes, self._ring, self._inverse)


def coefficient(A: Diffusion, d: int) -> Tensor:
    """(members,) a along axis d, from the conductances of a number."""
    axis, k = A.axes[d], A.k[d].double().cpu().movedim(d - A.ndim, -1)
    k = k.reshape(-1, axis.n + 1)
    if axis.n > 1:
        return k[:, 1] * axis.h**2
    end = k[:, 0] if axis.low == DIRICHLET else k[:, 1]
    return end * axis.h**2 / (2 if axis.centering == "cell" else 1)


def groups(axes: Sequence[Axis]) -> dict[Waves, list[int]]:
    """The axes of each sine or cosine transform, counted from the last."""
    found: dict[Waves, list[int]] = {}
    for d, axis in enumerate(axes):
        waves = Waves.of(axis)
        if waves is not None:
            found.setdefault(waves, []).append(d - len(axes))
    return found


def by_scipy(v: Tensor, axes: Sequence[Axis], ring: Sequence[int], inverse: Tensor) -> Tensor:
    """The transforms of v, times ``inverse``, transformed back."""
    from scipy import fft

    x = given = v.numpy()
    workers = native.threads()
    each = [(fft.dstn, fft.idstn, w, dims) if w.sine else (fft.dctn, fft.idctn, w, dims)
            for w, dims in groups(axes).items()]  # fmt: skip
    around = [d - len(axes) for d in ring]
    for forward, _, waves, dims in each:
        x = forward(x, type=waves.type, axes=dims, workers=workers, overwrite_x=x is not given)
    x = fft.rfftn(x, axes=around, workers=workers) if around else x
    x = np.multiply(x, inverse.numpy(), out=x if x is not given else None)
    if around:
        x = fft.irfftn(x, s=[axes[d].n for d in ring], axes=around, workers=workers, overwrite_x=True)
    for _, backward, waves, dims in each[::-1]:
        x = backward(x, type=waves.type, axes=dims, workers=workers, overwrite_x=True)
    return torch.from_numpy(x)


def by_torch(v: Tensor, axes: Sequence[Axis], ring: Sequence[int], inverse: Tensor) -> Tensor:
    """The same in torch, on any device."""
    each = [(waves, d - len(axes)) for d, axis in enumerate(axes) if (waves := Waves.of(axis)) is not None]
    around = [d - len(axes) for d in ring]
    for waves, dim in each:
        v = analysed(v, waves, dim)
    spectrum = torch.fft.rfftn(v, dim=around) * inverse if around else v * inverse
    v = torch.fft.irfftn(spectrum, s=[axes[d].n for d in ring], dim=around) if around else spectrum
    for waves, dim in each:
        v = made_of(v, waves, dim)
    return v


def analysed(v: Tensor, waves: Waves, dim: int) -> Tensor:
    """sum_i w_i v_i phi_k(i) along an axis; w its shares of a cell."""
    n, w = v.shape[dim], np.ones(v.shape[dim])
    if not waves.sine and waves.type in (1, 3):  # a Neumann end at the first node
        w[0] = 0.5
    if (not waves.sine and waves.type == 1) or (waves.sine and waves.type == 3):  # and at the last one
        w[-1] = 0.5
    return _sum(v, w, waves.alpha, waves.beta, waves.period(n), waves.sine, dim)


def made_of(v: Tensor, waves: Waves, dim: int) -> Tensor:
    """sum_k v_k phi_k(i) / (phi_k, W phi_k)."""
    n = v.shape[dim]
    M, k = waves.period(n), np.arange(n) + waves.alpha
    return _sum(v, np.where(k % M == 0, 1 / M, 2 / M), waves.beta, waves.alpha, M, waves.sine, dim)


def _sum(v: Tensor, w: np.ndarray, alpha: float, beta: float, M: int, sine: bool, dim: int) -> Tensor:
    """sum_i w_i v_i sin or cos(pi (k + alpha) (i + beta) / M), by an FFT of length 2 M, zero beyond v."""
    i = np.arange(v.shape[dim])
    before, after = w * np.exp(-1j * np.pi * alpha * i / M), np.exp(-1j * np.pi * beta * (i + alpha) / M)
    kind = torch.complex64 if v.dtype == torch.float32 else torch.complex128
    shape = [-1] + [1] * (-1 - dim)
    one, other = (torch.from_numpy(phase).to(v.device, kind).reshape(shape) for phase in (before, after))
    spectrum = torch.fft.fft(v * one, n=2 * M, dim=dim).narrow(dim, 0, v.shape[dim]) * other
    return -spectrum.imag if sine else spectrum.real


def check_transform(problem: Poisson) -> None:
    """Say where there is no fast transform.

    Raises
    ------
    ValueError : naming what stands in the way
    """

    def refuse(need: str) -> None:
        raise ValueError(f'`method` "transform" needs {need}. Pass method="multigrid".')

    if problem.order != 2:
        refuse(f"order=2; `order` is {problem.order}")
    if problem.mask is not None:
        refuse("the whole box; there is a `mask`")
    if problem.fixed is not None:
        refuse("the whole box; some unknowns are `fixed`")
    if problem.velocity is not None:
        refuse("a symmetric operator; there is a `velocity`")
    if not problem.grid.uniform:
        refuse("equal mesh widths and Cartesian coordinates; `grid` has others")
    if not problem.has_numbers:
        refuse("an `a` and a `c` of numbers (for `a` also one per axis); these vary")
    for d, pair in enumerate(problem.grid.bc):
        for end in pair:
            if isinstance(end, Robin) and end != Robin(0):
                refuse(f"Dirichlet, Neumann or periodic ends; axis {d} has {end}")


def words(axes: Sequence[Axis]) -> str:
    """The transforms in words."""
    each: list[Callable | Waves | str] = [Waves.of(axis) or "FFT" for axis in axes]
    return "fast transforms: " + ", ".join(map(str, each))
