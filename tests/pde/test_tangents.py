"""solve in forward mode: A du = db - dA u, and what forward and reverse mode make together.

1  jvp is the difference quotient of solve, and reverse mode's transpose: for f, a, c, boundary values, order 2 and 4,
   masks, singular problems, batches, one full pass, both precisions, and what callables close over.
2  jacfwd is jacrev; hessian (forward over reverse) is symmetric, and jacrev twice; so is reverse over forward.
3  vmap over jvp, torch.autograd.forward_ad with and without a graph, large problems that take the fused loops.
"""

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

from mgnet.pde import Grid, Poisson, Robin, Solver, solve
from tests.pde.grids_and_data import CENTERINGS, ENDS, random

TOL = 1e-13
STEP = 1e-4
GRID = (6, 5)
MASK = np.ones(GRID, bool)
MASK[:2, 3:] = False


def tensor(*shape, seed=0, positive=False, dtype=torch.float64):
    v = torch.as_tensor(random(shape, seed), dtype=dtype)
    return v.abs() + 0.5 if positive else v


def compatible(f):
    return f - f.mean()


FUNCTIONS = {
    "f": (lambda f: solve(f, tol=TOL).u, [tensor(*GRID)]),
    "f, a, c": (
        lambda f, a, c: solve(f, a=a, c=c, tol=TOL).u,
        [tensor(*GRID), tensor(*GRID, seed=1, positive=True), tensor(*GRID, seed=2, positive=True)],
    ),
    "numbers, one per axis": (
        lambda a, b, c: solve(torch.ones(GRID, dtype=torch.float64), a=(a, b), c=c, tol=TOL).u,
        [tensor(seed=k, positive=True) for k in range(3)],
    ),
    "callables": (
        lambda p, q: (
            solve(
                tensor(*GRID),
                a=lambda x, y: 1 + p * x + q * y**2,
                c=lambda x, y: p * x * y,
                boundary=lambda x, y: q * x + p * y,
                tol=TOL,
            ).u
        ),
        [tensor(positive=True), tensor(seed=1, positive=True)],
    ),
    "boundary": (
        lambda g, h, a: (
            solve(
                tensor(*GRID),
                a=a,
                boundary=[(g, h), (None, h.sum())],
                bc=[("dirichlet", "neumann"), ("dirichlet", Robin(1.0))],
                centering="cell",
                tol=TOL,
            ).u
        ),
        [tensor(GRID[1]), tensor(GRID[1], seed=1), tensor(*GRID, seed=2, positive=True)],
    ),
    "a guess": (
        lambda f, g: solve(f, guess=g, tol=TOL).u,
        [tensor(*GRID), tensor(*GRID, seed=1)],
    ),
    "order 4": (
        lambda f, c, g: solve(f, a=(1.0, 2.0), c=c, boundary=g, order=4, tol=TOL).u,
        [tensor(9, 8), tensor(9, 8, seed=1, positive=True), tensor(seed=2)],
    ),
    "mask, dirichlet": (
        lambda f, a: solve(f, a=a, mask=MASK, tol=TOL).u,
        [tensor(*GRID), tensor(*GRID, seed=1, positive=True)],
    ),
    "mask, neumann": (
        lambda f, a, c: solve(f, a=a, c=c, mask=MASK, mask_bc="neumann", tol=TOL).u,
        [tensor(*GRID), tensor(*GRID, seed=1, positive=True), tensor(seed=2, positive=True)],
    ),
    "singular": (
        lambda f, a: solve(compatible(f), a=a, bc="periodic", tol=TOL).u,
        [tensor(*GRID), tensor(*GRID, seed=1, positive=True)],
    ),
    "batches": (
        lambda f, a: solve(f, a=a, ndim=2, tol=TOL).u,
        [tensor(2, 1, *GRID), tensor(3, *GRID, seed=1, positive=True)],
    ),
    "line": (
        lambda f, a, g: solve(f, a=a, boundary=[(g, None)], tol=TOL).u,
        [tensor(9), tensor(9, seed=1, positive=True), tensor(seed=2)],
    ),
    "one full pass": (
        lambda f, g: solve(f, boundary=lambda x, y: g * x * y, tol=None).u,
        [tensor(33, 30), tensor(seed=1)],
    ),
}


def quotient(function, primals, tangents):
    ahead, behind = (function(*(p + s * STEP * t for p, t in zip(primals, tangents, strict=True))) for s in (1.0, -1.0))
    return (ahead - behind) / (2 * STEP)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_tangent_is_a_difference_quotient_and_the_transpose_of_reverse_mode(name):
    function, primals = FUNCTIONS[name]
    tangents = [torch.as_tensor(random(tuple(p.shape), 7 + k)) for k, p in enumerate(primals)]
    u, du = jvp(function, tuple(primals), tuple(tangents))
    torch.testing.assert_close(u, function(*primals))
    torch.testing.assert_close(du, quotient(function, primals, tangents), rtol=1e-5, atol=1e-6)
    v = torch.as_tensor(random(tuple(u.shape), 5))
    pulled = vjp(function, *primals)[1](v)
    if name != "one full pass":  # whose adjoint is another full pass, not the transpose of the first
        torch.testing.assert_close(
            sum((p * t).sum() for p, t in zip(pulled, tangents, strict=True)), (v * du).sum(), rtol=1e-9, atol=1e-11
        )


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("ends", [*ENDS, ("dirichlet", Robin(2.0))], ids=str)
def test_every_boundary_kind(ends, centering):
    def u(f, a):
        return solve(f, a=a, bc=[ends, "dirichlet"], centering=centering, tol=TOL).u

    inputs = tensor(4, 3).requires_grad_(), tensor(4, 3, seed=1, positive=True).requires_grad_()
    assert gradcheck(u, inputs, check_forward_ad=True, check_backward_ad=False, fast_mode=True)
    assert gradgradcheck(
        u, inputs, check_fwd_over_rev=True, check_rev_over_rev=False, check_undefined_grad=False, fast_mode=True
    )


