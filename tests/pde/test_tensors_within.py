"""Full tensors inside of masks, and beside fixed unknowns.

1  The matrix is that of an assembly by hand, energy by energy, whatever lies outside; b knows the data at the unknowns
   outside and those of what is fixed.
2  Where the cut of a mask holds u, and where nothing flows through it, the order is 2.
3  Principal axes of a ratio of 100, turned by any angle, take 20 cycles at most around a hole, and with fixed unknowns.
4  Batches, gradients both ways; what has no operator here is refused.
"""

from itertools import product

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from mgnet.pde import Faces, Grid, Poisson, Solver, solve
from tests.pde.grids_and_data import CENTERINGS, order, random
from tests.pde.test_tensors import rough, rows, turned

ENDS = ["dirichlet", "neumann", "periodic", ("neumann", "dirichlet")]


def hole(shape):
    """A disc cut out, and single unknowns."""
    x = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    mask = (x**2).sum(0) > 0.3
    mask[tuple(np.random.default_rng(3).integers(0, n, 3) for n in shape)] = False
    return mask


def assembled(grid, M, mask, held):
    """Energies of faces and corners over the unknowns of a two-dimensional grid; M is known inside of the mask."""
    n, h, cell = grid.shape, grid.spacing, grid.centering == "cell"
    A = np.zeros((grid.size, grid.size))
    bc = [["periodic"] * 2 if pair[0] == "periodic" else list(pair) for pair in grid.bc]

    def place(i, j, clamp):
        at = []
        for d, k in ((0, i), (1, j)):
            if bc[d][0] == "periodic":
                k %= n[d]
            elif clamp:
                k = min(max(k, 0), n[d] - 1)
            at.append(k)
        return tuple(at) if all(0 <= k < m for k, m in zip(at, n, strict=True)) else None

    def add(ends, weight):
        numbered = [(None if p is None else p[0] * n[1] + p[1], sign) for p, sign in ends]
        for (p, a), (q, b) in product(numbered, numbered):
            if p is not None and q is not None:
                A[p, q] += weight * a * b

    def end(d, k):
        return None if bc[d][0] == "periodic" else bc[d][0] if k == 0 else bc[d][1] if k == n[d] else None

    def inside(*places):
        return [p for p in places if mask[p]]

    def face(d, i, j):
        """a_dd below unknown (i, j) along axis d, of those inside."""
        v = [M[p][d, d] for p in inside(place(i, j, True), place(i - (d == 0), j - (d == 1), True))]
        return None if not v else len(v) / sum(1 / t for t in v)

    def corner(i, j):
        """The four places around it, and rho of those inside."""
        four = [place(i - p, j - q, True) for p, q in product((0, 1), (0, 1))]
        known = inside(*four)
        mean = sum(M[p] for p in known) / max(len(known), 1)
        return four, 0.0 if not known else mean[0, 1] / np.sqrt(mean[0, 0] * mean[1, 1])

    def missing(i, j):
        return not held and not all(mask[p] for p in corner(i, j)[0])

    for d in (0, 1):
        e = 1 - d
        for at in product(range(n[0] + (d == 0)), range(n[1] + (d == 1))):
            low = (at[0] - (d == 0), at[1] - (d == 1))
            here, there = place(*at, False), place(*low, False)
            both = [p for p in (here, there) if p is not None]
            if (bc[d][0] == "periodic" and at[d] == 0) or end(d, at[d]) == "neumann" or not inside(*both):
                continue
            if not held and not all(mask[p] for p in both):
                continue
            weight = face(d, *at) / h[d] ** 2 * (2 if end(d, at[d]) == "dirichlet" and cell else 1)
            free = [end(e, k) == "neumann" for k in (at[e], at[e] + 1)]
            lost = 0.0
            for side in (0, 1):
                rho = corner(at[0] + (e == 0) * side, at[1] + (e == 1) * side)[1]
                part = 0.0 if free[side] and not cell else 1.0 if any(free) and not cell else 0.5
                if missing(at[0] + (e == 0) * side, at[1] + (e == 1) * side):
                    lost += part * rho**2
                elif free[side] and cell:
                    mean = sum(M[p] for p in inside(*both)) / len(inside(*both))
                    weight *= 1 - mean[0, 1] ** 2 / mean[0, 0] / mean[1, 1] / 2
            add([(here, 1), (there, -1)], weight * (1 - lost) * (0.5 if any(free) and not cell else 1))
    for i, j in product(range(n[0] + 1), range(n[1] + 1)):
        if any(bc[d][0] == "periodic" and k == 0 for d, k in ((0, i), (1, j))) or missing(i, j):
            continue
        four, rho = corner(i, j)
        if "neumann" in (end(0, i), end(1, j)) or not inside(*four):
            continue
        means = []
        for d in (0, 1):
            others = [(i, j), (i, j - 1)] if d == 0 else [(i, j), (i - 1, j)]
            others = [
                tuple(min(max(k, 0), m - 1) if bc[f][0] != "periodic" and f != d else k
                      for f, (k, m) in enumerate(zip(p, n, strict=True)))
                for p in others
            ]  # fmt: skip
            v = [t for t in (face(d, *p) for p in others) if t is not None]
            means.append(len(v) / sum(1 / t for t in v))
        s = rho * np.sqrt(means[0] * means[1]) / (2 * h[0] * h[1])
        s *= 2 ** (cell * sum(end(d, k) == "dirichlet" for d, k in ((0, i), (1, j))))
        add([(place(i, j, False), 1), (place(i - 1, j - 1, False), -1)], s)
        add([(place(i, j - 1, False), 1), (place(i - 1, j, False), -1)], -s)
    return A


