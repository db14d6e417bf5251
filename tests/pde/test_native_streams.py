"""The compiled levels of operators with convection are the readable ones: sizes, cycles of each kind, products.

Where few unknowns are left they are eliminated: then a cycle solves, also where nothing holds u.
"""

from functools import partial

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, Poisson, Solver
from mgnet.pde.blackbox import ReadableStreams
from mgnet.pde.blackbox.galerkin import petrov_galerkin
from mgnet.pde.blackbox.stencil import from_convection
from mgnet.pde.blackbox.turns import in_turn, layered
from mgnet.pde.blackbox.unsymmetric import coarse_streams
from mgnet.pde.native.streams import NativeStreams
from tests.pde.grids_and_data import random

CASES = [
    ((37, 52), "dirichlet"),
    ((36, 53), [("neumann", "dirichlet"), "periodic"]),
    ((41, 45), "periodic"),
    ((300, 3), ["dirichlet", "neumann"]),
    ((2, 90), ["periodic", "neumann"]),
    ((12, 9, 14), ["periodic", "dirichlet", "neumann"]),
    ((7, 5, 8), ["neumann", "periodic", "periodic"]),
    ((6, 5), "dirichlet"),
]


def rough(shape, bc, scheme, members):
    """An operator whose coefficients and velocity are random, also from member to member."""
    a = np.exp(random((members, *shape)))
    velocity = tuple(8 * random((members, *shape), 1 + d) for d in range(len(shape)))
    return Poisson(Grid(shape, bc=bc), a, 0.1, velocity=velocity, scheme=scheme).A.detached().flattened((members,))


@pytest.mark.parametrize("precision", [torch.float64, torch.float32])
@pytest.mark.parametrize("scheme", ["upwind", "central"])
@pytest.mark.parametrize(("shape", "bc"), CASES, ids=str)
def test_compiled_levels_are_the_readable_ones(shape, bc, scheme, precision):
    b = torch.as_tensor(random((2, *shape), 9)).to(precision)
    tolerance = 1e-9 if precision == torch.float64 else 1e-2
    cases = [(2, False, (1, 2), 1), (1, True, (2, 1), 1), (1, False, (2, 2), 2), (1, False, (1, 1), "F")]
    for members, transposed, nu, gamma in cases[: 4 if len(shape) == 2 else 1]:
        A = rough(shape, bc, scheme, members)
        A = A.T if transposed else A
        ours, theirs = NativeStreams(A, b, nu, gamma, eliminated=0), ReadableStreams(A, b, nu, gamma)
        assert ours.sizes == theirs.sizes
        start = None
        for _ in range(2):
            u, v = (levels.cycle(start, b) for levels in (ours, theirs))
            torch.testing.assert_close(u, v, rtol=0, atol=tolerance * float(v.abs().max()))
            start = v / 2
        u, v = ours.apply(b), A.like(b)(b)
        torch.testing.assert_close(u, v, rtol=0, atol=tolerance * float(v.abs().max()))
        torch.testing.assert_close(ours.norms(b, b), theirs.norms(b, b), rtol=tolerance, atol=0)


TURNS = [
    ((37, 52), "dirichlet"),
    ((36, 53), [("neumann", "dirichlet"), "periodic"]),
    ((32, 48), ["neumann", "periodic"]),
    ((5, 90), ["dirichlet", "neumann"]),
    ((8, 9, 12), ["neumann", "dirichlet", "neumann"]),
    ((9, 8, 11), ["dirichlet", "dirichlet", "periodic"]),
]


def gentle(shape, bc, members):
    """An operator whose rows are smoothed in turn: the velocity is random, but not what diffuses."""
    velocity = tuple(3 * random((members, *shape), 1 + d) for d in range(len(shape)))
    return Poisson(Grid(shape, bc=bc), 0.5, 0.1, velocity=velocity).A.detached().flattened((members,))


