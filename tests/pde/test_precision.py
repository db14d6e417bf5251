"""Solutions have the precision of their data and lie beside them, whatever the caller has set for networks."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

from mgnet import pde
from mgnet.pde import Grid, Poisson, Robin, Solver, solve, solve_nonlinear
from mgnet.pde.problem.precision import wide_enough

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
MASK = np.hypot(*(np.indices((40, 35)) - 18)) < 15
TENSOR = [2.0 + MASK, 0.5 * MASK, 3.0 - MASK]
OTHERS = {
    "numpy": lambda f: torch.from_numpy(solve(f.numpy(), tol=1e-4).u),
    "one dimension": lambda f: solve(f[0], a=lambda x: 1 + x, tol=1e-4).u,
    "three dimensions": lambda f: solve(f.reshape(14, 10, 10), a=lambda x, y, z: 1 + x, tol=1e-4).u,
    "Robin": lambda f: solve(f, bc=Robin(1.0), tol=1e-4).u,
    "Neumann": lambda f: solve(f - f.mean(), bc="neumann", centering="cell", tol=1e-4).u,
    "boundary": lambda f: solve(f, boundary=lambda x, y: x + y, tol=None).u,
    "jumps": lambda f: solve(f, a=np.where(MASK, 1.0, 1e5), tol=1e-4).u,
    "mask": lambda f: solve(f, mask=MASK, tol=1e-4).u,
    "mask, no flux": lambda f: solve(f, c=1.0, mask=MASK, mask_bc="neumann", tol=1e-4).u,
    "full tensor": lambda f: torch.from_numpy(solve(f.numpy(), a=((TENSOR[0], TENSOR[1]), TENSOR[1:]), tol=1e-4).u),
    "one axis strong": lambda f: solve(f, a=(1.0, 1e4), tol=1e-4).u,
    "minimal residuals": lambda f: Solver(Poisson(Grid(f.shape), lambda x, y: 1 + x), nu=(2, 1)).solve(f, tol=1e-4).u,
    "preconditioner": lambda f: torch.from_numpy(Solver(Poisson(Grid((9, 8)))).aspreconditioner() @ np.ones(72)),
    "matrix": lambda f: torch.from_numpy(Poisson(Grid((9, 8)), order=4).to_scipy().toarray()),
    "gradient": lambda f: torch.autograd.grad(solve(f, a=(g := (2 + f).requires_grad_())).u.sum(), g)[0],
}


@pytest.fixture
def f():
    return torch.rand(40, 35) - 0.5


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


@pytest.mark.parametrize("problem", {**PROBLEMS, **OTHERS}.values(), ids={**PROBLEMS, **OTHERS})
def test_defaults_change_nothing(problem, f):
    """The device "meta" stands for any: it shows what is made without saying where."""
    want, before = problem(f), torch.get_default_dtype()
    with torch.device("meta"):
        on_another_device = problem(f)
    try:
        torch.set_default_dtype(torch.float64)
        in_float64 = problem(f)
    finally:
        torch.set_default_dtype(before)
    for u in (on_another_device, in_float64):
        assert u.device == want.device
        assert u.dtype == want.dtype
        assert torch.equal(u, want)


FACTORIES = {"zeros", "ones", "full", "empty", "arange", "linspace", "eye", "tensor", "as_tensor", "rand", "randn"}
MODULES = {"convolution.py"}  # which torch makes on the default device, as it should


@pytest.mark.parametrize("path", sorted(Path(pde.__file__).parent.rglob("*.py")), ids=lambda path: path.name)
def test_what_is_made_of_nothing_says_where(path):
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    made = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr in FACTORIES]
    torchs = [call for call in made if isinstance(call.func.value, ast.Name) and call.func.value.id == "torch"]
    silent = [ast.unparse(call) for call in torchs if all(keyword.arg != "device" for keyword in call.keywords)]
    assert silent == [] or path.name in MODULES


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


@pytest.mark.gpu
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_reduced_products_of_float32_change_nothing(problem, matmul_precision, f):
    f = f.to("cuda")
    want = problem(f)
    matmul_precision("medium")
    assert (problem(f) - want).abs().max() < 1e-5 * want.abs().max()


@pytest.mark.parametrize("tol", [1e-5, None])
@pytest.mark.parametrize("a", ["number", "array", "callable", "closed"])
def test_float32_takes_a_of_any_size(a, tol):
    """1e-30 is in range, but not its products with what solves for it: no residual was at round-off, or it was NaN."""
    f = np.random.default_rng(0).normal(size=(63, 60)).astype(np.float32)
    jumps = np.where(f > 0, 1.0, 9.0).astype(np.float32)
    kinds = {
        "number": lambda size: {"a": size},
        "array": lambda size: {"a": np.float32(size) * jumps},
        "callable": lambda size: {"a": lambda x, y: size * (1 + x + y)},
        "closed": lambda size: {"a": np.float32(size) * jumps, "bc": "neumann", "project": True},
    }
    once, tiny = (solve(f, tol=tol, **kinds[a](size)) for size in (1.0, 1e-30))
    assert tiny.converged
    np.testing.assert_allclose(1e-30 * tiny.u.astype(float), once.u, rtol=0, atol=1e-3 * np.abs(once.u).max())
