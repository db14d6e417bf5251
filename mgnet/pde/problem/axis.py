"""One axis of a structured grid: where its unknowns lie, and how two such axes exchange values.

Everything about a boundary that does not depend on the coefficients is decided here, in one
dimension; grids, operators and transfers are products of axes.

To an operator an axis is a few vectors. With h its mean mesh width, A = sum_d (x)_e (K_d if e == d else W_e):

    W  (n)       ``share``: the cells' volumes over h; 1 on a uniform axis, 1/2 in the half cell at a node-centred end
    K  (n + 1)   the faces' conductances a areas / (distances h), at the ends what their kind makes of it
                 (``conductances.conductance``, of a on the faces)

and, in curvilinear coordinates, W_e times ``turn_weight`` for those d that axis e lengthens (``geometry``).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mgnet.pde.problem.ends import DIRICHLET, NEUMANN, PERIODIC, Robin
from mgnet.pde.problem.geometry import Measure

__all__ = ["DIRICHLET", "NEUMANN", "PERIODIC", "Axis", "Robin", "Table"]


@dataclass(frozen=True)
class Table:
    """A row-sparse matrix whose row i holds ``weights[i]`` at columns start[i], start[i] + 1, ...

    Columns of a periodic axis wrap around; elsewhere they lie inside the axis.
    """

    start: np.ndarray  # (rows,)
    weights: np.ndarray  # (rows, width)
    columns: int

    @cached_property
    def index(self) -> np.ndarray:
        """(rows, width) column numbers, wrapped."""
        return (self.start[:, None] + np.arange(self.weights.shape[1])) % self.columns

    def __matmul__(self, other: "Table") -> "Table":
        """The product of the matrices; zero weights take no room."""
        n = other.weights.shape[0]
        row = self.start[:, None] + np.arange(self.weights.shape[1])
        column = (other.start[row % n] + other.columns * (row // n))[:, :, None] + np.arange(other.weights.shape[1])
        w = (self.weights[:, :, None] * other.weights[row % n]).reshape(len(row), -1)
        column, far = column.reshape(len(row), -1), np.iinfo(np.int64).max // 2
        start, stop = np.where(w != 0, column, far).min(1), np.where(w != 0, column + 1, -far).max(1)
        start, stop = np.where(stop > start, start, 0), np.where(stop > start, stop, 1)
        width = int((stop - start).max())
        if start.min() >= 0 and stop.max() <= other.columns:  # nothing wraps: keep the windows inside
            start = np.minimum(start, other.columns - width)
        keep = w != 0
        at = (np.arange(len(row))[:, None] * width + column - start[:, None])[keep]
        weights = np.bincount(at, w[keep], len(row) * width).reshape(-1, width)
        return Table(start, weights, other.columns)

    @cached_property
    def transpose(self) -> "Table":
        """The transposed matrix in the same form."""
        return _transpose(self)


@dataclass(frozen=True)
class Axis:
    """n unknowns between ``lower`` and ``upper``.

    Parameters
    ----------
    n : number of unknowns
    low, high : "dirichlet", "neumann", "periodic" (both or neither) or Robin
    centering : "node" or "cell"
    points : where they do not lie at equal distances, all n + 1 faces ("cell"), or all nodes with both ends ("node")
    measure : the areas and volumes along it, where those are not lengths
    """

    n: int
    low: str | Robin
    high: str | Robin
    centering: str
    lower: float
    upper: float
    points: tuple[float, ...] | None = None
    measure: Measure | None = None

    @cached_property
    def periodic(self) -> bool:
        return self.low == PERIODIC

    @cached_property
    def uniform(self) -> bool:
        """Whether all mesh widths, areas and volumes are the same."""
        return self.points is None and self.measure is None

    @property
    def stretched(self) -> bool:
        """Whether mesh widths differ by more than rounding does."""
        return self.points is not None and np.ptp(np.diff(self.points)) > 1e-9 * self.h

    @cached_property
    def intervals(self) -> int:
        """Number of mesh widths between lower and upper."""
        if self.centering == "cell" or self.periodic:
            return self.n
        return self.n - 1 + (self.low == DIRICHLET) + (self.high == DIRICHLET)

    @cached_property
    def h(self) -> float:
        """The mesh width, or the mean of them."""
        return (self.upper - self.lower) / self.intervals

    @property
    def offset(self) -> float:
        """x_0 = lower + offset h."""
        return 0.5 if self.centering == "cell" else float(self.low == DIRICHLET)

    @cached_property
    def x(self) -> np.ndarray:
        """Coordinates of the unknowns."""
        if self.points is not None:
            points = np.array(self.points)
            if self.centering == "cell":
                return (points[1:] + points[:-1]) / 2
            return points[int(self.low == DIRICHLET) :][: self.n]
        return self.lower + (np.arange(self.n) + self.offset) * self.h

    @cached_property
    def faces(self) -> np.ndarray:
        """Coordinates of the n + 1 faces halfway between unknowns, never outside [lower, upper].

        The end faces of a node-centred axis that own no flux of their own (Neumann) and those at
        half a mesh width from a Dirichlet value lie where the flux is taken. Periodic: the first
        and the last face are one, at upper - h/2 (node) or upper (cell).
        """
        x = self.edges
        if self.periodic:
            x = np.concatenate([x[-1:], x[1:]])
        return np.clip(x, self.lower, self.upper)

    @property
    def edges(self) -> np.ndarray:
        """The ends of the cells; of half a cell where that is the end of the axis, too."""
        if self.points is None:
            return self.lower + (np.arange(self.n + 1) + self.offset - 0.5) * self.h
        points = np.array(self.points)
        if self.centering == "cell":
            return points
        between = (points[1:] + points[:-1]) / 2
        if self.periodic:
            return np.concatenate([[between[-1] - (self.upper - self.lower)], between])
        low, high = points[:1], points[-1:]
        return np.concatenate([low[: self.low != DIRICHLET], between, high[: self.high != DIRICHLET]])

    @property
    def distances(self) -> np.ndarray:
        """(n + 1) from unknown to unknown across each face; at an end, to the value there (a node's own end: none)."""
        if self.points is None:
            ends = 0.5 if self.centering == "cell" and not self.periodic else 1.0
            return self.h * np.concatenate([[ends], np.ones(self.n - 1), [ends]])
        x = self.x
        if self.periodic:
            around = [x[:1] + self.upper - self.lower - x[-1:]]
            return np.concatenate([*around, np.diff(x), *around])
        return np.concatenate([x[:1] - self.lower, np.diff(x), self.upper - x[-1:]])

    @property
    def areas(self) -> np.ndarray | None:
        """(n + 1) of the faces; None where all are 1."""
        return None if self.measure is None else self.measure.density(self.edges)

    @property
    def turn_weight(self) -> np.ndarray:
        """(n) what conductances along an axis that this one lengthens are weighted by, over ``share``."""
        assert self.measure is not None
        edges = self.edges
        along = np.diff(edges) * self.measure.density(self.x) / self.turn_length**2
        return along / self.measure.volume(edges[:-1], edges[1:])

    @property
    def turn_length(self) -> np.ndarray:
        """(n) the length of such an axis, over what its coordinates say."""
        assert self.measure is not None
        return self.measure.length(self.x)

    @cached_property
    def has_half_cells(self) -> bool:
        """Whether the unknown at an end has but half a cell."""
        return self.centering == "node" and not self.periodic and not (self.low == self.high == DIRICHLET)

    @cached_property
    def weighs(self) -> bool:
        """Whether ``share`` is not 1 everywhere."""
        return self.has_half_cells or not self.uniform

    @cached_property
    def has_numbers(self) -> bool:
        """Whether its ends, and what they couple u to, are words and numbers."""
        return not any(isinstance(end, Robin) and end.varies for end in (self.low, self.high))

    @cached_property
    def has_through_ends(self) -> bool:
        """Whether a value beyond an end acts through a half cell: what a is there, its datum is weighted by."""
        robin = any(isinstance(end, Robin) and end.holds for end in (self.low, self.high))
        return self.centering == "cell" and robin

    @cached_property
    def share(self) -> np.ndarray:
        """Each unknown's share of a cell: 1, or 1/2 at a node-centred Neumann or Robin end.

        Where widths, or areas, differ: its volume over the mean width.
        """
        if not self.uniform:
            edges = self.edges
            volumes = np.diff(edges) if self.measure is None else self.measure.volume(edges[:-1], edges[1:])
            return volumes / self.h
        w = np.ones(self.n)
        if self.has_half_cells:
            w[0] *= 1.0 if self.low == DIRICHLET else 0.5
            w[-1] *= 1.0 if self.high == DIRICHLET else 0.5
        return w

    def ghost(self, side: int) -> tuple[float, int]:
        """The value next to the first (side 0) or last (side 1) unknown, by reflection.

        Returns (sign, i): the ghost value is sign * u[i]. Homogeneous data; Robin counts as Neumann.
        """
        end, inner = (0, min(1, self.n - 1)) if side == 0 else (self.n - 1, max(self.n - 2, 0))
        if self.periodic:
            return 1.0, self.n - 1 - end
        dirichlet = (self.low, self.high)[side] == DIRICHLET
        if self.centering == "cell":
            return (-1.0 if dirichlet else 1.0), end
        return (0.0, end) if dirichlet else (1.0, inner)

    def coarsen(self) -> "Axis":
        """The axis of about half as many mesh widths: exactly half if their number is even.

        An odd number N goes to the number within 7% above N/2 that can be halved most often: the
        coarse unknowns then do not lie among the fine ones, and later grids are nested.
        """
        assert self.uniform
        N = self.intervals
        candidates = [N // 2] if N % 2 == 0 else range((N + 1) // 2, int(0.535 * N) + 2)
        best = max(candidates, key=lambda m: (m & -m, -m))
        return Axis(self.n - N + best, self.low, self.high, self.centering, self.lower, self.upper)

    def interpolation(self, coarse: "Axis", order: int = 2) -> Table:
        """The matrix P that takes values on ``coarse`` to this axis.

        Parameters
        ----------
        order : 2 linear, with ghost values by reflection (a correction vanishes at Dirichlet ends);
            4 cubic through the four nearest unknowns, with no assumption about the boundary (an
            iterate of full multigrid may have any boundary data)
        """
        t = (self.x - coarse.lower) / coarse.h - coarse.offset  # in units of coarse unknowns
        return _linear(coarse, t) if order == 2 else _lagrange(coarse, t, order)


def _linear(coarse: Axis, t: np.ndarray) -> Table:
    j = np.floor(t + 1e-9).astype(np.int64)
    theta = np.where(np.abs(t - j) < 1e-9, 0.0, t - j)
    weights = np.stack([1 - theta, theta], axis=1)
    if coarse.periodic:
        return Table(j, weights, coarse.n)
    start = np.clip(j, 0, max(coarse.n - 2, 0))
    folded = np.zeros((len(t), min(2, coarse.n)))
    for column, w in ((j, weights[:, 0]), (j + 1, weights[:, 1])):
        sign, i = np.ones(len(t)), column.copy()
        for side, outside in ((0, column < 0), (1, column >= coarse.n)):
            ghost, image = coarse.ghost(side)
            sign, i = np.where(outside, ghost, sign), np.where(outside, image, i)
        folded[np.arange(len(t)), np.clip(i - start, 0, folded.shape[1] - 1)] += sign * w
    return Table(start, folded, coarse.n)


def _lagrange(coarse: Axis, t: np.ndarray, order: int) -> Table:
    width = order if coarse.periodic else min(order, coarse.n)
    start = np.floor(t + 1e-9).astype(np.int64) - (width - 1) // 2
    if not coarse.periodic:
        start = np.clip(start, 0, coarse.n - width)
    s = t - start
    weights = np.ones((len(t), width))
    for k in range(width):
        for m in range(width):
            if m != k:
                weights[:, k] *= (s - m) / (k - m)
    weights[np.abs(weights) < 1e-12] = 0.0
    return Table(start, weights, coarse.n)


def _transpose(table: Table) -> Table:
    """Row-sparse form of the transposed matrix: each column's rows lie side by side (wrapped)."""
    rows, width = table.weights.shape
    column = table.start[:, None] + np.arange(width)
    row = np.arange(rows)[:, None] - rows * (column // table.columns)  # unwrapped beside its column
    keep = table.weights != 0
    row, column, w = row[keep], column[keep] % table.columns, table.weights[keep]
    start, stop = np.full(table.columns, rows), np.full(table.columns, -rows)
    np.minimum.at(start, column, row)
    np.maximum.at(stop, column, row + 1)
    start = np.where(stop > start, start, 0)
    width = int(min(max((stop - start).max(), 1), rows))
    if start.min() >= 0 and stop.max() <= rows:  # nothing wraps: keep the windows inside
        start = np.minimum(start, rows - width)
    weights = np.bincount(column * width + (row - start[column]) % rows, w, table.columns * width)
    return Table(start, weights.reshape(-1, width), rows)
