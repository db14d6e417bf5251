"""method="transform": fast sine, cosine and Fourier transforms solve A u = b exactly.

1  The waves of an axis are the eigenvectors of its matrix, with the formula's eigenvalues: all ends, both centrings.
2  It is the oracle of multigrid: on all ends, centrings and dimensions the cycles end where the transform is at once.
3  scipy's transforms and torch's are twins, in both precisions.
4  Batches, boundary data, singular problems, guesses, gradients both ways, numbers per member under vmap.
5  What has no transform is refused with what stands in the way.
"""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import jvp, vmap

from mgnet.pde import Faces, Grid, Poisson, Robin, Solver, solve
from mgnet.pde.levels.transform import TransformLevel, Waves, by_torch, eigenvalues
from tests.pde.grids_and_data import CENTERINGS, ENDS, Manufactured, axis_bcs, random

SIZES = [1, 2, 3, 8, 9]


def waves_of(axis):
    """(n, n) phi_k(i), column by column, by the words for the ends."""
    n, i = axis.n, np.arange(axis.n)[:, None]
    k, cell, low, high = np.arange(n), axis.centering == "cell", axis.low == "dirichlet", axis.high == "dirichlet"
    turn = np.pi / axis.intervals * (i + (0.5 if cell else low))  # pi x / L
    if axis.periodic:
        return np.where(k <= n // 2, np.cos(2 * np.pi * i * k / n), np.sin(2 * np.pi * i * k / n))
    if low:
        return np.sin(turn * (k + (1.0 if high else 0.5)))
    return np.cos(turn * (k + (0.5 if high else 0.0)))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("ends", ENDS, ids=str)
def test_waves_are_eigenvectors(ends, centering, n):
    if centering == "node" and n == 1 and ends == ("neumann", "neumann"):
        pytest.skip("both ends are unknowns")
    problem = Poisson(Grid((n,), bc=[ends], centering=centering, upper=1.7))
    (axis,) = problem.grid.axes
    K, W = problem.to_scipy().toarray(), np.diag(axis.share)
    phi, lam = waves_of(axis), eigenvalues(axis)
    np.testing.assert_allclose(K @ phi, W @ phi * lam, rtol=0, atol=1e-12 * abs(K).max())
    gram = phi.T @ W @ phi
    assert abs(gram - np.diag(np.diag(gram))).max() < 1e-12
    assert np.diag(gram).min() > 0.1
    np.testing.assert_allclose(np.sort(lam), scipy.linalg.eigh(K, W, eigvals_only=True), atol=1e-12 * abs(K).max())


def test_each_of_the_eight_real_transforms_has_its_axis():
    grids = [Grid((9,), bc=[ends], centering=c) for ends in ENDS for c in CENTERINGS]
    assert len({Waves.of(grid.axes[0]) for grid in grids} - {None}) == 8


@pytest.mark.parametrize("shape", [(9,), (17, 12), (6, 9, 8)], ids=str)
@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("ends", ENDS, ids=str)
def test_multigrid_ends_where_the_transform_is(ends, centering, shape):
    for first in (axis_bcs(len(shape), ends), [ends] * len(shape)):
        grid = Grid(shape, bc=first, centering=centering, upper=1.3)
        a, c = (1.5, 0.4, 2.0)[: len(shape)], 0.7 if grid.closed else 0.0
        data = Manufactured(grid, a, c)
        problem, f = Poisson(grid, a, c), data.datum() + random(shape)
        f, boundary = np.stack([f, random(shape, 1)]), data.boundary()
        kept = f.copy()
        direct = Solver(problem, method="transform").solve(f, boundary=boundary, tol=1e-12)
        cycles = Solver(problem).solve(f, boundary=boundary, tol=1e-12)
        assert direct.cycles == 1
        assert direct.status == "tolerance"
        np.testing.assert_allclose(direct.u, cycles.u, rtol=0, atol=1e-11 * abs(cycles.u).max())
        b = problem.rhs(f, boundary)
        assert np.linalg.norm(problem.apply(direct.u) - b) < 1e-12 * np.linalg.norm(b)
        np.testing.assert_array_equal(f, kept)


def test_large_grids():
    for shape, bc in (((255, 300), ["dirichlet", "periodic"]), ((40, 31, 64), [("neumann", "dirichlet")] * 3)):
        f = random(shape)
        direct = solve(f, bc=bc, method="transform", tol=1e-12)
        np.testing.assert_allclose(solve(f, bc=bc, tol=1e-12).u, direct.u, rtol=0, atol=1e-10 * abs(direct.u).max())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("centering", CENTERINGS)
def test_twins(centering, dtype):
    for first in ENDS:
        for second in ENDS:
            grid = Grid((7, 2, 6), bc=[first, "dirichlet", second], centering=centering)
            problem = Poisson(grid, (1.0, 0.3, 2.0), 0.5, like=torch.zeros((), dtype=dtype))
            level, b = TransformLevel(problem.A.detached()), torch.as_tensor(random((3, *grid.shape))).to(dtype)
            ours = level.smooth(None, b)
            level._transforms = by_torch
            torch.testing.assert_close(level.smooth(None, b), ours, rtol=0, atol=20 * torch.finfo(dtype).eps)
            assert ours.dtype == dtype


def test_without_a_tolerance_and_with_a_guess():
    f = random((20, 24))
    s = solve(f, tol=None, method="transform")
    assert (s.status, s.cycles, s.residuals, s.reached_tol) == ("transform", 1, [], True)
    assert s.method == "fast transforms: DST-I, DST-I"
    assert s.work == 1
    again = solve(f, guess=s.u + 1, tol=1e-12, method="transform")
    assert again.cycles == 1
    np.testing.assert_allclose(again.u, s.u, rtol=0, atol=1e-13)
    step = solve(f, guess=s.u, relative_to="guess", method="transform")
    assert step.status == "round-off"
    mixed = Grid((4, 5, 6), bc=["periodic", ("dirichlet", "neumann"), ("neumann", "dirichlet")], centering="cell")
    assert solve(random((4, 5, 6)), grid=mixed, method="transform").method == "fast transforms: FFT, DST-IV, DCT-IV"


def test_single_precision_ends_at_round_off():
    f = random((200, 150))
    s = solve(f.astype(np.float32), method="transform")
    assert s.u.dtype == np.float32
    assert s.status == "round-off"
    exact = solve(f, method="transform", tol=None).u
    assert abs(s.u - exact).max() < 1e-5 * abs(exact).max()


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("bc", ["neumann", "periodic"])
def test_singular(bc, centering):
    problem = Poisson(Grid((8, 9), bc=bc, centering=centering))
    solver, f = Solver(problem, method="transform"), random((8, 9))
    with pytest.raises(ValueError, match="`f` must have mean zero"):
        solver.solve(f)
    for tol in (1e-12, None):
        u = solver.solve(f, project=True, tol=tol).u
        w = problem.rhs(np.ones((8, 9)))
        assert abs((w * u).sum()) < 1e-13
        np.testing.assert_allclose(u, Solver(problem).solve(f, project=True, tol=1e-13).u, rtol=0, atol=1e-12)


def test_a_little_reaction_keeps_its_digits():
    """c of 1e-9 holds u alone: its eigenvalue is c to the last digit, in float32 too."""
    f = np.ones((16, 16), np.float32)
    s = solve(f, bc="neumann", c=1e-9, method="transform", tol=None)
    np.testing.assert_allclose(s.u, 1e9, rtol=1e-6)


@pytest.mark.parametrize("bc", ["periodic", ("neumann", "dirichlet")], ids=str)
def test_gradients(bc):
    def u(f, a, b, c, g):
        boundary = [(None, g), (None, None)]
        return solve(f, a=(a, b), c=c, bc=[bc, "dirichlet"], boundary=boundary, ndim=2, method="transform", tol=None).u

    numbers = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.2, 0.4, 0.7)]
    f, g = (torch.as_tensor(random(shape)).requires_grad_() for shape in ((2, 5, 4), (4,)))
    inputs = f, *numbers, g
    assert gradcheck(u, inputs, check_forward_ad=True, fast_mode=True)
    assert gradgradcheck(u, inputs, check_fwd_over_rev=True, fast_mode=True)


