"""Impedance of a microstrip

What impedance has a copper strip on a circuit board over ground? The potential solves -div(eps grad u) = 0, u = 1 on
the strip and 0 on the ground, eps jumps from board to air, and the strip's charge with the board and without it tells.
Nodes crowd at the strip's edge. Hammerstad and Jensen's formulas are good to 0.2%; the tools are spsolve and PyAMG.
"""

from functools import partial

import numpy as np
from by_hand import strip
from data import graded, microstrip
from drawing import save
from matplotlib.figure import Figure
from network import SPARSE
from race import Race, Tool

from mgnet.pde import Faces, Grid, Poisson, solve

EDGE, BOARD = 0.95, 4.4  # half the strip's width, in heights of the board; its permittivity


def multigrid(x, y, eps):
    """u, and the charge on half of the strip; eps lies between nodes along y."""
    grid = Grid.from_nodes([x, y], bc=[("neumann", "dirichlet"), "dirichlet"])
    on = (grid.coordinates()[0] < EDGE + 1e-9) & (abs(grid.coordinates()[1] - 1) < 1e-9)
    n, m = grid.shape
    a = Faces(np.tile((eps[1:] + eps[:-1]) / 2, (n + 1, 1)), np.tile(eps, (n, 1)))
    u = solve(np.zeros((n, m)), grid=grid, a=a, fixed=(on, 1.0)).u
    return np.pad(u, ((0, 1), (1, 1))), Poisson(grid, a).apply(u)[on].sum() * np.prod(grid.spacing)


def impedance(potential, x, y):
    """u with the board, and 377 ohms over the root of the charge with it times the charge without."""
    (u, charge), (_, without) = (potential(x, y, np.where(y[1:] < 1 + 1e-9, eps, 1.0)) for eps in (BOARD, 1.0))
    return u, 376.730 / (2 * np.sqrt(charge * without))


def main(m=128):
    x, y = graded(EDGE, 50.0, m, 0.1 / m), graded(1.0, 50.0, m, 0.1 / m)
    tools = [Tool(*names, partial(impedance, partial(strip, how, edge=EDGE))) for *names, how in SPARSE]
    race = Race((x, y), partial(impedance, multigrid), tools)
    (u, ours), (_, theirs), *_ = race.answers
    known = microstrip(2 * EDGE, BOARD)
    assert abs(ours / theirs - 1) < 1e-5
    assert abs(ours / known - 1) < 3e-3
    figure = Figure(figsize=(8, 4))
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.96), xlim=(-3.5, 3.5), ylim=(0, 3.4), xticks=[], yticks=[])
    axes.axhspan(0, 1, color="#dfe8d8")
    axes.contour(np.r_[-x[:0:-1], x], y, np.r_[u[:0:-1], u].T, levels=np.arange(0.05, 1, 0.05), cmap="inferno")
    axes.plot([-EDGE, EDGE], [1, 1], color="#b87333", linewidth=5, solid_capstyle="butt")
    save(figure, __file__)
    facts = race.values("Ohms", "{:.3f}", race.each(lambda answer: answer[1]))
    return race.tell(f"{2 * m} x {2 * m - 1} nodes, twice", facts, f"Hammerstad and Jensen: {known:.3f}.")


if __name__ == "__main__":
    main()
