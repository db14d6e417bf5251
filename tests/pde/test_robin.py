"""Robin ends whose alpha varies along them.

1  u is what an independent assembly gives: arrays, callables, tensors, on all centrings, coefficients, masks and grids.
2  An alpha that is the same everywhere is the number; grids compare, print and solve with any.
3  Gradients with respect to alpha, reverse, forward and mapped; batches.
4  Where alpha is 0 nothing is held: all zero is Neumann's problem.
5  Second order; what is wrong is refused.
6  As a penalty, however large, it is Dirichlet's end, for numbers as coefficients too, and in one full pass.
"""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse.linalg as splinalg
import torch

from mgnet.pde import Faces, Grid, Poisson, Robin, Solver, solve, solve_nonlinear
from tests.pde.box import Box
from tests.pde.grids_and_data import order, random
from tests.pde.stretched import Cells, graded


def close(u, exact, tol=1e-10):
    np.testing.assert_allclose(u, exact, rtol=0, atol=tol * np.abs(exact).max())


@pytest.mark.parametrize("seed", range(12))
def test_equals_an_assembly(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(*[(9, 40), (5, 12), (4, 7)][seed % 3], size=seed % 3 + 1))
    arrays = [
        [rng.random(shape[:d] + shape[d + 1 :]) * (rng.random() < 0.9) for _ in range(2)] for d in range(len(shape))
    ]
    varying = rng.random((len(shape), 2)) < 0.5

    def along(d):
        return lambda *x: (d + 1) * (1 + np.cos(sum(x[:d] + x[d + 1 :])))

    bc = [tuple(Robin(along(d)) if varying[d, side] else Robin(arrays[d][side]) for side in (0, 1))
          for d in range(len(shape))]  # fmt: skip
    box = Box(shape, bc, ["node", "cell"][seed % 2], rng.uniform(0.5, 2.0, len(shape)))

    def alpha(d, side, i):
        if varying[d, side]:
            return along(d)(*(box.upper[d] * side if e == d else box.x[e][p] for e, p in enumerate(i)))
        return arrays[d][side][(*i[:d], *i[d + 1 :])]

    a = [1.7, np.exp(random(shape, 1)), lambda *x: 1 + sum(t * t for t in x)][seed // 2 % 3]
    mask = (rng.random(shape) < 0.8) if seed % 4 > 1 else None
    f, c = rng.normal(size=shape), rng.random(shape)
    how = {"a": a, "c": c, "mask": mask, "alpha": alpha, "boundary": lambda d, side, i: 1.5}
    exact = box.solve(f, **how)
    problem = Poisson(box.grid, a, c, mask=mask)
    close(Solver(problem).solve(f, boundary=1.5, tol=1e-13).u, exact)
    v = random(shape, 3)
    inside = np.ones(shape, bool) if mask is None else mask
    A, b = box.assemble(f, **how)
    close(problem.apply(np.where(inside, v, 0))[inside], (A @ np.where(inside, v, 0).ravel()).reshape(shape)[inside])
    close(problem.rhs(f, boundary=1.5)[inside], b.reshape(shape)[inside])


@pytest.mark.parametrize(
    ("geometry", "points", "bc"),
    [
        ("cartesian", [graded(12, 20), graded(9, 5)], ["dirichlet", "varying"]),
        ("polar", [np.linspace(0.2, 1, 9), np.linspace(0, 2 * np.pi, 17)], ["varying", "periodic"]),
        ("polar", [np.linspace(0.2, 1, 7), np.linspace(0, 1, 6)], ["neumann", "varying"]),
    ],
)
def test_on_other_grids(geometry, points, bc):
    end = Robin(lambda x, y: 1 + np.cos(x) ** 2 + y)
    bc = [end if word == "varying" else word for word in bc]
    grid = Grid.from_faces(points, bc, geometry)
    cells = Cells(points, [(word, word) for word in bc], geometry, cell=True)
    A, volumes, b = cells.assemble(lambda *x: 1 + x[0], lambda *x: 0.0, lambda d, side, *x: 1.0)
    f = random(grid.shape)
    exact = splinalg.spsolve(A.tocsc(), b + volumes * f.ravel()).reshape(grid.shape)
    close(solve(f, grid=grid, a=lambda *x: 1 + x[0], boundary=1.0, tol=1e-13).u, exact)


@pytest.mark.parametrize("centering", ["node", "cell"])
def test_one_value_everywhere_is_the_number(centering):
    f, shape = random((20, 17)), (20, 17)
    number = solve(f, bc=[(Robin(2.0), "dirichlet"), Robin(0.5)], centering=centering, boundary=1.0, tol=1e-12).u
    for one, other in (
        (np.full(17, 2.0), np.full(20, 0.5)),
        (lambda x, y: 2.0, np.array(0.5)),
        (np.full(17, 2, int), lambda x, y: 0.5 + 0 * x),
        (torch.full((17,), 2.0), torch.tensor(0.5)),
    ):
        for a in (1.0, np.ones(shape), Faces(1.0, 1.0)):
            bc = [(Robin(one), "dirichlet"), Robin(other)]
            close(solve(f, a=a, bc=bc, centering=centering, boundary=1.0, tol=1e-12).u, number, 1e-9)


def test_grids_compare_print_and_travel():
    alpha = np.ones(5)
    end = Robin(alpha)
    assert end == Grid((5,), bc=[(end, "neumann")]).bc[0][0]
    assert end != Robin(alpha)
    assert Robin(1.0) == Robin(1) != Robin(2.0)
    assert len({Robin(1.0), Robin(1), end, Robin(alpha)}) == 3
    grid = Grid((4, 5), bc=[(end, "neumann"), Robin(lambda x, y: x)])
    assert repr(grid) == "Grid((4, 5), bc=[(Robin(5 array), neumann), Robin(a callable)], node-centred)"
    problem = Poisson(Grid((4, 5), bc=[(end, "neumann"), Robin(2.0)]), 3.0)
    for again in (copy.deepcopy(problem), pickle.loads(pickle.dumps(problem))):
        np.testing.assert_array_equal(again.to_scipy().toarray(), problem.to_scipy().toarray())
    other = Solver(problem).update(a=1.0).problem
    np.testing.assert_allclose(other.to_scipy().toarray(), Poisson(problem.grid).to_scipy().toarray())


@pytest.mark.parametrize("centering", ["node", "cell"])
def test_gradients(centering):
    shape = (5, 6)
    one, other, f, a = (
        torch.from_numpy(np.exp(random(s, k))).requires_grad_() for k, s in enumerate([6, 5, shape, shape])
    )

    def u(one, other, f, a):
        bc = [(Robin(one), "dirichlet"), ("neumann", Robin(lambda x, y: other[:, None] * x))]
        return solve(f, a=a, bc=bc, centering=centering, boundary=0.7, tol=1e-14).u

    assert torch.autograd.gradcheck(u, (one, other, f, a), atol=1e-6, check_forward_ad=True, fast_mode=True)
    rest = [v.detach() for v in (other, f, a)]
    many = torch.stack([one.detach(), 2 * one.detach()])
    mapped = torch.func.vmap(torch.func.grad(lambda one: u(one, *rest).square().sum()))(many)
    for v, expected in zip(many, mapped, strict=True):
        leaf = v.clone().requires_grad_()
        u(leaf, *rest).square().sum().backward()
        torch.testing.assert_close(leaf.grad, expected, rtol=1e-7, atol=1e-12)
    number = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: solve(rest[1], bc=Robin(t), centering=centering, tol=1e-13).u, (number,))


