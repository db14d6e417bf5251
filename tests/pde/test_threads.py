"""Every caller gets its answer: side by side, in a forked child, and on any number of threads.

- many Python threads solve at once, each its own right-hand side, with one Solver and with their own;
- a child forked after the helpers started solves too, and the parent still does;
- one thread gives what several give;
- a Solver serves every later right-hand side, guess and tolerance as a fresh one does, and hands out memory of its own;
- where memory is short a solve says so, whichever thread finds it, and the next one works.
"""

import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, Poisson, Solver, solve

N = 255  # above the size that one thread solves alone
KINDS = {"constant": {}, "varying": {"a": lambda x, y: 1 + x * y}}


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS)
def problems(request):
    rng = np.random.default_rng(0)
    f = rng.normal(size=(8, N, N))
    return request.param, f, np.stack([solve(g, tol=1e-9, **request.param).u for g in f])


def solver_of(coefficients):
    return Solver(Poisson(Grid((N, N)), **coefficients))


def test_side_by_side(problems):
    given, f, expected = problems
    shared = solver_of(given)
    got = [np.empty(0)] * len(f)

    def work(k):
        for _ in range(3):
            got[k] = (shared.solve(f[k], tol=1e-9) if k % 2 else solve(f[k], tol=1e-9, **given)).u

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(f))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    np.testing.assert_array_equal(np.stack(got), expected)


def _child(f, given, queue):
    queue.put(solve(f, tol=1e-9, **given).u)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this platform cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child(problems):
    given, f, expected = problems
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(f[0], given, queue))
    child.start()
    np.testing.assert_array_equal(queue.get(timeout=120), expected[0])
    child.join(30)
    assert child.exitcode == 0
    np.testing.assert_array_equal(solve(f[1], tol=1e-9, **given).u, expected[1])


def test_any_number_of_threads_gives_the_same(problems):
    given, f, expected = problems
    before = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            u = solve(f[3], tol=1e-9, **given).u
            assert np.abs(u - expected[3]).max() <= 1e-12 * np.abs(u).max()
    finally:
        torch.set_num_threads(before)


def test_a_solver_serves_again_as_a_fresh_one_does(problems):
    """Each way to start and to go on comes twice, and in between the others."""
    given, f, expected = problems
    kept = solver_of(given)
    for _ in range(2):
        for k, g in enumerate(f):
            guess = None if k % 3 == 0 else (expected[k - 1].copy() if k % 3 == 1 else g)
            tol = 1e-9 if k % 2 else None
            fresh = solver_of(given).solve(g, guess=guess, tol=tol).u
            np.testing.assert_array_equal(kept.solve(g, guess=guess, tol=tol).u, fresh)
            np.testing.assert_array_equal(kept.cycle(fresh, g), solver_of(given).cycle(fresh, g))


def test_solutions_do_not_share_memory(problems):
    given, f, expected = problems
    solver = solver_of(given)
    got = [solver.solve(g, tol=1e-9).u for g in f]
    np.testing.assert_array_equal(np.stack(got), expected)


def test_batches_of_any_size_side_by_side():
    solver = Solver(Poisson(Grid((150, 160))))
    data = [np.random.default_rng(b).normal(size=(b, 150, 160)) for b in (1, 2, 1, 3, 2, 1)]
    expected = [solver.solve(f).u for f in data]
    with ThreadPoolExecutor(4) as pool:
        for s, u in zip(pool.map(solver.solve, data), expected, strict=True):
            np.testing.assert_allclose(s.u, u, rtol=0, atol=1e-12 * abs(u).max())


def test_two_processes():
    code = "import numpy as np; from mgnet.pde import solve; print(solve(np.ones((150, 160)), tol=1e-10).u.sum())"
    command, environment = [sys.executable, "-c", code], os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    sums = [float(run.communicate(timeout=180)[0]) for run in runs]
    expected = solve(np.ones((150, 160)), tol=1e-10).u.sum()
    np.testing.assert_allclose(sums, expected, rtol=1e-12)


SHORT = """
import resource, numpy as np, torch
from mgnet.pde import Grid, Poisson, Solver
torch.set_num_threads(2)
f = np.random.default_rng(0).normal(size=(4, 300, 300))
problem = Poisson(Grid((300, 300)), np.exp(f), velocity=(1.0, 2.0))
Solver(Poisson(Grid((90, 90)), 1.0, velocity=(1.0, 2.0))).solve(np.ones((90, 90)))  # whatever comes with a first solve
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
for megabytes in (25, *range(100, 200, 6)):  # in the set-up of one level or another, so that any thread may find it
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, -1))
    try:
        Solver(problem).solve(f)
        print("solved")
    except MemoryError:
        print("short")
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
print(Solver(problem).solve(f).converged)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_short_memory_is_said():
    run = subprocess.run([sys.executable, "-c", SHORT], capture_output=True, text=True, check=False)
    said = run.stdout.split()
    assert (said[:1], said[-1:]) == (["short"], ["True"]), run.stderr
