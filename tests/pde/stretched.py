"""Faces and nodes at unequal distances, and an operator assembled cell by cell, for the tests of grids."""

from itertools import product

import numpy as np
import scipy.sparse as sparse

from mgnet.pde import Grid, Robin


def graded(n, ratio, lower=0.0, upper=1.0, both=False):
    """n + 1 faces whose widths grow by ``ratio`` in all, from one end to the other or from both to the middle."""
    s = (np.arange(n) + 0.5) / n
    x = np.concatenate([[0.0], np.cumsum(ratio ** (-np.abs(2 * s - 1) if both else s))])
    return lower + (upper - lower) * x / x[-1]


def smooth(n, lower=0.0, upper=1.0, steep=2.0, shift=0.1):
    """n + 1 faces on a smooth map of an even partition."""
    x = np.tanh(steep * (np.linspace(0, 1, n + 1) - 0.5 - shift))
    return lower + (upper - lower) * (x - x[0]) / (x[-1] - x[0])


def polar(n, bc, inner=0.0, geometry="polar", around=2 * np.pi):
    """n rings of twice as many cells."""
    return Grid.from_faces([np.linspace(inner, 1, n + 1), np.linspace(0, around, 2 * n + 1)], bc, geometry)


LENGTHS = {  # of each axis at a point
    "cartesian": lambda x: [1.0] * len(x),
    "polar": lambda x: [1.0, x[0]],
    "axisymmetric": lambda x: [1.0, 1.0],
    "cylindrical": lambda x: [1.0, x[0], 1.0],
    "spherical": lambda x: [1.0, x[0], x[0] * np.sin(x[1]) if len(x) > 1 else 1.0][: len(x)],
    "sphere": lambda x: [np.cos(x[1]), 1.0],
}


class Cells:
    """A grid as boxes: their volumes, the areas between them and the distances of their middles, one number at a time.

    Everything is integrated from the definition of the coordinates: what the solver has is not looked at.
    """

    def __init__(self, points, bc, geometry, cell):
        self.bc, self.geometry, self.cell = bc, geometry, cell
        self.edges, self.x, self.values = zip(*map(self._axis, points, bc), strict=True)
        self.shape = tuple(len(x) for x in self.x)

    def _axis(self, p, pair):
        """(edges of the cells, unknowns, places of the values at both ends)"""
        p = np.asarray(p, float)
        if self.cell:
            x = (p[1:] + p[:-1]) / 2
            ends = (x[-1] - (p[-1] - p[0]), x[0] + p[-1] - p[0]) if pair[0] == "periodic" else (p[0], p[-1])
            return p, x, ends
        middle = (p[1:] + p[:-1]) / 2
        if pair[0] == "periodic":
            L = p[-1] - p[0]
            return np.concatenate([[middle[-1] - L], middle]), p[:-1], (p[-2] - L, p[-1])
        held = [end == "dirichlet" for end in pair]
        edges = np.concatenate([[] if held[0] else p[:1], middle, [] if held[1] else p[-1:]])
        return edges, p[int(held[0]) : len(p) - int(held[1])], (p[0], p[-1])

    def _width(self, d, i, power=0):
        """The integral of r^power, of sin theta or of cos lat over cell i of axis d."""
        a, b = self.edges[d][i], self.edges[d][i + 1]
        return (b ** (power + 1) - a ** (power + 1)) / (power + 1)

    def volume(self, index):
        out = 1.0
        for d, i in enumerate(index):
            a, b = self.edges[d][i], self.edges[d][i + 1]
            if self.geometry == "spherical" and d == 1:
                out *= np.cos(a) - np.cos(b)
            elif self.geometry == "sphere" and d == 1:
                out *= np.sin(b) - np.sin(a)
            elif self.geometry != "cartesian" and self.geometry != "sphere" and d == 0:
                out *= self._width(d, i, 2 if self.geometry == "spherical" else 1)
            else:
                out *= b - a
        return out

    def area(self, index, d, at):
        """Of the face of axis d at x_d = at, of the cell's extent along the other axes."""
        width, r = [self._width(e, i) for e, i in enumerate(index)], self.x[0][index[0]]
        across = float(np.prod([w for e, w in enumerate(width) if e != d]))
        if self.geometry in ("polar", "axisymmetric", "cylindrical"):
            around = d == 1 and self.geometry != "axisymmetric"
            return across * (at if d == 0 else 1.0 if around else self._width(0, index[0], 1) / width[0])
        if self.geometry == "spherical":
            phi = width[2] if len(index) > 2 else 1.0
            if d == 0:
                theta = self.edges[1][index[1] : index[1] + 2] if len(index) > 1 else [np.pi / 2, np.pi]
                return at**2 * (np.cos(theta[0]) - np.cos(theta[1])) * phi
            return width[0] * r * (np.sin(at) * phi if d == 1 else width[1])
        return across * (np.cos(at) if self.geometry == "sphere" and d == 1 else 1.0)

    def distance(self, index, d, a, b):
        x = [self.x[e][i] for e, i in enumerate(index)]
        return abs(b - a) * LENGTHS[self.geometry](x)[d]

    def assemble(self, a, c, g):
        """(A, volumes, what boundary data g(d, side, *x) add) of -div(a grad u) + c u, integrated over the cells."""
        n = int(np.prod(self.shape))
        A, volumes, b = sparse.lil_array((n, n)), np.zeros(n), np.zeros(n)
        number = {index: k for k, index in enumerate(product(*map(range, self.shape)))}
        for index, k in number.items():
            x = [self.x[e][i] for e, i in enumerate(index)]
            volumes[k] = self.volume(index)
            A[k, k] += c(*x) * volumes[k]
            for d, side in product(range(len(index)), (0, 1)):
                self._face(A, b, a, g, number, index, d, side)
        return A.tocsr(), volumes, b

    def _face(self, A, b, a, g, number, index, d, side):
        k, i, sign = number[index], index[d], 2 * side - 1
        at, x = self.edges[d][i + side], [self.x[e][j] for e, j in enumerate(index)]
        face = [at if e == d else v for e, v in enumerate(x)]
        if self.bc[d][0] == "periodic" and i == 0 and side == 0:
            face[d] = self.edges[d][-1]
        area, beyond = self.area(index, d, at), i + sign
        if self.bc[d][0] == "periodic" or 0 <= beyond < self.shape[d]:
            outside = not 0 <= beyond < self.shape[d]
            there = self.values[d][side] if outside else self.x[d][beyond]
            K = a(*face) * area / self.distance(index, d, x[d], there)
            neighbour = number[(*index[:d], beyond % self.shape[d], *index[d + 1 :])]
            A[k, k] += K
            A[k, neighbour] -= K
            return
        end, value = self.bc[d][side], self.values[d][side]
        end_at = [value if e == d else v for e, v in enumerate(x)]
        datum = g(d, side, *end_at)
        if end == "dirichlet":
            K = a(*face) * area / self.distance(index, d, x[d], value)
            A[k, k] += K
            b[k] += K * datum
            return
        alpha, per = (end.alpha if isinstance(end, Robin) else 0.0), area
        alpha = alpha(*end_at) if callable(alpha) else alpha
        if self.cell and area > 0:  # (a / distance) (face value - u) = g - alpha face value
            half = a(*face) / self.distance(index, d, x[d], value)
            alpha, per = alpha * half / (alpha + half), area * half / (alpha + half)
        A[k, k] += alpha * area
        b[k] += per * datum
