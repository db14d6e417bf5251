"""What a Solution tells, and when the iteration stops.

1  residuals, cycles, factor, status, converged, work and method are those of the iteration that ran.
2  Round-off is not failure: float32 and smooth float64 problems end with the status "round-off".
3  A guess is used (warm start) and costs no digits; a callback sees every cycle; dtype and kind are kept, of what did
   not converge, too; f is not modified; how arrays lie in memory changes nothing.
4  Members of a batch do not influence each other; scaling f scales u and nothing else, until that underflows.
5  A residual may be relative to the guess's; `reached_tol`, and a warning, tell round-off far above tol.
6  A solver whose coefficients were replaced is as good as a new one.
"""

import copy
import itertools
import pickle
import warnings

import numpy as np
import pytest
import torch

from mgnet.pde import Faces, Grid, NotConverged, Poisson, Robin, RoundOffWarning, Solver, solve
from mgnet.pde.outer.work import cycle_work, full_multigrid_work
from tests.pde.grids_and_data import random


def test_history_is_the_true_residuals():
    f, seen = random((150, 140)), []
    solver = Solver(Poisson(Grid((150, 140))))
    s = solver.solve(f, tol=1e-9, callback=lambda k, r: seen.append((k, r)))
    assert seen == list(enumerate(s.residuals))[1:]
    assert s.residuals[0] == 1.0
    assert s.cycles == len(s.residuals) - 1
    assert s.residuals[-1] <= 1e-9 < s.residuals[-2]
    assert (s.status, s.converged) == ("tolerance", True)
    assert s.factor == pytest.approx((s.residuals[-1]) ** (1 / s.cycles))
    true = np.linalg.norm(f - solver.problem.apply(s.u)) / np.linalg.norm(f)
    assert true == pytest.approx(s.residuals[-1], rel=1e-3)
    assert s.seconds > 0
    assert "V(2,2)" in s.method
    assert "chebyshev" in s.method
    sizes = solver.multigrid(solver.problem.A).levels.sizes
    assert s.work == pytest.approx(
        full_multigrid_work(sizes, (2, 2), 1) + (s.cycles - 1) * cycle_work(sizes, (2, 2), 1)
    )
    assert 5 < cycle_work(sizes, (2, 2), 1) < 5 * 4 / 3 + 0.5
    assert "150 x 140" in repr(s)


def test_one_full_multigrid_pass():
    s = solve(random((127, 127)), tol=None)
    assert (s.status, s.converged, s.cycles, s.residuals) == ("full multigrid", True, 1, [])
    assert np.isnan(s.factor)
    assert 5 < s.work < 12
    assert solve(random((150, 140)), tol=None).work > 12  # grids that are not nested take a second cycle


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize("shape", [(50, 60), (200, 190)])
def test_single_precision_ends_at_round_off(shape, kind):
    f = kind(random(shape).astype(np.float32))
    s = solve(f)
    assert (s.status, s.converged) == ("round-off", True)
    assert s.u.dtype == f.dtype
    assert type(s.u) is type(f)
    reference = solve(kind(random(shape)), tol=1e-12).u
    assert float(abs(s.u - reference).max()) < 2e-5 * float(abs(reference).max())
    assert s.cycles < 15


def test_smooth_double_precision_ends_at_round_off():
    x, y = Grid((511, 511)).coordinates()
    f = 2 * np.pi**2 * np.sin(np.pi * x) * np.sin(np.pi * y)
    with pytest.warns(RoundOffWarning, match="in float64"):
        s = solve(f, tol=1e-14)
    assert (s.status, s.converged) == ("round-off", True)
    assert 1e-14 < s.residuals[-1] < 1e-9


def test_a_guess_is_a_warm_start():
    f = random((150, 140))
    cold = solve(f, tol=1e-10)
    again = solve(f, guess=cold.u, tol=1e-9)
    assert (again.cycles, again.residuals[0] <= 1e-9) == (0, True)
    near = solve(f * (1 + 1e-4), guess=cold.u, tol=1e-10)
    assert near.residuals[0] < 2e-4
    assert near.cycles < cold.cycles
    torch.testing.assert_close(torch.as_tensor(near.u), torch.as_tensor(cold.u * (1 + 1e-4)), rtol=0, atol=1e-9)
    assert solve(f, guess=cold.u, tol=None).cycles == 1


