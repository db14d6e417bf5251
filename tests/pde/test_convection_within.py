"""velocity= under masks, beside fixed unknowns and walls, and in curvilinear coordinates.

1  The matrix and b are those of assemblies by hand: couplings to what a mask or `fixed` holds move to b; on a cut
   without diffusion what v carries has the u of the unknown inside; walls leave what v carries; in curvilinear
   coordinates fluxes through areas in metres.
2  u is elimination's, in few cycles; data on the cut and at what is fixed; batches of masks; gradients both ways.
3  What nothing holds is found part by part, for an f that is orthogonal to what v carries together there.
"""

from itertools import product

import numpy as np
import pytest
import scipy.sparse.linalg as splinalg
import torch
from scipy.ndimage import distance_transform_edt
from torch.autograd import gradcheck

from mgnet.pde import Faces, Grid, Poisson, Solver, solve
from tests.pde.grids_and_data import random

SCHEMES = ["upwind", "central"]
WORLD = (lambda x, y: 40 * np.sin(3 * x - 1 + y), lambda x, y: 30 * np.cos(5 * x * y) - 9)


def ball(shape, radius=0.3):
    """False in the middle, and in a corner."""
    x = [(np.arange(n) + 0.5) / n - 0.55 for n in shape]
    mask = sum(t**2 for t in np.meshgrid(*x, indexing="ij")) > radius**2
    mask[:2, :3] = False
    return mask


def a_of(*x):
    return 1 + x[0] + x[-1] ** 2


def box(shape, **more):
    return Grid(shape, bc=["dirichlet", ("neumann", "dirichlet")], centering="cell", **more)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("how", ["mask", "fixed", "both"])
def test_what_is_held_moves_to_the_right_hand_side(how, scheme):
    grid, mask, where = box((9, 8)), ball((9, 8)), np.indices((9, 8)).sum(0) % 7 == 2
    within = {"mask": {"mask": mask}, "fixed": {"fixed": (where, lambda x, y: 1 + x)}}
    within["both"] = within["mask"] | within["fixed"]
    problem = Poisson(grid, a_of, 0.3, velocity=WORLD, scheme=scheme, **within[how])
    whole = Poisson(grid, a_of, 0.3, velocity=WORLD, scheme=scheme)
    A = whole.to_scipy().toarray()
    inside = np.ones((9, 8), bool) if how == "fixed" else mask
    unknown = inside & ~where if how != "mask" else mask
    known = np.where(inside, 1 + grid.coordinates()[0], 5.0)  # of fixed unknowns, and on the cut
    known = np.where(unknown, 0.0, known)
    u, held = unknown.ravel(), ~unknown.ravel()
    expected = whole.rhs(np.ones((9, 8)), 2.0).ravel() - A[:, held] @ known.ravel()[held]
    b = problem.rhs(np.ones((9, 8)), 2.0, mask_boundary=None if how == "fixed" else 5.0).ravel()
    ours = problem.to_scipy().toarray()
    np.testing.assert_allclose(ours[np.ix_(u, u)], A[np.ix_(u, u)], rtol=0, atol=1e-10 * abs(A).max())
    assert not ours[np.ix_(u, held)].any()
    assert not ours[np.ix_(held, u)].any()
    np.testing.assert_allclose(b[u], expected[u], rtol=0, atol=1e-10 * abs(expected).max())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_cut_without_diffusion(scheme):
    shape, mask = (9, 8), ball((9, 8))
    grid = Grid(shape, bc="periodic", centering="cell", upper=2.0)
    problem = Poisson(grid, 0.7, 0.3, velocity=(lambda x, y: np.sin(np.pi * y), 3.0), scheme=scheme, mask=mask,
                      mask_bc="neumann")  # fmt: skip
    A, h, y = np.zeros((72, 72)), grid.spacing, grid.coordinates()[1]
    for i, j in np.argwhere(mask):
        A[i * 8 + j, i * 8 + j] += 0.3
        for d, side in product((0, 1), (-1, 1)):
            k, m = ((i + side) % 9, j) if d == 0 else (i, (j + side) % 8)
            if not mask[k, m]:
                continue
            out = side * (np.sin(np.pi * y[i, j]) if d == 0 else 3.0) / h[d]
            given = out / 2 if scheme == "central" else min(out, 0.0)
            entry = 0.7 / h[d] ** 2 - given
            A[i * 8 + j, i * 8 + j] += entry
            A[i * 8 + j, k * 8 + m] -= entry
    ours, inner = problem.to_scipy().toarray(), np.ix_(mask.ravel(), mask.ravel())
    np.testing.assert_allclose(ours[inner], A[inner], rtol=0, atol=1e-10 * abs(A).max())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_walls_stop_what_diffuses(scheme):
    a = [np.ones((7, 5)), np.ones((6, 6))]
    a[0][3, 1:4], a[1][2, 2] = 0.0, 0.0
    grid = Grid((6, 5), centering="cell", bc=["neumann", "dirichlet"])
    ours, flows, whole = (
        Poisson(grid, k, velocity=(4.0, v), scheme=scheme).to_scipy().toarray()
        for k, v in ((Faces(*a), -3.0), (Faces(1e-9, 1e-9), -3.0), (None, 0.0))
    )
    diffuses = Poisson(grid, Faces(*a)).to_scipy().toarray()
    tiny = 1e-9 * Poisson(grid).to_scipy().toarray()
    np.testing.assert_allclose(ours - diffuses, flows - tiny, rtol=0, atol=1e-10 * abs(whole).max())


