"""Draw the pictures of docs/pde.md.

python docs/pictures/pde.py
"""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from page import INK, draw, field, panels


def main() -> None:
    draw("pde.md", {f"pde_{one.__name__}": one for one in (first, coefficients, convection)})


def first(names: dict[str, Any]) -> Figure:
    """What `Solution.plot` draws."""
    figure = names["s"].plot()
    figure.set_size_inches(8.6, 3.6)
    return figure


def coefficients(names: dict[str, Any]) -> Figure:
    figure, (left, middle, right) = panels(3, 2.5)
    field(left, names["two"].u, "a = 1 below, 10 above")
    left.plot([0, 1], [1, 0], color="white", lw=0.8)
    field(middle, names["rooms"].u, "a wall with a door")
    door = names["x"][40, 40]
    middle.plot([0.5, 0.5], [door, 1], color="white", lw=2)
    field(right, names["grained"].u, "a 100 times larger along 30°")
    return figure


def convection(names: dict[str, Any]) -> Figure:
    figure, (left, right) = panels(2, 3.0)
    x = np.linspace(0, 1, 40)
    flow = [v(*np.meshgrid(x, x)) for v in (names["across"], names["along"])]
    for axes, solution, title in ((left, names["calm"], "no velocity"), (right, names["vortex"], "a vortex, a = 1e-4")):
        field(axes, solution.u, title, cmap="RdBu_r", vmin=0, vmax=1)
    right.streamplot(x, x, *flow, color=INK, linewidth=0.5, density=0.45, arrowsize=0.7)
    right.set(xlim=(0, 1), ylim=(0, 1))
    return figure


if __name__ == "__main__":
    main()