def test_a_guess_stays_the_callers():
    """No u is its memory; it may be read-only."""
    f = random((70, 60))
    guess = solve(f, tol=1e-10).u
    for given in (guess, torch.from_numpy(guess)):
        u = solve(torch.from_numpy(f) if isinstance(given, torch.Tensor) else f, guess=given).u
        u -= 1.0
        assert abs(guess).max() < 0.5
    guess.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert solve(f, guess=guess).cycles == 0


def test_negated_views_and_narrow_coefficients():
    f, a = torch.from_numpy(random((12, 9))), torch.full((12, 9), 2.0)
    u = solve(f, a=2.0).u
    torch.testing.assert_close(solve(torch._neg_view(-f), a=a.bfloat16()).u, u, rtol=0, atol=1e-12)
    torch.testing.assert_close(solve(f, a=torch._neg_view(-a).double()).u, u, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "problem", [{}, {"a": lambda x, y: 1 + x * y}, {"velocity": (9.0, -5.0)}], ids=["numbers", "a(x)", "velocity"]
)
def test_one_pass_is_as_right_from_any_guess(problem):
    """A full pass for what the guess leaves; a guess worse than none counts for nothing."""
    f = 1 + random((70, 60))
    exact = solve(f, tol=1e-10, **problem).u
    for guess in (0 * f, 1e4 * random((70, 60), 1), 0.99 * exact):
        once = solve(f, guess=guess, tol=None, **problem).u
        assert abs(once - exact).max() < 0.05 * abs(exact).max()
    for tol, bad in itertools.product((None, 1e-8), (np.nan, np.inf)):
        with pytest.raises(ValueError, match=r"`guess` must be finite.*first at \(3, 4\)"):
            solve(f, guess=np.where(np.arange(4200).reshape(70, 60) == 184, bad, 0.0), tol=tol, **problem)


@pytest.mark.parametrize("shape", [(3, 1), (20, 25), (70, 60)])
def test_the_constant_of_a_guess_takes_no_digits(shape):
    """Where u is known up to a constant, a pressure of 1e5 and what it changes by; or a guess of any size."""
    f = random(shape).astype(np.float32)
    f -= f.mean()
    for a in (1.0, 1.0 + abs(random(shape, 2)).astype(np.float32)):
        u = solve(f, a=a, bc="periodic").u
        for guess in (1e5 + u, 1e5 * random(shape, 1).astype(np.float32)):
            again = solve(f, a=a, bc="periodic", guess=guess).u
            np.testing.assert_allclose(again, u, rtol=0, atol=1e-4 * abs(u).max())


@pytest.mark.parametrize("a", ["constant", "variable"])
def test_small_changes_are_solved_relative_to_the_guess(a):
    """A time step that changes u by less than tol: nothing happens relative to the data."""
    u0 = random((70, 60))
    solver = Solver(Poisson(Grid(u0.shape), 1.0 + abs(u0) if a == "variable" else 1.0, 1e12))
    before = solver.solve(1e12 * u0, tol=1e-13).u
    f = solver.problem.apply(before) + 1e2 * random(u0.shape, 1)  # 1e-10 of the data
    still = solver.solve(f, guess=before)
    assert (still.cycles, abs(still.u - before).max()) == (0, 0.0)
    moved = solver.solve(f, guess=before, tol=1e-4, relative_to="guess")
    assert moved.residuals[0] == 1.0
    assert moved.cycles >= 1
    expected = solver.solve(1e2 * random(u0.shape, 1), tol=1e-12).u
    np.testing.assert_allclose(moved.u - before, expected, rtol=0, atol=1e-3 * abs(expected).max())


def test_relative_to_a_guess_at_round_off_ends():
    """And a member whose guess is exact is left as it is; without a guess the two are the same."""
    f = random((2, 70, 60))
    f[1] = 0
    exact = solve(f, ndim=2, tol=1e-13, throw=False).u
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s = solve(f, guess=exact, ndim=2, tol=1e-10, relative_to="guess")
    assert (s.status, s.reached_tol) == ("round-off", False)
    assert not s.u[1].any()
    np.testing.assert_allclose(s.u, exact, rtol=0, atol=1e-12)
    assert solve(f, ndim=2, relative_to="guess").residuals == solve(f, ndim=2).residuals


