"""Calls from several threads, processes and forked children give the answers of calls alone."""

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mgnet.pde import Grid, Poisson, Solver, solve
from tests.pde.grids_and_data import random

SHAPES = [(150, 160), (40, 45), (30, 31, 32), (2000,)]


def solutions():
    return [solve(random(shape, k), tol=1e-10).u for k, shape in enumerate(SHAPES * 3)]


def test_threads_that_call_solve_at_once():
    expected = solutions()
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(solve, random(shape, k), tol=1e-10) for k, shape in enumerate(SHAPES * 3)]
        for job, u in zip(jobs, expected, strict=True):
            np.testing.assert_allclose(job.result(timeout=120).u, u, rtol=0, atol=1e-12 * abs(u).max())


def test_threads_that_share_a_solver():
    solver = Solver(Poisson(Grid((150, 160))))
    data = [random((b, 150, 160), b) for b in (1, 2, 1, 3, 2, 1)]
    expected = [solver.solve(f).u for f in data]
    with ThreadPoolExecutor(4) as pool:
        for s, u in zip(pool.map(solver.solve, data), expected, strict=True):
            np.testing.assert_allclose(s.u, u, rtol=0, atol=1e-12 * abs(u).max())


def _child(queue):
    queue.put(solve(random((150, 160)), tol=1e-10).u)


def test_a_forked_child():
    """The parent's thread pool does not survive a fork; the child must not wait for it."""
    expected = solve(random((150, 160)), tol=1e-10).u
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(queue,))
    child.start()
    try:
        u = queue.get(timeout=60)
    finally:
        child.join(10)
        child.kill()
    np.testing.assert_allclose(u, expected, rtol=0, atol=1e-12 * abs(expected).max())
    np.testing.assert_array_equal(solve(random((150, 160)), tol=1e-10).u, expected)  # and the parent goes on


def test_two_processes():
    code = "import numpy as np; from mgnet.pde import solve; print(solve(np.ones((150, 160)), tol=1e-10).u.sum())"
    command, environment = [sys.executable, "-c", code], os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    sums = [float(run.communicate(timeout=180)[0]) for run in runs]
    expected = solve(np.ones((150, 160)), tol=1e-10).u.sum()
    np.testing.assert_allclose(sums, expected, rtol=1e-12)
