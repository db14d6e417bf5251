"""Kernels run on helper threads: every caller gets its answer, also side by side, in a forked child, and busy.

- many Python threads solve at once, each its own right-hand side, with one Solver and with their own;
- a child forked after the helpers started solves too, and the parent still does;
- helpers that have gone to sleep are woken, or not needed;
- a Solver's recorded launches serve every later right-hand side, guess and tolerance as a fresh Solver does.
"""

import multiprocessing
import threading
import time

import numba
import numpy as np
import pytest

from mgnet.pde import Grid, Poisson, Solver, solve
from mgnet.pde.kernels import launch

N = 255  # above the size that one thread solves alone


@pytest.fixture(scope="module")
def problems():
    rng = np.random.default_rng(0)
    f = rng.normal(size=(8, N, N))
    return f, np.stack([solve(g, tol=1e-9).u for g in f])


def test_side_by_side(problems):
    f, expected = problems
    shared = Solver(Poisson(Grid((N, N))))
    got = [np.empty(0)] * len(f)

    def work(k):
        for _ in range(3):
            got[k] = (shared.solve(f[k], tol=1e-9) if k % 2 else solve(f[k], tol=1e-9)).u

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(f))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    np.testing.assert_array_equal(np.stack(got), expected)


def _child(f, queue):
    queue.put(solve(f, tol=1e-9).u)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this platform cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child(problems):
    f, expected = problems
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(f[0], queue))
    child.start()
    np.testing.assert_array_equal(queue.get(timeout=120), expected[0])
    child.join(30)
    assert child.exitcode == 0
    np.testing.assert_array_equal(solve(f[1], tol=1e-9).u, expected[1])


def test_helpers_wake_up(problems):
    f, expected = problems
    if numba.get_num_threads() < 2:
        pytest.skip("one thread: there are no helpers")
    for _ in range(500):
        if launch._crew.board[launch.ASLEEP] == launch._crew._helpers:
            break
        time.sleep(0.02)
    else:
        pytest.fail("the helpers do not go to sleep")
    np.testing.assert_array_equal(solve(f[2], tol=1e-9).u, expected[2])


def test_one_thread_gives_the_same(problems):
    f, expected = problems
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        u = solve(f[3], tol=1e-9).u
    finally:
        numba.set_num_threads(before)
    assert np.abs(u - expected[3]).max() <= 1e-12 * np.abs(u).max()


def test_recorded_launches(problems):
    """Each way to start and to go on comes twice, first recorded, then played, and in between the others."""
    f, expected = problems
    kept = Solver(Poisson(Grid((N, N))))
    for _ in range(2):
        for k, g in enumerate(f):
            guess = None if k % 3 == 0 else (expected[k - 1].copy() if k % 3 == 1 else g)
            tol = 1e-9 if k % 2 else None
            fresh = Solver(Poisson(Grid((N, N)))).solve(g, guess=guess, tol=tol).u
            np.testing.assert_array_equal(kept.solve(g, guess=guess, tol=tol).u, fresh)
            np.testing.assert_array_equal(kept.cycle(fresh, g), Solver(Poisson(Grid((N, N)))).cycle(fresh, g))


def test_solutions_do_not_share_memory(problems):
    f, expected = problems
    solver = Solver(Poisson(Grid((N, N))))
    got = [solver.solve(g, tol=1e-9).u for g in f]
    np.testing.assert_array_equal(np.stack(got), expected)
