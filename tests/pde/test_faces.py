"""Coefficients on faces, with walls.

1  The matrix is that of an assembly face by face; values that an array's means have give the array's operator.
2  Parts that walls cut off are solved like parts of a mask: means are zero where nothing holds them, f is refused where
   it is not, and projected where that is asked for.
3  A door in a wall, many walls, batches, masks, stretched grids and gradients work.
4  What is wrong is said.
"""

import numpy as np
import pytest
import scipy.sparse.linalg as splinalg
import torch

from mgnet.pde import Faces, Grid, Poisson, Robin, Solver, solve
from tests.pde.grids_and_data import random
from tests.pde.stretched import graded


def faces(shape, seed=0, size=0.5):
    return [np.exp(size * random([n + (e == d) for e, n in enumerate(shape)], seed + d)) for d in range(len(shape))]


def assembled(grid, a):
    """Of a Cartesian, cell-centred grid with Dirichlet ends, face by face."""
    A = np.zeros((grid.size, grid.size))
    index = np.arange(grid.size).reshape(grid.shape)
    for d, h in enumerate(grid.spacing):
        for at in np.ndindex(*a[d].shape):
            low = index[(*at[:d], at[d] - 1, *at[d + 1 :])] if at[d] > 0 else None
            high = index[at] if at[d] < grid.shape[d] else None
            k = a[d][at] / h**2 * (2 if low is None or high is None else 1)
            for i in (low, high):
                if i is not None:
                    A[i, i] += k
            if low is not None and high is not None:
                A[low, high] -= k
                A[high, low] -= k
    return A


@pytest.mark.parametrize("shape", [(9,), (6, 7), (4, 3, 5)], ids=str)
def test_the_matrix_is_that_of_the_faces(shape):
    grid, a = Grid(shape, centering="cell", upper=1.7), faces(shape)
    for v in a:
        v[random(v.shape, 9) > 1.2] = 0.0
    assert len(shape) == 1 or any((v == 0).any() for v in a)
    np.testing.assert_allclose(
        Poisson(grid, Faces(*a)).to_scipy().toarray(), assembled(grid, a), rtol=1e-13, atol=1e-11
    )


@pytest.mark.parametrize("bc", ["dirichlet", "neumann", "periodic", ("dirichlet", Robin(2.0))], ids=str)
@pytest.mark.parametrize("centering", ["node", "cell"])
def test_means_on_faces_are_the_array(bc, centering):
    grid, a = Grid((12, 9), bc=[bc, "dirichlet"], centering=centering), np.exp(random((12, 9)))
    wide = np.pad(a, 1, mode="edge")
    if bc == "periodic":
        wide[0], wide[-1] = wide[-2], wide[1]
    means = [2 * u * v / (u + v) for u, v in ((wide[1:, 1:-1], wide[:-1, 1:-1]), (wide[1:-1, 1:], wide[1:-1, :-1]))]
    one, other = Poisson(grid, a, 1.0), Poisson(grid, Faces(*means), 1.0)
    assert abs(one.to_scipy() - other.to_scipy()).max() < 1e-12 * abs(one.to_scipy()).max()
    f = random(grid.shape)
    np.testing.assert_allclose(one.rhs(f, 1.5), other.rhs(f, 1.5), rtol=1e-12)