@pytest.mark.parametrize("centering", ["node", "cell"])
def test_batches(centering):
    shape = (9, 8)
    alphas, f = np.random.default_rng(0).random((3, 8)), random((3, *shape))
    exact = []
    for k in range(3):
        box = Box(shape, [(Robin(1.0), "neumann"), "dirichlet"], centering)
        exact.append(box.solve(f[k], alpha=lambda d, side, i, k=k: alphas[k][i[1]]))
    how = {"bc": [(Robin(alphas), "neumann"), "dirichlet"], "centering": centering, "ndim": 2, "tol": 1e-13}
    close(solve(f, **how).u, np.stack(exact))
    close(solve(f, a=np.ones((3, *shape)), **how).u, np.stack(exact))
    close(solve(f[1], **how).u[1], exact[1])


@pytest.mark.parametrize("centering", ["node", "cell"])
def test_where_it_is_zero_nothing_is_held(centering):
    shape, f = (16, 13), random((16, 13))
    zero = Poisson(Grid(shape, bc=[(Robin(np.zeros(13)), "neumann"), "periodic"], centering=centering))
    assert zero.singular
    with pytest.raises(ValueError, match="`f` must have mean zero"):
        Solver(zero).solve(f)
    u = Solver(zero).solve(f, project=True, tol=1e-12).u
    close(u, solve(f, bc=["neumann", "periodic"], centering=centering, project=True, tol=1e-12).u, 1e-9)
    alpha = np.zeros(13)
    alpha[5] = 2.0
    held = Grid(shape, bc=[(Robin(alpha), "neumann"), "periodic"], centering=centering)
    assert not Poisson(held).singular
    box = Box(shape, [(Robin(1.0), "neumann"), "periodic"], centering)
    close(solve(f, grid=held, tol=1e-13).u, box.solve(f, alpha=lambda d, side, i: alpha[i[1]]), 1e-9)


