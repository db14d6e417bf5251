"""The benchmark's rivals solve the problem that we solve, and all are counted alike.

1  A rival that was set up once solves again and again, each right-hand side for itself.
2  Everybody's first solve has the set-up in it, and nobody's repeated one has.
3  A ratio of the table is of two times of one kind; where one is missing there is a dash.
"""

import time

import numpy as np
import pytest

from benchmarks.machine import here
from benchmarks.poisson import OURS, RIVALS, Case, measure, time_in_turn
from benchmarks.report import table
from mgnet.pde import Grid, Poisson


@pytest.mark.parametrize("shape", [(31, 31), (15, 15, 15)], ids=str)
@pytest.mark.parametrize("name", RIVALS)
def test_rivals(name, shape):
    problem = Poisson(Grid(shape))
    setup = RIVALS[name](problem, 1e-10)
    if setup is None:
        pytest.skip(f"{name} is not installed")
    solve = setup()
    for seed in range(2):
        b = problem.rhs(np.random.default_rng(seed).normal(size=shape))
        u = solve(b)
        assert u.shape == shape
        assert np.linalg.norm(b - problem.apply(u)) <= 1.1e-10 * np.linalg.norm(b)


@pytest.mark.parametrize("shape", [(16, 16), (12, 16), (8, 8, 8)], ids=str)
def test_transforms_of_periodic_axes(shape):
    """Axes that are alike may be one object."""
    problem = Poisson(Grid(shape, bc="periodic"))
    f = np.random.default_rng(0).normal(size=shape)
    f -= f.mean()
    assert np.allclose(problem.apply(RIVALS["fft"](problem, None)()(f)), f, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in RIVALS if name not in ("fft", "petsc MG+CG")])
def test_rivals_take_coefficients(name):
    grid = Grid((31, 31))
    a = np.exp(np.random.default_rng(1).normal(size=grid.shape))
    problem = Poisson(grid, a)
    setup = RIVALS[name](problem, 1e-10)
    if setup is None:
        pytest.skip(f"{name} is not installed")
    b = np.random.default_rng(0).normal(size=grid.shape)
    assert np.linalg.norm(b - problem.apply(setup()(b))) <= 1.1e-10 * np.linalg.norm(b)


@pytest.mark.parametrize("name", OURS)
def test_our_solvers(name):
    problem = Poisson(Grid((31, 31)))
    f = np.random.default_rng(0).normal(size=(3, 31, 31))
    u = OURS[name](problem, Case("batch", 31, batch=3))()(f)
    np.testing.assert_allclose(problem.apply(u), f, atol=1e-9 * np.abs(f).max())


def test_set_up_is_in_first_solves_and_in_no_other(monkeypatch):
    """A set-up of 20 ms and a solve of 2 ms; and of the set-ups of one name, none is shared by two first solves."""
    monkeypatch.setattr("benchmarks.poisson.PAUSE", 0)
    monkeypatch.setattr("benchmarks.poisson.WARM", 0.01)
    made = []

    def setup():
        time.sleep(0.02)
        made.append(None)
        return lambda f: time.sleep(0.002) or f

    firsts, repeats, results = time_in_turn({"a": (setup, 1.0), "b": (setup, 2.0)}, 2)
    assert len(made) == 4
    assert results == {"a": 1.0, "b": 2.0}
    for name in "ab":
        assert min(firsts[name]) > 0.02
        assert len(firsts[name]) == 2
        assert 0.001 < min(repeats[name]) < 0.02


def test_a_case_is_measured(monkeypatch):
    """Ours and every rival that is there have a first solve and a repeated one."""
    monkeypatch.setattr("benchmarks.poisson.PAUSE", 0)
    monkeypatch.setattr("benchmarks.poisson.WARM", 0)
    rows = measure(Case("residual 1e-8", 15, tol=1e-8, against=tuple(RIVALS)), 1)
    assert {"mgnet", "fft", "spsolve", "cg"} <= {row["solver"] for row in rows}
    for row in rows:
        assert row["residual"] <= 1.1e-8
        assert row["first"] > 0
        assert row["repeat"] > 0
        assert row["first solves"] == 1
        assert row["threads"] == 1 or row["solver"] in ("mgnet", "fft")


def row_of(solver, first, repeat, threads):
    case = {"name": "x", "n": 3, "ndim": 2, "tol": 1e-8, "batch": 1, "residual": 1e-9, "error": None, "date": "today"}
    times = {"first": first, "repeat": repeat, "first solves": 5, "threads": threads}
    return case | times | {"solver": solver, "bytes per unknown": None, "discretisation error": None}


@pytest.mark.parametrize(
    ("first", "repeat", "cells"),
    [
        (0.4, 0.3, "| 2 / 1 | 200.00 / 400.00 | 2.00 | 100.00 / 300.00 | 3.00 |"),
        (0.4, None, "| 2 / 1 | 200.00 / 400.00 | 2.00 | 100.00 / - | - |"),
        (None, 0.3, "| 2 / 1 | 200.00 / - | - | 100.00 / 300.00 | 3.00 |"),
    ],
)
def test_ratios_count_alike(first, repeat, cells):
    rows = [row_of("mgnet", 0.2, 0.1, 2), row_of("its", first, repeat, 1)]
    machine = {"cores": 2, "processor": "any"}
    text = table({"environment": machine, "rows": rows, "first solve": {"import": 0.2, "constant": 0.1}})
    assert cells in text
    assert ("A dash" in text) == (None in (first, repeat))


def test_tables_name_the_machines_of_their_rows():
    """How many are from before machines were kept; where all are, the last run's is said, which may be another."""
    machines = [here(), {"machine": {"processor": "P", "instructions": "avx2", "cores": 4}, "date": "2026-12-02"}, {}]
    rows = [row_of("mgnet", 0.2, 0.1, 2) | kept for kept in machines]
    text = table({"environment": {"processor": "Q", "cores": 2}, "rows": rows, "first solve": {"import": 0.2}})
    ours = machines[0]["machine"]
    assert f"{ours['cores']} cores of {ours['processor']} ({ours['instructions']}), {machines[0]['date']}; " in text
    assert "; 4 cores of P (avx2), 2026-12-02; the machine of 1 of 3 rows was not kept; " in text
    text = table({"environment": {"processor": "Q", "cores": 2}, "rows": rows[2:], "first solve": {"import": 0.2}})
    assert "machine not kept (the last run's: 2 cores of Q), today; " in text
