"""Errors that a residual below tol hides are seen, in every member of a batch, and conjugate gradients go on."""

import numpy as np
import pytest
import scipy.sparse.linalg as splinalg
import torch

from mgnet.pde import Grid, NotConverged, Poisson, solve
from mgnet.pde.blackbox import ReadableBlackBox
from mgnet.pde.native.blackbox import NativeBlackBox
from mgnet.pde.outer import hidden
from mgnet.pde.outer.hidden import HIDDEN, Hidden
from mgnet.pde.outer.iterate import iterate
from mgnet.pde.outer.krylov import ConjugateGradients

TOL = 1e-5


class Lacking(ReadableBlackBox):
    """A diagonal A, one of whose entries is LITTLE, and an M that is a hundredth of its inverse there."""

    LITTLE = 1e-8

    def __init__(self, n=40):
        g = torch.Generator("cpu").manual_seed(0)
        self._mu, entries = 0.8 + 0.4 * torch.rand(1, n, generator=g, dtype=torch.float64), torch.ones(1, n).double()
        self._mu[0, -1], entries[0, -1] = 1e-2, self.LITTLE
        self.scale, self.small = entries.rsqrt(), entries[0, 0]
        self.A = lambda x: entries * x
        self.unit = lambda v: v

    def correction(self, r):
        return self._mu * r

    def full_multigrid(self, b, measure=True):
        self.begin(None, b)
        return self._moved(None, self.correction(self.r), b)


def steps(system, b, max_cycles=60):
    nothing = lambda u: 0 * u.flatten(1)[:, 0]  # noqa: E731
    return iterate(ConjugateGradients(system, TOL), system.data(b), None, TOL, max_cycles, nothing, None)


def test_members_go_on_that_hide_an_error():
    system, u = Lacking(), torch.ones(2, 40, dtype=torch.float64)
    u[1, -1] = 0.0
    u[0, -1] = 10.0
    s, alone = steps(system, system.A(u)), [steps(system, system.A(v[None])) for v in u]
    met = next(k for k, r in enumerate(s.residuals) if r <= TOL)
    assert s.status == "tolerance"
    assert len(s.residuals) - 1 > met
    assert abs(s.u - u).max() < 1e-3
    for mine, other in zip(s.u, alone, strict=True):
        assert torch.equal(mine, other.u[0])
    assert len(alone[1].residuals) - 1 <= met  # which is left alone in the meantime
    early = steps(system, system.A(u), max_cycles=met)
    assert (early.status, early.remedy) == ("not converged", HIDDEN)
    assert abs(early.u - u).max() > 1.0


def test_what_is_told_of_it():
    """The change of a step and the fall of the residual, of members that have come down to tol and of no others."""
    asked = []

    def changed(u, old):
        asked.append(1)
        return np.array([0.1, 0.1, 1e-4, np.inf])

    seen = Hidden(1e-4, 4, changed)
    before, now = np.full(4, 1e-2), np.array([1e-3, 9e-5, 9e-5, 9e-5])
    assert seen.look(before, now, lambda: None, lambda: None)
    assert seen.members.tolist() == [False, True, False, True]  # 0.1 and 1, times 9e-3, over 5e-4
    assert not seen.look(now, now, lambda: None, lambda: None)  # those two are asked again
    assert seen.look(now, now * np.array([1.0, 1e-3, 1.0, 2.0]), lambda: None, lambda: None)
    assert seen.members.tolist() == [False, False, False, False]
    asked.clear()
    assert not Hidden(1e-5, 4, changed).look(before, now, lambda: None, lambda: None)
    assert asked == []


