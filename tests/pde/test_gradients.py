"""solve is differentiable with respect to f, a, c and boundary values, by the adjoint equation.

1  gradcheck and gradgradcheck in float64, for every boundary kind and centring, batches, and what callables close over.
2  torch.func: vmap over data and over coefficients, grad, their composition.
3  A torch.compile'd function that contains solve works.
4  No graph runs through the cycles; arrays have none; a backward solve costs as many cycles as a forward one.
"""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from mgnet.pde import Grid, NotConverged, Poisson, Robin, Solver, solve
from tests.pde.grids_and_data import CENTERINGS, ENDS, random

TOL = 1e-13


def tensor(*shape, seed=0, positive=False):
    v = torch.as_tensor(random(shape, seed))
    return (v.abs() + 0.5 if positive else v).requires_grad_()


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("ends", [*ENDS, ("dirichlet", Robin(2.0))], ids=str)
def test_right_hand_side(ends, centering):
    def u(f):
        return solve(f, bc=[ends, "dirichlet"], centering=centering, ndim=2, tol=TOL).u

    f = tensor(2, 5, 4)
    assert gradcheck(u, f)
    assert gradgradcheck(u, f, fast_mode=True)


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("ends", ENDS, ids=str)
def test_coefficient_and_reaction(ends, centering):
    def u(f, a, c):
        return solve(f, a=a, c=c, bc=[ends, "dirichlet"], centering=centering, tol=TOL).u

    inputs = tensor(5, 4), tensor(5, 4, seed=1, positive=True), tensor(5, 4, seed=2, positive=True)
    assert gradcheck(u, inputs)
    assert gradgradcheck(u, inputs, fast_mode=True)


def test_numbers_as_tensors():
    def u(f, a, b, c):
        return solve(f, a=(a, b), c=c, tol=TOL).u

    inputs = tensor(5, 4), tensor(positive=True), tensor(seed=3, positive=True), tensor(seed=2, positive=True)
    assert gradcheck(u, inputs)
    assert gradgradcheck(u, inputs, fast_mode=True)


def test_what_a_callable_closes_over():
    def u(f, p, q):
        def a(x, y):
            return 1 + p * x + q * y**2

        return solve(f, a=a, c=lambda x, y: p * x * y, boundary=lambda x, y: q * x + p * y, tol=TOL).u

    inputs = tensor(5, 4), tensor(positive=True), tensor(seed=3, positive=True)
    assert gradcheck(u, inputs)
    assert gradgradcheck(u, inputs, fast_mode=True)


@pytest.mark.parametrize("centering", CENTERINGS)
def test_boundary_values(centering):
    def u(g, h, a):
        boundary = [(g, h), (None, None)]
        bc = [("dirichlet", "neumann"), ("dirichlet", Robin(1.0))]
        return solve(
            torch.ones(5, 4, dtype=torch.float64), a=a, boundary=boundary, bc=bc, centering=centering, tol=TOL
        ).u

    inputs = tensor(4), tensor(4, seed=1), tensor(5, 4, seed=2, positive=True)
    assert gradcheck(u, inputs)
    assert gradgradcheck(u, inputs, fast_mode=True)


@pytest.mark.parametrize("bc", ["periodic", "neumann"])
def test_singular(bc):
    """Of the projected problem, whose solution has mean zero."""
    w = torch.as_tensor(Poisson(Grid((5, 4), bc=bc)).rhs(np.ones((5, 4))))

    def u(f, a):
        return solve(f - (w * f).sum() / w.sum(), a=a, bc=bc, tol=TOL).u

    inputs = tensor(5, 4), tensor(5, 4, seed=1, positive=True)
    assert gradcheck(u, inputs)
    assert gradgradcheck(u, inputs, fast_mode=True)


@pytest.mark.parametrize("shape", [(7,), (4, 3, 5)], ids=str)
def test_line_and_space_in_batches(shape):
    def u(f, a, c):
        return solve(f, a=a, c=c, ndim=len(shape), tol=TOL).u

    assert gradcheck(
        u, (tensor(2, *shape), tensor(*shape, seed=1, positive=True), tensor(seed=2, positive=True)), fast_mode=True
    )
    inputs = tensor(2, *shape), tensor(2, *shape, seed=1, positive=True), tensor(seed=2, positive=True)
    assert gradcheck(u, inputs, fast_mode=True)