def test_numbers_per_member_under_vmap():
    f, a, c = torch.as_tensor(random((3, 6, 7))), *torch.tensor([[0.5, 1.0, 4.0], [0.0, 1.0, 9.0]]).double()

    def u(f, a, c):
        return solve(f, a=(a, 1.0), c=c, bc=["periodic", "neumann"], method="transform", project=True, tol=1e-12).u

    ours = vmap(u)(f, a, c)
    for i in range(3):
        numbers = {"a": (float(a[i]), 1.0), "c": float(c[i])}
        expected = solve(f[i], **numbers, bc=["periodic", "neumann"], project=True, tol=1e-13).u
        torch.testing.assert_close(ours[i], expected, rtol=0, atol=1e-11)
    _, tangent = jvp(lambda f: vmap(u)(f, a, c), (f,), (f,))
    torch.testing.assert_close(tangent, ours, rtol=0, atol=1e-11)


def test_solver_and_its_operators():
    solver = Solver(Poisson(Grid((9, 8), bc=["neumann", "dirichlet"]), 2.0), method="transform")
    f = random((9, 8))
    u = solver.solve(f).u
    A, M = solver.problem.to_scipy().toarray(), solver.aspreconditioner()
    np.testing.assert_allclose(M @ A, np.eye(72), atol=1e-11)
    np.testing.assert_allclose(solver.cycle(None, solver.problem.rhs(f)), u, atol=1e-13)
    np.testing.assert_allclose(solver.update(a=4.0).solve(f).u, u / 2, atol=1e-13)
    with pytest.raises(ValueError, match="these vary"):
        solver.update(a=np.ones((9, 8)))


