"""What holds u by less than its diagonal shows: u is (1, f) / (1, A 1) to (1, A 1) over the smoothest wave's energy."""

import numpy as np
import pytest
import torch

from mgnet.pde import Faces, Grid, Poisson, Robin, Solver, solve

pytestmark = pytest.mark.filterwarnings("ignore::mgnet.pde.RoundOffWarning")
TINY = (1e-10, 1e-13, 1e-17)


def rough(n: int, ndim: int = 2) -> np.ndarray:
    return np.exp(np.sin(5 * np.arange(n**ndim).reshape((n,) * ndim)))


def data(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape) + 0.1


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("c", TINY)
@pytest.mark.parametrize("n", [64, 150])
def test_reaction(n: int, c: float, dtype: str) -> None:
    f = data(n, n).astype(dtype)
    for a in (1.0, rough(n)):
        solution = solve(f, a=a, c=np.full((n, n), c), bc="neumann", centering="cell")
        np.testing.assert_allclose(solution.u, f.astype(float).mean() / c, rtol=1e-6 if dtype == "f4" else 1e-9)
        assert solution.cycles <= 10


@pytest.mark.parametrize("c", TINY)
@pytest.mark.parametrize("tol", [1e-8, None])
def test_reaction_in_a_corner(c: float, tol: float | None) -> None:
    f, held = data(48, 64), np.zeros((48, 64))
    held[:5, :7] = c
    u = solve(f, c=held, bc="neumann", centering="cell", tol=tol).u
    np.testing.assert_allclose(u, f.sum() / held.sum(), rtol=1e-6)


@pytest.mark.parametrize("alpha", TINY)
def test_weak_robin_end(alpha: float) -> None:
    n = 64
    f, a = data(n, n), rough(n)
    u = solve(f, a=a, bc=((Robin(alpha), "neumann"), "neumann"), centering="cell").u
    half = 2 * a[0] * n
    np.testing.assert_allclose(u, f.sum() / (alpha * half / (alpha + half) * n).sum(), rtol=1e-9)