def test_large_problems_against_a_dense_matrix():
    """The fused kernels' path: grad of v^T u is A^-1 v."""
    f, v = tensor(70, 60), torch.as_tensor(random((70, 60), 1))
    (gradient,) = torch.autograd.grad((v * solve(f, tol=1e-12).u).sum(), f)
    torch.testing.assert_close(gradient, solve(v, tol=1e-12).u, rtol=0, atol=1e-10)


def test_vmap_over_data():
    f = torch.as_tensor(random((5, 20, 24)))
    expected = solve(f, ndim=2, tol=1e-11).u
    for dim in (0, 1, 2):
        ours = torch.func.vmap(lambda f: solve(f, tol=1e-11).u, in_dims=dim)(f.movedim(0, dim))
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    two = torch.func.vmap(torch.func.vmap(lambda f: solve(f, tol=1e-11).u))(f[:4].reshape(2, 2, 20, 24))
    torch.testing.assert_close(two.reshape(4, 20, 24), expected[:4], rtol=0, atol=1e-12)


@pytest.mark.parametrize("mapped", ["a", "c", "a and f", "a scalar", "boundary"])
def test_vmap_over_coefficients(mapped):
    f, a, c = (torch.as_tensor(abs(random((3, 8, 7), k))) + 0.5 for k in range(3))
    g = torch.tensor([0.3, 1.0, -2.0], dtype=torch.float64)
    ours, each = {
        "a": (torch.func.vmap(lambda a: solve(f[0], a=a, tol=1e-12).u)(a), lambda i: solve(f[0], a=a[i], tol=1e-12)),
        "c": (torch.func.vmap(lambda c: solve(f[0], c=c, tol=1e-12).u)(c), lambda i: solve(f[0], c=c[i], tol=1e-12)),
        "a and f": (
            torch.func.vmap(lambda f, a: solve(f, a=a, c=1.0, tol=1e-12).u)(f, a),
            lambda i: solve(f[i], a=a[i], c=1.0, tol=1e-12),
        ),
        "a scalar": (
            torch.func.vmap(lambda s: solve(f[0], a=s, tol=1e-12).u)(g.abs()),
            lambda i: solve(f[0], a=g[i].abs(), tol=1e-12),
        ),
        "boundary": (
            torch.func.vmap(lambda s: solve(f[0], boundary=lambda x, y: s * x, tol=1e-12).u)(g),
            lambda i: solve(f[0], boundary=lambda x, y: g[i] * x, tol=1e-12),
        ),
    }[mapped]
    for i in range(3):
        torch.testing.assert_close(ours[i], each(i).u, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["boundary", "alpha", "a", "c", "guess", "guess beside one f", "guess of one"])
def test_vmap_over_numbers_and_guesses(name):
    f, guess = torch.as_tensor(random((3, 8, 7))), torch.as_tensor(random((3, 8, 7), 1))
    g = torch.tensor([0.3, 1.0, 2.0], dtype=torch.float64)

    def one(f, guess, g):
        given = {"boundary": {"boundary": g}, "alpha": {"bc": Robin(g)}, "a": {"a": (g, 1.0)}, "c": {"c": g}}
        how = given.get(name, {"guess": guess, "relative_to": "guess"})
        return solve(f, tol=1e-12, **how).u

    dims = {"guess": (0, 0, None), "guess beside one f": (None, 0, None), "guess of one": (0, None, None)}
    dims = dims.get(name, (None, None, 0))
    given = [v[0] if dim is None else v for v, dim in zip((f, guess, g), dims, strict=True)]
    ours = torch.func.vmap(one, in_dims=dims)(*given)
    for i in range(3):
        expected = one(*(v if dim is None else v[i] for v, dim in zip(given, dims, strict=True)))
        torch.testing.assert_close(ours[i], expected, rtol=0, atol=1e-11)


def test_steps_in_time_under_transforms():
    """A guess that depends on what is differentiated helps, and has no derivative."""
    solver = Solver(Poisson(Grid((6, 5)), c=20.0, like=torch.ones(1, dtype=torch.float64)))
    points = torch.as_tensor(random((2, 6, 5)))

    def run(u):
        for _ in range(2):
            u = solver.solve(20 * u, guess=u, tol=1e-12, relative_to="guess").u
        return u

    torch.testing.assert_close(torch.func.jvp(run, (points[0],), (points[1],))[1], run(points[1]), rtol=0, atol=1e-10)
    slopes = torch.func.vmap(torch.func.grad(lambda u: run(u).square().sum()))(points)
    for u, slope in zip(points, slopes, strict=True):
        torch.testing.assert_close(slope, 2 * run(run(u)), rtol=0, atol=1e-10)