MASK = np.ones((9, 9), bool)
MASK[2, 3] = False
STRETCHED = Grid.from_faces([np.linspace(0, 1, 10) ** 2, np.linspace(0, 1, 10)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"a": np.ones((9, 9))}, "numbers"),
        ({"c": lambda x, y: x}, "numbers"),
        ({"a": Faces(np.ones((10, 9)), np.ones((9, 10)))}, "numbers"),
        ({"mask": MASK}, "the whole box; there is a `mask`"),
        ({"order": 4}, "order=2; `order` is 4"),
        ({"grid": STRETCHED}, "equal mesh widths"),
        ({"bc": ["dirichlet", ("neumann", Robin(2.0))]}, r"axis 1 has Robin\(alpha=2.0\)"),
    ],
    ids=lambda v: v if isinstance(v, str) else str(list(v)),
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=f'`method` "transform" needs .*{message}.*. Pass method="multigrid".'):
        solve(np.ones((9, 9)), method="transform", **arguments)


def test_words():
    with pytest.raises(ValueError, match=r"`method` must be one of .* Did you mean 'transform'\?"):
        solve(np.ones(9), method="transforms")
    for name, value in (("smoother", "jacobi"), ("cycle", "W"), ("nu", (1, 1))):
        with pytest.raises(ValueError, match=f"`{name}` is of multigrid"):
            Solver(Poisson(Grid((9, 9))), method="transform", **{name: value})
    grid = Grid((9, 9))
    with pytest.raises(ValueError, match="runs on one process; there is a `partition`"):
        Solver(Poisson(grid), method="transform", partition=object())
    with pytest.raises(ValueError, match=r"`f` must be finite; .* first at"):
        solve(np.full((4, 4), np.nan), method="transform")


def test_robin_without_alpha_is_neumann():
    f = random((6, 7))
    ours = solve(f, bc=[Robin(0), "dirichlet"], method="transform").u
    np.testing.assert_allclose(ours, solve(f, bc=["neumann", "dirichlet"], method="transform").u, atol=1e-14)