@pytest.mark.parametrize("velocity", [None, (3.0, -2.0)])
def test_a_wall_where_nothing_is_held(velocity):
    """Of a = 0 and alpha = 0 none matters: what is given flows in, as at a Neumann end."""
    alpha, open_, walls = abs(random((4,))), np.ones((6, 4)), np.ones((6, 4))
    alpha[1], walls[0, 1] = 0, 0
    grid = Grid((5, 4), bc=[(Robin(alpha), "dirichlet"), "neumann"], centering="cell")
    data = {"boundary": [(2.0, 0.0), None], "velocity": velocity, "tol": 1e-12}
    if velocity is not None:  # an end behind a wall has no u of its own
        data["boundary"] = None
    u, exact = (solve(random((5, 4)), grid=grid, a=Faces(a, 1.0), **data).u for a in (walls, open_))
    assert np.isfinite(u).all()
    if velocity is None:
        close(u, exact)


@pytest.mark.parametrize("centering", ["node", "cell"])
def test_order_two(centering):
    """u = exp(x) cos(y) on the square, alpha = 1 + y at both ends of x."""
    sizes, errors = (20, 40, 80), []
    for n in sizes:
        grid = Grid((n, n), bc=[Robin(lambda x, y: 1 + y), "dirichlet"], centering=centering)
        x, y = grid.coordinates()
        u = np.exp(x) * np.cos(y)
        data = [(lambda x, y: (1 + y - 1) * np.exp(x) * np.cos(y), lambda x, y: (1 + y + 1) * np.exp(x) * np.cos(y)),
                (lambda x, y: np.exp(x) * np.cos(y),) * 2]  # fmt: skip
        errors.append(np.abs(solve(0 * u, grid=grid, boundary=data, tol=1e-11).u - u).max())
    assert order(sizes, errors) == pytest.approx(2, abs=0.15)


def test_cycles_stay_few():
    n, rng = 127, np.random.default_rng(0)
    for alpha in (np.exp(5 * rng.normal(size=n)), (rng.random(n) < 0.1) * 1e6, lambda x, y: 1e-3 * (y > 0.9)):
        s = solve(np.ones((n, n)), bc=[(Robin(alpha), "neumann"), "neumann"], centering="cell")
        assert s.cycles <= 12


