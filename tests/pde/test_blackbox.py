"""Claims: black-box multigrid solves any coefficients, in few iterations whatever the size; its
solutions are the matrix's; batches are their members; one cycle is a symmetric preconditioner."""

import numpy as np
import pytest
import scipy.sparse.linalg as splinalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mgnet.pde import Grid, Poisson, Robin, Solver, solve
from mgnet.pde.blackbox import ReadableBlackBox, coarse_operators, from_diffusion
from mgnet.pde.blackbox.hierarchy import step_lengths
from mgnet.pde.blackbox.lines import DOMINANT, dominant_axes
from mgnet.pde.blackbox.traits import dominance
from mgnet.pde.native.blackbox import NativeBlackBox
from mgnet.pde.outer.stopping import PATIENCE
from tests.pde.coefficients_2d import anisotropic, checkerboard, smooth, thin_inclusion, white_noise
from tests.pde.stretched import graded

CASES = {
    "smooth": (lambda n: smooth, 7),
    "1e2": (lambda n: checkerboard(n, 1e2), 8),
    "1e4": (lambda n: checkerboard(n, 1e4), 8),
    "1e6": (lambda n: checkerboard(n, 1e6), 8),
    "noise": (white_noise, 17),
    "thin": (thin_inclusion, 8),
    "eps 1e-1": (lambda n: anisotropic(1e-1), 8),
    "eps 1e-3": (lambda n: anisotropic(1e-3), 8),
}


def rough(n: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n, n))


def steps(name: str, n: int) -> int:
    """Cycles to 1e-8 or to round-off."""
    make, _ = CASES[name]
    return solve(rough(n), a=make(n), max_cycles=60).cycles


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("n", [127, 255])
def test_iterations(name, n):
    assert steps(name, n) <= CASES[name][1]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("n", [511, 1023])
def test_iterations_do_not_grow(name, n):
    assert steps(name, n) <= CASES[name][1] + (5 if n == 1023 else 1)


ENDS = ["dirichlet", "neumann", "periodic"]


@settings(max_examples=25)
@given(data=st.data())
def test_agrees_with_a_direct_solver(data):
    ndim = data.draw(st.integers(1, 3))
    size = {1: (3, 400), 2: (3, 40), 3: (2, 12)}[ndim]
    shape = tuple(data.draw(st.integers(*size)) for _ in range(ndim))
    bc = [data.draw(st.sampled_from(ENDS)) for _ in range(ndim)]
    centering = data.draw(st.sampled_from(["node", "cell"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**20)))
    a = np.exp(data.draw(st.sampled_from([0.5, 2.0])) * rng.standard_normal(shape))
    c = rng.random(shape) if data.draw(st.booleans()) else None
    upper = tuple(data.draw(st.sampled_from([1.0, 3.0])) for _ in range(ndim))
    problem = Poisson(Grid(shape, bc=bc, centering=centering, upper=upper), a, c)
    f = rng.standard_normal(shape)
    if problem.singular:
        w = problem.rhs(np.ones(shape))
        f -= (w * f).sum() / w.sum()
    solution = Solver(problem).solve(f, tol=1e-11)
    b = problem.rhs(f)
    if problem.singular:
        assert np.linalg.norm(b - problem.apply(solution.u)) <= 1e-9 * np.linalg.norm(b)
        return
    exact = splinalg.spsolve(problem.to_scipy().tocsc(), b.ravel()).reshape(shape)
    np.testing.assert_allclose(solution.u, exact, rtol=0, atol=1e-9 * np.abs(exact).max())


def test_batched_coefficients_equal_one_by_one():
    rng = np.random.default_rng(3)
    f, a = rng.standard_normal((2, 3, 40, 33)), np.exp(rng.standard_normal((3, 40, 33)))
    together = solve(f, a=a, ndim=2, tol=1e-10).u
    for i in range(2):
        for j in range(3):
            alone = solve(f[i, j], a=a[j], tol=1e-10).u
            np.testing.assert_allclose(together[i, j], alone, rtol=0, atol=1e-8 * np.abs(alone).max())


def test_finished_members_are_left_alone():
    rng = np.random.default_rng(4)
    f = rng.standard_normal((3, 60, 60))
    f[1] = 0
    a = np.stack([np.ones((60, 60)), np.ones((60, 60)), checkerboard(60, 1e4)])
    solution = solve(f, a=a, ndim=2)
    assert solution.converged
    assert (solution.u[1] == 0).all()


