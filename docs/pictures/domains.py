"""Draw the pictures of docs/domains.md.

python docs/pictures/domains.py
"""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from page import INK, draw, field, panels


def main() -> None:
    draw("domains.md", {f"domains_{one.__name__}": one for one in (masks, fixed, grids)})


def masks(names: dict[str, Any]) -> Figure:
    figure, axes = panels(3, 2.5)
    shown = (
        (names["held"].u, names["disc"], "u = 0 on the cut", "viridis"),
        (names["saddle"].u, names["disc"], "x² - y² on the cut", "RdBu_r"),
        (names["porous"].u, names["holes"], "nothing flows into 5% holes", "viridis"),
    )
    for one, (u, mask, title, colours) in zip(axes, shown, strict=True):
        field(one, np.where(mask, u, np.nan), title, cmap=colours)
    return figure


def fixed(names: dict[str, Any]) -> Figure:
    """The potential in colours, its field as lines."""
    figure, (axes,) = panels(1, 3.2, 4.6)
    u = names["field"].u
    field(axes, u, "", cmap="RdBu_r", vmin=-1, vmax=1)
    x = names["x"][:, 0]
    axes.streamplot(x, x, *(-v.T for v in np.gradient(u)), color=INK, linewidth=0.5, density=0.8, arrowsize=0.6)
    for plate in names["plates"]:
        axes.contour(x, x, plate.T, levels=[0.5], colors=INK, linewidths=1.2)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    return figure


def grids(names: dict[str, Any]) -> Figure:
    """Cells of the disc in the plane, those of the globe on its Mollweide map."""
    figure = Figure(figsize=(8.6, 3.0), layout="constrained")
    left = figure.add_subplot(1, 2, 1, aspect="equal")
    r, theta = np.meshgrid(names["disc"].axes[0].faces, np.linspace(0, 2 * np.pi, 129), indexing="ij")
    left.pcolormesh(r * np.cos(theta), r * np.sin(theta), names["warm"].u, rasterized=True)
    left.axis("off")
    left.set_title('geometry="polar"', size=10, color=INK)
    right = figure.add_subplot(1, 2, 2, projection="mollweide")
    lon, lat = np.linspace(-np.pi, np.pi, 129), np.linspace(-np.pi / 2, np.pi / 2, 65)
    right.pcolormesh(lon, lat, np.roll(names["s"].u, 64, 0).T, cmap="RdBu_r", rasterized=True)
    right.set(xticks=[], yticks=[])
    right.set_title('geometry="sphere"', size=10, color=INK)
    return figure


if __name__ == "__main__":
    main()