@pytest.mark.parametrize("relative_to", ["data", "guess"])
@pytest.mark.parametrize("a", [1.0, lambda x, y: 1 + x * y], ids=["number", "callable"])
def test_nothing_is_solved_from_a_guess_of_something(a, relative_to):
    """f = 0 has no size that a residual could be relative to but the guess's, which hides what little holds."""
    f = random((2, 70, 60)) * np.array([0.0, 1.0])[:, None, None]
    s = solve(f, a=a, c=1e-3, bc="neumann", ndim=2, guess=random((2, 70, 60), 1), relative_to=relative_to)
    assert s.converged
    assert not s.u[0].any()
    alone = solve(f[0], a=a, c=1e-3, bc="neumann", guess=f[1], relative_to=relative_to)
    assert (alone.status, alone.cycles) == ("tolerance", 0)
    assert not alone.u.any()


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_round_off_far_above_tol_is_told(kind):
    """The tolerances that float32 cannot express, the default among them, and round-off near tol are silent."""
    x, y = Grid((255, 255)).coordinates()
    f = kind((np.sin(3 * x) * y).astype(np.float32))
    with pytest.warns(RoundOffWarning, match=r"residual of \d.*, above `tol` = 1e-06: in float32.*in float64") as told:
        s = solve(f, tol=1e-6)
    assert told[0].filename == __file__
    assert (s.status, s.converged, s.reached_tol) == ("round-off", True, False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not solve(f).reached_tol
        assert not solve(f, tol=s.residuals[-1] / 5).reached_tol
        assert solve(f, tol=1e-1).reached_tol
        assert solve(f, tol=None).reached_tol
        assert not solve(random((70, 60)), max_cycles=1, throw=False).reached_tol


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, ">f8", np.float32, np.float64], ids=str)
def test_kinds(dtype):
    f = (100 * abs(random((30, 40)))).astype(dtype)
    s = solve(f, tol=1e-5)
    assert s.u.dtype == (np.float32 if dtype is np.float32 else np.float64)
    np.testing.assert_allclose(s.u, solve(f.astype(float), tol=1e-12).u, rtol=0, atol=1e-4 * abs(s.u).max())


@pytest.mark.parametrize("make", [lambda f: f, torch.as_tensor], ids=["numpy", "torch"])
def test_nothing_given_is_modified(make):
    f, guess = make(random((3, 60, 70))), make(random((3, 60, 70), 1))
    kept = f + 0, guess + 0
    solver = Solver(Poisson(Grid((60, 70))))
    first = solver.solve(f, guess=guess)
    copy = first.u + 0
    solver.solve(guess, guess=f)
    solver.cycle(guess, f)
    assert (f == kept[0]).all()
    assert (guess == kept[1]).all()
    assert (first.u == copy).all()


@pytest.mark.parametrize("view", ["transposed", "reversed", "strided", "read-only"])
def test_any_memory_layout(view):
    f = random((140, 150))
    given = {"transposed": f.T.copy().T, "reversed": f[::-1].copy()[::-1], "strided": np.repeat(f, 2, 1)[:, ::2]}.get(
        view, f
    )
    if view == "read-only":
        given.setflags(write=False)
    np.testing.assert_array_equal(solve(given).u, solve(f.copy()).u)


