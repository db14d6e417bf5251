"""Convergence factors against local Fourier analysis, and their independence of h, boundary kind and size.

The theory: two-grid factors of the five-point Laplacian, full weighting, bilinear interpolation.
Source: Trottenberg, Oosterlee & Schueller 2001, sections 4.3-4.6; degree k of Chebyshev is k sweeps down and k up.
"""

import numpy as np
import pytest
import torch

from mgnet.core import cycle
from mgnet.pde import Grid, Poisson, Polynomial, Solver
from mgnet.pde.levels.constant import readable_levels
from mgnet.pde.levels.grids import line_axis
from mgnet.pde.levels.smoothers import chebyshev
from tests.pde.grids_and_data import CENTERINGS, ENDS, SMOOTHERS, axis_bcs, random

JACOBI_2D = {1: 0.600, 2: 0.360, 3: 0.216, 4: 0.137}
RED_BLACK_2D = {1: 0.250, 2: 0.074, 3: 0.053, 4: 0.041}
CHEBYSHEV_2D = {1: 0.444, 2: 0.122}
RED_BLACK_3D = {1: 0.432, 2: 0.189, 3: 0.096, 4: 0.076}
JACOBI_3D = {1: 0.707, 2: 0.500, 3: 0.353, 4: 0.251}
CHEBYSHEV_3D = {1: 0.594, 2: 0.170}


def two_grid_factor(shape, smoother, nu, cycles=30, a=None):
    """The asymptotic factor of one grid and a direct solve on the next."""
    grid, a = Grid(shape), a or (1.0,) * len(shape)
    chain = [grid.axes, tuple(axis.coarsen() for axis in grid.axes)]
    levels, _ = readable_levels(chain, a, 0.0, torch.zeros((), dtype=torch.float64), smoother, nu)
    u, f, norms = torch.as_tensor(random((1, *shape))), torch.zeros(1, *shape, dtype=torch.float64), []
    for _ in range(cycles):
        u = cycle(levels, u, f)
        norms.append(float(u.norm()))
        u = u / norms[-1]
    return float(np.exp(np.mean(np.log(norms[-8:]))))