@pytest.mark.parametrize("precision", [torch.float64, torch.float32])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("shape", "bc"), CASES, ids=str)
def test_steps_with_the_operator_itself_are_the_readable_ones(shape, bc, transposed, precision):
    """After cycles of levels that have more diffusion, and another c."""
    a, velocity = 0.1 * np.exp(random((2, *shape))), (-90.0, 60.0, 80.0)[: len(shape)]
    A = Poisson(Grid(shape, bc=bc), a, 1e3, velocity=velocity, scheme="central").A.detached().flattened((2,))
    A = A.T if transposed else A
    assert not A.is_tame
    b = torch.as_tensor(random((2, *shape), 9)).to(precision)
    for held in (None, A.c + 1e3 * torch.as_tensor(random((2, *shape), 3)) ** 2):
        ours, theirs = NativeStreams(A, b, eliminated=0, held=held), ReadableStreams(A, b, held=held)
        u, v = ours.precondition(b), theirs.precondition(b)
        tolerance = (1e-9 if precision == torch.float64 else 1e-2) * float(v.abs().max())
        torch.testing.assert_close(u, v, rtol=0, atol=tolerance)


@pytest.mark.parametrize("precision", [torch.float64, torch.float32])
@pytest.mark.parametrize(("shape", "bc"), TURNS, ids=str)
def test_rows_in_turn_are_the_readable_ones(shape, bc, precision):
    b = torch.as_tensor(random((2, *shape), 9)).to(precision)
    tolerance = 1e-10 if precision == torch.float64 else 1e-3
    for members, transposed, nu, gamma in [(2, False, (2, 2), 1), (1, True, (1, 3), 1), (1, False, (0, 2), "F")]:
        A = gentle(shape, bc, members)
        A = A.T if transposed else A
        assert in_turn(from_convection(A), A.axes, finest=True)
        ours, theirs = NativeStreams(A, b, nu, gamma, eliminated=0), ReadableStreams(A, b, nu, gamma)
        start = None
        for _ in range(2):
            u, v = (levels.cycle(start, b) for levels in (ours, theirs))
            torch.testing.assert_close(u, v, rtol=0, atol=tolerance * float(v.abs().max()))
            start = v / 2


def layers(axis, members, bc="dirichlet"):
    """A flow that turns in layers across an axis, along which it diffuses by next to nothing."""
    grid, speed = Grid((13, 12, 14), bc=bc), 1 + np.arange(members).reshape(-1, 1, 1, 1)
    x, y = (grid.coordinates()[d] for d in range(3) if d != axis)
    turning = [np.sin(np.pi * x) * np.cos(np.pi * y), -np.cos(np.pi * x) * np.sin(np.pi * y)]
    velocity = [speed * (np.zeros(grid.shape) + v) for v in turning]
    velocity.insert(axis, np.zeros((members, *grid.shape)))
    return Poisson(grid, 1e-4, velocity=tuple(velocity)).A.detached().flattened((members,))


