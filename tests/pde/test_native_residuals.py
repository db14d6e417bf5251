"""Compiled steps of minimal residuals around the levels of convection are the readable ones, as far as rounding allows.

1  Residuals after each step and iterates are the twin's: batches with coefficients of their own, guesses, more steps
   than directions are kept, both precisions.
2  Many steps in a call are as many calls; they are the same on any number of threads.
3  A call ends where there is something to decide; who is there is left alone; the iterate before the last is known.
4  Where corrections are far off, and directions nearly cancel, residuals still fall. What does not fit is refused.
"""

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, Poisson
from mgnet.pde.native.streams import NativeStreams
from mgnet.pde.outer.krylov import MANY, MinimalResiduals, Preconditioned
from mgnet.pde.outer.steps import Steps
from tests.pde.grids_and_data import random
from tests.pde.test_native_streams import CASES, rough


def history(iteration, b, guess, steps):
    """(steps, batch) ||b - A x|| step by step, and the last x."""
    f, u = iteration.data(b), None if guess is None else iteration.data(guess)
    norms = [iteration.norms(u, f).numpy()]
    for _ in range(steps):
        _, u, after = iteration.several(u, f, norms[-1], norms[0], 0.0, 1)
        norms.append(after[0].copy())
    return torch.as_tensor(np.stack(norms[1:])).double(), iteration.tensor(u)


def twins(A, b, **how):
    levels = NativeStreams(A, b, eliminated=0, **how)
    return Steps(levels), Preconditioned(levels.apply, levels, MinimalResiduals(levels.apply), from_zero=True)


def close(ours, theirs, size, precision):
    """Residuals as far as rounding of what they were leaves them."""
    least = {torch.float64: 1e-11, torch.float32: 3e-3}[precision]
    torch.testing.assert_close(ours, theirs, rtol=10 * least, atol=least * float(size.max()))


@pytest.mark.parametrize("precision", [torch.float64, torch.float32])
@pytest.mark.parametrize("guessed", [False, True])
@pytest.mark.parametrize(("shape", "bc"), CASES, ids=str)
def test_steps_are_the_readable_ones(shape, bc, guessed, precision):
    b = torch.as_tensor(random((2, *shape), 9)).to(precision)
    guess = torch.as_tensor(random((2, *shape), 5)).to(precision) if guessed else None
    for members, transposed in ((2, False), (1, True)):
        A = rough(shape, bc, "upwind", members)
        ours, theirs = twins(A.T if transposed else A, b)
        size = theirs.norms(guess, b)
        (norms, u), (those, v) = (history(iteration, b, guess, 4) for iteration in (ours, theirs))
        close(norms, those, size, precision)
        tolerance = 1e-9 if precision == torch.float64 else 1e-2
        torch.testing.assert_close(u, v, rtol=0, atol=tolerance * float(v.abs().max()))


def hard():
    """Central differences across which much flows: cycles of tamer levels do little."""
    velocity = tuple(40 * random((1, 48, 61), 1 + d) for d in range(2))
    problem = Poisson(Grid((48, 61)), 0.24, 9.0, velocity=velocity, scheme="central")
    return problem.A.detached().flattened((1,)), torch.as_tensor(random((1, 48, 61)))


def test_more_steps_than_directions_are_kept():
    """The first residuals hardly fall: r alone would give no new directions there."""
    (A, b), steps = hard(), MANY + 20
    (norms, u), (those, v) = (history(iteration, b, None, steps) for iteration in twins(A, b))
    parts = (norms / norms[0]).ravel()
    assert parts[3] > 0.97
    assert 1e-11 < parts[-1] < 0.9 * parts[MANY - 1] < 1e-4
    torch.testing.assert_close(norms, those, rtol=1e-5, atol=0)
    torch.testing.assert_close(u, v, rtol=0, atol=1e-9 * float(v.abs().max()))


def several(iteration, b, tol, most, size=None):
    """(the x before the last step, x, (steps, batch) ||b - A x||) from zero."""
    f = iteration.data(b)
    size = iteration.norms(None, f).numpy() if size is None else size
    before, u, norms = iteration.several(None, f, size, size, tol, most)
    return None if before is None else iteration.tensor(before), iteration.tensor(u), torch.as_tensor(norms)