@pytest.mark.parametrize(("bc", "centering"), [("neumann", "node"), ("periodic", "cell"), ("periodic", "node")])
def test_other_ends_and_three_dimensions(bc: str, centering: str) -> None:
    f, c = data(24, 20, 18), 1e-13
    problem = Poisson(Grid(f.shape, bc=bc, centering=centering), rough(30, 3)[:24, :20, :18], np.full(f.shape, c))
    w = problem.A.base.weigh(torch.ones(f.shape, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(Solver(problem).solve(f).u, (w * f).sum() / (c * w.sum()), rtol=1e-9)


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("number", [True, False])
@pytest.mark.parametrize("c", TINY)
def test_masks(c: float, number: bool, dtype: str) -> None:
    x, y = Grid((64, 56), centering="cell").coordinates()
    inside = (x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.2
    f = data(64, 56).astype(dtype)
    given = c if number else np.where(inside, c, np.nan)
    solution = solve(f, c=given, bc="neumann", centering="cell", mask=inside, mask_bc="neumann")
    np.testing.assert_allclose(
        solution.u[inside], f[inside].astype(float).mean() / c, rtol=1e-6 if dtype == "f4" else 1e-9
    )
    assert solution.cycles <= 10


def test_parts_of_a_mask() -> None:
    f, x = data(64, 64), np.arange(64)[:, None] + np.zeros((64, 64))
    left, right = x < 30, x > 32
    c = np.where(left, 1e-12, 3e-14)
    u = solve(f, a=rough(64), c=c, bc="neumann", centering="cell", mask=left | right, mask_bc="neumann").u
    np.testing.assert_allclose(u[left], f[left].mean() / 1e-12, rtol=1e-9)
    np.testing.assert_allclose(u[right], f[right].mean() / 3e-14, rtol=1e-9)


def test_parts_that_walls_cut_off() -> None:
    """Two chambers, each with a c of its own, and one cell alone beside a Robin end."""
    n, alpha = 40, 1e-13
    f, c = data(n, n), np.full((n, n), 3e-14)
    x_faces, y_faces = np.ones((n + 1, n)), np.ones((n, n + 1))
    x_faces[15], c[:15] = 0.0, 1e-12
    x_faces[1, 7], y_faces[0, 7:9], c[0, 7] = 0.0, 0.0, 1.0
    u = solve(f, a=Faces(x_faces, y_faces), c=c, bc="neumann", centering="cell").u
    alone = np.zeros((n, n), bool)
    alone[0, 7] = True
    left = (np.arange(n) < 15)[:, None] & ~alone
    right = ~left & ~alone
    for part in (left, right, alone):
        np.testing.assert_allclose(u[part], f[part].sum() / c[part].sum(), rtol=1e-9)
    ends = ((Robin(alpha), "neumann"), "neumann")
    again = solve(f, a=Faces(x_faces, y_faces), c=c, bc=ends, centering="cell").u
    for part in (left, right, alone):
        energy = c[part].sum() + alpha / (1 + alpha / (2 * n)) * n * part[0].sum()
        np.testing.assert_allclose(again[part], f[part].sum() / energy, rtol=1e-9)


def test_one_part_loose_one_firm_one_free() -> None:
    f, x = data(64, 64), np.arange(64)[:, None] + np.zeros((64, 64))
    strips = [(x < 20), (x > 21) & (x < 40), (x > 41)]
    c = np.select(strips, [1e-14, 3.0, 0.0])
    mask = strips[0] | strips[1] | strips[2]
    how = {"a": rough(64), "bc": "neumann", "centering": "cell", "mask_bc": "neumann"}
    with pytest.raises(ValueError, match="mean zero"):
        solve(f, c=c, mask=mask, **how)
    u = solve(f, c=c, mask=mask, project=True, **how).u
    np.testing.assert_allclose(u[strips[0]], f[strips[0]].mean() / 1e-14, rtol=1e-9)
    for strip, c_alone in ((strips[1], c), (strips[2], None)):
        alone = solve(f, c=c_alone, mask=strip, project=c_alone is None, **how).u
        np.testing.assert_allclose(u[strip], alone[strip], atol=1e-7 * np.abs(alone[strip]).max())


def test_one_member_loose_one_firm() -> None:
    f = data(2, 64, 64)
    c = np.array([1e-14, 1.0])[:, None, None] * np.ones((2, 64, 64))
    u = solve(f, a=rough(64), c=c, bc="neumann", centering="cell", ndim=2).u
    np.testing.assert_allclose(u[0], f[0].mean() / 1e-14, rtol=1e-9)
    alone = solve(f[1], a=rough(64), c=c[1], bc="neumann", centering="cell").u
    np.testing.assert_allclose(u[1], alone, atol=1e-7 * np.abs(alone).max())


def test_each_member_has_its_own() -> None:
    f = data(3, 64, 64)
    c = np.array([1e-11, 1e-13, 3e-15])[:, None, None] * np.ones((3, 64, 64))
    u = solve(f, c=c, bc="neumann", centering="cell", ndim=2).u
    np.testing.assert_allclose(u, np.broadcast_to((f.mean((1, 2)) / c[:, 0, 0])[:, None, None], u.shape), rtol=1e-9)


def test_gradient_by_what_holds() -> None:
    f = torch.from_numpy(data(64, 64)).requires_grad_()
    c = torch.full((64, 64), 1e-13, dtype=torch.float64, requires_grad=True)
    solve(f, c=c, bc="neumann", centering="cell").u.mean().backward()
    total = float(c.detach().sum())
    np.testing.assert_allclose(c.grad.detach(), np.full((64, 64), -float(f.detach().sum()) / total**2), rtol=1e-6)
    np.testing.assert_allclose(f.grad.detach(), np.full((64, 64), 1 / total), rtol=1e-6)


def test_guess_and_zero() -> None:
    f, c = data(64, 64), np.full((64, 64), 1e-13)
    u = solve(f, c=c, bc="neumann", centering="cell").u
    again = solve(f, c=c, bc="neumann", centering="cell", guess=u)
    np.testing.assert_allclose(again.u, u, rtol=1e-9)
    assert not solve(0 * f, c=c, bc="neumann", centering="cell").u.any()


def test_relative_to_the_guess() -> None:
    f, c = data(64, 64), np.full((64, 64), 1e-13)
    u = solve(f, c=c, bc="neumann", centering="cell", guess=f, relative_to="guess").u
    np.testing.assert_allclose(u, f.mean() / 1e-13, rtol=1e-9)


def test_cycles_are_counted() -> None:
    solution = Solver(Poisson(Grid((64, 64), bc="neumann", centering="cell"), c=np.full((64, 64), 1e-13))).solve(
        data(64, 64), max_cycles=2, throw=False
    )
    assert not solution.converged
    assert solution.cycles == 2


def test_nan_is_still_refused() -> None:
    f = data(64, 64)
    f[3, 5] = np.nan
    with pytest.raises(ValueError, match="`f`"):
        solve(f, c=np.full((64, 64), 1e-13), bc="neumann", centering="cell")