def test_nonlinear_problems_take_callables():
    f = np.ones((31, 31))
    how = {"bc": [(Robin(lambda x, y: 1.5 + 0 * y), "dirichlet"), "dirichlet"]}
    same = {"bc": [(Robin(1.5), "dirichlet"), "dirichlet"]}
    one, other = (solve_nonlinear(f, lambda u: u**3, lambda u: 3 * u**2, tol=1e-10, **k).u for k in (how, same))
    close(one, other, 1e-8)
    with pytest.raises(TypeError, match="`alpha` must be a number or a callable for a nonlinear problem"):
        solve_nonlinear(f, lambda u: u**3, lambda u: 3 * u**2, bc=[(Robin(np.ones(31)), "dirichlet"), "dirichlet"])


F, X = np.ones((5, 4)), [Robin(lambda x, y: x - 0.5), "neumann"]
MEMBERS = {"bc": [Robin(np.ones((3, 4))), "neumann"], "ndim": 2}
WRONG = {
    "shape": ({"bc": [Robin(np.ones(5)), "neumann"]}, ValueError, r"`alpha` of axis 0 must have the shape \(4,\)"),
    "negative": ({"bc": X}, ValueError, "`alpha` of Robin must be >= 0 everywhere; its smallest value is -0.5"),
    "NaN": ({"bc": [Robin(np.array([1, np.nan, 1, 1])), "neumann"]}, ValueError,
            r"`alpha` must be finite; it has 1 NaN, first at \(1,\). That is on axis 0 at the low end"),
    "complex": ({"bc": Robin(np.array(1j))}, TypeError, "`alpha` must be real"),
    "callable": ({"bc": Robin(lambda x, y: "one")}, TypeError, "`alpha` must return a number or an array"),
    "order": ({"bc": Robin(np.array(1.0)), "order": 4}, ValueError, "`order` = 4 needs Robin.alpha. of numbers"),
    "graph": ({"bc": Robin(torch.tensor(1.0, requires_grad=True))}, TypeError, "`alpha` is made of tensors that ask"),
    "batch": (MEMBERS, ValueError, "`f` must have batch axes that broadcast with those of the coefficients"),
    "batch of a": ({**MEMBERS, "a": np.ones((2, 5, 4))}, ValueError, "`alpha` must have batch axes that .* of `a`"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused(case):
    how, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        solve(np.ones((2, 5, 4)) if "batch" in case else F, **how)


def test_more_that_is_refused():
    for alpha in (-1.0, "one", None, True, np.inf):
        with pytest.raises(ValueError, match="`alpha` of Robin must be a finite number >= 0, an array or a callable"):
            Robin(alpha)
    with pytest.raises(ValueError, match=r"axis 0 has Robin\(a callable\)"):
        solve(F, bc=Robin(lambda x, y: x), method="transform")


@pytest.mark.parametrize("scalar", [False, True], ids=["number", "tensor"])
@pytest.mark.parametrize("alpha", [1e8, 1e12, 1e20, 1e30])
@pytest.mark.parametrize("shape", [(41,), (33, 41), (90, 80), (29, 37, 13)], ids=str)
def test_a_penalty(shape, alpha, scalar):
    """u on the end is 0, the others are those of a grid whose ends lie there."""
    a, inner = torch.tensor(2.0, dtype=torch.float64) if scalar else 2.0, (slice(1, -1),) * len(shape)
    f = 1 + np.linspace(0, 3, np.prod(shape)).reshape(shape)
    want = solve(f[inner], a=2.0, tol=1e-12).u
    s = solve(f, bc=Robin(alpha), a=a, tol=1e-11)
    assert s.cycles <= 12
    for u, tol in ((s.u, 1e-6), (solve(f, bc=Robin(alpha), a=a, tol=None).u, 3e-2)):
        close(u[inner], want, tol)
        assert np.abs(u).max() < 1.1 * np.abs(want).max()


@pytest.mark.parametrize("alpha", [1e8, 5e9])
def test_a_penalty_where_numbers_need_no_levels(alpha):
    """Few unknowns of axes that differ much are solved at once, and not by levels instead."""
    f = np.random.default_rng(1).normal(size=(3, 18, 18))
    box = {"bc": [(Robin(114.0), "neumann"), ("neumann", Robin(alpha)), "periodic"], "upper": [213.0, 198.0, 0.0256]}
    problem = Poisson(Grid(f.shape, **box))
    A, b = problem.to_scipy(), problem.rhs(f).ravel()
    exact = splinalg.spsolve((A / A.diagonal()[:, None]).tocsc(), b / A.diagonal()).reshape(f.shape)
    for tol in (None, 1e-6):
        close(solve(f, tol=tol, **box).u, exact, 1e-5)


@pytest.mark.parametrize("alpha", [1e6, 1e12, 1e20])
@pytest.mark.parametrize("kind", ["array", "callable", "tensor", "velocity", "float32"])
def test_data_on_a_penalty_do_not_hide_the_rest(kind, alpha):
    """Data of a penalty are alpha times as large as u: a residual small beside them said nothing of the inside."""
    shape, y = (40, 40), np.linspace(0, 1, 40)
    grid = Grid(shape, bc=[(Robin(alpha), "neumann"), "neumann"])
    a = np.exp(np.random.default_rng(0).normal(size=shape)) if kind == "array" else lambda x, y: 0.1 + x * y
    a = ((a, 0.2), (0.2, 2.0)) if kind == "tensor" else a
    problem = Poisson(grid, a, velocity=(lambda x, y: 1 + y, 0.5) if kind == "velocity" else None)
    f, ends = np.cos(3 * np.arange(1600.0)).reshape(shape), [(alpha * y, 0.0), None]
    A, b = problem.to_scipy(), problem.rhs(f, boundary=ends).ravel()
    exact = splinalg.spsolve((A / A.diagonal()[:, None]).tocsc(), b / A.diagonal()).reshape(shape)
    f, tol, error = (f.astype(np.float32), 1e-5, 1e-3) if kind == "float32" else (f, 1e-9, 1e-6)
    solver = Solver(problem, nu=(2, 3))  # by levels, where elimination were as fast
    s = solver.solve(f, boundary=ends, tol=tol)
    close(s.u, exact, error)
    assert solver.solve(f, boundary=ends, tol=100 * tol, guess=s.u).cycles <= 1


@pytest.mark.parametrize("a", [1.0, ((1.0, 0.6), (0.6, 2.0))], ids=["number", "tensor"])
@pytest.mark.parametrize("c", [1e8, 1e14])
def test_a_penalty_in_the_volume_does_not_hide_the_rest(c, a):
    shape = (40, 40)
    x, y = Grid(shape).coordinates()
    disc = np.hypot(x - 0.5, y - 0.5) < 0.2
    s = Solver(Poisson(Grid(shape), a, c=np.where(disc, c, 0.0)), nu=(2, 3)).solve(np.where(disc, c * x, 1.0), tol=1e-9)
    fixed = solve(np.ones(shape), a=a, fixed=(disc, x), tol=1e-12).u
    close(s.u, fixed, 10 / c * 40**2 + 1e-7)


@pytest.mark.parametrize("tensor", [False, True])
def test_gradients_through_penalties(tensor):
    f, a = (torch.rand(6, 5, dtype=torch.float64).add(0.5).requires_grad_() for _ in range(2))
    alpha, g = (torch.rand(5, dtype=torch.float64).add(0.5).requires_grad_() for _ in range(2))

    def u(f, a, alpha, g):
        ends = {"bc": [(Robin(1e4 * alpha), "neumann"), "dirichlet"], "boundary": [(1e4 * g, 0.3), None]}
        whole = [[a, 0.3 * a], [0.3 * a, 1.0]] if tensor else a
        return solve(f, a=whole, c=1e5 * torch.relu(a - 1) ** 2, tol=1e-13, **ends).u

    assert torch.autograd.gradcheck(u, (f, a, alpha, g))
    both = torch.stack([alpha.detach(), 1e-4 * alpha.detach()])
    mapped = torch.func.vmap(lambda alpha: u(f, a, alpha, g))(both)
    torch.testing.assert_close(mapped[1], u(f, a, both[1], g), rtol=1e-9, atol=1e-12)