def metres(geometry, faces):
    """Areas of the faces, and lengths, of a cell (i, j[, k]) in curvilinear coordinates, by hand."""
    edge = [np.asarray(f) for f in faces]
    mid = [(f[1:] + f[:-1]) / 2 for f in edge]

    def width(d, i):
        return edge[d][i + 1] - edge[d][i]

    def of(d, at, side):
        """(area of the face on that side, what a step along the axis is in metres)."""
        i, at_face = at[0], edge[d][at[d] + (side > 0)]
        if geometry == "sphere":
            i = at[1]
            return (np.cos(at_face) * width(0, at[0]), 1.0) if d == 1 else (width(1, i), np.cos(mid[1][i]))
        ring = (edge[0][i + 1] ** 2 - edge[0][i] ** 2) / 2
        depth = width(2, at[2]) if geometry == "cylindrical" else 1.0
        if d == 0:
            return at_face * width(1, at[1]) * depth, 1.0
        if geometry == "axisymmetric" or d == 2:
            return ring * (width(1, at[1]) if d == 2 else 1.0), 1.0
        return width(0, i) * depth, mid[0][i]

    return of, mid


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("geometry", ["polar", "axisymmetric", "cylindrical", "sphere"])
def test_curvilinear_coordinates(geometry, scheme):
    graded = np.array([0.0, 0.1, 0.25, 0.5, 1.0])
    faces = {
        "polar": [graded, np.linspace(0, 2 * np.pi, 6)],
        "axisymmetric": [graded, graded * 2],
        "cylindrical": [graded, np.linspace(0, 2 * np.pi, 6), graded * 2],
        "sphere": [np.linspace(0, 2 * np.pi, 6), graded - 0.4],
    }[geometry]
    radial, around, axial = ("neumann", "dirichlet"), "periodic", "dirichlet"
    bc = {"polar": [radial, around], "axisymmetric": [radial, axial], "cylindrical": [radial, around, axial],
          "sphere": [around, axial]}[geometry]  # fmt: skip
    grid, (of, mid) = Grid.from_faces(faces, bc, geometry), metres(geometry, faces)
    v = (2.0, -30.0, 5.0)[: grid.ndim]
    problem = Poisson(grid, 0.7, velocity=v, scheme=scheme)
    A, b, number = np.zeros((grid.size, grid.size)), np.zeros(grid.size), np.arange(grid.size).reshape(grid.shape)
    for at in np.ndindex(*grid.shape):
        for d, side in product(range(grid.ndim), (-1, 1)):
            (area, metre), n, i = of(d, at, side), grid.shape[d], at[d]
            own, here, there, out = abs(np.asarray(faces[d])[i + (side > 0)] - mid[d][i]), number[at], None, side * v[d]
            if 0 <= i + side < n or grid.bc[d][0] == "periodic":
                there = number[(*at[:d], (i + side) % n, *at[d + 1 :])]
                other = np.diff(faces[d])[(i + side) % n] / 2
                nearness = own / (own + other)
            elif grid.bc[d][side > 0] == "dirichlet":
                other, nearness = 0.0, 1.0
            else:
                assert area == 0
                continue
            part = nearness if scheme == "central" else float(out < 0)
            entry = area * (0.7 / ((own + other) * metre) - part * out)
            A[here, here] += entry
            if there is None:
                b[here] += entry
            else:
                A[here, there] -= entry
    scale = np.prod(grid.spacing)
    np.testing.assert_allclose(problem.to_scipy().toarray(), A / scale, rtol=0, atol=1e-10 * abs(A).max() / scale)
    ours = problem.rhs(np.zeros(grid.shape), 1.0).ravel()
    np.testing.assert_allclose(ours, b / scale, rtol=0, atol=1e-10 * abs(b).max() / scale)


