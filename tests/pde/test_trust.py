"""Claims: random problems are solved right, in few cycles, as matrices assembled by nobody's code but the script's say;
what little holds u is not rounded away, in float32 as in float64, on any path; one pass ends at the error of the
discretisation whatever c; cycles do not depend on the size.
"""

import numpy as np
import pytest
import torch

from benchmarks import trust
from mgnet.pde import Grid, Poisson, Solver, solve

D, N, P = "dirichlet", "neumann", "periodic"
ENDS = [D, N, P, (D, N), (N, D)]
SHORT, LONG = 40, 2000
NOISY = pytest.mark.filterwarnings("ignore::mgnet.pde.RoundOffWarning")


@NOISY
@pytest.mark.parametrize("problems", [SHORT, pytest.param(LONG, marks=pytest.mark.slow)])
def test_random_problems(problems):
    rows = list(trust.run(problems))
    assert len(rows) > 0.9 * problems
    assert [
        row for row in rows if row["wrong"] or row["cycles"] > trust.CYCLES or row["status"] == "not converged"
    ] == []


def test_the_references_solve_what_the_operator_is():
    """They would be worth nothing if they were of another discretisation, or could not fail."""
    for number in range(30):
        try:
            problem = trust.random_problem(number)
            if problem.f.ndim > len(problem.shape):
                continue
            kinds = {k: v for k, v in trust.given(problem).items() if k not in ("ndim", "throw")}
            bc = {k: kinds.pop(k) for k in ("bc", "centering", "upper")}
            A = Poisson(Grid(problem.shape, **bc), **kinds).to_scipy()
        except ValueError:
            continue
        rng, reference = np.random.default_rng(number), trust.Reference(problem, None)
        u = np.where(reference.inside, rng.normal(size=problem.f.size), 0)
        Au = np.where(reference.inside, A.astype(float) @ u, 0)
        np.testing.assert_allclose(-reference.residual(0 * u, u), Au, atol=1e-5 * abs(Au).max())
        assert abs(reference.residual(0 * u, u) + Au).max() < abs(reference.residual(0 * u, 1.01 * u) + Au).max()


def little(how, dtype, c=1e-3):
    """64^2 cells that c alone holds: (mean of u times c over the mean of f)."""
    f = (np.random.default_rng(0).normal(size=(64, 64)) + 0.1).astype(dtype)
    kinds = {"bc": "neumann", "centering": "cell"}
    if how == "array":
        u = solve(f, c=np.full(f.shape, c, dtype), **kinds).u
    elif how == "order 4":
        u = solve(f, c=c, order=4, bc="periodic", centering="cell").u  # whose columns, too, have the sum c
    elif how == "zebra":
        u = Solver(Poisson(Grid(f.shape, **kinds), c=c), smoother="zebra").solve(f).u
    elif how == "red-black":
        u = Solver(Poisson(Grid(f.shape, **kinds), c=c), smoother="red-black").solve(f).u
    elif how == "one pass":
        u = solve(f, c=c, tol=None, **kinds).u
    elif how == "lines":
        f = f.ravel()
        u = solve(f, c=np.full(f.shape, c, dtype), **kinds).u
    elif how == "unsymmetric":
        u = Solver(Poisson(Grid(f.shape, **kinds), c=np.full(f.shape, c, dtype)), nu=(2, 1)).solve(f).u
    else:
        u = solve(f, c=c, **kinds).u
    return u.mean(dtype=float) * float(np.asarray(c, dtype)) / f.mean(dtype=float)


PATHS = ["number", "array", "order 4", "zebra", "red-black", "one pass", "lines", "unsymmetric"]


@NOISY
@pytest.mark.parametrize("how", PATHS)
@pytest.mark.parametrize(("dtype", "c"), [("f4", 1e-3), ("f8", 1e-10)])
def test_what_little_holds_u_is_not_rounded_away(how, dtype, c):
    """The sum of all equations: c mean(u) = mean(f)."""
    assert abs(little(how, dtype, c) - 1) < (1e-4 if dtype == "f4" else 1e-6)


@NOISY
def test_so_it_is_in_gradients():
    """d mean(u) / d c = -mean(f) / c^2."""
    f = torch.from_numpy((np.random.default_rng(0).normal(size=(32, 32)) + 0.1).astype("f4"))
    c = torch.tensor(1e-3, requires_grad=True)
    solve(f, c=c, bc=N, centering="cell").u.double().mean().backward()
    assert abs(c.grad.item() / (-f.double().mean().item() / float(c.detach()) ** 2) - 1) < 1e-3


@NOISY
def test_weak_ends_hold_what_they_hold():
    f = np.random.default_rng(0).normal(size=(64, 64)).astype("f4") + np.float32(0.1)
    kinds = {"bc": [D, N], "upper": (100.0, 1.0)}
    number, array, wide = (solve(v, a=a, tol=1e-8, **kinds).u for v, a in
                           ((f, 1.0), (f, np.ones_like(f)), (f.astype(float), 1.0)))  # fmt: skip
    for u in (number, array):
        assert np.linalg.norm(u - wide) < 1e-5 * np.linalg.norm(wide)