@pytest.mark.parametrize("tol", [1e-4, 1e-8])
def test_data_next_to_an_end_hide_all_else(tol):
    """A step from zero takes most of a residual away that is most of it data of a strongly coupled end."""
    grid = Grid((40, 36), [("dirichlet", "dirichlet"), "neumann"], centering="cell")
    a = np.where(grid.coordinates()[0] < 0.3, 1e9, 1.0), 1.0
    how = {"grid": grid, "a": a, "boundary": [(lambda x, y: np.cos(9 * y), 0.0), (0.0, 0.0)]}
    exact = solve(np.ones(grid.shape), tol=1e-13, throw=False, **how).u
    s = solve(np.ones(grid.shape), tol=tol, **how)
    assert abs(s.u - exact).max() < 10 * tol * abs(exact).max()
    assert s.cycles <= 8


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("tol", [None, 1e-4, 1e-8])
@pytest.mark.parametrize("bc", ["periodic", "neumann"])
def test_lines_that_only_weak_couplings_hold(bc, tol, dtype):
    """Fixed unknowns hold the lines that they lie on, and those the others, by 1e-10 of what couples a line."""
    r = np.random.default_rng(0)
    where, value, weak = r.random((40, 36)) < 0.02, r.normal(size=(40, 36)), 1e-10 * (1 + r.random((40, 36)))
    f, value, weak = (v.astype(dtype) for v in (1e-9 + 0 * value, value, weak))
    s = solve(f, a=(weak, 1.0), fixed=(where, value), bc=bc, tol=tol)
    problem = Poisson(Grid(f.shape, bc), a=(weak.astype(float), 1.0), fixed=(where, value.astype(float)))
    exact = splinalg.spsolve(problem.to_scipy().tocsc(), problem.rhs(f.astype(float)).ravel()).reshape(f.shape)
    assert abs(s.u - exact).max() < (1e-5 if tol is None else max(tol, 1e-7)) * 10 * abs(exact).max()


def picture(n=48):
    """(weights, where marks are, their values): discs behind edges of 1e-9."""
    r = np.random.default_rng(59)
    x, y = np.mgrid[:n, :n] / n
    grey = 0.02 * r.normal(size=(n, n))
    for _ in range(3):
        grey += (np.hypot(x - r.uniform(0.2, 0.8), y - r.uniform(0.2, 0.8)) < r.uniform(0.1, 0.35)) * r.uniform(0.3, 1)
    marks = np.zeros((n, n))
    for k in range(4):
        i, j = r.integers(2, n - 2, 2)
        marks[i - 1 : i + 2, j - 1 : j + 2] = 1 + k % 2
    slope = np.gradient(grey)
    return np.maximum(np.exp(-1000 * (slope[0] ** 2 + slope[1] ** 2)), 1e-9), marks > 0, (marks == 2) * 1.0


@pytest.mark.parametrize(("tol", "off"), [(1e-4, 1e-2), (1e-8, 1e-7)])
def test_pictures_behind_edges(tol, off):
    a, where, value = picture()
    how = {"a": a, "fixed": (where, value), "bc": "neumann"}
    exact = solve(0 * a, tol=1e-12, **how).u
    assert abs(solve(0 * a, tol=tol, **how).u - exact).max() < off


def test_a_full_pass_does_not_end_there():
    """Its steps show no error: what lies behind such edges has no energy."""
    a, where, value = picture()
    how = {"a": a, "fixed": (where, value), "bc": "neumann"}
    s, exact = solve(0 * a, tol=None, **how), solve(0 * a, tol=1e-12, **how).u
    assert (s.status, s.converged) == ("full multigrid", True)
    assert s.residuals[-1] < 1e-8
    assert abs(s.u - exact).max() < 1e-5


def test_twins_go_on_alike(monkeypatch):
    monkeypatch.setattr(hidden, "HIDES", 1e-3)  # so that it happens here
    a, where, value = picture()
    problem = Poisson(Grid(a.shape, "neumann"), a=a, fixed=(where, value))
    b = torch.from_numpy(np.where(where, 0, problem.rhs(0 * a)))
    both, A = torch.stack([b, b.roll(1, 0) * ~torch.from_numpy(where)]), problem.A.flattened((1,))
    one = steps(ReadableBlackBox(A, both, precision=torch.float64), both)
    other = steps(NativeBlackBox(A, both, precision=torch.float64, batch=2), both)
    assert len(one.residuals) == len(other.residuals)
    assert one.residuals[-2] <= TOL
    torch.testing.assert_close(one.u, other.u, rtol=0, atol=1e-6)


def test_too_few_cycles_are_told(monkeypatch):
    monkeypatch.setattr(hidden, "HIDES", 0.0)
    x = np.linspace(0, 1, 40)
    with pytest.raises(NotConverged, match="The residual alone meets `tol`"):
        solve(np.ones((40, 40)), a=1 + x[:, None] * x, tol=1e-3, max_cycles=5)