def whirl(x, y):
    return np.sin(2 * np.pi * x) * np.cos(2 * np.pi * y)


def around(mask, turns):
    """Through faces, past what is cut out: differences of a stream function that is 0 on its edges; 1 at most."""
    x, y = np.meshgrid(*(np.linspace(0, 1, n + 1) for n in mask.shape), indexing="ij")
    out = np.pad(~mask, 1)
    edge = out[1:, 1:] | out[:-1, 1:] | out[1:, :-1] | out[:-1, :-1]
    psi = 2 + y - 0.5 * x + turns * np.sin(2 * np.pi * x) * np.sin(2 * np.pi * y)
    psi *= np.tanh(distance_transform_edt(~edge) / 10)
    v = np.diff(psi, axis=1) * mask.shape[1], -np.diff(psi, axis=0) * mask.shape[0]
    most = max(abs(v_d).max() for v_d in v)
    return Faces(*(v_d / most for v_d in v))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("shape", [(63, 60), (90, 120)], ids=str)
@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
def test_cycles_around_an_obstacle(mask_bc, shape, scheme):
    grid, mask = box(shape), ball(shape)
    flows = [around(mask, 0.0), around(mask, 1.0)]
    flows += [(0.9, 0.4), (whirl, lambda x, y: -whirl(y, x))] if mask_bc == "dirichlet" else []
    for peclet, velocity in product((1.0, 1e4 if scheme == "upwind" else 4.0), flows):
        fixed = (np.indices(shape).sum(0) == 40, 2.0)
        problem = Poisson(grid, grid.spacing[0] / peclet, velocity=velocity, scheme=scheme, mask=mask,
                          mask_bc=mask_bc, fixed=fixed)  # fmt: skip
        f = random(shape)
        s = Solver(problem).solve(f, boundary=1.0)
        exact = splinalg.spsolve(problem.to_scipy().tocsc(), problem.rhs(f, 1.0).ravel()).reshape(shape)
        assert s.cycles <= 20, (peclet, s)
        assert abs(s.u - exact).max() < 1e-5 * abs(exact).max()


@pytest.mark.parametrize("geometry", ["polar", "sphere"])
def test_cycles_in_curvilinear_coordinates(geometry):
    turn = np.linspace(0, 2 * np.pi, 97)
    if geometry == "polar":
        grid = Grid.from_faces([np.linspace(0, 1, 81), turn], [("neumann", "dirichlet"), "periodic"], geometry)
        flows = [(lambda r, t: np.cos(t), lambda r, t: -np.sin(t)), (0.0, lambda r, t: r), (-1.0, 0.0)]
    else:
        grid = Grid.from_faces([turn, np.linspace(-1.5, 1.5, 81)], ["periodic", "dirichlet"], geometry)
        flows = [(lambda lon, lat: np.cos(lat), 0.0), (1.0, -0.5)]
    for a, velocity in product((1.0, 1e-2, 1e-5), flows):
        problem, f = Poisson(grid, a, velocity=velocity), random(grid.shape)
        s = Solver(problem).solve(f)
        exact = splinalg.spsolve(problem.to_scipy().tocsc(), problem.rhs(f).ravel()).reshape(f.shape)
        assert s.cycles <= 20, (a, s)
        assert abs(s.u - exact).max() < 1e-5 * abs(exact).max()


