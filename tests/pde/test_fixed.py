"""Unknowns whose value is given.

1  u is what elimination in an independently assembled system gives, on all ends, centrings, coefficients and masks, and
   on stretched and curvilinear grids.
2  A is symmetric, A u = rhs(f) to the last row, and cycles, scipy's operators and ``apply`` speak of the same system.
3  Gradients, reverse, forward and mapped, with respect to the value, f, a and c.
4  Batches of values and of places; other values at the same places.
5  What is fixed holds the part of the domain that it lies in.
6  However it lies, the cycles stay few, and one pass ends at the discretisation error.
7  What contradicts, is empty, of the wrong kind or shape, or leaves nothing is refused.
"""

import numpy as np
import pytest
import scipy.sparse.linalg as splinalg
import torch

from mgnet.pde import Faces, Grid, Poisson, Robin, Solver, solve
from tests.pde.box import Box, eliminated
from tests.pde.grids_and_data import random
from tests.pde.stretched import Cells, graded

ENDS = ["dirichlet", "neumann", Robin(0.7)]
COEFFICIENTS = {
    "number": lambda shape: 1.7,
    "per axis": lambda shape: (1.0, 0.3, 2.0)[: len(shape)],
    "array": lambda shape: np.exp(random(shape, 1)),
    "callable": lambda shape: lambda *x: 1 + sum(t * t for t in x),
}