@pytest.mark.parametrize(
    "view", [lambda v: v[::-1].copy()[::-1], lambda v: v.astype(">f8")], ids=["reversed", "swapped"]
)
def test_any_memory_layout_of_what_stands_beside_f(view):
    f, v, at = random((12, 15)), np.exp(random((12, 15), 1)), random((12, 15), 2) > 1
    x = view(v[0])
    mask = np.hypot(*(t - 0.5 for t in Grid((12, 15)).coordinates())) < 0.45
    for make in (
        lambda v, x: {"c": v, "guess": v, "a": (v, 1.0), "boundary": [(x, 0.0), None]},
        lambda v, x: {"bc": [Robin(x), "dirichlet"], "fixed": (at, v), "velocity": (v, 1.0)},
        lambda v, x: {"a": Faces(1.0, np.ones((12, 16))[:, ::-1]), "mask": mask, "mask_boundary": v},
    ):
        np.testing.assert_array_equal(solve(f, **make(view(v), x)).u, solve(f, **make(v, v[0])).u)
    problem = Poisson(Grid((12, 15)))
    np.testing.assert_array_equal(problem.apply(view(v)), problem.apply(v))
    np.testing.assert_array_equal(problem.rhs(view(v)), problem.rhs(v))


@pytest.mark.parametrize("make", [lambda f: f, torch.as_tensor], ids=["numpy", "torch"])
def test_what_did_not_converge_is_of_the_kind_of_f(make):
    """As with throw=False: fixed values, kind, time; and it survives the way from another process."""
    f, where = random((70, 60)), random((70, 60), 1) > 2
    how = {"tol": 1e-12, "max_cycles": 1, "fixed": (where, 1.0)}
    expected = solve(make(f), throw=False, **how).u
    with pytest.raises(NotConverged) as error:
        solve(make(f), **how)
    assert type(error.value.solution.u) is type(expected)
    assert error.value.solution.seconds > 0
    again = pickle.loads(pickle.dumps(error.value))
    for each in (error.value, again, copy.deepcopy(error.value)):
        np.testing.assert_array_equal(each.solution.u, expected)
        assert str(each) == str(error.value)


def test_members_of_a_batch_are_independent():
    f = random((2, 3, 60, 70))
    f[0, 1] *= 1e-6
    f[1, 2] = 0
    s = solve(f, ndim=2, tol=1e-10)
    assert s.u.shape == f.shape
    assert not s.u[1, 2].any()
    for i, j in np.ndindex(2, 3):
        alone = solve(f[i, j], tol=1e-10).u
        np.testing.assert_allclose(s.u[i, j], alone, rtol=0, atol=1e-9 * abs(alone).max())


def test_zero_data_is_solved_by_zero():
    for tol in (1e-8, None):
        s = solve(np.zeros((100, 90)), tol=tol)
        assert s.converged
        assert not s.u.any()


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(np.float64, s) for s in (1e-300, 1e-170, 1e160, 1e250)] + [(np.float32, s) for s in (1e-36, 1e-24, 1e24)],
)
@pytest.mark.parametrize("shape", [(20, 20), (150, 140)], ids=str)
def test_any_scale_of_f(shape, dtype, scale):
    """||b||^2 under- or overflows here; u does not."""
    f = random(shape).astype(dtype)
    s, t = solve(f * dtype(scale), tol=1e-3), solve(f, tol=1e-3)
    np.testing.assert_allclose(s.u / dtype(scale), t.u, rtol=0, atol=2e-3 * abs(t.u).max())
    assert s.status == t.status


@pytest.mark.parametrize(("dtype", "scale"), [(np.float32, 1e-30), (np.float64, 1e-280), (np.float64, 1e280)])
@pytest.mark.parametrize(
    "problem", [{"a": lambda x, y: 1 + x * y}, {"velocity": (9.0, -5.0)}], ids=["a(x)", "velocity"]
)
def test_one_pass_at_any_scale_of_f(problem, dtype, scale):
    f = random((75, 80)).astype(dtype)
    once, scaled = solve(f, tol=None, **problem).u, solve(f * dtype(scale), tol=None, **problem).u
    np.testing.assert_allclose(scaled / dtype(scale), once, rtol=0, atol=1e-4 * abs(once).max())


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e-36), (np.float64, 1e-313)])
def test_what_underflows_is_no_answer(dtype, size):
    f = np.full((70, 60), size, dtype)
    with pytest.raises(NotConverged, match=r"underflows.*Scale the problem"):
        solve(f, upper=1e-3)
    assert not solve(0 * f, upper=1e-3).u.any()
    jumps = np.where(random((20, 25)) > 0, 1e6, 1).astype(
        dtype
    )  # some digits of the smallest are lost, which is nothing
    once, tiny = (solve(v * np.ones((20, 25), dtype), a=jumps, tol=1e-3).u for v in (1, 1e2 * size))
    np.testing.assert_allclose(tiny / dtype(1e2 * size), once, rtol=0, atol=1e-3 * abs(once).max())


