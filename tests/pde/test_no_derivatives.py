"""What cannot be differentiated, traced or copied with its graph says so, and gives nothing that lacks it."""

import copy

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from mgnet.pde import Grid, Poisson, Solver, solve, solve_nonlinear


def _exported(f):
    return torch.export.export(Solves(), (f,), strict=False)


class Solves(torch.nn.Module):
    def forward(self, f: torch.Tensor) -> torch.Tensor:
        return solve(f).u


@pytest.mark.parametrize(
    "trace",
    [
        lambda f: make_fx(Solves())(f),
        lambda f: torch.jit.trace(Solves(), (f,)),
        _exported,
        lambda f: torch.func.linearize(Solves(), f),
    ],
    ids=["make_fx", "jit", "export", "linearize"],
)
@pytest.mark.filterwarnings("ignore")
def test_tracers_are_told_that_they_cannot_follow(trace):
    """make_fx gave a program with the solution of one f as its constant."""
    with pytest.raises(TypeError, match=r"`f` must be a tensor of numbers; it is of a tracer"):
        trace(torch.ones(9, 9, dtype=torch.float64))


K = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
F = torch.ones(9, 9, dtype=torch.float64)
WITHOUT_DERIVATIVES = {
    "f": lambda: cubed(F * K),
    "g": lambda: solve_nonlinear(F, lambda u: K * u**3, lambda u: 3 * u**2),
    "dg": lambda: solve_nonlinear(F, lambda u: u**3, lambda u: 3 * K * u**2),
    "a": lambda: cubed(F, a=lambda x, y: 1 + K * x),
    "boundary": lambda: cubed(F, boundary=lambda x, y: K * x),
    "f of a cycle": lambda: Solver(Poisson(Grid((9, 9)))).cycle(None, F * K),
    "u of a cycle": lambda: Solver(Poisson(Grid((9, 9)))).cycle(F * K, F),
    "problem of a cycle": lambda: Solver(Poisson(Grid((9, 9)), a=F * K)).cycle(None, F),
    "f under vmap": lambda: torch.func.vmap(lambda f: cubed(f).u)(F[None]),
    "f of a cycle under vmap": lambda: torch.func.vmap(lambda f: Solver(Poisson(Grid((9, 9)))).cycle(None, f))(F[None]),
    "f under grad": lambda: torch.func.grad(lambda f: cubed(f).u.sum())(F),
    "upper": lambda: solve(F, upper=K),
    "lower": lambda: Grid((9, 9), lower=[-1.0, -K]),
}


def cubed(f, **named):
    return solve_nonlinear(f, lambda u: u**3, lambda u: 3 * u**2, **named)


@pytest.mark.parametrize("name", WITHOUT_DERIVATIVES)
def test_what_has_no_derivative_says_so(name):
    """A gradient that is missing without a word is a wrong one as soon as other terms are added."""
    with pytest.raises(TypeError, match=rf"`{name.split()[0]}` asks for a gradient"):
        WITHOUT_DERIVATIVES[name]()


@pytest.mark.parametrize("name", [name for name in WITHOUT_DERIVATIVES if "under" not in name])
def test_without_gradients_all_go(name):
    with torch.no_grad():
        WITHOUT_DERIVATIVES[name]()


@pytest.mark.parametrize(
    "made",
    [
        lambda: Solver(Poisson(Grid((9, 9)), a=F * K)),
        lambda: Poisson(Grid((9, 9)), c=F * K),
        lambda: solve(F * K),
        lambda: [Solver(Poisson(Grid((9, 9)), a=(1 + F).requires_grad_()))],
    ],
    ids=["solver", "problem", "solution", "leaf"],
)
def test_deep_copies_do_not_follow_a_graph(made):
    with pytest.raises(TypeError, match="that hangs on tensors which ask for a gradient has no deep copy"):
        copy.deepcopy(made())
    with torch.no_grad():
        assert copy.deepcopy(made())