@pytest.mark.parametrize("bc", ["dirichlet", "periodic"])
def test_preconditioner_is_symmetric(bc):
    n = 48
    M = Solver(Poisson(Grid((n, n), bc=bc), checkerboard(n, 100.0), c=np.ones((n, n)))).aspreconditioner()
    rng = np.random.default_rng(5)
    v, w = rng.standard_normal((2, n * n))
    assert v @ (M @ w) == pytest.approx(w @ (M @ v), rel=1e-3)  # levels in float32, whose rounding W-cycles add up
    assert v @ (M @ v) > 0


@pytest.mark.parametrize("gamma", [1, 2])
@pytest.mark.parametrize("bc", ["dirichlet", "periodic"])
def test_cycle_is_symmetric_to_roundoff(bc, gamma):
    n = 48
    A = Poisson(Grid((n, n), bc=bc), checkerboard(n, 100.0), c=np.ones((n, n))).A.detached().base
    like = torch.zeros(1, n, n, dtype=torch.float64)
    levels = NativeBlackBox(A, like, gamma=gamma, precision=torch.float64)
    v, w = np.random.default_rng(5).standard_normal((2, 1, n, 1, n))
    Mv, Mw = levels.cycle(None, v), levels.cycle(None, w)
    assert (v * Mw).sum() == pytest.approx((w * Mv).sum(), rel=1e-10)


def test_is_a_preconditioner_for_scipy():
    problem = Poisson(Grid((63, 63)), checkerboard(63, 1e3))
    solver, b, seen = Solver(problem), rough(63).ravel(), []
    A = solver.aslinearoperator()
    _, info = splinalg.cg(A, b, rtol=1e-8, M=solver.aspreconditioner(), callback=lambda _: seen.append(1))
    assert info == 0
    assert len(seen) <= 16


@pytest.mark.parametrize("bc", ["dirichlet", "periodic"])
@pytest.mark.parametrize("tol", [1e-10, None])
def test_second_order(bc, tol):
    """The variable-coefficient problem of pyro2: alpha = 2 + cos cos, u = sin sin."""
    pi, errors = np.pi, []

    def alpha(x, y):
        return 2 + np.cos(2 * pi * x) * np.cos(2 * pi * y)

    for n in (32, 64, 128, 256):
        x, y = Grid((n, n), bc=bc, centering="cell").coordinates()
        s = np.sin(2 * pi * x) * np.sin(2 * pi * y)
        f = 16 * pi**2 * (np.cos(2 * pi * x) * np.cos(2 * pi * y) + 1) * s
        errors.append(np.abs(solve(f, a=alpha, bc=bc, centering="cell", tol=tol).u - s).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 2.0, atol=0.1)


def test_full_multigrid_ends_at_the_discretisation_error():
    n = 127
    problem = Poisson(Grid((n, n)), smooth)
    x, y = problem.grid.coordinates()
    s, pi = np.sin(np.pi * x) * np.sin(np.pi * y), np.pi
    ax, ay = 1.5 * np.cos(3 * x) * np.cos(2 * y) + 1, -np.sin(3 * x) * np.sin(2 * y)
    f = 2 * pi**2 * smooth(x, y) * s
    f = f - ax * pi * np.cos(pi * x) * np.sin(pi * y) - ay * pi * np.sin(pi * x) * np.cos(pi * y)
    solver = Solver(problem)
    exact = np.abs(solver.solve(f, tol=1e-11).u - s).max()
    assert np.abs(solver.solve(f, tol=None).u - s).max() <= 1.5 * exact


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_guess_and_dtype(dtype):
    f = torch.ones((70, 70), dtype=dtype)
    a = torch.from_numpy(checkerboard(70, 10.0)).to(dtype)
    tol = 1e-4 if dtype == torch.float32 else 1e-9
    first = solve(f, a=a, tol=tol)
    guess = first.u.clone()
    again = solve(f, a=a, tol=tol, guess=guess)
    assert first.u.dtype == dtype
    assert again.cycles == 0
    half = solve(f, a=a, tol=tol, guess=0.5 * guess)
    assert half.converged
    assert torch.equal(guess, first.u)  # the guess is not written to


def test_nan_is_named():
    f = np.ones((40, 40))
    f[3, 4] = np.nan
    with pytest.raises(ValueError, match="finite"):
        solve(f, a=smooth)