@NOISY
@pytest.mark.parametrize("tol", [1e-8, None])
def test_heat_is_kept(tol):
    """20 implicit steps without flux through the ends: the sum of u stays."""
    rng = np.random.default_rng(0)
    u = rng.random((48, 48)).astype("f4")
    start, solver = u.sum(dtype=float), Solver(Poisson(Grid((48, 48), bc=N, centering="cell"), c=10.0, like=u))
    for _ in range(20):
        u = solver.solve(10 * u, tol=tol).u
    assert abs(u.sum(dtype=float) / start - 1) < 1e-5


@NOISY
def test_the_best_iterate_is_returned():
    g = Grid((512, 512), bc=N, centering="cell")
    x, y = g.coordinates()
    u = np.cos(np.pi * x) * np.cos(2 * np.pi * y)
    f = Poisson(g).apply(u).astype("f4")
    s = solve(f, bc=N, centering="cell")
    assert np.linalg.norm(s.u - u) < 1e-5 * np.linalg.norm(u)
    assert s.cycles <= 4


def smooth(grid, c):
    """u of products of waves that fit the ends, and f = -Lap u + c u."""
    u, k2 = np.ones(grid.shape), 0.0
    for x, (low, high) in zip(grid.coordinates(), grid.bc, strict=True):
        k = np.pi * (2 if low == P else 1 if low == high else 1.5)
        u, k2 = u * (np.sin(k * x) if low in (D, P) else np.cos(k * x)), k2 + k**2
    f = (k2 + c) * u
    w = Poisson(grid).rhs(np.ones(grid.shape))
    return u, f - (f * w).sum() / w.sum() if grid.closed and c == 0 else f


@NOISY
@pytest.mark.parametrize("centering", ["node", "cell"])
@pytest.mark.parametrize("end", [D, N, P, (D, N)], ids=str)
@pytest.mark.parametrize("shape", [(100, 100), (127, 127), (30, 30, 30), (200,)], ids=str)
def test_one_pass_ends_at_the_error_of_the_discretisation(shape, end, centering):
    """For h^2 c small, near 1 and large."""
    grid = Grid(shape, bc=[end] * len(shape), centering=centering)
    kinds = {"bc": [end] * len(shape), "centering": centering}
    for c in (0.0, 1.0, 1e2, 1e3, 1e4, 1e5, 1e6, 1e8):
        u, f = smooth(grid, c)
        once, exact = (solve(f, c=c, tol=tol, throw=False, **kinds).u for tol in (None, 1e-13))
        assert np.linalg.norm(once - u) <= 1.5 * np.linalg.norm(exact - u), c


def cycles(shape, bc, centering):
    try:
        grid = Grid(shape, bc=bc, centering=centering)
    except ValueError:
        return 0
    f = np.random.default_rng(0).normal(size=shape)
    if grid.closed:
        w = Poisson(grid).rhs(np.ones(shape))
        f -= (f * w).sum() / w.sum()
    return solve(f, tol=1e-10, bc=bc, centering=centering, throw=False).cycles


MOST = 16


@NOISY
@pytest.mark.parametrize("centering", ["node", "cell"])
@pytest.mark.parametrize("end", ENDS, ids=str)
def test_cycles_of_every_length(end, centering):
    """37 and 31 before factors were measured with what A maps to zero taken out."""
    lengths = [*range(2, 301, 13), 333, 777, 1001, 1500, 2500]
    assert max(cycles((n,), [end], centering) for n in lengths) <= 8


@NOISY
@pytest.mark.parametrize("centering", ["node", "cell"])
@pytest.mark.parametrize(("ndim", "largest", "count"), [(2, 300, 40), (3, 50, 12)])
def test_cycles_of_random_shapes(ndim, largest, count, centering):
    rng = np.random.default_rng(ndim)
    shapes = np.exp(rng.uniform(np.log(2), np.log(largest), (count, ndim))).astype(int)
    for shape in [(37, 100), *shapes] if ndim == 2 else shapes:
        bc = [ENDS[k] for k in rng.integers(0, 5, ndim)] if rng.random() < 0.7 else [ENDS[rng.integers(1, 3)]] * ndim
        assert cycles(tuple(int(n) for n in shape), bc, centering) <= MOST, (shape, bc)


@NOISY
@pytest.mark.slow
@pytest.mark.parametrize("centering", ["node", "cell"])
@pytest.mark.parametrize("end", ENDS, ids=str)
def test_cycles_of_all_lengths(end, centering):
    assert max(cycles((n,), [end], centering) for n in range(2, 301)) <= MOST
