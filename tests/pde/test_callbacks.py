"""A callback may call the solver that calls it, change it, or raise; the solve goes on as if alone."""

import threading
from concurrent.futures import Future

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, Poisson, Solver, solve
from tests.pde.grids_and_data import random

SHAPE = (40, 45)
PROBLEMS = {
    "constant": lambda: Poisson(Grid(SHAPE)),
    "varying": lambda: Poisson(Grid(SHAPE), a=abs(random(SHAPE, 7)) + 0.5),
    "singular": lambda: Poisson(Grid(SHAPE, bc="neumann", centering="cell")),
    "order 4": lambda: Poisson(Grid(SHAPE), order=4),
}
problems = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)


def data():
    f = random(SHAPE)
    return f - f.mean()


def in_time(function):
    """What the function returns, on a thread that may be left behind: a test that would wait forever fails."""
    out = Future()

    def work():
        try:
            out.set_result(function())
        except Exception as error:
            out.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return out.result(timeout=120)


def alone(problem):
    return Solver(problem).solve(data(), tol=1e-10)


@problems
def test_a_callback_may_call_its_solver(problem):
    problem = problem()
    expected, solver, inner = alone(problem), Solver(problem), []

    def deeper(k, r):
        inner.append(solver.cycle(None, data()))

    def callback(k, r):
        inner.append(solver.solve(data(), tol=1e-10, callback=deeper).u)
        inner.append(solve(data()).u)

    got = in_time(lambda: solver.solve(data(), tol=1e-10, callback=callback))
    np.testing.assert_array_equal(got.u, expected.u)
    assert got.residuals == expected.residuals
    assert len(inner) > 2
    np.testing.assert_array_equal(next(u for u in inner[1:] if abs(u - expected.u).max() < 1e-12), expected.u)
    np.testing.assert_array_equal(solver.solve(data(), tol=1e-10).u, expected.u)


@problems
def test_a_callback_that_raises_leaves_the_solver_usable(problem):
    problem = problem()
    expected, solver = alone(problem), Solver(problem)

    def callback(k, r):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        in_time(lambda: solver.solve(data(), callback=callback))
    np.testing.assert_array_equal(in_time(lambda: solver.solve(data(), tol=1e-10)).u, expected.u)


@problems
def test_an_update_in_a_callback_is_for_the_next_solve(problem):
    problem = problem()
    solver = Solver(problem)
    got = in_time(lambda: solver.solve(data(), tol=1e-10, callback=lambda k, r: solver.update(a=3.0)))
    np.testing.assert_array_equal(got.u, alone(problem).u)
    np.testing.assert_array_equal(solver.solve(data(), tol=1e-10).u, alone(problem.having(a=3.0)).u)


def test_an_update_before_the_gradient_leaves_it_that_of_the_solve():
    f = torch.tensor(data(), requires_grad=True)
    solver = Solver(Poisson(Grid(SHAPE), a=abs(random(SHAPE, 7)) + 0.5))
    (expected,) = torch.autograd.grad(solver.solve(f, tol=1e-10).u.square().sum(), f)
    loss = solver.solve(f, tol=1e-10).u.square().sum()
    solver.update(a=3.0)
    (got,) = torch.autograd.grad(loss, f)
    torch.testing.assert_close(got, expected, rtol=1e-8, atol=1e-12)


def test_gradients_within_a_callback():
    f = torch.tensor(data(), requires_grad=True)
    solver, inner = Solver(Poisson(Grid(SHAPE))), []
    (expected,) = torch.autograd.grad(solver.solve(f, tol=1e-10).u.square().sum(), f)

    def callback(k, r):
        with torch.enable_grad():
            inner.extend(torch.autograd.grad(solver.solve(f, tol=1e-10).u.square().sum(), f))

    (got,) = torch.autograd.grad(in_time(lambda: solver.solve(f, tol=1e-10, callback=callback)).u.square().sum(), f)
    assert torch.equal(got, expected)
    assert inner
    torch.testing.assert_close(inner[-1], expected)