@pytest.mark.parametrize("name", ["f, a, c", "callables", "boundary", "order 4", "mask, neumann", "singular", "line"])
def test_second_derivatives(name):
    """Of a loss by what it depends on: forward over reverse, reverse over forward, and reverse twice."""
    function, primals = FUNCTIONS[name]
    sizes = [p.numel() for p in primals]

    def loss(x):
        parts = [v.reshape(p.shape) for v, p in zip(x.split(sizes), primals, strict=True)]
        return (function(*parts) ** 3).sum()

    x = torch.cat([p.flatten() for p in primals])
    H = hessian(loss)(x)
    size = float(H.abs().max())
    torch.testing.assert_close(H, H.T, rtol=0, atol=1e-9 * size)
    t = torch.as_tensor(random(tuple(x.shape), 3))
    twice = jvp(grad(loss), (x,), (t,))[1]
    torch.testing.assert_close(twice, H @ t, rtol=0, atol=1e-9 * size)
    torch.testing.assert_close(grad(lambda x: jvp(loss, (x,), (t,))[1])(x), H @ t, rtol=0, atol=1e-8 * size)
    torch.testing.assert_close(jacrev(jacrev(loss))(x), H, rtol=0, atol=1e-9 * size)
    torch.testing.assert_close(jvp(lambda x: jvp(loss, (x,), (t,))[1], (x,), (t,))[1], t @ H @ t, rtol=1e-8, atol=0)


def test_jacobians():
    f, a = tensor(4, 3), tensor(4, 3, seed=1, positive=True)
    inverse = jacfwd(lambda f: solve(f, tol=TOL).u)(f).reshape(12, 12)
    np.testing.assert_allclose(inverse.numpy(), np.linalg.inv(Poisson(Grid((4, 3))).to_scipy().toarray()), atol=1e-11)
    by_a = [jacobian(lambda a: solve(f, a=a, tol=TOL).u)(a) for jacobian in (jacfwd, jacrev)]
    torch.testing.assert_close(*by_a, rtol=0, atol=1e-11)


def test_vmap_over_tangents_and_over_points():
    f, a, t = tensor(8, 7), tensor(3, 8, 7, seed=1, positive=True), tensor(3, 8, 7, seed=2)

    def change(a, t):
        return jvp(lambda a: solve(f, a=a, tol=TOL).u, (a,), (t,))[1]

    torch.testing.assert_close(
        vmap(change)(a, t), torch.stack([change(*pair) for pair in zip(a, t, strict=True)]), rtol=0, atol=1e-11
    )
    torch.testing.assert_close(
        vmap(lambda t: change(a[0], t))(t), torch.stack([change(a[0], one) for one in t]), rtol=0, atol=1e-11
    )


@pytest.mark.parametrize("graph", [False, True])
def test_dual_tensors_through_the_fused_loops(graph):
    """And the tangent of a gradient, which a backward pass without a graph leaves as well."""
    f, a, t = tensor(70, 60), tensor(70, 60, seed=1, positive=True), tensor(70, 60, seed=2)
    a = a.requires_grad_(graph)

    def gradient(a):
        u = solve(f, a=a, tol=TOL).u
        return u, torch.autograd.grad((u**2).sum(), a)[0] if graph else u

    with forward_ad.dual_level():
        u, g = (forward_ad.unpack_dual(v).tangent for v in gradient(forward_ad.make_dual(a, t)))
    step = 1e-5
    (u1, g1), (u0, g0) = (gradient((a + s * step * t).detach().requires_grad_(graph)) for s in (1, -1))
    for ours, ahead, behind in ((u, u1, u0), (g, g1, g0)):
        expected = (ahead - behind).detach() / (2 * step)
        torch.testing.assert_close(ours.detach(), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("bc", ["dirichlet", "neumann"])
def test_single_precision(bc):
    f, a, t = tensor(70, 60), tensor(70, 60, seed=1, positive=True), tensor(70, 60, seed=2)

    def change(dtype):
        def u(a):
            return solve(compatible(f).to(dtype), a=a, c=1.0, bc=bc).u

        return jvp(u, (a.to(dtype),), (t.to(dtype),))[1]

    single, double = change(torch.float32), change(torch.float64)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-4 * float(double.abs().max()))


def test_a_solver_keeps_no_tangents():
    """Its levels are made of the values alone, and the next call finds them."""
    a, t = tensor(20, 24, positive=True), tensor(20, 24, seed=1)
    f = tensor(20, 24, seed=2)
    solver = Solver(Poisson(Grid((20, 24)), a, like=f))
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(f, t)
        tangent = forward_ad.unpack_dual(solver.solve(dual, tol=TOL).u).tangent
        assert forward_ad.unpack_dual(solver.solve(f).u).tangent is None
    torch.testing.assert_close(tangent, solver.solve(t, tol=TOL).u, rtol=0, atol=1e-11)