def test_a_mask_per_member():
    masks, f = np.stack([ball((21, 22)), ball((21, 22), 0.2)]), random((2, 21, 22))
    together = solve(f, mask=masks, velocity=(9.0, -4.0), ndim=2, tol=1e-11).u
    for k in (0, 1):
        alone = solve(f[k], mask=masks[k], velocity=(9.0, -4.0), tol=1e-11).u
        np.testing.assert_allclose(together[k], alone, rtol=0, atol=1e-9 * abs(alone).max())


def test_what_lies_outside_is_not_looked_at():
    mask, f = ball((12, 11)), random((12, 11))
    v = np.where(mask, 3.0, np.nan)
    dirty = solve(f, mask=mask, velocity=(v, lambda x, y: np.where(mask[5, 5], 1.0, 1.0) + 0 * x)).u
    np.testing.assert_array_equal(dirty, solve(f, mask=mask, velocity=(np.full(mask.shape, 3.0), 1.0)).u)


def tensor(*shape, seed=0, scale=1.0):
    return (scale * torch.as_tensor(random(shape, seed))).requires_grad_()


@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
def test_gradients(mask_bc):
    mask = torch.as_tensor(ball((6, 7), 0.2))

    def u(f, a, v, g, cut):
        within = {"mask": mask, "mask_bc": mask_bc, "fixed": (torch.as_tensor(np.indices((6, 7)).sum(0) == 9), g)}
        return solve(f, a=1 + a**2, velocity=(v, 2.0), mask_boundary=cut, tol=1e-13, **within).u

    inputs = tensor(6, 7), tensor(6, 7, seed=1), tensor(6, 7, seed=2, scale=9.0), tensor(seed=3), tensor(seed=4)
    assert gradcheck(u, inputs, fast_mode=True)


def test_parts_that_nothing_holds():
    """A wall of the mask leaves two parts, of which each has a pi of its own."""
    mask, f = np.ones((11, 12), bool), random((11, 12))
    mask[:, 5] = False
    problem = Poisson(Grid((11, 12), bc="neumann", centering="cell"), 0.7, velocity=(lambda x, y: 2 + x, 3.0),
                      mask=mask, mask_bc="neumann")  # fmt: skip
    assert problem.singular
    s = Solver(problem).solve(f, project=True, tol=1e-11)
    left = (problem.rhs(f) - problem.apply(s.u))[mask]
    A = problem.to_scipy().toarray()[np.ix_(mask.ravel(), mask.ravel())]
    U, sizes, _ = np.linalg.svd(A)
    assert (sizes[-2:] < 1e-13 * sizes[0]).all()
    assert sizes[-3] > 1e-6 * sizes[0]
    for part in (np.s_[:, :5], np.s_[:, 6:]):
        assert abs(s.u[part].mean()) < 1e-9 * abs(s.u).max()
    null, w = U[:, -2:], np.ones(mask.sum())
    assert abs(null.T @ (problem.rhs(f)[mask] - left)).max() < 1e-8
    parts = np.broadcast_to(np.arange(12) > 5, mask.shape)[mask]
    one_of_each = np.stack([w * ~parts, w * parts])
    removed = np.linalg.lstsq(one_of_each.T, left, rcond=None)[0] @ one_of_each
    np.testing.assert_allclose(left, removed, rtol=0, atol=1e-7 * abs(f).max())
    with pytest.raises(ValueError, match="orthogonal to the density"):
        Solver(problem).solve(f)
