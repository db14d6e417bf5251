"""The finite-volume operator, in conductances: readable, differentiable, any device and dtype.

    (A u)_i = sum_d  cross_d [ k_{i-1/2} (u_i - u_{i-1}) + k_{i+1/2} (u_i - u_{i+1}) ]  +  m u_i

k lives on the n + 1 faces of axis d: a / h^2 inside, 0 at a Neumann end, the coupling to a zero
ghost value at a Dirichlet or Robin end. ``cross_d`` holds the unknowns' shares of a cell along the
other axes. All boundary kinds, both centrings and any coefficients are this one formula.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import pi, prod
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.native.arrays import minus_products_of_differences, product
from mgnet.pde.native.conductances import Faces, magnitudes
from mgnet.pde.problem.axis import Axis
from mgnet.pde.problem.conductances import along
from mgnet.pde.problem.of_tensors import OfTensors
from mgnet.pde.problem.plain import runs_here, transformed

if TYPE_CHECKING:  # where it is not needed it would be half of the time of importing this
    import scipy.sparse as sparse


class Operator(Protocol):
    """What the solver needs of A, whose ``base`` the levels are made of."""

    @property
    def axes(self) -> tuple[Axis, ...]: ...

    @property
    def base(self) -> Any: ...

    @property
    def spectrum(self) -> tuple[float, float]:
        """Where the eigenvalues of M A lie for a cycle M of ``base``."""
        ...

    @property
    def T(self) -> "Operator": ...

    @property
    def symmetric(self) -> bool: ...

    @property
    def tensors(self) -> tuple[Tensor, ...]: ...

    def made_of(self, tensors: Sequence[Tensor]) -> "Operator": ...

    def derivative(self, k: int, v: Tensor, u: Tensor) -> Tensor: ...

    def change(self, tangents: Sequence[Tensor], u: Tensor) -> Tensor: ...

    def detached(self) -> "Operator": ...

    def like(self, v: Tensor) -> "Operator": ...

    def flattened(self, batch: Sequence[int]) -> "Operator": ...

    def __call__(self, u: Tensor) -> Tensor: ...

    def rounding(self, u: Tensor, b: Tensor) -> np.ndarray: ...

    def weigh(self, v: Tensor) -> Tensor: ...

    def to_scipy(self) -> "sparse.csr_array": ...


@dataclass(frozen=True)
class Diffusion(OfTensors):
    """A: (*batch, *grid) -> (*batch, *grid), symmetric positive (semi)definite.

    Parameters
    ----------
    axes : the grid
    k : per axis the conductances of its faces, (*batch, *grid with n_d + 1) or broadcastable to it
    c : (*batch, *grid) or broadcastable; None for zero
    """

    axes: tuple[Axis, ...]
    k: tuple[Tensor, ...]
    c: Tensor | None
    symmetric: ClassVar[bool] = True
    transposed: ClassVar[bool] = False

    def __reduce__(self) -> tuple[type["Diffusion"], tuple[object, ...]]:
        """What copies and pickles hold: nothing of what was made of it."""
        return Diffusion, (self.axes, self.k, self.c)

    @property
    def ndim(self) -> int:
        return len(self.axes)

    @property
    def weights(self) -> "Diffusion":
        """What weighs by the shares of a cell: itself."""
        return self

    @property
    def diffusion(self) -> "Diffusion":
        """The part along the axes: all."""
        return self

    @property
    def diagonal_couplings(self) -> dict[tuple[int, ...], Tensor]:
        """None but along the axes."""
        return {}

    @cached_property
    def shares(self) -> list[Tensor | None]:
        """Per axis each unknown's share of a cell, None where all are 1."""
        return [
            along(torch.from_numpy(axis.share).to(self.k[0]), d, self.ndim) if axis.weighs else None
            for d, axis in enumerate(self.axes)
        ]

    def weigh(self, v: Tensor, but: int | None = None) -> Tensor:
        """v times the shares along every axis (but one)."""
        if but is None:
            if self._all_shares is None:
                return v
            return product(v, self._all_shares) if runs_here(v, self.ndim) else v * self._all_shares
        for d, share in enumerate(self.shares):
            if share is not None and d != but:
                v = v * share
        return v

    @cached_property
    def _all_shares(self) -> Tensor | None:
        """Each unknown's share of a cell, None where all are 1."""
        shares = [share for share in self.shares if share is not None]
        grid = [axis.n for axis in self.axes]
        return prod(shares[1:], start=shares[0]).expand(grid).contiguous() if shares else None

    def __call__(self, u: Tensor) -> Tensor:
        """A u."""
        out = torch.zeros_like(u) if self.c is None else self.weigh(self.c * u)
        for d, k in enumerate(self.k):
            flux = k * self.face_differences(u, d)
            out = out - self.weigh(torch.diff(flux, dim=d - self.ndim), but=d)
        return out

    def face_differences(self, u: Tensor, d: int) -> Tensor:
        """The differences of u across the n_d + 1 faces of axis d, beside zero ghost values."""
        return torch.diff(self.with_ghosts(u, d), dim=d - self.ndim)

    def transposed_face_differences(self, v: Tensor, d: int) -> Tensor:
        """What a flux on a face of axis d contributes to v^T A u."""
        return torch.diff(self.weigh(self.with_zeros(v, d), but=d), dim=d - self.ndim)

    def having(self, k: Sequence[Tensor], c: Tensor | None) -> "Diffusion":
        """The operator on the same grid with other conductances and reaction."""
        return replace(self, k=tuple(k), c=c)

    @property
    def corners(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Nothing couples unknowns across corners."""
        return ()

    @property
    def sides(self) -> list[tuple[Tensor, Tensor]]:
        """Per axis what its faces couple the unknowns above, and those below, to the others by: k, twice."""
        return [(k, k) for k in self.k]

    def having_sides(self, sides: Sequence[tuple[Tensor, Tensor]], c: Tensor | None) -> "Diffusion":
        """The operator on the same grid with other ``sides`` and reaction."""
        return self.having([k for k, _ in sides], c)

    def with_c(self, c: Tensor | None) -> "Diffusion":
        """The operator with another reaction."""
        return self.having(self.k, c)

    @property
    def T(self) -> "Diffusion":
        """A is symmetric."""
        return self

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What A u may be differentiated by: the conductances of each axis, and c if there is one."""
        return self.k if self.c is None else (*self.k, self.c)

    def made_of(self, tensors: Sequence[Tensor]) -> "Diffusion":
        """The operator with other ``tensors``."""
        return self.having(tensors[: self.ndim], tensors[self.ndim] if len(tensors) > self.ndim else None)

    def derivative(self, k: int, v: Tensor, u: Tensor) -> Tensor:
        """d (-v^T A u) / d ``tensors[k]``, not yet summed to its shape."""
        if k == self.ndim:
            return -self.weigh(v * u)
        if not (torch.is_grad_enabled() or transformed(v) or transformed(u)):
            v, u = v.detach(), u.detach()
        if v.shape == u.shape and v.dtype == u.dtype and runs_here(v, self.ndim) and runs_here(u, self.ndim):
            products = minus_products_of_differences(v, u, k - self.ndim, self.axes[k].periodic)
            return self.weigh(products, but=k)
        return -self.face_differences(u, k) * self.transposed_face_differences(v, k)

    def magnitude(self, u: Tensor) -> Tensor:
        """|A| |u|, the scale of the round-off in A u."""
        u = u.abs()
        out = torch.zeros_like(u) if self.c is None else self.weigh(self.c * u)
        for d, k in enumerate(self.k):
            n, dim = self.axes[d].n, d - self.ndim
            both, inner = (k.narrow(dim, 0, n) + k.narrow(dim, 1, n)) * u, k.narrow(dim, 1, n - 1)
            both.narrow(dim, 1, n - 1).addcmul_(inner, u.narrow(dim, 0, n - 1))
            both.narrow(dim, 0, n - 1).addcmul_(inner, u.narrow(dim, 1, n - 1))
            if self.axes[d].periodic:
                both.narrow(dim, 0, 1).addcmul_(k.narrow(dim, 0, 1), u.narrow(dim, n - 1, 1))
                both.narrow(dim, n - 1, 1).addcmul_(k.narrow(dim, n, 1), u.narrow(dim, 0, 1))
            out += self.weigh(both, but=d)
        return out

    def rounding(self, u: Tensor, b: Tensor) -> np.ndarray:
        """(batch,) || |A||u| + |b| || for u, b (batch, *grid): times 2 eps what rounding alone leaves of b - A u."""
        if runs_here(u, self.ndim) and runs_here(b, self.ndim) and u.dtype == b.dtype:
            return magnitudes(self.faces, u, b)
        return super().rounding(u, b)

    @cached_property
    def faces(self) -> Faces:
        """What the compiled kernels take, on the CPU; tensors are not copied, and may be broadcast."""
        A = self.with_one_batch_axis()
        axes, c = A.axes, None if A.c is None else A.c.detach().numpy()
        return Faces(
            [axis.n for axis in axes], [axis.periodic for axis in axes], [axis.share for axis in axes],
            [k.detach().numpy() for k in A.k], c,
        )  # fmt: skip

    @cached_property
    def diagonal(self) -> Tensor:
        """The diagonal of A, broadcastable to the grid."""
        return self._diagonal_but(None)

    def _diagonal_but(self, but: int | None) -> Tensor:
        """The diagonal without the conductances of one axis."""
        shape = [axis.n for axis in self.axes]
        total = torch.zeros(shape, dtype=self.k[0].dtype, device=self.k[0].device)
        total = total if self.c is None else self.weigh(self.c + total)
        for d, k in enumerate(self.k):
            if d != but:
                n, dim = self.axes[d].n, d - self.ndim
                total = total + self.weigh(k.narrow(dim, 0, n) + k.narrow(dim, 1, n), but=d)
        return total

    def couplings(self, d: int) -> Tensor:
        """s_i(d) that couples unknown i and the next along axis d (the last and the first if it is periodic)."""
        n, dim = self.axes[d].n, d - self.ndim
        s = self.weigh(self.k[d].narrow(dim, 1, n), but=d)
        if self.axes[d].periodic:
            return s
        return torch.cat([s.narrow(dim, 0, n - 1), torch.zeros_like(s.narrow(dim, 0, 1))], dim=dim)

    def row_sums(self, d: int) -> Tensor:
        """The diagonal less the couplings along axis d, summed without subtraction."""
        if self.axes[d].periodic:
            return self._diagonal_but(d)
        n, dim = self.axes[d].n, d - self.ndim
        low, high = self.k[d].narrow(dim, 0, 1), self.k[d].narrow(dim, n, 1)
        none = low.new_zeros([*low.shape[:dim], n - 1, *low.shape[low.ndim + dim + 1 :]])
        ends = torch.cat([low, none], dim=dim) + torch.cat([none, high], dim=dim)
        return self._diagonal_but(d) + self.weigh(ends, but=d)

    @property
    def excess(self) -> Tensor:
        """A 1, what c and the ends add to the diagonal: differences of 1 are 0, so nothing of it is lost."""
        return self(torch.ones([axis.n for axis in self.axes], device="cpu").to(self.k[0]))

    def hold(self) -> tuple[Tensor, Tensor]:
        """(...) the energy (u, A u) / (u, D u) of a constant, without lone unknowns, and of the smoothest wave.

        What c and the ends hold a constant by; (pi / n)^2 k of half a wave along the axis where that is least.
        """
        dims, ones = tuple(range(-self.ndim, 0)), torch.ones([axis.n for axis in self.axes], device="cpu").to(self.k[0])
        c = torch.zeros_like(ones) if self.c is None else self.weigh(self.c * ones)
        D = torch.where(self.diagonal > c, self.diagonal, 0.0).sum(dims)
        held = torch.where(self.diagonal > c, c, 0.0).sum(dims)
        waves = []
        for d, (k, axis) in enumerate(zip(self.k, self.axes, strict=True)):
            for at in () if axis.periodic else (0, axis.n):
                end = ones.narrow(d - self.ndim, 0, 1) * k.narrow(d - self.ndim, at, 1)
                held = held + self.weigh(end, but=d).sum(dims)
            waves.append((pi / axis.n) ** 2 * self.weigh(ones * k.narrow(d - self.ndim, 0, axis.n), but=d).sum(dims))
        return held / D, torch.stack(torch.broadcast_tensors(*waves)).amin(0) / D

    def with_ghosts(self, u: Tensor, d: int) -> Tensor:
        """u with one value more on either side of axis d: wrapped, or 0."""
        n, dim = self.axes[d].n, d - self.ndim
        first, last = u.narrow(dim, 0, 1), u.narrow(dim, n - 1, 1)
        return torch.cat([last, u, first], dim=dim) if self.axes[d].periodic else self.with_zeros(u, d)

    def with_zeros(self, u: Tensor, d: int) -> Tensor:
        """u with a 0 on either side of axis d."""
        zero = torch.zeros_like(u.narrow(d - self.ndim, 0, 1))
        return torch.cat([zero, u, zero], dim=d - self.ndim)

    def to_scipy(self) -> "sparse.csr_array":
        """The same matrix, rows and columns numbered in C order."""
        import scipy.sparse as sparse

        shape = tuple(axis.n for axis in self.axes)
        index = np.arange(int(np.prod(shape))).reshape(shape)
        one = torch.ones(shape, dtype=self.k[0].dtype, device="cpu")
        diagonal = (one * self.diagonal.cpu()).numpy().ravel()
        rows, columns, values = [index.ravel()], [index.ravel()], [diagonal]
        for d, axis in enumerate(self.axes):
            k = self.weigh(self.k[d].narrow(d - self.ndim, 0, axis.n), but=d).cpu() * one  # low faces
            i, j, kk = index, np.roll(index, 1, axis=d), k.numpy()
            if not axis.periodic:
                i, j, kk = (np.delete(v, 0, axis=d) for v in (i, j, kk))
            rows += [i.ravel(), j.ravel()]
            columns += [j.ravel(), i.ravel()]
            values += [-kk.ravel(), -kk.ravel()]
        coo = sparse.coo_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))))
        return coo.tocsr()