def test_updated_coefficients():
    f = random((80, 90))
    solver = Solver(Poisson(Grid((80, 90))))
    before = solver.solve(f).u
    assert solver.update(a=2.0) is solver
    np.testing.assert_allclose(2 * solver.solve(f).u, before, rtol=0, atol=1e-7 * abs(before).max())
    for a, c in (((1.0, 3.0), 0.5), (np.exp(random((80, 90), 2)), None), (lambda x, y: 1 + x * y, 1.0)):
        updated = solver.update(a=a, c=c).solve(f, tol=1e-10).u
        fresh = solve(f, a=a, c=c, tol=1e-10).u
        np.testing.assert_allclose(updated, fresh, rtol=0, atol=1e-12 * abs(fresh).max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_solver_serves_any_batch_and_precision(dtype):
    solver = Solver(Poisson(Grid((70, 60)), c=1.0))
    for batch in ((), (4,), (2, 2), (1,)):
        f = random((*batch, 70, 60)).astype(dtype)
        s = solver.solve(f, tol=1e-4)
        assert s.u.dtype == dtype
        assert s.u.shape == f.shape
        assert solver.problem.apply(s.u).dtype == dtype
        assert solver.problem.rhs(f).dtype == dtype


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_plot(ndim, tmp_path):
    s = solve(random((60, 30, 20)[:ndim]))
    figure = s.plot(tmp_path / "solution.png")
    assert (tmp_path / "solution.png").stat().st_size > 10_000
    assert len(figure.axes) >= 2
    assert list(tmp_path.iterdir()) == [tmp_path / "solution.png"]


def test_work_is_that_of_the_cycles_that_ran():
    """Jumps make W-cycles; conjugate gradients begin with a step, and apply A twice more in each."""
    jumps = np.where(np.indices((100, 90)).sum(0) // 20 % 2 == 0, 1.0, 1e4)
    solver = Solver(Poisson(Grid((100, 90)), jumps))
    s, sizes = solver.solve(random((100, 90))), solver.multigrid(solver.problem.A).levels.sizes
    assert "W(2,2)" in s.method
    assert s.work == pytest.approx(s.cycles * (cycle_work(sizes, (2, 2), 2) + 2))
    quick = solver.solve(random((100, 90)), tol=None)
    assert quick.work == pytest.approx(full_multigrid_work(sizes, (2, 2), 2) + 5 * (cycle_work(sizes, (2, 2), 2) + 2))
    fourth = Solver(Poisson(Grid((100, 90)), order=4))
    s, sizes = fourth.solve(random((100, 90))), fourth.multigrid(fourth.problem.A).levels.sizes
    one = cycle_work(sizes, (2, 2), 1) + 1
    assert s.work == pytest.approx(full_multigrid_work(sizes, (2, 2), 1) + (s.cycles - 1) * one)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("grid", "width", "labels"),
    [
        (
            Grid.from_faces(([0, 0.2, 1.0], [0, 1, 2.5, 2 * np.pi]), bc=["neumann", "periodic"], geometry="polar"),
            2,
            "xy",
        ),
        (Grid.from_nodes(([0, 0.2, 0.5, 1.0], [0, 0.1, 1.0]), bc=["dirichlet", "periodic"]), 1, "xy"),
        (Grid.from_faces(([0, 0.2, 1.0], [0, 0.1, 0.3]), bc="neumann", geometry="axisymmetric"), 1, "rz"),
    ],
    ids=["polar cells", "stretched nodes", "axisymmetric cells"],
)
def test_cells_of_a_picture_fill_the_domain(grid, width, labels):
    s = solve(np.zeros(grid.shape), grid=grid, project=True)
    axes = s.plot().axes[0]
    assert np.ptp(axes.get_xlim()) == pytest.approx(width, rel=0.1)
    assert axes.collections[0].get_array().shape == grid.shape
    assert axes.get_xlabel() + axes.get_ylabel() == labels