def jumps_in_one_axis(n, blocks=8):
    x, y = Grid((n, n)).coordinates()
    return np.where((np.floor(blocks * x) + np.floor(blocks * y)) % 2 == 0, 1.0, 1e6)


@pytest.mark.parametrize("n", [65, 127])
@pytest.mark.parametrize("other", [1.0, 1e3, 1e6])
def test_jumps_in_one_axis_are_met_by_lines(n, other):
    """One axis dominates here, the other there: semicoarsening has no choice that suits both."""
    for a in ((jumps_in_one_axis(n), other), (other, jumps_in_one_axis(n))):
        s = solve(rough(n), a=a, c=1.0, max_cycles=30)
        assert s.cycles <= 20
        assert "zebra" in s.method


def clustered(ratio):
    """X': cells that are ``ratio`` times narrower at both ends."""
    return lambda s: 1 / np.cosh(np.arccosh(ratio**0.5) * (2 * s - 1)) ** 2


STRETCHINGS = {
    "both ends": clustered,
    "one end": lambda ratio: lambda s: clustered(ratio)((1 + s) / 2),
    "middle": lambda ratio: lambda s: 1 / clustered(ratio)(s),
    "geometric": lambda ratio: lambda s: ratio**s,
    "none": lambda _: np.ones_like,
}


def stretched(widths):
    """The a of x_d = X_d(s_d), for the X_d'."""

    def along(d):
        return lambda *s: np.prod(
            [v(x) ** (-1 if e == d else 1) for e, (v, x) in enumerate(zip(widths, s, strict=True))], axis=0
        )

    return tuple(along(d) for d in range(len(widths)))


@pytest.mark.parametrize("ratio", [14.0, 100.0])
@pytest.mark.parametrize(
    "kinds",
    [("both ends", "both ends"), ("one end", "geometric"), ("middle", "middle"), ("geometric", "none"),
     ("none", "both ends"), ("both ends", "one end", "none"), ("both ends", "both ends", "both ends")],
    ids=str,
)  # fmt: skip
def test_stretched_grids_take_few_cycles(kinds, ratio):
    """Also where each coefficient alone varies little: the ratio of two of them is what counts."""
    n = 65 if len(kinds) == 2 else 20
    a = stretched([STRETCHINGS[kind](ratio) for kind in kinds])
    s = solve(np.random.default_rng(0).standard_normal((n,) * len(kinds)), a=a)
    assert s.cycles <= 8
    assert "V(2,2)-cycles, zebra" in s.method


def test_where_two_axes_dominate_the_third_lines_take_more():
    """Where cells are narrow along two axes of three, planes are coupled strongly, which lines do not solve."""
    a = stretched([STRETCHINGS["middle"](100.0)] * 3)
    assert solve(np.random.default_rng(0).standard_normal((20, 20, 20)), a=a).cycles <= 25


def test_an_anisotropy_that_turns():
    a = (lambda x, y: 1e-3 + np.cos(np.pi * x) ** 2, lambda x, y: 1e-3 + np.sin(np.pi * x) ** 2)
    assert solve(rough(65), a=a).cycles <= 8
    halves = (lambda x, y: np.where(x < 0.5, 1.0, 1e3), lambda x, y: np.where(x < 0.5, 1e3, 1.0))
    assert solve(rough(65), a=halves).cycles <= 10


@pytest.mark.parametrize(("end", "centering"), [("neumann", "node"), ("neumann", "cell"), ("periodic", "node")])
@pytest.mark.parametrize("a", [None, lambda *x: 1 + x[0] / 2000], ids=["numbers", "callable"])
@pytest.mark.parametrize(
    ("shape", "upper"), [((400, 6), (100, 0.01)), ((2000, 4), (2000, 4)), ((60, 50, 5), (10, 10, 0.01))], ids=str
)
def test_a_short_axis_of_strong_coupling(shape, upper, a, end, centering):
    """Where it can be coarsened no further, points would not smooth what is constant along it."""
    bc = [*["dirichlet"] * (len(shape) - 1), end]
    s = solve(np.random.default_rng(0).standard_normal(shape), a=a, bc=bc, upper=upper, centering=centering)
    assert s.cycles <= 15


