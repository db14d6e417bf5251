"""The fourth-order operator: wide differences along each axis, one-sided beside the ends.

    A u = w (c u - sum_d a_d D_d u),      D_d u = (-1, 16, -30, 16, -1) u / (12 h^2)

In the two rows beside an end D takes the nearest unknowns and the end's datum g, with the weights that
are exact for polynomials of as high a degree as their number allows: one rule for Dirichlet, Neumann and
Robin ends, nodes and cells. w are the unknowns' shares of a cell. A is not symmetric, but close to the
second-order operator: A_2^-1 A has its spectrum about [1, 2.4], so cycles for A_2 precondition A.

Source: Collatz 1960, The Numerical Treatment of Differential Equations, table III; Pereyra 1967,
Numer. Math. 10, 316 (second-order solves that correct towards the fourth order).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.problem.axis import DIRICHLET, Axis, Robin
from mgnet.pde.problem.conductances import conductances
from mgnet.pde.problem.of_tensors import norms
from mgnet.pde.problem.operators import Diffusion
from mgnet.pde.problem.posed import Posed
from mgnet.pde.problem.precision import unaffected, wide_enough

if TYPE_CHECKING:  # where it is not needed it would be half of the time of importing this
    import scipy.sparse as sparse

INNER = np.array([-1.0, 16.0, -30.0, 16.0, -1.0]) / 12  # h^2 u''
REACH = 2  # unknowns that the inner stencil reaches on either side
WIDTH = {0.0: 5, 0.5: 7, 1.0: 6}  # unknowns that those rows take, by the first one's distance in h (see docs)
FEWEST = max(WIDTH.values())
SHORT = 24  # unknowns of an axis that shows the spectrum
PENALTY = 1e5  # alpha h / a of a node, from which on residuals beside alpha g would say little of the inside
SLACK = 0.85, 1.05  # what cycles add to its ends (measured)


def of_one(end: str | Robin) -> float:
    """The datum of an end for u = 1."""
    return 1.0 if end == DIRICHLET else end.alpha if isinstance(end, Robin) else 0.0


def end_rows(axis: Axis, end: str | Robin, a: float) -> tuple[np.ndarray, np.ndarray]:
    """(REACH, width) weights of the unknowns and (REACH,) of the datum in -a u'', from the end inwards."""
    first = 0.5 if axis.centering == "cell" else float(end == DIRICHLET)
    width = WIDTH[first]
    t, power = first + np.arange(width), np.arange(width + 1)  # distances in h
    datum = np.zeros(width + 1)  # of 1, t, t^2, ...
    datum[0] = of_one(end)
    datum[1] = 0.0 if end == DIRICHLET else -a / axis.h
    known = np.vstack([t[:, None] ** power, datum])
    second = power * (power - 1) * t[:REACH, None] ** np.maximum(power - 2, 0)
    weights = np.linalg.solve(known.T, -a / axis.h**2 * second.T).T
    return weights[:, :width], weights[:, width]


@dataclass(frozen=True)
class Line:
    """An n x n matrix along one axis: a symmetric stencil (wrapped if periodic), and other rows beside the ends.

    Parameters
    ----------
    stencil : (2 REACH + 1,), of sum 0
    ends : the rows beside the low and the high end, (REACH, columns) from the end inwards; () if periodic
    excess : (REACH,) the sum of each of those rows
    """

    n: int
    stencil: np.ndarray
    ends: tuple[np.ndarray, ...]
    excess: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, axis: Axis, a: float) -> "Line":
        """-a D on an axis."""
        stencil = -a * INNER / axis.h**2
        if axis.periodic:
            return cls(axis.n, stencil, (), ())
        rows, data = zip(*(end_rows(axis, end, a) for end in (axis.low, axis.high)), strict=True)
        excess = tuple(-w * of_one(end) for w, end in zip(data, (axis.low, axis.high), strict=True))
        return cls(axis.n, stencil, rows, excess)

    def __call__(self, u: Tensor, dim: int) -> Tensor:
        """The product along an axis of u, in differences: what is constant in u leaves nothing behind."""
        n = self.n
        before, after = u.narrow(dim, n - REACH, REACH), u.narrow(dim, 0, REACH)
        wide = torch.cat([before, u, after], dim=dim)  # beside an end other rows take over
        out = torch.zeros_like(u)
        for k in range(REACH):
            out = out + self.stencil[k] * ((wide.narrow(dim, k, n) - u) + (wide.narrow(dim, 2 * REACH - k, n) - u))
        if not self.ends:
            return out
        low, high = self._beside(u.movedim(dim, -1), 0), self._beside(u.movedim(dim, -1).flip(-1), 1).flip(-1)
        inner = out.narrow(dim, REACH, n - 2 * REACH)
        return torch.cat([low.movedim(-1, dim), inner, high.movedim(-1, dim)], dim=dim)

    def _beside(self, u: Tensor, side: int) -> Tensor:
        """(..., REACH) the rows beside an end, of u from there inwards."""
        rows, excess = (torch.from_numpy(v[side]).to(u) for v in (self.ends, self.excess))
        here = u[..., :REACH]
        differences = u[..., None, : rows.shape[1]] - here[..., None]
        return (rows * differences).sum(-1) + excess * here

    def transposed(self, v: Tensor, dim: int) -> Tensor:
        """The product with the transpose, whose rows have no small sums; in float64."""
        blocks = [E - _cut(self.stencil, E.shape[1]) for E in self.ends]
        return _summed(self.stencil, [block.T for block in blocks], v.double(), dim).to(v)

    def magnitude(self, u: Tensor, dim: int) -> Tensor:
        """The product of the absolute values."""
        blocks = [abs(E) - abs(_cut(self.stencil, E.shape[1])) for E in self.ends]
        return _summed(abs(self.stencil), blocks, u, dim)

    def beside(self, transposed: bool) -> tuple[np.ndarray, np.ndarray]:
        """(2, rows, columns) the rows beside both ends, from there inwards, and (2, rows) their sums."""
        if not self.ends:
            return np.zeros((2, 0, 0)), np.zeros((2, 0))
        if not transposed:
            width = max(rows.shape[1] for rows in self.ends)
            wide = [np.pad(rows, ((0, 0), (0, width - rows.shape[1]))) for rows in self.ends]
            return np.stack(wide), np.stack(self.excess)
        apart = self.n >= 2 * FEWEST + REACH  # no row is beside both
        A = (replace(self, n=2 * FEWEST + REACH) if apart else self).dense().T
        rows, columns = (FEWEST, FEWEST + REACH) if apart else A.shape
        both = np.stack([A[:rows, :columns], A[::-1, ::-1][:rows, :columns]])
        return both, both.sum(2)

    def dense(self) -> np.ndarray:
        """The matrix."""
        return self(torch.eye(self.n, dtype=torch.float64, device="cpu"), 0).numpy()


@unaffected
def _summed(stencil: np.ndarray, blocks: Sequence[np.ndarray], u: Tensor, dim: int) -> Tensor:
    """The stencil, 0 (wrapped without ``blocks``) beyond the ends, plus a block at either end, times u."""
    n, zeros = u.shape[dim], torch.zeros_like(u.narrow(dim, 0, REACH))
    before, after = (zeros, zeros) if blocks else (u.narrow(dim, n - REACH, REACH), u.narrow(dim, 0, REACH))
    wide = torch.cat([before, u, after], dim=dim)
    out = stencil[REACH] * u
    for k in range(REACH):
        out = out + stencil[k] * (wide.narrow(dim, k, n) + wide.narrow(dim, 2 * REACH - k, n))
    for side, block in enumerate(blocks):
        E, (rows, columns) = torch.from_numpy(block).to(u.device, wide_enough(u)), block.shape
        E = E if side == 0 else E.flip(0, 1)
        part = u.narrow(dim, 0 if side == 0 else n - columns, columns).movedim(dim, -1).to(E) @ E.T
        out.narrow(dim, 0 if side == 0 else n - rows, rows).add_(part.movedim(-1, dim))
    return out


def _spectrum(axis: Axis) -> tuple[float, float]:
    """Of A_2^-1 A on one axis (c makes A_2 regular), which a short axis with the same ends shows."""
    short = replace(axis, n=SHORT, lower=0.0, upper=SHORT * axis.h)
    (k,), _ = conductances([short], [torch.ones(SHORT + 1, dtype=torch.float64, device="cpu")])
    second = Diffusion((short,), (k,), torch.tensor(1e-6 / short.h**2, dtype=torch.float64, device="cpu"))
    eye = torch.eye(SHORT, dtype=torch.float64, device="cpu")
    A_2, A = (operator(eye).numpy().T for operator in (second, FourthOrder(second, (1.0,))))  # of each column
    lam = np.linalg.eigvals(np.linalg.solve(A_2, A)).real
    return float(lam.min()), float(lam.max())


def _cut(stencil: np.ndarray, width: int) -> np.ndarray:
    """The stencil's rows beside an end, zero beyond it."""
    rows = np.zeros((REACH, width))
    for i in range(REACH):
        rows[i, : i + REACH + 1] = stencil[REACH - i :]
    return rows


