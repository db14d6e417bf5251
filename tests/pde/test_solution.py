"""What a solve tells of itself: cycles, factor and work units, by hand; and what the error advises."""

from math import isnan

import numpy as np
import pytest

from mgnet.pde import Grid, Poisson, Solver, solve
from mgnet.pde.outer.work import cycle_work, full_multigrid_work
from mgnet.pde.solution import NotConverged, Solution


def solution(residuals, status="tolerance"):
    return Solution(
        np.zeros((3, 4)), residuals, status != "not converged", status, Grid((3, 4)), "a way", 12.34, 0.0056
    )


def test_cycles_and_factor():
    s = solution([1.0, 0.1, 0.0001])
    assert s.cycles == 2
    assert s.factor == pytest.approx(0.01)
    assert repr(s) == (
        "Solution(3 x 4: tolerance after 2 cycles, residual 1.0e-04, factor 0.010, 12.3 work units, 5.6 ms; a way)"
    )
    assert "after 1 cycle, residual 5.0e-01, factor 0.500" in repr(solution([1.0, 0.5]))


def test_without_a_history_there_is_no_factor():
    full = solution([], "full multigrid")
    assert full.cycles == 1
    assert isnan(full.factor)
    assert repr(full) == "Solution(3 x 4: full multigrid after 1 cycle, 12.3 work units, 5.6 ms; a way)"
    assert solution([0.0]).cycles == 0
    assert isnan(solution([0.5]).factor)
    assert isnan(solution([0.0, 0.0]).factor)


@pytest.mark.parametrize(
    ("residuals", "remedy"),
    [([1.0, 0.5, 0.25, 0.125], "Raise `max_cycles`"), ([1.0, 0.97, 0.95], "More cycles hardly")],
)
def test_the_error_advises_by_the_factor(residuals, remedy):
    told = str(NotConverged(solution(residuals, "not converged"), 1e-8))
    assert remedy in told
    assert f"not converged to 1e-08 in {len(residuals) - 1} cycles" in told
    assert ", ".join(f"{r:.1e}" for r in residuals[-3:]) in told
    assert str(NotConverged(solution(residuals), 1e-8, "Do this.")).count("Do this.") == 1


SIZES = (64, 16, 4, 1)  # grids of which the last is solved, a unit a visit


@pytest.mark.parametrize(
    ("gamma", "visits"), [(1, (1, 1, 1, 1)), (2, (1, 2, 4, 4)), (3, (1, 3, 9, 9)), ("F", (1, 2, 3, 3))]
)
def test_work_of_a_cycle(gamma, visits):
    """Two sweeps down, one up and the residual, 4 N a visit; the coarsest N."""
    by_hand = sum(v * (1 if n == 1 else 4) * n for v, n in zip(visits, SIZES, strict=True)) / 64
    assert cycle_work(SIZES, (2, 1), gamma) == pytest.approx(by_hand)


def test_work_of_a_full_pass():
    """A cycle from each grid up; the coarsest is solved once more."""
    cycles = (4 * 64 + 4 * 16 + 4 * 4 + 1) + (4 * 16 + 4 * 4 + 1) + (4 * 4 + 1) + 1
    assert full_multigrid_work(SIZES, (2, 1), 1) == pytest.approx(cycles / 64)


def test_reprs():
    """Of what people print: the problem, and the levels once there are some."""
    x = Grid((40, 30), centering="cell").coordinates()[0]
    problem = Poisson(Grid((40, 30), centering="cell"), (1.0, x + 1), lambda x, y: x, mask=x > 0.5)
    assert repr(problem).endswith("a=(1, array (40, 30)), c=<lambda>, mask of 600 unknowns)")
    assert repr(Poisson(Grid((9, 9)), 2.0, 3.0, order=4)).endswith("a=2, c=3, order=4)")
    solver = Solver(Poisson(Grid((63, 63))))
    assert repr(solver).startswith("Solver(V(2,2)-cycles, chebyshev smoother; Poisson(")
    solver.solve(np.ones((63, 63)))
    assert [row.split()[1] for row in repr(solver).splitlines()[2:]] == ["3,969", "961"]


@pytest.mark.parametrize("residuals", [[], [0.0], [0.5], [0.0, 0.0], [float("inf"), 1.0], [float("nan")] * 2], ids=str)
def test_what_is_no_number_is_not_said(residuals):
    said = solution(residuals)
    title = said.plot().axes[1].get_title()
    assert "factor" not in repr(said) + title + str(NotConverged(said, 1e-8) if residuals else "")


def test_the_solution_of_zero_is_drawn(tmp_path):
    axes = solve(np.zeros((7, 7))).plot(tmp_path / "u.png").axes[1]
    assert axes.get_ylim()[0] > 1e-30
