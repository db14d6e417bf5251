"""Solutions have the precision of their data, whatever the caller allows for networks."""

import pytest
import torch

from mgnet.pde import Grid, Poisson, Solver, solve, solve_nonlinear
from mgnet.pde.precision import wide_enough

PROBLEMS = {
    "direct": lambda f: solve(f[:9, :8], tol=None).u,
    "fused": lambda f: solve(f, tol=None).u,
    "lines": lambda f: Solver(Poisson(Grid(f.shape)), smoother="zebra").solve(f, tol=1e-5).u,
    "variable": lambda f: solve(f, a=lambda x, y: 1 + x * y, tol=1e-5).u,
    "variable, direct": lambda f: solve(f[:9, :8], a=lambda x, y: 1 + x * y, tol=None).u,
    "order 4": lambda f: solve(f, order=4, tol=1e-4).u,
    "product of order 4": lambda f: Poisson(Grid(f.shape, bc="neumann"), order=4).apply(f),
    "cycle": lambda f: Solver(Poisson(Grid((9, 8)))).cycle(None, f[:9, :8]),
    "nonlinear": lambda f: solve_nonlinear(f, lambda u: u**3, lambda u: 3 * u**2, tol=1e-4).u,
}


@pytest.fixture
def f():
    return torch.randn(40, 35)


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_autocast_changes_nothing(problem, f):
    want = problem(f)
    with torch.autocast("cpu", torch.bfloat16):
        u = problem(f)
    assert u.dtype == torch.float32
    assert torch.equal(u, want)


@pytest.mark.parametrize("inside", [False, True], ids=["backward outside", "backward inside"])
def test_gradients_of_a_network_in_bfloat16(inside, f):
    """What the network gives is bfloat16; what the solver makes of it, and its gradient, are float32."""
    network, x = torch.nn.Linear(8, 9 * 8), torch.randn(3, 8)
    with torch.autocast("cpu", torch.bfloat16):
        b = network(x).float().reshape(3, 9, 8)
        b.retain_grad()
        loss = solve(b, tol=None).u.square().sum()
        if inside:
            loss.backward()
    if not inside:
        loss.backward()
    again = b.detach().requires_grad_()
    solve(again, tol=None).u.square().sum().backward()
    assert torch.equal(b.grad, again.grad)
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.fixture
def matmul_precision():
    before = torch.get_float32_matmul_precision()
    yield torch.set_float32_matmul_precision
    torch.set_float32_matmul_precision(before)


def test_products_are_wide_enough(matmul_precision, f):
    for name, wide in (("highest", torch.float32), ("medium", torch.float64)):
        matmul_precision(name)
        assert wide_enough(f) == wide
        assert wide_enough(f.double()) == torch.float64


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_reduced_products_of_float32_change_nothing(problem, device, matmul_precision, f):
    f = f.to(device)
    want = problem(f)
    matmul_precision("medium")
    assert (problem(f) - want).abs().max() < 1e-5 * want.abs().max()