def test_grad_and_vmap_compose():
    """Per-sample gradients with respect to a coefficient."""
    f, a = torch.as_tensor(random((3, 8, 7))), torch.as_tensor(abs(random((3, 8, 7), 1)) + 0.5)

    def loss(a, f):
        return (solve(f, a=a, tol=1e-12).u ** 2).sum()

    ours = torch.func.vmap(torch.func.grad(loss))(a, f)
    for i in range(3):
        one = a[i].clone().requires_grad_()
        (expected,) = torch.autograd.grad(loss(one, f[i]), one)
        torch.testing.assert_close(ours[i], expected, rtol=1e-8, atol=1e-12)
    jacobian = torch.func.jacrev(lambda f: solve(f, tol=1e-12).u)(f[0, :4, :3].contiguous())
    matrix = Poisson(Grid((4, 3))).to_scipy().toarray()
    np.testing.assert_allclose(jacobian.reshape(12, 12).numpy(), np.linalg.inv(matrix), rtol=0, atol=1e-11)


def test_values_are_checked_under_vmap():
    f, a = torch.ones(3, 8, 7, dtype=torch.float64), torch.ones(3, 8, 7, dtype=torch.float64)
    a[1, 2, 3] = -1
    with pytest.raises(ValueError, match="`a` must be positive"):
        torch.func.vmap(lambda f, a: solve(f, a=a).u)(f, a)
    f[2, 1, 1] = torch.nan
    with pytest.raises(ValueError, match="`f` must be finite"):
        torch.func.vmap(lambda f: solve(f).u)(f)


def test_inside_of_a_compiled_function():
    def model(f, s):
        return solve(torch.sin(f) * s, c=1.0, tol=1e-12).u.square().mean()

    f, s = tensor(20, 24), tensor(positive=True)
    expected = torch.autograd.grad(model(f, s), (f, s))
    compiled = torch.compile(model, backend="aot_eager")
    for ours, theirs in zip(torch.autograd.grad(compiled(f, s), (f, s)), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-14)


def test_graphs():
    f = torch.as_tensor(random((70, 60)))
    assert solve(f).u.grad_fn is None
    assert not solve(f).u.requires_grad
    u = solve(f.requires_grad_()).u
    assert type(u.grad_fn).__name__ == "SolveBackward"
    with torch.no_grad():
        assert isinstance(solve(f.detach().numpy(), a=tensor(positive=True)).u, np.ndarray)


@pytest.mark.parametrize("wrt", ["f", "a", "c", "boundary"])
@pytest.mark.parametrize("kind", ["constant", "variable", "order 4"])
def test_backward_costs_one_solve_by_the_levels_that_are_there(monkeypatch, kind, wrt):
    """For data alike: as many cycles but for one, and nothing is set up again."""
    from mgnet.pde.outer.choice import Levels
    from mgnet.pde.outer.multigrid import Multigrid

    shape, runs, built = (150, 140), [], []
    a = tensor(*shape, seed=1, positive=True).detach() if kind == "variable" else torch.tensor(2.0, dtype=torch.float64)
    c, g = torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64)
    f = tensor(*shape).detach()
    if kind == "order 4" and wrt == "a":
        pytest.skip("order 4 takes a number")
    {"f": f, "a": a, "c": c, "boundary": g}[wrt].requires_grad_()
    order, a = (4, 2.0) if kind == "order 4" else (2, a)
    solver = Solver(Poisson(Grid(shape), a, c, order=order, like=f))
    run, lease = Multigrid.run, Levels._lease

    def counted(self, A, *arguments, **named):
        outcome = run(self, A, *arguments, **named)
        runs.append((len(outcome.residuals) - 1, self.work(A, outcome)))
        return outcome

    monkeypatch.setattr(Multigrid, "run", counted)
    monkeypatch.setattr(Levels, "_lease", lambda *a: built.append(1) or lease(*a))
    solver.solve(f, boundary=lambda x, y: 1e-4 * g * x).u.backward(torch.as_tensor(random(shape, 1)))
    (forward, work), (backward, work_back) = runs
    assert backward <= forward + (3 if kind == "order 4" else 1)
    assert work_back <= 1.3 * work
    assert len(built) == 1