def walled(n, m, door=False):
    """A wall across, one third up; perhaps with a door."""
    a = [np.ones((n + 1, m)), np.ones((n, m + 1))]
    a[0][n // 3] = 0.0
    if door:
        a[0][n // 3, m // 2] = 1.0
    return a


@pytest.mark.parametrize("n", [20, 63, 100])
def test_a_wall_makes_two_problems(n):
    f, m = random((n, n)), n // 3
    s = solve(f, a=Faces(*walled(n, n)), centering="cell", tol=1e-11)
    h = 1 / n
    low = solve(f[:m], bc=[("dirichlet", "neumann"), "dirichlet"], upper=(m * h, 1.0), centering="cell", tol=1e-11).u
    high = solve(
        f[m:], bc=[("neumann", "dirichlet"), "dirichlet"], upper=(1 - m * h, 1.0), centering="cell", tol=1e-11
    ).u
    np.testing.assert_allclose(s.u, np.concatenate([low, high]), atol=1e-9 * abs(s.u).max())
    assert s.cycles <= 20


def test_parts_that_nothing_holds():
    n, bc = 30, [("neumann", "dirichlet"), "neumann"]
    f = random((n, n))
    with pytest.raises(ValueError, match="`f` must have mean zero on each part"):
        solve(f, a=Faces(*walled(n, n)), bc=bc, centering="cell")
    s = solve(f, a=Faces(*walled(n, n)), bc=bc, centering="cell", project=True)
    assert abs(s.u[: n // 3].mean()) < 1e-12
    f[: n // 3] -= f[: n // 3].mean()
    np.testing.assert_allclose(solve(f, a=Faces(*walled(n, n)), bc=bc, centering="cell").u, s.u, atol=1e-7)
    wholly = walled(n, n)
    wholly[0][[0, -1]], wholly[1][:, [0, -1]] = 0.0, 0.0  # walls at Dirichlet ends hold nothing either
    s = solve(random((n, n)), a=Faces(*wholly), centering="cell", project=True)
    assert abs(s.u[: n // 3].mean()) < 1e-12
    assert abs(s.u[n // 3 :].mean()) < 1e-12


@pytest.mark.parametrize("n", [31, 64, 128])
def test_doors_and_labyrinths(n):
    assert solve(random((n, n)), a=Faces(*walled(n, n, door=True)), tol=1e-8).cycles <= 15
    a = [np.ones((n + 1, n)), np.ones((n, n + 1))]
    for i in range(4, n - 3, 8):
        a[0][i, (slice(0, -6), slice(6, None))[i // 8 % 2]] = 0.0
    problem, f = Poisson(Grid((n, n)), Faces(*a)), random((n, n))
    s = Solver(problem).solve(f, tol=1e-10)
    exact = splinalg.spsolve(problem.to_scipy().tocsc(), f.ravel())
    np.testing.assert_allclose(s.u.ravel(), exact, atol=1e-7 * abs(exact).max())


def test_masks_batches_and_stretched_grids():
    grid = Grid.from_faces([graded(30, 10), graded(26, 4)], ["dirichlet", "neumann"])
    x, y = grid.coordinates()
    one, other = faces(grid.shape), faces(grid.shape, 5)
    for v in (one, other):
        v[0][10, :13] = 0.0
    problem = Poisson(
        grid, Faces(*(np.stack(v) for v in zip(one, other, strict=True))), mask=(x - 0.5) ** 2 + y**2 > 0.1
    )
    f = random((2, *grid.shape))
    u = Solver(problem).solve(f, tol=1e-11).u
    for i, a in enumerate((one, other)):
        single = Poisson(grid, Faces(*a), mask=problem.mask)
        exact = splinalg.spsolve(single.to_scipy().tocsc(), single.rhs(f[i]).ravel())
        np.testing.assert_allclose(u[i].ravel(), exact, atol=1e-9 * abs(exact).max())


def test_gradients():
    a = [torch.from_numpy(v).requires_grad_() for v in faces((5, 4))]
    f = torch.from_numpy(random((5, 4)))
    assert torch.autograd.gradcheck(lambda *a: solve(f, a=Faces(*a), tol=1e-13).u, a, atol=1e-6, fast_mode=True)


def test_under_vmap():
    a = [torch.from_numpy(np.stack([v, 2 * v])) for v in faces((12, 9))]
    a[0][:, 4, :5] = 0.0
    f = torch.from_numpy(random((12, 9)))
    slope = torch.func.grad(lambda *a: solve(f, a=Faces(*a), tol=1e-12).u.square().sum(), argnums=(0, 1))
    each = torch.func.vmap(slope)(*a)
    for i in range(2):
        for one, whole in zip(slope(*(v[i] for v in a)), each, strict=True):
            torch.testing.assert_close(whole[i], one, rtol=1e-6, atol=1e-12)
    a[0][1, 4] = 1.0
    with pytest.raises(ValueError, match="must have the same walls"):
        torch.func.vmap(slope)(*a)


ONES = [np.ones((6, 4)), np.ones((5, 5))]
WRONG = {
    "count": ((ONES[0],), "`a` = Faces must have one array per axis \\(2\\); it has 1"),
    "shape": ((ONES[0], ONES[0]), r"must have the shape \(5, 5\) on axis 1, one more than unknowns along it"),
    "negative": ((-ONES[0], ONES[1]), r"must be 0 or between .*; on axis 0 it is -1 at \(0, 0\)"),
    "tiny": ((1e-40 * ONES[0], ONES[1]), "Make what is less 0, a wall, or raise it"),
    "NaN": ((ONES[0] * np.nan, ONES[1]), r"on axis 0 it is nan at \(0, 0\)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused(case):
    a, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        Poisson(Grid((5, 4)), Faces(*a))


def test_unknowns_between_walls_on_all_sides():
    """Where nothing flows, as in an image's insulators, f has to be 0, and so is u."""
    a = [np.ones((6, 4)), np.ones((5, 5))]
    a[0][2:4], a[1][2] = 0.0, 0.0
    f = np.where(np.arange(5)[:, None] == 2, 0.0, 1.0) * np.ones((5, 4))
    matrix, b = Poisson(Grid((5, 4)), Faces(*a)).to_scipy(), f.ravel()
    s = solve(f, a=Faces(*a), tol=1e-12)
    assert (s.u[2] == 0).all()
    np.testing.assert_allclose(s.u.ravel(), splinalg.spsolve(matrix.tocsc(), b), atol=1e-12)
    with pytest.raises(ValueError, match=r"`f` must have mean zero on each part.*one has \(2, 0\)"):
        solve(f + 1, a=Faces(*a))
    assert (solve(0 * f, a=Faces(0.0, 0.0)).u == 0).all()


def test_more_that_is_refused():
    with pytest.raises(TypeError, match="on axis 1 it holds a str"):
        Poisson(Grid((5, 4)), Faces(1.0, "one"))
    a = np.ones((6, 4))
    a[0] = 2.0
    with pytest.raises(ValueError, match="must be the same on the first and the last face of axis 0"):
        Poisson(Grid((5, 4), bc=["periodic", "dirichlet"]), Faces(a, 1.0))