@pytest.mark.parametrize(("cycle", "a", "index"), [("V", 1e4, (2, "F")), ("V", 2.0, (1, 1)), ("F", 1e4, ("F", "F"))])
def test_cycles_where_coefficients_jump(cycle, a, index):
    """W on a CPU, F on a GPU, where each visit to a coarse grid takes time; what was asked for stays."""
    problem = Poisson(Grid((40, 40)), np.where(np.indices((40, 40))[0] < 20, a, 1.0))
    levels = Solver(problem, cycle=cycle).multigrid(problem.A).levels
    for device, gamma in zip(("cpu", "cuda"), index, strict=True):
        levels.device = torch.device(device)
        assert levels.gamma == gamma


@pytest.mark.parametrize("bc", ["neumann", Robin(1e-4)], ids=str)
@pytest.mark.parametrize("c", [1e-1, 1e-3, 1e-5])
def test_what_is_held_by_little_is_solved(bc, c):
    """c is far below float32's round-off of a / h^2 here."""
    problem, f = Poisson(Grid((60, 70), bc=bc), lambda x, y: 1 + x, c), rough(70)[:60] + 1.0
    s = Solver(problem).solve(f)
    assert s.cycles <= 30
    exact = splinalg.spsolve(problem.to_scipy().tocsc(), problem.rhs(f).ravel()).reshape(f.shape)
    np.testing.assert_allclose(s.u, exact, rtol=1e-6 if c > 1e-4 else 1e-4)


@pytest.mark.parametrize("c", [10.0, 0.1, 0.01])
def test_a_masked_domain_with_no_flux_that_is_held_by_little(c):
    x, y = np.meshgrid(np.linspace(-1, 1, 127), np.linspace(-1, 1, 137), indexing="ij")
    s = solve(np.random.default_rng(0).standard_normal(x.shape) + 1, mask=np.hypot(x, y) < 0.8, mask_bc="neumann", c=c)
    assert s.cycles <= 30


@pytest.mark.parametrize(("n", "strength"), [(128, 1e4), (300, 1e3), (300, 1e4)])
@pytest.mark.parametrize("domain", ["L", "porous"])
def test_waves_that_float32_would_round_away(n, strength, domain):
    """No flux, and much stronger along x: the smoothest waves along y have less energy than float32 resolves."""
    x, y = np.meshgrid(*[np.linspace(0, 1, n)] * 2, indexing="ij")
    rng = np.random.default_rng(0)
    mask = (x < 0.5) | (y < 0.5) if domain == "L" else rng.random((n, n)) > 0.03
    part, count = ndimage.label(mask)
    f = rng.standard_normal(mask.shape)
    f -= ndimage.mean(f, part, range(count + 1))[part]
    problem = Poisson(Grid((n, n), bc="neumann", centering="cell"), (strength, 1.0), mask=mask, mask_bc="neumann")
    s = Solver(problem).solve(np.where(mask, f, 0.0))
    assert s.cycles <= {"L": 10, "porous": 20}[domain]
    r = np.where(mask, f, 0.0) - problem.apply(s.u)
    assert np.linalg.norm(r) <= 1.1e-8 * np.linalg.norm(f[mask])


def test_islands_that_little_holds_ask_for_wider_levels():
    """They count for little beside the rest, so levels are in float32 at first; wider ones take over, and stay."""
    mask, told = np.random.default_rng(3).random((99, 54)) > 0.25, []
    f = np.where(mask, np.random.default_rng(0).standard_normal(mask.shape), 0.0)
    grid = Grid(mask.shape, bc=[("neumann", "dirichlet"), "neumann"])
    solver = Solver(Poisson(grid, c=6e-4, mask=mask, mask_bc="neumann"))
    first = solver.solve(f, callback=lambda *step: told.append(step))
    assert PATIENCE < first.cycles <= PATIENCE + 40
    assert told == list(enumerate(first.residuals))[1:]
    again = solver.solve(f)
    assert again.cycles <= 40
    np.testing.assert_allclose(again.u, first.u, rtol=0, atol=1e-5 * abs(first.u).max())


def test_slow_levels_in_float32_that_end_in_sight_are_kept():
    solver = Solver(Poisson(Grid((127, 127)), np.random.default_rng(1).choice([1.0, 1e4], (127, 127))))
    assert solver.solve(rough(127)).cycles > PATIENCE
    assert solver.multigrid(solver.problem.A).levels.may_choose