@pytest.mark.parametrize(
    ("smoother", "nu", "theory"),
    [
        *[("jacobi", (n // 2, n - n // 2), factor) for n, factor in JACOBI_2D.items()],
        *[("red-black", (n // 2, n - n // 2), factor) for n, factor in RED_BLACK_2D.items()],
        *[("chebyshev", (k, k), factor) for k, factor in CHEBYSHEV_2D.items()],
    ],
)
def test_two_grid_factors_are_the_theorys(smoother, nu, theory):
    """Within 5%."""
    assert two_grid_factor((127, 127), smoother, nu) == pytest.approx(theory, rel=0.05)


@pytest.mark.parametrize(
    ("smoother", "nu", "theory"),
    [
        *[("jacobi", (n // 2, n - n // 2), factor) for n, factor in JACOBI_3D.items()],
        *[("red-black", (n // 2, n - n // 2), factor) for n, factor in RED_BLACK_3D.items()],
        *[("chebyshev", (k, k), factor) for k, factor in CHEBYSHEV_3D.items()],
    ],
)
def test_two_grid_factors_in_space_are_the_theorys(smoother, nu, theory):
    assert two_grid_factor((31,) * 3, smoother, nu) == pytest.approx(theory, rel=0.1)


@pytest.mark.parametrize(("eps", "theory"), [(0.1, 0.679), (0.01, 0.956), (0.001, 0.991)])
def test_points_fail_under_anisotropy_as_the_theory_says(eps, theory):
    """Red-black, both axes coarsened: why axes are coarsened by their coupling."""
    assert two_grid_factor((127, 127), "red-black", (1, 1), 150, (eps, 1.0)) == pytest.approx(theory, rel=0.05)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("smoother", SMOOTHERS)
def test_v_cycles_converge_alike_on_every_grid(ndim, smoother):
    """A V-cycle is not much worse than its two-grid factor, and flat in n."""
    bound = {"chebyshev": 0.2, "jacobi": 0.35, "red-black": 0.25}[smoother]
    factors = []
    for n in {1: (200, 3000), 2: (63, 100, 255), 3: (20, 33, 47)}[ndim]:
        solver = Solver(Poisson(Grid((n,) * ndim)), smoother=smoother)
        factors.append(solver.solve(random((n,) * ndim), tol=1e-9).factor)
    assert max(factors) < bound
    assert max(factors) - min(factors) < 0.1


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("ends", ENDS, ids=str)
@pytest.mark.parametrize("shape", [(100, 100), (127, 64), (30, 31, 32)], ids=str)
def test_every_boundary_converges_as_dirichlet_does(shape, ends, centering):
    solver = Solver(Poisson(Grid(shape, bc=axis_bcs(len(shape), ends), centering=centering)))
    s = solver.solve(random(shape), tol=1e-9)
    assert s.converged
    assert s.factor < 0.2


@pytest.mark.parametrize("eps", [0.1, 0.01, 0.001, 1e-6])
def test_anisotropy_is_met_by_semicoarsening(eps):
    for a in ((eps, 1.0), (1.0, eps)):
        s = Solver(Poisson(Grid((127, 100)), a=a)).solve(random((127, 100)), tol=1e-8)
        assert s.cycles <= 20


@pytest.mark.parametrize("cycle_name", ["V", "W", "F"])
def test_w_and_f_cycles_are_no_slower_than_v(cycle_name):
    f = random((255, 255))
    v = Solver(Poisson(Grid((255, 255))), cycle="V").solve(f, tol=1e-9)
    s = Solver(Poisson(Grid((255, 255))), cycle=cycle_name).solve(f, tol=1e-9)
    assert s.factor <= v.factor + 1e-3
    assert s.work / s.cycles >= v.work / v.cycles - 1e-9


def zebra_theory(a, nu, n=64):
    """The two-grid factor of zebra lines along axis 0 by local Fourier analysis, on n x n low frequencies.

    Four harmonics; the lines of one colour mix theta_1 and theta_1 + pi. Trottenberg et al. 2001, section 5.2.
    n = 32 gives the rounder .046, .037, .025 that one reads for (1, eps), eps = .1, .01, .001.
    """
    theta = (np.arange(n) + 0.5) / n * np.pi - np.pi / 2
    x, y = (t.ravel() for t in np.meshgrid(theta, theta, indexing="ij"))
    X, Y = np.stack([x, x, x + np.pi, x + np.pi], -1), np.stack([y, y + np.pi, y, y + np.pi], -1)
    lines = 2 * a[0] * (1 - np.cos(X)) + 2 * a[1]
    A, partner = lines - 2 * a[1] * np.cos(Y), np.eye(4)[[1, 0, 3, 2]]
    J = (1 - A / lines)[:, None, :]
    first, second = (np.eye(4) * (J + 1) / 2 + sign * partner * (J - 1) / 2 for sign in (1, -1))
    full_weighting = (1 + np.cos(X)) * (1 + np.cos(Y)) / 4
    A_c = a[0] * (1 - np.cos(2 * x)) / 2 + a[1] * (1 - np.cos(2 * y)) / 2
    K = np.eye(4) - full_weighting[:, :, None] * (full_weighting * A / A_c[:, None])[:, None, :]
    S = second @ first
    M = np.linalg.matrix_power(S, nu[1]) @ K @ np.linalg.matrix_power(S, nu[0])
    return abs(np.linalg.eigvals(M)).max()


def zebra_factor(a, nu, n=127, cycles=20):
    """The asymptotic two-grid factor, both axes coarsened."""
    grid = Grid((n, n))
    chain = [grid.axes, tuple(axis.coarsen() for axis in grid.axes)]
    line = line_axis("zebra", grid.axes, a)
    like = torch.zeros((), dtype=torch.float64)
    levels, _ = readable_levels(chain, a, 0.0, like, "zebra", nu, line=line)
    u, f, norms = torch.as_tensor(random((1, n, n))), torch.zeros(1, n, n, dtype=torch.float64), []
    for _ in range(cycles):
        u = cycle(levels, u, f)
        norms.append(float(u.norm()))
        u = u / norms[-1]
    return float(np.exp(np.mean(np.log(norms[-8:]))))


@pytest.mark.parametrize(("nu", "published"), [(1, 0.249), (2, 0.062), (3, 0.017), (4, 0.012)])
def test_zebra_lines_have_the_theorys_factors(nu, published):
    theory = zebra_theory((1.0, 1.0), (nu // 2, nu - nu // 2))
    assert theory == pytest.approx(published, rel=0.05)
    assert 0.85 * theory <= zebra_factor((1.0, 1.0), (nu // 2, nu - nu // 2)) <= 1.03 * theory


@pytest.mark.parametrize("strong", [0, 1])
@pytest.mark.parametrize("eps", [0.1, 0.01, 0.001])
def test_zebra_lines_hold_under_anisotropy(eps, strong):
    """Where points fail (.956 at eps = .01), lines along the strong coupling are as good as ever."""
    theory = zebra_theory((1.0, eps), (1, 1))
    assert theory < 0.06
    assert 0.85 * theory <= zebra_factor((1.0, eps) if strong == 0 else (eps, 1.0), (1, 1)) <= 1.03 * theory


@pytest.mark.parametrize("ends", ENDS, ids=str)
@pytest.mark.parametrize(("shape", "a"), [((127, 100), (1.0, 0.001)), ((33, 30, 36), (1.0, 0.01, 1.0))], ids=str)
def test_zebra_solves(shape, a, ends):
    problem = Poisson(Grid(shape, bc=[ends, *["dirichlet"] * (len(shape) - 1)]), a)
    s = Solver(problem, smoother="zebra").solve(random(shape), tol=1e-9)
    assert s.converged
    assert s.factor < 0.15
    assert "zebra" in s.method
    M = Solver(problem, smoother="zebra").aspreconditioner()
    v, w = random(problem.grid.size, 1), random(problem.grid.size, 2)
    assert abs(w @ (M @ v) - v @ (M @ w)) <= 1e-11 * abs(w @ (M @ v))


@pytest.mark.parametrize("a", [None, lambda x, y: 1 + x * y], ids=["constant", "varying"])
def test_a_smoother_of_ones_own_is_the_word_with_the_same_steps(a):
    own = Polynomial("mine", lambda nu, ndim, low: chebyshev(nu, low))
    f = random((63, 50))
    problem = Poisson(Grid(f.shape), a, c=3.0)
    ours, theirs = (Solver(problem, smoother=smoother).solve(f) for smoother in (own, "chebyshev"))
    np.testing.assert_array_equal(ours.u, theirs.u)
    assert "mine smoother" in ours.method


@pytest.mark.parametrize("omegas", [(), (0.8, -0.1), (np.nan,), (np.inf,)])
def test_steps_that_cannot_be_are_refused(omegas):
    with pytest.raises(ValueError, match="'mine' must return positive numbers"):
        Solver(Poisson(Grid((20, 20))), smoother=Polynomial("mine", lambda nu, ndim, low: omegas))
