"""A uniform box with a mask, fixed unknowns and data on all edges, assembled face by face, for tests."""

from itertools import product

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg as splinalg

from mgnet.pde import Grid, Robin


def nothing(*at):
    return 0.0


class Box:
    """Unknowns, cells and faces of a uniform grid, and -div(a grad u) + c u = f on them, as numbers."""

    def __init__(self, shape, bc="dirichlet", centering="node", upper=1.0):
        self.shape, self.cell = tuple(shape), centering == "cell"
        bc = [bc] * len(shape) if isinstance(bc, (str, Robin)) else bc
        self.bc = [pair if isinstance(pair, tuple) else (pair, pair) for pair in bc]
        self.upper = np.broadcast_to(upper, len(shape)).astype(float)
        self.grid = Grid(shape, bc, upper=tuple(self.upper), centering=centering)
        self.x, self.h = [], []
        for n, pair, length in zip(self.shape, self.bc, self.upper, strict=True):
            held = [end == "dirichlet" for end in pair]
            whole = self.cell or pair[0] == "periodic"
            h = length / (n if whole else n - 1 + sum(held))
            self.h.append(h)
            self.x.append((np.arange(n) + (0.5 if self.cell else held[0])) * h)

    def shares(self, i):
        """Per axis the part of a cell that unknown i has."""
        out = []
        for p, n, pair in zip(i, self.shape, self.bc, strict=True):
            at_end = [end for end, here in zip(pair, (p == 0, p == n - 1), strict=True) if here]
            out.append(0.5 if not self.cell and any(end not in ("dirichlet", "periodic") for end in at_end) else 1.0)
        return out

    def face(self, i, d, side):
        """The centre of a face of unknown i; at an end, where the flux or the value is taken."""
        x = [self.x[e][p] for e, p in enumerate(i)]
        x[d] = min(max(x[d] + (side - 0.5) * self.h[d], 0.0), self.upper[d])
        if self.bc[d][0] == "periodic" and i[d] == 0 and side == 0:
            x[d] = self.x[d][-1] + 0.5 * self.h[d]
        return x

    def coefficient(self, a, i, other, d, side):
        """On a face; ``other`` None at an end, or where it lies outside of a mask."""
        a = a[d] if isinstance(a, tuple) else a
        if callable(a):
            return float(a(*self.face(i, d, side)))
        if np.ndim(a) == 0:
            return float(a)
        return float(a[i]) if other is None else 2 / (1 / a[i] + 1 / a[other])

    def end(self, d, side, a, alpha):
        """(coupling to 0, weight of the datum) of an end."""
        end, h = self.bc[d][side], self.h[d]
        half = 2 * a / h
        if end == "dirichlet":
            return (half / h, half / h) if self.cell else (a / h**2, a / h**2)
        if not self.cell:
            return alpha / h, 1 / h
        return alpha * half / (alpha + half) / h, half / (alpha + half) / h

    def assemble(self, f, a=1.0, c=0.0, boundary=nothing, alpha=None, mask=None, mask_bc="dirichlet", cut=nothing):
        """(A, b) of all unknowns, rows outside of the mask u = 0.

        boundary(d, side, i), alpha(d, side, i), cut(d, side, i, other): data at unknown i
        """
        index = np.arange(int(np.prod(self.shape))).reshape(self.shape)
        mask = np.ones(self.shape, bool) if mask is None else mask
        c, rows, b = np.broadcast_to(c, self.shape), [], np.zeros(index.size)
        for i in np.ndindex(*self.shape):
            me, share = index[i], self.shares(i)
            if not mask[i]:
                rows.append((me, me, 1.0))
                continue
            rows.append((me, me, np.prod(share) * c[i]))
            b[me] += np.prod(share) * f[i]
            for d, side in product(range(len(i)), (0, 1)):
                across, p, end = np.prod(share) / share[d], i[d] + 2 * side - 1, self.bc[d][side]
                if not 0 <= p < self.shape[d] and end != "periodic":
                    robin = end.alpha if isinstance(end, Robin) and alpha is None else 0.0
                    robin = alpha(d, side, i) if alpha is not None and isinstance(end, Robin) else robin
                    k, beta = self.end(d, side, self.coefficient(a, i, None, d, side), robin)
                    b[me] += across * beta * boundary(d, side, i)
                    rows.append((me, me, across * k))
                    continue
                other = (*i[:d], p % self.shape[d], *i[d + 1 :])
                inside = bool(mask[other])
                k = self.coefficient(a, i, other if inside else None, d, side) / self.h[d] ** 2
                if inside:
                    rows += [(me, me, across * k), (me, index[other], -across * k)]
                elif mask_bc == "dirichlet":
                    rows.append((me, me, across * k))
                    b[me] += across * k * cut(d, side, i, other)
                else:
                    b[me] += across / self.h[d] * cut(d, side, i, other)
        i, j, v = (np.array(column) for column in zip(*rows, strict=True))
        return sparse.csr_array((v, (i, j)), shape=(index.size,) * 2), b

    def solve(self, f, *, fixed=None, **how):
        """u, by elimination; fixed : (where, value) arrays."""
        A, b = self.assemble(f, **how)
        mask = how.get("mask")
        inside = np.ones(self.shape, bool) if mask is None else mask
        return eliminated(A, b, inside, *(fixed or (np.zeros(self.shape, bool), np.zeros(self.shape))))


def eliminated(A, b, inside, where, value):
    """A u = b with u = value where it is fixed, and 0 outside."""
    free, known = (inside & ~where).ravel(), (inside & where).ravel()
    u = np.where(inside & where, value, 0.0).ravel()
    u[free] = splinalg.spsolve(A[free][:, free].tocsc(), b[free] - A[free][:, known] @ u[known])
    return u.reshape(inside.shape)