@pytest.mark.parametrize("held", [True, False], ids=["held", "free"])
@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("bc", ENDS, ids=str)
def test_matrix(bc, centering, held):
    shape = (9, 11)
    grid, mask, M = Grid(shape, bc=[bc, "dirichlet"], centering=centering), hole(shape), rough(shape)
    fixed = mask & (np.arange(99).reshape(shape) % 13 == 4)
    A = assembled(grid, M, mask, held)
    M[~mask] = np.nan
    problem = Poisson(
        grid, rows(M), mask=mask, mask_bc="dirichlet" if held else "neumann", fixed=(fixed, lambda x, y: 1 + x * y)
    )
    unknown = (mask & ~fixed).ravel()
    ours = problem.to_scipy().toarray()
    assert abs(ours[np.ix_(unknown, unknown)] - A[np.ix_(unknown, unknown)]).max() <= 1e-10 * abs(A).max()
    others = ours[~unknown] - np.diag(ours.diagonal())[~unknown]
    assert not others.any()
    x, y = grid.coordinates()
    f, g = random(shape), np.where(fixed, 1 + x * y, np.where(mask, 0.0, np.sin(x + y) if held else 0.0))
    given = {"mask_boundary": lambda x, y: np.sin(x + y)} if held else {}
    shares = np.multiply.outer(*(axis.share for axis in grid.axes))
    b = problem.rhs(f, **given)
    wanted = (shares * f - (A @ g.ravel()).reshape(shape)).ravel()
    assert abs(b.ravel() - wanted)[unknown].max() <= 1e-10 * abs(wanted[unknown]).max()
    u = Solver(problem).solve(f, tol=1e-11, **given).u
    exact = np.linalg.solve(A[np.ix_(unknown, unknown)], wanted[unknown])
    assert abs(u.ravel()[unknown] - exact).max() <= 1e-7 * abs(exact).max()
    assert np.array_equal(u[fixed], (1 + x * y)[fixed])


def inner(n, centering):
    """A grid and the mask of [1/4, 3/4]^2, whose edges lie halfway between unknowns."""
    grid = Grid((n, n), lower=0.0, upper=1.0, centering="cell") if centering == "cell" else None
    if grid is None:  # nodes at (i + 1/2) / n, those of the ends beyond
        grid = Grid.from_nodes([np.arange(-0.5, n + 1) / n] * 2)
    x, y = grid.coordinates()
    return grid, (abs(x - 0.5) < 0.25) & (abs(y - 0.5) < 0.25)


A_11, A_12, A_22 = 2.0, -0.9, 1.0


@pytest.mark.parametrize("kind", ["numbers", "callables"])
@pytest.mark.parametrize("held", [True, False], ids=["held", "free"])
@pytest.mark.parametrize("centering", CENTERINGS)
def test_order(centering, held, kind):
    entries = A_11, A_12, A_22
    a11, a12, a22 = entries if kind == "numbers" else ((lambda x, y, v=v: v + 0 * x) for v in entries)
    a = ((a11, a12), (a12, a22))

    def square(t):
        """(1/4 < t < 3/4) P, P', P'' of a polynomial that ends flat."""
        s = 4 * t - 2
        return (1 - s**2) ** 3, -24 * s * (1 - s**2) ** 2, 96 * (1 - s**2) * (5 * s**2 - 1)

    errors = []
    for n in (sizes := (32, 64, 128)):
        grid, mask = inner(n, centering)
        x, y = grid.coordinates()
        if held:
            u = np.sin(3 * x + y) + x * y
            f = (9 * A_11 + 6 * A_12 + A_22) * np.sin(3 * x + y) - 2 * A_12 + u
            s = solve(f, grid=grid, a=a, c=1.0, mask=mask, mask_boundary=lambda x, y: np.sin(3 * x + y) + x * y)
        else:
            (P, P1, P2), (Q, Q1, Q2) = square(x), square(y)
            u = P * Q
            f = -(A_11 * P2 * Q + 2 * A_12 * P1 * Q1 + A_22 * P * Q2) + u
            s = solve(f, grid=grid, a=a, c=1.0, mask=mask, mask_bc="neumann")
        errors.append(abs(s.u - u)[mask].max())
    assert order(sizes, errors) == pytest.approx(2.0, abs=0.15), errors


