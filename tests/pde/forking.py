"""A program: solves with two threads of torch, forks, and solves again in the children; prints "same" in the end."""

import multiprocessing
import os
import signal
import threading

import numpy as np
import torch

from mgnet.pde import Grid, Poisson, Solver, solve, solve_nonlinear

SECONDS = 30  # after which children count as lost


def field(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).numpy() + 0.5


def gradients():
    f, a = (torch.tensor(field(40, 45)).requires_grad_() for _ in range(2))
    solve(f, a=a, tol=1e-10).u.square().sum().backward()
    return np.stack([f.grad.numpy(), a.grad.numpy()])


shared, varying = Solver(Poisson(Grid((63, 63)))), Solver(Poisson(Grid((63, 63)), a=field(63, 63)))
CASES = {
    "1-D": lambda: solve(field(255)).u,
    "1-D, varying": lambda: solve(field(2000), a=field(2000)).u,
    "2-D": lambda: solve(field(200, 200)).u,
    "2-D, small": lambda: solve(field(7, 7)).u,
    "2-D, varying": lambda: solve(field(150, 160), a=field(150, 160)).u,
    "2-D, float32": lambda: solve(field(100, 160).astype(np.float32)).u,
    "2-D, thin": lambda: solve(field(90, 90), upper=(1.0, 0.01)).u,
    "2-D, zebra": lambda: Solver(Poisson(Grid((63, 63)), a=field(63, 63)), smoother="zebra").solve(field(63, 63)).u,
    "2-D, singular": lambda: solve(field(64, 64) - field(64, 64).mean(), bc="periodic").u,
    "2-D, mask": lambda: solve(field(60, 60), mask=field(60, 60) > 0.7).u,
    "3-D": lambda: solve(field(40, 41, 42)).u,
    "3-D, varying": lambda: solve(field(30, 31, 32), a=field(30, 31, 32)).u,
    "order 4": lambda: solve(field(63, 63), order=4).u,
    "nonlinear": lambda: solve_nonlinear(field(63, 63), lambda u: u**3, lambda u: 3 * u**2).u,
    "gradients": gradients,
    "a Solver of the parent's": lambda: shared.solve(field(63, 63)).u,
    "a Solver of the parent's, varying": lambda: varying.solve(field(63, 63)).u,
    "torch alone": lambda: (torch.ones(300, 300) @ torch.ones(300, 300)).numpy(),
}


def run(name):
    return CASES[name]()


def compare(expected, results):
    for name, u in results.items():
        error = abs(u - expected[name]).max() / abs(expected[name]).max()
        assert error < 1e-5, (name, error)


def in_raw_fork():
    """os.fork, while a thread is inside of ``shared.solve``, whose turn does not come to an end in the child."""
    inside, done = threading.Event(), threading.Event()

    def hold(k, r):
        inside.set()
        done.wait(SECONDS)

    thread = threading.Thread(target=shared.solve, args=(field(63, 63),), kwargs={"callback": hold})
    thread.start()
    assert inside.wait(SECONDS)
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        good = np.allclose(shared.solve(field(63, 63)).u, solve(field(63, 63)).u, rtol=1e-6)
        os._exit(0 if good and torch.get_num_threads() == 1 else 1)
    status = os.waitpid(child, 0)[1]
    done.set()
    thread.join()
    assert status == 0, status


def main():
    torch.set_num_threads(2)
    big = torch.ones(500, 500, dtype=torch.float64) + torch.eye(500, dtype=torch.float64)
    torch.linalg.solve(big @ big, big)
    expected = {name: run(name) for name in CASES}
    pool = multiprocessing.get_context("fork").Pool(2)
    jobs = {name: pool.apply_async(run, (name,)) for name in CASES}
    late = []
    results = {}
    for name, job in jobs.items():
        try:
            results[name] = job.get(SECONDS if not late else 0)
        except multiprocessing.TimeoutError:
            late.append(name)
    pool.terminate()
    assert not late, f"children hang: {late}"
    compare(expected, results)
    in_raw_fork()
    assert torch.get_num_threads() == 2, "the parent keeps its threads"
    compare(expected, {name: run(name) for name in CASES})
    print("same")


if __name__ == "__main__":
    main()
