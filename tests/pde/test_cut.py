"""Data on the cut of a mask.

1  u is what an independent assembly gives, for values and fluxes, numbers, arrays, callables and data on faces, on all
   ends, centrings and coefficients, and on stretched and curvilinear grids.
2  Values act at the unknowns outside, fluxes at the centres of faces: polynomials that the differences know come out.
3  Gradients, reverse, forward and mapped; batches.
4  Singular problems: fluxes count in the mean of the data.
5  What is not looked at may be anything; what is wrong is refused.
"""

import numpy as np
import pytest
import scipy.sparse.linalg as splinalg
import torch

from mgnet.pde import Faces, Grid, Poisson, Robin, Solver, solve
from tests.pde.box import Box
from tests.pde.grids_and_data import random
from tests.pde.stretched import Cells, graded

ENDS = ["dirichlet", "neumann", Robin(0.7)]


def close(u, exact, tol=1e-10):
    np.testing.assert_allclose(u, exact, rtol=0, atol=tol * np.abs(exact).max())


def on_faces(shape, seed):
    return [random([n + (e == d) for e, n in enumerate(shape)], seed + d) for d in range(len(shape))]


def data(kind, box, mask_bc):
    """(mask_boundary, its value at each cut face) of a kind of data."""
    held = mask_bc == "dirichlet"
    if kind == "number":
        return 1.3, lambda d, side, i, other: 1.3
    if kind == "array":
        v = random(box.shape, 5)
        return v, lambda d, side, i, other: v[other if held else i]
    if kind == "callable":

        def g(*x):
            return sum((k + 1) * np.cos(t) for k, t in enumerate(x))

        if held:
            return g, lambda d, side, i, other: g(*(box.x[e][p] for e, p in enumerate(other)))
        return g, lambda d, side, i, other: g(*box.face(i, d, side))
    v = on_faces(box.shape, 5)
    for d, pair in enumerate(box.bc):
        if pair[0] == "periodic":
            np.moveaxis(v[d], d, 0)[-1] = np.moveaxis(v[d], d, 0)[0]
    return Faces(*v), lambda d, side, i, other: v[d][(*i[:d], i[d] + side, *i[d + 1 :])]