@pytest.mark.parametrize("c", [5e-4, 1e-2])
@pytest.mark.parametrize(("strength", "contrast"), [((1.0, 1.0), 100.0), ((350.0, 8.0), 1.6), ((350.0, 8.0), 100.0)])
@pytest.mark.parametrize("bc", ["periodic", "neumann"])
def test_single_precision_data_that_little_holds(bc, strength, contrast, c):
    """It is solved in float64, and levels are so where the operator asks for it; u was off by as much as its size."""
    blobs = ndimage.gaussian_filter(np.random.default_rng(4).standard_normal((53, 90)), 2.0) > 0
    problem = Poisson(
        Grid(blobs.shape, bc=bc, centering="cell"), tuple(a * np.where(blobs, contrast, 1.0) for a in strength), c
    )
    f = np.random.default_rng(1).standard_normal(blobs.shape).astype(np.float32)
    s, in_float64 = Solver(problem).solve(f), Solver(problem).solve(f.astype(float), tol=2.0**-23)
    assert s.u.dtype == np.float32
    assert s.cycles <= in_float64.cycles <= 9
    exact = splinalg.spsolve(problem.to_scipy().tocsc(), f.astype(float).ravel()).reshape(f.shape)
    np.testing.assert_allclose(s.u, exact, rtol=0, atol=1e-4 * np.abs(exact).max())


@pytest.mark.parametrize(("shape", "bc"), [((12, 3), ["neumann", "periodic"]), ((9, 47), "neumann")])
def test_single_precision_knows_what_nothing_holds(shape, bc):
    """Rows of a singular stencil sum to zero, whatever the precision of the coefficients."""
    rng = np.random.default_rng(3)
    grid = Grid(shape, bc=bc, upper=(0.25, 1.19), centering="cell")
    a, f = np.exp(0.3 * rng.standard_normal(shape)), rng.standard_normal(shape).astype(np.float32)
    problem = Poisson(grid, a, like=f)
    A = from_diffusion(problem.A).dense()[0]
    assert A.sum(1).abs().max() < 1e-14 * A.abs().max()
    assert Solver(problem).solve(f - f.mean(), tol=1e-5).cycles <= 8


