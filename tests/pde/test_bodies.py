"""Materials that others hardly hold, against elimination without subtraction (Grassmann, Taksar and Heyman 1985)."""

import numpy as np
import pytest
import torch

from mgnet.pde import Faces, Grid, NotConverged, Poisson, RoundOffWarning, Solver, solve

pytestmark = pytest.mark.filterwarnings("ignore::mgnet.pde.RoundOffWarning")
N = 18
X, Y = Grid((N, N), centering="cell").coordinates()
DISC, OTHER = np.hypot(X - 0.45, Y - 0.5) < 0.25, np.hypot(X - 0.85, Y - 0.8) < 0.13
HALF = np.random.default_rng(1).random((N, N)) < 0.5
TINY = (1e-12, 1e-16, 1e-21)


def data(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape) + 0.1


def elimination(a: np.ndarray, f: np.ndarray, held: np.ndarray) -> np.ndarray:
    """u of -div(a grad u) + held u = f on cells of width 1/n without flux through the ends, by adding alone."""
    n, s = len(f), np.zeros((f.size, f.size))
    index = np.arange(f.size).reshape(f.shape)
    for i, j, one, other in (
        (index[1:], index[:-1], a[1:], a[:-1]),
        (index[:, 1:], index[:, :-1], a[:, 1:], a[:, :-1]),
    ):
        s[i, j] = s[j, i] = n**2 * 2 / (1 / one + 1 / other)
    e, b, rows = held.ravel().copy(), f.ravel().copy(), []
    for k in range(f.size):
        row = s[k, k + 1 :]
        diagonal = row.sum() + e[k]
        rows.append((row.copy(), diagonal, b[k]))
        s[k + 1 :, k + 1 :] += np.outer(row, row) / diagonal
        np.fill_diagonal(s, 0.0)
        e[k + 1 :] += row * e[k] / diagonal
        b[k + 1 :] += row * b[k] / diagonal
    u = np.zeros(f.size)
    for k, (row, diagonal, at) in reversed(list(enumerate(rows))):
        u[k] = (at + row @ u[k + 1 :]) / diagonal
    return u.reshape(f.shape)


def at_ends(a: np.ndarray) -> np.ndarray:
    """What Dirichlet ends add to the diagonal."""
    held = np.zeros_like(a)
    for end in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        held[end] += 2 * len(a) ** 2 * a[end]
    return held


MATERIALS = {
    "disc": lambda t: np.where(DISC, 1.0, t),
    "two discs": lambda t: np.where(DISC | OTHER, 1.0, t),
    "disc in a ring": lambda t: np.where(np.hypot(X - 0.45, Y - 0.5) < 0.15, 1.0, np.where(DISC, t**0.5, t)),
    "three layers": lambda t: np.choose((3 * X).astype(int), [1.0, t, t**1.5]),
    "random": lambda t: np.where(HALF, 1.0, t),
    "no jump": lambda t: np.where(DISC, 3.0, 1.0) * t,
}


@pytest.mark.parametrize("t", TINY)
@pytest.mark.parametrize("material", MATERIALS)
def test_materials(material: str, t: float) -> None:
    a, f = MATERIALS[material](t), data(N, N)
    solution = solve(f, a=a, centering="cell")
    u = elimination(a, f, at_ends(a))
    np.testing.assert_allclose(solution.u, u, atol=1e-7 * np.abs(u).max())
    assert solution.cycles <= 60


@pytest.mark.parametrize("t", TINY)
def test_a_disc_in_what_a_reaction_holds(t: float) -> None:
    a, f, c = MATERIALS["disc"](t), data(N, N), np.full((N, N), t)
    u = elimination(a, f, c)
    np.testing.assert_allclose(solve(f, a=a, c=c, bc="neumann", centering="cell").u, u, atol=1e-7 * np.abs(u).max())