@dataclass(frozen=True)
class FourthOrder:
    """A: (*batch, *grid) -> (*batch, *grid), or its transpose.

    Parameters
    ----------
    base : the second-order operator with the same coefficients
    a : per axis
    transposed : whether this is A^T
    """

    base: Diffusion
    a: tuple[float, ...]
    transposed: bool = False

    @cached_property
    def lines(self) -> list[Line]:
        """Per axis -a_d D_d."""
        return [Line.of(axis, a) for axis, a in zip(self.base.axes, self.a, strict=True)]

    def __call__(self, u: Tensor) -> Tensor:
        if self.transposed:
            return self._sum([line.transposed for line in self.lines], u)
        return self._sum(self.lines, u)

    def magnitude(self, u: Tensor) -> Tensor:
        """|A| |u|, the scale of the round-off in A u (and in A^T u)."""
        return self._sum([line.magnitude for line in self.lines], u.abs())

    def rounding(self, u: Tensor, b: Tensor) -> np.ndarray:
        """(batch,) || |A||u| + |b| ||."""
        return norms(self.magnitude(u) + b.abs())

    def _sum(self, products: Sequence[Callable[[Tensor, int], Tensor]], u: Tensor) -> Tensor:
        """w (c + the products along the axes) u, or the transpose of that."""
        u = self.base.weigh(u) if self.transposed else u
        out = torch.zeros_like(u)
        for d, product in enumerate(products):
            out = out + product(u, d - self.ndim)
        out = out if self.c is None else out + self.c * u
        return out if self.transposed else self.base.weigh(out)

    @property
    def T(self) -> "FourthOrder":
        return replace(self, transposed=not self.transposed)

    @property
    def symmetric(self) -> bool:
        return False

    @property
    def axes(self) -> tuple[Axis, ...]:
        return self.base.axes

    @property
    def ndim(self) -> int:
        return self.base.ndim

    @property
    def c(self) -> Tensor | None:
        return self.base.c

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What A u may be differentiated by: c."""
        return () if self.c is None else (self.c,)

    def made_of(self, tensors: Sequence[Tensor]) -> "FourthOrder":
        """The operator with other ``tensors``."""
        return replace(self, base=self.base.having(self.base.k, tensors[0] if tensors else None))

    def derivative(self, k: int, v: Tensor, u: Tensor) -> Tensor:
        """d (-v^T A u) / d c, not yet summed to its shape."""
        return -self.base.weigh(v * u)

    def change(self, tangents: Sequence[Tensor], u: Tensor) -> Tensor:
        """dA u, where c changes."""
        return self.base.weigh(tangents[0] * u) if tangents else torch.zeros_like(u)

    def detached(self) -> "FourthOrder":
        """The operator without a graph."""
        return replace(self, base=self.base.detached())

    def like(self, v: Tensor) -> "FourthOrder":
        """The operator in v's dtype, on its device."""
        return replace(self, base=self.base.like(v))

    def flattened(self, batch: Sequence[int]) -> "FourthOrder":
        """The operator with its batch axes, broadcast to ``batch``, made one."""
        return replace(self, base=self.base.flattened(batch))

    def weigh(self, v: Tensor) -> Tensor:
        """v times the shares along every axis."""
        return self.base.weigh(v)

    @cached_property
    def spectrum(self) -> tuple[float, float]:
        """Where the eigenvalues of M A lie for a cycle M of the second-order operator; c draws them to 1."""
        ends = [_spectrum(axis) for axis in self.axes if not axis.periodic]
        return SLACK[0] * min([1.0, *(low for low, _ in ends)]), SLACK[1] * max([4 / 3, *(high for _, high in ends)])

    def datum(self, g: Tensor, d: int, side: int) -> Tensor:
        """What the datum g of an end, (*batch, *grid with 1 along d), adds to b."""
        axis, dim = self.base.axes[d], d - self.ndim
        _, weights = end_rows(axis, (axis.low, axis.high)[side], self.a[d])
        values = np.zeros(axis.n)
        values[np.arange(REACH) if side == 0 else axis.n - 1 - np.arange(REACH)] = -weights
        rows = torch.from_numpy(values).to(g).reshape([-1] + [1] * (-1 - dim))
        return self.base.weigh(rows * g.expand(np.broadcast_shapes(g.shape, self._end_shape(d))))

    def _end_shape(self, d: int) -> tuple[int, ...]:
        return tuple(1 if e == d else axis.n for e, axis in enumerate(self.base.axes))

    def to_scipy(self) -> "sparse.csr_array":
        """The same matrix, rows and columns numbered in C order."""
        import scipy.sparse as sparse

        shape = [axis.n for axis in self.base.axes]
        zero = torch.zeros(shape, dtype=torch.float64, device="cpu")
        c = zero if self.c is None else self.c.detach().cpu() + zero
        matrix = sparse.diags_array(c.numpy().ravel()).tocsr()
        for d, line in enumerate(self.lines):
            left, right = (sparse.eye_array(int(np.prod(s))) for s in (shape[:d], shape[d + 1 :]))
            matrix = matrix + sparse.kron(sparse.kron(left, sparse.csr_array(line.dense())), right)
        weights = sparse.diags_array(self.base.weigh(torch.ones_like(zero).to(self.base.k[0])).cpu().numpy().ravel())
        matrix = sparse.csr_array(weights.astype(np.float64) @ matrix)
        return sparse.csr_array(matrix.T) if self.transposed else matrix


