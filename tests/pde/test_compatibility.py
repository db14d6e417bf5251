"""Claims: means that are round-off of what f was made of are taken out, others are refused, or taken out on request,
also in gradients; regular problems are as they were."""

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, Poisson, Robin, Solver, solve

TYPES = [np.float64, np.float32]
SHAPES = [(16, 16), (128, 128), (16, 16, 16)]
REFUSED = "`f` must have mean zero"


def velocity(shape, bc, rng, dtype):
    """Random face values; on walls 0."""
    faces = [
        rng.standard_normal([n + (e == d and bc != "periodic") for e, n in enumerate(shape)]) for d in range(len(shape))
    ]
    if bc != "periodic":
        for d, v in enumerate(faces):
            np.moveaxis(v, d, 0)[[0, -1]] = 0
    return [v.astype(dtype) for v in faces]


def divergence(faces, bc):
    out = 0
    for d, v in enumerate(faces):
        h = v.dtype.type(1 / (v.shape[d] - (bc != "periodic")))
        out = out + (np.roll(v, -1, d) - v if bc == "periodic" else np.diff(v, axis=d)) / h
    return out


def without_gradient(faces, p, bc):
    rest = []
    for d, v in enumerate(faces):
        h, inner = v.dtype.type(1 / p.shape[d]), [(1, 1) if e == d else (0, 0) for e in range(p.ndim)]
        slope = (p - np.roll(p, 1, d) if bc == "periodic" else np.pad(np.diff(p, axis=d), inner)) / h
        rest.append(v - slope)
    return rest


@pytest.mark.filterwarnings("ignore::mgnet.pde.RoundOffWarning")
@pytest.mark.parametrize("tol", [1e-8, 1e-12, None])
@pytest.mark.parametrize("bc", ["neumann", "periodic"])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_velocity_may_be_projected_again_and_again(shape, dtype, bc, tol):
    """The second divergence is round-off of the velocity over h, and so is its mean."""
    solver = Solver(Poisson(Grid(shape, bc=bc, centering="cell"), like=np.zeros(1, dtype)))
    for seed in range(3):
        faces = velocity(shape, bc, np.random.default_rng(seed), dtype)
        for _ in range(3):
            p = solver.solve(-divergence(faces, bc), tol=tol, throw=False).u
            faces = without_gradient(faces, p, bc)
        if tol == 1e-12 and dtype == np.float64:
            assert abs(divergence(faces, bc)).max() < 1e-11 * max(shape)


@pytest.mark.parametrize("tol", [1e-8, None])
@pytest.mark.parametrize("bc", ["neumann", "periodic"])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(16,), *SHAPES], ids=str)
def test_other_means_are_refused(shape, dtype, bc, tol):
    solver = Solver(Poisson(Grid(shape, bc=bc, centering="cell"), like=np.zeros(1, dtype)))
    f = np.random.default_rng(0).standard_normal(shape)
    f -= f.mean()
    small = [1e-3] if dtype == np.float64 else []
    for data in (np.ones(shape), np.full(shape, 1e-20), 100 * (f + 0.011), *(f + m for m in (0.1, 0.011, *small))):
        with pytest.raises(ValueError, match=REFUSED + ".*project=True"):
            solver.solve(data.astype(dtype), tol=tol)


def mean_zero(problem, f, parts):
    """f without its mean on each part, by the shares of a cell."""
    w = problem.rhs(np.ones(problem.grid.shape))
    for at in parts:
        f = f - at * ((w * f * at).sum((-2, -1), keepdims=True) / (w * at).sum())
    return f