@pytest.mark.parametrize("kind", ["number", "array", "callable", "faces"])
@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
@pytest.mark.parametrize("seed", range(6))
def test_equals_an_assembly(seed, mask_bc, kind):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(*[(9, 40), (5, 12), (4, 7)][seed % 3], size=seed % 3 + 1))
    bc = ["periodic" if rng.random() < 0.3 else tuple(rng.choice(np.array(ENDS, object), 2)) for _ in shape]
    box = Box(shape, bc, ["node", "cell"][seed % 2], rng.uniform(0.5, 2.0, len(shape)))
    a = [1.7, np.exp(random(shape, 1)), lambda *x: 1 + sum(t * t for t in x)][seed // 2 % 3]
    mask, f, c = rng.random(shape) < 0.8, rng.normal(size=shape), rng.random(shape)
    given, cut = data(kind, box, mask_bc)
    fixed = (rng.random(shape) < 0.2, rng.normal(size=shape)) if seed % 2 else None
    exact = box.solve(f, a=a, c=c, mask=mask, mask_bc=mask_bc, cut=cut, fixed=fixed)
    problem = Poisson(box.grid, a, c, mask=mask, mask_bc=mask_bc, fixed=fixed)
    close(Solver(problem).solve(f, mask_boundary=given, tol=1e-13).u, exact)
    b = problem.rhs(f, mask_boundary=given)
    close(splinalg.spsolve(problem.to_scipy().tocsc(), b.ravel()).reshape(shape), exact, 1e-11)


@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
@pytest.mark.parametrize(
    ("geometry", "points", "bc"),
    [
        ("cartesian", [graded(14, 20), graded(11, 5)], [("dirichlet", "neumann"), Robin(1.5)]),
        ("polar", [np.linspace(0, 1, 9), np.linspace(0, 2 * np.pi, 17)], [("neumann", "dirichlet"), "periodic"]),
        ("cylindrical", [np.linspace(0, 1, 6), np.linspace(0, 2, 6), graded(5, 3)],
         ["neumann", Robin(1.0), "dirichlet"]),
    ],
)  # fmt: skip
def test_on_other_grids(geometry, points, bc, mask_bc):
    """Cells beside the cut get area times flux, or area over distance times a and the value."""
    grid = Grid.from_faces(points, bc, geometry)
    pairs = [pair if isinstance(pair, tuple) else (pair, pair) for pair in bc]
    cells = Cells(points, pairs, geometry, cell=True)
    A, volumes, b = cells.assemble(lambda *x: 1 + x[0], lambda *x: 0.5, lambda d, side, *x: 0.0)
    mask, f = np.random.default_rng(1).random(grid.shape) < 0.8, random(grid.shape, 2)
    A, b = A.tolil(), b + volumes * f.ravel()
    index = np.arange(grid.size).reshape(grid.shape)

    def g(*x):
        return 1 + x[0] + sum(np.cos(t) for t in x[1:])

    for i in map(tuple, np.argwhere(mask)):
        for d, n in enumerate(grid.shape):
            for side in (0, 1):
                p = i[d] + 2 * side - 1
                if not 0 <= p < n and pairs[d][0] != "periodic":
                    continue
                other = (*i[:d], p % n, *i[d + 1 :])
                if mask[other]:
                    continue
                x = [cells.x[e][k] for e, k in enumerate(i)]
                face, there = list(x), [cells.x[e][k] for e, k in enumerate(other)]
                face[d] = cells.edges[d][i[d] + side]
                gap = abs(there[d] - x[d]) if 0 <= p < n else points[d][-1] - points[d][0] - abs(there[d] - x[d])
                area = cells.area(i, d, face[d])
                K = (1 + face[0]) * area / cells.distance(i, d, 0.0, gap)
                if mask_bc == "dirichlet":
                    b[index[i]] += K * g(*there)
                else:
                    if not 0 <= p < n and side == 0:
                        face[d] = points[d][-1]
                    A[index[i], index[i]] -= K
                    b[index[i]] += area * g(*face)
    at = np.flatnonzero(mask)
    exact = np.zeros(grid.size)
    exact[at] = splinalg.spsolve(A.tocsr()[at][:, at].tocsc(), b[at])
    s = solve(f, grid=grid, a=lambda *x: 1 + x[0], c=0.5, mask=mask, mask_bc=mask_bc, mask_boundary=g, tol=1e-13)
    close(s.u, exact.reshape(grid.shape))


@pytest.mark.parametrize("centering", ["node", "cell"])
def test_values_act_at_the_unknowns_outside(centering):
    """Whatever its edge looks like, a quadratic is solved for exactly, as it is in a box of nodes."""
    grid = Grid((40, 50), bc=["dirichlet", "periodic"], centering=centering)
    x, y = grid.coordinates()
    mask = (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.15

    def u(x, y):
        return x**2 - y**2 + 3 * x * y + 1

    for given in (u, u(x, y)):
        s = solve(np.zeros(grid.shape), grid=grid, mask=mask, mask_boundary=given, tol=1e-12)
        close(s.u, np.where(mask, u(x, y), 0.0))


def test_fluxes_are_outward():
    """u = 3 x + y^2: through faces across x flows 3 or -3, across y 2 y or -2 y, at their centres."""
    grid = Grid((30, 36), bc="neumann", centering="cell")
    x, y = grid.coordinates()
    mask = ((x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.1) & (x < 0.7)
    g0, g1 = np.zeros((31, 36)), np.zeros((30, 37))
    g0[1:-1] = 3.0 * (mask[:-1].astype(int) - mask[1:])
    edges = (np.arange(37) / 36)[None]
    g1[:, 1:-1] = (2 * edges[:, 1:-1]) * (mask[:, :-1].astype(int) - mask[:, 1:])
    s = solve(
        np.full(grid.shape, -2.0), grid=grid, mask=mask, mask_bc="neumann", mask_boundary=Faces(g0, g1), tol=1e-12
    )
    u = 3 * x + y**2
    close(s.u, np.where(mask, u - u[mask].mean(), 0.0))


def test_fluxes_count_in_the_mean():
    grid = Grid((20, 20), bc="neumann", centering="cell")
    mask = np.zeros(grid.shape, bool)
    mask[5:15, 5:15] = True
    how = {"grid": grid, "mask": mask, "mask_bc": "neumann"}
    with pytest.raises(ValueError, match="`f` must have mean zero on each part of the mask"):
        solve(np.zeros(grid.shape), mask_boundary=1.0, **how)
    # 40 faces of length h carry 1 out of du/dn, so that 100 cells of h^2 need f = -40 / (100 h)
    s = solve(np.full(grid.shape, -8.0), mask_boundary=1.0, tol=1e-12, **how)
    projected = solve(np.zeros(grid.shape), mask_boundary=1.0, project=True, tol=1e-12, **how)
    close(projected.u, s.u)
    held = solve(np.zeros(grid.shape), mask_boundary=1.0, fixed=(lambda x, y: x + y < 0.6, 0.0), tol=1e-12, **how)
    assert held.converged
    assert not Poisson(grid, mask=mask, mask_bc="neumann", fixed=(lambda x, y: x + y < 0.6, 0.0)).singular


@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
def test_gradients(mask_bc):
    shape = (5, 6)
    mask = np.random.default_rng(4).random(shape) < 0.7
    g, a, f = (torch.from_numpy(np.exp(random(shape, k))).requires_grad_() for k in range(3))

    def u(g, a, f):
        how = {"mask": mask, "mask_bc": mask_bc, "mask_boundary": g, "bc": ["neumann", "periodic"]}
        return solve(f, a=a, c=0.3, tol=1e-14, **how).u

    assert torch.autograd.gradcheck(u, (g, a, f), atol=1e-6, check_forward_ad=True, fast_mode=True)
    many = torch.stack([g.detach(), 2 * g.detach()])
    mapped = torch.func.vmap(torch.func.grad(lambda g: u(g, a.detach(), f.detach()).square().sum()))(many)
    for one, expected in zip(many, mapped, strict=True):
        leaf = one.clone().requires_grad_()
        u(leaf, a.detach(), f.detach()).square().sum().backward()
        torch.testing.assert_close(leaf.grad, expected, rtol=1e-7, atol=1e-12)
    faces = [torch.from_numpy(v).requires_grad_() for v in on_faces(shape, 3)]
    how = {"mask": mask, "mask_bc": mask_bc, "c": 0.3, "bc": "neumann"}
    assert torch.autograd.gradcheck(
        lambda *g: solve(f.detach(), mask_boundary=Faces(*g), tol=1e-14, **how).u, faces, atol=1e-6, fast_mode=True
    )


def test_what_a_callable_closes_over_in_forward_mode():
    mask, f = np.hypot(*(v - 0.5 for v in Grid((20, 22)).coordinates())) < 0.4, torch.ones(20, 22, dtype=torch.float64)

    def total(t):
        return solve(f, mask=mask, mask_boundary=lambda x, y: t * x * t, tol=1e-13).u.square().sum()

    t, step = torch.tensor(0.7, dtype=torch.float64), 1e-5
    _, slope = torch.func.jvp(total, (t,), (torch.ones_like(t),))
    assert float(slope) == pytest.approx(float(total(t + step) - total(t - step)) / (2 * step), rel=1e-7)


def test_batches():
    box = Box((11, 13), ["neumann", "dirichlet"], "cell")
    mask, f, g = np.random.default_rng(2).random(box.shape) < 0.8, random((3, *box.shape)), random((3, *box.shape), 1)
    for mask_bc in ("dirichlet", "neumann"):
        exact = [
            box.solve(f[k], c=0.3, mask=mask, mask_bc=mask_bc,
                      cut=lambda d, side, i, other, k=k, mask_bc=mask_bc: g[k][other if mask_bc == "dirichlet" else i])
            for k in range(3)
        ]  # fmt: skip
        how = {
            "bc": ["neumann", "dirichlet"],
            "centering": "cell",
            "mask": mask,
            "mask_bc": mask_bc,
            "ndim": 2,
            "c": 0.3,
        }
        close(solve(f, mask_boundary=g, tol=1e-13, **how).u, np.stack(exact))
        close(solve(f[1], mask_boundary=g, tol=1e-13, **how).u[1], exact[1])


@pytest.mark.parametrize("garbage", [np.nan, np.inf])
@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
def test_what_is_not_beside_the_cut_does_not_matter(mask_bc, garbage):
    shape = (12, 14)
    mask = np.zeros(shape, bool)
    mask[2:7, 3:8] = True
    g, used = random(shape), np.zeros(shape, bool)
    if mask_bc == "dirichlet":
        used[1, 3:8] = used[7, 3:8] = used[2:7, 2] = used[2:7, 8] = True
    else:
        used[2:7, 3:8] = True
        used[3:6, 4:7] = False
    how = {"mask": mask, "mask_bc": mask_bc, "c": 1.0}
    np.testing.assert_array_equal(
        solve(np.ones(shape), mask_boundary=np.where(used, g, garbage), **how).u,
        solve(np.ones(shape), mask_boundary=g, **how).u,
    )
    with pytest.raises(ValueError, match=r"`mask_boundary` must be finite; it has \d+ .*That is on a face of axis 0"):
        solve(np.ones(shape), mask_boundary=np.where(used, garbage, g), **how)


ONES, MASK = np.ones((5, 4)), np.ones((5, 4), bool)
MASK[2, 2] = False
WRONG = {
    "no mask": ({"mask_boundary": 1.0}, ValueError, "gives data on the cut of a `mask`, but there is none"),
    "shape": ({"mask_boundary": ONES.T}, ValueError, r"`mask_boundary` must have the grid's shape \(5, 4\)"),
    "word": ({"mask_boundary": "one"}, TypeError, "must be a number, an array or a callable; it is str"),
    "complex": ({"mask_boundary": 1j * ONES}, TypeError, "`mask_boundary` must be real"),
    "NaN": ({"mask_boundary": np.nan}, ValueError, "`mask_boundary` must be finite; it has 2 NaN"),
    "faces": ({"mask_boundary": Faces(1.0)}, ValueError, r"`mask_boundary` = Faces must have one array per axis \(2\)"),
    "on faces": ({"mask_boundary": Faces(ONES, ONES)}, ValueError, r"= Faces must have the shape \(6, 4\)"),
    "batch": ({"mask_boundary": np.ones((3, 5, 4))}, ValueError, "`mask_boundary` must have batch axes that broadcast"),
    "graph": ({"mask_boundary": torch.ones(5, 4, requires_grad=True)}, TypeError, "`mask_boundary` is made of tensors"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused(case):
    how, error, message = WRONG[case]
    mask = {} if case == "no mask" else {"mask": MASK}
    with pytest.raises(error, match=message):
        solve(np.ones((2, 5, 4)) if case == "batch" else ONES, ndim=2, **mask, **how)