@pytest.mark.parametrize(("axis", "closed"), [(0, None), (1, None), (2, None), (0, 0), (1, 0), (2, 1)], ids=str)
def test_layers_keep_their_number(axis, closed):
    b = torch.as_tensor(random((2, 13, 12, 14), 9))
    for members, transposed in ((2, False), (1, True)):
        A = layers(axis, members, ["periodic" if d == closed else "dirichlet" for d in range(3)])
        A = A.T if transposed else A
        assert layered(from_convection(A)) == axis
        ours, theirs = NativeStreams(A, b, eliminated=0), ReadableStreams(A, b)
        assert ours.sizes == theirs.sizes
        coarse = [(n + (d == closed)) // 2 for d, n in enumerate((13, 12, 14))]
        assert ours.sizes[1] == np.prod([(13, 12, 14)[d] if d == axis else n for d, n in enumerate(coarse)])
        u, v = (levels.precondition(b) for levels in (ours, theirs))
        torch.testing.assert_close(u, v, rtol=0, atol=1e-10 * float(v.abs().max()))


def test_members_with_layers_across_several_axes_have_none():
    several = [layers(axis, 1) for axis in (0, 1)]
    A = several[0].made_of([torch.cat(pair) for pair in zip(*(one.tensors for one in several), strict=True)])
    b = torch.as_tensor(random((2, 13, 12, 14), 9))
    assert layered(from_convection(A)) is None
    ours, theirs = NativeStreams(A, b, eliminated=0), ReadableStreams(A, b)
    assert ours.sizes == theirs.sizes
    assert ours.sizes[1] == 6 * 6 * 7
    u, v = (levels.precondition(b) for levels in (ours, theirs))
    torch.testing.assert_close(u, v, rtol=0, atol=1e-10 * float(v.abs().max()))


@pytest.mark.parametrize(
    ("shape", "bc"), [((160, 130), "dirichlet"), ((24, 31, 33), ["neumann", "neumann", "periodic"])], ids=str
)
def test_rows_in_turn_are_the_same_on_any_number_of_threads(shape, bc):
    b, before, found = torch.as_tensor(random((1, *shape))), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(NativeStreams(gentle(shape, bc, 1), b, eliminated=0).precondition(b))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(u, found[0]) for u in found)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(("peclet", "scheme"), [(0.5, "upwind"), (300.0, "upwind"), (8.0, "central")], ids=str)
@pytest.mark.parametrize("shape", [(40, 37), (90, 81), (9, 10, 11)], ids=str)
def test_a_batch_is_solved_at_the_same_time(shape, peclet, scheme, own):
    """On several threads to the last bit as on one; and as each by itself, of one operator or of five."""
    rng, before, found = np.random.default_rng(0), torch.get_num_threads(), []
    a = np.exp(0.5 * rng.standard_normal((5, *shape) if own else shape)) / max(shape) / peclet
    v, f = tuple(np.sin(3 * x) for x in reversed(Grid(shape).coordinates())), rng.standard_normal((5, *shape))
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(Solver(Poisson(Grid(shape), a, velocity=v, scheme=scheme)).solve(f).u)
    finally:
        torch.set_num_threads(before)
    assert all(np.array_equal(u, found[0]) for u in found)
    for k in range(5):
        u = Solver(Poisson(Grid(shape), a[k] if own else a, velocity=v, scheme=scheme)).solve(f[k]).u
        np.testing.assert_allclose(found[0][k], u, rtol=0, atol=1e-6 * np.abs(u).max())


def test_equations_that_are_nearly_nothing_lose_negative_couplings():
    """Where something flows in through Neumann ends; row sums stay."""
    grid, b = Grid((24, 23, 22), bc="neumann"), torch.as_tensor(random((1, 24, 23, 22)))
    A = Poisson(grid, 1 / 120, 1.0, velocity=(1.0, 0.5, 0.2)).A
    grids = coarse_streams(from_convection(A), A.axes, transposed=False)
    changed = 0
    for fine, Q, P in grids[:-1]:
        A_c, tiny = petrov_galerkin(fine, Q, P), 1e-12 * float(fine.diagonal.max())
        one, any_u = torch.ones_like(A_c.diagonal), torch.as_tensor(random(tuple(A_c.diagonal.shape)))
        torch.testing.assert_close(A_c(one), Q.R(fine(P.P(one))), rtol=0, atol=tiny)
        changed += int(((A_c(any_u) - Q.R(fine(P.P(any_u)))).abs() > tiny).sum())
    assert 0 < changed < 30
    for B in (A, A.T):
        u, v = (make(B, b, (1, 1)).precondition(b) for make in (partial(NativeStreams, eliminated=0), ReadableStreams))
        torch.testing.assert_close(u, v, rtol=0, atol=1e-8 * float(v.abs().max()))


def test_grids_of_a_transpose_are_transposes():
    A = Poisson(Grid((12, 11, 13), bc="neumann"), 1 / 60, 1.0, velocity=(1.0, 0.5, 0.2)).A
    forth, back = (coarse_streams(from_convection(B), A.axes, B.transposed) for B in (A, A.T))
    assert len(forth) == len(back) > 2
    for (B, _, _), (C, _, _) in zip(forth[1:], back[1:], strict=True):
        M = B.dense()[0]
        torch.testing.assert_close(C.dense()[0].T, M, rtol=0, atol=1e-12 * float(M.abs().max()))