@pytest.mark.parametrize("t", TINY)
def test_behind_a_layer(t: float) -> None:
    a, f = np.where(np.abs(X - 0.5) < 0.06, t, 1.0), data(N, N)
    held = np.zeros((N, N))
    held[0] = 2 * N**2 * a[0]
    u = elimination(a, f, held)
    bc = (("dirichlet", "neumann"), "neumann")
    np.testing.assert_allclose(solve(f, a=a, bc=bc, centering="cell").u, u, atol=1e-7 * np.abs(u).max())


@pytest.mark.parametrize(("dtype", "tol"), [("f4", 1e-8), ("f4", None), ("f8", None)])
@pytest.mark.parametrize("material", MATERIALS)
def test_float32_and_one_pass(material: str, dtype: str, tol: float | None) -> None:
    a, f = MATERIALS[material](1e-15).astype(dtype), data(N, N).astype(dtype)
    u = elimination(a.astype(float), f.astype(float), at_ends(a.astype(float)))
    found = solve(f, a=a, centering="cell", tol=tol).u
    np.testing.assert_allclose(
        found, u, atol=np.abs(u).max() * (2e-3 if material == "no jump" and tol is None else 2e-6)
    )


def test_members_have_bodies_of_their_own() -> None:
    each = [MATERIALS[name](1e-15) for name in ("disc", "no jump", "two discs")]
    f = data(3, N, N)
    found = solve(f, a=np.stack(each), centering="cell", ndim=2).u
    for u, a, one in zip(found, each, f, strict=True):
        exact = elimination(a, one, at_ends(a))
        np.testing.assert_allclose(u, exact, atol=1e-7 * np.abs(exact).max())


SIDES = (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1])


@pytest.mark.parametrize("number", range(100))
def test_random_materials(number: int) -> None:
    """Two or three materials, down to 1e-20, in blobs, layers or at random; what is converged is right."""
    rng = np.random.default_rng([7, number])
    x, y = Grid((N, N), centering="cell").coordinates()
    count, words = rng.integers(2, 4), ("dirichlet", "neumann")
    kinds = (
        lambda: rng.integers(0, count, (N, N)),
        lambda: sum(np.hypot(x - rng.random(), y - rng.random()) < rng.uniform(0.1, 0.4) for _ in range(3)) % count,
        lambda: np.floor(x * rng.integers(2, 6)).astype(int) % count,
    )
    a = (10.0 ** -rng.uniform(0, 20, count))[kinds[rng.integers(3)]()]
    a = a * np.exp(0.5 * rng.normal(size=(N, N))) if rng.random() < 0.5 else a
    ends, f = rng.integers(0, 2, 4), data(N, N) * rng.choice([1.0, 30.0])
    c = np.full((N, N), 10.0 ** -rng.uniform(0, 20)) if ends.all() or rng.random() < 0.3 else np.zeros((N, N))
    held = c.copy()
    for end, there in zip(ends, SIDES, strict=True):
        held[there] += 2 * N**2 * a[there] * (end == 0)
    u, bc = elimination(a, f, held), [(words[ends[0]], words[ends[1]]), (words[ends[2]], words[ends[3]])]
    solution = solve(f, a=a, c=c, bc=bc, centering="cell", throw=False)
    assert solution.converged
    np.testing.assert_allclose(solution.u, u, atol=1e-6 * np.abs(u).max())


def test_lines_without_ends() -> None:
    """Each line along x is a body: u is nearly a function of y."""
    f, t = data(N, N), 1e-16
    u = solve(f, a=(np.ones((N, N)), np.full((N, N), t)), bc=("neumann", "dirichlet"), centering="cell").u
    K = N**2 * t * (np.diag(np.r_[3.0, np.full(N - 2, 2.0), 3.0]) - np.eye(N, k=1) - np.eye(N, k=-1))
    np.testing.assert_allclose(u, np.broadcast_to(np.linalg.solve(K, f.mean(0)), (N, N)), rtol=1e-7)


