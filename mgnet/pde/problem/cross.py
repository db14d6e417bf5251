"""The operator of a full symmetric tensor: conductances along the axes, and along the diagonals between them.

Four unknowns around a corner, where a face of axis d crosses one of axis e, hold the energy of a_de:

    a_de d_d u d_e u  ->  s (p^2 - q^2) / 2,     s = a_de / (2 h_d h_e),    p = u_11 - u_00,   q = u_10 - u_01,

so s couples the unknowns along one diagonal, and -s those along the other: 9 points in two dimensions, 19 in three. A
stays symmetric, A 1 is what c and the ends make of it, and one of two diagonals couples negatively: no M-matrix. Beyond
a Dirichlet end lie zero ghost values, beyond others no corners. Where a domain cuts one diagonal of a corner and not
the other (``mask``), that one has a t of its own.

Source: Gunter, Yu, Kruger & Lackner 2005, J. Comput. Phys. 209, 354 (symmetric differences at corners).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.problem.axis import Axis
from mgnet.pde.problem.of_tensors import OfTensors
from mgnet.pde.problem.operators import Diffusion

if TYPE_CHECKING:  # where it is not needed it would be half of the time of importing this
    import scipy.sparse as sparse


def pairs(ndim: int) -> list[tuple[int, int]]:
    """The pairs of axes."""
    return list(combinations(range(ndim), 2))


def shift(v: Tensor, dims: tuple[int, int], n: tuple[int, int], at: tuple[int, int]) -> Tensor:
    """n numbers of v along two axes, from ``at`` on."""
    return v.narrow(dims[0], at[0], n[0]).narrow(dims[1], at[1], n[1])


@dataclass(frozen=True)
class CrossDiffusion(OfTensors):
    """A: (*batch, *grid) -> (*batch, *grid), symmetric.

    Parameters
    ----------
    diffusion : the part along the axes, and c
    s : per pair (d, e) of axes the conductances of its corners, (*batch, *grid with n_d + 1 and n_e + 1)
    t : the same along the other diagonal; (): s
    """

    diffusion: Diffusion
    s: tuple[Tensor, ...]
    t: tuple[Tensor, ...] = ()

    def __reduce__(self) -> tuple[type["CrossDiffusion"], tuple[object, ...]]:
        """What copies and pickles hold: nothing of what was made of it."""
        return CrossDiffusion, (self.diffusion, self.s, self.t)

    @property
    def axes(self) -> tuple[Axis, ...]:
        return self.diffusion.axes

    @property
    def ndim(self) -> int:
        return self.diffusion.ndim

    @property
    def k(self) -> tuple[Tensor, ...]:
        return self.diffusion.k

    @property
    def c(self) -> Tensor | None:
        return self.diffusion.c

    @property
    def sides(self) -> list[tuple[Tensor, Tensor]]:
        """Per axis what its faces couple the unknowns above, and those below, to the others by: k, twice."""
        return self.diffusion.sides

    @property
    def corners(self) -> tuple[tuple[Tensor, Tensor], ...]:
        """Of each pair of axes what couples unknowns along one diagonal and, with a minus sign, along the other."""
        return tuple(zip(self.s, self.t or self.s, strict=True))

    @property
    def T(self) -> "CrossDiffusion":
        """A is symmetric."""
        return self

    @property
    def symmetric(self) -> bool:
        return True

    @property
    def transposed(self) -> bool:
        return False

    @property
    def shares(self) -> list[Tensor | None]:
        return self.diffusion.shares

    def weigh(self, v: Tensor, but: int | None = None) -> Tensor:
        """v times the shares along every axis (but one)."""
        return self.diffusion.weigh(v, but)

    def __call__(self, u: Tensor) -> Tensor:
        """A u."""
        out = self.diffusion(u)
        for pair, (s, t) in zip(pairs(self.ndim), self.corners, strict=True):
            p, q = self._diagonals(u, pair)
            out = out + self._shared(self._gathered(s * p, t * q, pair), pair)
        return out

    def _size(self, pair: tuple[int, int], more: int = 0) -> tuple[tuple[int, int], tuple[int, int]]:
        """The two axes from the last one, and their unknowns."""
        d, e = pair
        return (d - self.ndim, e - self.ndim), (self.axes[d].n + more, self.axes[e].n + more)

    def _around(self, u: Tensor, pair: tuple[int, int], ghosts: bool = True, beyond: bool = False) -> list[Tensor]:
        """u_00, u_01, u_10, u_11 around each corner; without ``ghosts`` 0 beyond every end, with ``beyond`` True."""
        dims, n = self._size(pair, 1)
        for d in pair:
            wraps = self.axes[d].periodic
            u = self.diffusion.with_ghosts(u, d) if ghosts else self.diffusion.with_zeros(u, d)
            if beyond and not wraps:
                for at in (0, self.axes[d].n + 1):
                    u.narrow(d - self.ndim, at, 1).fill_(True)
        return [shift(u, dims, n, at) for at in ((0, 0), (0, 1), (1, 0), (1, 1))]

    def _diagonals(self, u: Tensor, pair: tuple[int, int], ghosts: bool = True) -> tuple[Tensor, Tensor]:
        """p and q."""
        u_00, u_01, u_10, u_11 = self._around(u, pair, ghosts)
        return u_11 - u_00, u_10 - u_01

    def _gathered(self, P: Tensor, Q: Tensor, pair: tuple[int, int]) -> Tensor:
        """What flows along the diagonals, out of the unknowns; the transpose of ``_diagonals``, and -."""
        return (self._at(P, pair, 0, 0) - self._at(P, pair, 1, 1)) - (self._at(Q, pair, 0, 1) - self._at(Q, pair, 1, 0))

    def _at(self, v: Tensor, pair: tuple[int, int], *at: int) -> Tensor:
        """v at the corner below (0) or above (1) each unknown along both axes."""
        dims, n = self._size(pair)
        return shift(v, dims, n, at)  # type: ignore[arg-type]

    def _shared(self, v: Tensor, pair: tuple[int, int]) -> Tensor:
        """v times the shares along the other axes."""
        for d, share in enumerate(self.shares):
            v = v if share is None or d in pair else v * share
        return v

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What A u may be differentiated by: those of the part along the axes, s and t."""
        return *self.diffusion.tensors, *self.s, *self.t

    def made_of(self, tensors: Sequence[Tensor]) -> "CrossDiffusion":
        """The operator with other ``tensors``."""
        n = len(self.s)
        m = len(tensors) - n - len(self.t)
        return CrossDiffusion(self.diffusion.made_of(tensors[:m]), tuple(tensors[m : m + n]), tuple(tensors[m + n :]))

    def derivative(self, k: int, v: Tensor, u: Tensor) -> Tensor:
        """d (-v^T A u) / d ``tensors[k]``, not yet summed to its shape."""
        m = len(self.diffusion.tensors)
        if k < m:
            return self.diffusion.derivative(k, v, u)
        pair = pairs(self.ndim)[(k - m) % len(self.s)]
        (p, q), (p_v, q_v) = self._diagonals(u, pair), self._diagonals(self._shared(v, pair), pair, ghosts=False)
        if self.t:
            return q_v * q if k - m >= len(self.s) else -p_v * p
        return q_v * q - p_v * p

    def having(self, k: Sequence[Tensor], c: Tensor | None) -> "CrossDiffusion":
        """The operator with other conductances along the axes and another reaction."""
        return replace(self, diffusion=self.diffusion.having(k, c))

    def having_sides(self, sides: Sequence[tuple[Tensor, Tensor]], c: Tensor | None) -> "CrossDiffusion":
        """The operator with other ``sides`` and reaction."""
        return replace(self, diffusion=self.diffusion.having_sides(sides, c))

    @property
    def weights(self) -> Diffusion:
        """What weighs by the shares of a cell."""
        return self.diffusion

    def cut(self, unknown: Tensor, holding: Tensor) -> tuple["CrossDiffusion", Tensor]:
        """(The operator whose corners couple unknowns alone, what those that hold add to c); see ``mask``.

        unknown, holding : (*batch, *grid)
        """
        s, t, more = [], [], torch.zeros_like(unknown, dtype=self.k[0].dtype)
        for pair, (along, across) in zip(pairs(self.ndim), self.corners, strict=True):
            here = self._around(unknown, pair, beyond=True)
            u_00, u_01, u_10, u_11 = here
            h_00, h_01, h_10, h_11 = self._around(holding, pair)
            s.append(along * (u_00 & u_11))
            t.append(across * (u_01 & u_10))
            gained = self._at(along * h_11, pair, 1, 1) + self._at(along * h_00, pair, 0, 0)
            gained = gained - self._at(across * h_10, pair, 1, 0) - self._at(across * h_01, pair, 0, 1)
            for d in pair:
                share = self.shares[d]
                gained = gained if share is None else gained / share
            more = more + gained
        return replace(self, s=tuple(s), t=tuple(t)), more

    def with_c(self, c: Tensor | None) -> "CrossDiffusion":
        """The operator with another reaction."""
        return self.having(self.k, c)

    def magnitude(self, u: Tensor) -> Tensor:
        """|A| |u|, the scale of the round-off in A u."""
        u = u.abs()
        out = self.diffusion.magnitude(u) + (self.diagonal - self.diffusion.diagonal) * u
        for pair, (s, t) in zip(pairs(self.ndim), self.corners, strict=True):
            u_00, u_01, u_10, u_11 = self._around(u, pair)
            ways = ((s, u_00, (0, 0)), (s, u_11, (1, 1)), (t, u_01, (0, 1)), (t, u_10, (1, 0)))
            out = out + self._shared(sum(self._at(v.abs() * w, pair, *at) for v, w, at in ways), pair)  # type: ignore[arg-type]
        return out

    @cached_property
    def diagonal(self) -> Tensor:
        """The diagonal of A."""
        total = self.diffusion.diagonal
        for pair, (s, t) in zip(pairs(self.ndim), self.corners, strict=True):
            along, across = (
                (self._at(s, pair, *at) for at in ((0, 0), (1, 1))),
                (self._at(t, pair, *at) for at in ((0, 1), (1, 0))),
            )
            total = total + self._shared(sum(along) - sum(across), pair)  # type: ignore[arg-type]
        return total

    @cached_property
    def diagonal_couplings(self) -> dict[tuple[int, ...], Tensor]:
        """s_o that couples unknowns i and i + o (wrapped) along diagonals, 0 where there is none."""
        out = {}
        for pair, (s, t) in zip(pairs(self.ndim), self.corners, strict=True):
            dims, _ = self._size(pair)
            ends = [self.axes[d].n - 1 for d in pair]
            along, across = self._shared(self._at(s, pair, 1, 1), pair), -self._shared(self._at(t, pair, 1, 0), pair)
            for v, step in ((along, 1), (across, -1)):
                v = v.clone()
                if not self.axes[pair[0]].periodic:
                    v.narrow(dims[0], ends[0], 1).zero_()
                if not self.axes[pair[1]].periodic:
                    v.narrow(dims[1], ends[1] if step > 0 else 0, 1).zero_()
                out[tuple(1 if e == pair[0] else step if e == pair[1] else 0 for e in range(self.ndim))] = v
        return out

    @property
    def faces(self) -> None:
        """Kernels of conductances know faces only."""
        return None

    def hold(self) -> tuple[Tensor, Tensor]:
        """The energy of a constant and of the smoothest wave, by the part along the axes."""
        return self.diffusion.hold()

    @property
    def excess(self) -> Tensor:
        """A 1, what c and the ends add to the diagonal: differences of 1 are 0, so nothing of it is lost."""
        return self(torch.ones([axis.n for axis in self.axes], device="cpu").to(self.k[0]))

    def to_scipy(self) -> "sparse.csr_array":
        """The same matrix, rows and columns numbered in C order."""
        import scipy.sparse as sparse

        shape = tuple(axis.n for axis in self.axes)
        index, one = np.arange(int(np.prod(shape))).reshape(shape), torch.ones(shape, device="cpu")
        more = (self.diagonal - self.diffusion.diagonal).cpu() * one
        rows, columns, entries = [index.ravel()], [index.ravel()], [more.numpy().ravel()]
        for o, s in self.diagonal_couplings.items():
            beside = np.roll(index, [-step for step in o], range(self.ndim)).ravel()
            entry = -(s.cpu() * one).numpy().ravel()
            rows += [index.ravel(), beside]
            columns += [beside, index.ravel()]
            entries += [entry, entry]
        there = (np.concatenate(rows), np.concatenate(columns))
        cross = sparse.coo_array((np.concatenate(entries), there), shape=(index.size, index.size)).tocsr()
        whole = (self.diffusion.to_scipy() + cross).tocsr()
        whole.eliminate_zeros()
        return whole