def test_what_is_small_is_eliminated_unless_rows_in_turn_do_alone():
    grid, b = Grid((52, 52)), torch.as_tensor(random((1, 52, 52)))
    whirl = (lambda x, y: np.sin(3 * x) * np.cos(3 * y), lambda x, y: -np.cos(3 * x) * np.sin(3 * y))
    for velocity, smoother in ((whirl, ""), ((-0.4, 0.9), "row Gauss-Seidel alone")):
        A = Poisson(grid, 1e-4, velocity=velocity).A
        levels = NativeStreams(A, b)
        assert (levels.smoother, levels.solves, levels.sizes) == (smoother, not smoother, (52 * 52,))
        left = levels.norms(levels.precondition(b), b) / levels.norms(None, b)
        assert left < (1e-2 if smoother else 1e-12)


def test_rows_are_not_taken_in_turn_where_that_does_not_smooth():
    shape, flow = (32, 40), (1.0, 0.4)
    held = Poisson(Grid(shape), (9.0, 1.0), velocity=flow)  # across the rows, from both sides
    central = Poisson(Grid(shape), 1e-3, velocity=flow, scheme="central")  # against the flow
    closed = Poisson(Grid(shape, bc=["periodic", "dirichlet"]), 1e-3, velocity=flow)  # round and round
    for problem, turn in (
        (held, False),
        (central, False),
        (closed, False),
        (Poisson(Grid(shape), 1e-3, velocity=flow), True),
    ):
        assert in_turn(from_convection(problem.A), problem.A.axes, finest=True) is turn
        b = torch.as_tensor(random((1, *shape)))
        u, v = (
            kind(problem.A, b).precondition(b) for kind in (lambda *a: NativeStreams(*a, eliminated=0), ReadableStreams)
        )
        torch.testing.assert_close(u, v, rtol=0, atol=1e-9 * float(v.abs().max()))


@pytest.mark.parametrize("scheme", ["upwind", "central"])
@pytest.mark.parametrize(("shape", "bc"), CASES, ids=str)
def test_elimination_solves(shape, bc, scheme):
    for members, transposed in ((2, False), (1, True)):
        A = rough(shape, bc, scheme, members)
        A = A.T if transposed else A
        A = A.tame if scheme == "central" else A  # which is what is eliminated
        for precision, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-3)):
            u = torch.as_tensor(random((2, *shape), 9)).to(precision)
            levels = NativeStreams(A, u, eliminated=1e9)
            assert len(levels.sizes) == 1
            b = A.like(u)(u)
            torch.testing.assert_close(levels.precondition(b), u, rtol=0, atol=tolerance * float(u.abs().max()))


@pytest.mark.parametrize("bc", ["periodic", "neumann", ["periodic", "neumann"]], ids=str)
def test_elimination_of_what_nothing_holds(bc):
    A = Poisson(Grid((9, 12), bc=bc, centering="cell"), velocity=(40.0, -30.0)).A.detached()
    for operator in (A, A.T):
        u = torch.as_tensor(random((1, 9, 12)))
        b = operator(u)
        torch.testing.assert_close(
            operator(NativeStreams(operator, u).precondition(b)), b, rtol=0, atol=1e-11 * float(b.abs().max())
        )


def test_what_is_no_array_is_refused():
    levels = NativeStreams(
        rough((20, 21), "dirichlet", "upwind", 1), torch.zeros(1, 20, 21, dtype=torch.float64)
    )._levels
    good = np.zeros((1, 20, 1, 21))
    for b, out in ((good[..., :20], good), (good, good[0]), (good.astype(np.float32), good)):
        with pytest.raises(ValueError, match="must be"):
            levels.cycle(b, out)