def check_order(order: object, problem: Posed) -> None:
    """Say where the fourth order is not to be had."""
    if not isinstance(order, (int, np.integer)) or order not in (2, 4):
        raise ValueError(f"`order` must be 2 or 4; it is {order!r:.80}.")
    if order == 2:
        return
    if problem.mask is not None or problem.fixed is not None:
        what = "is a `mask`" if problem.fixed is None else "are `fixed` unknowns, where u has kinks"
        raise ValueError(f"`order` = 4 needs the whole box; there {what}. Pass order=2.")
    if problem.velocity is not None:
        raise ValueError("`order` = 4 has no convection; there is a `velocity`. Pass order=2.")
    if problem.constant_a is None:
        raise ValueError("`order` = 4 needs an `a` of numbers (one, or one per axis). Pass order=2 for this `a`.")
    if not problem.grid.uniform:
        raise ValueError("`order` = 4 needs equal mesh widths and Cartesian coordinates. Pass order=2 for this `grid`.")
    if not problem.grid.has_numbers:
        raise ValueError("`order` = 4 needs Robin(alpha) of numbers. Pass order=2 for an alpha that varies.")
    for d, axis in enumerate(problem.grid.axes):
        if axis.n < FEWEST:
            raise ValueError(f"`order` = 4 needs at least {FEWEST} unknowns on each axis; axis {d} has {axis.n}.")
        for end in (axis.low, axis.high) if axis.centering == "node" else ():
            if isinstance(end, Robin) and end.alpha * axis.h > PENALTY * problem.constant_a[d]:
                raise ValueError(
                    f"`order` = 4 needs an alpha h / a of Robin of at most {PENALTY:g} on nodes; on axis {d} it is "
                    f'{end.alpha * axis.h / problem.constant_a[d]:.3g}, which fixes u. Say "dirichlet", and g / alpha '
                    f"as its data."
                )