def scattered(shape, share=0.1, seed=3):
    where = np.random.default_rng(seed).random(shape) < share
    where.flat[len(where.flat) // 2] = True
    return where


def close(u, exact, tol=1e-10):
    np.testing.assert_allclose(u, exact, rtol=0, atol=tol * np.abs(exact).max())


@pytest.mark.parametrize("seed", range(24))
def test_equals_elimination(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(*[(9, 40), (5, 12), (4, 7)][seed % 3], size=seed % 3 + 1))
    bc = ["periodic" if rng.random() < 0.3 else tuple(rng.choice(np.array(ENDS, object), 2)) for _ in shape]
    box = Box(shape, bc, ["node", "cell"][seed % 2], rng.uniform(0.5, 2.0, len(shape)))
    a = COEFFICIENTS[list(COEFFICIENTS)[seed // 2 % 4]](shape)
    mask, mask_bc = (rng.random(shape) < 0.8) if seed % 4 > 1 else None, ["dirichlet", "neumann"][seed // 3 % 2]
    where, value, c, f = scattered(shape, seed=seed), rng.normal(size=shape), rng.random(shape), rng.normal(size=shape)
    g = [tuple(rng.normal(size=(2, *shape[:d], *shape[d + 1 :]))) for d in range(len(shape))]
    exact = box.solve(
        f, a=a, c=c, mask=mask, mask_bc=mask_bc, fixed=(where, value),
        boundary=lambda d, side, i: g[d][side][(*i[:d], *i[d + 1 :])],
    )  # fmt: skip
    if mask is not None:
        where = where | ~mask & (rng.random(shape) < 0.5)  # outside of the mask it says nothing
        value = np.where(mask, value, np.nan)
    problem = Poisson(box.grid, a, c, mask=mask, mask_bc=mask_bc, fixed=(where, value))
    f = np.where(where, np.nan, f)  # their equations are not looked at
    s = Solver(problem).solve(f, boundary=g, tol=1e-13, guess=np.where(where, np.nan, 1.0))
    assert s.converged
    close(s.u, exact)
    assert (s.u[where] == np.where(where & (mask is None or mask), value, 0)[where]).all()
    as_tensor = Solver(Poisson(box.grid, a if isinstance(a, (float, tuple)) or callable(a) else torch.from_numpy(a),
                               c, mask=mask, mask_bc=mask_bc, fixed=(where, torch.from_numpy(value)),
                               like=torch.zeros((), dtype=torch.float64)))  # fmt: skip
    close(as_tensor.solve(torch.from_numpy(f), boundary=g, tol=1e-13).u.numpy(), exact)


@pytest.mark.parametrize(
    ("geometry", "points", "bc"),
    [
        ("cartesian", [graded(14, 20), graded(11, 5)], [("dirichlet", "neumann"), Robin(1.5)]),
        ("polar", [np.linspace(0, 1, 9), np.linspace(0, 2 * np.pi, 17)], [("neumann", "dirichlet"), "periodic"]),
        ("sphere", [np.linspace(0, 2 * np.pi, 13), np.linspace(-1.5, 1.5, 9)], ["periodic", "neumann"]),
    ],
)
def test_on_other_grids(geometry, points, bc):
    grid = Grid.from_faces(points, bc, geometry)
    pairs = [pair if isinstance(pair, tuple) else (pair, pair) for pair in bc]

    def a(x, y):
        return 1 + 0.3 * np.sin(x) * np.cos(y)

    A, volumes, b = Cells(points, pairs, geometry, cell=True).assemble(a, lambda *x: 0.0, lambda d, side, *x: x[0] + 1)
    where, value, f = scattered(grid.shape), random(grid.shape, 1), random(grid.shape, 2)
    exact = eliminated(A, b + volumes * f.ravel(), np.ones(grid.shape, bool), where, value)
    s = solve(f, grid=grid, a=a, fixed=(where, value), boundary=lambda x, y: x + 1, tol=1e-13)
    close(s.u, exact)


def test_one_system():
    """What apply, to_scipy, rhs, cycles and scipy's operators say of A and b."""
    box = Box((23, 19), ["dirichlet", "neumann"], "node", (1.0, 2.0))
    mask, where = ~scattered(box.shape, 0.1, 5), scattered(box.shape, 0.05)
    problem = Poisson(box.grid, np.exp(random(box.shape)), 0.3, mask=mask, fixed=(where, lambda x, y: 1 + x * y))
    f = random(box.shape, 1)
    A, b = problem.to_scipy(), problem.rhs(f)
    assert abs(A - A.T).max() == 0
    u = splinalg.spsolve(A.tocsc(), b.ravel()).reshape(box.shape)
    solver = Solver(problem)
    x, y = box.grid.coordinates()
    assert (solver.solve(f).u[where & mask] == (1 + x * y)[where & mask]).all()
    close(solver.solve(f, tol=1e-13).u, u)
    close(u[where & mask], (1 + x * y)[where & mask], 1e-14)
    v = random(box.shape, 2)
    close(problem.apply(v), (A @ v.ravel()).reshape(box.shape), 1e-13)
    v = None
    for _ in range(20):
        v = solver.cycle(v, b)
    close(v, u)
    w, info = splinalg.cg(solver.aslinearoperator(), b.ravel(), M=solver.aspreconditioner(), rtol=1e-12)
    assert info == 0
    close(w.reshape(box.shape), u)


def test_values_of_all_kinds_and_several_pairs():
    box = Box((20, 17))
    x, y = box.grid.coordinates()
    left, right = x < 0.2, (x - 0.7) ** 2 + (y - 0.5) ** 2 < 0.03
    value = np.where(left, 1.5, np.where(right, x * y, 0.0))
    exact = box.solve(np.ones(box.shape), fixed=(left | right, value))
    for fixed in (
        (left | right, value),
        [(left, 1.5), (right, lambda x, y: x * y)],
        ((lambda x, y: x < 0.2, np.float32(1.5)), (right, x * y)),
        [(left, np.array(1.5)), (right | (left & (y < 0.3)), np.where(left, 1.5, x * y))],  # they agree where they meet
    ):
        close(solve(np.ones(box.shape), fixed=fixed, tol=1e-13).u, exact)
    tensors = solve(torch.ones(box.shape, dtype=torch.float64), fixed=(lambda x, y: (x < 0.2) | (y > 2), 1.5)).u
    assert (tensors[torch.from_numpy(left)] == 1.5).all()
    single = solve(np.ones(box.shape, np.float32), fixed=(left, 1.5))
    assert single.u.dtype == np.float32
    assert (single.u[left] == 1.5).all()


def test_batches_of_values_and_places_and_other_values():
    box = Box((14, 11), ["periodic", "neumann"], "cell")
    wheres = np.stack([scattered(box.shape, 0.1, seed) for seed in range(3)])
    values, f = random((3, *box.shape), 1), random((3, *box.shape), 2)
    exact = [box.solve(f[k], fixed=(wheres[0], values[k])) for k in range(3)]
    how = {"bc": ["periodic", "neumann"], "centering": "cell", "ndim": 2, "tol": 1e-13}
    close(solve(f, fixed=(wheres[0], values), **how).u, np.stack(exact))
    close(solve(f[0], fixed=(wheres[0], values), **how).u[1], box.solve(f[0], fixed=(wheres[0], values[1])))
    each = np.stack([box.solve(f[k], fixed=(wheres[k], values[k])) for k in range(3)])
    close(solve(f, fixed=(wheres, values), **how).u, each)
    close(solve(f[:, None] * np.ones((2, 1, 1)), fixed=(wheres[:, None], values[:, None]), **how).u[:, 1], each)
    solver = Solver(Poisson(box.grid, fixed=(wheres[0], 0.0)))
    close(solver.solve(f, fixed=values, tol=1e-13).u, np.stack(exact))
    close(solver.update(a=2.0).solve(2 * f[0], fixed=values[0], tol=1e-13).u, exact[0])
    two = Poisson(box.grid, fixed=[(wheres[0], 0.0), (wheres[1] & ~wheres[0], 0.0)])
    s = Solver(two).solve(f[0], fixed=(1.0, values[0]), tol=1e-13)
    value = np.where(wheres[0], 1.0, values[0])
    close(s.u, box.solve(f[0], fixed=(wheres[0] | wheres[1], value)))
    close(two.rhs(f[0], fixed=(1.0, values[0])), two.apply(s.u), 1e-9)


def test_gradients():
    shape, mask = (6, 5), ~scattered((6, 5), 0.1, 2)
    where = scattered(shape, 0.2)
    v, f, a, c = (torch.from_numpy(np.exp(random(shape, k))).requires_grad_() for k in range(4))

    def u(v, f, a, c):
        return solve(f, a=a, c=c, bc=["neumann", "periodic"], mask=mask, fixed=(where, v), tol=1e-14).u

    assert torch.autograd.gradcheck(u, (v, f, a, c), atol=1e-6, check_forward_ad=True, fast_mode=True)
    gradient = torch.autograd.grad(u(v, f, a, c).square().sum(), (v, f))
    assert (gradient[0][~torch.from_numpy(where & mask)] == 0).all()
    assert (gradient[1][torch.from_numpy(where | ~mask)] == 0).all()


def test_forward_mode_and_vmap():
    shape, where = (12, 9), scattered((12, 9))
    f, a, v = (torch.from_numpy(np.exp(random(shape, k))) for k in range(3))

    def total(t):
        return solve(f, a=1 + t * a, fixed=(where, lambda x, y: t * x + v[0, 0]), tol=1e-13).u.square().sum()

    t, step = torch.tensor(0.7, dtype=torch.float64), 1e-5
    _, slope = torch.func.jvp(total, (t,), (torch.ones_like(t),))
    assert float(slope) == pytest.approx(float(total(t + step) - total(t - step)) / (2 * step), rel=1e-7)
    assert float(slope) == pytest.approx(float(torch.func.grad(total)(t)), rel=1e-9)
    curvature = float(torch.func.grad(total)(t + step) - torch.func.grad(total)(t - step)) / (2 * step)
    assert float(torch.func.hessian(total)(t)) == pytest.approx(curvature, rel=1e-6)
    many = torch.stack([v, 2 * v])
    slopes = torch.func.grad(lambda v: solve(f, a=a, fixed=(where, v), tol=1e-13).u.square().sum())
    mapped = torch.func.vmap(slopes)(many)
    for one, expected in zip(many, mapped, strict=True):
        leaf = one.clone().requires_grad_()
        solve(f, a=a, fixed=(where, leaf), tol=1e-13).u.square().sum().backward()
        torch.testing.assert_close(leaf.grad, expected, rtol=1e-7, atol=1e-12)


def test_walls_and_coefficients_on_faces():
    """A wall across, and a fixed pixel on one side of it."""
    n = 24
    a0, a1 = np.ones((n + 1, n)), np.ones((n, n + 1))
    a0[n // 3] = 0.0
    where = np.zeros((n, n), bool)
    where[2, 3] = True
    how = {"bc": "neumann", "centering": "cell", "a": Faces(a0, a1)}
    f = random((n, n))
    with pytest.raises(ValueError, match=r"must have mean zero on each part .* \(one has \(8, 0\)\)"):
        solve(f, fixed=(where, 1.0), **how)
    s = solve(f, fixed=(where, 1.0), project=True, tol=1e-12, **how)
    low = Box((n // 3, n), "neumann", "cell", (1 / 3, 1.0)).solve(
        f[: n // 3], fixed=(where[: n // 3], np.ones((n // 3, n)))
    )
    close(s.u[: n // 3], low, 1e-9)
    assert abs(s.u[n // 3 :].mean()) < 1e-13


@pytest.mark.parametrize("bc", ["neumann", "periodic"])
def test_what_is_fixed_holds_its_part(bc):
    box = Box((15, 18), bc, "cell")
    where = np.zeros(box.shape, bool)
    where[4, 4] = True
    problem = Poisson(box.grid, fixed=(where, 2.0))
    assert not problem.singular
    f = random(box.shape) + 1
    close(Solver(problem).solve(f, tol=1e-13).u, box.solve(f, fixed=(where, np.full(box.shape, 2.0))), 1e-9)
    mask = np.ones(box.shape, bool)
    mask[8], mask[13], mask[:, 9], mask[:, 17] = False, False, False, False
    cut = Poisson(box.grid, mask=mask, mask_bc="neumann", fixed=(where, 2.0))
    assert cut.singular
    u = Solver(cut).solve(f, project=True, tol=1e-12).u
    held = np.zeros(box.shape, bool)
    held[:8, :9] = True
    if bc == "neumann":  # around a ring that part reaches through the end
        close(np.where(held, u, 0), box.solve(np.where(held, f, 0), mask=held, mask_bc="neumann",
                                              fixed=(where, np.full(box.shape, 2.0))), 1e-9)  # fmt: skip
        assert abs(u[9:13, :9].mean()) < 1e-13


def test_a_fixed_end_holds_what_is_alone():
    """An unknown of which all neighbours are fixed has an equation; one that a no-flux cut leaves alone is 0."""
    where = np.zeros((7, 7), bool)
    where[3, 2:5], where[2:5, 3] = True, True
    where[3, 3] = False
    assert solve(np.zeros((7, 7)), fixed=(where, 3.0), tol=1e-13).u[3, 3] == pytest.approx(3)
    u = solve(np.zeros((7, 7)), mask=~where, mask_bc="neumann", fixed=(lambda x, y: x < 0.2, 1.0), bc="neumann").u
    assert u[3, 3] == 0
    assert u[5, 5] == pytest.approx(1)


def places(shape):
    rng, where = np.random.default_rng(0), {name: np.zeros(shape, bool) for name in ("pixel", "wire", "plates")}
    where["pixel"][tuple(n // 2 for n in shape)] = True
    where["wire"][(slice(shape[0] // 5, -shape[0] // 5), *(n // 3 for n in shape[1:]))] = True
    where["plates"][[shape[0] // 3, 2 * shape[0] // 3], shape[1] // 5 : -shape[1] // 5] = True
    return where | {"1 %": rng.random(shape) < 0.01, "half": rng.random(shape) < 0.5}


@pytest.mark.parametrize("shape", [(127, 127), (200, 150), (32, 31, 33)], ids=str)
@pytest.mark.parametrize("bc", ["dirichlet", "neumann"])
@pytest.mark.parametrize("contrast", [1.0, 1e6])
@pytest.mark.filterwarnings("ignore::mgnet.pde.RoundOffWarning")
def test_cycles_stay_few(shape, bc, contrast):
    x, cycles = Grid(shape).coordinates(), {}
    a = np.where(sum(np.floor(8 * t) for t in x) % 2 == 0, 1.0, contrast)
    for name, where in places(shape).items():
        s = solve(np.ones(shape), a=a, bc=bc, fixed=(where, np.sign(random(shape))))
        cycles[name] = s.cycles
    assert max(cycles.values()) <= 15, cycles


def test_one_pass_ends_at_the_discretisation_error():
    shape = (127, 100)
    for name, where in places(shape).items():
        exact, quick = (solve(np.ones(shape), fixed=(where, lambda x, y: x - y), tol=tol).u for tol in (1e-11, None))
        assert np.abs(quick - exact).max() < 1e-5 * np.abs(exact).max(), name


X = np.zeros((5, 4), bool)
X[1, 1:3] = True
F = np.ones((5, 4))
WRONG = {
    "a number": (3.0, TypeError, r"`fixed` must be a pair \(where, value\).*; it is 3.0"),
    "no pair": ((X, 1.0, 2.0), TypeError, "`fixed` must be a pair"),
    "nothing": ([], TypeError, "`fixed` must be a pair"),
    "indices": ((np.array([1, 2]), 1.0), TypeError, "must say where by a boolean array; its dtype is int64"),
    "real": ((F, 1.0), TypeError, "its dtype is float64. Pass where != 0"),
    "callable of numbers": ((lambda x, y: x, 1.0), TypeError, "must say where by a boolean array"),
    "callable of nothing": ((lambda x, y: None, 1.0), TypeError, "by a boolean array; it does by NoneType"),
    "shape": ((X.T, 1.0), ValueError, r"grid's shape \(5, 4\) as its last axes; it has \(4, 5\)"),
    "empty": ((X & False, 1.0), ValueError, "must hold somewhere; its array is False everywhere"),
    "all": ((X | True, 1.0), ValueError, "must leave some unknown to solve for"),
    "value's shape": ((X, F.T), ValueError, r"`fixed` must have the grid's shape \(5, 4\).*\(4, 5\)"),
    "value's kind": ((X, "one"), TypeError, "`fixed` must be a number, an array or a callable; it is str"),
    "complex": ((X, F * 1j), TypeError, "`fixed` must be real"),
    "NaN": ((X, np.where(X, np.nan, 1.0)), ValueError, r"it has 2 NaN, first at the point \(0.333333, 0.4\)"),
    "infinite": ((X, np.inf), ValueError, "`fixed` must be finite; it has 2 infinite values"),
    "contradiction": ([(X, 1.0), (X, 2.0)], ValueError, r"contradict itself: at \(1, 1\) it says 1 and 2 \(2 such"),
    "batch": ((X, np.ones((3, 5, 4))), ValueError, r"`fixed` must have batch axes that broadcast with those of `f`"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused(case):
    fixed, error, message = WRONG[case]
    f = np.ones((2, 5, 4)) if case == "batch" else F
    with pytest.raises(error, match=message):
        solve(f, fixed=fixed, ndim=2)


def test_more_that_is_refused():
    with pytest.raises(ValueError, match="`order` = 4 needs the whole box; there are `fixed` unknowns"):
        solve(np.ones((9, 9)), fixed=(lambda x, y: x < 0.3, 1.0), order=4)
    with pytest.raises(ValueError, match="the whole box; some unknowns are `fixed`"):
        solve(F, fixed=(X, 1.0), method="transform")
    with pytest.raises(ValueError, match="`fixed` must hold somewhere inside the `mask`"):
        solve(F, fixed=(X, 1.0), mask=~X)
    with pytest.raises(ValueError, match="`fixed` gives values, but the problem has no fixed unknowns"):
        Solver(Poisson(Grid((5, 4)))).solve(F, fixed=1.0)
    with pytest.raises(ValueError, match="one value for each of the 1 pairs"):
        Solver(Poisson(Grid((5, 4)), fixed=(X, 1.0))).solve(F, fixed=(X, 1.0))
    with pytest.raises(TypeError, match="`fixed` is made of tensors that ask for a gradient"):
        solve(F, fixed=(X, torch.ones(5, 4, dtype=torch.float64, requires_grad=True)))
    with pytest.raises(TypeError, match="`fixed` is made of tensors that ask for a gradient"):
        Poisson(Grid((5, 4)), fixed=(X, torch.ones(5, 4, requires_grad=True))).rhs(F)