@pytest.mark.parametrize("tol", [1e-11, None])
@pytest.mark.parametrize("smoother", ["chebyshev", "red-black"])
@pytest.mark.parametrize(
    "bc", ["neumann", "periodic", [Robin(0.0), "periodic"], [("neumann", "neumann"), "periodic"]], ids=str
)
@pytest.mark.parametrize("centering", ["node", "cell"])
@pytest.mark.parametrize("shape", [(20, 24), (130, 97)], ids=str)
def test_project_takes_the_mean_out(shape, centering, bc, smoother, tol):
    """Arrays and tensors, with the shares of a cell, each member its own."""
    problem = Poisson(Grid(shape, bc=bc, centering=centering))
    f = np.random.default_rng(0).standard_normal((2, *shape)) + np.array([0.0, 3.0])[:, None, None]
    solver, zero = Solver(problem, smoother=smoother), mean_zero(problem, f, [np.ones(shape, bool)])
    want = solver.solve(zero, tol=tol).u
    for given in (f, torch.from_numpy(f)):
        u = np.asarray(solver.solve(given, tol=tol, project=True).u)
        np.testing.assert_allclose(u, want, atol=1e-9 * abs(want).max())


def test_project_heeds_boundary_data():
    problem = Poisson(Grid((20, 24), bc="neumann"))
    f = np.random.default_rng(0).standard_normal((20, 24))
    s = Solver(problem).solve(f, boundary=2.0, tol=1e-11, project=True)
    r, w = problem.rhs(f, 2.0) - problem.apply(s.u), problem.rhs(np.ones((20, 24)))
    mean = problem.rhs(f, 2.0).sum() / w.sum()
    assert abs(mean) > 1
    np.testing.assert_allclose(r, w * mean, atol=1e-7)


def test_project_heeds_the_parts_of_a_mask():
    """A part that c holds is as it was; the others lose their mean, each its own."""
    mask, c, f = np.zeros((20, 24), bool), np.zeros((20, 24)), np.random.default_rng(0).standard_normal((3, 20, 24)) + 1
    parts = [np.zeros_like(mask) for _ in range(3)]
    for k, part in enumerate(parts):
        part[2:18, 8 * k : 8 * k + 6] = True
        mask |= part
    c[parts[2]] = 1.0
    problem = Poisson(Grid((20, 24), bc="neumann"), c=c, mask=mask, mask_bc="neumann")
    with pytest.raises(ValueError, match=REFUSED + " on each part"):
        Solver(problem).solve(f)
    u = Solver(problem).solve(np.where(mask, f, np.nan), tol=1e-12, project=True).u
    want = Solver(problem).solve(mean_zero(problem, f, parts[:2]), tol=1e-12).u
    np.testing.assert_allclose(u, want, atol=1e-9 * abs(want).max())


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize("centering", ["node", "cell"])
def test_gradients_of_a_projected_solve(centering, order):
    """u = E^T A^+ E b by finite differences, in f and boundary data."""
    f, g = (torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) for n in ((7, 8), (8,)))

    def u(f, g):
        return solve(f, bc="neumann", centering=centering, order=order, boundary=[(g, 1.0), (None, None)], project=True,
                     tol=1e-13).u  # fmt: skip

    assert torch.autograd.gradcheck(u, (f.requires_grad_(), g.requires_grad_()), fast_mode=True)


def test_gradients_of_a_projected_solve_in_the_coefficients_under_a_mask():
    mask = np.ones((6, 7), bool)
    mask[:, 3] = mask[0, 0] = False
    f, a = (torch.rand(2, 6, 7, dtype=torch.float64).add(0.5).requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(
        lambda f, a: solve(f, a=a, ndim=2, bc="neumann", mask=mask, mask_bc="neumann", project=True, tol=1e-13).u,
        (f, a),
        fast_mode=True,
    )


def test_project_does_nothing_else():
    f = np.random.default_rng(0).standard_normal((20, 24))
    for options in ({}, {"bc": "neumann", "c": 1.0}, {"mask": f > -1}, {"tol": None}):
        np.testing.assert_array_equal(solve(f, project=True, **options).u, solve(f, **options).u)
    with pytest.raises(TypeError, match="`project` must be True or False; it is 1"):
        solve(f, project=1)


def test_constants_become_zero():
    assert (solve(np.ones((20, 24)), bc="periodic", project=True).u == 0).all()
    with pytest.raises(ValueError, match="`f` must be finite; it has 1 NaN"):
        solve(np.where(np.arange(20) == 3, np.nan, 1.0), bc="periodic", project=True)