@pytest.mark.parametrize("within", ["held", "free", "fixed"])
def test_axes_turned_by_any_angle(within):
    n, counts = 96, []
    mask, f = hole((n, n)), random((n, n))
    more = {"fixed": (~mask, 1.0)} if within == "fixed" else {"mask": mask}
    more |= {"mask_bc": "neumann"} if within == "free" else {}
    for angle in (10, 30, 45, 75, 120):
        counts.append(solve(f, a=turned(angle), **more).cycles)
    assert max(counts) <= 20, counts


def test_space():
    shape = (7, 6, 8)
    grid, mask, M = Grid(shape), hole(shape), rough(shape)
    whole = Poisson(grid, rows(M)).to_scipy().toarray()
    number = (2.0, 0.5, 0.3), (0.5, 1.0, -0.2), (0.3, -0.2, 1.5)
    fixed = np.arange(mask.size).reshape(shape) % 19 == 7
    for a, more, unknown in (
        (rows(M), {"fixed": (fixed, 2.0)}, ~fixed),
        (number, {"fixed": (fixed, 2.0), "mask": mask}, mask & ~fixed),
    ):
        whole = Poisson(grid, a).to_scipy().toarray()
        problem = Poisson(grid, a, **more)
        unknown = unknown.ravel()
        ours = problem.to_scipy().toarray()[np.ix_(unknown, unknown)]
        assert abs(ours - whole[np.ix_(unknown, unknown)]).max() <= 1e-10 * abs(whole).max()
        f = random(shape)
        u = solve(f, a=a, tol=1e-11, **more).u.ravel()
        b = f.ravel() - whole @ np.where(fixed & mask if "mask" in more else fixed, 2.0, 0.0).ravel()
        exact = np.linalg.solve(whole[np.ix_(unknown, unknown)], b[unknown])
        assert abs(u[unknown] - exact).max() <= 1e-7 * abs(exact).max()


def test_batches():
    masks = np.stack([hole((20, 20)), hole((20, 20)).T])
    f = random((2, 20, 20))
    both = solve(f, a=turned(30), mask=masks, ndim=2).u
    for k in (0, 1):
        np.testing.assert_allclose(both[k], solve(f[k], a=turned(30), mask=masks[k]).u, rtol=0, atol=1e-7)


@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
def test_gradients(mask_bc):
    mask = torch.as_tensor(hole((5, 6)))
    fixed = torch.zeros(5, 6, dtype=torch.bool)
    fixed[tuple(mask.nonzero()[3])] = True

    def u(f, a11, a12, a22, value):
        more = {"mask": mask, "mask_bc": mask_bc, "fixed": (fixed, value)}
        return solve(f, a=((a11, a12), (a12, a22)), c=1.0, tol=1e-13, **more).u

    given = [torch.as_tensor(random((5, 6), k)) for k in range(4)]
    given = [given[0], 2 + given[1] ** 2, given[2] / 4, 2 + given[3] ** 2, torch.tensor(0.7, dtype=torch.float64)]
    assert gradcheck(u, [v.requires_grad_() for v in given], check_forward_ad=True, atol=1e-6, fast_mode=True)


def test_refused():
    mask, a = hole((9, 8)), ((1.0, 0.1), (0.1, 1.0))
    for more, message in (
        ({"mask_boundary": Faces(1.0, 1.0)}, "gives the value of u at the unknowns outside"),
        ({"mask_boundary": 1.0, "mask_bc": "neumann"}, "gives the value of u at the unknowns outside"),
    ):
        with pytest.raises(ValueError, match=message):
            solve(np.ones((9, 8)), a=a, mask=mask, **more)
    space = tuple(tuple(1.0 if d == e else 0.1 for e in range(3)) for d in range(3))
    with pytest.raises(ValueError, match="needs a mask that holds u in space"):
        solve(np.ones((5, 6, 7)), a=space, mask=hole((5, 6, 7)), mask_bc="neumann")
