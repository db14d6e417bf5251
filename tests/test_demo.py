"""What the demo claims; and that it would notice if a claim were false.

1  The right-hand side belongs to the solution: the sine transform's error is of second order.
2  Full multigrid is as accurate as the exact solution of the discrete equations.
3  A linear MgNet with the stencils as weights is the left leg of the V-cycle.
4  The classifier learns, and its pictures are written.
"""

from pathlib import Path
from types import FunctionType

import numpy as np
import pytest

from mgnet import demo, pde


def under_python_o():
    """The demo's names as `python -O` has them, which leaves asserts out."""
    names = {"__name__": demo.__name__}
    exec(compile(Path(demo.__file__).read_text(), demo.__file__, "exec", optimize=1), names)
    return names


def sine_transform_error(n: int) -> float:
    x = np.arange(1, n + 1) / (n + 1)
    u, f = demo.rings(*np.meshgrid(x, x, indexing="ij"))
    return float(np.abs(demo.by_sine_transforms(f, 1 / (n + 1)) - u).max())


def test_rings_solve_the_equation_to_second_order():
    order = np.log2(sine_transform_error(127) / sine_transform_error(255))
    assert order == pytest.approx(2.0, abs=0.05)


def test_poisson_table(tmp_path, capsys):
    multigrid, iterated, transformed = demo.poisson(tmp_path, 255)
    assert transformed.error == pytest.approx(sine_transform_error(255))
    assert iterated.error == pytest.approx(transformed.error, rel=1e-4)
    assert multigrid.error < 1.2 * transformed.error
    assert (tmp_path / "poisson.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert all(row.method in printed and f"{row.error:.3e}" in printed for row in (multigrid, iterated, transformed))


def test_poisson_notices_an_inaccurate_solver(tmp_path, monkeypatch):
    solve = pde.Solver.solve

    def scaled(self, f, **arguments):
        return solve(self, 1.1 * f, **arguments)

    monkeypatch.setattr(pde.Solver, "solve", scaled)
    for poisson in (demo.poisson, under_python_o()["poisson"]):
        with pytest.raises(AssertionError, match="discretisation error"):
            poisson(tmp_path, 63)


def test_one_program(capsys):
    assert demo.one_program(127) < 1e-13
    assert "127 x 127" in capsys.readouterr().out


def test_one_program_notices_another_operator(monkeypatch):
    levels = pde.conv_levels

    def other(problem, **arguments):
        return levels(pde.Poisson(problem.grid, a=1.01), **arguments)

    monkeypatch.setattr(pde, "conv_levels", other)
    for one_program in (demo.one_program, under_python_o()["one_program"]):
        with pytest.raises(AssertionError, match="left leg"):
            one_program(63)


@pytest.mark.parametrize("accuracy", [0.5, float("nan")])
def test_a_classifier_that_has_not_learned_is_noticed(tmp_path, accuracy):
    names = under_python_o() | {"poisson": lambda *_: None, "one_program": lambda *_: None}
    run = FunctionType(names["run"].__code__, names | {"classify": lambda *_, **__: accuracy})
    with pytest.raises(AssertionError, match="the classifier must reach 97%"):
        run(tmp_path)


@pytest.mark.slow
def test_the_whole_demo(tmp_path, capsys):
    demo.run(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["features.png", "learning.png", "poisson.png"]
    printed = capsys.readouterr().out
    assert "validation accuracy" in printed
    assert str(tmp_path / "poisson.png") in printed