@pytest.mark.parametrize("width", range(2, 9))
def test_iterates_do_not_run_away_at_round_off(width):
    """Conjugate gradients lose conjugacy there; they did run away, to residuals of 1e31."""
    bc = [("neumann", Robin(50.0)), ("dirichlet", "neumann")]
    jumps = np.where((np.indices((23, 45)) // width).sum(0) % 2 == 0, 1.0, 1e6)
    s = solve(rough(45)[:23], a=jumps, c=4.0, bc=bc, upper=(20.0, 2.5), tol=1e-15)
    assert s.status == "round-off"
    assert s.residuals[-1] < 1e-7


def test_lines_are_not_taken_where_points_do():
    for a in (checkerboard(63, 1e6), white_noise(63), thin_inclusion(63), anisotropic(1e-3)):
        assert "chebyshev" in solve(rough(63), a=a).method


@pytest.mark.parametrize("shape", [(40, 33), (13, 12, 14)])
@pytest.mark.parametrize("bc", ["dirichlet", "neumann", "periodic"])
def test_zebra_may_be_asked_for_with_any_coefficients(shape, bc):
    rng = np.random.default_rng(6)
    problem, f = Poisson(Grid(shape, bc=bc), np.exp(rng.standard_normal(shape)), 1.0), rng.standard_normal(shape)
    s = Solver(problem, smoother="zebra").solve(f, tol=1e-11)
    exact = splinalg.spsolve(problem.to_scipy().tocsc(), problem.rhs(f).ravel()).reshape(shape)
    np.testing.assert_allclose(s.u, exact, rtol=0, atol=1e-9 * np.abs(exact).max())
    assert "zebra" in s.method


@pytest.mark.parametrize("nu", [(1, 2), (2, 1), (3, 0)])
@pytest.mark.parametrize("name", ["smooth", "1e6", "noise"])
def test_unequal_sweeps_are_accelerated_too(nu, name):
    """A cycle that is not symmetric is no preconditioner for conjugate gradients; minimal residuals take it."""
    make, most = CASES[name]
    s = Solver(Poisson(Grid((127, 127)), make(127)), nu=nu).solve(rough(127))
    assert s.cycles <= most + 3
    assert "minimal residuals" in s.method


@pytest.mark.parametrize("n", [33, 64])
def test_where_an_axis_dominates_it_is_looked_for(n):
    """``dominance``, which costs little, never hides what ``dominant_axes`` would find; and hides some noise."""
    rng, found, spared = np.random.default_rng(0), 0, 0
    for _ in range(60):
        field = np.exp(rng.uniform(0.1, 4) * rng.standard_normal((n, n)))
        blocks = np.kron(10.0 ** rng.uniform(-3, 3, (4, 4)), np.ones((n // 4 + 1, n // 4 + 1)))[:n, :n]
        a = (field, blocks, (blocks, np.ones((n, n))), (field, blocks), (np.ones((n, n)), field))[int(rng.integers(5))]
        A = Poisson(Grid((n, n), bc=str(rng.choice(["dirichlet", "neumann", "periodic"]))), a, 1.0).A
        dominant = bool(dominant_axes(from_diffusion(A).unit()[0]))
        assert dominance(A) > DOMINANT / 2 or not dominant
        found, spared = found + dominant, spared + (dominance(A) <= DOMINANT / 2)
    assert found > 5 < spared


def test_a_region_of_one_member_alone_is_found():
    """Neighbours are those on the grid, not the members before and after."""
    a = np.ones((3, 64, 64))
    a[1, :32] = 1e3
    solver = Solver(Poisson(Grid((64, 64)), (a, 1.0)))
    assert solver.solve(rough(64)).cycles <= 8


def inclusion(shape: tuple[int, ...]) -> np.ndarray:
    x = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    return np.where(sum((t - 0.4) ** 2 for t in x) < 0.06, 1e6, 1.0)


@pytest.mark.parametrize("shape", [(41, 41, 20), (21, 21, 21), (41, 43)], ids=str)
def test_no_step_makes_anything_larger(shape):
    """Where an odd ring closes, two coarse unknowns are next to each other, and coarse spectra reach 3."""
    grid = Grid(shape, bc="periodic")
    grids, _ = coarse_operators(from_diffusion(Poisson(grid, inclusion(shape), 1.0).A), grid.axes)
    for l, level in enumerate(grids[:-1]):
        A, v = level.A, torch.from_numpy(np.random.default_rng(0).standard_normal((1, *level.A.shape)))
        for _ in range(40):
            v = A(v / v.norm())
        largest = float(A(v / v.norm()).norm())
        for way in step_lengths(A, l, (2, 2), "chebyshev"):
            assert abs(np.prod([1 - omega * largest for omega in way])) < 1


def test_odd_rings_in_three_dimensions():
    s = solve(np.random.default_rng(0).normal(size=(41, 41, 20)), a=inclusion((41, 41, 20)), c=1.0, bc="periodic")
    assert s.cycles <= 12


def test_levels_in_float32_take_data_of_any_scale():
    """The plain torch ones: what float32 has no number for is divided out before."""
    A, b = Poisson(Grid((20, 20)), a=smooth).A.detached(), torch.from_numpy(rough(20))[None]
    levels = ReadableBlackBox(A, b)
    one, large = (levels.cycle(None, s * b) for s in (1.0, 1e60))
    torch.testing.assert_close(large / 1e60, one, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("bc", ["dirichlet", "neumann"])
def test_lines_meet_noise(bc):
    """Weights across lines are constant along strong ones, and lines are taken from a ratio of 16 on."""
    n, rng = 96, np.random.default_rng(0)
    noise, f = np.exp(rng.standard_normal((n, n))), rng.standard_normal((n, n))
    both = Grid.from_faces([graded(n, 100.0, both=True), graded(n, 1000.0)], bc)
    one = Grid.from_faces([graded(n, 100.0, both=True), np.linspace(0, 1, n + 1)], bc)
    half = np.where(np.arange(n)[:, None] < n // 2, 1.0, 20.0)
    for grid, a in ((both, noise), (one, noise), (Grid((n, n), bc), (half * noise, noise))):
        s = solve(f, grid=grid, a=a, c=1e-3)
        assert "zebra" in s.method
        assert s.cycles <= 9


def test_lines_along_short_rings():
    rng = np.random.default_rng(0)
    a, f = 10.0 ** rng.uniform(-0.5, 0.5, (64, 64)), rng.standard_normal((64, 64))
    s = solve(f, a=a, c=1.0, bc=("periodic", ("dirichlet", "neumann")), upper=(0.01, 1.0))
    assert "zebra" in s.method
    assert s.cycles <= 16
    a, f = 10.0 ** rng.uniform(-1, 1, (24, 25, 26)), rng.standard_normal((24, 25, 26))
    s = solve(f, a=a, c=1.0, bc=("neumann", "periodic", "dirichlet"), upper=(1.0, 0.01, 1.0))
    assert "zebra" in s.method
    assert s.cycles <= 12
