"""What a problem is made of is its own.

1  Arrays and tensors that the caller changes after it is made, before its first solve or after, do not reach it.
2  What is made, or first solved, in torch.inference_mode serves gradients outside of it.
"""

import numpy as np
import pytest
import torch

from mgnet.pde import Faces, Grid, Poisson, Robin, Solver

SHAPE = (40, 33)
RANDOM = np.random.default_rng(0)
F, U, V, W = (RANDOM.uniform(0.5, 2.0, SHAPE) for _ in range(4))
X, Y = Grid(SHAPE).coordinates()
DISC = (X - 0.5) ** 2 + (Y - 0.5) ** 2 < 0.2
SPOT = (abs(X - 0.5) < 0.1) & (abs(Y - 0.5) < 0.1)
PROBLEMS = {
    "a": {"a": U},
    "c": {"c": U},
    "a and c": {"a": U, "c": V},
    "per axis": {"a": (U, V)},
    "tensor": {"a": ((U, 0.1), (0.1, V))},
    "faces": {"a": Faces(RANDOM.uniform(1, 2, (41, 33)), RANDOM.uniform(1, 2, (40, 34)))},
    "velocity": {"a": W, "velocity": (U, V), "c": V},
    "mask": {"mask": DISC, "c": U},
    "fixed": {"fixed": (SPOT, U), "a": V},
    "alpha": {"bc": [(Robin(U[0]), "dirichlet"), "neumann"]},
}
KINDS = {"array": np.array, "tensor": torch.tensor}


def given(v, make, kept):
    """The same of arrays, or tensors, of its own, which are kept."""
    if isinstance(v, np.ndarray):
        kept.append(make(v))
        return kept[-1]
    if isinstance(v, (tuple, list)):
        return type(v)(given(w, make, kept) for w in v)
    if isinstance(v, Robin):
        return Robin(given(v.alpha, make, kept))
    return Faces(*given(tuple(v.values), make, kept)) if isinstance(v, Faces) else v


def posed(name: str, make) -> tuple[Solver, list]:
    kept: list = []
    said = {key: given(v, make, kept) for key, v in PROBLEMS[name].items()}
    return Solver(Poisson(Grid(SHAPE, bc=said.pop("bc", "dirichlet")), **said)), kept


def solved(solver: Solver) -> np.ndarray:
    return solver.solve(F, boundary=[(1.0, 2.0), (0.5, 0.0)], tol=1e-10).u


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_later_changes_do_not_reach_a_problem(name: str, kind: str) -> None:
    want = solved(posed(name, KINDS[kind])[0])
    for first in (False, True):
        solver, kept = posed(name, KINDS[kind])
        if first:
            solved(solver)
        for v in kept:
            v[...] = ~v if v.dtype in (bool, torch.bool) else 3 * v
        np.testing.assert_array_equal(solved(solver), want)


@pytest.mark.parametrize("made", ["made inside", "solved inside"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_inference_mode(name: str, made: str) -> None:
    want = solved(posed(name, torch.tensor)[0])
    inside = torch.inference_mode
    with inside(made == "made inside"):
        solver, _ = posed(name, torch.tensor)
    with inside():
        u = solver.solve(torch.tensor(F), boundary=[(1.0, 2.0), (0.5, 0.0)], tol=1e-10).u
        assert not u.requires_grad
    f = torch.tensor(F, requires_grad=True)
    outside = solver.solve(f, boundary=[(1.0, 2.0), (0.5, 0.0)], guess=u * 0, tol=1e-10).u
    outside.sum().backward()
    for found in (u, outside.detach()):
        np.testing.assert_allclose(found.numpy(), want, rtol=0, atol=1e-8)
    direct = torch.autograd.functional.vjp(
        lambda f: posed(name, torch.tensor)[0].solve(f, tol=1e-10).u, f, torch.ones_like(f)
    )[1]
    np.testing.assert_allclose(f.grad.numpy(), direct.numpy(), rtol=0, atol=1e-8)


def test_inference_mode_and_updates() -> None:
    solver = Solver(Poisson(Grid(SHAPE), c=2.0))
    with torch.inference_mode():
        solver.update(a=torch.tensor(U), c=torch.tensor(V))
    level = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    u = solver.solve(torch.tensor(F), boundary=level, tol=1e-10).u
    u.sum().backward()
    assert level.grad is not None
    assert level.grad > 0