def test_many_steps_in_a_call_are_as_many_calls():
    b, A = torch.as_tensor(random((2, 37, 52))), rough((37, 52), "dirichlet", "upwind", 2)
    ours = twins(A, b)[0]
    (norms, u), (_, old) = (history(ours, b, None, steps) for steps in (5, 4))
    before, v, those = several(ours, b, 1e-30, 5)
    close(those, norms, norms[0], torch.float64)
    for new, known in ((v, u), (before, old)):
        torch.testing.assert_close(new, known, rtol=0, atol=1e-11 * float(u.abs().max()))
    f = ours.data(b)
    again = ours.further(ours.full_multigrid(f), f, 4)
    torch.testing.assert_close(ours.tensor(again), u, rtol=0, atol=1e-11 * float(u.abs().max()))


def test_steps_are_the_same_on_any_number_of_threads():
    b, A, found = torch.as_tensor(random((1, 300, 260))), rough((300, 260), "dirichlet", "upwind", 1), []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(several(twins(A, b)[0], b, 1e-30, 3))
    finally:
        torch.set_num_threads(before)
    for _, u, norms in found:
        assert torch.equal(u, found[0][1])
        assert torch.equal(norms, found[0][2])


def test_a_call_ends_where_there_is_something_to_decide():
    b, A = torch.as_tensor(random((1, 37, 52))), rough((37, 52), "dirichlet", "upwind", 1)
    ours = twins(A, b)[0]
    size = ours.norms(None, ours.data(b))
    _, u, norms = several(ours, b, 1e-8, 50)
    assert len(norms) < 12
    assert norms[-1] <= 1e-8 * size < norms[-2]
    torch.testing.assert_close(torch.linalg.vector_norm((b - A(u)).flatten(1), dim=1), norms[-1], rtol=1e-6, atol=0)
    A, b = hard()
    first, _, norms = several(twins(A, b)[0], b, 1e-8, 50)  # a residual that hardly falls
    assert (first, len(norms)) == (None, 1)


def test_who_is_there_is_left_alone():
    """The second member asks for little, and has its x from then on; the others go on."""
    b, A = torch.as_tensor(random((3, 37, 52))), rough((37, 52), "dirichlet", "upwind", 1)
    ours = twins(A, b)[0]
    size = ours.norms(None, ours.data(b)).numpy()
    before, u, norms = several(ours, b, 1e-8, 50, size * np.array([1, 1e6, 1]))
    there = int((norms[:, 1] <= 1e-2 * size[1]).int().argmax())
    assert there + 3 < len(norms)
    assert (norms[there:, 1] - norms[there, 1]).abs().max() < 1e-12 * norms[there, 1]
    assert torch.equal(before[1], u[1])
    assert not torch.equal(before, u)
    assert (norms[-1, [0, 2]] <= 1e-8 * torch.as_tensor(size[[0, 2]])).all()


def test_residuals_of_nothing_and_of_what_is_not_finite():
    A = rough((37, 52), "dirichlet", "upwind", 1)
    b = torch.as_tensor(random((2, 37, 52)))
    b[0] = 0
    _, u, norms = several(twins(A, b)[0], b, 1e-8, 20)
    assert not u[0].any()
    assert not norms[:, 0].any()
    b[0, 3, 4] = torch.nan
    _, _, norms = several(twins(A, b)[0], b, 1e-8, 20)
    assert len(norms) == 1
    assert norms[0].isnan().tolist() == [True, False]


def test_corrections_that_are_far_off_cost_no_digits():
    """The first cycle's correction is 1e5 times too large, the second's nearly the same: their difference is not."""
    grid = Grid((118, 64), bc=[("neumann", "dirichlet"), "periodic"], upper=(1.0, 3.0))
    A = Poisson(grid, (1.4, 0.04), 1.0, velocity=(1e5, 1e5)).A
    b = torch.as_tensor(random((1, 118, 64)))
    (norms, _), (those, _) = (history(iteration, b, None, 8) for iteration in twins(A, b, nu=(1, 2)))
    assert norms[-1] < 1e-8 * norms[0] < norms[-3]
    assert (norms < 1.5 * those).all()


def test_arrays_of_other_shapes_are_refused():
    levels = NativeStreams(
        rough((20, 21), "dirichlet", "upwind", 1), torch.zeros(1, 20, 21, dtype=torch.float64)
    )._levels
    b, one = np.zeros((1, 20, 1, 21)), np.ones(1)
    levels.begin(None, b)
    for x, norms, most in ((b[0], one, 1), (b.copy(), np.ones(2), 1), (b.copy(), one, 0)):
        with pytest.raises(ValueError, match="must"):
            levels.advance(b, x, norms, one, 0.0, 0.5, most)
    with pytest.raises(ValueError, match="must be"):
        levels.begin(b[..., :20], b)