def test_three_dimensions_nodes_and_a_guess() -> None:
    """Where the material around it holds a ball, u goes with 1 / t."""
    x = Grid((18, 20, 16)).coordinates()
    ball, f = sum((v - 0.5) ** 2 for v in x) < 0.07, data(18, 20, 16)
    known = solve(f, a=np.where(ball, 1.0, 1e-8), tol=1e-12).u * 1e-8
    a = np.where(ball, 1.0, 1e-16)
    u = solve(f, a=a).u
    np.testing.assert_allclose(u * 1e-16, known, atol=2e-7 * np.abs(known).max())
    np.testing.assert_allclose(solve(f, a=a, guess=u).u, u, atol=1e-7 * np.abs(u).max())


def test_data_whose_sum_on_a_body_is_zero() -> None:
    """Then u is as large as the body alone makes it, whatever surrounds it."""
    f = np.where(DISC, np.round(20 * data(N, N)), 0.0)
    f[N // 2, N // 2] -= f.sum()
    assert f.sum() == 0
    found = [solve(f, a=MATERIALS["disc"](t), centering="cell").u for t in (1e-9, 1e-14, 1e-20)]
    u = elimination(MATERIALS["disc"](1e-9), f, at_ends(MATERIALS["disc"](1e-9)))
    for each in found:
        np.testing.assert_allclose(each, u, atol=1e-5 * np.abs(u).max())


def test_gradients() -> None:
    """The loss is of u t, which hardly depends on t, by f and by the material around the disc."""
    grads = []
    for t in (1e-8, 1e-16):
        f, a = (torch.from_numpy(v).requires_grad_() for v in (data(N, N), MATERIALS["disc"](t)))
        (t * solve(f, a=a, centering="cell", tol=1e-11).u).mean().backward()
        grads.append((f.grad, torch.where(torch.from_numpy(DISC), 0.0, t * a.grad)))
    for weak, weaker in zip(*grads, strict=True):
        torch.testing.assert_close(weak, weaker, rtol=0, atol=1e-6 * float(weak.abs().max()))


@pytest.mark.parametrize("centering", ["cell", "node"])
@pytest.mark.parametrize("c", [1e-7, 1e-10, 1e-16])
def test_order_4(c: float, centering: str) -> None:
    """A bordered system tells the constant without subtraction."""
    f = data(16, 18)
    held = c * (1 + 0.9 * np.sin(np.arange(16.0)))[:, None] * np.ones((16, 18))
    grid = Grid(f.shape, bc="neumann", centering=centering)
    free, problem = Poisson(grid, order=4), Poisson(grid, c=held, order=4)
    A, e = free.to_scipy().toarray(), problem.rhs(held).ravel()
    A -= np.diag(A.sum(1))
    K = np.block([[A + np.diag(e), e[:, None]], [np.ones((1, f.size)), np.zeros((1, 1))]])
    b = np.append(problem.rhs(f), 0.0)
    x = np.linalg.solve(K, b)
    u = (x[:-1] + x[-1]).reshape(f.shape)
    solution = Solver(problem).solve(f)
    np.testing.assert_allclose(solution.u, u, atol=1e-6 * np.abs(u).max())
    assert solution.cycles <= 50


def test_walls() -> None:
    """Zero faces beside tiny ones: a chamber with a leak."""
    x, y = np.ones((N + 1, N)), np.ones((N, N + 1))
    x[12], x[12, 5] = 0.0, 1e-16
    f = data(N, N)
    u = solve(f, a=Faces(x, y), bc=(("dirichlet", "neumann"), "neumann"), centering="cell").u
    leak = f[12:].sum() / N**2 / 1e-16
    np.testing.assert_allclose(u[12:], leak, rtol=1e-9)


@pytest.mark.parametrize("t", [1e-19, 1e-24])
def test_what_rounding_decides_is_refused(t: float) -> None:
    """Without a jump nothing is a body; what holds the far end is 1e-19 of its couplings."""
    with pytest.raises(NotConverged, match="held by less than float64 shows"):
        solve(data(N, N), a=t**X, bc=(("neumann", "dirichlet"), "neumann"), centering="cell", max_cycles=60)


def test_round_off_is_said() -> None:
    with pytest.warns(RoundOffWarning):
        solution = solve(data(N, N), a=MATERIALS["disc"](1e-16), centering="cell")
    assert solution.status == "round-off"
    assert not solution.reached_tol
