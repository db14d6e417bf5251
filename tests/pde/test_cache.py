"""Levels that outlive their solver: the same numbers as fresh ones, each user alone with theirs, a bounded store."""

import copy
import gc
import multiprocessing
import pickle
import threading

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, Poisson, Robin, Solver, solve
from mgnet.pde.outer import cache


@pytest.fixture(autouse=True)
def store(monkeypatch):
    """An empty store."""
    gc.collect()
    store = cache.Cache()
    monkeypatch.setattr("mgnet.pde.outer.choice.cache", store)
    return store


def levels_of(solver):
    (lease,) = solver._multigrid.levels._leases.values()
    return lease.levels


def rhs(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("tol", [None, 1e-10])
@pytest.mark.parametrize("bc", ["dirichlet", "neumann", "periodic", Robin(2.0)])
@pytest.mark.parametrize("shape", [(20,), (31, 31), (65, 48), (20, 20, 20)])
def test_solving_again_gives_the_same_numbers(shape, bc, tol):
    f, other = rhs(*shape), rhs(*shape, seed=1)
    if bc in ("neumann", "periodic"):
        w = Poisson(Grid(shape, bc=bc)).rhs(np.ones(shape))
        f, other = (v - (w * v).sum() / w.sum() for v in (f, other))
    first = solve(f, bc=bc, tol=tol)
    u = first.u.copy()
    second = solve(other, bc=bc, tol=tol).u
    again = solve(f, bc=bc, tol=tol)
    assert np.array_equal(again.u, u)
    assert np.array_equal(first.u, u)
    assert again.residuals == first.residuals
    assert again.work == first.work
    assert not np.shares_memory(second, u)


def test_the_next_solver_of_a_problem_finds_its_levels():
    first = Solver(Poisson(Grid((40, 40))))
    first.solve(rhs(40, 40))
    levels = levels_of(first)
    others = [Solver(Poisson(Grid((40, 40)))), Solver(Poisson(Grid((40, 40)), c=1.0)), Solver(Poisson(Grid((41, 40))))]
    for other in others:  # the first one still has its own
        other.solve(rhs(*other.problem.grid.shape))
        assert levels_of(other) is not levels
    del first, other
    last = Solver(Poisson(Grid((40, 40)), a=(1, 1), c=0))
    last.solve(rhs(40, 40))
    assert levels_of(last) is levels


@pytest.mark.parametrize("change", [{"cycle": "W"}, {"nu": (1, 1)}, {"smoother": "jacobi"}, {"smoother": "red-black"}])
def test_another_scheme_has_other_levels(change):
    f = rhs(127, 127)
    solve(f)
    want = Solver(Poisson(Grid((127, 127))), **change).solve(f)
    assert want.residuals != solve(f).residuals
    assert want.residuals == Solver(Poisson(Grid((127, 127))), **change).solve(f).residuals


def test_each_thread_has_its_own():
    fs = [rhs(63, 63, seed=k) for k in range(8)]
    wants = [solve(f, tol=1e-10).u for f in fs]
    wrong = []

    def work(f, want):
        for _ in range(20):
            if not np.array_equal(solve(f, tol=1e-10).u, want):
                wrong.append(f)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(fs, wants, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
@pytest.mark.parametrize("a", [None, np.linspace(1, 2, 1600).reshape(40, 40)], ids=["constant", "variable"])
def test_copies_of_a_module_make_their_own(a, copied):
    """As averaged models and worker processes need them."""
    module, f = torch.nn.Module(), rhs(40, 40)
    module.solver = Solver(Poisson(Grid((40, 40)), a))
    want = module.solver.solve(f).u
    other = copied(module).solver
    assert np.array_equal(other.solve(f).u, want)
    assert levels_of(other) is not levels_of(module.solver)


def test_each_stream_has_its_own(monkeypatch):
    """A device may still be at work for one stream when another begins, though Python holds the levels no more."""
    solver, f, current = Solver(Poisson(Grid((40, 40)))), rhs(40, 40), [1]
    monkeypatch.setattr("mgnet.pde.outer.choice.cuda.stream", lambda device: current[0])
    solver.solve(f)
    first = levels_of(solver)
    current[0] = 2
    solver.solve(f)
    assert levels_of(solver) is not first
    current[0] = 1
    solver.solve(f)
    assert levels_of(solver) is first


def test_levels_serve_again_after_an_error():
    f = rhs(63, 63)
    want = solve(f, tol=1e-10)

    def stop(cycle, residual):
        raise KeyError("enough")

    for _ in range(2):
        with pytest.raises(KeyError):
            solve(f, tol=1e-10, callback=stop)
        bad = f.copy()
        bad[3, 4] = np.nan
        with pytest.raises(ValueError, match="finite"):
            solve(bad, tol=None)
        again = solve(f, tol=1e-10)
        np.testing.assert_allclose(again.u, want.u, rtol=0, atol=1e-9 * np.abs(want.u).max())


def test_a_graph_keeps_its_levels_until_backward():
    f = torch.as_tensor(rhs(31, 31)).requires_grad_()
    first, second = solve(f, tol=1e-12).u, solve(2 * f, tol=1e-12).u
    (gradient,) = torch.autograd.grad((first * second).sum(), f)
    u = solve(f.detach(), tol=1e-12).u
    torch.testing.assert_close(gradient, 4 * solve(u, tol=1e-12).u, rtol=1e-8, atol=1e-12)


def test_the_store_is_bounded(store, monkeypatch):
    monkeypatch.setattr(cache, "ROOM", 5000)
    for n in (10, 30, 40, 50, 60, 80):  # 80^2 is too large by itself
        solve(rhs(n, n))
    assert [size for _, size, _ in store._idle] == [3600]
    for n in range(4, 4 + 2 * cache.MOST):
        solve(rhs(n, n))
    assert len(store._idle) <= cache.MOST
    assert sum(size for _, size, _ in store._idle) <= 5000


def test_nothing_of_the_users_is_kept():
    import weakref

    f = torch.as_tensor(rhs(20, 20))
    for shape in ((20, 20), (200, 200)):
        f = torch.as_tensor(rhs(*shape))
        watched = weakref.ref(f)
        u = solve(f, tol=1e-10).u
        seen = weakref.ref(u)
        del f, u
        gc.collect()
        assert watched() is None
        assert seen() is None


@pytest.mark.parametrize("n", [20, 100])
def test_modes_of_torch_do_not_mix(n):
    """Levels made in inference mode serve gradients outside of it."""
    solver = Solver(Poisson(Grid((n, n))))
    with torch.inference_mode():
        solver.solve(torch.as_tensor(rhs(n, n)))
        del solver
    f = torch.as_tensor(rhs(n, n)).requires_grad_()
    other = Solver(Poisson(Grid((n, n))))
    other.solve(f).u.square().sum().backward()
    assert f.grad is not None


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this platform cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_while_another_thread_takes_levels():
    """The child's store is not locked by a thread that it does not have."""
    held, done = threading.Event(), threading.Event()

    def hold():
        with cache.cache._lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = multiprocessing.get_context("fork").Process(target=cache.cache.lease, args=("key", 1, list))
    child.start()
    child.join(20)
    done.set()
    thread.join()
    code = child.exitcode
    child.kill()
    assert code == 0