@pytest.mark.parametrize("n", [12, 110])
def test_grad_beside_coefficients_that_are_plain_tensors(n):
    """Within torch.func.grad no tensor shows its numbers to numpy, which compiled kernels take."""
    f, a = tensor(n, n).detach(), tensor(n, n, positive=True).detach()
    gradient = torch.func.grad(lambda f: solve(f, a=a, bc="neumann", c=1.0, tol=1e-12).u.square().sum())(f)
    leaf = f.clone().requires_grad_()
    solve(leaf, a=a, bc="neumann", c=1.0, tol=1e-12).u.square().sum().backward()
    torch.testing.assert_close(gradient, leaf.grad, rtol=1e-7, atol=1e-12)


def test_a_backward_solve_that_does_not_converge_says_so():
    """Coefficients are constant here, so the forward solve of zero data is immediate and the adjoint is not."""
    f = torch.zeros(127, 127, dtype=torch.float64, requires_grad=True)
    u = solve(f, tol=1e-12, max_cycles=2).u
    with pytest.raises(NotConverged, match="not converged to 1e-12 in 2 cycles"):
        u.backward(torch.as_tensor(random((127, 127))))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bc", ["dirichlet", "neumann", "periodic"])
@pytest.mark.parametrize("shape", [(3, 70, 130), (2, 29, 28, 30)], ids=str)
def test_fused_products_of_differences_are_their_twins(shape, bc, dtype):
    grid = Grid(shape[1:], bc=bc)
    A = Poisson(grid, like=torch.zeros((), dtype=dtype)).A.detached()
    v, u = (torch.as_tensor(random(shape, seed)).to(dtype) for seed in (1, 2))
    for k in range(grid.ndim):
        twin = -A.face_differences(u, k) * A.transposed_face_differences(v, k)
        with torch.no_grad():
            torch.testing.assert_close(A.derivative(k, v, u), twin)


def test_a_derivative_that_has_not_converged_says_so():
    """Nobody sees its residuals; by default it raises."""
    f = tensor(63, 63)
    u = solve(f, tol=1e-12, max_cycles=1, throw=False).u
    with pytest.warns(RuntimeWarning, match=r"derivative has not converged.*max_cycles"):
        u.square().sum().backward()


@pytest.mark.parametrize("name", ["a", "c", "velocity", "alpha"])
@pytest.mark.parametrize("shape", [(), (9, 9)])
def test_a_problem_kept_through_a_training_says_what_to_do(name, shape):
    """torch says to retain the graph, which would train with the numbers that the problem was made of."""
    p = torch.nn.Parameter(torch.ones(shape[name == "alpha" :], dtype=torch.float64))
    f = torch.ones(9, 9, dtype=torch.float64)
    given = {"velocity": {"velocity": (p, 0.5)}, "alpha": {}}.get(name, {name: p})
    bc = [(Robin(p), "neumann"), "periodic"] if name == "alpha" else "dirichlet"
    solver = Solver(Poisson(Grid((9, 9), bc=bc), like=f, **given))
    solver.solve(f).u.sum().backward(retain_graph=True)
    solver.solve(f).u.sum().backward()
    with torch.no_grad():
        p += 1.0
    loss = solver.solve(f).u.sum()
    with pytest.raises(RuntimeError, match=r"in each step of a training: solver\.update\(a=\.\.\.\)"):
        loss.backward()


def test_a_solver_updated_in_each_step_trains():
    log_a, f = torch.nn.Parameter(torch.zeros(9, 9, dtype=torch.float64)), torch.ones(9, 9, dtype=torch.float64)
    solver, seen = Solver(Poisson(Grid((9, 9)), like=f)), solve(f, a=2.0, tol=1e-12).u
    step = torch.optim.Adam([log_a], lr=0.05)
    for _ in range(60):
        step.zero_grad()
        loss = (solver.update(a=log_a.exp()).solve(f, tol=1e-12).u - seen).square().sum()
        loss.backward()
        step.step()
    assert loss < 1e-3 * seen.square().sum()
